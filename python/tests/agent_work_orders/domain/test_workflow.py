"""Which steps a person may pick, and what is done about verification when nobody picked it."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from src.agent_work_orders.domain.errors import InvalidInput
from src.agent_work_orders.domain.repository import branch_problem
from src.agent_work_orders.domain.workflow import BUILT_IN, DEFAULT_WORKFLOW, StepKind, plan_steps

WHOLE = ["create-branch", "planning", "execute", "prp-review", "verify", "commit", "create-pr"]
EVERY_STEP = sorted({step.name for workflow in BUILT_IN.values() for step in workflow.steps})


def names(workflow_type: str, selected: list[str] | None = None) -> list[str]:
    return [step.name for step in plan_steps(workflow_type, selected)]


def refusal(workflow_type: str, selected: list[str] | None) -> tuple[str, str]:
    with pytest.raises(InvalidInput) as refused:
        plan_steps(workflow_type, selected)
    (problem,) = refused.value.fields
    return problem.field, problem.problem


def test_the_built_in_workflows_are_these() -> None:
    assert names(DEFAULT_WORKFLOW) == WHOLE
    assert names("quick_fix") == ["create-branch", "execute", "verify", "commit", "create-pr"]
    assert names("plan_only") == ["planning"]


def test_an_unknown_workflow_is_refused_with_those_that_exist() -> None:
    field, problem = refusal("agent_workflow_magic", None)
    assert field == "workflow_type"
    assert all(name in problem for name in BUILT_IN)


@pytest.mark.parametrize(
    ("selected", "problem"),
    [
        ([], "at least one step"),
        (["deploy"], "'deploy'"),
        (["\x1b[31mplanning"], "which agent_workflow_plan does not have"),
        (["x" * 5_000], "which agent_workflow_plan does not have"),
        (["planning", "planning"], "names a step twice"),
        (["execute", "create-branch"], "must keep the workflow's order"),
        (["execute"], "has execute, which needs create-branch"),
        (["create-branch", "prp-review"], "has prp-review, which needs execute"),
        (["create-branch", "execute", "create-pr"], "has create-pr, which needs commit"),
        (["create-branch", "commit"], "has commit, which needs execute"),
        (["create-branch"], "at least one step of the agent's"),
    ],
)
def test_a_choice_of_steps_that_cannot_work_is_refused(selected: list[str], problem: str) -> None:
    field, said = refusal("agent_workflow_plan", selected)
    assert field == "selected_commands"
    assert problem in said
    assert len(said) < 400


def test_a_step_of_another_workflow_is_not_a_step_of_this_one() -> None:
    assert "'planning'" in refusal("quick_fix", ["create-branch", "planning", "execute"])[1]


def test_verification_stands_before_commit_whether_it_was_selected_or_not() -> None:
    chosen = ["create-branch", "execute", "commit", "create-pr"]
    assert names("agent_workflow_plan", chosen) == ["create-branch", "execute", "verify", "commit", "create-pr"]
    assert names("agent_workflow_plan", ["create-branch", "execute"]) == ["create-branch", "execute"]
    assert names("agent_workflow_plan", ["planning"]) == ["planning"]


@given(st.sampled_from(sorted(BUILT_IN)), st.lists(st.sampled_from([*EVERY_STEP, "nonsense"]), max_size=8))
def test_whatever_is_accepted_is_a_plan_that_can_be_carried_out(workflow_type: str, selected: list[str]) -> None:
    try:
        steps = plan_steps(workflow_type, selected)
    except InvalidInput:
        return
    planned = [step.name for step in steps]
    whole = [step.name for step in BUILT_IN[workflow_type].steps]
    assert planned == [name for name in whole if name in planned]
    assert set(selected) <= set(planned) <= {*selected, "verify"}
    for place, step in enumerate(steps):
        assert step.needs <= set(planned[:place])
    assert any(step.kind is StepKind.AGENT for step in steps)
    assert "commit" not in planned or planned[planned.index("commit") - 1] == "verify"
    # The plan of a plan is itself: an order is stored with its steps, and planned again by every run.
    assert names(workflow_type, planned) == planned


def test_every_step_says_who_does_it_and_what_it_is_for() -> None:
    for workflow in BUILT_IN.values():
        assert branch_problem(f"{workflow.branch_prefix}x") is None
        for step in workflow.steps:
            assert step.explanation.endswith(".")
            assert step.agent_name == ("claude" if step.kind is StepKind.AGENT else "archon")
