"""Fakes at the ports Checkouts, Agent, Checks, Forge and Secrets, a store that can go away, and a bench to run them on.

They keep to the ports' contracts and hold real files, so that what the workflow does with them can be seen on the disk.
"""

import hashlib
import json
import shutil
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, cast

import anyio
from anyio.lowlevel import checkpoint

from src.agent_work_orders.domain.errors import NotFound, StepFailed, StoreUnavailable
from src.agent_work_orders.domain.events import AgentSpoke, AgentStarted, Event, Payload, UsageCounted
from src.agent_work_orders.domain.redaction import Redactor
from src.agent_work_orders.domain.repository import HostPolicy, Repository, RepositoryOptions, parse_repository_url
from src.agent_work_orders.domain.work_order import (
    Claim,
    NewWorkOrder,
    Step,
    WorkOrder,
    WorkOrderRequest,
    new_order_id,
    utc_now,
)
from src.agent_work_orders.ports import (
    NO_OPTIONS,
    AgentFailure,
    AgentResult,
    AgentTurn,
    Checkpoint,
    CheckResult,
    Diff,
    FileDiff,
    Issue,
    Limits,
    MirrorView,
    PullRequest,
    Store,
    TakenOver,
    Tools,
)
from src.agent_work_orders.store.sqlite import SqliteStore
from src.agent_work_orders.workflow.run import run_work_order

URL = "https://github.com/owner/name"
MAKEFILE = "test:\n\ttrue\n"
Tell = Callable[[Payload], None]
Act = Callable[[AgentTurn, Tell], Awaitable[None]]


class FakeCheckout:
    """A directory. A commit's name is the hash of all files, and what it held is remembered."""

    def __init__(
        self,
        root: Path,
        branch: str,
        base_branch: str,
        snapshots: dict[str, dict[str, str]],
        before_push: Callable[[], Awaitable[None]],
    ) -> None:
        self.root = self.workdir = root
        self.branch, self.base_branch, self.resumed = branch, base_branch, False
        self.prepared, self.set_up = False, True
        self._snapshots, self._before_push = snapshots, before_push
        self.base_commit = self._commit()
        self.notes: tuple[str, ...] = ()
        self.labels: list[str] = []
        self.pushed: list[tuple[str, str | None]] = []
        self.shared: list[tuple[str, str | None]] = []
        self.unshareable: StepFailed | None = None
        # What the next checkpoint or push raises instead of working; stays until it is taken away.
        self.broken: Exception | None = None

    def _commit(self) -> str:
        files = {str(p.relative_to(self.root)): p.read_text() for p in sorted(self.root.rglob("*")) if p.is_file()}
        commit = hashlib.sha1(json.dumps(files, sort_keys=True).encode(), usedforsecurity=False).hexdigest()
        self._snapshots[commit] = files
        return commit

    async def keep_set_up(self) -> None:
        self.set_up = True

    async def checkpoint(self, label: str, message: str) -> Checkpoint:
        await checkpoint()
        if self.broken is not None:
            raise self.broken
        self.labels.append(label)
        commit = self._commit()
        diff = await self.diff(commit)
        return Checkpoint(commit, commit, commit != self.base_commit, int(bool(diff.files)), len(diff.files))

    async def put_back(self, commit: str) -> None:
        files = self._snapshots[commit]
        for path in [path for path in self.root.rglob("*") if path.is_file()]:
            if (name := str(path.relative_to(self.root))) not in files:
                path.unlink()
            else:
                path.write_text(files[name])

    async def push(self, commit: str, token: str | None) -> None:
        await self._before_push()
        if self.broken is not None:
            raise self.broken
        self.pushed.append((commit, token))

    async def share(self, commit: str, token: str | None) -> None:
        if self.unshareable is not None:
            raise self.unshareable
        self.shared.append((commit, token))

    async def rest(self) -> None:
        """It is small already."""

    async def diff(self, head_commit: str) -> Diff:
        before, after = self._snapshots[self.base_commit], self._snapshots[head_commit]
        files = tuple(
            FileDiff(path, None, "modified" if path in before else "added", 1, 0, f"@@ -0,0 +1 @@\n+{after[path]}")
            for path in sorted(after)
            if before.get(path) != after[path]
        )
        return Diff(self.base_commit, head_commit, files)


