"""Events that are not in the store yet, in order: in memory, and while the store is away on the disk. Knows no store.

One file of JSON lines: the oldest events are in it, the newest in memory. A last line without its end was being written
when everything stopped, and is passed over. What is in the file when its run dies stays there for people.
"""

import json
import logging
import os
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import suppress
from itertools import islice
from pathlib import Path
from typing import TypeVar

import anyio
from anyio import to_thread

from ..domain.events import Draft

logger = logging.getLogger("archon.awo")

# The file of one run grows to this at most; until the store has taken all of it, nothing of it is given back.
MOST_BYTES = 64 << 20
# A batch of long events is cut before it has the most events: the store must take it in one request.
BATCH_BYTES = 1 << 20
_PAYLOAD = b',"payload":'

Clean = Callable[[list[Draft]], list[Draft]]
T = TypeVar("T")


class Spool:
    """A queue of events. `clean` takes the secrets out of what goes to the disk."""

    def __init__(self, path: Path, clean: Clean) -> None:
        self._path, self._clean = path, clean
        self._memory: deque[Draft] = deque()
        self._on_disk = self._read_to = self._written_to = 0
        self._lock = anyio.Lock()
        self._complained = False
        self.bytes_in_memory = 0

    def __len__(self) -> int:
        return self._on_disk + len(self._memory)

    @property
    def in_memory(self) -> int:
        return len(self._memory)

    def add(self, draft: Draft) -> None:
        self._memory.append(draft)
        self.bytes_in_memory += len(draft.payload)

    async def first(self, most: int) -> list[Draft]:
        """The oldest events, at most `most`, and no more than a request should carry. They stay until `drop`."""
        async with self._lock:
            if self._on_disk:
                lines = await to_thread.run_sync(self._read, min(most, self._on_disk))
                return [_draft_of(line) for line in lines]
            return list(_within(islice(self._memory, most), lambda draft: len(draft.payload)))

    async def drop(self, count: int) -> None:
        """Forgets the oldest: the store has them. With the last of them the file goes."""
        async with self._lock:
            from_disk = min(count, self._on_disk)
            if from_disk:
                await to_thread.run_sync(self._skip, from_disk)
            for _ in range(count - from_disk):
                self.bytes_in_memory -= len(self._memory.popleft().payload)

    async def spill(self, next_seq: int, most: int) -> bool:
        """Moves at most `most` from memory to the disk; False when there was nothing, or the disk takes no more.

        `next_seq` is the number that the oldest event of all will have.
        """
        async with self._lock:
            drafts = self._clean(list(islice(self._memory, most)))
            try:
                taken = await to_thread.run_sync(self._write, drafts, next_seq + self._on_disk) if drafts else 0
            except OSError as error:
                self._complain(error)
                return False
            self._on_disk += taken
            for _ in range(taken):
                self.bytes_in_memory -= len(self._memory.popleft().payload)
            return taken > 0

    def _complain(self, error: OSError) -> None:
        if not self._complained:
            logger.warning("Events wait in memory alone, %s cannot be written: %s", self._path, error.strerror)
        self._complained = True

    # --- in a thread ---

    def _write(self, drafts: list[Draft], seq: int) -> int:
        lines: list[bytes] = []
        end = self._written_to
        for number, draft in enumerate(drafts, seq):
            line = _line_of(number, draft)
            if end + len(line) > MOST_BYTES:
                break
            lines.append(line)
            end += len(line)
        if lines:
            self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            with os.fdopen(os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW, 0o600), "wb") as file:
                # Over what a write that failed half-way has left. Not synced: this is for a database that is away and a
                # server that dies, not for a machine that does.
                file.truncate(self._written_to)
                file.seek(self._written_to)
                file.write(b"".join(lines))
            self._written_to = end
        return len(lines)

    def _read(self, most: int) -> list[bytes]:
        with self._path.open("rb") as file:
            file.seek(self._read_to)
            return list(_within(islice(file, most), len))

    def _skip(self, count: int) -> None:
        with self._path.open("rb") as file:
            file.seek(self._read_to)
            self._read_to += sum(len(line) for line in islice(file, count))
        self._on_disk -= count
        if self._on_disk == 0:
            self._read_to = self._written_to = 0
            self._path.unlink()
            with suppress(OSError):  # somebody else has put something beside it
                self._path.parent.rmdir()


def _within(items: Iterator[T], size: Callable[[T], int]) -> Iterator[T]:
    """The first of them that go into a batch together, one at least."""
    total = 0
    for number, item in enumerate(items):
        total += size(item)
        if number and total > BATCH_BYTES:
            return
        yield item


def _line_of(seq: int, draft: Draft) -> bytes:
    head = json.dumps({"seq": seq, "kind": draft.kind, "step_order": draft.step_order}, separators=(",", ":"))
    # To the letter, a lone surrogate too: what is read back is what was told.
    return head[:-1].encode() + _PAYLOAD + draft.payload.encode("utf-8", "surrogatepass") + b"}\n"


def _draft_of(line: bytes) -> Draft:
    head, _, payload = line.partition(_PAYLOAD)
    said = json.loads(head + b"}")
    return Draft(said["kind"], payload[:-2].decode("utf-8", "surrogatepass"), said["step_order"])
