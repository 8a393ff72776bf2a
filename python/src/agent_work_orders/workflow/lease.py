"""Holds a lease while a run goes on, and interrupts the run when it is cancelled, lost or the server stops."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from enum import StrEnum

import anyio

from ..domain.errors import LostLease, StoreUnavailable
from ..domain.work_order import Claim
from ..ports import Tools

# Also how long a cancel on another server may take to be seen here.
RENEW_AT_MOST = timedelta(seconds=5)


class Ending(StrEnum):
    """Why a run was interrupted."""

    CANCELLED = "cancelled"
    LOST = "lost"
    RELEASED = "released"


class Hold:
    """The run's right to go on. Work goes inside `scope`, which is cancelled when the right ends."""

    def __init__(self) -> None:
        self.scope = anyio.CancelScope()
        self.ending: Ending | None = None

    def end(self, ending: Ending) -> None:
        # A lost lease overrules: then nothing may be written any more.
        if self.ending is None or ending is Ending.LOST:
            self.ending = ending
        self.scope.cancel()


@asynccontextmanager
async def keep_lease(claim: Claim, tools: Tools, stopping: anyio.Event) -> AsyncIterator[Hold]:
    """Renews the claim's lease until the block is left, also while the block winds down after an interruption."""
    hold = Hold()
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
    pause = min(lease / 3, RENEW_AT_MOST)
    renewed_at = anyio.current_time()
    while True:
        await tools.store.wait_for_cancel(claim.order_id, pause)
        asked_at = anyio.current_time()
        try:
            renewal = await tools.store.renew(claim, lease)
        except LostLease:
            return hold.end(Ending.LOST)
        except StoreUnavailable:
            # Others may take the order once the lease has run out: stop with a margin, not at the last moment.
            if asked_at - renewed_at > lease.total_seconds() * 2 / 3:
                return hold.end(Ending.LOST)
            await anyio.sleep(min(pause.total_seconds(), 1))
            continue
        renewed_at = asked_at
        if renewal.cancel_requested and hold.ending is None:
            hold.end(Ending.CANCELLED)
        if hold.ending is not None:
            await anyio.sleep(pause.total_seconds())  # the cancel that was seen would wake us at once, for ever
