"""The store that any number of servers share: Postgres' functions, reached through PostgREST. The rules are in the
functions (migration/); here is who calls what, and what is known in this process without asking."""

import uuid
from collections.abc import AsyncIterator, Sequence
from contextlib import AbstractContextManager, asynccontextmanager, nullcontext
from datetime import datetime, timedelta
from typing import Any, Self

import anyio
from anyio import CancelScope

from ..domain.conversation import Answer, Approval, Asking, Message, NewMessage
from ..domain.errors import (
    FailureClass,
    FieldProblem,
    IdempotencyConflict,
    InvalidInput,
    LostLease,
    NotFound,
    SequenceGap,
    StoreUnavailable,
    WrongState,
)
from ..domain.events import Draft, Event, Payload, draft
from ..domain.exported import Census, ExportedOrder, Surroundings
from ..domain.registry import (
    Configuration,
    RegistryEntry,
    Verification,
    changed_meanwhile,
    not_configured,
    verification_json,
)
from ..domain.setting import AuditEntry, Finding
from ..domain.status import Status, WaitingReason
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
from . import remote_conversation, remote_transfer, wire
from .answers import MIGRATIONS, Refusal, SchemaMissing, migration_needed
from .arrival import take_in, too_new, whole
from .lookout import Lookout, Seen, Waiting
from .rows import storable
from .signals import Signals
from .tail import Tails
from .transaction import News
from .transport import Transport

CLOSE_WITHIN = 2.0
# Seconds between two clocks that nobody needs to hear of.
CLOCKS_APART = 5.0


