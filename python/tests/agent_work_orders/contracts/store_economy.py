"""Clauses 61 and 62: what a run has to write down in one moment, in one call."""

from dataclasses import replace
from datetime import timedelta

import pytest

from src.agent_work_orders.domain.errors import SequenceGap
from src.agent_work_orders.domain.status import StepStatus
from src.agent_work_orders.domain.work_order import Artifact, Claim, OrderChanges
from src.agent_work_orders.ports import Batch, StepStart

from .store_world import LEASE, World, clause, drafts, file_and_claim, journal, result


def whole_batch(claim: Claim) -> Batch:
    return Batch(
        claim.order.last_seq + 1,
        StepStart(1, "planning", "claude"),
        OrderChanges(git_branch_name="awo/a", git_commit_count=2),
        tuple(Artifact(artifact_id=name, artifact_type="output", path=name, size_bytes=3) for name in "ab"),
        tuple(drafts(3)),
        result(cost_usd=0.25, input_tokens=10, output="Planned."),
    )


class Economy:
    @clause(61)
    async def test_a_batch_is_all_its_parts(self, world: World) -> None:
        claim = await file_and_claim(world.store)
        await world.let_pass(timedelta(seconds=30))
        written = await world.store.write(claim, whole_batch(claim), LEASE)
        assert written.last_seq == 5
        assert written.renewal.lease_expires_at >= claim.lease_expires_at + timedelta(seconds=30)
        assert not written.renewal.cancel_requested
        order = await world.store.get(claim.order_id)
        assert (order.git_branch_name, order.git_commit_count, order.current_phase) == ("awo/a", 2, "planning")
        assert (order.last_seq, order.next_step, order.cost_usd, order.input_tokens) == (5, 2, 0.25, 10)
        assert order.rev > claim.order.rev
        (step,) = await world.store.steps(claim.order_id)
        assert (step.status, step.output, step.cost_usd) == (StepStatus.COMPLETED, "Planned.", 0.25)
        assert [artifact.artifact_id for artifact in await world.store.artifacts(claim.order_id)] == ["a", "b"]
        assert [event.payload for event in (await journal(world.store, claim.order_id))[2:]] == [
            draft.payload for draft in drafts(3)
        ]

    @clause(61)
    async def test_any_part_may_be_missing_and_events_alone_are_no_state_change(self, world: World) -> None:
        claim = await file_and_claim(world.store)
        last_seq = (await world.store.write(claim, Batch(3, drafts=tuple(drafts(2))), LEASE)).last_seq
        assert last_seq == 4
        assert (await world.store.write(claim, Batch(5), LEASE)).last_seq == 4
        order = await world.store.get(claim.order_id)
        assert (order.rev, order.updated_at) == (claim.order.rev, claim.order.updated_at)
        await world.store.write(claim, Batch(5, StepStart(1, "planning", "claude")), LEASE)
        await world.store.write(claim, Batch(5, changes=OrderChanges(base_branch="trunk")), LEASE)
        await world.store.write(claim, Batch(5, finished=result()), LEASE)
        order = await world.store.get(claim.order_id)
        assert (order.base_branch, order.next_step, order.last_seq) == ("trunk", 2, 4)
        assert [step.status for step in await world.store.steps(claim.order_id)] == [StepStatus.COMPLETED]

    @clause(61)
    async def test_a_write_tells_that_somebody_asked_to_cancel(self, world: World) -> None:
        claim = await file_and_claim(world.store)
        await world.store.cancel(claim.order_id)
        assert (await world.store.write(claim, Batch(3, drafts=tuple(drafts(1))), LEASE)).renewal.cancel_requested

    @clause(62)
    async def test_a_batch_that_was_written_before_is_not_written_again(self, world: World) -> None:
        claim = await file_and_claim(world.store)
        batch = whole_batch(claim)
        await world.store.write(claim, batch, LEASE)
        before = await world.store.get(claim.order_id)
        for again in (batch, replace(batch, changes=OrderChanges(git_branch_name="awo/b"))):
            assert (await world.store.write(claim, again, LEASE)).last_seq == 5
        # The step is over, and its cost counts once.
        assert await world.store.get(claim.order_id) == before
        (step,) = await world.store.steps(claim.order_id)
        assert (step.status, step.cost_usd) == (StepStatus.COMPLETED, 0.25)
        assert len(await journal(world.store, claim.order_id)) == 5

    @clause(62)
    async def test_a_batch_behind_a_gap_is_refused_whole(self, world: World) -> None:
        claim = await file_and_claim(world.store)
        with pytest.raises(SequenceGap) as refused:
            await world.store.write(claim, replace(whole_batch(claim), first_seq=4), LEASE)
        assert refused.value.last_seq == 2
        assert await world.store.get(claim.order_id) == claim.order
        assert await world.store.steps(claim.order_id) == []
        assert await world.store.artifacts(claim.order_id) == []
