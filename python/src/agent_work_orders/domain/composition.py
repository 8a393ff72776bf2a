"""How an operator's workflow may be put together: which step may follow which. Knows no file."""

from collections.abc import Sequence
from dataclasses import replace

from .workflow import COMMIT, CREATE_BRANCH, CREATE_PR, REVIEW, VERIFY, StepKind, StepPlan

MAX_STEPS = 20


def composed(steps: Sequence[StepPlan]) -> tuple[StepPlan, ...]:
    """The steps with what each needs before it, as `selected_commands` must keep to it."""
    first_writing = next((step.name for step in steps if step.writes), None)

    def needs(step: StepPlan) -> frozenset[str]:
        if step.name == CREATE_PR.name:
            return frozenset({COMMIT.name})
        if step.name in (VERIFY.name, COMMIT.name, REVIEW.name) and first_writing is not None:
            return frozenset({first_writing})
        return frozenset({CREATE_BRANCH.name}) if step.writes else frozenset()

    return tuple(replace(step, needs=needs(step)) for step in steps)


def problem_of(steps: Sequence[StepPlan]) -> tuple[int, str] | None:
    """The first step (its place from 0) that cannot stand where it stands, and why; None if all can."""
    before: set[str] = set()
    written = False
    for place, step in enumerate(steps):
        if problem := _problem(step, before, written):
            return place, f"{step.name} {problem}"
        before.add(step.name)
        written = written or step.writes
    if not any(step.kind is StepKind.AGENT for step in steps):
        return 0, "no step is the agent's; there has to be one"
    return None


def _problem(step: StepPlan, before: set[str], written: bool) -> str | None:
    if step.name in before:
        return "stands there twice; a step has one place"
    if step.writes and CREATE_BRANCH.name not in before:
        return f"changes the repository and needs {CREATE_BRANCH.name} before it"
    if step.writes and VERIFY.name in before:
        return f"would change what {VERIFY.name} has verified; it has to stand before {VERIFY.name}"
    if step.name in (VERIFY.name, REVIEW.name) and not written:
        return "needs a step before it in which the agent changes something"
    if step.name == COMMIT.name and VERIFY.name not in before:
        return f"needs {VERIFY.name} before it: nothing is pushed that was not verified"
    if step.name == CREATE_PR.name and COMMIT.name not in before:
        return f"needs {COMMIT.name} before it"
    return None
