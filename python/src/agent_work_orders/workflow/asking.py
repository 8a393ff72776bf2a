"""The gates of an order: what is asked there, and whether exactly that was approved before."""

import hashlib

from ..domain.conversation import Asking, Question, Verdict
from ..domain.errors import MustWait
from ..domain.gates import gate_places
from ..domain.status import WaitingReason
from ..domain.workflow import VERIFY, Gate
from .lease import patiently
from .policy import problems_of
from .progress import Progress

MAX_SUMMARY = 8_000
MAX_FILES_NAMED = 20


class MustAsk(MustWait):
    """The order goes on when a person has answered."""

    def __init__(self, asking: Asking) -> None:
        super().__init__(WaitingReason.APPROVAL, asking.message, until=None, next_action=asking.next_action)
        self.asking = asking


async def pass_gate(progress: Progress, step_order: int) -> None:
    """MustAsk where a gate stands before this step and nobody has approved what there is now.

    What was approved once is not asked again, however often the order comes by: it is the plan, the commit that was
    verified, or else the files that count, and changed ones are another question.
    """
    places = gate_places(progress.plan)
    gate = next((gate for gate in progress.order.approval_gates if places.get(gate) == step_order), None)
    if gate is None:
        return
    asking = _about_plan(progress, step_order) if gate is Gate.PLAN else await _about_push(progress, step_order)
    if asking is None:
        return
    answered = await patiently(lambda: progress.tools.store.approvals(progress.claim.order_id))
    same = [one for one in answered if one.gate is gate and one.subject == asking.subject and one.answer is not None]
    if not same or same[-1].answer is not Verdict.APPROVED:
        raise MustAsk(asking)


def _about_plan(progress: Progress, step_order: int) -> Asking:
    plan = (progress.plan_text or "").strip()
    summary = plan if len(plan) <= MAX_SUMMARY else f"{plan[:MAX_SUMMARY]}\n… the whole is the output of the step …"
    return Asking(
        Question(
            gate=Gate.PLAN,
            step_name=progress.plan[step_order - 1].name,
            summary=summary or "The agent wrote no plan.",
        ),
        subject=hashlib.sha256(plan.encode("utf-8", "replace")).hexdigest(),
        back_to=step_order - 1,
        message="The plan waits for an approval.",
        next_action="Read the plan; approve it, send it back with a comment, or reject it.",
    )


async def _about_push(progress: Progress, step_order: int) -> Asking | None:
    """None where nothing would be pushed: nothing has changed, or the step itself will refuse."""
    checkout = await progress.checkout()
    head = await progress.head_commit()
    diff = await checkout.diff(head)
    nothing = not diff.files and head == checkout.base_commit
    problems = problems_of(diff, progress.tools.redactor, progress.options.files)
    if nothing or problems or not progress.succeeded.get(VERIFY.name):
        return None
    added, deleted = sum(file.additions for file in diff.files), sum(file.deletions for file in diff.files)
    count = len(diff.files)
    named = [f"- `{_plain(file.path)}` +{file.additions} -{file.deletions}" for file in diff.files[:MAX_FILES_NAMED]]
    if count > MAX_FILES_NAMED:
        named.append(f"- and {count - MAX_FILES_NAMED} more")
    evidence = progress.evidence
    tested = f"`{_plain(evidence.command)}` passed." if evidence else "Not verified: no check could be found."
    lines = [f"{count} file{'s' * (count != 1)}, +{added} -{deleted}. {tested}", "", *named]
    return Asking(
        Question(
            gate=Gate.PUSH,
            step_name=progress.plan[step_order - 1].name,
            summary=progress.tools.redactor.redact("\n".join(lines)),
            commit=head,
            files_changed=count,
            additions=added,
            deletions=deleted,
        ),
        subject=head if progress.evidence or progress.checkpoint is None else progress.checkpoint.tree,
        back_to=step_order - 1,
        message="The push waits for an approval.",
        next_action="Read the diff; approve it, send it back with a comment, or reject it.",
    )


def _plain(text: str) -> str:
    """On one line and with no backtick: an agent chooses the names of its files."""
    return "".join(char if char.isprintable() and char != "`" else "\ufffd" for char in text)[:200]
