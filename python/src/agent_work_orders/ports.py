"""Everything the workflow, the worker and the API need from the outside world, on one page."""

from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Protocol

from anyio import Event as Signal
from anyio.lowlevel import checkpoint

from .domain.conversation import Answer, Approval, Asking, Message, NewMessage
from .domain.errors import FailureClass
from .domain.events import Draft, Event, Payload
from .domain.exported import Census, ExportedOrder, Surroundings
from .domain.redaction import Redactor
from .domain.registry import Configuration, RegistryEntry, Verification
from .domain.repository import Repository, RepositoryOptions
from .domain.retention import Aside, Kept, Marks, Reason, Space
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
from .domain.workflow import Workflows

NO_OPTIONS = RepositoryOptions()

# --- Store -----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Enqueued:
    """`created` is False when the idempotency key had been used for the same request before."""

    order: WorkOrder
    created: bool


@dataclass(frozen=True)
class Sent:
    """A message and its order as it then is. `created` is False when its idempotency key had been used before."""

    order: WorkOrder
    message: Message
    created: bool


@dataclass(frozen=True)
class ListQuery:
    """A page of orders, newest first. `before` is the (created_at, id) of the last one seen."""

    statuses: frozenset[Status] = frozenset()
    repository_key: str | None = None
    text: str | None = None
    limit: int = 50
    before: tuple[datetime, str] | None = None
    # Only those that are put away, or only the others.
    archived: bool = False


@dataclass(frozen=True)
class Reaped:
    """An order taken from a worker that went silent, and where it went."""

    order_id: str
    worker_id: str
    status: Status


@dataclass(frozen=True)
class StepStart:
    """A step that a run begins."""

    step_order: int
    step_name: str
    agent_name: str


@dataclass(frozen=True)
class Batch:
    """What a run has to write down, in the order in which it happened: one batch holds one step's end at most.

    Events are numbered from `first_seq` on. A batch is repeated as it was, never cut anew.
    """

    first_seq: int
    started: StepStart | None = None
    changes: OrderChanges | None = None
    artifacts: tuple[Artifact, ...] = ()
    drafts: tuple[Draft, ...] = ()
    finished: StepResult | None = None


@dataclass(frozen=True)
class Written:
    """The journal's new last seq, and what the renewed lease tells its holder."""

    last_seq: int
    renewal: Renewal


@dataclass(frozen=True)
class Counts:
    """The queue at a glance. `leases` are (order id, worker id, expires at) of what runs."""

    by_status: dict[Status, int]
    oldest_pending_at: datetime | None
    leases: tuple[tuple[str, str, datetime], ...]


@dataclass(frozen=True)
class OrderDetail:
    """One order, the steps that were taken so far, and all that it ever asked, oldest first."""

    order: WorkOrder
    steps: list[Step]
    approvals: list[Approval]


