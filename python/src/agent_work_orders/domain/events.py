"""The journal: what happened to an order, in order. Everything a person sees is derived from it."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any, ClassVar

from pydantic import BaseModel, ConfigDict

from .errors import FailureClass
from .status import Status, StepStatus, WaitingReason

# Longer bodies are cut in the journal; the whole stands in the artifact that the event names.
MAX_BODY_BYTES = 16 * 1024


class Payload(BaseModel):
    """What an event of one kind says. `kind` is a noun and a past participle."""

    model_config = ConfigDict(frozen=True)
    kind: ClassVar[str]


class OrderEnqueued(Payload):
    kind: ClassVar[str] = "order_enqueued"
    repository_url: str
    workflow_type: str
    steps: list[str]


class OrderClaimed(Payload):
    kind: ClassVar[str] = "order_claimed"
    worker_id: str


class CheckoutProgressed(Payload):
    """Git's own progress while a repository is fetched for the first time."""

    kind: ClassVar[str] = "checkout_progressed"
    phase: str
    percent: int


class CheckoutOpened(Payload):
    kind: ClassVar[str] = "checkout_opened"
    branch: str | None
    base_branch: str
    base_commit: str
    resumed: bool
    took_ms: int


class StepStarted(Payload):
    kind: ClassVar[str] = "step_started"
    step_name: str
    agent_name: str


class AgentStarted(Payload):
    kind: ClassVar[str] = "agent_started"
    session_id: str
    model: str
    version: str
    resumed: bool


class AgentSpoke(Payload):
    kind: ClassVar[str] = "agent_spoke"
    text: str
    artifact_id: str | None = None


class ToolUsed(Payload):
    kind: ClassVar[str] = "tool_used"
    tool_use_id: str
    tool: str
    input: Any
    artifact_id: str | None = None


class ToolReturned(Payload):
    kind: ClassVar[str] = "tool_returned"
    tool_use_id: str
    output: str
    is_error: bool
    artifact_id: str | None = None


class UsageCounted(Payload):
    """What one agent turn used: its own share, never a running total."""

    kind: ClassVar[str] = "usage_counted"
    input_tokens: int
    output_tokens: int
    cost_usd: float


class CheckpointSaved(Payload):
    kind: ClassVar[str] = "checkpoint_saved"
    commit: str
    commit_count: int
    files_changed: int


class StepFinished(Payload):
    kind: ClassVar[str] = "step_finished"
    step_name: str
    status: StepStatus
    duration_seconds: float
    output: str | None = None
    error_message: str | None = None
    cost_usd: float = 0.0
    permission_denials: list[str] = []
    artifact_id: str | None = None


class CheckRun(Payload):
    """Evidence: the server ran this command on this commit, and this is how it ended."""

    kind: ClassVar[str] = "check_run"
    command: str
    source: str
    exit_code: int | None
    passed: bool
    duration_seconds: float
    commit: str
    output_tail: str
    repair_round: int
    artifact_id: str | None = None


class PolicyChecked(Payload):
    kind: ClassVar[str] = "policy_checked"
    passed: bool
    problems: list[str]


class BranchPushed(Payload):
    kind: ClassVar[str] = "branch_pushed"
    branch: str
    commit: str


class PullRequestOpened(Payload):
    kind: ClassVar[str] = "pull_request_opened"
    url: str
    number: int
    created: bool


class OrderWaiting(Payload):
    kind: ClassVar[str] = "order_waiting"
    reason: WaitingReason
    until: datetime | None
    message: str
    next_action: str


class OrderResumed(Payload):
    kind: ClassVar[str] = "order_resumed"
    reason: str


class MessageReceived(Payload):
    kind: ClassVar[str] = "message_received"
    text: str


class CancelRequested(Payload):
    kind: ClassVar[str] = "cancel_requested"


class LeaseLostEvent(Payload):
    """The server that ran the order went silent; the order goes on elsewhere or ends."""

    kind: ClassVar[str] = "lease_lost"
    worker_id: str | None


class OrderFinished(Payload):
    kind: ClassVar[str] = "order_finished"
    status: Status
    summary: str
    failure_class: FailureClass | None = None
    error_message: str | None = None
    next_action: str | None = None


PAYLOADS: dict[str, type[Payload]] = {payload.kind: payload for payload in Payload.__subclasses__()}


@dataclass(frozen=True, slots=True)
class Draft:
    """An event on its way into the journal: JSON text of the payload, already redacted."""

    kind: str
    payload: str
    step_order: int | None = None


@dataclass(frozen=True, slots=True)
class Event:
    """An event of the journal. `seq` has no gaps; `at` is the store's time; `payload` is JSON text."""

    seq: int
    at: datetime
    kind: str
    step_order: int | None
    attempt: int
    payload: str

    def to_json(self) -> str:
        """The event as the API and the stream give it, on one line."""
        at = self.at.isoformat(timespec="milliseconds").replace("+00:00", "Z")
        step = "null" if self.step_order is None else self.step_order
        return (
            f'{{"seq":{self.seq},"at":"{at}","kind":"{self.kind}","step_order":{step},'
            f'"attempt":{self.attempt},"payload":{self.payload}}}'
        )


def draft(payload: Payload, step_order: int | None = None) -> Draft:
    """A draft of a payload that is known to hold no secret and no over-long text."""
    return Draft(payload.kind, payload.model_dump_json(), step_order)