class FakeCheckouts:
    """One checkout an order, which is still there when the order is claimed again."""

    def __init__(self, directory: Path, files: dict[str, str]) -> None:
        self._directory, self.files = directory, files
        self._snapshots: dict[str, dict[str, str]] = {}
        self.opened: dict[str, FakeCheckout] = {}
        # Of hidden refs: what was asked for, whether it is out of reach, what is said, and what was taken away.
        self.asked_for: list[list[str]] = []
        self.out_of_reach = False
        self.taken_notes: tuple[str, ...] = ()
        self.unshareable: StepFailed | None = None
        self.unshared: list[tuple[str, str | None]] = []
        self.before_open: Callable[[], Awaitable[None]] = checkpoint
        self.before_push: Callable[[], Awaitable[None]] = checkpoint

    def expect(
        self,
        order: WorkOrder,
        repository: Repository,
        token: Callable[[], Awaitable[str | None]],
        *,
        options: RepositoryOptions = NO_OPTIONS,
    ) -> None:
        """It is there already."""

    async def open(
        self,
        order: WorkOrder,
        repository: Repository,
        branch: str,
        token: str | None,
        progress: Callable[[str, int], None],
        *,
        options: RepositoryOptions = NO_OPTIONS,
    ) -> FakeCheckout:
        for percent in (0, 1, 50, 100):
            progress("Receiving objects", percent)
        await self.before_open()
        known = self.opened.get(order.agent_work_order_id)
        if known is not None:
            known.resumed = True
            return known
        root = self._directory / order.agent_work_order_id
        root.mkdir(parents=True)
        for name, text in self.files.items():
            (root / name).parent.mkdir(parents=True, exist_ok=True)
            (root / name).write_text(text)
        base_branch = order.base_branch or "main"
        checkout = FakeCheckout(root, branch, base_branch, self._snapshots, lambda: self.before_push())
        checkout.set_up = options.setup_command is None
        checkout.unshareable = self.unshareable
        self.opened[order.agent_work_order_id] = checkout
        return checkout

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
        self.asked_for.append(list(commits))
        return TakenOver(complete=not self.out_of_reach, notes=self.taken_notes)

    async def mirrors(self) -> list[MirrorView]:
        return []

    async def unshare(self, order_id: str, repository: Repository, token: str | None) -> None:
        self.unshared.append((order_id, token))

    async def diff(self, order: WorkOrder, repository: Repository) -> Diff:
        raise NotFound("no checkpoint")

    async def clean_up(self, order: WorkOrder, repository: Repository) -> None:
        await checkpoint()

    async def run(self, stopping: anyio.Event) -> None:
        await stopping.wait()

    async def save(self, order: WorkOrder, repository: Repository) -> None:
        await self.opened[order.agent_work_order_id].checkpoint("clean-up", "Kept")

    async def remove(self, order: WorkOrder, repository: Repository) -> None:
        shutil.rmtree(self.opened.pop(order.agent_work_order_id).root)


class Hang:
    """A turn, a check or a push that has begun and does not come to an end."""

    def __init__(self) -> None:
        self.reached = anyio.Event()

    async def __call__(self, *turn: object) -> None:
        if turn and isinstance(turn[0], AgentTurn):
            (turn[0].cwd / "half.txt").write_text("half\n")
        self.reached.set()
        await anyio.sleep_forever()


def raises(error: Exception) -> Act:
    """A turn that ends in an error."""

    async def act(turn: AgentTurn, tell: Tell) -> None:
        raise error

    return act


async def nothing(turn: AgentTurn, tell: Tell) -> None:
    """A turn that changes nothing."""


def writes(**files: str) -> Act:
    """A turn that writes files; `_` in a name stands for a dot."""

    async def act(turn: AgentTurn, tell: Tell) -> None:
        for name, text in files.items():
            (turn.cwd / name.replace("_", ".")).write_text(text)

    return act