class SupabaseStore:
    """A `Store` in a Supabase project: `async with SupabaseStore.open(url, key)`. Opening asks nothing of it."""

    append_delay = timedelta(seconds=1)

    def __init__(self, transport: Transport) -> None:
        self._transport = transport
        self._signals, self._tails = Signals(), Tails()
        self._lookout = Lookout(self._look, self._hear_look)
        # Orders that a worker of this process holds, with their journal's end: only that worker writes to it.
        self._held: dict[str, int] = {}
        self._cancelled: set[str] = set()

    @classmethod
    @asynccontextmanager
    async def open(cls, url: str, service_key: str) -> AsyncIterator[Self]:
        """The store, ready to be asked, also while the project is away or has no tables yet."""
        transport = Transport(url, service_key)
        await transport.open()
        store = cls(transport)
        try:
            async with anyio.create_task_group() as group:
                group.start_soon(store._lookout.run)
                try:
                    yield store
                finally:
                    group.cancel_scope.cancel()
                    with CancelScope(shield=True), anyio.move_on_after(CLOSE_WITHIN):
                        await transport.close()
        except BaseExceptionGroup as errors:
            # The block's own error is its error, whatever runs beside it here.
            if len(errors.exceptions) == 1:
                raise errors.exceptions[0] from None
            raise

    async def _ask(
        self, function: str, order_id: str = "", rule: str = "", *, version: int = 1, **arguments: Any
    ) -> Any:
        try:
            return await self._transport.call(f"awo_{function}_v{version}", **arguments)
        except SchemaMissing as missing:
            raise migration_needed(await self._schema_version()) from missing
        except Refusal as refusal:
            raise _meaning(refusal, order_id, rule) from refusal

    async def _schema_version(self) -> int | None:
        try:
            version: int = await self._transport.call("awo_schema_version_v1")
        except SchemaMissing:
            return None
        return version

    # --- people ---

    async def enqueue(self, new: NewWorkOrder) -> Enqueued:
        found = await self._ask("enqueue", version=2, p_order=wire.new_order_json(new))
        order = wire.order_of(found["order"])
        self._signals.hear(News(rev=order.rev, work=True))
        return Enqueued(order, found["created"])

    async def resume(self, order_id: str, reason: str) -> WorkOrder:
        rule = "only a waiting order can be resumed"
        return self._moved(await self._ask("resume", order_id, rule, p_id=order_id, p_reason=reason, **_request()))

    async def cancel(self, order_id: str) -> WorkOrder:
        rule = "only an order that has not ended can be cancelled"
        order = self._moved(await self._ask("cancel", order_id, rule, p_id=order_id), work=False)
        if order.status is Status.RUNNING:
            self._hear_cancel(order_id)
        return order

    async def retry(self, order_id: str, from_step: int | None) -> WorkOrder:
        rule = "only a failed or cancelled order can be retried"
        return self._moved(await self._ask("retry", order_id, rule, p_id=order_id, p_from_step=from_step, **_request()))

    async def delete(self, order_id: str) -> None:
        rule = "only an order that has ended can be deleted"
        try:
            await self._ask("delete", order_id, rule, p_id=order_id)
        except NotFound as error:
            if not (isinstance(error.__cause__, Refusal) and error.__cause__.repeated):
                raise
            # It was there for the call whose answer got lost.
        self._tails.forget(order_id)

    async def archive(self, order_id: str) -> WorkOrder:
        rule = "only an order that has ended can be archived"
        return self._moved(await self._ask("archive", order_id, rule, p_id=order_id), work=False)

    async def unarchive(self, order_id: str) -> WorkOrder:
        return self._moved(await self._ask("unarchive", order_id, p_id=order_id), work=False)

    # --- the conversation ---

    async def answer(self, order_id: str, given: Answer) -> WorkOrder:
        return self._moved(await remote_conversation.answer(self._ask, order_id, given, _request()))

    async def send_message(self, order_id: str, new: NewMessage) -> Sent:
        sent = await remote_conversation.send_message(self._ask, order_id, new)
        self._hear_order(sent.order, work=sent.order.status is Status.PENDING)
        if sent.order.status is Status.RUNNING:
            self._signals.hear(News(cancels={order_id}))  # wakes whoever renews the lease, who tells the run
        return sent

    async def approvals(self, order_id: str) -> list[Approval]:
        return await remote_conversation.approvals(self._ask, order_id)

    async def messages(self, order_id: str) -> list[Message]:
        return await remote_conversation.messages(self._ask, order_id)

    async def ask(self, claim: Claim, asking: Asking) -> WorkOrder:
        return self._given_up(await self._hold("ask", claim, p_asking=remote_conversation.asking_json(asking)))

    async def hear(self, claim: Claim, first_seq: int) -> list[Message]:
        found = await self._hold("hear", claim, p_first_seq=first_seq)
        if claim.order_id in self._held:
            self._held[claim.order_id] = max(found["last_seq"], self._held[claim.order_id])
        if found["last_seq"] >= first_seq:
            self._signals.hear(News(events={claim.order_id: []}))
        return [remote_conversation.message_of(row) for row in found["messages"]]

    async def deliver(self, claim: Claim, message_ids: Sequence[str]) -> None:
        await self._hold("deliver", claim, p_message_ids=list(message_ids))

    # --- moves ---

    async def export_order(self, order_id: str) -> ExportedOrder:
        return whole(await remote_transfer.export_order(self._ask, order_id))

    async def import_order(self, exported: ExportedOrder) -> bool:
        return await take_in(self, exported, lambda: remote_transfer.import_order(self._ask, exported))

    async def export_surroundings(self) -> Surroundings:
        return await remote_transfer.surroundings(self._ask)

    async def import_surroundings(self, given: Surroundings) -> None:
        await remote_transfer.import_surroundings(self._ask, given)

    async def census(self) -> Census:
        return Census.model_validate(await self._ask("census"))

    # --- repositories ---

    async def save_repository(self, wanted: Configuration, version: int | None, by: str) -> RegistryEntry:
        row = await self._ask(
            "save_repository", wanted.key, p_wanted=wanted.columns(), p_version=version, p_by=by, **_request()
        )
        self._signals.hear(News(work=True))
        return wire.entry_of(row)

    async def forget_repository(self, key: str, version: int | None) -> None:
        await self._ask("forget_repository", key, p_key=key, p_version=version, **_request())
        self._signals.hear(News(work=True))

    async def note_verification(self, key: str, verification: Verification) -> RegistryEntry:
        found = verification_json(verification)
        return wire.entry_of(await self._ask("note_verification", key, p_key=key, p_verification=found))

    async def repositories(
        self, limit: int = 200, after: str | None = None, *, everything: bool = False
    ) -> list[RegistryEntry]:
        rows = await self._ask("repositories", p_limit=limit, p_after=after, p_all=everything)
        return [wire.entry_of(row) for row in rows]

    async def repository(self, key: str) -> RegistryEntry | None:
        row = await self._ask("repository", p_key=key)
        return None if row is None else wire.entry_of(row)

    # --- settings ---

    async def audit_append(self, by: str, setting: str, action: str, old: str | None, new: str | None) -> None:
        await self._ask(
            "audit_append",
            **_request(),
            p_by=by,
            p_setting=setting,
            p_action=action,
            p_old=old,
            p_new=new,
        )

    async def audit_page(self, limit: int, before: int | None = None, setting: str | None = None) -> list[AuditEntry]:
        rows = await self._ask("audit_page", p_limit=limit, p_before=before, p_setting=setting)
        return [AuditEntry.model_validate(row) for row in rows]

    async def probe(self) -> list[Finding]:
        """What a test of the database says: whether it can be written, and the age of its schema."""
        try:
            await self.check()
            version = await self._schema_version() or 0
            asked_at = utc_now()
            its_time = datetime.fromisoformat(await self._ask("now"))
            apart = its_time - (asked_at + (utc_now() - asked_at) / 2)
        except StoreUnavailable as error:
            return [Finding(name="reachable", ok=False, detail=error.message, next_action=error.next_action)]
        known = len(MIGRATIONS)
        return [
            Finding(name="reachable", ok=True, detail="The Supabase project can be read and written."),
            Finding(name="schema", ok=True, detail=f"The schema has {version} parts; this server needs {known}."),
            _clock_finding(apart.total_seconds()),
        ]

    # --- workers ---

    async def claim(self, worker_id: str, request_id: str, lease: timedelta, limit_per_repository: int) -> Claim | None:
        as_of = self._signals.work_seen
        found = await self._ask(
            "claim",
            p_worker_id=worker_id,
            p_request_id=request_id,
            p_lease_seconds=lease.total_seconds(),
            p_limit_per_repository=limit_per_repository,
        )
        if found is None:
            self._signals.found_no_work(as_of)
            return None
        claim = wire.claim_of(found, worker_id)
        self._let_go(claim.order_id)
        self._held[claim.order_id] = claim.order.last_seq
        self._hear_order(claim.order)
        return claim

    async def reap(self, limit: int, dead_workers: Sequence[str] = ()) -> list[Reaped]:
        rows = await self._ask("reap", p_limit=limit, p_dead_workers=list(dead_workers))
        for row in rows:
            self._let_go(row["order_id"])
        if rows:
            events: dict[str, list[Event]] = {row["order_id"]: [] for row in rows}
            self._signals.hear(News(events=events, rev=max(row["rev"] for row in rows), work=True))
        return [wire.reaped_of(row) for row in rows]

    async def take_duty(self, duty: str, worker_id: str, lease: timedelta) -> bool:
        seconds = lease.total_seconds()
        return bool(await self._ask("take_duty", p_duty=duty, p_worker_id=worker_id, p_lease_seconds=seconds))

    async def remark(self, remarks: Sequence[tuple[str, Payload]]) -> list[bool]:
        said = [(order_id, draft(payload)) for order_id, payload in remarks]
        told = [{"id": order_id, "kind": one.kind, "payload": storable(one.payload)} for order_id, one in said]
        return list(await self._ask("remark", version=2, p_remarks=told))

    async def _hold(self, function: str, claim: Claim, **arguments: Any) -> Any:
        """A call that presents a claim."""
        try:
            return await self._ask(function, claim.order_id, p_id=claim.order_id, p_token=claim.token, **arguments)
        except LostLease:
            self._let_go(claim.order_id)
            raise

    async def renew(self, claim: Claim, lease: timedelta) -> Renewal:
        return self._renewed(claim, await self._hold("renew", claim, version=2, p_lease_seconds=lease.total_seconds()))

    def _renewed(self, claim: Claim, found: wire.Json) -> Renewal:
        if found["cancel_requested"]:
            self._hear_cancel(claim.order_id)
        return Renewal(wire.moment(found["lease_expires_at"]), found["cancel_requested"], found["messages"])

    async def append(self, claim: Claim, first_seq: int, drafts: Sequence[Draft]) -> int:
        found = await self._hold("append", claim, p_first_seq=first_seq, p_events=wire.drafts_json(drafts))
        return self._appended(claim, first_seq, drafts, found)

    async def write(self, claim: Claim, batch: Batch, lease: timedelta) -> Written:
        found = await self._hold("write", claim, p_lease_seconds=lease.total_seconds(), **wire.batch_json(batch))
        last_seq: int = found["last_seq"]
        if found["appended"] is not None:
            last_seq = self._appended(claim, batch.first_seq, batch.drafts, found["appended"])
        elif batch.drafts:
            # The answer to an earlier, equal call got lost: what is there is not here, but readers can ask for it.
            self._grown(claim.order_id, last_seq, [])
        self._hear_rev(found["rev"])
        return Written(last_seq, self._renewed(claim, found["renewed"]))

    def _appended(self, claim: Claim, first_seq: int, drafts: Sequence[Draft], found: wire.Json) -> int:
        last_seq: int = found["last_seq"]
        at, attempt = wire.moment(found["at"]), found["attempt"]
        new = drafts[found["had"] + 1 - first_seq :]
        events = [
            Event(seq, at, draft.kind, draft.step_order, attempt, storable(draft.payload))
            for seq, draft in enumerate(new, found["had"] + 1)
        ]
        self._grown(claim.order_id, last_seq, events)
        return last_seq

    def _grown(self, order_id: str, last_seq: int, events: list[Event]) -> None:
        """The journal of an order that is held here ends with `last_seq` now; `events` are its end as far as known."""
        if events:
            self._tails.extend(order_id, events)
        if order_id in self._held:
            self._held[order_id] = max(last_seq, self._held[order_id])
        self._signals.hear(News(events={order_id: events}))

    async def record(self, claim: Claim, changes: OrderChanges) -> None:
        self._hear_rev(await self._hold("record", claim, p_changes=dict(changes.given())))

    async def start_step(self, claim: Claim, step_order: int, step_name: str, agent_name: str) -> None:
        self._hear_rev(
            await self._hold(
                "start_step", claim, p_step_order=step_order, p_step_name=step_name, p_agent_name=agent_name
            )
        )

    async def finish_step(self, claim: Claim, result: StepResult) -> None:
        self._hear_rev(await self._hold("finish_step", claim, p_result=wire.result_json(result)))

    async def put_artifact(self, claim: Claim, artifact: Artifact) -> None:
        await self._hold("put_artifact", claim, p_artifact=wire.artifact_json(artifact))

    async def finish(self, claim: Claim, outcome: Outcome) -> WorkOrder:
        if not outcome.status.is_terminal:
            raise WrongState(f"An order cannot end as {outcome.status}.")
        failure_class = (outcome.failure_class or FailureClass.INTERNAL) if outcome.status is Status.FAILED else None
        row = await self._hold(
            "finish",
            claim,
            version=2,
            p_follow_up_step=outcome.follow_up_step,
            p_status=outcome.status,
            p_summary=outcome.summary,
            p_failure_class=failure_class,
            p_error_message=outcome.error_message,
            p_next_action=outcome.next_action,
        )
        return self._given_up(row)

    async def wait(
        self, claim: Claim, reason: WaitingReason, until: datetime | None, message: str, next_action: str
    ) -> WorkOrder:
        row = await self._hold(
            "wait",
            claim,
            p_reason=reason,
            p_until=None if until is None else until.isoformat(),
            p_message=message,
            p_next_action=next_action,
        )
        return self._given_up(row)

    async def release(self, claim: Claim) -> None:
        self._given_up(await self._hold("release", claim))

    # --- readers ---

    async def get(self, order_id: str) -> WorkOrder:
        return wire.order_of(await self._ask("get", order_id, p_id=order_id))

    async def detail(self, order_id: str) -> OrderDetail:
        return OrderDetail(await self.get(order_id), await self.steps(order_id), await self.approvals(order_id))

    async def find(self, order_ids: Sequence[str]) -> list[WorkOrder]:
        return [wire.order_of(row) for row in await self._ask("find", p_ids=list(order_ids))]

    async def steps(self, order_id: str) -> list[Step]:
        return wire.steps_of(await self._ask("steps", p_id=order_id))

    async def artifacts(self, order_id: str) -> list[Artifact]:
        return wire.artifacts_of(await self._ask("artifacts", p_id=order_id))

    async def list_orders(self, query: ListQuery) -> list[WorkOrder]:
        statuses = query.statuses or (frozenset(Status) if query.repository_key is not None else None)
        before_at, before_id = query.before or (None, None)
        rows = await self._ask(
            "list",
            version=2,
            p_statuses=None if statuses is None else sorted(statuses),
            p_repository_key=query.repository_key,
            p_text=query.text,
            p_limit=query.limit,
            p_before_at=None if before_at is None else before_at.isoformat(),
            p_before_id=before_id,
            p_archived=query.archived,
        )
        return [wire.order_of(row) for row in rows]

    async def counts(self) -> Counts:
        return wire.counts_of(await self._ask("counts"))

    async def check(self) -> None:
        version = await self._ask("check")
        if version < len(MIGRATIONS):
            raise migration_needed(version)

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
        rows = await self._ask(
            "events",
            p_id=order_id,
            p_after_seq=after_seq or 0,
            p_before_seq=before_seq,
            p_kinds=sorted(kinds) or None,
            p_limit=limit,
        )
        return [wire.event_of(row) for row in rows]

    async def changes(self, after_rev: int, limit: int = 200) -> list[WorkOrder]:
        return [wire.order_of(row) for row in await self._ask("changes", p_after_rev=after_rev, p_limit=limit)]

    async def last_rev(self) -> int:
        rev: int = await self._ask("last_rev")
        return rev

    # --- waiting ---

    async def wait_for_work(self, at_most: timedelta) -> None:
        # What other servers file is found by the worker, which asks every few seconds as it is.
        await self._signals.wait_for_work(at_most)

    async def wait_for_events(self, order_id: str, after_seq: int, at_most: timedelta) -> None:
        async def is_there() -> bool:
            if order_id in self._held:
                return self._held[order_id] > after_seq
            return (await self._look([order_id])).orders.get(order_id, (0, False))[0] > after_seq

        with self._watching(Waiting(order_id, after_seq)):
            await self._signals.wait_for_events(order_id, at_most, is_there)

    async def wait_for_change(self, after_rev: int, at_most: timedelta) -> None:
        with self._lookout.waiting(Waiting()):
            if self._signals.rev <= after_rev:
                self._hear_rev(await self.last_rev())
            await self._signals.wait_for_change(after_rev, at_most)

    async def wait_for_cancel(self, order_id: str, at_most: timedelta) -> None:
        async def is_there() -> bool:
            if order_id in self._held:
                return order_id in self._cancelled
            return (await self._look([order_id])).orders.get(order_id, (0, False))[1]

        with self._watching(Waiting(order_id)):
            await self._signals.wait_for_cancel(order_id, at_most, is_there)

    # --- what this process knows ---

    def _watching(self, waiting: Waiting) -> AbstractContextManager[None]:
        # Of an order that is held here there is nothing to look for: its holder writes its journal, and every renewal
        # and every write tells whether its cancel was asked for.
        return nullcontext() if waiting.order_id in self._held else self._lookout.waiting(waiting)

    async def _look(self, order_ids: list[str]) -> Seen:
        found = await self._ask("look", p_ids=order_ids)
        return Seen(found["rev"], {order_id: (seq, cancel) for order_id, seq, cancel in found["orders"]})

    def _hear_look(self, seen: Seen, grown: set[str]) -> None:
        self._signals.hear(News(events={order_id: [] for order_id in grown}, rev=seen.rev))
        for order_id, (_, cancel_requested) in seen.orders.items():
            if cancel_requested:
                self._hear_cancel(order_id)

    def _moved(self, row: wire.Json, *, work: bool = True) -> WorkOrder:
        order = wire.order_of(row)
        self._hear_order(order, work=work)
        return order

    def _given_up(self, row: wire.Json) -> WorkOrder:
        """The order of a claim that has ended: its repository has a place free."""
        order = wire.order_of(row)
        self._let_go(order.agent_work_order_id)
        self._hear_order(order, work=True)
        return order

    def _let_go(self, order_id: str) -> None:
        if self._held.pop(order_id, None) is not None:
            # Who waits for what its holder writes has to look elsewhere from now on.
            self._signals.hear(News(events={order_id: []}))
        self._cancelled.discard(order_id)

    def _hear_order(self, order: WorkOrder, *, work: bool = False) -> None:
        self._signals.hear(News(events={order.agent_work_order_id: []}, rev=order.rev, work=work))

    def _hear_rev(self, rev: int | None) -> None:
        self._signals.hear(News(rev=rev or 0))

    def _hear_cancel(self, order_id: str) -> None:
        if order_id in self._held:
            self._cancelled.add(order_id)
        self._signals.hear(News(cancels={order_id}))


