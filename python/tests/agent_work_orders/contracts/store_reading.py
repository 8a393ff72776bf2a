"""Clauses 33, 34, 36 to 38 and 67: lists, changes, counts and one order as people see it."""

from datetime import datetime
from itertools import pairwise

import anyio
import anyio.lowlevel
import pytest

from src.agent_work_orders.domain.errors import NotFound
from src.agent_work_orders.domain.status import Status
from src.agent_work_orders.domain.work_order import OrderChanges, WorkOrder
from src.agent_work_orders.ports import ListQuery, Store

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
    order_in,
    park,
    result,
)


async def pages(store: Store, query: ListQuery) -> list[WorkOrder]:
    """Everything, as somebody who turns pages sees it."""
    found: list[WorkOrder] = []
    before: tuple[datetime, str] | None = None
    while True:
        page = await store.list_orders(ListQuery(query.statuses, query.repository_key, query.text, query.limit, before))
        found += page
        if len(page) < query.limit:
            return found
        before = (page[-1].created_at, page[-1].agent_work_order_id)


def ids(orders: list[WorkOrder]) -> list[str]:
    return [order.agent_work_order_id for order in orders]


class Reading:
    @clause(67)
    async def test_one_order_is_told_as_its_parts_are(self, world: World) -> None:
        store = world.store
        claim = await file_and_claim(store)
        await store.start_step(claim, 1, "create-branch", "server")
        await store.finish_step(claim, result(1))
        detail = await store.detail(claim.order_id)
        assert detail.order == await store.get(claim.order_id)
        assert detail.steps == await store.steps(claim.order_id)
        assert len(detail.steps) == 1
        assert detail.approvals == await store.approvals(claim.order_id) == []
        with pytest.raises(NotFound):
            await store.detail("wo-0000000000000000")

    @clause(33)
    async def test_orders_are_listed_newest_first(self, world: World) -> None:
        filed = [await file_order(world.store, f"github.com/owner/{number % 3}") for number in range(7)]
        listed = await world.store.list_orders(ListQuery())
        assert listed == filed[::-1]
        assert await world.store.list_orders(ListQuery(limit=2)) == listed[:2]
        after_two = ListQuery(limit=2, before=(listed[1].created_at, listed[1].agent_work_order_id))
        assert await world.store.list_orders(after_two) == listed[2:4]

    @clause(33)
    @pytest.mark.parametrize(
        "query",
        [
            ListQuery(limit=3),
            ListQuery(limit=3, statuses=frozenset({Status.PENDING, Status.CANCELLED})),
            ListQuery(limit=3, repository_key="github.com/owner/1"),
            ListQuery(limit=3, text="parser"),
        ],
        ids=["all", "statuses", "repository", "text"],
    )
    async def test_pages_hold_every_order_once(self, world: World, query: ListQuery) -> None:
        for number in range(20):
            order = await file_order(world.store, f"github.com/owner/{number % 2}")
            if number % 3 == 0:
                await world.store.cancel(order.agent_work_order_id)
        whole = await world.store.list_orders(
            ListQuery(query.statuses, query.repository_key, query.text, limit=100, before=None)
        )
        assert len(whole) == (10 if query.repository_key else 20)
        assert await pages(world.store, query) == whole

    @clause(33)
    async def test_pages_are_not_disturbed_by_what_is_filed_meanwhile(self, world: World) -> None:
        filed = [await file_order(world.store) for _ in range(9)]
        found: list[WorkOrder] = []
        before = None
        for _ in range(3):
            page = await world.store.list_orders(ListQuery(limit=3, before=before))
            found += page
            before = (page[-1].created_at, page[-1].agent_work_order_id)
            await file_order(world.store)
        assert ids(found) == ids(filed[::-1])

    @clause(34)
    async def test_orders_are_found_by_status_and_repository(self, world: World) -> None:
        # Pending last: the others are claimed on their way.
        statuses = sorted(Status, key=lambda status: status is Status.PENDING)
        by_status = {status: await order_in(world, status) for status in statuses}
        for status, order in by_status.items():
            assert await world.store.list_orders(ListQuery(frozenset({status}))) == [order]
        active = frozenset({Status.RUNNING, Status.WAITING, Status.PENDING})
        assert set(ids(await world.store.list_orders(ListQuery(active)))) == set(
            ids([by_status[status] for status in active])
        )
        key = by_status[Status.WAITING].repository_key
        assert await world.store.list_orders(ListQuery(repository_key=key)) == [by_status[Status.WAITING]]
        assert await world.store.list_orders(ListQuery(frozenset({Status.RUNNING}), key)) == []
        assert await world.store.list_orders(ListQuery(repository_key="github.com/no/where")) == []

    @clause(34)
    async def test_orders_are_found_by_text(self, world: World) -> None:
        plain = await file_order(world.store, "github.com/acme/rocket", user_request="Fix the PARSER of dates")
        odd = await file_order(world.store, "github.com/owner/b", user_request=r"100%_sure \o/ 'quoted'")
        claim = await claim_next(world.store)
        await world.store.record(claim, OrderChanges(git_branch_name="awo/1-fix-the-parser"))
        branch = claim.order_id

        async def found(text: str) -> set[str]:
            return set(ids(await world.store.list_orders(ListQuery(text=text))))

        both = {plain.agent_work_order_id, odd.agent_work_order_id}
        assert await found("parser of") == {plain.agent_work_order_id}
        assert await found("ACME/ROCKET") == {plain.agent_work_order_id}
        assert await found(odd.agent_work_order_id[3:]) == {odd.agent_work_order_id}
        assert await found("AWO/1-fix") == {branch}
        assert await found("100%_SURE") == {odd.agent_work_order_id}
        assert await found("'quoted'") == {odd.agent_work_order_id}
        assert await found("\\o/") == {odd.agent_work_order_id}
        assert await found("1__%") == await found("nowhere") == set()
        assert await found("%") == {odd.agent_work_order_id}
        assert await found("") == both
        narrow = ListQuery(frozenset({Status.RUNNING}), claim.order.repository_key, "github")
        assert ids(await world.store.list_orders(narrow)) == [branch]

    @clause(36)
    async def test_every_state_change_has_a_higher_rev(self, world: World) -> None:
        store = world.store
        start = await store.last_rev()
        filed = await file_order(store)
        order_id = filed.agent_work_order_id
        seen = [start, filed.rev]
        claim = await claim_next(store)
        seen.append(claim.order.rev)
        await store.record(claim, OrderChanges(git_branch_name="b"))
        seen.append((await store.get(order_id)).rev)
        await store.start_step(claim, 1, "planning", "claude")
        seen.append((await store.get(order_id)).rev)
        await store.finish_step(claim, result())
        seen.append((await store.get(order_id)).rev)
        await store.release(claim)
        seen.append((await store.get(order_id)).rev)
        second = await claim_next(store)
        seen.append(second.order.rev)
        seen.append((await park(store, second)).rev)
        seen.append((await store.resume(order_id, "go on")).rev)
        third = await claim_next(store)
        seen.append(third.order.rev)
        await world.let_pass(LEASE * 2)
        await store.reap(10)
        seen.append((await store.get(order_id)).rev)
        fourth = await claim_next(store)
        seen.append(fourth.order.rev)
        seen.append((await store.cancel(order_id)).rev)
        seen.append((await store.finish(fourth, failure())).rev)
        seen.append((await store.retry(order_id, None)).rev)
        seen.append((await store.cancel(order_id)).rev)
        assert all(earlier < later for earlier, later in pairwise(seen)), seen
        assert await store.last_rev() == seen[-1]

    @clause(36)
    async def test_changes_give_each_order_once_with_its_newest_state(self, world: World) -> None:
        start = await world.store.last_rev()
        assert await world.store.changes(start) == []
        first, second, third = [await file_order(world.store, f"github.com/o/{n}") for n in range(3)]
        claim = await claim_next(world.store)
        done = await world.store.finish(claim, DONE)
        assert claim.order_id == first.agent_work_order_id
        assert await world.store.changes(start) == [second, third, done]
        assert await world.store.changes(start, limit=2) == [second, third]
        assert await world.store.changes(third.rev) == [done]
        await world.store.delete(claim.order_id)
        assert await world.store.changes(start) == [second, third]
        assert await world.store.last_rev() >= done.rev

    @clause(36)
    async def test_who_follows_the_changes_misses_none(self, world: World) -> None:
        seen: dict[str, Status] = {}
        filed: list[str] = []
        async with world.server() as other, anyio.create_task_group() as group:

            async def follow() -> None:
                after = 0
                while len(seen) < 60 or set(seen.values()) != {Status.CANCELLED}:
                    for order in await other.changes(after, limit=7):
                        assert order.rev > after
                        after = order.rev
                        seen[order.agent_work_order_id] = order.status
                    await anyio.lowlevel.checkpoint()

            async def file(store: Store, number: int) -> None:
                for _ in range(10):
                    order = await file_order(store, f"github.com/owner/{number}")
                    await store.cancel(order.agent_work_order_id)
                    filed.append(order.agent_work_order_id)

            group.start_soon(follow)
            for number in range(6):
                group.start_soon(file, (world.store, other)[number % 2], number)
        assert set(seen) == set(filed)

    @clause(37)
    async def test_counts_tell_the_queue_at_a_glance(self, world: World) -> None:
        empty = await world.store.counts()
        assert (sum(empty.by_status.values()), empty.oldest_pending_at, empty.leases) == (0, None, ())
        for status in (Status.SCHEDULED, Status.WAITING, Status.FAILED, Status.FAILED):
            await order_in(world, status)
        claim = await file_and_claim(world.store)
        oldest = await file_order(world.store)
        await file_order(world.store)
        counts = await world.store.counts()
        assert {status: count for status, count in counts.by_status.items() if count} == {
            Status.SCHEDULED: 1,
            Status.WAITING: 1,
            Status.FAILED: 2,
            Status.RUNNING: 1,
            Status.PENDING: 2,
        }
        assert counts.oldest_pending_at == oldest.created_at
        assert counts.leases == ((claim.order_id, "worker-1", claim.lease_expires_at),)

    @clause(38)
    async def test_a_usable_store_passes_its_check(self, world: World) -> None:
        claim = await file_and_claim(world.store)
        rev = await world.store.last_rev()
        await world.store.check()
        assert await world.store.last_rev() == rev
        await world.store.append(claim, 3, drafts(1))
        assert world.store.append_delay < LONG
