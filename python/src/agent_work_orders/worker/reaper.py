"""Takes back the orders of workers that went silent: an expired lease, or a process of this machine that is gone."""

import logging
from collections.abc import Callable, Iterable

import anyio

from ..domain.errors import StoreUnavailable
from ..ports import Tools

logger = logging.getLogger("archon.awo")

REAP_AT_ONCE = 50


class Reaper:
    """Reaps when the server starts and a few times in every lease. `dead_among` knows the processes of this machine."""

    def __init__(self, tools: Tools, dead_among: Callable[[Iterable[str]], list[str]]) -> None:
        self._tools, self._dead_among = tools, dead_among

    async def run(self) -> None:
        while True:
            await self.reap()
            await anyio.sleep(max(1.0, self._tools.limits().lease.total_seconds() / 3))

    async def reap(self) -> None:
        store = self._tools.store
        try:
            leases = (await store.counts()).leases
            if not leases:
                return
            dead = self._dead_among({worker_id for _, worker_id, _ in leases})
            for reaped in await store.reap(REAP_AT_ONCE, dead):
                logger.warning("%s taken back from %s: %s", reaped.order_id, reaped.worker_id, reaped.status)
        except StoreUnavailable as error:
            logger.warning("Nothing can be reaped: %s", error.message)
