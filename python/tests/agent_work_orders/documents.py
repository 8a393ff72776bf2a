"""The commands that our documents show: those of the shell blocks, and those within a sentence. Judges none of them."""

import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from .house.repository import PLUGIN, fenced, relative, texts

# A sentence that begins a phrase of code with one of these shows a command.
PROGRAMS = ("make", "python -m", "docker compose", "claude mcp", "curl", "cp", "export")
# What fenced blocks hold; a block in another language would be looked at by nobody.
LANGUAGES = {"sh", "tree", "layers", "yaml", "mermaid", "python", ""}


@dataclass(frozen=True)
class Shown:
    """One command of a document: its text as it stands there, and its words without comments."""

    document: Path
    text: str
    words: tuple[str, ...]

    def __str__(self) -> str:
        return f"{relative(self.document)}: {self.text}"


def documents() -> list[tuple[Path, str]]:
    """All that people read; the prompts speak of other repositories."""
    return [(path, text) for path, text in texts(".md") if not path.is_relative_to(PLUGIN / "commands")]


def blocks() -> Iterator[tuple[Path, str]]:
    """The shell blocks."""
    for path, text in documents():
        yield from ((path, block) for block in fenced(text, "sh"))


def shown_commands() -> list[Shown]:
    found = []
    for path, block in blocks():
        lines = block.replace("\\\n", " ").splitlines()
        found += [Shown(path, line, _words(line)) for line in lines if _words(line)]
    for path, text in documents():
        prose = re.sub(r"^```.*?^```\s*$", "", text, flags=re.MULTILINE | re.DOTALL)
        # A phrase may go over the end of a line, and into a quotation.
        for phrase in (re.sub(r"\n>?\s*", " ", one) for one in re.findall(r"`([^`]+)`", prose)):
            if any(phrase.startswith(f"{program} ") for program in PROGRAMS):
                found.append(Shown(path, phrase, _words(phrase)))
    return found


def _words(line: str) -> tuple[str, ...]:
    """Variables before a program are part of no program's words."""
    words = shlex.split(line, comments=True)
    while words and re.match(r"[A-Z_]+=", words[0]):
        del words[0]
    return tuple(words)


def program_of(words: tuple[str, ...]) -> str:
    return next((one for one in PROGRAMS if words[: len(one.split())] == tuple(one.split())), words[0])
