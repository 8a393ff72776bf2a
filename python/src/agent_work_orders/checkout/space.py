"""How much room a volume has, and whether there is enough for one more checkout. Knows nothing of git or of orders."""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path

from ..domain.errors import MustWait
from ..domain.retention import MB, Marks, Pressure, Space
from ..domain.status import WaitingReason
from ..domain.work_order import utc_now

# Clean-up lets waiting orders go on as soon as there is room; this is for a server that never comes to it.
LOOK_AGAIN_AFTER = timedelta(minutes=10)


def space_of(folder: Path) -> Space:
    """The volume that a folder lies on, as the server's user may use it; of a folder to come, its nearest parent's."""
    for place in (folder, *folder.parents):
        try:
            found = os.statvfs(place)
        except FileNotFoundError:
            continue
        block = found.f_frsize or found.f_bsize
        return Space(found.f_blocks * block, found.f_bavail * block, found.f_files, found.f_favail)
    raise FileNotFoundError(folder)


class Room:
    """The room on one volume. What is promised to checkouts that are being made counts as used."""

    def __init__(self, folder: Path, marks: Callable[[], Marks]) -> None:
        self._folder, self._marks = folder, marks
        self._promised = 0
        # What those need that were turned away, by order: they are called back when there is so much.
        self.wanted: dict[str, int] = {}
        # Bytes of a checkout of each mirror, by the mirror's file name: clean-up measures them.
        self.learned: dict[str, int] = {}

    def space(self) -> Space:
        return space_of(self._folder)

    def pressure(self) -> Pressure:
        return self.space().pressure(self._marks(), self._promised)

    def has_room_for(self, order_id: str) -> bool:
        """Whether an order that waits for room may try again."""
        marks = self._marks()
        # What nobody told us of waits for more than the bare limit, or it would come and go all the time.
        needed = self.wanted.get(order_id, (marks.low_bytes - marks.min_free_bytes) // 2)
        return self.space().pressure(marks, self._promised + needed) is not Pressure.FULL

    def estimate(self, mirror: Path) -> int:
        """About how large a checkout of this mirror gets: as the last one did, else as its packs; 0 if nobody knows."""
        known = self.learned.get(mirror.name)
        if known is not None:
            return known
        try:
            with os.scandir(mirror / "objects" / "pack") as packs:
                return sum(one.stat(follow_symlinks=False).st_size for one in packs if one.name.endswith(".pack"))
        except OSError:
            return 0

    def holds(self, needed: int, space: Space) -> bool:
        """Whether `space` is enough for about `needed` bytes more, beside what others were promised."""
        return space.pressure(self._marks(), self._promised + needed) is not Pressure.FULL

    @contextmanager
    def promised(self, order_id: str, needed: int, space: Space) -> Iterator[None]:
        """Room for about `needed` bytes more while the block lasts; MustWait (disk) when `space` is not so much."""
        marks = self._marks()
        if not self.holds(needed, space):
            self.wanted[order_id] = needed
            raise MustWait(
                WaitingReason.DISK,
                _sentence(space, marks, self._promised + needed),
                until=utc_now() + LOOK_AGAIN_AFTER,
                next_action=f"Make room on the volume of {self._folder} (POST /api/awo/cleanup says what could go), or "
                "lower AWO_DISK_MIN_FREE_GB; the order then goes on by itself.",
            )
        self.wanted.pop(order_id, None)
        self._promised += needed
        try:
            yield
        finally:
            self._promised -= needed


def _sentence(space: Space, marks: Marks, needed: int) -> str:
    if space.free_bytes - needed >= marks.min_free_bytes:
        return f"The volume has room for only {space.free_files:,} more files."
    more = f", a checkout needs about {needed / MB:,.0f} MB" if needed else ""
    return (
        f"The disk is nearly full: {space.free_bytes / MB:,.0f} MB are free{more}, "
        f"and {marks.min_free_bytes / MB:,.0f} MB have to stay free."
    )
