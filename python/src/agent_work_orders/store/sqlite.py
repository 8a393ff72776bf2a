"""The embedded store: work orders in one SQLite file. Who calls what is here; the verbs are beside it."""

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from pathlib import Path
from typing import Self

from anyio import CancelScope

from ..domain.conversation import Answer, Approval, Asking, Message, NewMessage
from ..domain.errors import StoreUnavailable
from ..domain.events import Draft, Event, Payload
from ..domain.exported import Census, ExportedOrder, Surroundings
from ..domain.registry import Configuration, RegistryEntry, Verification
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
from ..ports import Batch, Counts, Enqueued, ListQuery, OrderDetail, Reaped, Sent, Written
from . import audit, conversation, duties, held, orders, queue, reading, registry, transfer
from .arrival import take_in, whole
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

    async def archive(self, order_id: str) -> WorkOrder:
        return await self._database.write(lambda tx: orders.archive(tx, order_id))

    async def unarchive(self, order_id: str) -> WorkOrder:
        return await self._database.write(lambda tx: orders.unarchive(tx, order_id))

    # --- the conversation ---

    async def answer(self, order_id: str, given: Answer) -> WorkOrder:
        return await self._database.write(lambda tx: conversation.answer(tx, order_id, given))

    async def send_message(self, order_id: str, new: NewMessage) -> Sent:
        return await self._database.write(lambda tx: conversation.send_message(tx, order_id, new))

    async def approvals(self, order_id: str) -> list[Approval]:
        return await self._database.read(lambda db: conversation.approvals(db, order_id))

    async def messages(self, order_id: str) -> list[Message]:
        return await self._database.read(lambda db: conversation.messages(db, order_id))

    async def ask(self, claim: Claim, asking: Asking) -> WorkOrder:
        return await self._database.write(lambda tx: conversation.ask(tx, claim, asking))

    async def hear(self, claim: Claim, first_seq: int) -> list[Message]:
        return await self._database.write(lambda tx: conversation.hear(tx, claim, first_seq))

    async def deliver(self, claim: Claim, message_ids: Sequence[str]) -> None:
        await self._database.write(lambda tx: conversation.deliver(tx, claim, message_ids))

    # --- moves ---

    async def export_order(self, order_id: str) -> ExportedOrder:
        return whole(await self._database.read(lambda db: transfer.export_order(db, order_id)))

    async def import_order(self, exported: ExportedOrder) -> bool:
        return await take_in(
            self, exported, lambda: self._database.write(lambda tx: transfer.import_order(tx, exported))
        )

    async def export_surroundings(self) -> Surroundings:
        return await self._database.read(transfer.surroundings)

    async def import_surroundings(self, given: Surroundings) -> None:
        await self._database.write(lambda tx: transfer.import_surroundings(tx, given))

    async def census(self) -> Census:
        return await self._database.read(transfer.census)

    async def save_copy(self, path: Path) -> None:
        """All of the file as of one instant, as a file of its own, while others go on writing."""
        await self._database.save_copy(path)

    # --- repositories ---

    async def save_repository(self, wanted: Configuration, version: int | None, by: str) -> RegistryEntry:
        return await self._database.write(lambda tx: registry.save(tx, wanted, version, by))

    async def forget_repository(self, key: str, version: int | None) -> None:
        await self._database.write(lambda tx: registry.forget(tx, key, version))

    async def note_verification(self, key: str, verification: Verification) -> RegistryEntry:
        return await self._database.write(lambda tx: registry.note_verification(tx, key, verification))

    async def repositories(
        self, limit: int = 200, after: str | None = None, *, everything: bool = False
    ) -> list[RegistryEntry]:
        return await self._database.read(lambda db: registry.page(db, limit, after, everything))

    async def repository(self, key: str) -> RegistryEntry | None:
        return await self._database.read(lambda db: registry.find(db, key))

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
        if claim is None or claim.was_last:
            self._signals.found_no_work(as_of)
        return claim

    async def reap(self, limit: int, dead_workers: Sequence[str] = ()) -> list[Reaped]:
        return await self._database.write(lambda tx: queue.reap(tx, limit, dead_workers))

    async def take_duty(self, duty: str, worker_id: str, lease: timedelta) -> bool:
        return await self._database.write(lambda tx: duties.take_duty(tx, duty, worker_id, lease))

    async def remark(self, remarks: Sequence[tuple[str, Payload]]) -> list[bool]:
        return await self._database.write(lambda tx: [duties.remark(tx, *one) for one in remarks])

    async def renew(self, claim: Claim, lease: timedelta) -> Renewal:
        return await self._database.write(lambda tx: held.renew(tx, claim, lease))

    async def append(self, claim: Claim, first_seq: int, drafts: Sequence[Draft]) -> int:
        return await self._database.write(lambda tx: held.append(tx, claim, first_seq, drafts))

    async def write(self, claim: Claim, batch: Batch, lease: timedelta) -> Written:
        return await self._database.write(lambda tx: held.write(tx, claim, batch, lease))

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

    async def detail(self, order_id: str) -> OrderDetail:
        return await self._database.read(
            lambda db: OrderDetail(
                reading.get(db, order_id), reading.steps(db, order_id), conversation.approvals(db, order_id)
            )
        )

    async def find(self, order_ids: Sequence[str]) -> list[WorkOrder]:
        return await self._database.read(lambda db: duties.find(db, order_ids))

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
