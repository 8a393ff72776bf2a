"""What a run does with the hidden ref: after which checkpoints, how it goes on elsewhere, and what never leaves."""

from dataclasses import replace

import pytest

from src.agent_work_orders.domain.errors import FailureClass, StepFailed
from src.agent_work_orders.domain.repository import Repository, RepositoryOptions

from ..fakes import Bench, raises, writes

pytestmark = pytest.mark.anyio

REFUSED = StepFailed(FailureClass.CONFLICT, "The remote refused the checkpoint: hidden.", next_action="Ask it.")
AWAY = StepFailed(FailureClass.NETWORK, "The host could not be reached.", next_action="Wait.")


@pytest.fixture
def sharing(bench: Bench) -> Bench:
    bench.limits = replace(bench.limits, push_checkpoints=True)
    return bench


async def test_a_checkpoint_that_changed_something_is_shared_and_the_ref_goes_when_all_is_done(sharing: Bench) -> None:
    order_id = await sharing.file(workflow_type="quick_fix")
    await sharing.run()
    token = sharing.secrets.values["GITHUB_TOKEN"]
    checkout = sharing.checkouts.opened[order_id]
    assert checkout.shared
    assert {given for _, given in checkout.shared} == {token}
    told = await sharing.payloads(order_id, "checkpoint_shared")
    assert [one["commit"] for one in told] == [commit for commit, _ in checkout.shared]
    assert {one["problem"] for one in told} == {None}
    assert sharing.checkouts.unshared == [(order_id, token)]


async def test_a_shared_commit_is_in_the_journal_before_it_is_on_the_remote(sharing: Bench) -> None:
    order_id = await sharing.file(workflow_type="quick_fix")
    await sharing.run()
    kinds = [event.kind for event in await sharing.events(order_id, "checkpoint_saved", "checkpoint_shared")]
    assert kinds[:2] == ["checkpoint_saved", "checkpoint_shared"]


async def test_nothing_is_shared_where_nobody_asked_for_it(bench: Bench) -> None:
    order_id = await bench.file(workflow_type="quick_fix")
    await bench.run()
    assert bench.checkouts.opened[order_id].shared == []
    assert await bench.payloads(order_id, "checkpoint_shared") == []


async def test_a_repository_may_be_left_out(sharing: Bench) -> None:
    async def options(repository: Repository) -> RepositoryOptions:
        return RepositoryOptions(push_checkpoints=False)

    sharing.tools = replace(sharing.tools, options=options)
    order_id = await sharing.file(workflow_type="quick_fix")
    await sharing.run()
    assert sharing.checkouts.opened[order_id].shared == []


async def test_a_workflow_that_pushes_nothing_shares_nothing(sharing: Bench) -> None:
    order_id = await sharing.file(workflow_type="quick_fix", selected_commands=["create-branch", "execute"])
    await sharing.run()
    assert sharing.checkouts.opened[order_id].shared == []


async def test_what_must_not_be_pushed_is_not_shared_either(sharing: Bench) -> None:
    sharing.agent.script = [writes(key_txt="ghp_" + "a" * 36)]
    order_id = await sharing.file(workflow_type="quick_fix")
    await sharing.run()
    assert sharing.checkouts.opened[order_id].shared == []
    told = await sharing.payloads(order_id, "checkpoint_shared")
    assert "looks like a secret" in told[0]["problem"]


@pytest.mark.parametrize("refusal", [REFUSED, AWAY], ids=["refused", "away"])
async def test_a_remote_that_does_not_take_it_is_said_once_and_costs_nothing(
    sharing: Bench, refusal: StepFailed
) -> None:
    sharing.checkouts.unshareable = refusal
    order_id = await sharing.file(workflow_type="quick_fix")
    await sharing.run()
    assert (await sharing.order(order_id)).status.value == "completed"
    told = await sharing.payloads(order_id, "checkpoint_shared")
    assert [one["problem"] for one in told] == [refusal.message]


async def test_an_order_that_failed_keeps_its_hidden_ref_for_a_retry(sharing: Bench) -> None:
    broken = StepFailed(FailureClass.AGENT, "No.", next_action="Retry.")
    sharing.agent.script = [raises(broken)]
    await sharing.file(workflow_type="quick_fix")
    await sharing.run()
    assert sharing.checkouts.unshared == []
