"""What a work order is, what filing one takes, and what it means to hold one."""

import hashlib
import json
import re
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import PurePosixPath
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, AwareDatetime, BaseModel, BeforeValidator, ConfigDict, Field

from .errors import FailureClass
from .gates import gates_of
from .grammar import model_problem
from .repository import RepositoryOptions, branch_problem
from .status import Status, StepStatus, WaitingReason
from .workflow import BUILT_IN, DEFAULT_WORKFLOW, Gate, StepPlan, plan_steps

MAX_TEXT_BYTES = 64 * 1024
_RFC3339 = re.compile(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}[Tt ][0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]{1,9})?([Zz]|[+-][0-9]{2}:[0-9]{2})"
)


def clean_text(value: str) -> str:
    """Refuses what no store, stream or process argument can carry."""
    if "\x00" in value:
        raise ValueError("must not contain NUL characters")
    try:
        size = len(value.encode())
    except UnicodeEncodeError:
        raise ValueError("must not contain lone surrogates") from None
    if size > MAX_TEXT_BYTES:
        raise ValueError(f"must be at most {MAX_TEXT_BYTES} bytes in UTF-8")
    return value


def _request(value: str) -> str:
    if not value.strip():
        raise ValueError("must say what is wanted")
    return clean_text(value)


def _branch(value: str) -> str:
    if problem := branch_problem(value):
        raise ValueError(problem)
    return value


def _subdir(value: str) -> str:
    path = PurePosixPath(clean_text(value))
    if path.is_absolute() or ".." in path.parts or any(ord(c) < 32 for c in value) or len(value) > 400:
        raise ValueError("must be a relative path inside the repository")
    if ".git" in (part.lower() for part in path.parts):
        raise ValueError("must not lie in .git")
    return "" if str(path) == "." else str(path)


def _model(value: str) -> str:
    if problem := model_problem(value):
        raise ValueError(problem)
    return value


def _key(value: str) -> str:
    if not re.fullmatch(r"[\x21-\x7e]{1,200}", value):
        raise ValueError("must be 1 to 200 visible ASCII characters without spaces")
    return value


def _issue(value: Any) -> Any:
    found = re.fullmatch(r"#?([0-9]{1,10})", value) if isinstance(value, str) else None
    return int(found.group(1)) if found else value


def _gates(value: Any) -> Any:
    if isinstance(value, bool) or (isinstance(value, list) and all(gate in ("plan", "push") for gate in value)):
        return list(dict.fromkeys(value)) if isinstance(value, list) else value
    raise ValueError("must be true, false or a list of `plan` and `push`")


def _moment(value: Any) -> Any:
    # Left to itself, pydantic also takes bare numbers and texts of digits, as seconds since 1970.
    if isinstance(value, datetime) or (isinstance(value, str) and _RFC3339.fullmatch(value)):
        return value
    raise ValueError("must be a time with an offset, such as 2030-01-31T08:00:00Z")


def _utc(value: datetime) -> datetime:
    try:
        return value.astimezone(UTC)
    except OverflowError:
        raise ValueError("must lie within the years 1 to 9999 in UTC") from None


Strict = ConfigDict(frozen=True, extra="forbid", strict=True)


