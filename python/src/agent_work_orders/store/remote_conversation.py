"""Questions, answers and messages as the shared store's functions take and give them. Asks through `Ask`."""

import json
from typing import Any

from ..domain.conversation import AlreadyAnswered, Answer, Approval, Asking, Message, NewMessage
from ..domain.errors import IdempotencyConflict, WorkOrderError
from ..ports import Sent
from . import wire
from .answers import Refusal
from .conversation import no_longer_asked, unknown_question
from .remote_transfer import Ask


def asking_json(asking: Asking) -> wire.Json:
    return {**vars(asking), "question": asking.question.model_dump(mode="json")}


async def answer(ask: Ask, order_id: str, given: Answer, request: dict[str, str]) -> wire.Json:
    """The order's row after it; AlreadyAnswered, InvalidInput, WrongState."""
    try:
        row: wire.Json = await ask("answer", order_id, p_id=order_id, p_answer=dict(vars(given)), **request)
    except Refusal as refusal:
        raise _meaning(refusal, order_id) or refusal from refusal
    return row


def _meaning(refusal: Refusal, order_id: str) -> WorkOrderError | None:
    match refusal.word:
        case "unknown_question":
            return unknown_question()
        case "already_answered":
            return AlreadyAnswered(Approval.model_validate(json.loads(refusal.detail)))
        case "no_longer_asked":
            return no_longer_asked(order_id, refusal.detail)
        case _:
            return None


async def send_message(ask: Ask, order_id: str, new: NewMessage) -> Sent:
    wanted = {name: value for name, value in vars(new).items() if name != "follow_up_step"}
    rule = "only an order that is in the lists can be written to"
    try:
        found = await ask(
            "send_message", order_id, rule, p_id=order_id, p_message=wanted, p_follow_up_step=new.follow_up_step
        )
    except IdempotencyConflict:
        raise IdempotencyConflict("This idempotency key was used before, for another message.") from None
    return Sent(wire.order_of(found["order"]), message_of(found["message"]), found["created"])


async def approvals(ask: Ask, order_id: str) -> list[Approval]:
    return [Approval.model_validate(row) for row in await ask("approvals", p_id=order_id)]


async def messages(ask: Ask, order_id: str) -> list[Message]:
    return [message_of(row) for row in await ask("messages", p_id=order_id)]


def message_of(row: dict[str, Any]) -> Message:
    return Message.model_validate(row)
