"""Clauses 10, 41 and 42: many at once, in tasks, servers and processes, and some of them killed."""

import json
import random
import sys
from collections import Counter
from datetime import timedelta
from itertools import chain, pairwise
from pathlib import Path

import anyio
import anyio.lowlevel
import pytest

from src.agent_work_orders.domain.errors import LostLease, WrongState
from src.agent_work_orders.domain.events import Event
from src.agent_work_orders.domain.status import Status, StepStatus
from src.agent_work_orders.domain.work_order import Claim
from src.agent_work_orders.ports import ListQuery, Store

from .store_world import (
    DONE,
    LEASE,
    World,
    clause,
    drafts,
    failure,
    file_order,
    journal,
    maybe_claim,
    park,
    result,
)

PYTHON = Path(__file__).resolve().parents[3]
SCRIPTS = f"{__package__}.scripts"


def program(script: str, *arguments: str) -> list[str]:
    return [sys.executable, "-m", f"{SCRIPTS}.{script}", *arguments]


async def most_at_once(store: Store, order_ids: list[str]) -> int:
    """How many of these orders ran at the same time at most, as their journals tell it."""
    moves = [
        (event.at, 1 if event.kind == "order_claimed" else -1)  # at the same instant, who leaves goes first
        for order_id in order_ids
        for event in await journal(store, order_id)
        if event.kind in ("order_claimed", "order_finished")
    ]
    running = most = 0
    for _, step in sorted(moves):
        running += step
        most = max(most, running)
    return most


class Crowds:
    @clause(10)
    async def test_many_tasks_and_servers_claim_each_order_once_and_within_the_limit(self, world: World) -> None:
        claims: list[Claim] = []
        running: Counter[str] = Counter()
        for number in range(60):
            await file_order(world.store, f"github.com/owner/{number % 3}")
        async with world.server() as other, anyio.create_task_group() as group:

            async def work(store: Store, name: str) -> None:
                while (claim := await maybe_claim(store, name, limit=2)) is not None or len(claims) < 60:
                    if claim is None:
                        await anyio.lowlevel.checkpoint()
                        continue
                    claims.append(claim)
                    running[claim.order.repository_key] += 1
                    assert running[claim.order.repository_key] <= 2
                    await store.append(claim, claim.order.last_seq + 1, drafts(2))
                    # Before the call: afterwards another may hold the place already.
                    running[claim.order.repository_key] -= 1
                    await store.finish(claim, DONE)

            for number in range(12):
                group.start_soon(work, (world.store, other)[number % 2], f"worker-{number}")
        assert len({claim.order_id for claim in claims}) == len(claims) == 60
        assert len({claim.token for claim in claims}) == 60
        tokens = [claim.token for claim in claims]
        assert max(tokens) - min(tokens) == 59

    @clause(10)
    @pytest.mark.timeout(180)  # three interpreters on a busy machine
    async def test_many_processes_claim_each_order_once_and_within_the_limit(self, world: World) -> None:
        filed: dict[str, list[str]] = {}
        for number in range(60):
            repository = f"github.com/owner/{number % 3}"
            filed.setdefault(repository, []).append((await file_order(world.store, repository)).agent_work_order_id)
        claimed: list[tuple[str, int]] = []

        async def run(worker: int) -> None:
            done = await anyio.run_process(program("claimer", world.address, f"worker-{worker}", "2"), cwd=PYTHON)
            claimed.extend((line["order_id"], line["token"]) for line in map(json.loads, done.stdout.splitlines()))

        async with anyio.create_task_group() as group:
            for worker in range(3):
                group.start_soon(run, worker)
        assert sorted(order_id for order_id, _ in claimed) == sorted(chain.from_iterable(filed.values()))
        assert len({token for _, token in claimed}) == 60
        for order_ids in filed.values():
            assert await most_at_once(world.store, order_ids) <= 2
        assert (await world.store.counts()).by_status == {Status.COMPLETED: 60}

    @clause(41)
    @pytest.mark.timeout(180)  # three interpreters on a busy machine
    async def test_a_killed_writer_leaves_whole_calls_only(self, world: World) -> None:
        for number in range(3):
            order = await file_order(world.store)
            told = b""
            async with await anyio.open_process(
                program("writer", world.address), cwd=PYTHON, stdin=None, stderr=None
            ) as writer:
                assert writer.stdout is not None
                while told.count(b"\n") < 3 + 4 * number:
                    told += await writer.stdout.receive()
                writer.kill()
                async for rest in writer.stdout:
                    told += rest
            last_told = [json.loads(line) for line in told.decode().splitlines() if line.endswith("}")][-1]
            await world.assert_sound()
            order = await world.store.get(order.agent_work_order_id)
            events = await journal(world.store, order.agent_work_order_id)
            assert len(events) == order.last_seq >= last_told["last_seq"]
            steps = await world.store.steps(order.agent_work_order_id)
            finished = [step for step in steps if step.status is StepStatus.COMPLETED]
            assert len(finished) == order.next_step - 1
            assert order.next_step >= last_told["next_step"]
            assert order.cost_usd == pytest.approx(sum(step.cost_usd for step in finished))
            assert order.status is Status.RUNNING
            assert order.worker_id is not None
            await world.store.reap(10, [order.worker_id])
            claim = await maybe_claim(world.store)
            assert claim is not None
            assert claim.order_id == order.agent_work_order_id
            await world.store.finish(claim, DONE)

    @clause(42)
    async def test_everything_at_once_ends_without_an_error(self, world: World) -> None:
        chance = random.Random(7)  # noqa: S311 - a repeatable shuffle, no secret
        moved = 0
        async with world.server() as other:
            stores = (world.store, other)

            async def file(number: int) -> None:
                for _ in range(15):
                    run_after = await world.now() + timedelta(seconds=chance.randrange(3))
                    await file_order(
                        stores[number % 2],
                        f"github.com/owner/{chance.randrange(4)}",
                        priority=chance.randrange(3),
                        run_after=run_after,
                    )

            async def work(number: int) -> None:
                nonlocal moved
                store = stores[number % 2]
                for _ in range(40):
                    claim = await maybe_claim(store, f"worker-{number}", limit=2, lease=timedelta(seconds=20))
                    if claim is None:
                        await world.let_pass(timedelta(seconds=1))
                        continue
                    try:
                        await store.start_step(claim, claim.order.next_step, "planning", "claude")
                        await store.append(claim, claim.order.last_seq + 1, drafts(3))
                        await store.renew(claim, LEASE)
                        await store.finish_step(claim, result(claim.order.next_step, cost_usd=0.5))
                        match chance.randrange(6):
                            case 0:
                                await park(store, claim, await world.now() + timedelta(seconds=2))
                            case 1:
                                await store.release(claim)
                            case 2:
                                await store.finish(claim, failure())
                            case 3:
                                pass  # goes silent
                            case _:
                                await store.finish(claim, DONE)
                        moved += 1
                    except LostLease:
                        pass

            async def meddle(number: int) -> None:
                store = stores[number % 2]
                for _ in range(25):
                    for order in (await store.list_orders(ListQuery(limit=200)))[:: chance.randrange(1, 9)][:3]:
                        try:
                            match chance.randrange(3):
                                case 0:
                                    await store.cancel(order.agent_work_order_id)
                                case 1:
                                    await store.retry(order.agent_work_order_id, 1)
                                case _:
                                    await store.resume(order.agent_work_order_id, "go on")
                        except WrongState:
                            pass
                    await world.let_pass(timedelta(seconds=3))
                    await store.reap(5)

            with anyio.fail_after(100):
                async with anyio.create_task_group() as group:
                    for number in range(4):
                        group.start_soon(file, number)
                        group.start_soon(work, number)
                    for number in range(2):
                        group.start_soon(meddle, number)
        assert moved > 20
        await assert_consistent(world)


