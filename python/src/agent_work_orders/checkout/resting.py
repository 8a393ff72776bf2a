"""The indexes of a checkout that nobody works in, as one small file: of a large checkout they are most of what it takes
beyond its files. Both are there again, byte for byte, before anybody needs them. Knows nothing of what is in them."""

import os
import struct
import zlib
from contextlib import suppress
from pathlib import Path

from . import disk
from .git_dir import Owner
from .placed import write_inside

# Below this, in bytes of both, a checkout is left as it is: a person who looks into it finds what git expects.
WORTH_IT = 1_500_000
MAX_INDEX = 256 << 20
# They are nearly the same: side by side, in pieces that a compressor remembers, the second costs next to nothing.
_PIECE = 8192
_LENGTHS = struct.Struct(">4sQQ")
_MARK = b"AWO1"
_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


def is_worth_it(index: Path) -> bool:
    """Whether there is enough to gain, by the size of the server's index; a look only."""
    try:
        ours = index.stat().st_size
    except FileNotFoundError:
        return False
    return WORTH_IT <= 2 * ours <= MAX_INDEX


def lay_down(root: Path, index: Path) -> bool:
    """Puts the checkout's own index and the server's (`index`) by; whether that was worth it. Nobody may work in it."""
    if not is_worth_it(index):
        return False
    mine, theirs = index.read_bytes(), disk.read_inside(root, [".git", "index"], MAX_INDEX)
    if theirs is None:
        return False
    disk.write_whole(_laid(index), _pressed(mine, theirs))
    _settle(_laid(index))  # on the disk before what it is made of goes
    index.unlink()
    with suppress(OSError):  # whatever an agent has put in its place
        _unlink_inside(root)
    return True


def wake(root: Path, index: Path, owner: Owner) -> None:
    """Both where they were, if they were put by. What is there by now is newer and stays."""
    try:
        pressed = _laid(index).read_bytes()
    except FileNotFoundError:
        return
    try:
        mine, theirs = _unpressed(pressed)
    except (zlib.error, struct.error, ValueError):
        mine = theirs = b""  # a power cut: the next checkpoint reads every file
    if mine and not index.exists():
        disk.write_whole(index, mine)
    if theirs and disk.is_directory(root / ".git") and not os.path.lexists(root / ".git" / "index"):
        with suppress(OSError):  # the .git of an agent that wants none
            write_inside(root, [".git", "index"], theirs, owner, 0o644)
    _laid(index).unlink()


def _laid(index: Path) -> Path:
    return index.with_name("indexes.z")


def _pressed(mine: bytes, theirs: bytes) -> bytes:
    press = zlib.compressobj(1)
    pieces = [_LENGTHS.pack(_MARK, len(mine), len(theirs))]
    for start in range(0, max(len(mine), len(theirs)), _PIECE):
        pieces += [press.compress(one[start : start + _PIECE]) for one in (mine, theirs)]
    return b"".join((*pieces, press.flush()))


def _unpressed(pressed: bytes) -> tuple[bytes, bytes]:
    mark, mine, theirs = _LENGTHS.unpack_from(pressed)
    mixed = memoryview(zlib.decompress(memoryview(pressed)[_LENGTHS.size :]))
    if mark != _MARK or len(mixed) != mine + theirs:
        raise ValueError("not what was put by")
    found: tuple[list[memoryview], list[memoryview]] = ([], [])
    at = 0
    for start in range(0, max(mine, theirs), _PIECE):
        for parts, length in zip(found, (mine, theirs), strict=True):
            piece = min(_PIECE, max(0, length - start))
            parts.append(mixed[at : at + piece])
            at += piece
    return b"".join(found[0]), b"".join(found[1])


def _settle(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _unlink_inside(root: Path) -> None:
    top = os.open(root, _DIRECTORY)
    try:
        git = os.open(".git", _DIRECTORY, dir_fd=top)
        try:
            os.unlink("index", dir_fd=git)
        finally:
            os.close(git)
    finally:
        os.close(top)
