"""Builds an image without an engine: every step of a Dockerfile in a root of Debian's packages, one layer each.

A layer is a folder named after all that it was made from, so that a step that was taken before is not taken again. What
a step mounts and what it starts is in namespaces of its own: both go with it, however it ends.
"""

import fcntl
import hashlib
import json
import os
import platform
import re
import shlex
import shutil
import subprocess
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path, PurePosixPath
from tempfile import TemporaryDirectory

from . import machine
from .dockerfile import Context, Instruction, stages, variables, words

ALONE = ("unshare", "--mount", "--propagation", "private", "--pid", "--fork", "--kill-child", "sh", "-euc")
PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
STEP_WITHIN = 240
NODE_FOR = {"x86_64": "x64", "aarch64": "arm64"}
# The base images are not on any package registry. These are made of what is, on the same release of Debian.
PYTHON_BASE = (
    "apt-get update && apt-get install -y --no-install-recommends python3 python3-venv netbase tzdata"
    " && rm -rf /var/lib/apt/lists/* && ln -s /usr/bin/python3 /usr/local/bin/python"
)
NODE_BASE = (
    "mv /node/bin /usr/local/ && mkdir -p /usr/local/lib/node_modules && mv /node/npm /usr/local/lib/node_modules/"
    " && chmod 755 /usr/local/bin/node && rmdir /node"
    " && ln -s ../lib/node_modules/npm/bin/npm-cli.js /usr/local/bin/npm"
)


Make = Callable[[Path], None]


class BuildFailed(Exception):
    """A step did not end well; the text is the step and what it said."""


@dataclass(frozen=True)
class Image:
    """A root in layers, the lowest first, and what is known of how to run it."""

    layers: tuple[str, ...] = ()
    environment: dict[str, str] = field(default_factory=lambda: {"PATH": PATH})
    folder: str = "/"
    user: str = "0:0"
    volumes: tuple[str, ...] = ()
    command: tuple[str, ...] = ()
    health: tuple[str, ...] = ()


