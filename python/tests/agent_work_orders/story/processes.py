"""Who runs, seen in /proc as an administrator would see it: by the marker that every process of a run inherits."""

from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path


def processes_of(order_id: str) -> dict[int, str]:
    """Number and command line of every living process of an order's runs."""
    marker = f"\0AWO_RUN_ID={order_id}."
    return {pid: arguments for pid, environ, arguments in _processes() if marker in f"\0{environ}"}


def command_lines() -> set[tuple[int, str]]:
    """Number and arguments of everything that runs on this machine."""
    return {(pid, arguments) for pid, _, arguments in _processes()}


def _processes() -> Iterator[tuple[int, str, str]]:
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with suppress(OSError):  # it has just ended
                environ, arguments = ((entry / name).read_bytes() for name in ("environ", "cmdline"))
                yield int(entry.name), environ.decode(errors="replace"), arguments.decode(errors="replace")
