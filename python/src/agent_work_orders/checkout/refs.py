"""Refs read and written as files: our own mirrors save processes by it, and an agent's .git is read without git.

Knows the files backend only; anything odd reads as "no such ref".
"""

import os
import re
import secrets
from pathlib import Path

from . import disk

COMMIT = re.compile(r"[0-9a-f]{40}\Z")
_REF = re.compile(r"refs/[^\x00-\x20\x7f~^:?*\[\\]+\Z")
_PACKED_LINE = re.compile(rb"#.*\Z|\^[0-9a-f]{40}\Z|[0-9a-f]{40} refs/[^\x00-\x20\x7f~^:?*\[\\]+\Z")
MAX_LOOSE = 4096
MAX_PACKED = 64 * 1024 * 1024


def read_ref(git_dir: Path, name: str) -> str | None:
    """The commit id of a ref; None if there is none or anything about it is odd (a link, a symbolic ref, not an id)."""
    if not _is_plain(name):
        return None
    loose = disk.read_inside(git_dir, name.split("/"), MAX_LOOSE)
    if loose is not None:
        return _commit(loose)
    return _packed_ref(git_dir, name)


def read_loose(git_dir: Path, name: str) -> str | None:
    """The commit id in a ref's own file; None if there is none, or none that can be read."""
    loose = disk.read_inside(git_dir, name.split("/"), MAX_LOOSE)
    return None if loose is None else _commit(loose)


def readable_part(packed: bytes) -> bytes:
    """The lines of a packed-refs file that git can read, as they are."""
    lines = packed.split(b"\n")
    whole = [line for line in lines[:-1] if _PACKED_LINE.match(line)]
    return b"".join(line + b"\n" for line in whole)


def packed_below(git_dir: Path, prefix: str) -> dict[str, str]:
    """The packed refs below `prefix`, which ends in a slash, and their commit ids."""
    packed, start = _packed(git_dir), f" {prefix}".encode()
    if start not in packed:
        return {}
    pairs = (line.split(b" ", 1) for line in packed.split(b"\n") if line[40:].startswith(start))
    found = {name.decode("utf-8", "replace"): commit.decode("ascii", "replace") for commit, name in pairs}
    return {name: commit for name, commit in found.items() if COMMIT.match(commit)}


def _packed_ref(git_dir: Path, name: str) -> str | None:
    """One of what may be tens of thousands, without taking them all apart."""
    packed = b"\n" + _packed(git_dir) + b"\n"
    end = packed.find(f" {name}\n".encode())
    line = packed[max(end - 41, 0) : end].decode("ascii", "replace")
    return line[1:] if line.startswith("\n") and COMMIT.match(line[1:]) else None


def _packed(git_dir: Path) -> bytes:
    return disk.read_inside(git_dir, ["packed-refs"], MAX_PACKED) or b""


def refs_below(git_dir: Path, prefix: str) -> dict[str, str]:
    """All refs below `prefix` (which ends in a slash) and their commit ids; only for git directories of ours."""
    found = packed_below(git_dir, prefix)
    top = git_dir / prefix
    for directory, _, files in os.walk(top):
        for file in files:
            name = (Path(directory) / file).relative_to(git_dir).as_posix()
            if not file.startswith(".") and not file.endswith(".lock") and (commit := read_ref(git_dir, name)):
                found[name] = commit
    return found


def write_ref(git_dir: Path, name: str, commit: str) -> None:
    """Writes a ref of a git directory of ours, as git does: a new file by way of `<name>.lock`."""
    if not COMMIT.match(commit) or not _is_plain(name):
        raise ValueError(f"not a ref or not a commit: {name!r} {commit!r}")
    path = git_dir / name
    disk.make_directory(path.parent)
    lock = path.with_name(f"{path.name}.lock")
    lock.unlink(missing_ok=True)  # these refs have one writer, so a lock that is there has lost its holder
    disk.write_whole(path, f"{commit}\n".encode(), draft=lock.name)


def remove_ref(git_dir: Path, name: str) -> None:
    """Takes a ref of ours away that was never packed; none is fine."""
    if not _is_plain(name):
        raise ValueError(f"not a ref: {name!r}")
    (git_dir / name).unlink(missing_ok=True)


def read_head(checkout: Path) -> str | None:
    """The commit that an agent's .git/HEAD leads to, by a branch or by itself; None when anything about it is odd."""
    head = disk.read_inside(checkout, [".git", "HEAD"], MAX_LOOSE)
    if head is None:
        return None
    text = head.decode("utf-8", "replace").strip()
    if not text.startswith("ref: refs/heads/"):
        return _commit(head)
    # .git itself must be no link either, so the way to the ref starts at the checkout.
    return read_ref(checkout / ".git", text.removeprefix("ref: ")) if disk.is_directory(checkout / ".git") else None


def foreign_objects_problem(checkout: Path, alternates: bytes) -> str | None:
    """Why the object store of an agent's .git must not be borrowed from, or None.

    It may hold nothing but files and directories of its own, and lead on to nothing but what we wrote: else objects of
    other orders and repositories could be read through it.
    """
    git = checkout / ".git"
    if not (disk.is_directory(checkout) and disk.is_directory(git) and disk.is_directory(git / "objects")):
        return "its object store is not a directory of its own"
    if disk.read_inside(git, ["objects", "info", "alternates"], MAX_LOOSE) != alternates:
        return "its object store was led elsewhere"
    waiting = [git / "objects"]
    while waiting:
        with os.scandir(waiting.pop()) as entries:
            for entry in entries:
                if entry.is_dir(follow_symlinks=False):
                    waiting.append(Path(entry.path))
                elif not entry.is_file(follow_symlinks=False):
                    return "its object store holds links or special files"
    return None


def ref_safe(label: str) -> str:
    """A label as the last word of a ref."""
    word = re.sub(r"[^A-Za-z0-9_-]+", "-", label).strip("-")[:80]
    return word or f"checkpoint-{secrets.token_hex(4)}"


def _is_plain(name: str) -> bool:
    return bool(_REF.match(name)) and not any(part in ("", ".", "..") for part in name.split("/"))


def _commit(data: bytes) -> str | None:
    text = data.decode("utf-8", "replace").strip()
    return text if COMMIT.match(text) else None
