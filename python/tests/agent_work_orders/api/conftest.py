"""A host application with our router, a real store and pretended checkouts; requests without a network in between."""

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any, cast

import anyio
import httpx
import pytest
from fastapi import FastAPI
from fastapi.middleware.cors import CORSMiddleware

from src.agent_work_orders.api import STATE_NAME, ApiContext, GuardPolicy, HealthCheck, WorkerStatus, router
from src.agent_work_orders.domain.errors import NotFound
from src.agent_work_orders.domain.events import AgentSpoke, draft
from src.agent_work_orders.domain.redaction import Redactor
from src.agent_work_orders.domain.repository import HostPolicy, Repository, RepositoryOptions, parse_repository_url
from src.agent_work_orders.domain.status import Status
from src.agent_work_orders.domain.work_order import Claim, Outcome, WorkOrder
from src.agent_work_orders.ports import NO_OPTIONS, Checkout, Checkouts, Diff, FileDiff, MirrorView, TakenOver, Tools
from src.agent_work_orders.store.sqlite import SqliteStore

REQUEST = {"repository_url": "https://github.com/octo/tools", "user_request": "Add a flag."}
LEASE = timedelta(minutes=5)


class PretendCheckouts(Checkouts):
    """Remembers what was removed; has one diff or none."""

    def __init__(self) -> None:
        self.removed: list[tuple[str, str]] = []
        self.expected: list[tuple[str, str]] = []
        self.error: Exception | None = None
        self.files: tuple[FileDiff, ...] | None = None
        self.kept: list[MirrorView] = []

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
        raise NotImplementedError

    async def diff(self, order: WorkOrder, repository: Repository) -> Diff:
        if self.files is None:
            raise NotFound("There is no checkpoint yet.")
        return Diff("b" * 40, "c" * 40, self.files)

    async def remove(self, order: WorkOrder, repository: Repository) -> None:
        if self.error is not None:
            raise self.error
        self.removed.append((order.agent_work_order_id, repository.key))

    def expect(
        self,
        order: WorkOrder,
        repository: Repository,
        token: Callable[[], Awaitable[str | None]],
        *,
        options: RepositoryOptions = NO_OPTIONS,
    ) -> None:
        self.expected.append((order.agent_work_order_id, repository.key))

    async def clean_up(self, order: WorkOrder, repository: Repository) -> None:
        """There is no command."""

    async def run(self, stopping: anyio.Event) -> None:
        """Nothing is prepared."""

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
        raise NotImplementedError

    async def unshare(self, order_id: str, repository: Repository, token: str | None) -> None:
        """Nothing was ever shared."""

    async def save(self, order: WorkOrder, repository: Repository) -> None:
        """Nothing is open."""

    async def mirrors(self) -> list[MirrorView]:
        if self.error is not None:
            raise self.error
        return self.kept


class NoSecrets:
    """Nobody saved any."""

    async def get(self, name: str, repository: Repository | None = None) -> str | None:
        return None


@dataclass
class Bench:
    """Everything a test of the API turns: the policy, the health, the store, and a client."""

    app: FastAPI
    store: SqliteStore
    checkouts: PretendCheckouts
    folder: Path
    stopping: anyio.Event
    client: httpx.AsyncClient
    policy: list[GuardPolicy]
    health: list[HealthCheck] = field(default_factory=list)
    # How many of the worker's five slots are in use.
    busy: list[int] = field(default_factory=list)

    async def file(self, **fields: Any) -> str:
        """The id of a new order."""
        answer = await self.client.post("/api/awo/work-orders", json={**REQUEST, **fields})
        assert answer.status_code == 202, answer.text
        return str(answer.json()["agent_work_order_id"])

    async def claim(self) -> Claim:
        """The next order in the queue, taken by a worker."""
        claim = await self.store.claim("worker-1", f"request-{id(object())}", LEASE, 5)
        assert claim is not None
        return claim

    async def speak(self, claim: Claim, first_seq: int, count: int) -> int:
        """Appends `count` events; the journal's new end."""
        drafts = [draft(AgentSpoke(text=f"word {number}"), 1) for number in range(first_seq, first_seq + count)]
        return await self.store.append(claim, first_seq, drafts)

    async def finish(self, claim: Claim, status: Status = Status.COMPLETED) -> WorkOrder:
        return await self.store.finish(claim, Outcome(status, "It is over."))

    async def finished(self, status: Status = Status.COMPLETED, **fields: Any) -> str:
        """The id of an order that is over."""
        order_id = await self.file(**fields)
        claim = await self.claim()
        assert claim.order_id == order_id
        await self.finish(claim, status)
        return order_id


async def until(fact: Callable[[], bool]) -> None:
    """Waits for a fact that nothing announces; the test's own time limit ends it."""
    while not fact():  # noqa: ASYNC110 - what is waited for happens in a server that has no event for it
        await anyio.sleep(0.005)  # fact: the caller names it


def detail_of(answer: httpx.Response, status: int) -> dict[str, Any]:
    """The error of an answer, whose shape is checked on the way."""
    assert answer.status_code == status, answer.text
    body = answer.json()
    assert set(body) == {"detail"}
    detail = cast(dict[str, Any], body["detail"])
    assert set(detail) == {"error", "code", "next_action", "fields"}
    assert detail["error"]
    assert detail["next_action"]
    assert all(set(one) == {"field", "problem"} for one in detail["fields"])
    return detail


def fields_of(answer: httpx.Response) -> dict[str, str]:
    """The fields that a 422 names, with what is wrong with them."""
    return {one["field"]: one["problem"] for one in detail_of(answer, 422)["fields"]}


@pytest.fixture
async def bench(tmp_path: Path) -> AsyncIterator[Bench]:
    folder = tmp_path / "work-orders"
    folder.mkdir()
    checkouts, policy, health = PretendCheckouts(), [GuardPolicy(bound_to_loopback=True)], list[HealthCheck]()
    hosts = HostPolicy(allowed=frozenset({"github.com", "git.example"}))

    async def report() -> list[HealthCheck]:
        return health

    async with SqliteStore.open(tmp_path / "awo.db") as store:
        nobody = cast(Any, None)  # the API reaches none of these
        busy = [1]
        tools = Tools(
            store=store,
            checkouts=checkouts,
            agent=nobody,
            checks=nobody,
            forge=nobody,
            secrets=NoSecrets(),
            redactor=Redactor(),
            limits=nobody,
            repository=lambda url: parse_repository_url(url, hosts),
            work_orders_dir=folder,
        )
        context = ApiContext(
            tools=tools,
            guard_policy=lambda: policy[0],
            stopping=anyio.Event(),
            health=report,
            workers=lambda: WorkerStatus("worker-1", 5, busy[0], "none"),
            heartbeat=0.05,
        )
        # The public Archon host answers every origin, with credentials: our guard must not lean on it.
        app = FastAPI()
        app.add_middleware(
            CORSMiddleware, allow_origins=["*"], allow_credentials=True, allow_methods=["*"], allow_headers=["*"]
        )
        app.include_router(router)
        setattr(app.state, STATE_NAME, context)
        transport = httpx.ASGITransport(app)
        async with httpx.AsyncClient(transport=transport, base_url="http://localhost:8181") as client:
            yield Bench(app, store, checkouts, folder, context.stopping, client, policy, health, busy)
