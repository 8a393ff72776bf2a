"""The journal: what happened to an order, in order. Everything a person sees is derived from it."""

from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from typing import Any, ClassVar

from pydantic import BaseModel, ConfigDict, Field

from .conversation import Question, Verdict
from .errors import FailureClass
from .retention import Kind
from .status import Status, StepStatus, WaitingReason
from .workflow import Gate

# Longer bodies are cut in the journal; the whole stands in the artifact that the event names.
MAX_BODY_BYTES = 16 * 1024


class Payload(BaseModel):
    """What an event of one kind says. `kind` is a noun and a past participle."""

    model_config = ConfigDict(frozen=True)
    kind: ClassVar[str]


class OrderEnqueued(Payload):
    kind: ClassVar[str] = "order_enqueued"
    repository_url: str = Field(description="Address of the repository.")
    workflow_type: str = Field(description="Name of the workflow.")
    steps: list[str] = Field(description="Names of the steps, in their order.")


class OrderClaimed(Payload):
    kind: ClassVar[str] = "order_claimed"
    worker_id: str = Field(description="The worker that runs it now.")


class CheckoutProgressed(Payload):
    """Git's own progress while a repository is fetched for the first time."""

    kind: ClassVar[str] = "checkout_progressed"
    phase: str = Field(description="What git is doing, in its own words.")
    percent: int = Field(description="How far it is, 0 to 100.")


class CheckoutOpened(Payload):
    kind: ClassVar[str] = "checkout_opened"
    branch: str | None = Field(description="The order's own branch; null when it makes none.")
    base_branch: str = Field(description="Branch it starts from.")
    base_commit: str = Field(description="Full id of the commit it starts from.")
    resumed: bool = Field(description="Whether earlier work was found and taken up.")
    prepared: bool = Field(default=False, description="Whether it was ready before the order came.")
    took_ms: int = Field(description="How long it took, in milliseconds.")
    notes: list[str] = Field(default=[], description="What is not as one might expect: submodules, large files.")


class StepStarted(Payload):
    kind: ClassVar[str] = "step_started"
    step_name: str = Field(description="Name of the step.")
    agent_name: str = Field(description="Who does it: `claude`, or `archon` for the server itself.")


class AgentStarted(Payload):
    kind: ClassVar[str] = "agent_started"
    session_id: str = Field(description="The agent's session, one through all steps.")
    model: str = Field(description="Model it works with.")
    version: str = Field(description="Version of the agent's program.")
    resumed: bool = Field(description="Whether an earlier session goes on.")


class AgentSpoke(Payload):
    kind: ClassVar[str] = "agent_spoke"
    text: str = Field(description="What it said (Markdown), at most 16 kB.")
    artifact_id: str | None = Field(
        default=None, description="Artifact that holds the whole, where the text here was cut."
    )


class ToolUsed(Payload):
    kind: ClassVar[str] = "tool_used"
    tool_use_id: str = Field(description="Ties the use to what came back.")
    tool: str = Field(description="Name of the tool.")
    input: Any = Field(description="What the agent gave it, as the tool defines it.")
    artifact_id: str | None = Field(
        default=None, description="Artifact that holds the whole, where the text here was cut."
    )


class ToolReturned(Payload):
    kind: ClassVar[str] = "tool_returned"
    tool_use_id: str = Field(description="Ties what came back to the use.")
    output: str = Field(description="What came back, at most 16 kB.")
    is_error: bool = Field(description="Whether the tool failed or was denied.")
    artifact_id: str | None = Field(
        default=None, description="Artifact that holds the whole, where the text here was cut."
    )


class UsageCounted(Payload):
    """What one agent turn used: its own share, never a running total."""

    kind: ClassVar[str] = "usage_counted"
    input_tokens: int = Field(description="Tokens read by the model, cached ones included.")
    output_tokens: int = Field(description="Tokens written by the model.")
    cost_usd: float = Field(description="Cost in US dollars.")


class CheckpointSaved(Payload):
    kind: ClassVar[str] = "checkpoint_saved"
    commit: str = Field(description="Full id of the commit that holds everything.")
    commit_count: int = Field(description="Commits beyond the base.")
    files_changed: int = Field(description="Files that differ from the base.")
    notes: list[str] = Field(default=[], description="What could not be kept as it was, and why.")


class CheckpointShared(Payload):
    """The checkpoint went to a hidden ref of the remote, from where another server can go on; or it could not."""

    kind: ClassVar[str] = "checkpoint_shared"
    commit: str = Field(description="Full id of the commit.")
    problem: str | None = Field(default=None, description="Why it was not pushed, in one sentence; null: it was.")


class StepFinished(Payload):
    kind: ClassVar[str] = "step_finished"
    step_name: str = Field(description="Name of the step.")
    status: StepStatus = Field(description="How it ended.")
    duration_seconds: float = Field(description="How long it took, in seconds.")
    output: str | None = Field(default=None, description="What the step has to say, at most 16 kB.")
    error_message: str | None = Field(default=None, description="Why it failed, in one sentence.")
    cost_usd: float = Field(default=0.0, description="Cost in US dollars.")
    permission_denials: list[str] = Field(default=[], description="Tools that the agent asked for and was denied.")
    artifact_id: str | None = Field(
        default=None, description="Artifact that holds the whole, where the text here was cut."
    )


