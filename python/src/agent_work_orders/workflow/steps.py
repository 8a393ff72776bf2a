"""The steps, in the order a work order takes them. Each one reads its run's progress and says what came of it."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from ..domain.errors import FailureClass, StepFailed
from ..domain.events import BranchPushed, PolicyChecked, PullRequestOpened
from ..domain.gates import conversing_step, follow_up_step
from ..domain.work_order import OrderChanges
from ..domain.workflow import VERIFY, StepKind, StepPlan
from .agent_turn import ask_agent
from .asking import pass_gate
from .policy import problems_of
from .progress import Progress
from .pull_request import body_of
from .verify import verify

NOTHING_CHANGED = "The agent changed nothing."


@dataclass(frozen=True)
class Said:
    """What a step has to say; `skipped` when there was nothing for it to do."""

    output: str
    skipped: bool = False


Take = Callable[[Progress], Awaitable[Said]]


@dataclass(frozen=True)
class Upcoming:
    """A step about to be taken: its place in the plan from 1, what is done in it, and the place of the one after it."""

    place: int
    plan: StepPlan
    take: Take
    then: int


async def next_step(progress: Progress) -> Upcoming | None:
    """The plan's next step, once its gate lets it pass; or a turn of the agent for what people wrote; None at the end.

    The agent is given what people wrote with whatever it does next. Where the server would go on with what the agent
    has made, it is given it first; then all is verified anew.
    """
    place, plan = progress.next_step, progress.plan
    turn = conversing_step(plan)
    agent_is_next = place <= len(plan) and plan[place - 1].kind is StepKind.AGENT
    if turn < place and not agent_is_next and await progress.conversation.hear():
        progress.forget_verification()
        return Upcoming(turn, plan[turn - 1], follow_up, min(place, follow_up_step(progress.order.selected_commands)))
    if place > len(plan):
        return None
    await pass_gate(progress, place)
    return Upcoming(place, plan[place - 1], step_of(plan[place - 1]), place + 1)


def step_of(plan: StepPlan) -> Take:
    """A step by its name; one of an operator's own is a turn of the agent with the operator's command."""
    return STEPS.get(plan.name) or (planning if plan.read_only else execute)


async def follow_up(progress: Progress) -> Said:
    read_only = progress.plan[(progress.step_order or 1) - 1].read_only
    return Said(await ask_agent(progress, progress.command if read_only else "follow-up", read_only=read_only))


async def create_branch(progress: Progress) -> Said:
    checkout = await progress.checkout()
    progress.record(OrderChanges(git_branch_name=checkout.branch))
    return Said(f"{checkout.branch} from {checkout.base_branch} at {checkout.base_commit[:12]}")


async def planning(progress: Progress) -> Said:
    return Said(await ask_agent(progress, progress.command, read_only=True))


async def execute(progress: Progress) -> Said:
    return Said(await ask_agent(progress, progress.command))


async def review(progress: Progress) -> Said:
    if not (await progress.save_checkpoint("before-review")).changed:
        return Said(NOTHING_CHANGED, skipped=True)
    return Said(await ask_agent(progress, progress.command))


async def verify_change(progress: Progress) -> Said:
    if not (await progress.save_checkpoint("to-verify")).changed:
        return Said(NOTHING_CHANGED, skipped=True)
    found = await verify(progress)
    return Said(found.sentence, skipped=found.evidence is None)


async def commit(progress: Progress) -> Said:
    checkout = await progress.checkout()
    head = await progress.head_commit()
    diff = await checkout.diff(head)
    if not diff.files and head == checkout.base_commit:
        return Said(NOTHING_CHANGED, skipped=True)
    if not progress.succeeded.get(VERIFY.name):
        raise StepFailed(
            FailureClass.VERIFICATION,
            "The change has not passed verification.",
            next_action="Retry the order from its verify step. The work is kept and was pushed nowhere.",
        )
    problems = problems_of(diff, progress.tools.redactor, progress.options.files)
    progress.tell(PolicyChecked(passed=not problems, problems=problems))
    if problems:
        raise StepFailed(
            FailureClass.POLICY,
            f"The change must not be pushed: {'; '.join(problems)[:500]}.",
            next_action="Read the diff; file an order that leaves this out. The work is kept and was pushed nowhere.",
        )
    await checkout.push(head, await progress.secret("GITHUB_TOKEN"))
    progress.tell(BranchPushed(branch=checkout.branch, commit=head))
    return Said(f"{checkout.branch} at {head[:12]}")


async def create_pull_request(progress: Progress) -> Said:
    checkout = await progress.checkout()
    head = await progress.head_commit()
    diff = await checkout.diff(head)
    if not diff.files and head == checkout.base_commit:
        return Said(NOTHING_CHANGED, skipped=True)
    opened = await progress.tools.forge.open_pull_request(
        progress.repository,
        branch=checkout.branch,
        base=checkout.base_branch,
        title=progress.tools.redactor.redact(progress.title()),
        body=progress.tools.redactor.redact(body_of(progress, diff)),
    )
    progress.pull_request_url = opened.url
    progress.tell(PullRequestOpened(url=opened.url, number=opened.number, created=opened.created))
    progress.record(OrderChanges(github_pull_request_url=opened.url))
    return Said(opened.url)


STEPS: dict[str, Take] = {
    "create-branch": create_branch,
    "planning": planning,
    "execute": execute,
    "prp-review": review,
    "verify": verify_change,
    "commit": commit,
    "create-pr": create_pull_request,
}
