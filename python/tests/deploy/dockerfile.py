"""Reads a Dockerfile, as far as ours go. What it does not know is an error: no step may be left out in silence.

Knows no machine and runs nothing.
"""

import hashlib
import json
import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

# What may stand in our files, and the options that each may carry.
KNOWN: dict[str, set[str]] = {
    "FROM": set(),
    "RUN": set(),
    "COPY": {"from"},
    "ENV": set(),
    "WORKDIR": set(),
    "USER": set(),
    "LABEL": set(),
    "EXPOSE": set(),
    "VOLUME": set(),
    "STOPSIGNAL": set(),
    "HEALTHCHECK": {"interval", "timeout", "retries", "start-period"},
    "CMD": set(),
}


@dataclass(frozen=True)
class Instruction:
    """One step: `COPY --from=a b c` has the options {"from": "a"} and the text "b c"."""

    name: str
    options: dict[str, str]
    text: str


@dataclass(frozen=True)
class Stage:
    """What stands between one FROM and the next."""

    base: str
    name: str
    steps: tuple[Instruction, ...]


def stages(text: str) -> list[Stage]:
    """All stages, the last one being the image. Raises ValueError for what is not known here."""
    found: list[tuple[str, str, list[Instruction]]] = []
    for step in _instructions(text):
        if step.name == "FROM":
            base, _, name = re.sub(r"(?i)\s+as\s+", " ", step.text).partition(" ")
            found.append((base, name, []))
        else:
            found[-1][2].append(step)
    return [Stage(base, name, tuple(steps)) for base, name, steps in found]


def _instructions(text: str) -> list[Instruction]:
    lines = "\n".join(line for line in text.splitlines() if line.strip() and not line.lstrip().startswith("#"))
    return [_instruction(line) for line in re.sub(r"\\\n", " ", lines).splitlines()]


def _instruction(line: str) -> Instruction:
    name, _, rest = line.partition(" ")
    options: dict[str, str] = {}
    rest = rest.strip()
    while option := re.match(r"--([a-z-]+)=(\S+)\s+", rest):
        options[option[1]] = option[2]
        rest = rest[option.end() :]
    if name not in KNOWN or rest.startswith("--") or not set(options) <= KNOWN[name] or "<<" in rest:
        raise ValueError(f"the interpreter of these tests does not know: {line}")
    return Instruction(name, options, rest)


def variables(text: str, known: dict[str, str]) -> dict[str, str]:
    """What `ENV A=b C=$A` sets; a value may use what is known."""
    pairs = (word.partition("=") for word in shlex.split(text))
    return {name: re.sub(r"\$\{?(\w+)\}?", lambda used: known.get(used[1], ""), value) for name, _, value in pairs}


def words(text: str) -> list[str]:
    """The exec form: a list in JSON."""
    found: list[str] = json.loads(text)
    return found


class Context:
    """What the builder is sent: the repository without what .dockerignore keeps back."""

    def __init__(self, root: Path) -> None:
        self.root = root
        lines = [line.strip() for line in (root / ".dockerignore").read_text(encoding="utf-8").splitlines()]
        self._rules = [
            (not line.startswith("!"), _pattern(line.lstrip("!"))) for line in lines if line and line[0] != "#"
        ]

    def files(self, source: str) -> list[PurePosixPath]:
        """Files of one source of a COPY, relative to the root. Raises FileNotFoundError where nothing is sent."""
        sent = list(self._below(PurePosixPath(source)))
        if not sent:
            raise FileNotFoundError(f"COPY {source}: the builder is sent nothing of it")
        return sent

    def checksum(self, sources: list[str]) -> str:
        """Of names, modes and contents."""
        sum_ = hashlib.sha256()
        for name in (name for source in sources for name in self.files(source)):
            path = self.root / name
            sum_.update(f"{name}\0{path.stat().st_mode & 0o111}\0".encode() + path.read_bytes() + b"\0")
        return sum_.hexdigest()

    def _below(self, name: PurePosixPath) -> Iterator[PurePosixPath]:
        """Nothing is let in again below a folder that is kept back: our files do not do that."""
        if self._kept_back(name):
            return
        path = self.root / name
        if path.is_file():
            yield name
        elif path.is_dir():
            for child in sorted(path.iterdir()):
                yield from self._below(name / child.name)

    def _kept_back(self, name: PurePosixPath) -> bool:
        """The last rule that matches it or a folder above it decides."""
        kept = False
        for keep, pattern in self._rules:
            if any(pattern.fullmatch(str(path)) for path in (name, *name.parents)):
                kept = keep
        return kept


def _pattern(line: str) -> re.Pattern[str]:
    """`**/` is any number of folders, `*` anything within one name."""
    parts = re.split(r"(\*\*/|\*)", line.rstrip("/"))
    return re.compile("".join({"**/": "(?:.*/)?", "*": "[^/]*"}.get(part, re.escape(part)) for part in parts))
