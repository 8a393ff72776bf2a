"""Filing, reading and steering work orders over HTTP. Decides nothing: the store's contract does."""

import base64
import binascii
import logging
import os
import re
import shutil
from collections.abc import Callable, Iterable
from contextlib import suppress
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import anyio
from anyio import to_thread
from fastapi import APIRouter, Header, Query, Request, Response
from fastapi.exceptions import RequestValidationError
from pydantic import AfterValidator, BaseModel, Field

from ..domain.conversation import Approval
from ..domain.errors import FieldProblem, InvalidInput, WorkOrderError
from ..domain.gates import gates_of
from ..domain.repository import RepositoryOptions, named_repository
from ..domain.status import Status, WaitingReason
from ..domain.work_order import (
    NewWorkOrder,
    Step,
    Strict,
    WorkOrder,
    WorkOrderRequest,
    clean_text,
    new_order_id,
)
from ..domain.workflow import DEFAULT_WORKFLOW
from ..ports import ListQuery, Tools
from .archive import forget_archived
from .deps import Context, OrderId, context_of
from .errors import Refused, error_responses
from .route import GuardedRoute, both

log = logging.getLogger(__name__)
router = APIRouter()

CLEAN_UP_TIME = 60.0


class WorkOrderDetail(WorkOrder):
    """A work order with its steps."""

    # `selected_commands` is the plan; these are the steps as they went.
    taken: list[Step] = Field(
        serialization_alias="steps", description="Steps of all attempts, in the order in which they were taken."
    )
    approval: Approval | None = Field(description="What it asks now and nobody has answered; null when it does not.")
    approvals: list[Approval] = Field(description="All that it ever asked, and who answered what, oldest first.")


class WorkOrderPage(BaseModel):
    """A page of work orders."""

    work_orders: list[WorkOrder] = Field(description="Newest first.")
    next_cursor: str | None = Field(description="Give it as `cursor` for the next page; null on the last one.")


class RetryRequest(BaseModel):
    """How to take a work order up again."""

    model_config = {**Strict, "json_schema_extra": {"examples": [{"from_step": 2}]}}

    from_step: Annotated[
        int | None,
        Field(
            ge=1,
            le=20,
            description="Step to start from, by `step_order`: the first that has not succeeded, or one before it.",
        ),
    ] = None


class FilingRoute(GuardedRoute):
    """Names what is wrong with the repository and the steps also when another field is wrong already."""

    async def more_problems(self, request: Request, error: RequestValidationError) -> Iterable[FieldProblem]:
        body = error.body if isinstance(error.body, dict) else {}
        tools = context_of(request).tools
        options = await _options(tools, body.get("repository_url"))
        return _problems(tools, body, request.headers.get("idempotency-key"), options)


@both(
    router,
    "POST",
    "/work-orders",
    route_class=FilingRoute,
    status_code=202,
    response_model=WorkOrder,
    summary="File a work order",
    responses={
        202: {
            "description": "The work order, queued; or the one that the same idempotency key made before.",
            "headers": {"Location": {"description": "Address of the work order.", "schema": {"type": "string"}}},
        },
        **error_responses(400, 409, 413, 415, 422),
    },
)
async def file_work_order(
    context: Context,
    request: Request,
    response: Response,
    body: WorkOrderRequest,
    idempotency_key: Annotated[
        str | None, Header(description="The same key gives the same work order; 1 to 200 visible ASCII characters.")
    ] = None,
) -> WorkOrder:
    """Accepts a request in words for a repository. The answer comes at once; the work goes on in the background."""
    tools = context.tools
    options = await _options(tools, body.repository_url)
    if problems := _problems(tools, body.model_dump(exclude_unset=True), idempotency_key, options):
        raise InvalidInput(problems)
    repository = tools.repository(body.repository_url)
    wanted = body.with_defaults(options)
    workflow, steps = tools.workflows().planned(wanted.workflow_type, wanted.selected_commands)
    enqueued = await tools.store.enqueue(
        NewWorkOrder(
            order_id=(order_id := new_order_id()),
            request=wanted,
            asked=body,
            step_names=tuple(step.name for step in steps),
            gates=gates_of(workflow, steps, wanted.requires_approval),
            repository_url=repository.url,
            repository_key=repository.key,
            # Without a key every request is its own.
            idempotency_key=idempotency_key or body.idempotency_key or order_id,
        )
    )
    order = enqueued.order
    worker = context.workers()
    if order.status is Status.PENDING and worker.busy < worker.slots:  # it will be taken up at once
        token = partial(tools.secrets.get, "GITHUB_TOKEN", repository)
        tools.checkouts.expect(order, repository, token, options=options)
    response.headers["Location"] = f"{request.url.path.rstrip('/')}/{order.agent_work_order_id}"
    return order