class WorkOrderRequest(BaseModel):
    """What a person or an agent files. Everything but the first two fields has a sensible default."""

    model_config = ConfigDict(
        **Strict,
        json_schema_extra={
            "examples": [
                {
                    "repository_url": "https://github.com/owner/name",
                    "user_request": "Add a --json flag to the list command, with a test.",
                    "workflow_type": "agent_workflow_plan",
                }
            ]
        },
    )

    repository_url: Annotated[str, Field(description="https address of the repository: https://host/owner/name.")]
    user_request: Annotated[
        str, AfterValidator(_request), Field(description="What is wanted, in words (Markdown); at most 64 kB.")
    ]
    workflow_type: Annotated[
        str, AfterValidator(clean_text), Field(description="Name of a workflow; GET /api/awo/workflows lists them.")
    ] = DEFAULT_WORKFLOW
    selected_commands: Annotated[
        list[Annotated[str, AfterValidator(clean_text)]] | None,
        Field(max_length=20, description="Steps of the workflow to take, in its order; all of them when left out."),
    ] = None
    sandbox_type: Annotated[
        Literal["git_branch", "git_worktree"],
        Field(description="Accepted for compatibility; both are an isolated checkout with its own .git."),
    ] = "git_branch"
    github_issue_number: Annotated[
        Annotated[int, Field(ge=1, le=2**31 - 1)] | None,
        BeforeValidator(_issue),
        Field(description="Issue whose text is given to the agent and that the pull request closes."),
    ] = None
    base_branch: Annotated[
        Annotated[str, AfterValidator(_branch)] | None,
        Field(description="Branch to start from; the remote's own default branch when left out."),
    ] = None
    working_subdir: Annotated[
        Annotated[str, AfterValidator(_subdir)] | None,
        Field(description="Directory of the repository in which the agent works; its root when left out."),
    ] = None
    priority: Annotated[int, Field(ge=0, le=9, description="0 runs first, 9 last.")] = 5
    model: Annotated[
        Annotated[str, AfterValidator(_model)] | None,
        Field(description="Model for the agent; the configured one when left out."),
    ] = None
    timeout_seconds: Annotated[
        int | None,
        Field(ge=1, le=86_400, description="Longest time of one step, in seconds; the configured one if left out."),
    ] = None
    max_cost_usd: Annotated[
        float | None,
        Field(
            gt=0,
            le=10_000,
            allow_inf_nan=False,
            description="Most the order may cost, in US dollars; the configured limit if left out.",
        ),
    ] = None
    idempotency_key: Annotated[
        Annotated[str, AfterValidator(_key)] | None,
        Field(description="The same key gives the same work order; also the Idempotency-Key header."),
    ] = None
    run_after: Annotated[
        Annotated[AwareDatetime, Field(strict=False), BeforeValidator(_moment), AfterValidator(_utc)] | None,
        Field(description="Earliest start, RFC 3339 with an offset; at once when left out."),
    ] = None

    requires_approval: Annotated[
        bool | list[Literal["plan", "push"]],
        BeforeValidator(_gates),
        Field(
            description="Where it asks before it goes on: `plan` after planning, `push` before the push; true for "
            "both. Where the workflow asks, it asks in any case."
        ),
    ] = False

    def steps(self) -> tuple[StepPlan, ...]:
        """The steps this request asks for, or InvalidInput."""
        return plan_steps(self.workflow_type, self.selected_commands)

    def with_defaults(self, options: RepositoryOptions) -> Self:
        """The request with the repository's own defaults where it names none."""
        named = self.model_fields_set
        given = {
            name: value
            for name in ("workflow_type", "base_branch", "model", "max_cost_usd")
            if (value := getattr(options, name)) is not None and (name not in named or getattr(self, name) is None)
        }
        return self.model_copy(update=given)

    def fingerprint(self) -> str:
        """Equal for equal requests: what an idempotency key is held against (hex SHA-256)."""
        body = self.model_dump(mode="json", exclude={"idempotency_key"})
        if not self.requires_approval:  # so that keys from before there were approvals still fit
            del body["requires_approval"]
        return hashlib.sha256(json.dumps(body, sort_keys=True).encode()).hexdigest()


@dataclass(frozen=True)
class NewWorkOrder:
    """A validated request on its way into the store. `repository_key` is what limits and fairness count by.

    `step_names` and `gates` are given where the workflow is an operator's; `asked` is the request as it came, before
    the repository's own defaults filled it up: by that, and not by the defaults, a repeated request is known.
    """

    order_id: str
    request: WorkOrderRequest
    repository_url: str
    repository_key: str
    idempotency_key: str
    max_attempts: int = 3
    step_names: tuple[str, ...] | None = None
    asked: WorkOrderRequest | None = None
    gates: tuple[Gate, ...] | None = None

    @property
    def commands(self) -> list[str]:
        """Names of the steps that the order will take, in their order."""
        return list(self.step_names) if self.step_names is not None else [step.name for step in self.request.steps()]

    @property
    def approval_gates(self) -> list[str]:
        """Where the order will ask before it goes on, or InvalidInput."""
        if self.gates is not None:
            return list(self.gates)
        workflow = BUILT_IN[self.request.workflow_type]
        return list(gates_of(workflow, self.request.steps(), self.request.requires_approval))

    @property
    def fingerprint(self) -> str:
        """See WorkOrderRequest.fingerprint."""
        return (self.asked or self.request).fingerprint()


