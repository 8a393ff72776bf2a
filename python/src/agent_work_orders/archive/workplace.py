"""A directory for files on their way: one program at a time, and what a killed one left in it is gone with the next."""

import fcntl
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ..domain.errors import WorkOrderError

NAME, _LOCK = ".awo-backup", "lock"


class Occupied(WorkOrderError):
    """Another program works there."""

    code = "occupied"
    next_action = "Wait until it has ended, then try again."


@contextmanager
def workplace(directory: Path) -> Iterator[Path]:
    """An empty directory in `directory`, nobody else's while the block lasts; the kernel frees it when its holder dies.

    Occupied while another program has it.
    """
    place = directory / NAME
    place.mkdir(mode=0o700, parents=True, exist_ok=True)
    # The lock stays: whoever removed it could not know who is about to take it.
    lock = os.open(place / _LOCK, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    try:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise Occupied(f"Another backup is being written in {directory}.") from None
        _clear(place)
        try:
            yield place
        finally:
            _clear(place)
    finally:
        os.close(lock)


def _clear(place: Path) -> None:
    for left in place.iterdir():
        if left.is_dir() and not left.is_symlink():
            shutil.rmtree(left)
        elif left.name != _LOCK:
            left.unlink()
