"""Clauses 11 to 16: how long a worker's right lasts, and what becomes of an order whose worker went silent."""

from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Any

import pytest

from src.agent_work_orders.domain.errors import FailureClass, LostLease
from src.agent_work_orders.domain.status import Status, StepStatus, WaitingReason
from src.agent_work_orders.domain.work_order import Artifact, Claim, OrderChanges
from src.agent_work_orders.ports import Batch, Reaped, Store

from .store_world import (
    DONE,
    LEASE,
    World,
    claim_next,
    clause,
    drafts,
    failure,
    file_and_claim,
    file_order,
    journal,
    kinds,
    maybe_claim,
    park,
    result,
)

ARTIFACT = Artifact(artifact_id="a", artifact_type="output", path="outputs/a.txt", size_bytes=1)
HELD_VERBS: dict[str, Callable[[Store, Claim], Awaitable[Any]]] = {
    "renew": lambda store, claim: store.renew(claim, LEASE),
    "append": lambda store, claim: store.append(claim, claim.order.last_seq + 1, drafts(1)),
    "append nothing": lambda store, claim: store.append(claim, 1, []),
    "write": lambda store, claim: store.write(claim, Batch(1, changes=OrderChanges(git_branch_name="awo/x")), LEASE),
    "record": lambda store, claim: store.record(claim, OrderChanges(git_branch_name="awo/x")),
    "start_step": lambda store, claim: store.start_step(claim, 1, "planning", "claude"),
    "finish_step": lambda store, claim: store.finish_step(claim, result(cost_usd=1.0)),
    "put_artifact": lambda store, claim: store.put_artifact(claim, ARTIFACT),
    "finish": lambda store, claim: store.finish(claim, DONE),
    "wait": lambda store, claim: store.wait(claim, WaitingReason.DISK, None, "Full.", "Free space."),
    "release": lambda store, claim: store.release(claim),
}


