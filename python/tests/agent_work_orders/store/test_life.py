"""Orders under any sequence of calls: a model that knows only the clauses says what must come of each."""

import tempfile
import uuid
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from anyio.from_thread import start_blocking_portal
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, initialize, invariant, rule

from src.agent_work_orders.domain.conversation import NewMessage, new_message_id
from src.agent_work_orders.domain.errors import FailureClass, LostLease, NotFound, WrongState
from src.agent_work_orders.domain.events import Draft
from src.agent_work_orders.domain.status import TERMINAL, TRANSITIONS, Status, WaitingReason
from src.agent_work_orders.domain.work_order import (
    Claim,
    NewWorkOrder,
    Outcome,
    WorkOrderRequest,
    new_order_id,
    utc_now,
)
from src.agent_work_orders.ports import ListQuery
from src.agent_work_orders.store.sqlite import SqliteStore

LEASE = timedelta(seconds=60)
LIMIT = 2
OUTCOMES = {
    Status.COMPLETED: Outcome(Status.COMPLETED, "Done."),
    Status.FAILED: Outcome(Status.FAILED, "Failed.", FailureClass.AGENT, "It failed.", "Retry."),
    Status.CANCELLED: Outcome(Status.CANCELLED, "Stopped."),
}


@dataclass
class Model:
    """What the clauses say about one order."""

    order_id: str
    place: int
    repository: int
    priority: int
    status: Status
    due: datetime | None
    attempt: int = 1
    most: int = 3
    token: int | None = None
    expires: datetime | None = None
    cancel: bool = False
    seq: int = 1
    deleted: bool = False
    untold: int = 0
    # Whether a message was written that no attempt was begun for, and that no turn had.
    unheard: bool = False


