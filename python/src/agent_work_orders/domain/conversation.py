"""What people say to an order while it is worked on: answers to its questions, and messages. Knows no store."""

import re
import secrets
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from .errors import WorkOrderError
from .workflow import Gate

# Longer messages are cut in the journal; the whole stands among the order's messages.
MAX_TOLD_BYTES = 15_000
_TOLD_CHARACTERS = 2_400
MAX_AUTHOR = 80


class Verdict(StrEnum):
    """What a person says to a question: go on, end here, or make it anew as the comment says."""

    APPROVED = "approved"
    REJECTED = "rejected"
    SENT_BACK = "sent_back"


class Question(BaseModel):
    """What an order asks before it goes on."""

    model_config = ConfigDict(frozen=True)

    gate: Gate = Field(description="Where it stands: `plan` after planning, `push` before the push.")
    step_name: str = Field(description="Name of the step that follows if it is approved.")
    summary: str = Field(description="What is to be approved (Markdown): the plan, or the change in numbers.")
    commit: str | None = Field(default=None, description="Full id of the commit that would be pushed.")
    files_changed: int | None = Field(default=None, description="Files that differ from the base.")
    additions: int | None = Field(default=None, description="Lines added.")
    deletions: int | None = Field(default=None, description="Lines deleted.")


@dataclass(frozen=True)
class Asking:
    """A question on its way into the store. What is approved is `subject` and nothing else: a plan or a commit.

    `back_to` is the step from which it is made anew if it is sent back.
    """

    question: Question
    subject: str
    back_to: int
    message: str
    next_action: str


class Approval(BaseModel):
    """A question and the answer that a person gave; the answer's fields are null until then."""

    model_config = ConfigDict(frozen=True)

    seq: int = Field(description="`seq` of the event that asked; an answer names it.")
    attempt: int = Field(description="The attempt that asked, from 1.")
    gate: Gate = Field(description="Where it stands: `plan` after planning, `push` before the push.")
    step_name: str = Field(description="Name of the step that follows if it is approved.")
    summary: str = Field(description="What is to be approved (Markdown).")
    asked_at: datetime = Field(description="When it was asked.")
    answer: Verdict | None = Field(default=None, description="What was answered; null as long as nobody did.")
    comment: str | None = Field(default=None, description="What the person wrote to it.")
    answered_by: str | None = Field(default=None, description="Who answered, as far as it is known.")
    answered_at: datetime | None = Field(default=None, description="When it was answered.")
    # What the server keeps for itself.
    subject: str = Field(exclude=True)
    back_to: int = Field(exclude=True)


class AlreadyAnswered(WorkOrderError):
    """Somebody else was first; `approval` says who answered what, and when."""

    code = "already_answered"
    next_action = "Read the work order again; send a message if you want something else."

    def __init__(self, approval: Approval) -> None:
        said = (approval.answer or "answered").replace("_", " ")
        at = approval.answered_at.isoformat(timespec="seconds") if approval.answered_at else "before"
        super().__init__(f"{approval.answered_by} has answered this already, at {at}: {said}.")
        self.approval = approval


@dataclass(frozen=True)
class Answer:
    """A person's answer to the question that the event `seq` asked. `message_id` is the comment's own."""

    seq: int
    verdict: Verdict
    by: str
    author: str
    comment: str | None
    message_id: str


class Message(BaseModel):
    """Something that a person wrote to the agent."""

    model_config = ConfigDict(frozen=True)

    message_id: str = Field(description="Unique within the order: `msg-` and 16 hexadecimal digits.")
    kind: Literal["message", "comment"] = Field(
        description="A `message` brings about a turn of the agent; the `comment` of an answer goes with the next one."
    )
    author: str = Field(description="Who wrote it, as the agent is told.")
    sent_by: str = Field(description="Who sent it, as far as it is known.")
    text: str = Field(description="What was written (Markdown).")
    seq: int | None = Field(default=None, description="`seq` of its event; null until a running order has heard of it.")
    sent_at: datetime = Field(description="When it was sent.")
    delivered_at: datetime | None = Field(
        default=None, description="When a turn of the agent that was given it had ended; null: it will be given."
    )


@dataclass(frozen=True)
class NewMessage:
    """A message on its way into the store. The same key gives the same message.

    An order that has ended goes on at `follow_up_step`, if it had come further than that.
    """

    message_id: str
    idempotency_key: str
    author: str
    by: str
    text: str
    follow_up_step: int


def told(text: str) -> str:
    """The text as the journal has it: whole, or its beginning and where the rest is."""
    if len(text.encode()) <= MAX_TOLD_BYTES:
        return text
    return f"{text[:_TOLD_CHARACTERS]}\n… the whole stands among the order's messages …"


def author_of(name: str | None) -> str:
    """A name on one line that says no more than who it is."""
    plain = re.sub(r"[^\w .@+-]", " ", name or "").strip()[:MAX_AUTHOR].strip()
    return plain or "somebody"


def new_message_id() -> str:
    """`msg-` and 16 hexadecimal digits, from the system's random source."""
    return f"msg-{secrets.token_hex(8)}"
