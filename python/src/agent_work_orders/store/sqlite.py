"""The embedded store: work orders in one SQLite file. Who calls what is here; the verbs are beside it."""

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from pathlib import Path
from typing import Self

from anyio import CancelScope

from ..domain.errors import StoreUnavailable
from ..domain.events import Draft, Event
from ..domain.setting import AuditEntry, Finding
from ..domain.status import WaitingReason
from ..domain.work_order import (
    Artifact,
    Claim,
    NewWorkOrder,
    OrderChanges,
    Outcome,
    Renewal,
    Step,
    StepResult,
    WorkOrder,
    utc_now,
)
from ..ports import Counts, Enqueued, ListQuery, Reaped
from . import audit, held, orders, queue, reading
from .database import Database
from .schema import MIGRATIONS
from .signals import Signals
from .tail import Tails
from .transaction import News


class SqliteStore:
    """A `Store` in one file that any number of processes on one machine share: `async with SqliteStore.open(path)`."""

    append_delay = timedelta(0)

    def __init__(self, path: Path, *, clock: Callable[[], datetime] = utc_now) -> None:
        self._database = Database(path, clock, self._hear)
        self._signals, self._tails = Signals(), Tails()

    @classmethod
    @asynccontextmanager
    async def open(cls, path: Path, *, clock: Callable[[], datetime] = utc_now) -> AsyncIterator[Self]:
        """The store, ready for use; StoreUnavailable, with cause and next action, when the file cannot be used."""
        store = cls(path, clock=clock)
        await store._database.open()
        try:
            store._signals.rev = await store.last_rev()
            yield store
        finally:
            with CancelScope(shield=True):  # bounded: calls that run take milliseconds
                await store._database.close()

    def _hear(self, news: News) -> None:
        for order_id, events in news.events.items():
            self._tails.extend(order_id, events)
        for order_id in news.deleted:
            self._tails.forget(order_id)
        self._signals.hear(news)

    # --- people ---

    async def enqueue(self, new: NewWorkOrder) -> Enqueued:
        return await self._database.write(lambda tx: orders.enqueue(tx, new))

    async def resume(self, order_id: str, reason: str) -> WorkOrder:
        return await self._database.write(lambda tx: orders.resume(tx, order_id, reason))

    async def cancel(self, order_id: str) -> WorkOrder:
        return await self._database.write(lambda tx: orders.cancel(tx, order_id))

    async def retry(self, order_id: str, from_step: int | None) -> WorkOrder:
        return await self._database.write(lambda tx: orders.retry(tx, order_id, from_step))

    async def delete(self, order_id: str) -> None:
        await self._database.write(lambda tx: orders.delete(tx, order_id))

    # --- settings ---

    async def audit_append(self, by: str, setting: str, action: str, old: str | None, new: str | None) -> None:
        await self._database.write(lambda tx: audit.append(tx, by, setting, action, old, new))

    async def audit_page(self, limit: int, before: int | None = None, setting: str | None = None) -> list[AuditEntry]:
        return await self._database.read(lambda db: audit.page(db, limit, before, setting))

    async def probe(self) -> list[Finding]:
        """What a test of the database says: whether it can be written, and the age of its schema."""
        try:
            await self.check()
        except StoreUnavailable as error:
            return [Finding(name="reachable", ok=False, detail=error.message, next_action=error.next_action)]
        version = await self._database.read(lambda db: int(db.execute("pragma user_version").fetchone()[0]))
        known = len(MIGRATIONS)
        return [
            Finding(name="reachable", ok=True, detail=f"{self._database.path} can be read and written."),
            Finding(
                name="migrations",
                ok=version == known,
                detail=f"The schema has version {version}; this server knows {known}.",
                next_action=None if version == known else "Restart the server: it brings the schema up to date.",
            ),
            Finding(name="clock", ok=True, detail="The database uses this machine's clock."),
        ]

    # --- workers ---

    async def claim(self, worker_id: str, request_id: str, lease: timedelta, limit_per_repository: int) -> Claim | None:
        as_of = self._signals.work_seen
        claim = await self._database.write(
            lambda tx: queue.claim(tx, worker_id, request_id, lease, limit_per_repository)
        )
        if claim is None:
            self._signals.found_no_work(as_of)
        return claim

    async def reap(self, limit: int, dead_workers: Sequence[str] = ()) -> list[Reaped]:
        return await self._database.write(lambda tx: queue.reap(tx, limit, dead_workers))

    async def renew(self, claim: Claim, lease: timedelta) -> Renewal:
        return await self._database.write(lambda tx: held.renew(tx, claim, lease))

    async def append(self, claim: Claim, first_seq: int, drafts: Sequence[Draft]) -> int:
        return await self._database.write(lambda tx: held.append(tx, claim, first_seq, drafts))

    async def record(self, claim: Claim, changes: OrderChanges) -> None:
        await self._database.write(lambda tx: held.record(tx, claim, changes))

    async def start_step(self, claim: Claim, step_order: int, step_name: str, agent_name: str) -> None:
        await self._database.write(lambda tx: held.start_step(tx, claim, step_order, step_name, agent_name))

    async def finish_step(self, claim: Claim, result: StepResult) -> None:
        await self._database.write(lambda tx: held.finish_step(tx, claim, result))

    async def put_artifact(self, claim: Claim, artifact: Artifact) -> None:
        await self._database.write(lambda tx: held.put_artifact(tx, claim, artifact))

    async def finish(self, claim: Claim, outcome: Outcome) -> WorkOrder:
        return await self._database.write(lambda tx: held.finish(tx, claim, outcome))

    async def wait(
        self, claim: Claim, reason: WaitingReason, until: datetime | None, message: str, next_action: str
    ) -> WorkOrder:
        return await self._database.write(lambda tx: held.wait(tx, claim, reason, until, message, next_action))

    async def release(self, claim: Claim) -> None:
        await self._database.write(lambda tx: held.release(tx, claim))

    # --- readers ---

    async def get(self, order_id: str) -> WorkOrder:
        return await self._database.read(lambda db: reading.get(db, order_id))

    async def steps(self, order_id: str) -> list[Step]:
        return await self._database.read(lambda db: reading.steps(db, order_id))

    async def artifacts(self, order_id: str) -> list[Artifact]:
        return await self._database.read(lambda db: reading.artifacts(db, order_id))

    async def list_orders(self, query: ListQuery) -> list[WorkOrder]:
        return await self._database.read(lambda db: reading.list_orders(db, query))

    async def counts(self) -> Counts:
        return await self._database.read(reading.counts)

    async def check(self) -> None:
        await self._database.check()

    async def events(
        self,
        order_id: str,
        *,
        after_seq: int | None = None,
        before_seq: int | None = None,
        kinds: frozenset[str] = frozenset(),
        limit: int = 500,
    ) -> list[Event]:
        tail = self._tails.get(order_id)
        if tail is not None and before_seq is None and not kinds:
            found = tail.after(after_seq or 0, limit)
            if found:
                return found
        return await self._database.read(lambda db: reading.events(db, order_id, after_seq, before_seq, kinds, limit))

    async def changes(self, after_rev: int, limit: int = 200) -> list[WorkOrder]:
        return await self._database.read(lambda db: reading.changes(db, after_rev, limit))

    async def last_rev(self) -> int:
        return await self._database.read(reading.last_rev)

    # --- waiting ---

    async def wait_for_work(self, at_most: timedelta) -> None:
        await self._signals.wait_for_work(at_most)

    async def wait_for_events(self, order_id: str, after_seq: int, at_most: timedelta) -> None:
        async def is_there() -> bool:
            tail = self._tails.get(order_id)
            if tail is not None:
                return tail.last_seq > after_seq
            return await self._database.read(lambda db: reading.last_seq(db, order_id)) > after_seq

        await self._signals.wait_for_events(order_id, at_most, is_there)

    async def wait_for_change(self, after_rev: int, at_most: timedelta) -> None:
        await self._signals.wait_for_change(after_rev, at_most)

    async def wait_for_cancel(self, order_id: str, at_most: timedelta) -> None:
        async def is_there() -> bool:
            return await self._database.read(lambda db: reading.is_cancel_requested(db, order_id))

        await self._signals.wait_for_cancel(order_id, at_most, is_there)