class Life(RuleBasedStateMachine):
    filed = Bundle("filed")
    claims = Bundle("claims")

    @initialize()
    def open(self) -> None:
        self.at = utc_now()
        self.models: list[Model] = []
        self.served: dict[int, int] = {}
        self.stack = ExitStack()
        folder = self.stack.enter_context(tempfile.TemporaryDirectory())
        self.portal = self.stack.enter_context(start_blocking_portal())
        self.store = self.stack.enter_context(
            self.portal.wrap_async_context_manager(SqliteStore.open(Path(folder) / "awo.db", clock=lambda: self.at))
        )

    def teardown(self) -> None:
        if hasattr(self, "stack"):
            self.stack.close()

    def call(self, verb: str, *arguments: Any) -> Any:
        return self.portal.call(getattr(self.store, verb), *arguments)

    def refused(self, error: type[Exception], verb: str, *arguments: Any) -> None:
        try:
            self.call(verb, *arguments)
        except error:
            return
        raise AssertionError(f"{verb} was not refused")

    def move(self, model: Model, status: Status) -> None:
        if model.status is not status:
            assert status in TRANSITIONS[model.status]
        model.status = status
        if status is not Status.RUNNING:
            model.token = model.expires = None

    @rule(
        target=filed, repository=st.integers(0, 2), priority=st.sampled_from([0, 5]), later=st.sampled_from([0, 0, 90])
    )
    def enqueue(self, repository: int, priority: int, later: int) -> Model:
        due = self.at + timedelta(seconds=later) if later else None
        url = f"https://github.com/owner/{repository}"
        request = WorkOrderRequest(repository_url=url, user_request="x", priority=priority, run_after=due)
        order_id = new_order_id()
        self.call("enqueue", NewWorkOrder(order_id, request, url, url[8:], order_id))
        status = Status.SCHEDULED if due else Status.PENDING
        model = Model(order_id, len(self.models), repository, priority, status, due)
        self.models.append(model)
        return model

    @rule(target=claims, worker=st.sampled_from(["w1", "w2"]))
    def claim(self, worker: str) -> tuple[Model, Claim] | None:
        claim = self.call("claim", worker, uuid.uuid4().hex, LEASE, LIMIT)
        for model in self.models:
            if model.due is not None and model.due <= self.at and model.status in (Status.SCHEDULED, Status.WAITING):
                model.seq += model.status is Status.WAITING
                self.move(model, Status.PENDING)
                model.due = None
        running = [model.repository for model in self.models if model.status is Status.RUNNING]
        line = sorted(
            (m for m in self.models if m.status is Status.PENDING and running.count(m.repository) < LIMIT),
            key=lambda m: (m.priority, self.served.get(m.repository, 0), m.repository, m.place),
        )
        if not line:
            assert claim is None
            return None
        model = line[0]
        assert claim is not None
        assert claim.order_id == model.order_id
        assert claim.token > max(self.served.values(), default=0)
        self.served[model.repository] = claim.token
        self.move(model, Status.RUNNING)
        model.token, model.expires = claim.token, self.at + LEASE
        model.seq += 1
        assert claim.was_last is all(other.status is not Status.PENDING for other in self.models)
        return model, claim

    def holds(self, held: tuple[Model, Claim]) -> bool:
        return held[0].token == held[1].token

    @rule(held=claims)
    def renew(self, held: tuple[Model, Claim] | None) -> None:
        if held is None:
            return
        model, claim = held
        if not self.holds(held):
            self.refused(LostLease, "renew", claim, LEASE)
            return
        assert self.call("renew", claim, LEASE).cancel_requested == model.cancel
        model.expires = self.at + LEASE

    @rule(held=claims, count=st.integers(1, 5))
    def append(self, held: tuple[Model, Claim] | None, count: int) -> None:
        if held is None:
            return
        model, claim = held
        if not self.holds(held):
            self.refused(LostLease, "append", claim, model.seq + 1, [Draft("agent_spoke", "{}")])
            return
        model.seq += count
        assert self.call("append", claim, model.seq - count + 1, [Draft("agent_spoke", "{}")] * count) == model.seq

    @rule(held=claims, status=st.sampled_from(sorted(TERMINAL)))
    def finish(self, held: tuple[Model, Claim] | None, status: Status) -> None:
        if held is None or not self.holds(held):
            return
        model, claim = held
        goes_on = model.unheard and not model.cancel and status is not Status.CANCELLED
        for _ in range(2):
            assert self.call("finish", claim, OUTCOMES[status]).status is (Status.PENDING if goes_on else status)
        if status is not Status.CANCELLED:
            self.tell(model)
        model.seq += 1
        if goes_on:
            self.follow_up(model)
        else:
            self.move(model, status)

    def tell(self, model: Model) -> None:
        model.seq += model.untold
        model.untold = 0

    def follow_up(self, model: Model) -> None:
        self.move(model, Status.PENDING)
        model.attempt += 1
        model.most = max(model.most, model.attempt + 1)
        model.cancel = model.unheard = False
        model.due = None

    @rule(model=filed)
    def write(self, model: Model) -> None:
        message_id = new_message_id()
        message = NewMessage(message_id, message_id, "Ana", "Ana", "Go on.", 5)
        if model.deleted:
            self.refused(NotFound, "send_message", model.order_id, message)
            return
        assert self.call("send_message", model.order_id, message).created
        model.untold += 1
        model.unheard = True
        if model.status is not Status.RUNNING:
            self.tell(model)
        if model.status in TERMINAL:
            model.seq += 1
            self.follow_up(model)

    @rule(held=claims)
    def hear(self, held: tuple[Model, Claim] | None) -> None:
        if held is None:
            return
        model, claim = held
        if not self.holds(held):
            self.refused(LostLease, "hear", claim, model.seq + 1)
            return
        first_seq = model.seq + 1
        heard = self.call("hear", claim, first_seq)
        assert self.call("hear", claim, first_seq) == heard
        self.tell(model)
        self.call("deliver", claim, [message.message_id for message in heard])
        model.unheard = False

    @rule(held=claims)
    def release(self, held: tuple[Model, Claim] | None) -> None:
        if held is None or not self.holds(held):
            return
        model, claim = held
        for _ in range(2):
            self.call("release", claim)
        self.move(model, Status.CANCELLED if model.cancel else Status.PENDING)
        model.seq += model.cancel

    @rule(held=claims, later=st.sampled_from([None, 90]))
    def wait(self, held: tuple[Model, Claim] | None, later: int | None) -> None:
        if held is None or not self.holds(held):
            return
        model, claim = held
        until = None if later is None else self.at + timedelta(seconds=later)
        for _ in range(2):
            self.call("wait", claim, WaitingReason.DISK, until, "Full.", "Free space.")
        self.move(model, Status.CANCELLED if model.cancel else Status.WAITING)
        model.due = None if model.cancel else until
        model.seq += 1

    @rule(model=filed)
    def cancel(self, model: Model) -> None:
        if model.deleted:
            self.refused(NotFound, "cancel", model.order_id)
            return
        if model.status in (Status.COMPLETED, Status.FAILED):
            self.refused(WrongState, "cancel", model.order_id)
            return
        self.call("cancel", model.order_id)
        if model.status is Status.RUNNING:
            model.cancel = True
        elif model.status is not Status.CANCELLED:
            self.move(model, Status.CANCELLED)
            model.due = None
            model.seq += 2

    @rule(model=filed)
    def resume(self, model: Model) -> None:
        if model.deleted:
            return
        if model.status is not Status.WAITING:
            self.refused(WrongState, "resume", model.order_id, "go on")
            return
        self.call("resume", model.order_id, "go on")
        self.move(model, Status.PENDING)
        model.due = None
        model.seq += 1

    @rule(model=filed)
    def retry(self, model: Model) -> None:
        if model.deleted:
            return
        if model.status not in (Status.FAILED, Status.CANCELLED):
            self.refused(WrongState, "retry", model.order_id, None)
            return
        self.call("retry", model.order_id, None)
        self.move(model, Status.PENDING)
        model.attempt += 1
        model.most = max(model.most, model.attempt + 1)
        model.cancel, model.due = False, None
        model.seq += 1

    @rule(model=filed)
    def delete(self, model: Model) -> None:
        if model.deleted:
            self.refused(NotFound, "delete", model.order_id)
            return
        if model.status not in TERMINAL:
            self.refused(WrongState, "delete", model.order_id)
            return
        self.call("delete", model.order_id)
        model.deleted = True

    @rule(seconds=st.sampled_from([20, 70, 100]))
    def time_passes(self, seconds: int) -> None:
        self.at += timedelta(seconds=seconds)

    @rule(dead=st.sampled_from([(), (), ("w1",)]))
    def reap(self, dead: tuple[str, ...]) -> None:
        workers = {one.agent_work_order_id: one.worker_id for one in self.call("list_orders", ListQuery(limit=1000))}
        reaped = {one.order_id: one.status for one in self.call("reap", 100, dead)}
        for model in self.models:
            if model.status is not Status.RUNNING or model.expires is None:
                continue
            if model.expires > self.at and workers[model.order_id] not in dead:
                continue
            model.seq += 1
            if model.cancel:
                self.move(model, Status.CANCELLED)
                model.seq += 1
            elif model.attempt >= model.most:
                self.move(model, Status.FAILED)
                model.seq += 1
            else:
                self.move(model, Status.PENDING)
                model.attempt += 1
            assert reaped.pop(model.order_id) is model.status
        assert not reaped

    @invariant()
    def the_store_agrees(self) -> None:
        if not hasattr(self, "store"):
            return
        orders = {one.agent_work_order_id: one for one in self.call("list_orders", ListQuery(limit=1000))}
        alive = [model for model in self.models if not model.deleted]
        assert orders.keys() == {model.order_id for model in alive}
        for model in alive:
            order = orders[model.order_id]
            assert (order.status, order.attempt, order.last_seq) == (model.status, model.attempt, model.seq)
            assert (order.cancel_requested_at is not None) >= model.cancel
            seqs = [event.seq for event in self.call("events", model.order_id)]
            assert seqs == list(range(1, model.seq + 1))


Life.TestCase.settings = settings(
    max_examples=40, stateful_step_count=30, deadline=None, suppress_health_check=list(HealthCheck)
)
TestLife = Life.TestCase
