"""One claimed work order, from its checkout to its outcome. Read this file first."""

import errno
from dataclasses import replace
from datetime import datetime

import anyio
from anyio.lowlevel import checkpoint

from ..domain.errors import FailureClass, LostLease, MustWait, StepFailed
from ..domain.events import CancelRequested
from ..domain.status import Status, StepStatus, WaitingReason
from ..domain.work_order import Claim, Outcome
from ..ports import Tools
from .lease import Ending, Hold, keep_lease, patiently
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
            with hold.last_words:
                return await settle(progress, outcome, hold)
    except* LostLease:
        pass  # another worker owns the order now, and will tell the rest
    return None


async def attempt(progress: Progress) -> Outcome | MustWait:
    """The steps that are left, one after the other, until one fails, must wait or the last is done."""
    try:
        await progress.artifacts.salvage()
        await progress.take_up()
        for step_order, plan in progress.remaining():
            await checkpoint()  # who was cancelled between two steps starts no other
            await progress.start_step(step_order, plan)
            said = await STEPS[plan.name](progress)
            await progress.finish_step(StepStatus.SKIPPED if said.skipped else StepStatus.COMPLETED, said.output)
    except MustWait as wait:
        return wait
    except (StepFailed, OSError) as error:
        failure = error if isinstance(error, StepFailed) else disk_failure(error)
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
    if error.errno not in (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES, errno.EIO):
        raise error
    return StepFailed(
        FailureClass.DISK,
        f"The disk cannot be used: {error.strerror}.",
        next_action="Free space or mend the permissions of the AWO directories, then retry the order.",
    )


async def settle(progress: Progress, outcome: Outcome | MustWait | None, hold: Hold) -> datetime | None:
    """Writes down how it ended: done, waiting, given back to the queue, or cancelled once nothing of it runs."""
    store, claim, clean = progress.tools.store, progress.claim, progress.tools.redactor.redact
    if outcome is None:  # interrupted: what the agent had done so far is kept first
        if hold.ending is Ending.CANCELLED:
            progress.tell(CancelRequested())
        await progress.finish_step(StepStatus.CANCELLED, error="The step was interrupted.")
        if hold.ending is Ending.RELEASED:
            await progress.flush()
            await patiently(lambda: store.release(claim))
            return None
        outcome = Outcome(status=Status.CANCELLED, summary="Cancelled; nothing of it runs any more.")
    elif isinstance(outcome, MustWait):
        await progress.finish_step(StepStatus.CANCELLED, error=outcome.message)
    elif outcome.status is Status.FAILED:
        await progress.finish_step(StepStatus.FAILED, error=outcome.error_message)
    await progress.keep_what_is_left()
    await progress.flush()
    if isinstance(outcome, MustWait):
        why, until, action = outcome.reason, outcome.until, clean(outcome.next_action)
        message = clean(outcome.message)
        await patiently(lambda: store.wait(claim, why, until, message, action))
        return until if why is WaitingReason.USAGE_LIMIT else None
    ending = replace(
        outcome,
        summary=clean(outcome.summary),
        error_message=outcome.error_message and clean(outcome.error_message),
        next_action=outcome.next_action and clean(outcome.next_action),
    )
    order = await patiently(lambda: store.finish(claim, ending))
    hold.let_go()
    await progress.write_metadata(order)
    return None