class WorkOrder(BaseModel):
    """A work order as everybody reads it. Money in US dollars, times in UTC."""

    model_config = ConfigDict(frozen=True)

    agent_work_order_id: str = Field(description="Identifier, `wo-` and 16 hexadecimal digits.")
    repository_url: str = Field(description="Address of the repository, normalised.")
    sandbox_identifier: str = Field(description="Name of the order's own checkout.")
    sandbox_type: str = Field(description="As filed.")
    git_branch_name: str | None = Field(default=None, description="Branch the server made for this order.")
    base_branch: str | None = Field(default=None, description="Branch the work starts from, once known.")
    working_subdir: str | None = Field(default=None, description="Directory the agent works in; null is the root.")
    agent_session_id: str | None = Field(default=None, description="The agent's session, one through all steps.")
    workflow_type: str = Field(description="Name of the workflow.")
    selected_commands: tuple[str, ...] = Field(description="The steps of this order, in their order.")
    user_request: str = Field(description="The request in words.")
    github_issue_number: int | None = Field(default=None, description="Issue the order is about.")
    status: Status = Field(description="Where the order stands.")
    waiting_reason: WaitingReason | None = Field(default=None, description="What a waiting order waits for.")
    waiting_until: datetime | None = Field(default=None, description="When it goes on by itself; null: it will not.")
    current_phase: str | None = Field(default=None, description="Name of the step that runs or ran last.")
    attempt: int = Field(description="Number of the attempt, from 1.")
    max_attempts: int = Field(description="Attempts before a crashing order is failed for good.")
    priority: int = Field(description="0 runs first, 9 last.")
    model: str | None = Field(default=None, description="Model asked for; null is the configured one.")
    timeout_seconds: int | None = Field(default=None, description="Longest time of one step, in seconds.")
    github_pull_request_url: str | None = Field(default=None, description="The pull request, once open.")
    git_commit_count: int = Field(default=0, description="Commits of the branch beyond its base.")
    git_files_changed: int = Field(default=0, description="Files that differ from the base.")
    cost_usd: float = Field(default=0.0, description="What the agent's turns cost so far, in US dollars.")
    input_tokens: int = Field(default=0, description="Tokens read by the model, cached ones included.")
    output_tokens: int = Field(default=0, description="Tokens written by the model.")
    max_cost_usd: float | None = Field(default=None, description="Most the order may cost, in US dollars.")
    approval_gates: tuple[Gate, ...] = Field(default=(), description="Where it asks a person before it goes on.")
    failure_class: FailureClass | None = Field(default=None, description="Why it failed, in one word.")
    error_message: str | None = Field(default=None, description="Why it failed or waits, in one sentence.")
    next_action: str | None = Field(default=None, description="What a person can do next.")
    worker_id: str | None = Field(default=None, description="Who runs it now.")
    last_seq: int = Field(description="Number of the journal's last event.")
    cancel_requested_at: datetime | None = Field(default=None, description="When somebody asked to cancel it.")
    run_after: datetime | None = Field(default=None, description="Earliest start.")
    created_at: datetime = Field(description="When it was filed.")
    started_at: datetime | None = Field(default=None, description="When it first ran.")
    finished_at: datetime | None = Field(default=None, description="When it ended.")
    updated_at: datetime = Field(description="When its state last changed.")
    archived_at: datetime | None = Field(default=None, description="When it was put away; null: it is in the lists.")
    # What the server keeps for itself; the API leaves these out.
    repository_key: str = Field(exclude=True)
    base_commit: str | None = Field(default=None, exclude=True)
    next_step: int = Field(default=1, exclude=True)
    rev: int = Field(default=0, exclude=True)


