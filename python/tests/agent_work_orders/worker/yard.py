"""A disk with real repositories on it, a real store, and orders that ended long ago or not at all."""

import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, cast

from src.agent_work_orders.checkout import GitCheckouts
from src.agent_work_orders.checkout.checkout import GitCheckout
from src.agent_work_orders.checkout.space import Room
from src.agent_work_orders.checkout.volume import DiskVolume
from src.agent_work_orders.domain.errors import FailureClass
from src.agent_work_orders.domain.events import FilesRemoved
from src.agent_work_orders.domain.redaction import Redactor
from src.agent_work_orders.domain.repository import Repository
from src.agent_work_orders.domain.retention import CleanupReport, Kind, Marks, Rules, Space
from src.agent_work_orders.domain.status import Status, WaitingReason
from src.agent_work_orders.domain.work_order import (
    Claim,
    NewWorkOrder,
    OrderChanges,
    Outcome,
    WorkOrder,
    WorkOrderRequest,
    new_order_id,
)
from src.agent_work_orders.ports import Store, Tools
from src.agent_work_orders.store.sqlite import SqliteStore
from src.agent_work_orders.worker.janitor import Janitor

from ..checkout.git_host import GitHost
from ..fakes import Clock, FakeAgent, FakeChecks, FakeForge, FakeSecrets

DAY = timedelta(days=1)
WEEKLY = Rules(checkouts=7 * DAY, artifacts=30 * DAY, orders=90 * DAY, mirrors=30 * DAY)


@dataclass
class Yard:
    """One server's disk. `rules` and `marks` may be changed at any time, as settings may."""

    host: GitHost
    repositories: Path
    work_orders: Path
    store: Store
    clock: Clock
    rules: Rules = WEEKLY
    marks: Marks = field(default_factory=lambda: Marks(0, 0))
    fetched_at_most: timedelta = timedelta(minutes=5)
    tools: Tools = field(init=False)
    volume: DiskVolume = field(init=False)
    room: Room = field(init=False)

    def __post_init__(self) -> None:
        self.room = Room(self.repositories, lambda: self.marks)
        self.volume = self.another_volume()
        self.checkouts = GitCheckouts(
            self.repositories,
            freshness=lambda: self.fetched_at_most,
            insecure_hosts=lambda: frozenset({self.host.name}),
            room=self.room,
        )
        self.tools = Tools(
            store=self.store,
            checkouts=self.checkouts,
            agent=FakeAgent(),
            checks=FakeChecks(),
            forge=FakeForge(),
            secrets=FakeSecrets(),
            redactor=Redactor(),
            limits=lambda: cast(Any, None),
            repository=lambda url: self.repository(url.rsplit("/", 1)[-1]),
            work_orders_dir=self.work_orders,
            volume=self.volume,
        )

    def another_volume(self) -> DiskVolume:
        """What another server on the same disk has."""
        return DiskVolume(self.repositories, self.work_orders, lambda: self.marks, self.room)

    def janitor(self, worker_id: str = "server-1") -> Janitor:
        return Janitor(self.tools, self.volume, lambda: self.rules, worker_id, clock=self.clock)

    async def clean(self, *, dry_run: bool = False) -> CleanupReport:
        return await self.janitor().clean(dry_run=dry_run)

    def repository(self, name: str = "sample") -> Repository:
        return self.host.repository(name)

    def pass_days(self, days: float) -> None:
        self.clock.ahead += days * DAY

    def now(self) -> datetime:
        return self.clock()

    # --- Orders

    async def running(self, name: str = "sample") -> "Run":
        """An order that runs, with a checkout and some files of its own."""
        repository, order_id = self.repository(name), new_order_id()
        asked = WorkOrderRequest(repository_url=f"https://github.com/team/{name}", user_request="Do it")
        await self.store.enqueue(NewWorkOrder(order_id, asked, repository.url, repository.key, order_id))
        claim = await self.store.claim("server-1", secrets.token_hex(8), timedelta(hours=1), 10_000)
        assert claim is not None
        assert claim.order_id == order_id, "another order stood in the way"
        folder = self.work_orders / order_id
        for part, text in (("prompts/1.md", "Do it."), ("outputs/1.jsonl", "{}\n" * 100), ("metadata.json", "{}")):
            (folder / part).parent.mkdir(parents=True, exist_ok=True)
            (folder / part).write_text(text)
        checkout = await self.checkouts.open(claim.order, repository, f"awo/{order_id}", None, lambda *said: None)
        return Run(self, claim, repository, checkout)

    async def waiting(self, reason: WaitingReason = WaitingReason.APPROVAL, name: str = "sample") -> WorkOrder:
        run = await self.running(name)
        await run.changes()
        return await self.store.wait(run.claim, reason, None, "It waits.", "Wait.")

    async def completed(self, name: str = "sample") -> WorkOrder:
        """Its work was pushed."""
        run = await self.running(name)
        commit = await run.changes()
        await run.checkout.push(commit, None)
        return await run.ends(Status.COMPLETED)

    async def failed(
        self, name: str = "sample", failure_class: FailureClass = FailureClass.VERIFICATION, *, changed: bool = True
    ) -> WorkOrder:
        """Its work, if it `changed` anything, was pushed nowhere."""
        run = await self.running(name)
        if changed:
            await run.changes()
        return await run.ends(Status.FAILED, failure_class)

    # --- What is there

    def checkout(self, order: WorkOrder) -> Path:
        return self.repositories / order.agent_work_order_id

    def artifacts(self, order: WorkOrder) -> Path:
        return self.work_orders / order.agent_work_order_id

    def mirror(self, name: str = "sample") -> Path:
        (found,) = self.repositories.glob(f".mirrors/*-{name}-*.git")
        return found

    def trash(self) -> list[str]:
        return sorted(path.name for place in (self.repositories, self.work_orders) for path in place.glob(".trash/*"))

    async def removals(self, order: WorkOrder) -> list[FilesRemoved]:
        events = await self.store.events(order.agent_work_order_id, kinds=frozenset({FilesRemoved.kind}))
        return [FilesRemoved.model_validate_json(event.payload) for event in events]


