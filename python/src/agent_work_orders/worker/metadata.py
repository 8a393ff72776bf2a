"""Brings `metadata.json` up to date where an order ended without a run: cancelled while it waited, or given up by the
reaper. Decides nothing."""

from collections.abc import Iterable

from anyio import to_thread

from ..domain.work_order import WorkOrder
from ..ports import Tools
from ..workflow.metadata import is_stale, write_metadata

AT_ONCE = 100


async def mend_metadata(tools: Tools, ended: Iterable[WorkOrder]) -> None:
    """Of orders that have ended and whose folder is there, as many as can be done in passing."""

    def stale() -> list[WorkOrder]:
        found = (one for one in ended if is_stale(tools.work_orders_dir / one.agent_work_order_id, one))
        return [order for order, _ in zip(found, range(AT_ONCE), strict=False)]

    for order in await to_thread.run_sync(stale):
        await write_metadata(tools, order)