class Step(BaseModel):
    """One step of one attempt, as everybody reads it."""

    model_config = ConfigDict(frozen=True)

    step_order: int = Field(description="Place in the order's plan, from 1.")
    step_name: str = Field(description="Name of the step.")
    agent_name: str = Field(description="`claude`, or `archon` for what the server does itself.")
    attempt: int = Field(description="The attempt it belongs to, from 1.")
    status: StepStatus = Field(description="How it stands.")
    success: bool | None = Field(default=None, description="Null while it runs.")
    output: str | None = Field(default=None, description="What the step has to say, at most 16 kB.")
    error_message: str | None = Field(default=None, description="Why it failed, in one sentence.")
    duration_seconds: float | None = Field(
        default=None, description="How long it took, in seconds; null while it runs."
    )
    session_id: str | None = Field(default=None, description="The agent's session.")
    cost_usd: float = Field(default=0.0, description="Its own cost, in US dollars.")
    input_tokens: int = Field(default=0, description="Tokens read by the model in it, cached ones included.")
    output_tokens: int = Field(default=0, description="Tokens written by the model in it.")
    started_at: datetime = Field(description="When it began.")
    finished_at: datetime | None = Field(default=None, description="When it ended.")


class Artifact(BaseModel):
    """A file that an order left, by reference. `path` is relative to the order's folder."""

    model_config = ConfigDict(frozen=True)

    artifact_id: str = Field(description="Unique within the order.")
    artifact_type: str = Field(description="`prompt`, `output`, `diff` or `evidence`.")
    step_name: str | None = Field(default=None, description="The step that left it.")
    attempt: int = Field(default=1, description="The attempt that left it, from 1.")
    path: str = Field(description="Where it lies in the order's folder.")
    media_type: str = Field(default="text/plain; charset=utf-8", description="Its media type.")
    size_bytes: int = Field(description="Its size, in bytes.")
    created_at: datetime | None = Field(default=None, description="When it was left.")


@dataclass(frozen=True)
class Claim:
    """One worker's right to act on one order. The token fences: every later write presents it."""

    order: WorkOrder
    worker_id: str
    token: int
    lease_expires_at: datetime
    steps: tuple[Step, ...] = ()
    # Nothing else was pending: whoever asks again at once asks in vain. A store that does not know says False.
    was_last: bool = False

    @property
    def order_id(self) -> str:
        return self.order.agent_work_order_id


@dataclass(frozen=True)
class Renewal:
    """What a renewed lease tells its holder."""

    lease_expires_at: datetime
    cancel_requested: bool
    # Whether somebody wrote what the run has not heard yet.
    messages: bool = False


@dataclass(frozen=True)
class StepResult:
    """How a step ended; costs are this step's own, never cumulative."""

    step_order: int
    step_name: str
    agent_name: str
    status: StepStatus
    duration_seconds: float
    output: str | None = None
    error_message: str | None = None
    session_id: str | None = None
    cost_usd: float = 0.0
    input_tokens: int = 0
    output_tokens: int = 0


@dataclass(frozen=True)
class OrderChanges:
    """What a run learns about its order. None leaves a field as it is."""

    current_phase: str | None = None
    git_branch_name: str | None = None
    base_branch: str | None = None
    base_commit: str | None = None
    agent_session_id: str | None = None
    github_pull_request_url: str | None = None
    git_commit_count: int | None = None
    git_files_changed: int | None = None

    def given(self) -> Mapping[str, str | int]:
        """Only the fields that were given."""
        return {name: value for name, value in vars(self).items() if value is not None}


@dataclass(frozen=True)
class Outcome:
    """How an order ends. `summary` is one sentence for people, whatever the status.

    Where somebody has written meanwhile, it does not end but goes on at `follow_up_step`, if it had come that far.
    """

    status: Status
    summary: str
    failure_class: FailureClass | None = None
    error_message: str | None = None
    next_action: str | None = None
    follow_up_step: int | None = None


def new_order_id() -> str:
    """`wo-` and 16 hexadecimal digits, from the system's random source."""
    return f"wo-{secrets.token_hex(8)}"


def utc_now() -> datetime:
    """This machine's time; the store's own clock decides about leases."""
    return datetime.now(UTC)
