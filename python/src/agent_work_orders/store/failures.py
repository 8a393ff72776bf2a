"""What SQLite's errors mean for a person. An error that no disk, lock or file explains is a bug and stays one."""

import sqlite3
from pathlib import Path

from ..domain.errors import StoreUnavailable

_MEANINGS: dict[int, tuple[str, str]] = {
    sqlite3.SQLITE_BUSY: (
        "is locked by another process",
        "Find what holds the file open for writing (a backup, a database browser) and end it.",
    ),
    sqlite3.SQLITE_LOCKED: ("is locked", "Try again in a few seconds."),
    sqlite3.SQLITE_FULL: ("cannot grow: the disk is full", "Free space on the volume that holds it."),
    sqlite3.SQLITE_READONLY: (
        "cannot be written",
        "Give the server's user write permission on the file and its folder, and mount the volume writable.",
    ),
    sqlite3.SQLITE_PERM: ("cannot be opened", "Give the server's user permission on the file and its folder."),
    sqlite3.SQLITE_CANTOPEN: (
        "cannot be opened",
        "Check that its folder exists and that the server's user may write there.",
    ),
    sqlite3.SQLITE_IOERR: ("cannot be read or written", "Check the disk and its free space, then restart the server."),
    sqlite3.SQLITE_PROTOCOL: ("is locked by another process", "Move it to a local disk: network disks lock badly."),
    sqlite3.SQLITE_NOMEM: ("cannot be used: memory is short", "Give the server more memory."),
    sqlite3.SQLITE_CORRUPT: (
        "is damaged",
        "Stop the server, keep a copy of the file, and put a backup in its place.",
    ),
    sqlite3.SQLITE_NOTADB: (
        "is not a database",
        "Stop the server, move the file away, and put a backup in its place or start anew without it.",
    ),
}


def unavailable(error: sqlite3.Error, path: Path) -> StoreUnavailable | None:
    """The failure a person can act on, or None for a bug of ours. Never holds a statement or a value."""
    code: int | None = getattr(error, "sqlite_errorcode", None)
    meaning = _MEANINGS.get(code & 0xFF) if code is not None else None
    if meaning is None:
        return None
    what, next_action = meaning
    return StoreUnavailable(f"The database {path} {what}.", next_action=next_action)
