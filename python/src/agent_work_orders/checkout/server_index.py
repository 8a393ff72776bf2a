"""The server's own copy of a checkout's index: what a checkpoint compares with, out of the agent's reach."""

import fcntl
import os
import secrets
import shutil
import stat
from pathlib import Path

from . import disk
from .failures import refused

_FICLONE = 0x40049409  # shares the blocks of two files, where the file system can


def copy_index(root: Path, target: Path) -> None:
    """Copies the index of a checkout that nobody has worked in yet; whole or not at all."""
    disk.make_directory(target.parent)
    draft = target.with_name(f".{target.name}.{secrets.token_hex(4)}")
    try:
        source = os.open(root / ".git" / "index", os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        raise refused("The checkout's index vanished while it was made", "Retry the order.") from error
    with os.fdopen(source, "rb") as index:
        if not stat.S_ISREG(os.fstat(index.fileno()).st_mode):
            raise refused("The checkout's index vanished while it was made", "Retry the order.")
        descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o644)
        try:
            with os.fdopen(descriptor, "wb") as file:
                os.fchmod(file.fileno(), 0o644)
                try:
                    fcntl.ioctl(file.fileno(), _FICLONE, index.fileno())
                except OSError:
                    shutil.copyfileobj(index, file, 1 << 20)
            draft.rename(target)
        except OSError:
            draft.unlink(missing_ok=True)
            raise