@both(
    router,
    "GET",
    "/work-orders",
    response_model=WorkOrderPage,
    summary="List work orders",
    responses=error_responses(422),
)
async def list_work_orders(
    context: Context,
    status: Annotated[list[Status] | None, Query(description="Only these states; may be repeated.")] = None,
    repository_url: Annotated[str | None, Query(description="Only orders of this repository.")] = None,
    archived: Annotated[bool, Query(description="Those that are archived, instead of those that are not.")] = False,
    q: Annotated[
        Annotated[str, AfterValidator(clean_text)] | None,
        Query(max_length=200, description="Only orders whose request holds this text."),
    ] = None,
    limit: Annotated[int, Query(ge=1, le=200, description="Most orders of a page.")] = 50,
    cursor: Annotated[str | None, Query(description="`next_cursor` of the page before.")] = None,
) -> WorkOrderPage:
    """Newest first, page by page; orders filed meanwhile neither shift nor repeat anything."""
    query = ListQuery(
        statuses=frozenset(status or ()),
        repository_key=named_repository(repository_url).key if repository_url else None,
        text=q or None,
        limit=limit + 1,
        before=_read_cursor(cursor) if cursor else None,
        archived=archived,
    )
    orders = await context.tools.store.list_orders(query)
    page = orders[:limit]
    return WorkOrderPage(work_orders=page, next_cursor=_cursor_after(page[-1]) if len(orders) > limit else None)


@both(
    router,
    "GET",
    "/work-orders/{agent_work_order_id}",
    response_model=WorkOrderDetail,
    summary="Read a work order",
    responses=error_responses(404),
)
async def read_work_order(context: Context, order_id: OrderId) -> WorkOrderDetail:
    """One work order, the steps that were taken so far, and what it asked."""
    found = await context.tools.store.detail(order_id)
    order, approvals = found.order, found.approvals
    asks = order.waiting_reason is WaitingReason.APPROVAL and approvals and approvals[-1].answer is None
    return WorkOrderDetail(
        **dict(order),
        taken=found.steps,
        approval=approvals[-1] if asks else None,
        approvals=approvals,
    )


@both(
    router,
    "POST",
    "/work-orders/{agent_work_order_id}/cancel",
    status_code=202,
    response_model=WorkOrder,
    summary="Cancel a work order",
    responses=error_responses(404, 409, 413, 415),
)
async def cancel_work_order(context: Context, order_id: OrderId) -> WorkOrder:
    """Asks for an end. Idempotent; the state becomes `cancelled` only once nothing of the order runs any more."""
    return await context.tools.store.cancel(order_id)


@both(
    router,
    "POST",
    "/work-orders/{agent_work_order_id}/retry",
    status_code=202,
    response_model=WorkOrder,
    summary="Retry a work order",
    responses=error_responses(400, 404, 409, 413, 415, 422),
)
async def retry_work_order(context: Context, order_id: OrderId, body: RetryRequest | None = None) -> WorkOrder:
    """A failed or cancelled order again, as a new attempt; what has succeeded is not done twice."""
    from_step = body.from_step if body is not None else None
    if from_step is not None:
        order = await context.tools.store.get(order_id)
        if from_step > order.next_step:
            problem = f"must be at most {order.next_step}: the steps before it have to succeed first"
            raise InvalidInput([FieldProblem("from_step", problem)])
    return await context.tools.store.retry(order_id, from_step)


