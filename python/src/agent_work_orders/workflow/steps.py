"""The steps, in the order a work order takes them. Each one reads its run's progress and says what came of it."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from ..domain.errors import FailureClass, StepFailed
from ..domain.events import BranchPushed, PolicyChecked, PullRequestOpened
from ..domain.work_order import OrderChanges
from ..domain.workflow import VERIFY
from .agent_turn import ask_agent
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


async def create_branch(progress: Progress) -> Said:
    checkout = await progress.checkout()
    await progress.record(OrderChanges(git_branch_name=checkout.branch))
    return Said(f"{checkout.branch} from {checkout.base_branch} at {checkout.base_commit[:12]}")


async def planning(progress: Progress) -> Said:
    return Said(await ask_agent(progress, "planning", read_only=True))


async def execute(progress: Progress) -> Said:
    return Said(await ask_agent(progress, "execute"))


async def review(progress: Progress) -> Said:
    if not (await progress.save_checkpoint("before-review")).changed:
        return Said(NOTHING_CHANGED, skipped=True)
    return Said(await ask_agent(progress, "prp-review"))


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
    problems = problems_of(diff, progress.tools.redactor)
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
    await progress.record(OrderChanges(github_pull_request_url=opened.url))
    return Said(opened.url)


STEPS: dict[str, Callable[[Progress], Awaitable[Said]]] = {
    "create-branch": create_branch,
    "planning": planning,
    "execute": execute,
    "prp-review": review,
    "verify": verify_change,
    "commit": commit,
    "create-pr": create_pull_request,
}
