"""How an operator's workflow may be put together, and what becomes of orders when it changes."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from src.agent_work_orders.domain.composition import composed, problem_of
from src.agent_work_orders.domain.errors import FailureClass, InvalidInput, StepFailed
from src.agent_work_orders.domain.workflow import (
    BUILT_IN,
    BUILT_IN_STEPS,
    StepKind,
    StepPlan,
    Workflow,
    Workflows,
    plan_steps,
)

WRITING = StepPlan("write-docs", StepKind.AGENT, "It writes.")
READING = StepPlan("look", StepKind.AGENT, "It looks.", read_only=True)
KNOWN = [*BUILT_IN_STEPS.values(), WRITING, READING]
MINE = Workflow("mine", "Mine.", composed([*BUILT_IN["quick_fix"].steps]), source="mine.yaml")


@pytest.mark.parametrize("workflow", BUILT_IN.values(), ids=list(BUILT_IN))
def test_the_built_in_workflows_keep_to_the_rules_and_need_the_same(workflow: Workflow) -> None:
    assert problem_of(workflow.steps) is None
    assert composed(workflow.steps) == workflow.steps


@given(st.lists(st.sampled_from(KNOWN), min_size=1, max_size=8))
def test_whatever_is_let_through_verifies_what_it_pushes(steps: list[StepPlan]) -> None:
    if problem_of(steps) is not None:
        return
    names = [step.name for step in steps]
    assert len(set(names)) == len(names)
    if "commit" in names:
        verified = names.index("verify")
        assert verified < names.index("commit")
        assert not any(step.writes for step in steps[verified:])
        assert any(step.writes for step in steps[:verified])
    # Its whole can be chosen as it stands: the needs are met in it.
    workflow = Workflow("mine", "", composed(steps))
    assert [step.name for step in Workflows((workflow,)).plan("mine", names)] == names


def test_needs_of_an_operators_steps_hold_for_choices_too() -> None:
    steps = [BUILT_IN_STEPS["create-branch"], WRITING, BUILT_IN_STEPS["verify"], BUILT_IN_STEPS["commit"]]
    known = Workflows((Workflow("mine", "", composed(steps)),))
    assert len(known.plan("mine")) == 4
    with pytest.raises(InvalidInput) as refused:
        known.plan("mine", ["write-docs"])
    assert "needs create-branch" in refused.value.fields[0].problem


def test_an_unknown_workflow_is_named_with_those_there_are() -> None:
    with pytest.raises(InvalidInput) as refused:
        Workflows((MINE,)).plan("other")
    assert "mine" in refused.value.fields[0].problem
    with pytest.raises(InvalidInput):
        plan_steps("mine")


def test_an_order_keeps_its_steps_when_its_workflow_gets_others() -> None:
    filed = [step.name for step in MINE.steps if step.name != "create-pr"]
    workflow, steps = Workflows((MINE,)).taken_up("mine", filed)
    assert (workflow, [step.name for step in steps]) == (MINE, filed)


@pytest.mark.parametrize(
    ("known", "says"),
    [
        (Workflows(), "is not there any more"),
        (Workflows((Workflow("mine", "", (READING,)),)), "has no step create-branch any more"),
    ],
    ids=["gone", "changed"],
)
def test_an_order_whose_workflow_went_away_says_so(known: Workflows, says: str) -> None:
    with pytest.raises(StepFailed, match=says) as failed:
        known.taken_up("mine", ["create-branch", "execute"])
    assert failed.value.failure_class is FailureClass.POLICY
    assert failed.value.next_action