class Leases:
    @clause(11)
    async def test_a_renewed_lease_ends_a_lease_from_now(self, world: World) -> None:
        claim = await file_and_claim(world.store)
        await world.let_pass(timedelta(seconds=30))
        renewal = await world.store.renew(claim, LEASE)
        assert renewal.lease_expires_at >= claim.lease_expires_at + timedelta(seconds=30)
        assert not renewal.cancel_requested
        assert (await world.store.counts()).leases == ((claim.order_id, "worker-1", renewal.lease_expires_at),)
        await world.let_pass(timedelta(seconds=30))
        assert await world.store.reap(10) == []
        await world.store.cancel(claim.order_id)
        assert (await world.store.renew(claim, LEASE)).cancel_requested

    @clause(11)
    async def test_expiry_alone_revokes_nothing(self, world: World) -> None:
        claim = await file_and_claim(world.store)
        await world.let_pass(timedelta(days=2))
        assert await maybe_claim(world.store, "worker-2") is None
        await world.store.append(claim, claim.order.last_seq + 1, drafts(1))
        renewal = await world.store.renew(claim, LEASE)
        assert renewal.lease_expires_at > await world.now()
        assert await world.store.reap(10) == []

    @clause(12)
    @pytest.mark.parametrize("verb", HELD_VERBS)
    @pytest.mark.parametrize("taken", ["reaped", "claimed by another", "finished", "waiting", "failed"])
    async def test_a_stale_token_writes_nothing(self, world: World, verb: str, taken: str) -> None:
        store = world.store
        stale = await file_and_claim(store)
        if taken == "finished":
            await store.finish(stale, failure())
        elif taken == "waiting":
            await park(store, stale)
        else:
            await world.let_pass(LEASE * 2)
            await store.reap(10)
            if taken != "reaped":
                newer = await claim_next(store, "worker-2")
                assert newer.order_id == stale.order_id
                if taken == "failed":
                    await store.finish(newer, failure())
        if (taken, verb) == ("waiting", "wait"):
            return  # a repetition: clause 25
        before = (await store.get(stale.order_id), await store.steps(stale.order_id), await store.last_rev())
        events = await journal(store, stale.order_id)
        with pytest.raises(LostLease):
            await HELD_VERBS[verb](store, stale)
        assert before == (await store.get(stale.order_id), await store.steps(stale.order_id), await store.last_rev())
        assert events == await journal(store, stale.order_id)
        assert await store.artifacts(stale.order_id) == []

    @clause(12)
    async def test_a_worker_that_was_overtaken_does_not_disturb_the_next_one(self, world: World) -> None:
        stale = await file_and_claim(world.store)
        await world.let_pass(LEASE * 2)
        await world.store.reap(10)
        claim = await claim_next(world.store, "worker-2")
        with pytest.raises(LostLease):
            await world.store.finish(stale, failure())
        assert (await world.store.finish(claim, DONE)).status is Status.COMPLETED

    @clause(13, 16)
    async def test_an_expired_lease_is_reaped_and_the_order_is_tried_again(self, world: World) -> None:
        first = await file_order(world.store)
        await file_order(world.store)
        claim = await claim_next(world.store)
        await world.store.start_step(claim, 1, "planning", "claude")
        await world.let_pass(LEASE - timedelta(seconds=1))
        assert await world.store.reap(10) == []
        await world.let_pass(timedelta(seconds=2))
        assert await world.store.reap(10) == [Reaped(claim.order_id, "worker-1", Status.PENDING)]
        order = await world.store.get(claim.order_id)
        assert (order.status, order.attempt, order.worker_id, order.finished_at) == (Status.PENDING, 2, None, None)
        assert (await kinds(world.store, claim.order_id))[-1] == "lease_lost"
        assert await world.store.reap(10) == []
        again = await claim_next(world.store, "worker-2")
        assert again.order_id == first.agent_work_order_id, "in its old place"
        assert [event.attempt for event in await journal(world.store, claim.order_id)] == [1, 1, 1, 2]

    @clause(13)
    async def test_a_reap_takes_the_longest_expired_first_and_no_more_than_asked(self, world: World) -> None:
        claims = [await file_and_claim(world.store) for _ in range(3)]
        for claim, seconds in zip(claims, (30, 10, 20), strict=True):
            await world.store.renew(claim, timedelta(seconds=seconds))
        await world.let_pass(timedelta(minutes=1))
        assert [one.order_id for one in await world.store.reap(2)] == [claims[1].order_id, claims[2].order_id]
        assert [one.order_id for one in await world.store.reap(2)] == [claims[0].order_id]

    @clause(13)
    async def test_orders_of_dead_workers_are_reaped_at_once(self, world: World) -> None:
        for number in range(3):
            await file_order(world.store, f"github.com/owner/{number}")
        claims = [await claim_next(world.store, f"worker-{number}") for number in range(3)]
        reaped = await world.store.reap(10, ["worker-0", "worker-2", "worker-never-seen"])
        assert {one.order_id for one in reaped} == {claims[0].order_id, claims[2].order_id}
        assert (await world.store.get(claims[1].order_id)).status is Status.RUNNING

    @clause(14)
    async def test_an_order_whose_attempts_are_used_up_fails(self, world: World) -> None:
        order = await file_order(world.store)
        ends = []
        for attempt in range(1, order.max_attempts + 1):
            claim = await claim_next(world.store)
            assert claim.order.attempt == attempt
            await world.let_pass(LEASE * 2)
            ends += [one.status for one in await world.store.reap(10)]
        assert ends == [Status.PENDING, Status.PENDING, Status.FAILED]
        failed = await world.store.get(order.agent_work_order_id)
        assert (failed.status, failed.failure_class, failed.attempt) == (Status.FAILED, FailureClass.INTERNAL, 3)
        assert failed.error_message
        assert failed.next_action
        assert failed.finished_at is not None
        assert (await kinds(world.store, order.agent_work_order_id))[-2:] == ["lease_lost", "order_finished"]
        assert await maybe_claim(world.store) is None

    @clause(14, 15)
    async def test_a_reaped_order_that_was_to_be_cancelled_is_cancelled(self, world: World) -> None:
        claim = await file_and_claim(world.store)
        await world.store.start_step(claim, 1, "planning", "claude")
        await world.store.cancel(claim.order_id)
        await world.let_pass(LEASE * 2)
        assert await world.store.reap(10) == [Reaped(claim.order_id, "worker-1", Status.CANCELLED)]
        assert (await kinds(world.store, claim.order_id))[-2:] == ["lease_lost", "order_finished"]
        assert [step.status for step in await world.store.steps(claim.order_id)] == [StepStatus.CANCELLED]

    @clause(15)
    @pytest.mark.parametrize(
        ("end", "status"),
        [
            ("reap", StepStatus.FAILED),
            ("release", StepStatus.CANCELLED),
            ("wait", StepStatus.CANCELLED),
            ("fail", StepStatus.FAILED),
            ("cancel", StepStatus.CANCELLED),
        ],
    )
    async def test_no_step_runs_on_without_its_order(self, world: World, end: str, status: StepStatus) -> None:
        store = world.store
        claim = await file_and_claim(store)
        await store.finish_step(claim, result(1))
        await store.start_step(claim, 2, "execute", "claude")
        await world.let_pass(LEASE * 2)
        match end:
            case "reap":
                await store.reap(10)
            case "release":
                await store.release(claim)
            case "wait":
                await park(store, claim)
            case "fail":
                await store.finish(claim, failure())
            case "cancel":
                await store.cancel(claim.order_id)
                await store.release(claim)
        done, ended = await store.steps(claim.order_id)
        assert (done.status, done.success) == (StepStatus.COMPLETED, True)
        assert (ended.status, ended.success) == (status, False)
        assert ended.error_message
        assert ended.finished_at is not None
        assert ended.duration_seconds is not None
        assert ended.duration_seconds >= 90
