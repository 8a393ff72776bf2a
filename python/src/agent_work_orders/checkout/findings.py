"""Which directories on a volume are ours: by the grammar of their names and by marks that we left in them.

A link is never ours, whatever its name. Reads names and marks only.
"""

import os
import re
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from ..domain.retention import Kind
from . import disk, refs

ORDER_NAME = re.compile(r"wo-[0-9a-f]{16}\Z")
NOT_OURS = "it does not look like ours"
_ORDER_FILES = frozenset({"prompts", "outputs", "run", "home", "metadata.json"})


@dataclass(frozen=True)
class Place:
    """Where something of ours lies. `used_at` is what the disk says, in seconds since 1970. `mirror` is what a
    checkout was made of."""

    kind: Kind
    name: str
    path: Path
    used_at: float
    in_use: str | None = None
    mirror: str | None = None


class Finder:
    """One look at a volume; `problems` are what could not be read. All calls block."""

    def __init__(self, repositories: Path, work_orders: Path) -> None:
        self._repositories, self._work_orders = repositories, work_orders
        self.problems: list[str] = []
        # Mirrors by the orders of which they hold something.
        self.remembering: dict[str, list[Path]] = {}

    def places(self) -> list[Place]:
        remembered: dict[str, float] = {}
        found = list(self._mirrors(remembered))
        found += self._checkouts(remembered)
        found += self._artifacts()
        found += [Place(Kind.ORDER, name, self._repositories / ".none", at) for name, at in remembered.items()]
        for kind, folder in ((Kind.PREPARED, ".ready"), (Kind.CACHE, ".setup")):
            found += self._made_beforehand(kind, self._repositories / folder)
        return found

    def _mirrors(self, remembered: dict[str, float]) -> Iterator[Place]:
        folder = self._repositories / ".mirrors"
        for entry in self._entries(folder):
            if entry.name.endswith(".git") and not entry.name.startswith("."):
                path = Path(entry.path)
                orders = orders_in(path)
                for order_id, at in orders.items():
                    remembered[order_id] = max(at, remembered.get(order_id, 0.0))
                    self.remembering.setdefault(order_id, []).append(path)
                used_at = max(_at(path), _at(path / "awo"), _at(path / "awo" / "fetched.json"))
                yield Place(Kind.MIRROR, entry.name, path, used_at, "orders have work in it" if orders else None)
            elif entry.name.startswith(".") and entry.name.endswith(".tmp"):
                yield Place(Kind.LEFTOVER, entry.name, Path(entry.path), _at(Path(entry.path)))

    def _checkouts(self, remembered: dict[str, float]) -> Iterator[Place]:
        for entry in self._entries(self._repositories):
            if ORDER_NAME.match(entry.name):
                path = Path(entry.path)
                inner = [Path(one.path) for one in self._entries(path)]
                mirror = self._mirror_of(inner[0]) if len(inner) == 1 else None
                ours = entry.name in remembered or mirror is not None
                used_at = max([_at(path), *map(_at, inner), remembered.get(entry.name, 0.0)])
                yield Place(Kind.CHECKOUT, entry.name, path, used_at, None if ours else NOT_OURS, mirror)

    def _mirror_of(self, checkout: Path) -> str | None:
        """The mirror of ours that a checkout borrows its objects from."""
        parts = [".git", "objects", "info", "alternates"]
        lent = (disk.read_inside(checkout, parts, refs.MAX_LOOSE) or b"").decode("utf-8", "replace")
        ours = re.escape(f"{self._repositories}/.mirrors/")
        found = re.match(rf"{ours}([^/\n]+\.git)/objects$", lent, re.MULTILINE)
        return found.group(1) if found else None

    def _artifacts(self) -> Iterator[Place]:
        for entry in self._entries(self._work_orders):
            if ORDER_NAME.match(entry.name):
                path = Path(entry.path)
                inside = self._names(path)
                ours = "metadata.json" in inside and disk.read_inside(path, ["metadata.json"], 1 << 26) is not None
                ours = ours or (bool(inside) and inside <= _ORDER_FILES)
                used_at = max(_at(path), *(_at(path / name) for name in (*inside, "metadata.json")))
                yield Place(Kind.ARTIFACTS, entry.name, path, used_at, None if ours else NOT_OURS)

    def _made_beforehand(self, kind: Kind, folder: Path) -> Iterator[Place]:
        for mirror in self._entries(folder):
            for name in self._names(Path(mirror.path)):
                path = Path(mirror.path, name)
                yield Place(kind, f"{mirror.name}/{name}", path, _at(path))

    def _entries(self, folder: Path) -> list[os.DirEntry[str]]:
        """Directories themselves, no links to any."""
        try:
            with os.scandir(folder) as entries:
                return sorted((one for one in entries if one.is_dir(follow_symlinks=False)), key=lambda one: one.name)
        except FileNotFoundError:
            return []
        except OSError as error:
            self.problems.append(f"{folder} cannot be read: {error.strerror}.")
            return []

    def _names(self, folder: Path) -> set[str]:
        try:
            return set(os.listdir(folder))  # noqa: PTH208 - names alone are wanted
        except OSError:
            return set()


def orders_in(mirror: Path) -> dict[str, float]:
    """Orders that a mirror has refs or notes of, and when they were last written."""
    found: dict[str, float] = {}
    for folder in (mirror / "awo", mirror / "refs" / "awo"):
        try:
            with os.scandir(folder) as entries:
                for entry in entries:
                    if ORDER_NAME.match(entry.name) and entry.is_dir(follow_symlinks=False):
                        at = max(_at(Path(entry.path)), _at(Path(entry.path, "state.json")))
                        found[entry.name] = max(at, found.get(entry.name, 0.0))
        except (FileNotFoundError, NotADirectoryError):
            continue
    for name in refs.packed_below(mirror, "refs/awo/"):
        if ORDER_NAME.match(order_id := name.split("/")[2]):
            found.setdefault(order_id, _at(mirror / "packed-refs"))
    return found


def _at(path: Path) -> float:
    """When it was last written to; 0 for what is not there, or is no file and no directory itself."""
    try:
        found = path.lstat()
    except OSError:
        return 0.0
    return found.st_mtime if stat.S_ISDIR(found.st_mode) or stat.S_ISREG(found.st_mode) else 0.0
