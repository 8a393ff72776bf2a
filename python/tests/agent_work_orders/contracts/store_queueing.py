"""Clauses 5 to 9 and 66: who is served next."""

from datetime import timedelta

from src.agent_work_orders.domain.status import Status, StepStatus
from src.agent_work_orders.ports import Store

from .store_world import (
    DONE,
    LEASE,
    World,
    claim_next,
    clause,
    file_order,
    kinds,
    maybe_claim,
    order_in,
    park,
    result,
)

REPOSITORIES = ("github.com/owner/a", "github.com/owner/b", "github.com/owner/c")


async def served(store: Store, count: int) -> list[str]:
    """Repositories of the next claims, each finished at once."""
    names = []
    for _ in range(count):
        claim = await claim_next(store)
        names.append(claim.order.repository_key.rsplit("/", 1)[1])
        await store.finish(claim, DONE)
    return names


class Queueing:
    @clause(5)
    async def test_the_best_priority_comes_first_and_then_the_oldest(self, world: World) -> None:
        filed = [await file_order(world.store, priority=priority) for priority in (5, 9, 0, 5, 0)]
        claimed = [(await claim_next(world.store)).order_id for _ in filed]
        assert claimed == [filed[place].agent_work_order_id for place in (2, 4, 0, 3, 1)]
        assert await maybe_claim(world.store) is None

    @clause(66)
    async def test_a_claim_that_leaves_somebody_behind_is_not_the_last(self, world: World) -> None:
        for repository in (REPOSITORIES[0], REPOSITORIES[0], REPOSITORIES[1]):
            await file_order(world.store, repository)
        # The one left behind is of a full repository.
        claims = [await claim_next(world.store, limit=1) for _ in range(2)]
        assert not any(claim.was_last for claim in claims)
        assert await maybe_claim(world.store, limit=1) is None

    @clause(5)
    async def test_repositories_take_turns(self, world: World) -> None:
        for repository in REPOSITORIES:
            for _ in range(3):
                await file_order(world.store, repository)
        assert await served(world.store, 9) == ["a", "b", "c"] * 3

    @clause(5)
    async def test_a_late_repository_is_served_before_those_that_had_their_turn(self, world: World) -> None:
        for _ in range(4):
            await file_order(world.store, REPOSITORIES[1])
        assert await served(world.store, 2) == ["b", "b"]
        await file_order(world.store, REPOSITORIES[2])
        await file_order(world.store, REPOSITORIES[2])
        assert await served(world.store, 4) == ["c", "b", "c", "b"]

    @clause(5)
    async def test_priority_goes_before_fairness(self, world: World) -> None:
        await file_order(world.store, REPOSITORIES[0], priority=1)
        await file_order(world.store, REPOSITORIES[0], priority=1)
        await file_order(world.store, REPOSITORIES[1], priority=2)
        assert await served(world.store, 3) == ["a", "a", "b"]

    @clause(6)
    async def test_a_full_repository_does_not_hold_up_the_others(self, world: World) -> None:
        for _ in range(3):
            await file_order(world.store, REPOSITORIES[0], priority=0)
        other = await file_order(world.store, REPOSITORIES[1], priority=9)
        first = await claim_next(world.store, limit=2)
        await claim_next(world.store, limit=2)
        assert (await claim_next(world.store, limit=2)).order_id == other.agent_work_order_id
        assert await maybe_claim(world.store, limit=2) is None
        await world.store.finish(first, DONE)
        assert (await claim_next(world.store, limit=2)).order.repository_key == REPOSITORIES[0]
        assert await maybe_claim(world.store, limit=2) is None

    @clause(6)
    async def test_a_repository_may_have_a_limit_of_its_own(self, world: World) -> None:
        for _ in range(4):
            await file_order(world.store, REPOSITORIES[0])
        await world.limit_repository(REPOSITORIES[0], 0)
        assert await maybe_claim(world.store, limit=9) is None
        await world.limit_repository(REPOSITORIES[0], 3)
        for _ in range(3):
            await claim_next(world.store, limit=1)
        assert await maybe_claim(world.store, limit=9) is None
        await world.limit_repository(REPOSITORIES[0], None)
        assert await maybe_claim(world.store, limit=3) is None
        await claim_next(world.store, limit=4)

    @clause(7)
    async def test_a_claim_says_who_holds_the_order_and_until_when(self, world: World) -> None:
        filed = await file_order(world.store)
        before = await world.now()
        claim = await claim_next(world.store, "worker-7")
        order = await world.store.get(filed.agent_work_order_id)
        assert claim.order == order
        assert (order.status, order.worker_id, order.attempt) == (Status.RUNNING, "worker-7", 1)
        assert claim.worker_id == "worker-7"
        assert before + LEASE <= claim.lease_expires_at <= await world.now() + LEASE
        assert order.started_at is not None
        assert order.started_at >= before
        assert order.rev > filed.rev
        assert await kinds(world.store, claim.order_id) == ["order_enqueued", "order_claimed"]
        assert '"worker-7"' in (await world.store.events(claim.order_id))[-1].payload

    @clause(7)
    async def test_a_later_claim_has_a_higher_token_the_steps_so_far_and_the_first_start(self, world: World) -> None:
        await file_order(world.store)
        first = await claim_next(world.store)
        assert first.steps == ()
        await world.store.finish_step(first, result(1))
        await world.store.start_step(first, 2, "execute", "claude")
        await world.store.release(first)
        second = await claim_next(world.store, "worker-2")
        assert second.token > first.token
        assert second.order.started_at == first.order.started_at
        assert list(second.steps) == await world.store.steps(second.order_id)
        assert [step.status for step in second.steps] == [StepStatus.COMPLETED, StepStatus.CANCELLED]

    @clause(8)
    async def test_a_repeated_claim_gets_what_it_holds(self, world: World) -> None:
        await file_order(world.store)
        await file_order(world.store)
        claim = await world.store.claim("worker-1", "request-1", LEASE, 5)
        again = await world.store.claim("worker-1", "request-1", LEASE, 5)
        assert claim is not None
        assert again == claim
        other = await world.store.claim("worker-2", "request-1", LEASE, 5)
        assert other is not None
        assert other.order_id != claim.order_id
        await world.store.finish(claim, DONE)
        assert await world.store.claim("worker-1", "request-1", LEASE, 5) is None

    @clause(9)
    async def test_a_scheduled_order_is_claimed_when_its_time_has_come(self, world: World) -> None:
        order = await file_order(world.store, run_after=await world.now() + timedelta(minutes=10))
        assert await maybe_claim(world.store) is None
        await world.let_pass(timedelta(minutes=9))
        assert await maybe_claim(world.store) is None
        await world.let_pass(timedelta(minutes=2))
        assert (await claim_next(world.store)).order_id == order.agent_work_order_id
        assert await kinds(world.store, order.agent_work_order_id) == ["order_enqueued", "order_claimed"]

    @clause(9)
    async def test_due_orders_keep_their_priority_and_free_places_decide(self, world: World) -> None:
        late = await file_order(world.store, priority=9)
        soon = await file_order(world.store, priority=0, run_after=await world.now() + timedelta(minutes=10))
        await world.let_pass(timedelta(minutes=11))
        assert (await claim_next(world.store, limit=1)).order_id == soon.agent_work_order_id
        assert await maybe_claim(world.store, limit=1) is None
        assert (await world.store.get(late.agent_work_order_id)).status is Status.PENDING

    @clause(9, 16)
    async def test_a_waiting_order_goes_on_by_itself_when_its_time_has_come(self, world: World) -> None:
        await file_order(world.store)
        waits = await claim_next(world.store)
        await park(world.store, waits, await world.now() + timedelta(minutes=10))
        assert await maybe_claim(world.store) is None
        await world.let_pass(timedelta(minutes=11))
        claim = await claim_next(world.store)
        assert claim.order_id == waits.order_id
        order = claim.order
        assert (order.attempt, order.waiting_reason, order.waiting_until) == (1, None, None)
        assert (order.error_message, order.next_action) == (None, None)
        told = await kinds(world.store, claim.order_id)
        assert told[2:] == ["order_waiting", "order_resumed", "order_claimed"]

    @clause(9)
    async def test_an_order_that_waits_for_a_person_does_not_go_on_by_itself(self, world: World) -> None:
        order = await order_in(world, Status.WAITING)
        await world.let_pass(timedelta(days=400))
        assert await maybe_claim(world.store) is None
        assert await world.store.get(order.agent_work_order_id) == order

    @clause(9)
    async def test_all_of_many_due_orders_are_served(self, world: World) -> None:
        soon = await world.now() + timedelta(minutes=1)
        filed = {
            (await file_order(world.store, f"github.com/owner/{number % 7}", run_after=soon)).agent_work_order_id
            for number in range(250)
        }
        await world.let_pass(timedelta(minutes=2))
        claimed = [(await claim_next(world.store)).order_id for _ in filed]
        assert set(claimed) == filed
        assert len(claimed) == len(filed)
