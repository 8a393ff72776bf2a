"""Workflows: ordered lists of steps, and the rules by which a person may pick among them."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import StrEnum

from .errors import FieldProblem, InvalidInput


class StepKind(StrEnum):
    """Who does a step: the server itself (deterministic) or the agent (a command file)."""

    SERVER = "server"
    AGENT = "agent"


@dataclass(frozen=True)
class StepPlan:
    """One step of a workflow. `needs` are steps that must come before it in the same order."""

    name: str
    kind: StepKind
    explanation: str
    needs: frozenset[str] = frozenset()

    @property
    def agent_name(self) -> str:
        return "claude" if self.kind is StepKind.AGENT else "archon"


@dataclass(frozen=True)
class Workflow:
    """A named, ordered list of steps. `branch_prefix` starts the name of every branch it makes."""

    name: str
    explanation: str
    steps: tuple[StepPlan, ...]
    branch_prefix: str = field(default="awo/")


CREATE_BRANCH = StepPlan(
    "create-branch", StepKind.SERVER, "Opens an isolated checkout and starts a branch of its own in it."
)
PLANNING = StepPlan("planning", StepKind.AGENT, "The agent reads the repository and writes a plan; it changes nothing.")
EXECUTE = StepPlan("execute", StepKind.AGENT, "The agent carries the plan out.", frozenset({"create-branch"}))
REVIEW = StepPlan(
    "prp-review", StepKind.AGENT, "The agent reviews its own change and mends it.", frozenset({"execute"})
)
VERIFY = StepPlan(
    "verify",
    StepKind.SERVER,
    "The server runs the repository's own check and gives the agent up to two turns to repair what is red.",
    frozenset({"execute"}),
)
COMMIT = StepPlan(
    "commit", StepKind.SERVER, "The server commits what was verified and pushes the branch.", frozenset({"execute"})
)
CREATE_PR = StepPlan("create-pr", StepKind.SERVER, "The server opens the pull request.", frozenset({"commit"}))

BUILT_IN: dict[str, Workflow] = {
    workflow.name: workflow
    for workflow in (
        Workflow(
            "agent_workflow_plan",
            "Plan, carry out, review, verify, and open a pull request.",
            (CREATE_BRANCH, PLANNING, EXECUTE, REVIEW, VERIFY, COMMIT, CREATE_PR),
        ),
        Workflow(
            "quick_fix",
            "Carry out a small change at once, verify it, and open a pull request.",
            (CREATE_BRANCH, EXECUTE, VERIFY, COMMIT, CREATE_PR),
        ),
        Workflow("plan_only", "Read the repository and write a plan; nothing is changed or pushed.", (PLANNING,)),
    )
}
DEFAULT_WORKFLOW = "agent_workflow_plan"


def plan_steps(workflow_type: str, selected_commands: Sequence[str] | None = None) -> tuple[StepPlan, ...]:
    """The steps an order will take, or InvalidInput naming `workflow_type` or `selected_commands`.

    Verification is not a choice: it stands before `commit` whether it was selected or not.
    """
    workflow = BUILT_IN.get(workflow_type)
    if workflow is None:
        known = ", ".join(BUILT_IN)
        raise InvalidInput([FieldProblem("workflow_type", f"is not a known workflow (known: {known})")])
    if selected_commands is None:
        return workflow.steps

    def refuse(problem: str) -> InvalidInput:
        return InvalidInput([FieldProblem("selected_commands", problem)])

    by_name = {step.name: step for step in workflow.steps}
    order = list(by_name)
    if not selected_commands:
        raise refuse("must name at least one step, or be left out for all of them")
    for name in selected_commands:
        if name not in by_name:
            raise refuse(
                f"names the step {name[:60]!r}, which {workflow_type} does not have (it has: {', '.join(order)})"
            )
    if len(set(selected_commands)) != len(selected_commands):
        raise refuse("names a step twice")
    chosen = list(selected_commands)
    if chosen != sorted(chosen, key=order.index):
        raise refuse(f"must keep the workflow's order: {', '.join(order)}")
    for name in chosen:
        missing = sorted(by_name[name].needs - set(chosen))
        if missing:
            raise refuse(f"has {name}, which needs {', '.join(missing)}")
    if "commit" in chosen and "verify" not in chosen:
        chosen.insert(chosen.index("commit"), "verify")
    if not any(by_name[name].kind is StepKind.AGENT for name in chosen):
        raise refuse("must contain at least one step of the agent's (planning, execute, prp-review)")
    return tuple(by_name[name] for name in chosen)
