"""Clauses 24 to 30: how claims and orders end, and how they begin again."""

from datetime import timedelta

import pytest

from src.agent_work_orders.domain.errors import FailureClass, InvalidInput, LostLease, WrongState
from src.agent_work_orders.domain.events import OrderFinished, OrderResumed, OrderWaiting
from src.agent_work_orders.domain.status import Status, StepStatus, WaitingReason
from src.agent_work_orders.domain.work_order import Outcome

from .store_world import (
    DONE,
    LEASE,
    World,
    claim_next,
    clause,
    failure,
    file_and_claim,
    file_order,
    journal,
    kinds,
    maybe_claim,
    order_in,
    park,
    result,
)

NOT_WAITING = [status for status in Status if status is not Status.WAITING]
NOT_RETRIED = [status for status in Status if status not in (Status.FAILED, Status.CANCELLED)]


class Ends:
    @clause(24)
    async def test_a_completed_order_is_held_by_nobody(self, world: World) -> None:
        claim = await file_and_claim(world.store)
        order = await world.store.finish(claim, DONE)
        assert order == await world.store.get(claim.order_id)
        assert (order.status, order.worker_id, order.failure_class) == (Status.COMPLETED, None, None)
        assert order.finished_at is not None
        assert order.finished_at >= claim.order.updated_at
        assert (await world.store.counts()).leases == ()
        ended = OrderFinished.model_validate_json((await journal(world.store, claim.order_id))[-1].payload)
        assert ended == OrderFinished(status=Status.COMPLETED, summary="Done.")

    @clause(24)
    async def test_a_failed_order_says_why_and_what_to_do(self, world: World) -> None:
        claim = await file_and_claim(world.store)
        order = await world.store.finish(claim, failure())
        assert (order.status, order.failure_class) == (Status.FAILED, FailureClass.GIT)
        assert (order.error_message, order.next_action) == ("The push was rejected.", "Pull and retry.")
        ended = OrderFinished.model_validate_json((await journal(world.store, claim.order_id))[-1].payload)
        assert (ended.failure_class, ended.next_action) == (FailureClass.GIT, "Pull and retry.")

    @clause(24)
    @pytest.mark.parametrize("outcome", [DONE, failure(), Outcome(Status.CANCELLED, "Stopped.")], ids=str)
    async def test_the_same_end_again_is_the_same_order(self, world: World, outcome: Outcome) -> None:
        claim = await file_and_claim(world.store)
        order = await world.store.finish(claim, outcome)
        assert await world.store.finish(claim, outcome) == order
        assert await world.store.get(claim.order_id) == order
        assert (await kinds(world.store, claim.order_id)).count("order_finished") == 1

    @clause(24)
    async def test_another_end_afterwards_is_refused(self, world: World) -> None:
        claim = await file_and_claim(world.store)
        order = await world.store.finish(claim, failure())
        for outcome in (DONE, Outcome(Status.FAILED, "It failed.", FailureClass.NETWORK, "Else.", "Else.")):
            with pytest.raises(LostLease):
                await world.store.finish(claim, outcome)
        assert await world.store.get(claim.order_id) == order

    @clause(24)
    async def test_an_end_that_is_none_is_refused(self, world: World) -> None:
        claim = await file_and_claim(world.store)
        for status in (status for status in Status if not status.is_terminal):
            with pytest.raises(WrongState):
                await world.store.finish(claim, Outcome(status, "?"))
        assert await world.store.get(claim.order_id) == claim.order

    @clause(25)
    async def test_a_waiting_order_says_what_it_waits_for(self, world: World) -> None:
        claim = await file_and_claim(world.store)
        until = await world.now() + timedelta(hours=3)
        order = await world.store.wait(claim, WaitingReason.USAGE_LIMIT, until, "Used up.", "Nothing.")
        assert order == await world.store.get(claim.order_id)
        assert (order.status, order.waiting_reason, order.waiting_until) == (
            Status.WAITING,
            WaitingReason.USAGE_LIMIT,
            until,
        )
        assert (order.error_message, order.next_action, order.worker_id) == ("Used up.", "Nothing.", None)
        assert order.finished_at is None
        told = OrderWaiting.model_validate_json((await journal(world.store, claim.order_id))[-1].payload)
        assert (told.reason, told.until, told.message) == (WaitingReason.USAGE_LIMIT, until, "Used up.")
        again = await world.store.wait(claim, WaitingReason.USAGE_LIMIT, until, "Used up.", "Nothing.")
        assert again == order
        assert (await kinds(world.store, claim.order_id)).count("order_waiting") == 1

    @clause(26, 16)
    async def test_a_released_order_is_back_in_its_old_place(self, world: World) -> None:
        first = await file_order(world.store)
        await file_order(world.store)
        claim = await claim_next(world.store)
        before = await kinds(world.store, claim.order_id)
        await world.store.release(claim)
        order = await world.store.get(claim.order_id)
        assert (order.status, order.attempt, order.worker_id) == (Status.PENDING, 1, None)
        assert await kinds(world.store, claim.order_id) == before
        await world.store.release(claim)
        assert await world.store.get(claim.order_id) == order
        again = await claim_next(world.store, "worker-2")
        assert again.order_id == first.agent_work_order_id
        await world.store.release(claim)
        assert (await world.store.get(claim.order_id)).worker_id == "worker-2", "a late repetition disturbs nobody"

    @clause(27)
    @pytest.mark.parametrize("verb", ["release", "wait"])
    async def test_an_order_that_is_to_be_cancelled_does_not_go_on(self, world: World, verb: str) -> None:
        claim = await file_and_claim(world.store)
        await world.store.start_step(claim, 1, "planning", "claude")
        await world.store.cancel(claim.order_id)
        for _ in range(2):
            if verb == "wait":
                assert (await park(world.store, claim)).status is Status.CANCELLED
            else:
                await world.store.release(claim)
        order = await world.store.get(claim.order_id)
        assert (order.status, order.waiting_reason, order.worker_id) == (Status.CANCELLED, None, None)
        assert order.finished_at is not None
        assert (await kinds(world.store, claim.order_id))[-1] == "order_finished"
        assert await maybe_claim(world.store) is None

    @clause(28)
    @pytest.mark.parametrize("status", [Status.SCHEDULED, Status.PENDING, Status.WAITING])
    async def test_what_nobody_holds_is_cancelled_at_once(self, world: World, status: Status) -> None:
        filed = await order_in(world, status)
        order = await world.store.cancel(filed.agent_work_order_id)
        assert order == await world.store.get(filed.agent_work_order_id)
        assert (order.status, order.waiting_reason, order.waiting_until) == (Status.CANCELLED, None, None)
        assert order.cancel_requested_at is not None
        assert order.finished_at is not None
        told = await kinds(world.store, filed.agent_work_order_id)
        assert told[-2:] == ["cancel_requested", "order_finished"]
        assert await world.store.cancel(filed.agent_work_order_id) == order
        await world.let_pass(timedelta(days=2))
        assert await maybe_claim(world.store) is None

    @clause(28)
    async def test_of_a_running_order_a_cancel_is_only_noted(self, world: World) -> None:
        claim = await file_and_claim(world.store)
        order = await world.store.cancel(claim.order_id)
        assert (order.status, order.worker_id) == (Status.RUNNING, "worker-1")
        assert order.cancel_requested_at is not None
        assert order.rev > claim.order.rev
        assert await world.store.cancel(claim.order_id) == order
        assert (await kinds(world.store, claim.order_id))[-1] == "order_claimed", "its worker tells the rest"
        ended = await world.store.finish(claim, Outcome(Status.CANCELLED, "Nothing of it runs."))
        assert ended.status is Status.CANCELLED
        assert await world.store.cancel(claim.order_id) == ended

    @clause(28)
    @pytest.mark.parametrize("status", [Status.COMPLETED, Status.FAILED])
    @pytest.mark.parametrize("asked_before", [False, True])
    async def test_what_has_ended_cannot_be_cancelled(self, world: World, status: Status, asked_before: bool) -> None:
        claim = await file_and_claim(world.store)
        if asked_before:
            await world.store.cancel(claim.order_id)
        order = await world.store.finish(claim, failure() if status is Status.FAILED else DONE)
        with pytest.raises(WrongState):
            await world.store.cancel(claim.order_id)
        assert await world.store.get(claim.order_id) == order

    @clause(29, 16)
    async def test_a_resumed_order_is_pending_and_has_forgotten_its_trouble(self, world: World) -> None:
        waits = await order_in(world, Status.WAITING)
        order = await world.store.resume(waits.agent_work_order_id, "approved")
        assert (order.status, order.attempt) == (Status.PENDING, waits.attempt)
        assert (order.waiting_reason, order.waiting_until, order.error_message, order.next_action) == (None,) * 4
        told = (await journal(world.store, order.agent_work_order_id))[-1]
        assert OrderResumed.model_validate_json(told.payload).reason == "approved"
        assert (await claim_next(world.store)).order_id == order.agent_work_order_id

    @clause(29)
    @pytest.mark.parametrize("status", NOT_WAITING)
    async def test_only_a_waiting_order_can_be_resumed(self, world: World, status: Status) -> None:
        order = await order_in(world, status)
        with pytest.raises(WrongState):
            await world.store.resume(order.agent_work_order_id, "approved")
        assert await world.store.get(order.agent_work_order_id) == order

    @clause(30, 16)
    @pytest.mark.parametrize("status", [Status.FAILED, Status.CANCELLED])
    async def test_a_retried_order_is_a_new_attempt_from_its_next_step(self, world: World, status: Status) -> None:
        claim = await file_and_claim(world.store)
        await world.store.finish_step(claim, result(1, session_id="s-1", cost_usd=0.5))
        await world.store.finish_step(claim, result(2, StepStatus.FAILED))
        await world.store.cancel(claim.order_id)
        outcome = failure() if status is Status.FAILED else Outcome(status, "Stopped.")
        ended = await world.store.finish(claim, outcome)
        order = await world.store.retry(claim.order_id, None)
        assert order == await world.store.get(claim.order_id)
        assert (order.status, order.attempt, order.next_step) == (Status.PENDING, 2, 2)
        assert (order.failure_class, order.error_message, order.next_action) == (None, None, None)
        assert (order.finished_at, order.cancel_requested_at) == (None, None)
        assert (order.cost_usd, order.agent_session_id, order.started_at) == (0.5, "s-1", ended.started_at)
        told = (await journal(world.store, claim.order_id))[-1]
        assert (told.kind, told.attempt) == ("order_resumed", 2)
        assert OrderResumed.model_validate_json(told.payload).reason == "retry"
        again = await claim_next(world.store)
        assert (again.order_id, again.order.attempt) == (claim.order_id, 2)
        assert not (await world.store.renew(again, LEASE)).cancel_requested

    @clause(30)
    async def test_a_retry_may_begin_at_any_step(self, world: World) -> None:
        claim = await file_and_claim(world.store, workflow_type="quick_fix")
        await world.store.finish_step(claim, result(1))
        await world.store.finish_step(claim, result(2))
        failed = await world.store.finish(claim, failure())
        for wrong in (0, -1, 6):
            with pytest.raises(InvalidInput) as refused:
                await world.store.retry(claim.order_id, wrong)
            assert [problem.field for problem in refused.value.fields] == ["from_step"]
        assert await world.store.get(claim.order_id) == failed
        assert (await world.store.retry(claim.order_id, 1)).next_step == 1
        await world.store.cancel(claim.order_id)
        assert (await world.store.retry(claim.order_id, 5)).next_step == 5

    @clause(30)
    async def test_a_retried_order_may_crash_once_more(self, world: World) -> None:
        order = await file_order(world.store)
        for _ in range(order.max_attempts):
            await claim_next(world.store)
            await world.let_pass(LEASE * 2)
            await world.store.reap(10)
        retried = await world.store.retry(order.agent_work_order_id, None)
        assert (retried.attempt, retried.max_attempts) == (4, 5)
        await claim_next(world.store)
        await world.let_pass(LEASE * 2)
        assert [one.status for one in await world.store.reap(10)] == [Status.PENDING]

    @clause(30)
    @pytest.mark.parametrize("status", NOT_RETRIED)
    async def test_only_failed_and_cancelled_orders_can_be_retried(self, world: World, status: Status) -> None:
        order = await order_in(world, status)
        with pytest.raises(WrongState):
            await world.store.retry(order.agent_work_order_id, None)
        assert await world.store.get(order.agent_work_order_id) == order