class Builder:
    """Makes images in `cache`, which nobody else may use meanwhile; see `builder`."""

    def __init__(self, cache: Path, context: Context, settings: Path, environment: dict[str, str]) -> None:
        self.cache, self._context = cache, context
        self._settings, self._environment = settings, environment
        self._used: set[str] = set()

    def build(self, dockerfile: Path) -> Image:
        """The image of the last stage. Raises BuildFailed with what the failing step said."""
        made: dict[str, Image] = {}
        image = Image()
        for stage in stages(dockerfile.read_text(encoding="utf-8")):
            image = made[stage.base] if stage.base in made else self._base(stage.base)
            for step in stage.steps:
                image = self._step(image, step, made)
            made[stage.name] = image
        return image

    def forget_the_rest(self) -> None:
        """Layers that this builder did not use."""
        for folder in self.cache.iterdir():
            if folder.is_dir() and folder.name not in self._used:
                shutil.rmtree(folder)

    def _base(self, name: str) -> Image:
        """The nearest thing to an image of the public registry: `python:3.12.11-slim-bookworm` and the like."""
        found = re.fullmatch(r"(python|node):([0-9.]+)-(?:slim-)?([a-z]+)(?:-slim)?", name)
        if found is None:
            raise ValueError(f"no root is known that stands for {name}")
        kind, version, release = found.groups()
        debian = self._debian(release)
        if kind == "python":
            return self._run(debian, PYTHON_BASE)
        return self._run(self._node(debian, version), NODE_BASE)

    def _debian(self, release: str) -> Image:
        def make(layer: Path) -> None:
            options = layer.parent / "apt.conf"
            options.write_text(machine.apt_options(), encoding="utf-8")
            command = [
                "mmdebstrap", "--mode=root", "--variant=minbase", "--include=ca-certificates",
                f"--aptopt={options}", release, str(layer), str(machine.debian_mirror()),
            ]  # fmt: skip
            alone(shlex.join(command))

        # Made anew each month: Debian's packages change without a word in the Dockerfile.
        return self._layer(Image(), ["debian", release, f"{datetime.now(UTC):%Y-%m}"], make)

    def _node(self, debian: Image, version: str) -> Image:
        """The very version that the image has, as npm's registry has it too."""

        def make(layer: Path) -> None:
            package = f"node-linux-{NODE_FOR[platform.machine()]}"
            given = layer.parent / "npm"
            given.mkdir()
            command = ["npm", "install", "--ignore-scripts", "--no-save", "--prefix", str(given)]
            said(*command, f"{package}@~{version}", "npm@10")
            (layer / "node/bin").mkdir(parents=True)
            shutil.copy(given / "node_modules" / package / "bin/node", layer / "node/bin/node")
            shutil.copytree(given / "node_modules/npm", layer / "node/npm", symlinks=True)

        return self._layer(debian, ["node", version], make)

    def _step(self, image: Image, step: Instruction, made: dict[str, Image]) -> Image:
        match step.name:
            case "RUN":
                return self._run(image, step.text)
            case "COPY":
                return self._copy(image, step, made)
            case "ENV":
                return replace(image, environment=image.environment | variables(step.text, image.environment))
            case "WORKDIR":
                return replace(self._run(image, f"mkdir -p {shlex.quote(step.text)}"), folder=step.text)
            case "USER":
                return replace(image, user=step.text)
            case "VOLUME":
                return replace(image, volumes=tuple(words(step.text)))
            case "CMD":
                return replace(image, command=tuple(words(step.text)))
            case "HEALTHCHECK":
                return replace(image, health=tuple(words(step.text.removeprefix("CMD"))))
            case _:  # LABEL, EXPOSE and STOPSIGNAL change nothing in the root
                return image

    def _run(self, image: Image, text: str) -> Image:
        def make(layer: Path) -> None:
            # What npm keeps for another time is not kept in a layer.
            environment = {"npm_config_cache": "/run/npm", **self._environment, **image.environment}
            program = ["sh", "-c", f"cd {shlex.quote(image.folder)} && {text}"]
            alone(
                "\n".join(
                    [
                        self.mounting(image, layer, "root"),
                        "mount -t tmpfs -o mode=755 tmpfs root/run && mkdir root/run/machine",
                        f"mount --bind {shlex.quote(str(self._settings))} root{machine.INSIDE}",
                        f"exec {shlex.join(inside(environment, image.user, program))}",
                    ]
                ),
                self.cache,
            )

        return self._layer(image, ["run", image.environment, image.folder, image.user, text], make)

    def _copy(self, image: Image, step: Instruction, made: dict[str, Image]) -> Image:
        *sources, target = step.text.split()
        # A path below the folder, or one of the root's own; the / at its end says that it is a folder.
        target = f"{PurePosixPath(image.folder) / target}{'/' if target.endswith('/') or len(sources) > 1 else ''}"
        origin = step.options.get("from")

        def make(layer: Path) -> None:
            lines = [self.mounting(image, layer, "root")]
            if origin is None:
                given = self._given(layer.parent / "given", sources)
            else:
                lines.append(self.mounting(made[origin], None, "other"))
                given = Path("other")
            lines += [_copying(f"{given}/{source.strip('/')}", f"root{target}") for source in sources]
            alone("\n".join(lines), self.cache)

        content = self._context.checksum(sources) if origin is None else list(made[origin].layers)
        return self._layer(image, ["copy", sources, target, content], make)

    def _given(self, folder: Path, sources: list[str]) -> Path:
        """The files of the context alone, owned as an engine would have them."""
        for name in (name for source in sources for name in self._context.files(source)):
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(self._context.root / name, folder / name)
        return folder

    def _layer(self, below: Image, made_from: object, make: Make) -> Image:
        name = hashlib.sha256(json.dumps([below.layers[-1:], made_from]).encode()).hexdigest()[:16]
        self._used.add(name)
        if not (self.cache / name).is_dir():
            # Beside it first: a layer that is there is whole.
            with TemporaryDirectory(dir=self.cache, prefix="new-") as scratch:
                layer = Path(scratch) / "layer"
                layer.mkdir()
                make(layer)
                layer.rename(self.cache / name)
        return replace(below, layers=(*below.layers, name))

    def mounting(self, image: Image, layer: Path | None, at: str) -> str:
        """Shell lines, to run in the cache, that mount the root `at`: with `layer` on top, else read-only."""
        # Without a layer to write to the kernel wants two; an empty one does no harm.
        below = ":".join([*reversed(image.layers), "empty"])
        options = f"lowerdir={below}"
        if layer is not None:
            work = layer.with_name("work")
            work.mkdir(exist_ok=True)
            options += f",upperdir={layer.relative_to(self.cache)},workdir={work.relative_to(self.cache)}"
        lines = [f"mount -t overlay -o {options} overlay {at}"]
        if layer is not None:
            lines += [f"touch {at}/etc/resolv.conf {at}/etc/hosts"]
        lines += [
            f"mount -t proc proc {at}/proc",
            f"mount --rbind /dev {at}/dev",
            f"mount --bind /etc/resolv.conf {at}/etc/resolv.conf",
            f"mount --bind /etc/hosts {at}/etc/hosts",
        ]
        return "\n".join(lines)


