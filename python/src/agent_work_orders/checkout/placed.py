"""Files written into a checkout that an agent has had: inside it and nowhere else, whatever links it left there.

Also how such files are kept out of commits. Knows nothing of git's own files.
"""

import errno
import os
import re
import secrets
from collections.abc import Iterable, Mapping
from pathlib import Path

from .failures import refused
from .git_dir import Owner

_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_IN_THE_WAY = frozenset({errno.ELOOP, errno.ENOTDIR, errno.EISDIR, errno.ENOTEMPTY})


def place(root: Path, files: Mapping[str, str], owner: Owner) -> None:
    """Each file whole, readable by its owner alone, over what was there; paths passed `domain.checkout_options`."""
    for path, text in files.items():
        try:
            write_inside(root, path.split("/"), text.encode(), owner)
        except OSError as error:
            if error.errno not in _IN_THE_WAY:
                raise
            raise refused(
                f"{path} could not be placed: something that is no directory, or is one, stands in its way",
                "Choose another path for it in the settings of this repository, then retry the order.",
            ) from error


def write_inside(root: Path, parts: list[str], content: bytes, owner: Owner, mode: int = 0o600) -> None:
    """A file below `root`, reached without following any link; missing directories are made. OSError if that fails."""
    directory = os.open(root, _DIRECTORY)
    try:
        for part in parts[:-1]:
            inner = _entered(part, directory, owner)
            os.close(directory)
            directory = inner
        draft = f".{secrets.token_hex(8)}"
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        with os.fdopen(os.open(draft, flags, mode, dir_fd=directory), "wb") as file:
            try:
                os.fchmod(file.fileno(), mode)
                if owner:
                    os.fchown(file.fileno(), *owner)
                file.write(content)
                file.flush()
                os.rename(draft, parts[-1], src_dir_fd=directory, dst_dir_fd=directory)
            except OSError:
                os.unlink(draft, dir_fd=directory)
                raise
    finally:
        os.close(directory)


def _entered(part: str, directory: int, owner: Owner) -> int:
    try:
        return os.open(part, _DIRECTORY, dir_fd=directory)
    except FileNotFoundError:
        os.mkdir(part, 0o755, dir_fd=directory)
    inner = os.open(part, _DIRECTORY, dir_fd=directory)
    if owner:
        os.fchown(inner, *owner)
    return inner


def hiding(paths: Iterable[str]) -> tuple[str, ...]:
    """Lines of an exclude file that hide exactly these paths; a directory ends in a slash."""
    return tuple("/" + re.sub(r"([*?\[\]\\!# ])", r"\\\1", path) for path in paths if "\n" not in path)
