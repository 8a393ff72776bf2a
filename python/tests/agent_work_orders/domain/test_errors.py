"""Every failure has a code of its own, one sentence, and something that a person can do."""

from src.agent_work_orders.domain import errors
from src.agent_work_orders.domain.errors import FailureClass, FieldProblem, InvalidInput, StepFailed, WorkOrderError

SILENT = {"lease_lost", "sequence_gap", "step_failed", "must_wait", "error"}  # said to workers, or with an action each


def test_codes_are_unique_and_each_has_its_next_action() -> None:
    kinds = [kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, WorkOrderError)]
    codes = [kind.code for kind in kinds]
    assert len(codes) == len(set(codes))
    assert all(kind.next_action.endswith(".") for kind in kinds if kind.code not in SILENT)


def test_an_invalid_input_names_each_field_once() -> None:
    error = InvalidInput([FieldProblem("a", "is wrong"), FieldProblem("b", "is long"), FieldProblem("a", "is late")])
    assert str(error) == "The request is not valid: a, b."
    assert [problem.problem for problem in error.fields] == ["is wrong", "is long", "is late"]


def test_a_next_action_can_be_given_with_the_failure() -> None:
    failure = StepFailed(FailureClass.GIT, "It broke.", next_action="Mend it.")
    assert (failure.message, failure.next_action, str(failure)) == ("It broke.", "Mend it.", "It broke.")
    assert WorkOrderError("x").next_action == ""
