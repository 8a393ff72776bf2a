"""Everything the workflow, the worker and the API need from the outside world, on one page."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Protocol

from anyio.lowlevel import checkpoint

from .domain.errors import FailureClass
from .domain.events import Draft, Event, Payload
from .domain.redaction import Redactor
from .domain.repository import Repository
from .domain.setting import AuditEntry, Offer, SecretView, SettingsPage, Subject, TestResult
from .domain.status import Status, WaitingReason
from .domain.work_order import (
    Artifact,
    Claim,
    NewWorkOrder,
    OrderChanges,
    Outcome,
    Renewal,
    Step,
    StepResult,
    WorkOrder,
)

# --- Store -----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Enqueued:
    """`created` is False when the idempotency key had been used for the same request before."""

    order: WorkOrder
    created: bool


@dataclass(frozen=True)
class ListQuery:
    """A page of orders, newest first. `before` is the (created_at, id) of the last one seen."""

    statuses: frozenset[Status] = frozenset()
    repository_key: str | None = None
    text: str | None = None
    limit: int = 50
    before: tuple[datetime, str] | None = None


@dataclass(frozen=True)
class Reaped:
    """An order taken from a worker that went silent, and where it went."""

    order_id: str
    worker_id: str
    status: Status


@dataclass(frozen=True)
class Counts:
    """The queue at a glance. `leases` are (order id, worker id, expires at) of what runs."""

    by_status: dict[Status, int]
    oldest_pending_at: datetime | None
    leases: tuple[tuple[str, str, datetime], ...]


class Store(Protocol):
    """Durable state, one transaction a call, every call safe to repeat.

    The contract is the numbered list in `tests/agent_work_orders/contracts/store_contract.py`. Calls that take a claim
    raise LostLease when its token is stale, and change nothing. StoreUnavailable means: the same call may be repeated.
    Transitions write their own events (order_enqueued, order_claimed, order_waiting, order_resumed, lease_lost,
    order_finished; cancel_requested where no worker holds the order) in the same transaction.
    """

    # How long a journal may hold events back to send fewer, larger batches.
    append_delay: timedelta

    async def enqueue(self, new: NewWorkOrder) -> Enqueued: ...
    async def get(self, order_id: str) -> WorkOrder: ...
    async def steps(self, order_id: str) -> list[Step]: ...
    async def list_orders(self, query: ListQuery) -> list[WorkOrder]: ...
    async def counts(self) -> Counts: ...
    async def check(self) -> None:
        """Raises StoreUnavailable, with the cause and the next action, when the state cannot be used."""
        ...

    async def claim(
        self, worker_id: str, request_id: str, lease: timedelta, limit_per_repository: int
    ) -> Claim | None: ...
    async def renew(self, claim: Claim, lease: timedelta) -> Renewal: ...
    async def append(self, claim: Claim, first_seq: int, drafts: Sequence[Draft]) -> int:
        """The journal's new last seq. What is already there is dropped; a gap raises SequenceGap."""
        ...

    async def record(self, claim: Claim, changes: OrderChanges) -> None: ...
    async def start_step(self, claim: Claim, step_order: int, step_name: str, agent_name: str) -> None: ...
    async def finish_step(self, claim: Claim, result: StepResult) -> None:
        """Also adds the step's cost and tokens to the order and, if completed or skipped, moves `next_step`."""
        ...

    async def finish(self, claim: Claim, outcome: Outcome) -> WorkOrder: ...
    async def wait(
        self, claim: Claim, reason: WaitingReason, until: datetime | None, message: str, next_action: str
    ) -> WorkOrder: ...
    async def release(self, claim: Claim) -> None:
        """The claim goes back unharmed: pending again, the same attempt, in its old place of the queue."""
        ...

    async def resume(self, order_id: str, reason: str) -> WorkOrder: ...
    async def cancel(self, order_id: str) -> WorkOrder: ...
    async def retry(self, order_id: str, from_step: int | None) -> WorkOrder: ...
    async def delete(self, order_id: str) -> None: ...
    async def reap(self, limit: int, dead_workers: Sequence[str] = ()) -> list[Reaped]:
        """Takes back claims whose lease expired, and all those of workers known to be dead."""
        ...

    async def events(
        self,
        order_id: str,
        *,
        after_seq: int | None = None,
        before_seq: int | None = None,
        kinds: frozenset[str] = frozenset(),
        limit: int = 500,
    ) -> list[Event]:
        """Ascending by seq; with `before_seq` the last `limit` before it."""
        ...

    async def changes(self, after_rev: int, limit: int = 200) -> list[WorkOrder]:
        """Orders whose state changed after `after_rev`, ascending by rev, each once with its newest state."""
        ...

    async def last_rev(self) -> int: ...
    async def put_artifact(self, claim: Claim, artifact: Artifact) -> None: ...
    async def artifacts(self, order_id: str) -> list[Artifact]: ...

    # Returns at once when it is known here that there is something to see, else after `at_most`.
    async def wait_for_work(self, at_most: timedelta) -> None: ...
    async def wait_for_events(self, order_id: str, after_seq: int, at_most: timedelta) -> None: ...
    async def wait_for_change(self, after_rev: int, at_most: timedelta) -> None: ...
    async def wait_for_cancel(self, order_id: str, at_most: timedelta) -> None: ...