def _request() -> dict[str, Any]:
    """By which the database knows a repeated call of what could be asked for twice in earnest."""
    return {"p_request_id": str(uuid.uuid4())}


def _meaning(refusal: Refusal, order_id: str, rule: str) -> Exception:
    match refusal.word:
        case "not_found":
            return NotFound(f"There is no work order {order_id}.")
        case "lease_lost":
            return LostLease(f"The lease on {order_id} is held no longer.")
        case "wrong_state":
            return WrongState(f"{order_id} is {refusal.detail}; {rule}.")
        case "sequence_gap":
            return SequenceGap(int(refusal.detail))
        case "not_configured":
            return not_configured(order_id)
        case "version_conflict":
            return changed_meanwhile(order_id)
        case "idempotency_conflict":
            return IdempotencyConflict("This idempotency key was used before, for another request.")
        case "import_conflict":
            return IdempotencyConflict(f"Another work order has the idempotency key of {order_id}.")
        case "unknown_column":
            return too_new(refusal.detail)
        case "incomplete_import":
            return WrongState(f"{order_id} arrived without some of its events.", next_action="Import it again.")
        case "invalid_from_step":
            return InvalidInput([FieldProblem("from_step", f"must be a number from 1 to {refusal.detail}")])
        case _:
            return refusal


def _clock_finding(seconds: float) -> Finding:
    """Leases and orders go by the database's clock alone; a wrong one here misleads people who read logs."""
    side = "ahead of" if seconds > 0 else "behind"
    detail = f"The database's clock is {abs(seconds):.1f} s {side} this server's."
    if abs(seconds) <= CLOCKS_APART:
        return Finding(name="clock", ok=True, detail=detail)
    action = "Set both clocks by NTP; work goes on, but times in logs and in the state do not agree."
    return Finding(name="clock", ok=False, detail=detail, next_action=action, required=False)
