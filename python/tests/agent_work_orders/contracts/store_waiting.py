"""Clauses 39 and 40: waiting for what comes, without asking all the time."""

from collections.abc import Awaitable, Callable
from datetime import timedelta

import anyio
import pytest

from src.agent_work_orders.domain.status import Status
from src.agent_work_orders.domain.work_order import Claim

from .store_world import (
    DONE,
    LEASE,
    LONG,
    World,
    claim_next,
    clause,
    drafts,
    failure,
    file_and_claim,
    file_order,
    maybe_claim,
    order_in,
    park,
)

SOON = timedelta(milliseconds=20)


async def woken_by(wait: Awaitable[None], act: Callable[[], Awaitable[object]]) -> None:
    """Passes if what `act` does ends the wait, long before the wait's own end."""
    with anyio.fail_after(30):
        async with anyio.create_task_group() as group:

            async def waiting() -> None:
                await wait

            group.start_soon(waiting)
            await anyio.wait_all_tasks_blocked()
            await act()


class Waiting:
    @clause(39)
    async def test_a_wait_for_work_ends_with_whatever_makes_work(self, world: World) -> None:
        store = world.store
        failed = await order_in(world, Status.FAILED)
        parked = await order_in(world, Status.WAITING)
        for act in (
            lambda: file_order(store),
            lambda: store.retry(failed.agent_work_order_id, None),
            lambda: store.resume(parked.agent_work_order_id, "go on"),
        ):
            assert await maybe_claim(store) is None
            await woken_by(store.wait_for_work(LONG), act)
            await claim_next(store)

    @clause(39)
    async def test_a_wait_for_work_ends_when_a_place_becomes_free(self, world: World) -> None:
        store = world.store
        for end in ("finish", "wait", "release", "reap"):
            repository = f"github.com/owner/{end}"
            await file_order(store, repository)
            claim = await claim_next(store, limit=1)
            await file_order(store, repository)
            assert await maybe_claim(store, limit=1) is None

            async def free_it(end: str = end, claim: Claim = claim) -> None:
                match end:
                    case "finish":
                        await store.finish(claim, failure())
                    case "wait":
                        await park(store, claim)
                    case "release":
                        await store.release(claim)
                    case _:
                        await store.reap(10, ["worker-1"])

            await woken_by(store.wait_for_work(LONG), free_it)
            while (claim_or_none := await maybe_claim(store, "worker-2")) is not None:
                await store.finish(claim_or_none, DONE)

    @clause(39)
    async def test_a_wait_for_events_ends_with_the_next_event(self, world: World) -> None:
        store = world.store
        claim = await file_and_claim(store)
        await woken_by(store.wait_for_events(claim.order_id, 2, LONG), lambda: store.append(claim, 3, drafts(1)))
        await woken_by(store.wait_for_events(claim.order_id, 3, LONG), lambda: store.finish(claim, failure()))
        await woken_by(store.wait_for_events(claim.order_id, 4, LONG), lambda: store.retry(claim.order_id, None))
        with anyio.fail_after(30):
            await store.wait_for_events(claim.order_id, 4, LONG)

    @clause(39)
    async def test_a_wait_for_changes_ends_with_the_next_change(self, world: World) -> None:
        store = world.store
        rev = await store.last_rev()
        await woken_by(store.wait_for_change(rev, LONG), lambda: file_order(store))
        claim = await claim_next(store)
        await woken_by(store.wait_for_change(claim.order.rev, LONG), lambda: store.finish(claim, DONE))
        with anyio.fail_after(30):
            await store.wait_for_change(rev, LONG)

    @clause(39)
    async def test_a_wait_for_a_cancel_ends_with_it(self, world: World) -> None:
        store = world.store
        claim = await file_and_claim(store)
        await woken_by(store.wait_for_cancel(claim.order_id, LONG), lambda: store.cancel(claim.order_id))
        with anyio.fail_after(30):
            await store.wait_for_cancel(claim.order_id, LONG)
        async with world.server() as other:
            with anyio.fail_after(30):
                await other.wait_for_cancel(claim.order_id, LONG)

    @clause(39)
    async def test_every_wait_has_an_end(self, world: World) -> None:
        store = world.store
        claim = await file_and_claim(store)
        assert await maybe_claim(store) is None
        with anyio.fail_after(30):
            await store.wait_for_work(SOON)
            await store.wait_for_events(claim.order_id, claim.order.last_seq, SOON)
            await store.wait_for_events("wo-0000000000000000", 0, SOON)
            await store.wait_for_change(await store.last_rev(), SOON)
            await store.wait_for_cancel(claim.order_id, SOON)
            await store.wait_for_cancel("wo-0000000000000000", SOON)

    @clause(39)
    async def test_other_orders_do_not_wake_a_reader(self, world: World) -> None:
        store = world.store
        quiet, busy = await file_and_claim(store), await file_and_claim(store)
        woken = False
        async with anyio.create_task_group() as group:

            async def read() -> None:
                nonlocal woken
                await store.wait_for_events(quiet.order_id, quiet.order.last_seq, LONG)
                woken = True

            group.start_soon(read)
            await anyio.wait_all_tasks_blocked()
            await store.append(busy, 3, drafts(5))
            assert not woken
            await store.append(quiet, 3, drafts(1))

    @clause(40)
    async def test_events_between_a_look_and_the_wait_are_not_missed(self, world: World) -> None:
        store = world.store
        claim = await file_and_claim(store)
        total = claim.order.last_seq + 300
        async with anyio.create_task_group() as group:

            async def read() -> None:
                after = 0
                while after < total:
                    for event in await store.events(claim.order_id, after_seq=after):
                        after = event.seq
                    if after < total:
                        await store.wait_for_events(claim.order_id, after, LONG)

            with anyio.fail_after(60):
                for _ in range(5):
                    group.start_soon(read)
                for seq in range(3, total + 1):
                    await store.append(claim, seq, drafts(1))

    @clause(40)
    @pytest.mark.parametrize("workers", [1, 4])
    async def test_work_between_a_look_and_the_wait_is_not_missed(self, world: World, workers: int) -> None:
        store = world.store
        left = 100
        async with anyio.create_task_group() as group:

            async def work(name: str) -> None:
                nonlocal left
                while left:
                    claim = await maybe_claim(store, name)
                    if claim is None:
                        await store.wait_for_work(LONG)
                        continue
                    left -= 1
                    await store.finish(claim, DONE)

            with anyio.fail_after(60):
                for number in range(workers):
                    group.start_soon(work, f"worker-{number}")
                for _ in range(100):
                    await file_order(store)

    @clause(40)
    async def test_changes_between_a_look_and_the_wait_are_not_missed(self, world: World) -> None:
        store = world.store
        seen: set[str] = set()
        async with anyio.create_task_group() as group:

            async def follow() -> None:
                after = 0
                while len(seen) < 100:
                    for order in await store.changes(after):
                        after = order.rev
                        seen.add(order.agent_work_order_id)
                    if len(seen) < 100:
                        await store.wait_for_change(after, LONG)

            with anyio.fail_after(60):
                group.start_soon(follow)
                for _ in range(100):
                    await file_order(store)

    @clause(40)
    async def test_a_cancel_between_a_look_and_the_wait_is_not_missed(self, world: World) -> None:
        store = world.store
        for _ in range(30):
            claim = await file_and_claim(store)
            with anyio.fail_after(60):
                async with anyio.create_task_group() as group:
                    group.start_soon(store.cancel, claim.order_id)
                    group.start_soon(store.wait_for_cancel, claim.order_id, LONG)
            assert (await store.renew(claim, LEASE)).cancel_requested