class CheckRun(Payload):
    """Evidence: the server ran this command on this commit, and this is how it ended."""

    kind: ClassVar[str] = "check_run"
    command: str = Field(description="The command.")
    source: str = Field(description="Where the command comes from.")
    exit_code: int | None = Field(description="Its exit code; null when it was stopped at its time limit.")
    passed: bool = Field(description="Whether the exit code was 0.")
    duration_seconds: float = Field(description="How long it took, in seconds.")
    commit: str = Field(description="Full id of the commit it ran on.")
    output_tail: str = Field(description="End of its output.")
    repair_round: int = Field(description="Repair turns of the agent before this run.")
    artifact_id: str | None = Field(default=None, description="Artifact that holds the whole output.")


class SetupRun(Payload):
    """The operator's set-up command ran in a new checkout, before the agent's first step."""

    kind: ClassVar[str] = "setup_run"
    command: str = Field(description="The command.")
    exit_code: int | None = Field(description="Its exit code; null when it was stopped at its time limit.")
    passed: bool = Field(description="Whether the exit code was 0.")
    duration_seconds: float = Field(description="How long it took, in seconds.")
    output_tail: str = Field(description="End of its output.")
    artifact_id: str | None = Field(default=None, description="Artifact that holds the whole output.")


class PolicyChecked(Payload):
    kind: ClassVar[str] = "policy_checked"
    passed: bool = Field(description="Whether the change may be pushed.")
    problems: list[str] = Field(description="What stands against it, one sentence each.")


class BranchPushed(Payload):
    kind: ClassVar[str] = "branch_pushed"
    branch: str = Field(description="Name of the branch.")
    commit: str = Field(description="Full id of the commit that was pushed.")


class PullRequestOpened(Payload):
    kind: ClassVar[str] = "pull_request_opened"
    url: str = Field(description="Address of the pull request.")
    number: int = Field(description="Its number.")
    created: bool = Field(description="False when the branch already had an open one.")


class OrderWaiting(Payload):
    kind: ClassVar[str] = "order_waiting"
    reason: WaitingReason = Field(description="What it waits for.")
    until: datetime | None = Field(description="When it goes on by itself; null: it will not.")
    message: str = Field(description="Why, in one sentence.")
    next_action: str = Field(description="What a person can do.")
    question: Question | None = Field(default=None, description="What is asked, where it waits for an approval.")


class ApprovalAnswered(Payload):
    kind: ClassVar[str] = "approval_answered"
    asked_seq: int = Field(description="`seq` of the event that asked.")
    gate: Gate = Field(description="Where it was asked.")
    answer: Verdict = Field(description="What was answered.")
    by: str = Field(description="Who answered, as far as it is known.")
    comment: str | None = Field(description="What the person wrote to it, at most 16 kB.")


class OrderResumed(Payload):
    kind: ClassVar[str] = "order_resumed"
    reason: str = Field(description="Why it goes on.")


class MessageReceived(Payload):
    kind: ClassVar[str] = "message_received"
    message_id: str = Field(description="Identifier of the message within the order.")
    author: str = Field(description="Who wrote it, as the agent is told.")
    text: str = Field(description="What the person wrote (Markdown), at most 16 kB.")


class MessageDelivered(Payload):
    """A turn of the agent has begun that was given these messages."""

    kind: ClassVar[str] = "message_delivered"
    message_ids: list[str] = Field(description="Identifiers of the messages within the order.")


class CancelRequested(Payload):
    kind: ClassVar[str] = "cancel_requested"


class LeaseLostEvent(Payload):
    """The server that ran the order went silent; the order goes on elsewhere or ends."""

    kind: ClassVar[str] = "lease_lost"
    worker_id: str | None = Field(description="The worker that went silent.")


class OrderFinished(Payload):
    kind: ClassVar[str] = "order_finished"
    status: Status = Field(description="How it ended.")
    summary: str = Field(description="What came of it, in one sentence.")
    failure_class: FailureClass | None = Field(default=None, description="Why it failed, in one word.")
    error_message: str | None = Field(default=None, description="Why it failed, in one sentence.")
    next_action: str | None = Field(default=None, description="What a person can do next.")


class FilesRemoved(Payload):
    """Clean-up took something of the order away that nobody needs any more; what was pushed stays."""

    kind: ClassVar[str] = "files_removed"
    removal_id: str = Field(description="Names the removal; an event that is told twice has the same.")
    what: Kind = Field(description="`checkout`, or `artifacts`: prompts, outputs and evidence.")
    size_bytes: int = Field(description="How large it was, in bytes.")
    reason: str = Field(description="Why it went.")


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
        step = "null" if self.step_order is None else self.step_order
        return (
            f'{{"seq":{self.seq},"at":"{_shown(self.at)}","kind":"{self.kind}","step_order":{step},'
            f'"attempt":{self.attempt},"payload":{self.payload}}}'
        )


@lru_cache(maxsize=64)
def _shown(at: datetime) -> str:
    """The events of a batch share one moment, and there are thousands of them in a second."""
    return at.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def draft(payload: Payload, step_order: int | None = None) -> Draft:
    """A draft of a payload that is known to hold no secret and no over-long text."""
    return Draft(payload.kind, payload.model_dump_json(), step_order)
