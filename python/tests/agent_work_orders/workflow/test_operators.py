"""What an operator says of a repository and of workflows, as a run keeps to it: on a real store, with fakes around."""

from dataclasses import replace
from pathlib import Path

import pytest

from src.agent_work_orders.domain.composition import composed
from src.agent_work_orders.domain.repository import RepositoryOptions
from src.agent_work_orders.domain.status import Status
from src.agent_work_orders.domain.work_order import NewWorkOrder, WorkOrderRequest, new_order_id
from src.agent_work_orders.domain.workflow import BUILT_IN_STEPS, StepKind, StepPlan, Workflow, Workflows

from ..fakes import URL, Bench, nothing, open_bench, writes

pytestmark = pytest.mark.anyio

LOOK = StepPlan("look", StepKind.AGENT, "It looks.", command="look-around", read_only=True)
WRITE = StepPlan("write-docs", StepKind.AGENT, "It writes.")
STEPS = [BUILT_IN_STEPS[name] for name in ("create-branch", "verify", "commit", "create-pr")]
DOCS = Workflow("docs", "", composed([STEPS[0], LOOK, WRITE, *STEPS[1:]]), branch_prefix="docs/", source="docs.yaml")


async def file(bench: Bench, workflow: Workflow = DOCS) -> str:
    request = WorkOrderRequest(repository_url=URL, user_request="Say hello.", workflow_type=workflow.name)
    names = tuple(step.name for step in workflow.steps)
    order_id = new_order_id()
    await bench.store.enqueue(
        NewWorkOrder(order_id, request, URL, "github.com/owner/name", order_id, step_names=names, gates=())
    )
    return order_id


def know(bench: Bench, *workflows: Workflow) -> None:
    bench.tools = replace(bench.tools, workflows=lambda: Workflows(workflows))


def say(bench: Bench, **options: object) -> None:
    async def answer(repository: object) -> RepositoryOptions:
        return RepositoryOptions.model_validate(options)

    bench.tools = replace(bench.tools, options=answer)


@pytest.fixture
def commands(tmp_path: Path) -> Path:
    folder = tmp_path / "own-commands"
    folder.mkdir()
    (folder / "look-around.md").write_text("Look around for: {{user_request}}")
    (folder / "write-docs.md").write_text("Write what was found: {{plan}}")
    return folder


async def test_an_operators_workflow_goes_from_words_to_a_pull_request(tmp_path: Path, commands: Path) -> None:
    async with open_bench(tmp_path, commands_dir=commands) as bench:
        know(bench, DOCS)
        bench.agent.script = [nothing, writes(docs_md="docs\n")]
        bench.agent.said = "Seen it all."
        order_id = await file(bench)
        await bench.run()
        order = await bench.order(order_id)
        assert (order.status, order.error_message) == (Status.COMPLETED, None)
        assert order.git_branch_name == f"docs/{order_id[3:11]}-say-hello"
        assert await bench.outcomes(order_id) == dict.fromkeys([step.name for step in DOCS.steps], "completed")
        look, write = bench.agent.turns
        assert (look.prompt, look.read_only) == ("Look around for: Say hello.", True)
        # What was read before is what the writing one is given as its plan.
        assert (write.prompt, write.read_only) == ("Write what was found: Seen it all.", False)
        (request,) = bench.forge.opened
        assert request["branch"] == order.git_branch_name


@pytest.mark.parametrize(
    "left",
    [(), (Workflow("docs", "", composed([STEPS[0], replace(WRITE, name="other")])),)],
    ids=["the workflow is gone", "the workflow has other steps"],
)
async def test_an_order_whose_workflow_changed_fails_clearly_and_can_be_retried(
    tmp_path: Path, commands: Path, left: tuple[Workflow, ...]
) -> None:
    async with open_bench(tmp_path, commands_dir=commands) as bench:
        order_id = await file(bench)
        know(bench, *left)
        await bench.run()
        order = await bench.order(order_id)
        assert (order.status, order.failure_class) == (Status.FAILED, "policy")
        assert "docs" in (order.error_message or "")
        assert "retry" in (order.next_action or "")
        assert bench.agent.turns == []
        know(bench, DOCS)
        await bench.store.retry(order_id, None)
        await bench.run()
        assert (await bench.order(order_id)).status is Status.COMPLETED


async def test_a_command_file_that_is_gone_fails_the_order_clearly(tmp_path: Path, commands: Path) -> None:
    async with open_bench(tmp_path, commands_dir=commands) as bench:
        know(bench, DOCS)
        (commands / "write-docs.md").unlink()
        order_id = await file(bench)
        await bench.run()
        order = await bench.order(order_id)
        assert (order.status, order.failure_class) == (Status.FAILED, "policy")
        assert order.error_message == "There is no command file write-docs.md."


async def test_a_repositorys_own_check_comes_before_the_servers(tmp_path: Path) -> None:
    async with open_bench(tmp_path, verify_command="make everything") as bench:
        say(bench, verify_command="make just-this")
        order_id = await bench.file(workflow_type="quick_fix")
        await bench.run()
        assert bench.checks.commands == [("/bin/sh", "-c", "make just-this")]
        (evidence,) = await bench.payloads(order_id, "check_run")
        assert (evidence["command"], evidence["source"]) == ("make just-this", "the repository's settings")


async def test_no_order_spends_more_than_its_repository_allows(tmp_path: Path) -> None:
    async with open_bench(tmp_path, max_cost_usd=10.0) as bench:
        say(bench, max_cost_usd=0.3)
        order_id = await bench.file(max_cost_usd=5.0)
        await bench.run()
        assert [turn.max_cost_usd for turn in bench.agent.turns][:2] == [0.3, 0.05]
        order = await bench.order(order_id)
        assert (order.status, order.failure_class) == (Status.FAILED, "budget")
