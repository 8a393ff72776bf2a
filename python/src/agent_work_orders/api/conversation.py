"""Answers to what a work order asks, and messages to its agent. Decides nothing: the store lets one answer win."""

import json
import re
from typing import Annotated, Any

from fastapi import APIRouter, Header, Request
from fastapi.responses import JSONResponse
from pydantic import AfterValidator, BaseModel, Field

from ..domain.conversation import (
    MAX_AUTHOR,
    AlreadyAnswered,
    Answer,
    Approval,
    Message,
    NewMessage,
    Verdict,
    author_of,
    new_message_id,
)
from ..domain.errors import FieldProblem, InvalidInput
from ..domain.gates import follow_up_step
from ..domain.work_order import Strict, WorkOrder, clean_text
from .deps import ApiContext, Context, OrderId
from .errors import ErrorBody, error_responses, response_to
from .route import both
from .settings import User, who

router = APIRouter()


def _said(value: str) -> str:
    if not value.strip():
        raise ValueError("must say something")
    return clean_text(value)


Words = Annotated[str, AfterValidator(_said)]
Seq = Annotated[int, Field(ge=1, le=2**53, description="`seq` of the event that asked, as the work order shows it.")]


class Approving(BaseModel):
    """A yes."""

    model_config = {**Strict, "json_schema_extra": {"examples": [{"seq": 42, "comment": "Mind the empty line."}]}}

    seq: Seq
    comment: Annotated[Words | None, Field(description="Goes with the agent's next prompt; at most 64 kB.")] = None


class Rejecting(BaseModel):
    """A no, or a request for something else."""

    model_config = {
        **Strict,
        "json_schema_extra": {"examples": [{"seq": 42, "comment": "Two steps will do.", "again": True}]},
    }

    seq: Seq
    comment: Annotated[Words | None, Field(description="Why, or what is to be done otherwise; at most 64 kB.")] = None
    again: Annotated[
        bool,
        Field(
            description="False ends the work order: it has failed, nothing is pushed, its work is kept. True has the "
            "agent make it anew as the comment says; then it asks again."
        ),
    ] = False


class MessageRequest(BaseModel):
    """A message to the agent."""

    model_config = {**Strict, "json_schema_extra": {"examples": [{"text": "Please use tabs.", "author": "Ana"}]}}

    text: Annotated[Words, Field(description="What the agent is told (Markdown); at most 64 kB.")]
    author: Annotated[
        str | None,
        Field(max_length=MAX_AUTHOR, description="Who says it, for the agent; else the header X-Archon-User."),
    ] = None


class SentMessage(BaseModel):
    """A message that was sent, and its work order as it then was."""

    message: Message = Field(description="The message; `seq` is null until a running order has heard of it.")
    work_order: WorkOrder = Field(description="The work order: pending again, as a new attempt, if it had ended.")


class MessageList(BaseModel):
    """What was written to a work order."""

    messages: list[Message] = Field(description="Oldest first, comments of answers among them.")


class AnsweredBefore(ErrorBody):
    """Somebody else was first."""

    answer: Approval | None = Field(
        default=None, description="Who answered what, and when; null when the work order does not ask any more."
    )


CONFLICT: dict[int | str, dict[str, Any]] = {
    409: {"model": AnsweredBefore, "description": "Somebody has answered already (`answer` says who, what and when), "
          "or the work order does not ask this any more."}
}  # fmt: skip


@both(
    router,
    "POST",
    "/work-orders/{agent_work_order_id}/approve",
    status_code=202,
    response_model=WorkOrder,
    summary="Approve what a work order asks",
    responses={**error_responses(400, 404, 413, 415, 422), **CONFLICT},
)
async def approve_work_order(
    context: Context, request: Request, order_id: OrderId, body: Approving, user: User = None
) -> Any:
    """It goes on. What was approved is this plan or this commit: another one is asked anew. The first answer counts."""
    return await _answer(context, request, order_id, user, body.seq, Verdict.APPROVED, body.comment)


@both(
    router,
    "POST",
    "/work-orders/{agent_work_order_id}/reject",
    status_code=202,
    response_model=WorkOrder,
    summary="Reject what a work order asks, or send it back",
    responses={**error_responses(400, 404, 413, 415, 422), **CONFLICT},
)
async def reject_work_order(
    context: Context, request: Request, order_id: OrderId, body: Rejecting, user: User = None
) -> Any:
    """It ends, with its work kept and nothing pushed; or, with `again`, it is made anew. The first answer counts."""
    if body.again and body.comment is None:
        raise InvalidInput([FieldProblem("comment", "is required with `again`: it says what is to be done otherwise")])
    verdict = Verdict.SENT_BACK if body.again else Verdict.REJECTED
    return await _answer(context, request, order_id, user, body.seq, verdict, body.comment)


async def _answer(
    context: ApiContext,
    request: Request,
    order_id: str,
    user: str | None,
    seq: int,
    verdict: Verdict,
    comment: str | None,
) -> WorkOrder | JSONResponse:
    tools = context.tools
    said = None if comment is None else tools.redactor.redact(comment)
    answer = Answer(seq, verdict, who(context, request, user), author_of(user), said, new_message_id())
    try:
        return await tools.store.answer(order_id, answer)
    except AlreadyAnswered as late:
        told = json.loads(bytes(response_to(late).body))
        return JSONResponse({**told, "answer": late.approval.model_dump(mode="json")}, status_code=409)


@both(
    router,
    "POST",
    "/work-orders/{agent_work_order_id}/messages",
    status_code=202,
    response_model=SentMessage,
    summary="Write to the agent of a work order",
    responses=error_responses(400, 404, 409, 413, 415, 422),
)
async def send_message(
    context: Context,
    request: Request,
    order_id: OrderId,
    body: MessageRequest,
    user: User = None,
    idempotency_key: Annotated[
        str | None, Header(description="The same key gives the same message; 1 to 200 visible ASCII characters.")
    ] = None,
) -> SentMessage:
    """The agent has it at its next turn. A work order that has ended goes on with it: in the same session, on the same
    branch and in the same pull request. None is lost that is sent while a work order finishes."""
    if idempotency_key is not None and not re.fullmatch(r"[\x21-\x7e]{1,200}", idempotency_key):
        problem = "must be 1 to 200 visible ASCII characters without spaces"
        raise InvalidInput([FieldProblem("Idempotency-Key", problem)])
    tools = context.tools
    order = await tools.store.get(order_id)
    message_id = new_message_id()
    sent = await tools.store.send_message(
        order_id,
        NewMessage(
            message_id=message_id,
            idempotency_key=idempotency_key or message_id,
            author=author_of(body.author or user),
            by=who(context, request, user),
            text=tools.redactor.redact(body.text),
            follow_up_step=follow_up_step(order.selected_commands),
        ),
    )
    return SentMessage(message=sent.message, work_order=sent.order)


@both(
    router,
    "GET",
    "/work-orders/{agent_work_order_id}/messages",
    response_model=MessageList,
    summary="Read what was written to a work order",
    responses=error_responses(404),
)
async def list_messages(context: Context, order_id: OrderId) -> MessageList:
    """Messages and comments, with who sent them and when the agent had them."""
    store = context.tools.store
    await store.get(order_id)
    return MessageList(messages=await store.messages(order_id))