@contextmanager
def builder(context: Context) -> Iterator[Builder]:
    """A builder with this user's cache to itself; a second one waits. What it did not use is gone afterwards."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "archon-awo" / "image-layers"
    cache.mkdir(mode=0o700, parents=True, exist_ok=True)
    with (cache / "lock").open("w") as lock, TemporaryDirectory(prefix="awo-machine-") as settings:
        fcntl.flock(lock, fcntl.LOCK_EX)
        for name in ("empty", "root", "other"):
            (cache / name).mkdir(exist_ok=True)
        Path(settings).chmod(0o755)
        made = Builder(cache, context, Path(settings), machine.set_up(Path(settings)))
        yield made
        made.forget_the_rest()


def inside(environment: Mapping[str, str], user: str, program: Sequence[str], *limits: str) -> list[str]:
    """The command that becomes `program` in `root`, as a container's process would be: this environment alone."""
    number = user.partition(":")[0]
    chroot = shutil.which("chroot", path=f"{os.environ['PATH']}:{PATH}") or "chroot"  # where not everybody looks
    return [
        chroot, "root", "setpriv", f"--reuid={number}", f"--regid={user.partition(':')[2] or number}",
        "--clear-groups", *limits, "env", "-i", *(f"{name}={value}" for name, value in environment.items()), *program,
    ]  # fmt: skip


def alone(script: str, folder: Path | None = None) -> None:
    """Runs shell lines in namespaces of their own. Raises BuildFailed."""
    said(*ALONE, script, folder=folder)


def said(*command: str, folder: Path | None = None) -> None:
    run = subprocess.run(
        command, cwd=folder, capture_output=True, text=True, stdin=subprocess.DEVNULL, timeout=STEP_WITHIN
    )
    if run.returncode != 0:
        raise BuildFailed(f"{command[-1]}\nsaid {run.returncode}:\n{run.stdout[-2000:]}\n{run.stderr[-4000:]}")


def _copying(source: str, target: str) -> str:
    """As COPY does: of a folder what is in it; a target that ends in / is a folder."""
    source, target = shlex.quote(source), shlex.quote(target)
    copy = "cp -R --preserve=mode,links"
    folder = f"mkdir -p {target} && {copy} {source}/. {target}"
    file = f"mkdir -p $(dirname {target}x) && {copy} {source} {target}"
    return f"if [ -d {source} ]; then {folder}; else {file}; fi"
