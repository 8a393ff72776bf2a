"""Who waits in this process for what another server may bring, and one look in a second for all of them together.

Nobody waits: nobody looks. Knows no table.
"""

from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta

import anyio

from ..domain.errors import StoreUnavailable

LOOK_EVERY = timedelta(seconds=1)


@dataclass(eq=False)
class Waiting:
    """One who waits: for an order's journal to go beyond `after_seq`, for its cancellation, or for any change."""

    order_id: str | None = None
    after_seq: int | None = None


@dataclass(frozen=True)
class Seen:
    """What a look found: the newest rev, and of each order its journal's end and whether its cancel was asked for."""

    rev: int
    orders: dict[str, tuple[int, bool]] = field(default_factory=dict)


class Lookout:
    """Runs `look` for the orders that somebody waits for and hands what it saw to `tell`."""

    def __init__(self, look: Callable[[list[str]], Awaitable[Seen]], tell: Callable[[Seen, set[str]], None]) -> None:
        self._look, self._tell = look, tell
        self._waiting: set[Waiting] = set()
        self._somebody = anyio.Event()

    @contextmanager
    def waiting(self, waiting: Waiting) -> Iterator[None]:
        self._waiting.add(waiting)
        self._somebody.set()
        try:
            yield
        finally:
            self._waiting.discard(waiting)

    async def run(self) -> None:
        while True:
            await self._somebody.wait()
            await anyio.sleep(LOOK_EVERY.total_seconds())
            if not self._waiting:
                self._somebody = anyio.Event()
                continue
            await self._look_once()

    async def _look_once(self) -> None:
        try:
            seen = await self._look(sorted({one.order_id for one in self._waiting if one.order_id is not None}))
        except StoreUnavailable:
            return  # who waits hears nothing, and asks again in its own time
        grown = {
            one.order_id
            for one in self._waiting
            if one.order_id is not None
            and one.after_seq is not None
            and seen.orders.get(one.order_id, (0, False))[0] > one.after_seq
        }
        self._tell(seen, grown)
