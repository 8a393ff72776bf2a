"""What runs on this machine, read from /proc: tests assert on facts."""

from collections.abc import Callable
from pathlib import Path

import anyio


def commands_with(word: str) -> list[str]:
    """Command lines of living processes that contain a word."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                line = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode("utf-8", "replace")
                state = (entry / "stat").read_text().rpartition(")")[2].split()[0]
            except OSError:
                continue
            if word in line and state not in "ZX":
                found.append(line)
    return found


async def until(fact: Callable[[], object]) -> None:
    with anyio.fail_after(30):
        while not fact():  # noqa: ASYNC110 - other processes offer no event
            await anyio.sleep(0.01)  # fact: the caller's own