@dataclass
class FakeAgent:
    """Acts out one script a turn, the last of them for ever, in the session it was given or one of its own."""

    script: list[Act] = field(default_factory=lambda: [writes(hello_txt="hello\n")])
    failures: dict[int, AgentFailure] = field(default_factory=dict)
    cost_usd: float = 0.25
    said: str = "Done as asked."
    turns: list[AgentTurn] = field(default_factory=list)
    running: int = 0

    async def run(self, turn: AgentTurn, tell: Tell) -> AgentResult:
        number = len(self.turns)
        self.turns.append(turn)
        self.running += 1
        stdout = _written(turn.run_dir / "stdout.jsonl", f'{{"turn":{number}}}\n')
        _written(turn.run_dir / "stderr.txt", "")
        session = turn.session_id or "session-1"
        try:
            tell(AgentStarted(session_id=session, model="m", version="1", resumed=turn.session_id is not None))
            await self.script[min(number, len(self.script) - 1)](turn, tell)
            tell(AgentSpoke(text=self.said))
            tell(UsageCounted(input_tokens=10, output_tokens=5, cost_usd=self.cost_usd))
            await checkpoint()
        finally:
            self.running -= 1
        return AgentResult(self.said, session, 10, 5, self.cost_usd, (), stdout, self.failures.get(number))

    async def describe(self) -> str:
        return "fake 1"


def _written(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


@dataclass
class FakeChecks:
    """Ends with these exit codes, one a run, the last of them for ever; leaves a file behind, as checks do."""

    exit_codes: list[int | None] = field(default_factory=lambda: [0])
    output: str = "ok\n"
    commands: list[tuple[str, ...]] = field(default_factory=list)
    environments: list[dict[str, str]] = field(default_factory=list)
    before_end: Callable[[], Awaitable[None]] = checkpoint

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
        self.commands.append(tuple(command))
        self.environments.append(dict(environment or {}))
        output = _written(run_dir / "check.log", self.output)
        (cwd / "left-by-the-check.txt").write_text("x")
        await self.before_end()
        code = self.exit_codes[min(len(self.commands), len(self.exit_codes)) - 1]
        return CheckResult(code, timedelta(seconds=1.5), self.output[-8_000:], output)


@dataclass
class FakeForge:
    """Remembers what was opened; a branch has one pull request."""

    opened: list[dict[str, str]] = field(default_factory=list)
    broken: Exception | None = None

    async def issue(self, repository: Repository, number: int) -> Issue:
        await checkpoint()
        return Issue(number, "It is broken", "See {{plan}} and fix.", f"{repository.url}/issues/{number}")

    async def open_pull_request(
        self, repository: Repository, *, branch: str, base: str, title: str, body: str
    ) -> PullRequest:
        await checkpoint()
        if self.broken is not None:
            raise self.broken
        known = [request["branch"] for request in self.opened]
        if branch not in known:
            self.opened.append({"branch": branch, "base": base, "title": title, "body": body})
        return PullRequest(f"{repository.url}/pull/1", 1, branch not in known)


@dataclass
class FakeSecrets:
    values: dict[str, str] = field(default_factory=lambda: {"GITHUB_TOKEN": "a-github-token-1234"})

    async def get(self, name: str, repository: Repository | None = None) -> str | None:
        return self.values.get(name)


class FlakyStore:
    """A real store that can be away: for all calls, for some by name, or only for the reply to them."""

    def __init__(self, store: SqliteStore) -> None:
        self._store = store
        self.away: Callable[[str], bool] = lambda name: False
        self.lost_replies: set[str] = set()  # each is lost once
        self.calls: list[str] = []
        self.refused = anyio.Event()
        # What happens at the very moment of a call, by the call's name.
        self.before: dict[str, Callable[[], Awaitable[None]]] = {}

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._store, name)
        if not callable(found):
            return found

        async def call(*arguments: Any, **named: Any) -> Any:
            self.calls.append(name)
            if self.away(name):
                self.refused.set()
                raise StoreUnavailable("The database is away.")
            if name in self.before:
                await self.before[name]()
            answer = await found(*arguments, **named)
            if name in self.lost_replies:
                self.lost_replies.remove(name)
                raise StoreUnavailable("The reply was lost.")
            return answer

        return call


