"""Holds a lease while a run goes on, and interrupts the run when it is cancelled, lost or the server stops."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import timedelta
from enum import StrEnum
from typing import TypeVar

import anyio

from ..domain.errors import LostLease, StoreUnavailable
from ..domain.work_order import Claim, Renewal
from ..ports import Tools

T = TypeVar("T")

# Also how long a cancel on another server may take to be seen here.
RENEW_AT_MOST = timedelta(seconds=5)
# What a run may take, counted from the stop of the server, to end its processes, save its work and give its claim back.
LAST_WORDS_WITHIN = timedelta(seconds=7)


class Ending(StrEnum):
    """Why a run was interrupted."""

    CANCELLED = "cancelled"
    LOST = "lost"
    RELEASED = "released"


class Hold:
    """The run's right to go on. Work goes inside `scope`, which is cancelled when the right ends.

    What is to be written down afterwards goes inside `last_words`: a cancel does not reach it, a lost lease ends it,
    and a stop of the server sets it a deadline.
    """

    def __init__(self) -> None:
        self.scope = anyio.CancelScope()
        self.last_words = anyio.CancelScope(shield=True)
        # What the run tells is written down inside this. A lost lease ends it, though its token might still do.
        self.writing = anyio.CancelScope()
        self.ending: Ending | None = None
        # By the loop's clock: when the call was made that renewed the lease last.
        self.renewed_at = anyio.current_time()
        # What is done when somebody has written to the order.
        self.listen: Callable[[], None] = _nothing
        self._let_go = False

    def renewed(self, asked_at: float, renewal: Renewal) -> None:
        """The lease was renewed by a call made at `asked_at`."""
        self.renewed_at = max(asked_at, self.renewed_at)
        if renewal.cancel_requested and self.ending is None:
            self.end(Ending.CANCELLED)
        if renewal.messages:
            self.listen()

    def end(self, ending: Ending) -> None:
        if self._let_go:
            return
        # A lost lease overrules: then nothing may be written any more.
        if self.ending is None or ending is Ending.LOST:
            self.ending = ending
        self.scope.cancel()
        if ending is Ending.LOST:
            self.last_words.cancel()
            self.writing.cancel()
        elif ending is Ending.RELEASED:
            self.last_words.deadline = anyio.current_time() + LAST_WORDS_WITHIN.total_seconds()

    def stop_listening(self) -> None:
        """The run takes up nothing more that people write."""
        self.listen = _nothing

    def let_go(self) -> None:
        """The order has left the run by the run's own word: nothing can be lost any more."""
        self._let_go = True


def _nothing() -> None:
    pass


async def patiently(call: Callable[[], Awaitable[T]]) -> T:
    """A call to the store, repeated while the store is away. It is the lease that decides when that is too long."""
    pause = 0.2
    while True:
        try:
            return await call()
        except StoreUnavailable:
            await anyio.sleep(pause)
            pause = min(pause * 2, 5)


@asynccontextmanager
async def keep_lease(claim: Claim, tools: Tools, stopping: anyio.Event) -> AsyncIterator[Hold]:
    """Renews the claim's lease until the block is left, also while the block winds down after an interruption."""
    hold = Hold()
    if stopping.is_set():
        hold.end(Ending.RELEASED)  # at once: nothing of the run begins
    async with anyio.create_task_group() as group:
        group.start_soon(_renew, claim, tools, hold)
        group.start_soon(_release_when, stopping, hold)
        try:
            yield hold
        finally:
            group.cancel_scope.cancel()


async def _release_when(stopping: anyio.Event, hold: Hold) -> None:
    await stopping.wait()
    hold.end(Ending.RELEASED)


async def _renew(claim: Claim, tools: Tools, hold: Hold) -> None:
    lease = tools.limits().lease
    pause = min(lease / 3, RENEW_AT_MOST).total_seconds()
    # Others may take the order once the lease has run out: stop with a margin, not at the last moment.
    margin = lease.total_seconds() * 2 / 3
    while True:
        renewed_at = hold.renewed_at
        try:
            await _wait_for_cancel(claim, tools, renewed_at + pause)
            asked_at = anyio.current_time()
            if hold.renewed_at > renewed_at and asked_at >= renewed_at + pause:
                continue  # nobody woke us, and whatever was written meanwhile has renewed it too
            with anyio.fail_after(max(renewed_at + margin - asked_at, 1)):
                renewal = await tools.store.renew(claim, lease)
        except LostLease:
            return hold.end(Ending.LOST)
        except (StoreUnavailable, TimeoutError):
            if anyio.current_time() - hold.renewed_at >= margin:
                return hold.end(Ending.LOST)
            await anyio.sleep(min(pause, 1))
            continue
        hold.renewed(asked_at, renewal)
        if hold.ending is not None:
            await anyio.sleep(pause)  # the cancel that was seen would wake us at once, for ever


async def _wait_for_cancel(claim: Claim, tools: Tools, until: float) -> None:
    at_most = timedelta(seconds=max(until - anyio.current_time(), 0))
    await tools.store.wait_for_cancel(claim.order_id, at_most)
