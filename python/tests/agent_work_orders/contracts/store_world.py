"""What the contract needs from a backend under test, and the words its tests are written in."""

import itertools
import uuid
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from datetime import datetime, timedelta
from typing import Any, Protocol, TypeVar

from src.agent_work_orders.domain.errors import FailureClass
from src.agent_work_orders.domain.events import Draft, Event
from src.agent_work_orders.domain.status import Status, StepStatus, WaitingReason
from src.agent_work_orders.domain.work_order import (
    Claim,
    NewWorkOrder,
    Outcome,
    StepResult,
    WorkOrder,
    WorkOrderRequest,
    new_order_id,
)
from src.agent_work_orders.ports import Store

LEASE = timedelta(seconds=45)
LONG = timedelta(minutes=10)  # a wait that the test's own time limit ends first
DONE = Outcome(Status.COMPLETED, "Done.")

F = TypeVar("F", bound=Callable[..., Any])
_numbers = itertools.count(1)


class World(Protocol):
    """Empty state at first. Its clock never stands still and never goes back."""

    store: Store
    address: str  # by which `open_store` reaches the same state from another process

    def server(self) -> AbstractAsyncContextManager[Store]:
        """Another server on the same state."""
        ...

    async def now(self) -> datetime: ...
    async def let_pass(self, time: timedelta) -> None:
        """As if so much time had gone by for the store."""
        ...

    async def limit_repository(self, repository_key: str, at_most: int | None) -> None: ...
    async def assert_sound(self) -> None:
        """The backend's own look at its integrity."""
        ...


def clause(*numbers: int) -> Callable[[F], F]:
    """Which clauses of `store_contract` a test proves."""

    def mark(test: F) -> F:
        test.clauses = numbers  # type: ignore[attr-defined]  # read by the test that every clause has a test
        return test

    return mark


def new_order(repository: str = "github.com/owner/name", *, key: str | None = None, **request: Any) -> NewWorkOrder:
    """An order nobody filed before, unless `key` says so."""
    url = f"https://{repository}"
    fields = {"repository_url": url, "user_request": "Mend the parser.", **request}
    key = f"key-{next(_numbers)}-{uuid.uuid4().hex[:8]}" if key is None else key
    return NewWorkOrder(new_order_id(), WorkOrderRequest(**fields), url, repository.lower(), key)


async def file_order(store: Store, repository: str = "github.com/owner/name", **request: Any) -> WorkOrder:
    return (await store.enqueue(new_order(repository, **request))).order


async def maybe_claim(
    store: Store, worker_id: str = "worker-1", *, limit: int = 1000, lease: timedelta = LEASE
) -> Claim | None:
    return await store.claim(worker_id, str(uuid.uuid4()), lease, limit)


async def claim_next(
    store: Store, worker_id: str = "worker-1", *, limit: int = 1000, lease: timedelta = LEASE
) -> Claim:
    claim = await maybe_claim(store, worker_id, limit=limit, lease=lease)
    assert claim is not None, "there is nothing to claim"
    return claim


async def file_and_claim(store: Store, **request: Any) -> Claim:
    """The claim of a new order in a repository of its own."""
    order = await file_order(store, f"github.com/owner/{uuid.uuid4().hex}", priority=0, **request)
    claim = await claim_next(store)
    assert claim.order_id == order.agent_work_order_id, "another order stood in the way"
    return claim


async def order_in(world: World, status: Status) -> WorkOrder:
    """A new order that got as far as `status`."""
    store = world.store
    if status is Status.SCHEDULED:
        return await file_order(store, run_after=await world.now() + timedelta(days=1))
    if status is Status.PENDING:
        return await file_order(store)
    claim = await file_and_claim(store)
    match status:
        case Status.RUNNING:
            pass
        case Status.WAITING:
            await park(store, claim)
        case Status.FAILED:
            await store.finish(claim, failure())
        case _:
            await store.finish(claim, Outcome(status, "Over."))
    return await store.get(claim.order_id)


async def park(store: Store, claim: Claim, until: datetime | None = None) -> WorkOrder:
    return await store.wait(claim, WaitingReason.USAGE_LIMIT, until, "The account is used up.", "Nothing.")


def failure() -> Outcome:
    return Outcome(Status.FAILED, "It failed.", FailureClass.GIT, "The push was rejected.", "Pull and retry.")


def drafts(count: int, text: str = "hello") -> list[Draft]:
    return [Draft("agent_spoke", f'{{"text":"{text} {number}","artifact_id":null}}', 1) for number in range(count)]


def result(step_order: int = 1, status: StepStatus = StepStatus.COMPLETED, **fields: Any) -> StepResult:
    values: dict[str, Any] = {"step_name": "planning", "agent_name": "claude", "duration_seconds": 1.5, **fields}
    return StepResult(step_order=step_order, status=status, **values)


async def journal(store: Store, order_id: str) -> list[Event]:
    """All events, page by page; asserts that no seq is missing."""
    found: list[Event] = []
    while page := await store.events(order_id, after_seq=len(found)):
        found += page
    assert [event.seq for event in found] == list(range(1, len(found) + 1))
    return found


async def kinds(store: Store, order_id: str) -> list[str]:
    return [event.kind for event in await journal(store, order_id)]