async def assert_consistent(world: World) -> None:
    """What holds whatever happened before."""
    store = world.store
    await world.assert_sound()
    orders = await store.list_orders(ListQuery(limit=1000))
    assert len({order.rev for order in orders}) == len(orders)
    assert await store.changes(0, limit=1000) == sorted(orders, key=lambda order: order.rev)
    assert max(order.rev for order in orders) <= await store.last_rev()
    held = {order_id for order_id, _, _ in (await store.counts()).leases}
    assert held == {order.agent_work_order_id for order in orders if order.status is Status.RUNNING}
    running = Counter(order.repository_key for order in orders if order.status is Status.RUNNING)
    assert all(count <= 2 for count in running.values())
    for order in orders:
        events = await journal(store, order.agent_work_order_id)
        assert len(events) == order.last_seq
        attempts = [event.attempt for event in events]
        assert attempts == sorted(attempts)
        told = Counter(event.kind for event in events)
        retries = sum(event.kind == "order_resumed" and '"retry"' in event.payload for event in events)
        assert order.attempt == 1 + retries + told["lease_lost"] - _last_attempts(events)
        assert told["order_finished"] == retries + order.status.is_terminal
        assert (order.status is Status.WAITING) == (order.waiting_reason is not None)
        assert order.status.is_terminal == (order.finished_at is not None)
        steps = await store.steps(order.agent_work_order_id)
        assert order.cost_usd == pytest.approx(sum(step.cost_usd for step in steps))
        if order.status is not Status.RUNNING:
            assert all(step.status is not StepStatus.RUNNING for step in steps)


def _last_attempts(events: list[Event]) -> int:
    """Leases that were lost and brought no new attempt: the order ended with them."""
    return sum(earlier.kind == "lease_lost" and later.kind == "order_finished" for earlier, later in pairwise(events))
