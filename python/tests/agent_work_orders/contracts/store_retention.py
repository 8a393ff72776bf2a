"""What clean-up asks of the state and leaves in it: duties by lease, and remarks on orders that have ended."""

from datetime import timedelta

import pytest

from src.agent_work_orders.domain.events import FilesRemoved
from src.agent_work_orders.domain.retention import Kind
from src.agent_work_orders.domain.status import TERMINAL, Status
from src.agent_work_orders.domain.work_order import new_order_id

from .store_world import LEASE, World, clause, journal, order_in

REMOVED = FilesRemoved(removal_id="1", what=Kind.CHECKOUT, size_bytes=5_000_000_000, reason="older than its retention")


class Retention:
    @clause(63)
    async def test_a_duty_is_one_workers_until_its_lease_runs_out(self, world: World) -> None:
        store = world.store
        assert await store.take_duty("janitor", "worker-1", LEASE)
        async with world.server() as other:
            assert not await other.take_duty("janitor", "worker-2", LEASE)
            assert await store.take_duty("janitor", "worker-1", LEASE)
            assert await other.take_duty("something else", "worker-2", LEASE)
            await world.let_pass(LEASE + timedelta(seconds=1))
            assert await other.take_duty("janitor", "worker-2", LEASE)
            assert not await store.take_duty("janitor", "worker-1", LEASE)

    @clause(64)
    @pytest.mark.parametrize("status", sorted(TERMINAL))
    async def test_a_remark_on_an_order_that_has_ended_is_its_last_event_and_there_once(
        self, world: World, status: Status
    ) -> None:
        order = await order_in(world, status)
        other = REMOVED.model_copy(update={"removal_id": "2", "what": Kind.ARTIFACTS})
        for payloads in ((REMOVED,), (other, REMOVED)):
            said = [(order.agent_work_order_id, payload) for payload in payloads]
            assert await world.store.remark(said) == [True] * len(said)
        after = await world.store.get(order.agent_work_order_id)
        events = await journal(world.store, order.agent_work_order_id)
        assert [FilesRemoved.model_validate_json(event.payload) for event in events[-2:]] == [REMOVED, other]
        assert (events[-1].kind, events[-1].seq) == ("files_removed", after.last_seq)
        assert after.last_seq == order.last_seq + 2
        assert (after.rev, after.updated_at) == (order.rev, order.updated_at), "it is no change of state"

    @clause(64)
    @pytest.mark.parametrize("status", sorted(set(Status) - TERMINAL))
    async def test_nobody_remarks_on_an_order_that_has_not_ended(self, world: World, status: Status) -> None:
        order = await order_in(world, status)
        ended = await order_in(world, Status.COMPLETED)
        names = (order.agent_work_order_id, ended.agent_work_order_id, new_order_id())
        assert await world.store.remark([(name, REMOVED) for name in names]) == [False, True, False]
        assert await world.store.remark([]) == []
        assert (await world.store.get(ended.agent_work_order_id)).last_seq == ended.last_seq + 1
        assert (await world.store.get(order.agent_work_order_id)).last_seq == order.last_seq

    @clause(65)
    async def test_many_orders_are_found_at_once_and_those_that_are_not_there_are_left_out(self, world: World) -> None:
        orders = [await order_in(world, status) for status in Status]
        names = [order.agent_work_order_id for order in orders]
        found = await world.store.find([*names[1:], new_order_id()])
        assert sorted(found, key=lambda one: one.rev) == sorted(orders[1:], key=lambda one: one.rev)
        assert await world.store.find([]) == []
