"""Runs an image as an engine would run it for the compose file: read-only, without capabilities, with its volumes."""

import os
import shlex
import signal
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from .image import ALONE, Builder, Image, inside

LIMITS = ("--no-new-privs", "--inh-caps=-all", "--bounding-set=-all")


@dataclass(frozen=True)
class Container:
    """One that runs."""

    image: Image
    environment: Mapping[str, str]
    process: "subprocess.Popen[bytes]"  # noqa: TID251 - whose scope is `running`
    log: Path

    @property
    def pid(self) -> int:
        """Of its first process, seen from outside."""
        assert self.has_begun(), f"it has ended:\n{self.log.read_text()[-3000:]}"
        return self._children()[0]

    def has_begun(self) -> bool:
        return self.process.poll() is None and bool(self._children())

    def _children(self) -> list[int]:
        return [
            int(word) for word in Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text().split()
        ]

    def kill(self) -> None:
        """Whatever is left of it."""
        if self.process.poll() is None:
            for child in self._children():  # `--kill-child` does not reach one that has changed its user since
                os.kill(child, signal.SIGKILL)
            self.process.kill()

    def run(self, *program: str) -> "subprocess.CompletedProcess[str]":
        """What `docker exec` would do."""
        entered = ["nsenter", "--target", str(self.pid), "--mount", "--pid", "--root", "--wd"]
        command = [*entered, *inside(self.environment, self.image.user, program, *LIMITS)[2:]]
        return subprocess.run(command, capture_output=True, text=True, stdin=subprocess.DEVNULL, timeout=60)

    def stop(self) -> int:
        """SIGTERM, as an engine sends it; the exit status. Raises TimeoutExpired after the compose file's grace."""
        os.kill(self.pid, signal.SIGTERM)
        return self.process.wait(timeout=15)


@contextmanager
def running(builder: Builder, image: Image, settings: Mapping[str, str]) -> Iterator[Container]:
    """The image's own command with fresh volumes; whatever is left of it at the end is killed."""
    environment = {**image.environment, **settings}
    with TemporaryDirectory(dir="/var/tmp", prefix="awo-container-") as scratch:
        lines = [builder.mounting(image, None, "root"), "mount -t tmpfs -o mode=1777 tmpfs root/tmp"]
        for number, volume in enumerate(sorted(image.volumes)):  # one that lies in another comes after it
            # A fresh volume begins with what the image holds there, its owner included.
            held, place = f"{scratch}/{number}", shlex.quote(f"root{volume}")
            lines += [f"cp -a {place} {held}", f"mount --bind {held} {place}"]
        program = ["sh", "-c", f"cd {shlex.quote(image.folder)} && exec {shlex.join(image.command)}"]
        lines.append(f"exec {shlex.join(inside(environment, image.user, program, *LIMITS))}")
        log = Path(scratch) / "log"
        with (
            log.open("wb") as sink,
            subprocess.Popen(  # noqa: TID251 - this block is the child's scope
                [*ALONE, "\n".join(lines)], cwd=builder.cache, stdout=sink, stderr=sink, stdin=subprocess.DEVNULL
            ) as process,
        ):
            container = Container(image, environment, process, log)
            try:
                yield container
            finally:
                container.kill()
