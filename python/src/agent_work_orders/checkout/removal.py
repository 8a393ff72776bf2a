"""Removing what lies on a volume, in two phases: renamed aside in one step, then deleted piece by piece.

Whatever dies in between, nothing is half there under its own name, and the next run ends it. Links are never followed,
other file systems never entered. Knows no orders and no rules.
"""

import fcntl
import os
import re
import secrets
import stat
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from ..domain.retention import Aside, Kind, Reason
from . import disk

_NAMED = re.compile(r"(?P<kind>[a-z]+)~(?P<name>[^/~]+)~(?P<size>\d+)~(?P<reason>[a-z]+)~(?P<id>[0-9a-f]{16})\Z")
_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
MAX_PROBLEMS = 50


@contextmanager
def alone(lock: Path) -> Iterator[bool]:
    """The lock between processes; False at once if somebody else has it. The kernel lets go of it with its holder."""
    disk.make_directory(lock.parent)
    descriptor = os.open(lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
        else:
            yield True
    finally:
        os.close(descriptor)


def put_aside(path: Path, trash: Path, kind: Kind, name: str, size: int, reason: Reason) -> Aside | None:
    """Renames a tree into the trash under a name that says what it was; None if it is not there.

    OSError when it cannot be: it then stays as it was.
    """
    if not os.path.lexists(path):
        return None
    aside = Aside(secrets.token_hex(8), kind, name[:120].replace("~", "-"), size, reason)
    disk.make_directory(trash, 0o700)
    target = trash / _named(aside)
    try:
        path.rename(target)
    except PermissionError:
        if not disk.is_directory(path):
            raise
        path.chmod(0o700)  # its owner may have taken the right to move it away from itself
        path.rename(target)
    return aside


def untold(trash: Path) -> list[Aside]:
    """What lies in the trash and whose removal was not told of yet."""
    found = []
    for name in _names(trash):
        if (named := _NAMED.match(name)) and named["kind"] in set(Kind) and named["reason"] in set(Reason):
            kind, reason = Kind(named["kind"]), Reason(named["reason"])
            found.append(Aside(named["id"], kind, named["name"], int(named["size"]), reason))
    return found


def told(trash: Path, aside: Aside) -> None:
    """Its removal is written down: from now on it is rubbish."""
    with suppress(FileNotFoundError):  # it lies in another trash, or another server was told
        (trash / _named(aside)).rename(trash / aside.removal_id)


def _named(aside: Aside) -> str:
    return "~".join((aside.kind, aside.name, str(aside.size_bytes), aside.reason, aside.removal_id))


def sweep(trash: Path, seconds: float) -> tuple[bool, list[str]]:
    """Deletes what was told of, for about so long; whether all that could go is gone, and what could not and why.

    Nested directories are first moved up to the trash itself, so that neither depth nor path length is a limit.
    """
    give_up_at = time.monotonic() + seconds
    problems: list[str] = []
    try:
        top = os.open(trash, _DIRECTORY)
    except FileNotFoundError:
        return True, problems
    try:
        device = os.fstat(top).st_dev
        waiting = [name for name in _names(trash) if not _NAMED.match(name)]
        while waiting and time.monotonic() < give_up_at:
            waiting += _delete(top, waiting.pop(), device, problems, give_up_at)
    finally:
        os.close(top)
    return not waiting, problems[:MAX_PROBLEMS]


def empty(trash: Path) -> list[str]:
    """Deletes all that was told of, however long it takes; what could not be deleted comes back."""
    return sweep(trash, float("inf"))[1]


def size_of(path: Path, seconds: float = 60.0) -> int:
    """Bytes that a tree takes on the disk: no links followed, no other file system entered, what cannot be read is 0.

    Given up after so many seconds, with what was counted by then.
    """
    try:
        top = path.lstat()
    except OSError:
        return 0
    total = top.st_blocks * 512
    waiting = [path] if stat.S_ISDIR(top.st_mode) else []
    give_up_at = time.monotonic() + seconds
    while waiting and time.monotonic() < give_up_at:
        try:
            with os.scandir(waiting.pop()) as entries:
                for entry in entries:
                    found = entry.stat(follow_symlinks=False)
                    total += found.st_blocks * 512
                    if stat.S_ISDIR(found.st_mode) and found.st_dev == top.st_dev:
                        waiting.append(Path(entry.path))
        except OSError:
            continue  # gone meanwhile, closed to us, or its name too long: no reason not to count the rest
    return total


def _names(trash: Path) -> list[str]:
    try:
        return sorted(os.listdir(trash))  # noqa: PTH208 - names are all that is wanted, and there may be very many
    except FileNotFoundError:
        return []


def _delete(top: int, name: str, device: int, problems: list[str], give_up_at: float) -> list[str]:
    """Deletes one entry of the trash; the names of the directories that it moved up on the way."""
    moved: list[str] = []
    try:
        found = os.stat(name, dir_fd=top, follow_symlinks=False)
        if not stat.S_ISDIR(found.st_mode):
            os.unlink(name, dir_fd=top)
            return moved
        if found.st_dev != device:
            problems.append(f"{name}: it is another file system")
            return moved
        disk.open_up(name, top)
        directory = os.open(name, _DIRECTORY, dir_fd=top)
        try:
            whole = _clear(directory, top, device, problems, moved, give_up_at)
        finally:
            os.close(directory)
        if whole:
            os.rmdir(name, dir_fd=top)
        elif time.monotonic() > give_up_at:
            moved.append(name)
    except FileNotFoundError:
        pass  # another server empties the same trash
    except OSError as error:
        problems.append(f"{name}: {error.strerror}")
    return moved


def _clear(directory: int, top: int, device: int, problems: list[str], moved: list[str], give_up_at: float) -> bool:
    """Empties a directory; whether it is empty. One entry that will not go does not keep the others."""
    whole = True
    with os.scandir(directory) as entries:
        for entry in entries:
            if time.monotonic() > give_up_at:
                return False
            try:
                if not entry.is_dir(follow_symlinks=False):
                    os.unlink(entry.name, dir_fd=directory)
                    continue
                if os.stat(entry.name, dir_fd=directory, follow_symlinks=False).st_dev != device:
                    raise OSError(0, "it is another file system")
                disk.open_up(entry.name, directory)
                up = secrets.token_hex(8)
                os.rename(entry.name, up, src_dir_fd=directory, dst_dir_fd=top)
                moved.append(up)
            except FileNotFoundError:
                continue
            except OSError as error:
                whole = False
                problems.append(f"{entry.name}: {error.strerror or error}")
    return whole
