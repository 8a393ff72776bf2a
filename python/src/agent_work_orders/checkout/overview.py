"""Mirrors as people see them: how large, how fresh, and for how many orders. Changes nothing."""

import os
import time
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

from ..ports import MirrorView
from . import removal
from .mirror import ORDER_ID, Mirror

# Sizes move slowly, and a walk through a mirror with many loose objects takes a while.
SIZE_FOR = 60.0
MEASURE_WITHIN = 2.0


class Overview:
    """Remembers sizes for a minute. All calls block."""

    def __init__(self) -> None:
        self._sizes: dict[Path, tuple[float, int]] = {}

    def views(self, mirrors: Iterable[tuple[str, Mirror]]) -> list[MirrorView]:
        """Of those that are there, with the key of each one's repository."""
        return list(self._views(mirrors))

    def _views(self, mirrors: Iterable[tuple[str, Mirror]]) -> Iterator[MirrorView]:
        for key, mirror in mirrors:
            if not mirror.path.is_dir():
                self._sizes.pop(mirror.path, None)
                continue
            fetched = mirror.fresh(timedelta.max, 0.0)
            yield MirrorView(
                repository_key=key,
                size_bytes=self._size_of(mirror.path),
                last_fetched_at=datetime.fromtimestamp(fetched.at, UTC) if fetched else None,
                orders=_orders(mirror.path / "awo"),
            )

    def _size_of(self, path: Path) -> int:
        measured_at, size = self._sizes.get(path, (float("-inf"), 0))
        if time.monotonic() - measured_at > SIZE_FOR:
            size = removal.size_of(path, MEASURE_WITHIN)
            self._sizes[path] = (time.monotonic(), size)
        return size


def _orders(folder: Path) -> int:
    try:
        with os.scandir(folder) as entries:
            return sum(
                entry.is_dir(follow_symlinks=False) and ORDER_ID.match(entry.name) is not None for entry in entries
            )
    except OSError:
        return 0
