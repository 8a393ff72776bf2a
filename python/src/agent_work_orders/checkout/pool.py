"""Checkouts that are there before they are needed: made in the background, handed over by renaming.

An entry is `.ready/<mirror>/<random>/` with the working tree, the server's index of it, and, written last, its mark.
What has no mark is a draft of a living process or of a dead one, and is never used. Anybody may delete any of it.
"""

import json
import os
import secrets
import time
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from shutil import disk_usage

from . import disk
from .git_dir import new_root
from .mirror import Mirror
from .server_index import copy_index

# No repository can be called like these.
MARK, TREE, INDEX = "+ready.json", "+tree", "+index"
# Drafts older than this were left by a process that died.
DRAFT_AGE = 3600.0
KEPT_FREE = 1 << 30  # bytes; and a twentieth of the volume


@dataclass(frozen=True)
class Ready:
    """What a mark says: the commit that is checked out, of which making of the mirror, and whose set-up is in it."""

    commit: str
    generation: str
    set_up: str = ""
    hidden: tuple[str, ...] = ()


class Pool:
    """The prepared checkouts on a volume. All calls block."""

    def __init__(self, directory: Path, trash: Path) -> None:
        self._directory, self._trash = directory, trash

    def entries(self, mirror: Mirror) -> list[tuple[Path, Ready]]:
        """Those that can be used, newest first."""
        generation = generation_of(mirror)
        found = []
        for path in self._below(mirror):
            ready = _mark(path)
            if ready is not None and ready.generation == generation:
                found.append((path, ready))
        return sorted(found, key=lambda entry: entry[0].name, reverse=True)

    def take(self, mirror: Mirror, commit: str, set_up: str, order_directory: Path) -> Ready | None:
        """Makes the best entry the order's directory, in one rename: whoever comes second does not find it any more.

        One of this commit if there is one, else of another; with this set-up in it, or with none.
        """
        fitting = [(path, ready) for path, ready in self.entries(mirror) if ready.set_up in ("", set_up)]
        fitting.sort(key=lambda entry: (entry[1].commit != commit, entry[1].set_up != set_up))
        for path, ready in fitting:
            with suppress(FileNotFoundError):  # another server was faster
                path.rename(order_directory)
                (order_directory / MARK).unlink()
                return ready
        return None

    def add(self, mirror: Mirror, tree: Path, commit: str) -> None:
        """Makes an entry of a working tree of the server's own, whose .git is nothing but its index."""
        draft = self.draft(mirror)
        tree.rename(draft / TREE)
        new_root(draft / TREE, None)
        copy_index(draft / TREE, draft / INDEX)
        self.finish(draft, Ready(commit, generation_of(mirror)))

    def draft(self, mirror: Mirror) -> Path:
        """A place for a new entry. Names sort by age."""
        place = self._directory / mirror.name
        disk.make_directory(place.parent, 0o711)
        disk.make_directory(place, 0o711)
        draft = place / f"{time.time_ns():020x}-{secrets.token_hex(8)}"
        disk.make_directory(draft, 0o711)
        return draft

    def reopen(self, mirror: Mirror, commit: str, set_up: str) -> tuple[Path, Ready] | None:
        """An entry that is out of date, as a draft again, so that it can be brought up to date."""
        for path, ready in reversed(self.entries(mirror)):
            if (ready.commit, ready.set_up) == (commit, set_up) or ready.set_up not in ("", set_up):
                continue
            draft = self.draft(mirror)
            draft.rmdir()
            with suppress(FileNotFoundError):
                path.rename(draft)
                (draft / MARK).unlink()
                return draft, ready
        return None

    def finish(self, draft: Path, ready: Ready) -> None:
        """Its mark, which makes it one that can be used."""
        disk.write_whole(draft / MARK, json.dumps(asdict(ready)).encode(), 0o600)

    def drop(self, path: Path) -> None:
        """Out of the way at once; deleted by whoever empties the trash."""
        disk.set_aside(path, self._trash)

    def drop_unfit(self, mirror: Mirror, commit: str, set_up: str, keep: int) -> None:
        """All that nobody will ask for: more than `keep`, of another commit or making, and drafts of dead processes."""
        kept = 0
        useful = {path for path, ready in self.entries(mirror) if (ready.commit, ready.set_up) == (commit, set_up)}
        for path in sorted(self._below(mirror), reverse=True):
            kept += path in useful
            is_draft = _mark(path) is None
            if (is_draft and not _is_old(path)) or (path in useful and kept <= keep):
                continue
            with suppress(FileNotFoundError):
                self.drop(path)

    def has_room(self) -> bool:
        """Whether the volume can spare the space: what is made beforehand must not be what fills it."""
        free = disk_usage(self._directory.parent)
        volume = os.statvfs(self._directory.parent)
        enough = free.free >= max(KEPT_FREE, free.total // 20)
        return enough and (volume.f_files == 0 or volume.f_favail >= volume.f_files // 20)

    def _below(self, mirror: Mirror) -> list[Path]:
        try:
            return [path for path in (self._directory / mirror.name).iterdir() if disk.is_directory(path)]
        except (FileNotFoundError, NotADirectoryError):
            return []


def generation_of(mirror: Mirror) -> str:
    """A word that a mirror keeps as long as it is the same: one that is cloned anew has another."""
    known = disk.read_inside(mirror.path, ["awo", "generation"], 100)
    if known:
        return known.decode("ascii", "replace")
    disk.make_directory(mirror.path / "awo")
    path, mine = mirror.path / "awo" / "generation", secrets.token_hex(8)
    with suppress(FileExistsError):
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o644)
        with os.fdopen(descriptor, "w") as file:
            file.write(mine)
        return mine
    return (disk.read_inside(mirror.path, ["awo", "generation"], 100) or b"").decode("ascii", "replace")


def _mark(path: Path) -> Ready | None:
    data = disk.read_inside(path, [MARK], 1 << 20)
    try:
        said = json.loads(data) if data else None
        return Ready(**{**said, "hidden": tuple(said["hidden"])}) if said else None
    except (ValueError, TypeError, KeyError):
        return None


def _is_old(path: Path) -> bool:
    try:
        return time.time() - path.stat().st_mtime > DRAFT_AGE
    except FileNotFoundError:
        return False