# --- Checkouts -------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Checkpoint:
    """A commit of everything in the checkout, held by the server-owned mirror. Counts are against the base commit."""

    commit: str
    tree: str
    changed: bool
    commit_count: int
    files_changed: int


@dataclass(frozen=True)
class FileDiff:
    """One file of a diff. `patch` is None for binary files; `status` is added, deleted, modified or renamed."""

    path: str
    old_path: str | None
    status: str
    additions: int
    deletions: int
    patch: str | None


@dataclass(frozen=True)
class Diff:
    """The branch of an order against its base; full commit ids."""

    base_commit: str
    head_commit: str
    files: tuple[FileDiff, ...]


class Checkout(Protocol):
    """An order's own working tree, with its own .git. The agent may write anything in it; nothing of it is trusted."""

    root: Path
    workdir: Path
    branch: str
    base_branch: str
    base_commit: str
    resumed: bool

    @property
    def notes(self) -> tuple[str, ...]:
        """What a person should know about it, one sentence each; a checkpoint may add to it."""
        ...

    async def checkpoint(self, label: str, message: str) -> Checkpoint:
        """The agent's commits and everything uncommitted, saved in the mirror as one commit on top of them."""
        ...

    async def push(self, commit: str, token: str | None) -> None:
        """Pushes `commit` as the order's branch, from the mirror; else StepFailed (auth, conflict, network, git)."""
        ...

    async def diff(self, head_commit: str) -> Diff: ...


class Checkouts(Protocol):
    """Mirrors and checkouts on the volume."""

    async def open(
        self,
        order: WorkOrder,
        repository: Repository,
        branch: str,
        token: str | None,
        progress: Callable[[str, int], None],
    ) -> Checkout:
        """The order's checkout: as it was left if it is still there, else from its last checkpoint, else from the base.

        `progress(phase, percent)` tells how a first clone goes. Else StepFailed (auth, network, git, disk).
        """
        ...

    async def diff(self, order: WorkOrder, repository: Repository) -> Diff:
        """The last checkpoint against the base, from the mirror; NotFound when there is none yet."""
        ...

    async def remove(self, order: WorkOrder, repository: Repository) -> None:
        """The order's checkout, its refs and nothing else."""
        ...


# --- Agent and checks ------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class AgentTurn:
    """One turn of the agent: a prompt in a directory. Output goes to files in `run_dir`; `home` is the order's own."""

    run_id: str
    prompt: str
    cwd: Path
    home: Path
    run_dir: Path
    session_id: str | None
    model: str | None
    read_only: bool
    timeout: timedelta
    stall_timeout: timedelta
    max_cost_usd: float | None
    credentials: dict[str, str] = field(default_factory=dict, repr=False)
    # Awaited between slices of output: it lets the loop go on, and waits while the listener is behind.
    give_way: Callable[[], Awaitable[None]] = checkpoint


@dataclass(frozen=True)
class AgentFailure:
    """Why a turn failed. `retry_at` is set where the model's side said when to come back."""

    failure_class: FailureClass
    message: str
    next_action: str
    retry_at: datetime | None = None


@dataclass(frozen=True)
class AgentResult:
    """How a turn ended, read after the last process of it was gone. Usage is this turn's own."""

    text: str
    session_id: str | None
    input_tokens: int
    output_tokens: int
    cost_usd: float
    permission_denials: tuple[str, ...]
    stdout: Path
    failure: AgentFailure | None = None


class Agent(Protocol):
    """A command-line coding agent."""

    async def run(self, turn: AgentTurn, tell: Callable[[Payload], None]) -> AgentResult:
        """Runs the turn to its end, telling its events in order, never blocking on the listener.

        Whatever happens, also on cancellation, no process of the turn is left when this returns or raises.
        """
        ...

    async def describe(self) -> str:
        """Name and version, such as `claude 2.1.197`; StepFailed with the next action when it cannot be started."""
        ...


