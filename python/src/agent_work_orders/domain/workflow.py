"""Workflows: ordered lists of steps, and the rules by which a person may pick among them."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

from .errors import FailureClass, FieldProblem, InvalidInput, StepFailed


class StepKind(StrEnum):
    """Who does a step: the server itself (deterministic) or the agent (a command file)."""

    SERVER = "server"
    AGENT = "agent"


class Gate(StrEnum):
    """Where an order can ask a person before it goes on: after planning, or before the push (see domain.gates)."""

    PLAN = "plan"
    PUSH = "push"


@dataclass(frozen=True)
class StepPlan:
    """One step of a workflow. `needs` are steps that must come before it in the same order.

    An agent's step runs the command file `command`, or the one of its own name; a `read_only` one changes nothing.
    """

    name: str
    kind: StepKind
    explanation: str
    needs: frozenset[str] = frozenset()
    command: str | None = None
    read_only: bool = False

    @property
    def command_name(self) -> str | None:
        """Name of the command file, without `.md`; None for a step of the server's."""
        return (self.command or self.name) if self.kind is StepKind.AGENT else None

    @property
    def writes(self) -> bool:
        """Whether the agent may change the repository in it."""
        return self.kind is StepKind.AGENT and not self.read_only

    @property
    def agent_name(self) -> str:
        return "claude" if self.kind is StepKind.AGENT else "archon"


@dataclass(frozen=True)
class Workflow:
    """A named, ordered list of steps. `branch_prefix` starts the name of every branch it makes.

    `approval_gates` are where it always asks a person. `source` is the operator's file; None for a built-in one.
    """

    name: str
    explanation: str
    steps: tuple[StepPlan, ...]
    branch_prefix: str = field(default="awo/")
    approval_gates: frozenset[Gate] = frozenset()
    source: str | None = None


CREATE_BRANCH = StepPlan(
    "create-branch", StepKind.SERVER, "Opens an isolated checkout and starts a branch of its own in it."
)
PLANNING = StepPlan(
    "planning",
    StepKind.AGENT,
    "The agent reads the repository and writes a plan; it changes nothing.",
    read_only=True,
)
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
BUILT_IN_STEPS: dict[str, StepPlan] = {
    step.name: step for step in (CREATE_BRANCH, PLANNING, EXECUTE, REVIEW, VERIFY, COMMIT, CREATE_PR)
}


@dataclass(frozen=True)
class Workflows:
    """The workflows that a server knows: built-in and its operator's. `problems`: files that cannot be used."""

    own: tuple[Workflow, ...] = ()
    problems: tuple[str, ...] = ()

    def __iter__(self) -> Iterator[Workflow]:
        yield from BUILT_IN.values()
        yield from self.own

    def find(self, name: str) -> Workflow | None:
        return next((workflow for workflow in self if workflow.name == name), None)

    def plan(self, workflow_type: str, selected_commands: Sequence[str] | None = None) -> tuple[StepPlan, ...]:
        """The steps that a new order will take, or InvalidInput naming `workflow_type` or `selected_commands`."""
        return self.planned(workflow_type, selected_commands)[1]

    def planned(
        self, workflow_type: str, selected_commands: Sequence[str] | None = None
    ) -> tuple[Workflow, tuple[StepPlan, ...]]:
        """The same, with the workflow."""
        workflow = self.find(workflow_type)
        if workflow is None:
            known = ", ".join(one.name for one in self)
            raise InvalidInput([FieldProblem("workflow_type", f"is not a known workflow (known: {known})")])
        return workflow, _chosen(workflow, selected_commands)

    def taken_up(self, workflow_type: str, step_names: Sequence[str]) -> tuple[Workflow, tuple[StepPlan, ...]]:
        """The workflow and the steps of an order that was filed earlier: its own, in its own order.

        StepFailed (policy) when the workflow was taken away since, or does not have one of the steps any more.
        """
        workflow = self.find(workflow_type)
        if workflow is None:
            raise _changed_since(f"The workflow {workflow_type} that this order was filed with is not there any more")
        by_name = {step.name: step for step in workflow.steps}
        if missing := [name for name in step_names if name not in by_name]:
            raise _changed_since(f"The workflow {workflow_type} was changed and has no step {missing[0]} any more")
        return workflow, tuple(by_name[name] for name in step_names)


def plan_steps(workflow_type: str, selected_commands: Sequence[str] | None = None) -> tuple[StepPlan, ...]:
    """The same where there are only built-in workflows.

    Verification is not a choice: it stands before `commit` whether it was selected or not.
    """
    return Workflows().plan(workflow_type, selected_commands)


def _changed_since(what: str) -> StepFailed:
    return StepFailed(
        FailureClass.POLICY,
        f"{what}.",
        next_action="Put the workflow's file back as it was and retry the order, or file it again with another one.",
    )


def _chosen(workflow: Workflow, selected_commands: Sequence[str] | None) -> tuple[StepPlan, ...]:
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
                f"names the step {name[:60]!r}, which {workflow.name} does not have (it has: {', '.join(order)})"
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
    if "commit" in chosen and "verify" not in chosen:  # every workflow that has the one has the other before it
        chosen.insert(chosen.index("commit"), "verify")
    if not any(by_name[name].kind is StepKind.AGENT for name in chosen):
        theirs = ", ".join(step.name for step in workflow.steps if step.kind is StepKind.AGENT)
        raise refuse(f"must contain at least one step of the agent's ({theirs})")
    return tuple(by_name[name] for name in chosen)
