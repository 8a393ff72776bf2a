"""Where an order asks, and where it goes on with a message."""

import pytest

from src.agent_work_orders.domain.errors import InvalidInput
from src.agent_work_orders.domain.gates import conversing_step, follow_up_step, gate_places, gates_of
from src.agent_work_orders.domain.workflow import (
    BUILT_IN,
    COMMIT,
    CREATE_BRANCH,
    VERIFY,
    Gate,
    StepKind,
    StepPlan,
    Workflow,
    plan_steps,
)

DESIGN = StepPlan("design", StepKind.AGENT, "It designs.", read_only=True)
BUILD = StepPlan("build", StepKind.AGENT, "It builds.")
AUDIT = StepPlan("audit", StepKind.AGENT, "It reads what it built.", read_only=True)
OWN = Workflow(
    "own",
    "An operator's.",
    (DESIGN, CREATE_BRANCH, BUILD, AUDIT, VERIFY, COMMIT),
    approval_gates=frozenset({Gate.PUSH}),
)


@pytest.mark.parametrize(
    ("name", "places"),
    [
        ("agent_workflow_plan", {Gate.PLAN: 3, Gate.PUSH: 6}),
        ("quick_fix", {Gate.PUSH: 4}),
        ("plan_only", {}),
    ],
)
def test_a_gate_stands_where_something_is_there_to_be_approved_and_something_follows(
    name: str, places: dict[Gate, int]
) -> None:
    assert gate_places(BUILT_IN[name].steps) == places


def test_the_plan_of_an_operators_workflow_is_what_the_agent_says_before_it_writes() -> None:
    assert gate_places(OWN.steps) == {Gate.PLAN: 2, Gate.PUSH: 6}
    assert conversing_step(OWN.steps) == 3


def test_an_order_asks_where_it_wants_to_and_where_its_workflow_wants_to() -> None:
    steps = BUILT_IN["agent_workflow_plan"].steps
    plain = BUILT_IN["agent_workflow_plan"]
    assert gates_of(plain, steps, wanted=False) == ()
    assert gates_of(plain, steps, wanted=True) == (Gate.PLAN, Gate.PUSH)
    assert gates_of(plain, steps, ["push"]) == (Gate.PUSH,)
    assert gates_of(OWN, OWN.steps, wanted=False) == (Gate.PUSH,)
    assert gates_of(OWN, OWN.steps, ["plan"]) == (Gate.PLAN, Gate.PUSH)
    assert gates_of(BUILT_IN["plan_only"], BUILT_IN["plan_only"].steps, wanted=True) == ()


def test_a_gate_without_its_step_is_refused() -> None:
    with pytest.raises(InvalidInput) as refused:
        gates_of(BUILT_IN["quick_fix"], BUILT_IN["quick_fix"].steps, ["plan"])
    (problem,) = refused.value.fields
    assert (problem.field, problem.problem) == ("requires_approval", "names plan, for which the order has no step")


@pytest.mark.parametrize(
    ("workflow", "selected", "follow_up", "turn"),
    [
        ("agent_workflow_plan", None, 5, 3),
        ("quick_fix", None, 3, 2),
        ("plan_only", None, 2, 1),
        ("agent_workflow_plan", ["create-branch", "execute"], 3, 2),
        ("agent_workflow_plan", ["planning"], 2, 1),
    ],
)
def test_a_message_goes_to_the_step_that_makes_the_change_and_then_all_is_verified(
    workflow: str, selected: list[str] | None, follow_up: int, turn: int
) -> None:
    steps = plan_steps(workflow, selected)
    assert follow_up_step([step.name for step in steps]) == follow_up
    assert conversing_step(steps) == turn
