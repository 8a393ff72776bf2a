"""Careful file work: no half-written file is ever seen, no link is followed out of a tree, no lock outlives its holder.

Knows nothing of git.
"""

import errno
import fcntl
import os
import secrets
import stat
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager, suppress
from pathlib import Path

import anyio
from anyio.to_thread import run_sync

from ..domain.errors import DiskFull, FailureClass, StepFailed

_FULL = frozenset({errno.ENOSPC, errno.EDQUOT})
_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_PLACE = getattr(os, "O_PATH", os.O_RDONLY) | os.O_DIRECTORY | os.O_CLOEXEC  # macOS has no O_PATH


@contextmanager
def storage_failures() -> Iterator[None]:
    """What the file system refuses becomes a StepFailed (disk) that a person can act on."""
    try:
        yield
    except OSError as error:
        if error.errno in _FULL:
            raise DiskFull from error
        reason = os.strerror(error.errno) if error.errno else type(error).__name__
        raise StepFailed(
            FailureClass.DISK,
            f"The repository volume refused an operation ({reason}).",
            next_action="Mend the permissions of the repository volume, or mount it for writing, then retry the order.",
        ) from error


@asynccontextmanager
async def held(lock: Path, enough: Callable[[], bool], *, shared: bool = False) -> AsyncIterator[bool]:
    """The lock between tasks, processes and servers, waited for without blocking the loop; True once it is ours.

    Any number may hold it `shared`, and nobody else meanwhile.

    False as soon as `enough()` says that what was wanted has been done meanwhile. The kernel lets go of the lock when
    its holder dies, and children do not inherit it.
    """
    pause = 0.005
    kind = fcntl.LOCK_SH if shared else fcntl.LOCK_EX
    descriptor = _lock_file(lock, to_read=shared)
    try:
        while not enough():
            try:
                fcntl.flock(descriptor, kind | fcntl.LOCK_NB)
            except BlockingIOError:
                await anyio.sleep(pause)
                pause = min(pause * 1.5, 0.1)
            else:
                yield True
                return
        yield False
    finally:
        os.close(descriptor)


def _lock_file(lock: Path, *, to_read: bool) -> int:
    """A descriptor of the lock. On a volume that cannot be written any more what is there can still be read."""
    try:
        return os.open(lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    except OSError as error:
        if not to_read or error.errno not in (errno.EROFS, errno.EACCES):
            raise
        return os.open(lock, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)


@asynccontextmanager
async def opening(repositories: Path) -> AsyncIterator[None]:
    """Held for a moment by whoever opens a checkout, and by clean-up while it asks whose time is over and renames it
    aside: an order that runs on after this was seen to run by clean-up, or finds what it had already gone."""
    folder = repositories / ".mirrors" / ".server"
    if not folder.is_dir():  # a look costs less than the way to a thread
        await run_sync(make_directory, folder)
    async with held(folder / "opening.lock", lambda: False):
        yield


def write_whole(path: Path, data: bytes, mode: int = 0o644, *, draft: str | None = None) -> None:
    """The file appears with all its content or not at all. `draft` is its name until then, one of our own if None."""
    draft = draft or f".{path.name}.{secrets.token_hex(4)}"
    # From its directory's descriptor, and without a buffer: there are a dozen such files in each order's way.
    directory = os.open(path.parent, _PLACE)
    try:
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        descriptor = os.open(draft, flags, mode, dir_fd=directory)
        try:
            try:
                os.fchmod(descriptor, mode)
                left = memoryview(data)
                while left:
                    left = left[os.write(descriptor, left) :]
            finally:
                os.close(descriptor)
            os.rename(draft, path.name, src_dir_fd=directory, dst_dir_fd=directory)
        except OSError:
            with suppress(FileNotFoundError):
                os.unlink(draft, dir_fd=directory)
            raise
    finally:
        os.close(directory)


def make_directory(path: Path, mode: int = 0o755) -> None:
    """The directory and its parents, with `mode` whatever the umask; what exists is left as it is."""
    if not path.is_dir():
        make_directory(path.parent, 0o755)
        path.mkdir(exist_ok=True)
        path.chmod(mode)


def is_directory(path: Path) -> bool:
    """A directory itself, not a link to one."""
    try:
        return stat.S_ISDIR(path.lstat().st_mode)
    except (FileNotFoundError, NotADirectoryError):
        return False


def read_inside(root: Path, parts: Sequence[str], limit: int) -> bytes | None:
    """A regular file below `root`, reached without following any link; None if there is none within `limit` bytes."""
    try:
        directory = os.open(root, _DIRECTORY)
        try:
            for part in parts[:-1]:
                inner = os.open(part, _DIRECTORY, dir_fd=directory)
                os.close(directory)
                directory = inner
            # Not blocking: a fifo in the place of the file must not hold the server.
            flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
            descriptor = os.open(parts[-1], flags, dir_fd=directory)
        finally:
            os.close(directory)
        try:
            found = os.fstat(descriptor)
            return _read(descriptor, found.st_size, limit) if stat.S_ISREG(found.st_mode) else None
        finally:
            os.close(descriptor)
    except (OSError, ValueError):  # ValueError: a NUL in a part
        return None


def _read(descriptor: int, expected: int, limit: int) -> bytes | None:
    """All of a file of about `expected` bytes; None when it has more than `limit`."""
    data = os.read(descriptor, min(expected, limit) + 1)
    while len(data) <= limit and (more := os.read(descriptor, 1 << 16)):
        data += more
    return data if len(data) <= limit else None


def set_aside(path: Path, trash: Path) -> None:
    """Renames a tree into the trash, in one step; its owner may have taken the right to do so away from itself."""
    if not os.path.lexists(path):
        return
    make_directory(trash, 0o700)
    target = trash / secrets.token_hex(8)
    try:
        path.rename(target)
    except PermissionError:
        if not is_directory(path):
            raise
        path.chmod(0o700)
        path.rename(target)


def open_up(name: str, directory: int) -> None:
    """Gives a directory's rights back to its owner, by its descriptor: its name could lead elsewhere by now."""
    descriptor = os.open(name, os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=directory)
    try:
        if os.fstat(descriptor).st_mode & 0o700 != 0o700:
            Path(f"/proc/self/fd/{descriptor}").chmod(0o700)
    finally:
        os.close(descriptor)
