"""Whole lines of a file that is still being written. Knows nothing of what they say."""

import os
from collections import deque
from contextlib import AbstractContextManager
from pathlib import Path

_CHUNK = 256 * 1024
_LONGEST_LINE = 64 * 1024 * 1024
_KEPT_OF_LONGER = 16 * 1024


class LineTail(AbstractContextManager["LineTail", None]):
    """Reads on where it stopped; what was read but not taken is kept. Memory is bounded by the longest line."""

    def __init__(self, path: Path) -> None:
        self._file = path.open("rb", buffering=0)
        self._taken = 0  # bytes
        self._ready: deque[bytes] = deque()
        self._begun: list[bytes] = []
        self._begun_bytes = 0

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def next_line(self) -> bytes | None:
        """Without its line end; None when no whole line is there yet. A line beyond all reason is cut."""
        while not self._ready:
            chunk = self._file.read(_CHUNK)
            if not chunk:
                return None
            self._taken += len(chunk)
            self._split(chunk)
        return self._ready.popleft()

    def has_more(self) -> bool:
        """Whether something was written since the last look for a line."""
        return os.fstat(self._file.fileno()).st_size > self._taken

    def unfinished(self) -> bytes:
        """What stands after the last line end."""
        return b"".join(self._begun)

    def _split(self, chunk: bytes) -> None:
        first, *others = chunk.split(b"\n")
        self._begin(first)
        if others:
            self._ready.append(self.unfinished())
            self._begun, self._begun_bytes = [], 0
            self._ready.extend(others[:-1])
            self._begin(others[-1])

    def _begin(self, part: bytes) -> None:
        if self._begun_bytes > _LONGEST_LINE:
            self._begun = [self.unfinished()[:_KEPT_OF_LONGER]]
            return
        self._begun.append(part)
        self._begun_bytes += len(part)
