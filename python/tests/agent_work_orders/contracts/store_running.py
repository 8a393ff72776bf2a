"""Clauses 20 to 23: what a run writes about its order."""

from src.agent_work_orders.domain.status import StepStatus
from src.agent_work_orders.domain.work_order import Artifact, OrderChanges

from .store_world import LEASE, World, claim_next, clause, file_and_claim, result


class Running:
    @clause(20)
    async def test_a_record_changes_what_is_given(self, world: World) -> None:
        claim = await file_and_claim(world.store)
        await world.store.record(
            claim, OrderChanges(git_branch_name="awo/a", base_branch="trunk", base_commit="c0ffee")
        )
        await world.store.record(claim, OrderChanges(git_commit_count=2, git_files_changed=0))
        await world.store.record(
            claim, OrderChanges(agent_session_id="s-1", github_pull_request_url="https://x/1", current_phase="commit")
        )
        order = await world.store.get(claim.order_id)
        assert order.model_dump(exclude={"rev", "updated_at"}) | {
            "base_commit": order.base_commit
        } == claim.order.model_dump(exclude={"rev", "updated_at"}) | {
            "git_branch_name": "awo/a",
            "base_branch": "trunk",
            "base_commit": "c0ffee",
            "git_commit_count": 2,
            "agent_session_id": "s-1",
            "github_pull_request_url": "https://x/1",
            "current_phase": "commit",
        }
        assert order.rev > claim.order.rev
        assert order.updated_at > claim.order.updated_at

    @clause(20)
    async def test_the_same_record_again_changes_nothing(self, world: World) -> None:
        claim = await file_and_claim(world.store)
        await world.store.record(claim, OrderChanges(git_commit_count=2))
        before = await world.store.get(claim.order_id)
        await world.store.record(claim, OrderChanges(git_commit_count=2))
        await world.store.record(claim, OrderChanges())
        assert await world.store.get(claim.order_id) == before

    @clause(21)
    async def test_a_started_step_runs(self, world: World) -> None:
        claim = await file_and_claim(world.store)
        await world.store.start_step(claim, 2, "planning", "claude")
        (step,) = await world.store.steps(claim.order_id)
        assert (step.step_order, step.step_name, step.agent_name, step.attempt) == (2, "planning", "claude", 1)
        assert (step.status, step.success, step.finished_at) == (StepStatus.RUNNING, None, None)
        order = await world.store.get(claim.order_id)
        assert order.current_phase == "planning"
        assert order.rev > claim.order.rev

    @clause(21, 22)
    async def test_a_step_started_again_is_a_fresh_run_whose_cost_stays(self, world: World) -> None:
        claim = await file_and_claim(world.store)
        await world.store.start_step(claim, 1, "planning", "claude")
        interrupted = result(
            1, StepStatus.CANCELLED, error_message="Wait.", cost_usd=0.5, input_tokens=10, output_tokens=1
        )
        await world.store.finish_step(claim, interrupted)
        await world.store.release(claim)
        claim = await claim_next(world.store)
        await world.store.start_step(claim, 1, "planning", "claude")
        (step,) = await world.store.steps(claim.order_id)
        assert (step.status, step.error_message, step.duration_seconds) == (StepStatus.RUNNING, None, None)
        await world.store.finish_step(claim, result(1, output="Planned.", cost_usd=0.25, input_tokens=5))
        (step,) = await world.store.steps(claim.order_id)
        assert (step.status, step.output, step.attempt) == (StepStatus.COMPLETED, "Planned.", 1)
        assert (step.cost_usd, step.input_tokens, step.output_tokens) == (0.75, 15, 1)
        order = await world.store.get(claim.order_id)
        assert (order.cost_usd, order.input_tokens, order.output_tokens, order.next_step) == (0.75, 15, 1, 2)

    @clause(21)
    async def test_another_attempt_has_steps_of_its_own(self, world: World) -> None:
        claim = await file_and_claim(world.store)
        await world.store.start_step(claim, 1, "planning", "claude")
        await world.let_pass(LEASE * 2)
        await world.store.reap(10)
        claim = await claim_next(world.store)
        await world.store.start_step(claim, 1, "planning", "claude")
        steps = await world.store.steps(claim.order_id)
        assert [(step.attempt, step.status) for step in steps] == [(1, StepStatus.FAILED), (2, StepStatus.RUNNING)]

    @clause(22)
    async def test_a_finished_step_adds_its_cost_once(self, world: World) -> None:
        claim = await file_and_claim(world.store)
        await world.store.start_step(claim, 1, "planning", "claude")
        finished = result(output="A plan.", session_id="s-9", cost_usd=0.125, input_tokens=1000, output_tokens=50)
        for _ in range(2):
            await world.store.finish_step(claim, finished)
        await world.store.finish_step(claim, result(1, StepStatus.FAILED, error_message="No.", cost_usd=9.0))
        (step,) = await world.store.steps(claim.order_id)
        assert (step.status, step.success, step.output, step.error_message) == (
            StepStatus.COMPLETED,
            True,
            "A plan.",
            None,
        )
        assert (step.duration_seconds, step.session_id, step.cost_usd) == (1.5, "s-9", 0.125)
        assert step.finished_at is not None
        order = await world.store.get(claim.order_id)
        assert (order.cost_usd, order.input_tokens, order.output_tokens) == (0.125, 1000, 50)
        assert (order.agent_session_id, order.next_step) == ("s-9", 2)

    @clause(22)
    async def test_only_completed_and_skipped_steps_move_the_order_on(self, world: World) -> None:
        claim = await file_and_claim(world.store)
        expected = (
            (StepStatus.COMPLETED, 2),
            (StepStatus.SKIPPED, 3),
            (StepStatus.FAILED, 3),
            (StepStatus.CANCELLED, 3),
        )
        for step_order, (status, next_step) in enumerate(expected, 1):
            await world.store.finish_step(
                claim, result(step_order, status, session_id="s" if step_order == 1 else None)
            )
            order = await world.store.get(claim.order_id)
            assert (order.next_step, order.agent_session_id) == (next_step, "s"), status
        assert [step.success for step in await world.store.steps(claim.order_id)] == [True, True, False, False]

    @clause(23)
    async def test_an_artifact_is_held_once_for_each_id(self, world: World) -> None:
        claim = await file_and_claim(world.store)
        other = await file_and_claim(world.store)
        plan = Artifact(
            artifact_id="1-plan", artifact_type="output", step_name="planning", path="o/1.md", size_bytes=10
        )
        prompt = Artifact(
            artifact_id="1-prompt",
            artifact_type="prompt",
            attempt=2,
            path="p/1.md",
            media_type="text/markdown",
            size_bytes=5,
        )
        await world.store.put_artifact(claim, plan)
        await world.store.put_artifact(claim, prompt)
        await world.store.put_artifact(other, prompt)
        await world.store.put_artifact(claim, plan.model_copy(update={"size_bytes": 12, "path": "o/1b.md"}))
        first, second = await world.store.artifacts(claim.order_id)
        assert first.model_copy(update={"created_at": None}) == plan.model_copy(
            update={"size_bytes": 12, "path": "o/1b.md"}
        )
        assert second.model_copy(update={"created_at": None}) == prompt
        assert first.created_at is not None
        assert len(await world.store.artifacts(other.order_id)) == 1
