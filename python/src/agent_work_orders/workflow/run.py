"""One claimed work order, from its checkout to its outcome. Read this file first."""

import errno
from datetime import datetime

import anyio
from anyio import CancelScope

from ..domain.errors import FailureClass, LostLease, MustWait, StepFailed
from ..domain.events import CancelRequested
from ..domain.status import Status, StepStatus, WaitingReason
from ..domain.work_order import Claim, Outcome
from ..ports import Tools
from .lease import Ending, keep_lease
from .progress import Progress, open_progress
from .steps import STEPS


async def run_work_order(claim: Claim, tools: Tools, stopping: anyio.Event) -> datetime | None:
    """Takes the order as far as it goes. Returns until when the agent's account is used up, if it turned out to be.

    Whatever way this ends, no process of the run is left: `cancelled` is true when it is written.
    """
    try:
        async with keep_lease(claim, tools, stopping) as hold, open_progress(claim, tools) as progress:
            outcome: Outcome | MustWait | None = None
            with hold.scope:
                outcome = await attempt(progress)
            if hold.ending is Ending.LOST:
                return None
            with CancelScope(shield=True):  # bounded by every call's own time limit
                return await settle(progress, outcome, hold.ending)
    except* LostLease:
        pass  # another worker owns the order now, and will tell the rest
    return None


async def attempt(progress: Progress) -> Outcome | MustWait:
    """The steps that are left, one after the other, until one fails, must wait or the last is done."""
    try:
        for step_order, plan in progress.remaining():
            await progress.start_step(step_order, plan)
            said = await STEPS[plan.name](progress)
            await progress.finish_step(StepStatus.SKIPPED if said.skipped else StepStatus.COMPLETED, said.output)
    except MustWait as wait:
        await progress.finish_step(StepStatus.CANCELLED, error=wait.message)
        return wait
    except (StepFailed, OSError) as error:
        failure = error if isinstance(error, StepFailed) else disk_failure(error)
        await progress.finish_step(StepStatus.FAILED, error=failure.message)
        return Outcome(
            status=Status.FAILED,
            summary=failure.message,
            failure_class=failure.failure_class,
            error_message=failure.message,
            next_action=failure.next_action,
        )
    return Outcome(status=Status.COMPLETED, summary=progress.summary())


def disk_failure(error: OSError) -> StepFailed:
    """What an unusable disk means for the order; any other OSError is a bug and goes on up."""
    if error.errno not in (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES):
        raise error
    return StepFailed(
        FailureClass.DISK,
        f"The disk cannot be written: {error.strerror}.",
        next_action="Free space or mend the permissions of the AWO directories, then retry the order.",
    )


async def settle(progress: Progress, outcome: Outcome | MustWait | None, ending: Ending | None) -> datetime | None:
    """Writes down how it ended: done, waiting, given back to the queue, or cancelled once nothing of it runs."""
    store, claim = progress.tools.store, progress.claim
    if outcome is None:  # interrupted: what the agent had done so far is kept first
        if ending is Ending.CANCELLED:
            progress.tell(CancelRequested())
        await progress.finish_step(StepStatus.CANCELLED, error="The step was interrupted.")
        if ending is Ending.RELEASED:
            await progress.flush()
            await store.release(claim)
            return None
        outcome = Outcome(status=Status.CANCELLED, summary="Cancelled; nothing of it runs any more.")
    await progress.flush()
    if isinstance(outcome, MustWait):
        await store.wait(claim, outcome.reason, outcome.until, outcome.message, outcome.next_action)
        return outcome.until if outcome.reason is WaitingReason.USAGE_LIMIT else None
    order = await store.finish(claim, outcome)
    await progress.artifacts.write_metadata(order, await store.steps(order.agent_work_order_id))
    return None