class Store(Protocol):
    """Durable state, one transaction a call, every call safe to repeat.

    The contract is the numbered list in `tests/agent_work_orders/contracts/store_contract.py`. Calls that take a claim
    raise LostLease when its token is stale, and change nothing. StoreUnavailable means: the same call may be repeated.
    Transitions write their own events (order_enqueued, order_claimed, order_waiting, approval_answered, order_resumed,
    lease_lost, order_finished; cancel_requested and message_received where no worker holds the order) in the same
    transaction.
    """

    # How long a journal may hold events back to send fewer, larger batches.
    append_delay: timedelta

    async def enqueue(self, new: NewWorkOrder) -> Enqueued: ...
    async def get(self, order_id: str) -> WorkOrder: ...
    async def detail(self, order_id: str) -> OrderDetail:
        """What a person sees of one order, in one request where the store can."""
        ...

    async def find(self, order_ids: Sequence[str]) -> list[WorkOrder]:
        """Those of these that exist, in no order."""
        ...

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

    async def write(self, claim: Claim, batch: Batch, lease: timedelta) -> Written:
        """All of a batch in one transaction, which also renews the lease.

        The same as start_step, record, put_artifact, append and finish_step, one after the other. A batch whose first
        event is there was written before: then only the lease is renewed.
        """
        ...

    async def record(self, claim: Claim, changes: OrderChanges) -> None: ...
    async def start_step(self, claim: Claim, step_order: int, step_name: str, agent_name: str) -> None: ...
    async def finish_step(self, claim: Claim, result: StepResult) -> None:
        """Also adds the step's cost and tokens to the order and, if completed or skipped, moves `next_step`."""
        ...

    async def finish(self, claim: Claim, outcome: Outcome) -> WorkOrder:
        """Ends the order; it is pending again, as its next attempt, where a message was not delivered yet."""
        ...

    async def ask(self, claim: Claim, asking: Asking) -> WorkOrder:
        """Parks the order until a person has answered; the event that asks is the question's identity."""
        ...

    async def hear(self, claim: Claim, first_seq: int) -> list[Message]:
        """What the agent was not given yet, oldest first. New messages are told in the journal from `first_seq` on."""
        ...

    async def deliver(self, claim: Claim, message_ids: Sequence[str]) -> None:
        """A turn of the agent that was given these messages has ended, and its work is kept."""
        ...

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
    async def answer(self, order_id: str, given: Answer) -> WorkOrder:
        """The first answer to a question counts; AlreadyAnswered says who gave it. WrongState when it is not open."""
        ...

    async def send_message(self, order_id: str, new: NewMessage) -> Sent:
        """Lays a message before the order's agent: before its next turn, or in a new attempt if the order has ended."""
        ...

    async def approvals(self, order_id: str) -> list[Approval]: ...
    async def messages(self, order_id: str) -> list[Message]: ...
    async def save_repository(self, wanted: Configuration, version: int | None, by: str) -> RegistryEntry:
        """What an operator says of a repository, as a whole. `version` is the one that was read: 0 for none yet, None
        for whatever is there; SettingsChanged, or NotFound, when it is another. A new limit holds at the next claim.
        """
        ...

    async def forget_repository(self, key: str, version: int | None) -> None:
        """Nothing of what was configured stays; its orders do. Errors as in `save_repository`."""
        ...

    async def note_verification(self, key: str, verification: Verification) -> RegistryEntry:
        """Kept with the time; no change of the version. NotFound if it is not configured."""
        ...

    async def repositories(
        self, limit: int = 200, after: str | None = None, *, everything: bool = False
    ) -> list[RegistryEntry]:
        """By key, only those behind `after`; configured ones, or also those that orders merely named."""
        ...

    async def repository(self, key: str) -> RegistryEntry | None:
        """None for one that nobody ever named."""
        ...

    async def archive(self, order_id: str) -> WorkOrder:
        """Puts an order that has ended away: out of the lists, and nobody retries it before it is back."""
        ...

    async def unarchive(self, order_id: str) -> WorkOrder: ...
    async def reap(self, limit: int, dead_workers: Sequence[str] = ()) -> list[Reaped]:
        """Takes back claims whose lease expired, and all those of workers known to be dead."""
        ...

    async def take_duty(self, duty: str, worker_id: str, lease: timedelta) -> bool:
        """Whether the duty is this worker's for a lease from now: it was free, run out, or its own already."""
        ...

    async def remark(self, remarks: Sequence[tuple[str, Payload]]) -> list[bool]:
        """Adds events, each with the order it is for, to the journals of orders that have ended, all at once.

        False, and nothing is added, for any other order. The same payload again is there once.
        """
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

    # Whether it was ready before anybody asked.
    prepared: bool

    @property
    def set_up(self) -> bool:
        """Whether what the repository's set-up command makes is in it."""
        ...

    @property
    def notes(self) -> tuple[str, ...]:
        """What a person should know about it, one sentence each; a checkpoint may add to it."""
        ...

    async def keep_set_up(self) -> None:
        """The set-up command has ended well: what it made is no change of the order's, and later checkouts get it."""
        ...

    async def checkpoint(self, label: str, message: str) -> Checkpoint:
        """The agent's commits and everything uncommitted, saved in the mirror as one commit on top of them."""
        ...

    async def put_back(self, commit: str) -> None:
        """The files as they are in a checkpoint: what came since, as checks leave it, goes. Ignored files stay."""
        ...

    async def push(self, commit: str, token: str | None) -> None:
        """Pushes `commit` as the order's branch, from the mirror; else StepFailed (auth, conflict, network, git)."""
        ...

    async def share(self, commit: str, token: str | None) -> None:
        """Pushes a checkpoint to the order's hidden ref of the remote, for servers with another disk; else StepFailed.

        What another server has put there meanwhile is not overwritten: StepFailed (conflict).
        """
        ...

    async def diff(self, head_commit: str) -> Diff: ...
    async def rest(self) -> None:
        """Nobody works in it for now: what `Checkouts.open` can put there again takes less room. After a checkpoint."""
        ...


@dataclass(frozen=True)
class TakenOver:
    """`complete` is False when the order's newest checkpoint is out of reach. `notes` are for a person to read."""

    complete: bool
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class MirrorView:
    """A mirror as people see it. `last_fetched_at` is when it was last known to be as new as its remote."""

    repository_key: str
    size_bytes: int
    last_fetched_at: datetime | None
    orders: int


