"""Where an order asks a person before it goes on, and where it goes on with what people wrote. Knows plans only."""

from collections.abc import Sequence

from .errors import FieldProblem, InvalidInput
from .workflow import COMMIT, EXECUTE, VERIFY, Gate, StepKind, StepPlan, Workflow


def gate_places(steps: Sequence[StepPlan]) -> dict[Gate, int]:
    """Before which step, counted from 1, each gate stands; only those that these steps have, in their order.

    `plan` follows the last of the agent's steps that read before any that writes; `push` stands before the push.
    """
    places: dict[Gate, int] = {}
    for place, step in enumerate(steps[:-1], 1):
        if step.kind is StepKind.AGENT and step.read_only and not any(one.writes for one in steps[:place]):
            places[Gate.PLAN] = place + 1
        if steps[place].name == COMMIT.name:
            places[Gate.PUSH] = place + 1
    return places


def gates_of(workflow: Workflow, steps: Sequence[StepPlan], wanted: bool | Sequence[str]) -> tuple[Gate, ...]:
    """The gates of a new order: those it asks for (True: both), and those of its workflow in any case.

    InvalidInput for one that its steps do not have.
    """
    there = gate_places(steps)
    asked = set(there) if wanted is True else {Gate(gate) for gate in wanted or ()}
    if missing := sorted(asked - set(there)):
        problem = f"names {missing[0]}, for which the order has no step"
        raise InvalidInput([FieldProblem("requires_approval", problem)])
    return tuple(gate for gate in there if gate in asked | workflow.approval_gates)


def follow_up_step(step_names: Sequence[str]) -> int:
    """Where an order that has ended goes on with a message, counted from 1: what it changes is verified and published.

    One behind the last step where nothing is verified; the agent's turn comes before whatever is left.
    """
    names = list(step_names)
    return names.index(VERIFY.name) + 1 if VERIFY.name in names else len(names) + 1


def conversing_step(steps: Sequence[StepPlan]) -> int:
    """The step, counted from 1, whose agent is given messages between its turns: the one that makes the change."""
    places = {step.name: place for place, step in enumerate(steps, 1) if step.kind is StepKind.AGENT}
    writing = [place for place, step in enumerate(steps, 1) if step.writes]
    return places.get(EXECUTE.name, (writing or list(places.values()))[-1])