@both(
    router,
    "DELETE",
    "/work-orders/{agent_work_order_id}",
    status_code=204,
    summary="Delete a work order",
    responses={204: {"description": "The work order and its files are gone."}, **error_responses(404, 409, 415)},
)
async def delete_work_order(context: Context, order_id: OrderId) -> None:
    """A completed, failed or cancelled order, its journal, its checkout and its files. What was pushed stays."""
    tools = context.tools
    order = await tools.store.get(order_id)
    # The row goes first: that is the one step which can refuse, and after it nobody can take the order up again.
    # Files that outlive their row lose nothing; a row that outlived its checkout would promise what is gone.
    await tools.store.delete(order_id)
    await forget_archived(context, order)
    with anyio.CancelScope(shield=True), anyio.move_on_after(CLEAN_UP_TIME) as clean_up:
        left = await _remove_files(tools, order)
    if clean_up.cancelled_caught or left:
        raise Refused(
            500,
            "files_left",
            "The work order is deleted, but not all of its files could be removed.",
            f"Remove the folders named {order_id} from the server's volume by hand; its log says what was in the way.",
        )


async def _remove_files(tools: Tools, order: WorkOrder) -> bool:
    """Whether anything could not be removed."""
    left = False
    repository = named_repository(order.repository_url)
    with anyio.move_on_after(CLEAN_UP_TIME / 2):
        try:
            await tools.checkouts.unshare(
                order.agent_work_order_id, repository, await tools.secrets.get("GITHUB_TOKEN", repository)
            )
        except (WorkOrderError, OSError) as error:
            log.warning("the hidden ref of %s is still on the remote: %s", order.agent_work_order_id, error)
    try:
        await tools.checkouts.remove(order, named_repository(order.repository_url))
    except (WorkOrderError, OSError) as error:
        log.warning("the checkout of %s could not be removed: %s", order.agent_work_order_id, error)
        left = True
    try:
        await to_thread.run_sync(_remove_folder, tools.work_orders_dir / order.agent_work_order_id)
    except OSError as error:
        log.warning("the folder of %s could not be removed: %s", order.agent_work_order_id, error)
        left = True
    return left


def _remove_folder(folder: Path) -> None:
    # An agent may have closed a directory to its owner; links are not followed, neither here nor by rmtree.
    for parent, names, _ in os.walk(folder):
        for name in names:
            directory = Path(parent, name)
            if not directory.is_symlink():
                directory.chmod(0o700)
    with suppress(FileNotFoundError):
        shutil.rmtree(folder)


async def _options(tools: Tools, url: object) -> RepositoryOptions:
    """What the operator says of the repository; nothing where the address names none."""
    try:
        repository = tools.repository(url if isinstance(url, str) else "")
    except InvalidInput:
        return RepositoryOptions()
    return await tools.options(repository)


def _problems(
    tools: Tools, body: dict[str, Any], idempotency_key: str | None, options: RepositoryOptions
) -> list[FieldProblem]:
    """What only the settings, the workflows and the header can tell about a body that may be wrong elsewhere too."""
    found: list[FieldProblem] = []
    if isinstance(url := body.get("repository_url"), str):
        found += _refused(lambda: tools.repository(url))
    workflow = body.get("workflow_type", options.workflow_type or DEFAULT_WORKFLOW)
    selected = body.get("selected_commands")
    names = selected if isinstance(selected, list) and all(isinstance(name, str) for name in selected) else None
    if isinstance(workflow, str) and (selected is None or names is not None):
        found += _refused(lambda: tools.workflows().plan(workflow, names))
    if idempotency_key is not None:
        if body.get("idempotency_key") not in (None, idempotency_key):
            found.append(FieldProblem("idempotency_key", "is not the same as the Idempotency-Key header"))
        if not re.fullmatch(r"[\x21-\x7e]{1,200}", idempotency_key):
            found.append(FieldProblem("Idempotency-Key", "must be 1 to 200 visible ASCII characters without spaces"))
    return found


def _refused(check: Callable[[], object]) -> tuple[FieldProblem, ...]:
    try:
        check()
    except InvalidInput as refused:
        return refused.fields
    return ()


def _cursor_after(order: WorkOrder) -> str:
    text = f"{order.created_at.isoformat()}|{order.agent_work_order_id}"
    return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")


def _read_cursor(cursor: str) -> tuple[datetime, str]:
    try:
        text = base64.b64decode(cursor + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True).decode()
        at, _, order_id = text.partition("|")
        created_at = datetime.fromisoformat(at)
        if created_at.tzinfo is None or not re.fullmatch(r"wo-[0-9a-f]{16}", order_id):
            raise ValueError
    except (ValueError, binascii.Error):
        raise InvalidInput([FieldProblem("cursor", "is not a cursor that a page of this list gave")]) from None
    return created_at, order_id