@dataclass(frozen=True)
class CheckResult:
    """How a check command ended. `exit_code` is None when it was stopped at its time limit."""

    exit_code: int | None
    duration: timedelta
    output_tail: str
    output: Path


class Checks(Protocol):
    """Runs a repository's own check under the agent's confinement and limits."""

    async def run(
        self, run_id: str, command: Sequence[str], cwd: Path, home: Path, run_dir: Path, timeout: timedelta
    ) -> CheckResult:
        """stdout and stderr together in one file; nothing of it runs on when this returns or raises."""
        ...


# --- Forge, secrets --------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Issue:
    number: int
    title: str
    body: str
    url: str


@dataclass(frozen=True)
class PullRequest:
    """`created` is False when the branch already had an open one."""

    url: str
    number: int
    created: bool


class Forge(Protocol):
    """Where pull requests live. Failures are StepFailed with class and next action, or MustWait for a rate limit."""

    async def issue(self, repository: Repository, number: int) -> Issue: ...
    async def open_pull_request(
        self, repository: Repository, *, branch: str, base: str, title: str, body: str
    ) -> PullRequest:
        """The open pull request of the branch; made if there is none, never twice."""
        ...


class Secrets(Protocol):
    """Secrets by name: `GITHUB_TOKEN`, `ANTHROPIC_API_KEY`, `CLAUDE_CODE_OAUTH_TOKEN`."""

    async def get(self, name: str, repository: Repository | None = None) -> str | None:
        """None if there is none. StepFailed (auth) for one that is stored and cannot be opened; StoreUnavailable.

        One that was saved for the repository comes before the one for all.
        """
        ...


class SecretKeeper(Secrets, Protocol):
    """Secrets that people may replace. With a repository, the one that is for this repository alone."""

    def variable(self, name: str) -> str | None:
        """The environment variable that gives it and so keeps people from replacing it; None if there is none."""
        ...

    async def save(self, name: str, value: str, repository: Repository | None = None) -> None:
        """Encrypted at rest. StoreUnavailable, and nothing has changed."""
        ...

    async def remove(self, name: str, repository: Repository | None = None) -> None:
        """No error if there is none. StoreUnavailable, and nothing has changed."""
        ...

    async def repositories(self, name: str) -> list[str]:
        """Keys of the repositories that have one of their own."""
        ...


# --- Settings --------------------------------------------------------------------------------------------------------


class StoredSettings(Protocol):
    """Settings that people save: texts by the name of their variable. No secrets."""

    async def load(self) -> dict[str, str]:
        """All that are saved, as they are now on whatever server; StoreUnavailable."""
        ...

    async def save(self, changes: Mapping[str, str | None]) -> None:
        """All or none; None takes one away. StoreUnavailable, and nothing has changed."""
        ...


class AuditLog(Protocol):
    """Who changed which setting. The store keeps it."""

    async def audit_append(self, by: str, setting: str, action: str, old: str | None, new: str | None) -> None: ...
    async def audit_page(self, limit: int, before: int | None = None, setting: str | None = None) -> list[AuditEntry]:
        """Newest first; only entries below `before`, only of one setting."""
        ...


class SettingsDesk(Protocol):
    """What the API does with settings. `by` says who asked."""

    async def read(self) -> SettingsPage: ...
    async def change(self, changes: Mapping[str, object], version: str, by: str) -> SettingsPage:
        """All or nothing. None puts a setting back to what the other sources say.

        InvalidInput names every setting that is wrong; SettingsChanged when `version` (`*` for any) is not the newest.
        """
        ...

    async def save_secret(self, name: str, value: str, by: str, repository_url: str | None) -> SecretView: ...
    async def remove_secret(self, name: str, by: str, repository_url: str | None) -> SecretView: ...
    async def audit(self, limit: int, before: int | None) -> list[AuditEntry]: ...
    async def test(self, subject: Subject, offer: Offer) -> TestResult: ...


# --- The toolbox -----------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Limits:
    """What a run must keep to; read anew for every order, so that changes take effect without a restart."""

    slots: int
    per_repository: int
    lease: timedelta
    step_timeout: timedelta
    stall_timeout: timedelta
    max_cost_usd: float | None
    model: str | None
    verify_command: str | None
    commands_dir: Path | None


@dataclass(frozen=True)
class Tools:
    """What plugin.py hands down: the only way the workflow reaches anything."""

    store: Store
    checkouts: Checkouts
    agent: Agent
    checks: Checks
    forge: Forge
    secrets: Secrets
    redactor: Redactor
    limits: Callable[[], Limits]
    repository: Callable[[str], Repository]
    work_orders_dir: Path
    rehearsal: bool = False
