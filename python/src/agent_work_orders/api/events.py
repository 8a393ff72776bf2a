"""An order's journal by pages and as a stream, and the stream of all state changes. Passes on; derives nothing."""

import re
from functools import partial, reduce
from operator import getitem, or_
from types import GenericAlias
from typing import Annotated, Any, Literal, cast

from fastapi import APIRouter, Header, Query, Response
from pydantic import AwareDatetime, BaseModel, Field, create_model

from ..domain.errors import FieldProblem, InvalidInput
from ..domain.events import PAYLOADS, Payload
from .deps import Context, OrderId
from .errors import error_responses
from .route import both
from .stream import EventStream, follow_changes, follow_order

router = APIRouter()


class EventHead(BaseModel):
    """What every event carries."""

    seq: int = Field(description="Place in the order's journal, from 1 and without gaps.")
    at: AwareDatetime = Field(description="When it happened, by the store's clock.")
    step_order: int | None = Field(description="The step it belongs to, counted from 1; null between steps.")
    attempt: int = Field(description="The attempt it belongs to, from 1.")


def _entry_of(kind: str, payload: type[Payload]) -> Any:
    """A model of one kind of event: what the interface's description shows, and clients tell apart by `kind`."""
    fields: dict[str, Any] = {
        "kind": (Literal[kind], Field(description="What happened: noun and past participle.")),
        "payload": (payload, Field(description="What this kind of event says.")),
    }
    name = "".join(word.title() for word in kind.split("_")) + "Entry"
    return create_model(name, __base__=EventHead, __doc__=f"An event of kind `{kind}`.", **fields)


def _page_of(entries: list[Any]) -> Any:
    # Through getitem, since a type made at run time is none to a type checker.
    entry = getitem(cast(Any, Annotated), (reduce(or_, entries), Field(discriminator="kind")))
    fields: dict[str, Any] = {
        "events": (GenericAlias(list, (entry,)), Field(description="Events, ascending by `seq`.")),
        "last_seq": (int, Field(description="Number of the journal's last event, in this page or not.")),
    }
    return create_model("EventsPage", __doc__="A piece of an order's journal.", **fields)


EventsPage = _page_of([_entry_of(kind, payload) for kind, payload in PAYLOADS.items()])

LastEventId = Annotated[
    str | None,
    Header(description="Resumes after this `id`; browsers send it by themselves. Anything but a number is ignored."),
]


@both(
    router,
    "GET",
    "/work-orders/{agent_work_order_id}/events",
    response_model=EventsPage,
    summary="Read the journal of a work order",
    responses=error_responses(404, 422),
)
async def read_events(
    context: Context,
    order_id: OrderId,
    after_seq: Annotated[int | None, Query(ge=0, le=2**53, description="Only events after this one.")] = None,
    before_seq: Annotated[
        int | None, Query(ge=1, le=2**53, description="Only the last events before this one; not with `after_seq`.")
    ] = None,
    limit: Annotated[int, Query(ge=1, le=1000, description="Most events of a page.")] = 500,
    kind: Annotated[list[str] | None, Query(description="Only these kinds; may be repeated.")] = None,
) -> Response:
    """Forwards after `after_seq`, or backwards from `before_seq`. Of a cut body, `artifact_id` names the whole."""
    problems = [
        FieldProblem("kind", f"is not a kind of event (known: {', '.join(PAYLOADS)})")
        for name in kind or ()
        if name not in PAYLOADS
    ][:1]
    if after_seq is not None and before_seq is not None:
        problems.append(FieldProblem("before_seq", "cannot be given together with after_seq"))
    if problems:
        raise InvalidInput(problems)
    store = context.tools.store
    order = await store.get(order_id)
    events = await store.events(
        order_id, after_seq=after_seq, before_seq=before_seq, kinds=frozenset(kind or ()), limit=limit
    )
    last_seq = max([order.last_seq, *(event.seq for event in events[-1:])])
    body = f'{{"events":[{",".join(event.to_json() for event in events)}],"last_seq":{last_seq}}}'
    return Response(body, media_type="application/json")


@both(
    router,
    "GET",
    "/work-orders/{agent_work_order_id}/events/stream",
    status_code=200,
    response_class=EventStream,
    summary="Follow the journal of a work order",
    responses={
        200: {"description": "Server-sent events: `id` is the `seq`, `event` the kind, `data` the event as in a page."},
        204: {
            "description": "The order has ended and there is nothing after the given place; browsers then stop asking."
        },
        **error_responses(404, 422, beside_json=False),
    },
)
async def stream_events(
    context: Context,
    order_id: OrderId,
    last_event_id: LastEventId = None,
    after_seq: Annotated[
        int, Query(ge=0, le=2**53, description="Start after this event; `Last-Event-ID` goes before it.")
    ] = 0,
) -> Response:
    """Replays what came after the given place, then goes on live, with a heartbeat; ends when the work order does."""
    store = context.tools.store
    order = await store.get(order_id)
    # Nobody can have seen what is not written yet.
    start = min(_given(last_event_id, after_seq), order.last_seq)
    if start and order.status.is_terminal and start == order.last_seq:
        return Response(status_code=204)
    follow = partial(follow_order, store, order_id, start, context.heartbeat)
    return EventStream(follow, context.stopping, context.streams)


@both(
    router,
    "GET",
    "/events/stream",
    status_code=200,
    response_class=EventStream,
    summary="Follow all work orders",
    responses={
        200: {
            "description": "Server-sent events named `order_changed`: `id` is the revision, `data` the work order. "
            "The first `id` comes without data and says from where on nothing will be missed."
        },
        **error_responses(422, beside_json=False),
    },
)
async def stream_changes(
    context: Context,
    last_event_id: LastEventId = None,
    after_rev: Annotated[
        int | None, Query(ge=0, le=2**53, description="Start after this revision; only what is new when left out.")
    ] = None,
) -> Response:
    """Each work order whose state changes, with its newest state; what changes twice at once is seen once."""
    store = context.tools.store
    last_rev = await store.last_rev()
    start = min(_given(last_event_id, last_rev if after_rev is None else after_rev), last_rev)
    return EventStream(partial(follow_changes, store, start, context.heartbeat), context.stopping, context.streams)


def _given(last_event_id: str | None, otherwise: int) -> int:
    return int(last_event_id) if last_event_id and re.fullmatch(r"[0-9]{1,15}", last_event_id) else otherwise
