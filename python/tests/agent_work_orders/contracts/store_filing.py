"""Clauses 1 to 4 and 31, 32: orders come into being and go for good."""

from dataclasses import replace
from datetime import timedelta

import anyio
import pytest

from src.agent_work_orders.domain.errors import IdempotencyConflict, LostLease, NotFound, WrongState
from src.agent_work_orders.domain.events import OrderEnqueued
from src.agent_work_orders.domain.status import Status
from src.agent_work_orders.domain.work_order import Artifact, new_order_id
from src.agent_work_orders.ports import Enqueued, ListQuery

from .store_world import (
    DONE,
    World,
    claim_next,
    clause,
    drafts,
    file_and_claim,
    file_order,
    journal,
    new_order,
    order_in,
    result,
)

NOBODY = "wo-0000000000000000"


class Filing:
    @clause(1)
    async def test_a_filed_order_is_pending_and_its_journal_begins(self, world: World) -> None:
        before = await world.now()
        new = new_order(workflow_type="quick_fix")
        filed = await world.store.enqueue(new)
        order = filed.order
        assert filed.created
        assert order == await world.store.get(new.order_id)
        assert (order.status, order.attempt, order.max_attempts, order.next_step) == (Status.PENDING, 1, 3, 1)
        assert order.selected_commands == ("create-branch", "execute", "verify", "commit", "create-pr")
        assert order.created_at == order.updated_at
        assert before <= order.created_at <= await world.now()
        assert (order.started_at, order.finished_at, order.worker_id, order.waiting_reason) == (None,) * 4
        (event,) = await journal(world.store, new.order_id)
        assert (event.kind, event.attempt, event.step_order, event.at) == ("order_enqueued", 1, None, order.created_at)
        assert OrderEnqueued.model_validate_json(event.payload).steps == list(order.selected_commands)
        assert order.last_seq == 1

    @clause(1)
    async def test_what_was_filed_is_what_is_read(self, world: World) -> None:
        run_after = await world.now() + timedelta(hours=1, microseconds=7)
        new = new_order(
            "GitHub.com/Owner/Name",
            user_request='Größe "ändern";\n\tdrop table — 猫 🐈 %_\\',
            workflow_type="quick_fix",
            selected_commands=["create-branch", "execute", "commit"],
            sandbox_type="git_worktree",
            github_issue_number=42,
            base_branch="release/1.x",
            working_subdir="packages/core",
            priority=2,
            model="claude-opus",
            timeout_seconds=600,
            max_cost_usd=1.25,
            run_after=run_after,
        )
        order = (await world.store.enqueue(new)).order
        request = new.request
        for name in (
            "user_request", "workflow_type", "sandbox_type", "github_issue_number", "base_branch", "working_subdir",
            "priority", "model", "timeout_seconds", "max_cost_usd", "run_after",
        ):  # fmt: skip
            assert getattr(order, name) == getattr(request, name), name
        assert (order.repository_url, order.repository_key) == (new.repository_url, "github.com/owner/name")
        assert order.selected_commands == ("create-branch", "execute", "verify", "commit"), "as planned"
        assert order.sandbox_identifier

    @clause(1, 2)
    async def test_an_operators_workflow_brings_its_own_steps_and_defaults_are_not_what_was_asked(
        self, world: World
    ) -> None:
        asked = new_order(key="theirs")
        filled = asked.request.model_copy(update={"workflow_type": "docs", "model": "opus"})
        new = replace(asked, request=filled, asked=asked.request, step_names=("look", "write-docs"), gates=())
        order = (await world.store.enqueue(new)).order
        assert (order.workflow_type, order.model) == ("docs", "opus")
        assert order.selected_commands == ("look", "write-docs")
        # The same request, filled up with other defaults since.
        later = replace(new, order_id=new_order_id(), request=asked.request.model_copy(update={"model": "haiku"}))
        again = await world.store.enqueue(later)
        assert (again.order, again.created) == (order, False)

    @clause(1)
    async def test_an_order_for_later_is_scheduled(self, world: World) -> None:
        now = await world.now()
        later = await file_order(world.store, run_after=now + timedelta(minutes=1))
        past = await file_order(world.store, run_after=now - timedelta(minutes=1))
        assert (later.status, past.status) == (Status.SCHEDULED, Status.PENDING)

    @clause(2)
    async def test_the_same_request_under_the_same_key_is_the_same_order(self, world: World) -> None:
        first = await world.store.enqueue(new_order(key="again"))
        claim = await claim_next(world.store)
        done = await world.store.finish(claim, DONE)
        second = await world.store.enqueue(new_order(key="again"))
        assert second == Enqueued(done, created=False)
        assert second.order.agent_work_order_id == first.order.agent_work_order_id

    @clause(3)
    async def test_another_request_under_the_same_key_is_refused(self, world: World) -> None:
        first = await world.store.enqueue(new_order(key="mine"))
        rev = await world.store.last_rev()
        with pytest.raises(IdempotencyConflict):
            await world.store.enqueue(new_order(key="mine", user_request="Something else."))
        assert await world.store.list_orders(ListQuery()) == [first.order]
        assert await world.store.last_rev() == rev

    @clause(4)
    async def test_many_filers_with_one_key_make_one_order(self, world: World) -> None:
        filed: list[Enqueued] = []
        async with world.server() as other:

            async def file(number: int) -> None:
                filed.append(await (world.store, other)[number % 2].enqueue(new_order(key="crowd")))

            async with anyio.create_task_group() as group:
                for number in range(20):
                    group.start_soon(file, number)
        assert len({one.order.agent_work_order_id for one in filed}) == 1
        assert sum(one.created for one in filed) == 1

    @clause(31)
    async def test_a_deleted_order_leaves_nothing_behind(self, world: World) -> None:
        kept = await order_in(world, Status.COMPLETED)
        first = await world.store.enqueue(new_order(key="reused", priority=0))
        claim = await claim_next(world.store)
        await world.store.start_step(claim, 1, "planning", "claude")
        await world.store.finish_step(claim, result())
        await world.store.put_artifact(
            claim, Artifact(artifact_id="1-prompt", artifact_type="prompt", path="prompts/1.md", size_bytes=3)
        )
        await world.store.append(claim, claim.order.last_seq + 1, drafts(3))
        await world.store.finish(claim, DONE)
        order_id = first.order.agent_work_order_id
        await world.store.delete(order_id)
        with pytest.raises(NotFound):
            await world.store.get(order_id)
        assert await world.store.steps(order_id) == []
        assert await world.store.events(order_id) == []
        assert await world.store.artifacts(order_id) == []
        assert await world.store.list_orders(ListQuery()) == [kept]
        again = await world.store.enqueue(new_order(key="reused", user_request="Another."))
        assert again.created

    @clause(31)
    @pytest.mark.parametrize("status", [s for s in Status if not s.is_terminal])
    async def test_an_order_that_has_not_ended_cannot_be_deleted(self, world: World, status: Status) -> None:
        order = await order_in(world, status)
        with pytest.raises(WrongState):
            await world.store.delete(order.agent_work_order_id)
        assert await world.store.get(order.agent_work_order_id) == order

    @clause(32)
    async def test_an_order_that_does_not_exist_is_not_found(self, world: World) -> None:
        store = world.store
        for call in (
            store.get(NOBODY),
            store.cancel(NOBODY),
            store.resume(NOBODY, "why not"),
            store.retry(NOBODY, None),
            store.delete(NOBODY),
        ):
            with pytest.raises(NotFound):
                await call
        assert (await store.steps(NOBODY), await store.events(NOBODY), await store.artifacts(NOBODY)) == ([], [], [])

    @clause(12)
    async def test_a_deleted_order_is_lost_to_its_last_holder(self, world: World) -> None:
        claim = await file_and_claim(world.store)
        await world.store.finish(claim, DONE)
        await world.store.delete(claim.order_id)
        with pytest.raises(LostLease):
            await world.store.finish(claim, DONE)
