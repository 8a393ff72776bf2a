"""Where the files of this repository are, and what a Markdown file of ours holds. Knows no rule: tests have those."""

import re
import subprocess
import tomllib
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[4]
PYTHON = ROOT / "python"
PLUGIN = PYTHON / "src" / "agent_work_orders"
README = ROOT / "README.md"
MAP = PLUGIN / "README.md"

_MADE_BY_TOOLS = {".git", ".venv", ".tools", "node_modules", "__pycache__", ".mypy_cache", ".ruff_cache"}


@cache
def files() -> tuple[Path, ...]:
    """Every file that is, or would be, committed. Without git (an unpacked archive): all but what tools make."""
    command = ["git", "-C", str(ROOT), "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    try:
        listed = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=True).stdout
    except (OSError, subprocess.CalledProcessError):
        found = (path for path in ROOT.rglob("*") if not _MADE_BY_TOOLS & set(path.relative_to(ROOT).parts))
    else:
        found = (ROOT / name for name in listed.split("\0") if name)
    return tuple(sorted(path for path in set(found) if path.is_file()))


def texts(*suffixes: str) -> Iterator[tuple[Path, str]]:
    """Path and text of every committed text file, or of those with one of the suffixes."""
    for path in files():
        if suffixes and path.suffix not in suffixes:
            continue
        try:
            yield path, path.read_text(encoding="utf-8")
        except UnicodeDecodeError:
            continue  # a picture, a font


def pyproject() -> dict[str, Any]:
    return tomllib.loads((PYTHON / "pyproject.toml").read_text(encoding="utf-8"))


def relative(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def fenced(text: str, *languages: str) -> list[str]:
    """The bodies of the fenced blocks whose info string is one of `languages`."""
    blocks = re.findall(r"^```([^\n]*)\n(.*?)^```\s*$", text, re.MULTILINE | re.DOTALL)
    return [body for info, body in blocks if info.strip() in languages]


def tree_paths(text: str) -> list[str]:
    """First word of every line of the ```tree blocks: a path, relative to the file that holds the block."""
    return [line.split()[0] for body in fenced(text, "tree") for line in body.splitlines() if line.strip()]


def section(text: str, heading: str) -> str:
    """The text under `## heading`, up to the next heading of that level. Empty if there is none."""
    match = re.search(rf"^## {re.escape(heading)}\s*$(.*?)(?=^## |\Z)", text, re.MULTILINE | re.DOTALL)
    return match[1] if match else ""


def table_rows(text: str) -> list[list[str]]:
    """The cells of a Markdown table's rows, without its head."""
    rows = [line.strip().strip("|").split("|") for line in text.splitlines() if line.lstrip().startswith("|")]
    return [[cell.strip() for cell in row] for row in rows[2:]]