class Clock:
    """The store's time; tests move it instead of waiting."""

    def __init__(self) -> None:
        self.ahead = timedelta(0)

    def __call__(self) -> datetime:
        return utc_now() + self.ahead


@dataclass
class Bench:
    """The toolbox with its fakes, and the few moves that a test makes with it."""

    store: FlakyStore
    checkouts: FakeCheckouts
    agent: FakeAgent
    checks: FakeChecks
    forge: FakeForge
    secrets: FakeSecrets
    clock: Clock
    limits: Limits
    tools: Tools
    stopping: anyio.Event

    async def file(self, **request: Any) -> str:
        """Files an order; returns its identifier."""
        asked = WorkOrderRequest.model_validate({"repository_url": URL, "user_request": "Say hello."} | request)
        order_id = new_order_id()
        repository = self.tools.repository(asked.repository_url)
        await self.store.enqueue(NewWorkOrder(order_id, asked, repository.url, repository.key, order_id))
        return order_id

    async def claim(self, worker_id: str = "w1") -> Claim:
        claim: Claim | None = await self.store.claim(worker_id, new_order_id(), self.limits.lease, 100)
        assert claim is not None
        return claim

    async def run(self) -> datetime | None:
        """Claims what is first in line and runs it to its end."""
        return await run_work_order(await self.claim(), self.tools, self.stopping)

    async def order(self, order_id: str) -> WorkOrder:
        found: WorkOrder = await self.store.get(order_id)
        return found

    async def steps(self, order_id: str) -> list[Step]:
        found: list[Step] = await self.store.steps(order_id)
        return found

    async def outcomes(self, order_id: str) -> dict[str, str]:
        """The status of each step of the last attempt."""
        steps = await self.steps(order_id)
        return {step.step_name: step.status.value for step in steps if step.attempt == steps[-1].attempt}

    async def events(self, order_id: str, *kinds: str) -> list[Event]:
        found: list[Event] = await self.store.events(order_id, kinds=frozenset(kinds), limit=100_000, before_seq=2**40)
        return found

    async def payloads(self, order_id: str, kind: str) -> list[dict[str, Any]]:
        return [json.loads(event.payload) for event in await self.events(order_id, kind)]

    def folder(self, order_id: str) -> Path:
        return self.tools.work_orders_dir / order_id


@asynccontextmanager
async def open_bench(directory: Path, **limits: Any) -> AsyncIterator[Bench]:
    """A bench on a new database; `limits` change the usual ones."""
    clock = Clock()
    usual = Limits(
        slots=5,
        per_repository=5,
        lease=timedelta(seconds=30),
        step_timeout=timedelta(minutes=5),
        stall_timeout=timedelta(minutes=1),
        max_cost_usd=None,
        model="sonnet",
        verify_command=None,
        commands_dir=None,
    )
    async with SqliteStore.open(directory / "awo.db", clock=clock) as real:
        store = FlakyStore(real)
        checkouts = FakeCheckouts(directory / "repositories", {"README.md": "# Name\n", "Makefile": MAKEFILE})
        agent, checks, forge, secrets = FakeAgent(), FakeChecks(), FakeForge(), FakeSecrets()
        policy = HostPolicy(frozenset({"github.com"}))
        redactor = Redactor()
        for value in secrets.values.values():
            redactor.register(value)
        bench = Bench(
            store, checkouts, agent, checks, forge, secrets, clock, replace(usual, **limits),
            cast(Tools, None), anyio.Event(),
        )  # fmt: skip
        bench.tools = Tools(
            store=cast(Store, store),
            checkouts=checkouts,
            agent=agent,
            checks=checks,
            forge=forge,
            secrets=secrets,
            redactor=redactor,
            limits=lambda: bench.limits,
            repository=lambda url: parse_repository_url(url, policy),
            work_orders_dir=directory / "work-orders",
        )
        yield bench