class Checkouts(Protocol):
    """Mirrors and checkouts on the volume."""

    def expect(
        self,
        order: WorkOrder,
        repository: Repository,
        token: Callable[[], Awaitable[str | None]],
        *,
        options: RepositoryOptions = NO_OPTIONS,
    ) -> None:
        """The order will want its checkout at once: a repository that is not here yet begins to come.

        Best effort: nothing is waited for, what goes wrong is said by `open`, and what nobody comes for is stopped.
        """
        ...

    async def open(
        self,
        order: WorkOrder,
        repository: Repository,
        branch: str,
        token: str | None,
        progress: Callable[[str, int], None],
        *,
        options: RepositoryOptions = NO_OPTIONS,
    ) -> Checkout:
        """The order's checkout: as it was left if it is still there, else from its last checkpoint, else from the base.

        `progress(phase, percent)` tells how a first clone goes. Else StepFailed (auth, network, git, disk).
        """
        ...

    async def diff(self, order: WorkOrder, repository: Repository) -> Diff:
        """The last checkpoint against the base, from the mirror; NotFound when there is none yet."""
        ...

    async def take_over(
        self,
        order: WorkOrder,
        repository: Repository,
        branch: str,
        token: str | None,
        commits: Sequence[str],
        progress: Callable[[str, int], None],
        *,
        options: RepositoryOptions = NO_OPTIONS,
    ) -> TakenOver:
        """Before `open`: the order's newest checkpoint, from the remote if it is not on this disk.

        `commits` are the checkpoints that its journal names, oldest first: nothing else is taken from the remote.
        Else StepFailed (auth, network, git, disk).
        """
        ...

    async def unshare(self, order_id: str, repository: Repository, token: str | None) -> None:
        """Takes the order's hidden ref away from the remote, if this server knows of one; else StepFailed."""
        ...

    async def save(self, order: WorkOrder, repository: Repository) -> None:
        """A last checkpoint of a checkout that nobody works in, if it is there; else StepFailed."""
        ...

    async def remove(self, order: WorkOrder, repository: Repository) -> None:
        """The order's checkout, its refs and nothing else."""
        ...

    async def clean_up(self, order: WorkOrder, repository: Repository) -> None:
        """Runs the operator's clean-up command in the order's checkout, if there are both. Before the checkout goes."""
        ...

    async def run(self, stopping: Signal) -> None:
        """Makes checkouts ready before anybody asks for them, until the server stops; holds up nobody who waits."""
        ...

    async def mirrors(self) -> list[MirrorView]:
        """The mirrors on this server's disk, as they are now."""
        ...


@dataclass(frozen=True)
class Survey:
    """What of ours lies on the disk, and what could not be looked at, one sentence each."""

    kept: tuple[Kept, ...]
    problems: tuple[str, ...] = ()


@dataclass(frozen=True)
class PutAside:
    """What became of things that were to go: what is gone, what of it is to be told, and what would not go and why."""

    gone: tuple[Kept, ...] = ()
    asides: tuple[Aside, ...] = ()
    refused: tuple[tuple[Kept, str], ...] = ()


class Volume(Protocol):
    """Everything of ours on this server's disk, for clean-up. Touches nothing else, follows no link, enters no other
    file system."""

    def alone(self) -> AbstractContextManager[bool]:
        """The right to clean the disk, for one process at a time; False at once if another one has it."""
        ...

    def space(self) -> tuple[Space, Marks]: ...
    def has_room_for(self, order_id: str) -> bool:
        """Whether an order that waits for room may try again."""
        ...

    def turned_away(self, still_waiting: Collection[str] | None = None) -> bool:
        """Whether orders were told here that there is no room; of those only the ones that still wait count."""
        ...

    async def size_of(self, paths: Sequence[Path]) -> int:
        """What these trees take on the disk now, in bytes."""
        ...

    async def survey(self) -> Survey:
        """Sizes may be an hour old."""
        ...

    async def unsaved(self, order_id: str, *, changed: bool) -> str | None:
        """Why the order's work must stay: it has commits, or may have, that no remote has; None if it has not.

        `changed`: the order is known to have changed files.
        """
        ...

    async def put_aside(self, reason: Reason, still: Callable[[], Awaitable[Sequence[Kept]]]) -> PutAside:
        """Renames aside what `still` says may go; no order can be opened in between, so let these be few.

        What cannot be renamed stays as it was. Of a `Kind.ORDER` it is what the mirrors remember.
        """
        ...

    async def spare_refs(self, order_id: str) -> list[str]:
        """Keys of repositories on whose remotes the order has a hidden ref, where its work is in branches as well."""
        ...

    async def untold(self) -> list[Aside]:
        """What was put aside, before or after a crash, and whose removal was not written down."""
        ...

    async def told(self, asides: Sequence[Aside]) -> None: ...
    async def sweep(self, at_most: timedelta) -> tuple[bool, list[str]]:
        """Deletes what was put aside and told of; whether all that can go is gone, and what could not and why."""
        ...


