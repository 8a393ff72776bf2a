"""Putting work orders away and bringing them back over HTTP. Decides nothing: the archive does."""

import logging

from fastapi import APIRouter

from ..domain.errors import WorkOrderError
from ..domain.work_order import WorkOrder
from ..ports import Archive
from .deps import ApiContext, Context, OrderId
from .errors import Refused, error_responses
from .route import both

log = logging.getLogger(__name__)
router = APIRouter()


@both(
    router,
    "POST",
    "/work-orders/{agent_work_order_id}/archive",
    response_model=WorkOrder,
    summary="Archive a work order",
    responses=error_responses(404, 409, 413, 415),
)
async def archive_work_order(context: Context, order_id: OrderId) -> WorkOrder:
    """An order that has ended goes out of the lists, and its files and its branch into the archive.

    Idempotent. Answers once the archive has given back every byte that it was given; until then nothing is removed.
    `GET /work-orders?archived=true` lists what is archived.
    """
    return await _archive_of(context).archive(order_id)


@both(
    router,
    "POST",
    "/work-orders/{agent_work_order_id}/unarchive",
    response_model=WorkOrder,
    summary="Bring an archived work order back",
    responses=error_responses(404, 409, 413, 415),
)
async def unarchive_work_order(context: Context, order_id: OrderId) -> WorkOrder:
    """The order is in the lists again, with its files and its branch.

    Idempotent. A server that never knew the order takes all of it from the archive.
    """
    return await _archive_of(context).unarchive(order_id)


async def forget_archived(context: ApiContext, order: WorkOrder) -> None:
    """For an order that is deleted: an archive that cannot be reached keeps it, and the log says so."""
    if order.archived_at is None or context.archive is None:
        return
    try:
        await context.archive.forget(order.agent_work_order_id)
    except WorkOrderError as error:
        log.warning("the archive still holds %s: %s", order.agent_work_order_id, error)


def _archive_of(context: ApiContext) -> Archive:
    if context.archive is None:
        raise Refused(503, "no_archive", "This server has no archive.", "Restart the server.")
    return context.archive
