"""Git LFS: large files fetched by the server with its git-lfs, and put where a checkout has only their pointers.

They are content to read: what an order does to one stays out of its commits, and that is said.
"""

import fcntl
import os
import re
import secrets
import shutil
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

from anyio.to_thread import run_sync

from ..domain.errors import FailureClass, StepFailed
from . import disk
from .child import Progress
from .git import Git, Remote
from .git_dir import Owner
from .mirror import Mirror

_POINTER = re.compile(
    rb"version https://git-lfs\.github\.com/spec/v1\n(?:[^\n]+\n)*?oid sha256:([0-9a-f]{64})\nsize (\d{1,18})\n"
)
_MAX_POINTER = 1024
_FICLONE = 0x40049409  # shares the blocks of two files, where the file system can
# More names than this are not worth a command line: everything of the commit is fetched instead.
_MAX_NAMED = 200
_PLAIN = re.compile(r"[A-Za-z0-9._/ @+-]+\Z")


@dataclass(frozen=True)
class Stamp:
    """What a file looked like when it was put there: bytes, and its time of change in nanoseconds."""

    size: int
    changed_at: int

    @classmethod
    def of(cls, path: Path) -> "Stamp | None":
        try:
            found = path.lstat()
        except OSError:
            return None
        return cls(found.st_size, found.st_mtime_ns)


async def fetch(
    git: Git,
    mirror: Mirror,
    remote: Remote,
    commit: str,
    root: Path,
    owner: Owner,
    progress: Progress,
    limit: timedelta,
) -> dict[str, Stamp]:
    """Replaces the pointers in a checkout that nobody has had yet; what each file looks like then, by path.

    Both git's index and the server's copy of it take these files for unchanged from here on.
    """
    pointers = await _pointers(git, mirror, root)
    if not pointers:
        return {}
    if shutil.which("git-lfs") is None:
        raise StepFailed(
            FailureClass.POLICY,
            "Git LFS is switched on for this repository, but git-lfs is not installed on the server.",
            next_action="Install git-lfs on the server, or switch LFS off in the settings of this repository.",
        )
    store = mirror.path / "lfs" / "objects"
    missing = sorted(path for path, oid in pointers.items() if not _object(store, oid).is_file())
    if missing:
        named = len(missing) <= _MAX_NAMED and all(_PLAIN.match(path) for path in missing)
        await git.run(
            "lfs", "fetch", *([f"--include={','.join(missing)}", "--exclude="] if named else []), "origin", commit,
            git_dir=mirror.path, remote=remote, progress=progress, limit=limit,
            # Said here, so that no .lfsconfig of the repository can lead elsewhere.
            settings={
                "remote.origin.url": remote.url,
                "lfs.url": f"{remote.url}.git/info/lfs",
                "lfs.basictransfersonly": "true",
                "lfs.activitytimeout": "60",
            },
        )  # fmt: skip
    stamps = await run_sync(_put_in_place, root, {path: _object(store, oid) for path, oid in pointers.items()}, owner)
    await git.run(
        "update-index", "--assume-unchanged", "-z", "--stdin",
        git_dir=mirror.path, work_tree=root, index=root / ".git" / "index", as_agent=True,
        stdin=b"".join(os.fsencode(path) + b"\0" for path in sorted(stamps)),
    )  # fmt: skip
    return stamps


async def _pointers(git: Git, mirror: Mirror, root: Path) -> dict[str, str]:
    """Which files on disk stand for others, by path; only those that the repository's attributes name."""
    index = root / ".git" / "index"
    entries = (await git.run("ls-files", "-z", "-t", git_dir=mirror.path, index=index)).stdout.split(b"\0")
    paths = b"".join(entry[2:] + b"\0" for entry in entries if entry.startswith(b"H "))
    words = ("check-attr", "--cached", "-z", "--stdin", "filter")
    said = (await git.run(*words, git_dir=mirror.path, index=index, stdin=paths)).stdout.split(b"\0")
    named = [os.fsdecode(path) for path, value in zip(said[::3], said[2::3], strict=False) if value == b"lfs"]

    def read() -> dict[str, str]:
        contents = ((path, disk.read_inside(root, path.split("/"), _MAX_POINTER) or b"") for path in named)
        return {path: found[1].decode() for path, text in contents if (found := _POINTER.fullmatch(text))}

    return await run_sync(read)


def _object(store: Path, oid: str) -> Path:
    return store / oid[:2] / oid[2:4] / oid


def _put_in_place(root: Path, objects: dict[str, Path], owner: Owner) -> dict[str, Stamp]:
    """Over the pointers: the checkout is as git made it, so nothing in it is a link that git did not check."""
    stamps = {}
    for path, source in objects.items():
        target = root / path
        draft = target.with_name(f".{secrets.token_hex(8)}")
        mode = target.lstat().st_mode & 0o777
        with source.open("rb") as content, draft.open("xb") as file:
            os.fchmod(file.fileno(), mode)
            if owner:
                os.fchown(file.fileno(), *owner)
            try:
                fcntl.ioctl(file.fileno(), _FICLONE, content.fileno())
            except OSError:
                shutil.copyfileobj(content, file, 1 << 20)
        draft.rename(target)
        if stamp := Stamp.of(target):
            stamps[path] = stamp
    return stamps