class Branches(Protocol):
    """What an order keeps in its mirror, as files: its refs, and a bundle of what it has beyond its base commit."""

    async def bundle(self, order: WorkOrder, repository: Repository, folder: Path) -> bool:
        """Into an empty folder; False, and nothing is written, if the order keeps nothing."""
        ...

    async def unbundle(self, order: WorkOrder, repository: Repository, token: str | None, folder: Path) -> None:
        """What `bundle` wrote, perhaps on another volume; else StepFailed (auth, network, git, disk).

        The base commit comes from the remote, so that has to be reachable where the mirror is gone.
        """
        ...


class Archive(Protocol):
    """Where orders that have ended are put away. Failures are StepFailed (disk, network, auth, git)."""

    async def archive(self, order_id: str) -> WorkOrder:
        """Out of the lists, its files on the shelf and gone from here; again, it finishes what was begun."""
        ...

    async def unarchive(self, order_id: str) -> WorkOrder:
        """Back with its files, also on a server that never knew it; NotFound where the shelf has none of it."""
        ...

    async def forget(self, order_id: str) -> None:
        """Takes an order's files from the shelf; no error if there are none."""
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
    # The operator's own variables for this repository.
    environment: Mapping[str, str] = field(default_factory=dict, repr=False)
    # Whether the agent may load the repository's own instructions, settings and hooks.
    trusted: bool = False
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
        self,
        run_id: str,
        command: Sequence[str],
        cwd: Path,
        home: Path,
        run_dir: Path,
        timeout: timedelta,
        *,
        environment: Mapping[str, str] | None = None,
    ) -> CheckResult:
        """stdout and stderr together in one file; nothing of it runs on when this returns or raises.

        `environment` comes on top of what every check sees; its names passed `domain.checkout_options`.
        """
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


class Transfers(Protocol):
    """Whole orders out of a store and into another. What is there twice is there once: every import may be repeated."""

    async def export_order(self, order_id: str) -> ExportedOrder:
        """The order with all that hangs on it, as of one instant; NotFound, also when it is deleted meanwhile."""
        ...

    async def import_order(self, exported: ExportedOrder) -> bool:
        """The order as it was exported, whole or not at all; its `rev` alone is new. False if it is there already.

        WrongState if another one is there by its id, or if it holds what this store does not know;
        IdempotencyConflict if another one has its idempotency key.
        """
        ...

    async def export_surroundings(self) -> Surroundings: ...
    async def import_surroundings(self, given: Surroundings) -> None:
        """Adds what is not there; of a repository that is there only its place in the line moves on."""
        ...

    async def census(self) -> Census: ...


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


class Registry(Protocol):
    """What the API does with repositories. `by` says who asked; `version` as in Store.save_repository."""

    async def page(self, limit: int, after: str | None) -> list[RegistryEntry]: ...
    async def read(self, key: str) -> RegistryEntry:
        """NotFound for one that is not configured."""
        ...

    async def configure(
        self, repository: Repository, options: RepositoryOptions, display_name: str | None, by: str
    ) -> RegistryEntry:
        """A repository that was not configured before; else SettingsChanged. InvalidInput names the options."""
        ...

    async def change(self, key: str, changes: Mapping[str, object], version: int | None, by: str) -> RegistryEntry:
        """Only what is named. InvalidInput names the options, SettingsChanged says that somebody was faster."""
        ...

    async def forget(self, key: str, version: int | None, by: str) -> None: ...
    async def verify(self, key: str) -> RegistryEntry:
        """Does the real thing with the saved token, and keeps what came of it."""
        ...


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
    push_checkpoints: bool = False
    order_quota_mb: int | None = None


async def no_options(repository: Repository) -> RepositoryOptions:
    """For servers on which nobody speaks of repositories."""
    return RepositoryOptions()


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
    # None only where a test has no use for it.
    volume: Volume | None = None
    rehearsal: bool = False
    # What the operator says of a repository, asked for anew by every order.
    options: Callable[[Repository], Awaitable[RepositoryOptions]] = no_options
    # The workflows as they are now: an operator may add and change some at any time.
    workflows: Callable[[], Workflows] = Workflows