@dataclass
class Run:
    yard: Yard
    claim: Claim
    repository: Repository
    checkout: GitCheckout

    async def changes(self, text: str = "changed\n") -> str:
        """Writes a file and saves it; the commit."""
        (self.checkout.root / "work.txt").write_text(text)
        saved = await self.checkout.checkpoint("work", "Work")
        await self.yard.store.record(
            self.claim, OrderChanges(git_commit_count=saved.commit_count, git_files_changed=saved.files_changed)
        )
        return saved.commit

    async def ends(self, status: Status, failure_class: FailureClass | None = None) -> WorkOrder:
        return await self.yard.store.finish(self.claim, Outcome(status, "Over.", failure_class, "Why.", "Do."))


def gone(report: CleanupReport) -> set[tuple[Kind, str]]:
    return {(one.kind, one.name) for one in report.removed}


def kept(report: CleanupReport) -> dict[tuple[Kind, str], str]:
    return {(one.kind, one.name): one.reason for one in report.protected}


def nearly_full(yard: Yard, *, short_of: int) -> None:
    """From now on the disk counts as short of so many bytes, whatever else goes on on this machine."""
    space = Space(total_bytes=10**13, free_bytes=10**9)
    marks = Marks(low_bytes=space.free_bytes + short_of, min_free_bytes=0)
    yard.volume.space = lambda: (space, marks)  # type: ignore[method-assign]  # the machine's own disk is not still


@asynccontextmanager
async def open_yard(directory: Path, host: GitHost) -> AsyncIterator[Yard]:
    clock = Clock()
    async with SqliteStore.open(directory / "awo.db", clock=clock) as store:
        yield Yard(host, directory / "repositories", directory / "work-orders", cast(Store, store), clock)
