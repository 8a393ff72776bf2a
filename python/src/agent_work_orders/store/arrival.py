"""What holds for every order that leaves or reaches a store: whole, once, and never over another one."""

from collections.abc import Awaitable, Callable

from ..domain.errors import NotFound, WrongState
from ..domain.exported import ExportedOrder
from ..ports import Transfers


def whole(exported: ExportedOrder) -> ExportedOrder:
    """The order, if nobody deleted it while it was read."""
    if exported.problem():
        raise NotFound(f"The work order {exported.order_id} was deleted while it was read.")
    return exported


async def take_in(store: Transfers, exported: ExportedOrder, write: Callable[[], Awaitable[bool]]) -> bool:
    """See ports.Transfers.import_order; `write` says False where the id is taken."""
    if problem := exported.problem():
        raise WrongState(
            f"{exported.order_id} cannot be imported: {problem}.",
            next_action="Take another copy of it; this one is damaged.",
        )
    if await write():
        return True
    if not exported.is_kept_by(await store.export_order(exported.order_id)):
        raise WrongState(
            f"Another state of {exported.order_id} is there already.",
            next_action="Compare the two; delete the one that is not wanted, then import again.",
        )
    return False


def too_new(what: str) -> WrongState:
    """The other store had what this one has no place for."""
    return WrongState(
        f"What is to be imported has {what}, which this store does not know.",
        next_action="Bring this store up to date: start the version of the server that wrote the export.",
    )
