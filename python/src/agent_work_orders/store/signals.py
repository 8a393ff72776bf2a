"""Who waits in this process for what a commit brings. Knows nothing of other processes: every wait has an end."""

from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta

import anyio

from .transaction import News


class Bell:
    """Wakes all who took the ticket before it rang."""

    def __init__(self) -> None:
        self.listeners = 0
        self._ticket = anyio.Event()

    def ring(self) -> None:
        self._ticket.set()
        self._ticket = anyio.Event()

    async def listen(self, at_most: timedelta, is_there: Callable[[], Awaitable[bool]]) -> None:
        """Returns when it is there already, when the bell rings, or after `at_most`.

        The ticket is taken before the look: what comes in between rings it.
        """
        ticket = self._ticket
        if await is_there():
            return
        with anyio.move_on_after(at_most.total_seconds()):
            await ticket.wait()


class Signals:
    """Bells for work, for changes, and for each order's events and cancellation."""

    def __init__(self) -> None:
        self.rev = 0
        self._work, self._change = Bell(), Bell()
        self._events: dict[str, Bell] = {}
        self._cancels: dict[str, Bell] = {}
        # Orders that this process gave out, that nobody has waited for since, and of whose cancellation it has not
        # heard: of these the first wait need not look.
        self._undisturbed: set[str] = set()
        # Work is a count and not a flag: a claim that found nothing only speaks for what there was when it began.
        self.work_seen = 0
        self._work_tried = -1

    def hear(self, news: News) -> None:
        if news.rev > self.rev:
            self.rev = news.rev
            self._change.ring()
        if news.work:
            self.work_seen += 1
            self._work.ring()
        for order_id in news.events:
            if order_id in self._events:
                self._events[order_id].ring()
        self._undisturbed |= news.claims
        self._undisturbed -= news.cancels | news.deleted
        for order_id in news.cancels:
            if order_id in self._cancels:
                self._cancels[order_id].ring()

    def found_no_work(self, as_of: int) -> None:
        """A claim that began when `work_seen` was `as_of` came back empty."""
        self._work_tried = max(self._work_tried, as_of)

    async def wait_for_work(self, at_most: timedelta) -> None:
        async def is_there() -> bool:
            return self.work_seen > self._work_tried

        await self._work.listen(at_most, is_there)

    async def wait_for_change(self, after_rev: int, at_most: timedelta) -> None:
        async def is_there() -> bool:
            return self.rev > after_rev

        await self._change.listen(at_most, is_there)

    async def wait_for_events(self, order_id: str, at_most: timedelta, is_there: Callable[[], Awaitable[bool]]) -> None:
        with _bell(self._events, order_id) as bell:
            await bell.listen(at_most, is_there)

    async def wait_for_cancel(self, order_id: str, at_most: timedelta, is_there: Callable[[], Awaitable[bool]]) -> None:
        undisturbed = order_id in self._undisturbed
        self._undisturbed.discard(order_id)
        with _bell(self._cancels, order_id) as bell:
            await bell.listen(at_most, _no if undisturbed else is_there)


async def _no() -> bool:
    return False


@contextmanager
def _bell(bells: dict[str, Bell], order_id: str) -> Iterator[Bell]:
    """The order's bell, which exists as long as somebody listens."""
    bell = bells.setdefault(order_id, Bell())
    bell.listeners += 1
    try:
        yield bell
    finally:
        bell.listeners -= 1
        if bell.listeners == 0:
            del bells[order_id]
