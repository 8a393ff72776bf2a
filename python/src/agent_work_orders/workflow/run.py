"""One claimed work order, from its checkout to its outcome. Read this file first."""

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime

import anyio
from anyio.lowlevel import checkpoint

from ..domain.errors import LostLease, MustWait, StepFailed
from ..domain.events import CancelRequested
from ..domain.gates import follow_up_step
from ..domain.status import Status, StepStatus, WaitingReason
from ..domain.work_order import Claim, Outcome
from ..ports import Tools
from ..tracing import span
from .asking import MustAsk
from .disk_trouble import meaning_of
from .lease import Ending, Hold, keep_lease, patiently
from .progress import Progress, open_progress
from .steps import next_step


async def run_work_order(
    claim: Claim, tools: Tools, stopping: anyio.Event, ended: Callable[[], None] = lambda: None
) -> datetime | None:
    """Takes the order as far as it goes. Returns until when the agent's account is used up, if it turned out to be.

    `ended` is called as soon as the end of the order is written down: what follows is about its files only.
    Whatever way this ends, no process of the run is left: `cancelled` is true when it is written.
    """
    try:
        with span("work order", root=True, order_id=claim.order_id, attempt=claim.order.attempt):
            async with keep_lease(claim, tools, stopping) as hold, open_progress(claim, tools, hold) as progress:
                outcome: Outcome | MustWait | None = None
                with hold.scope:
                    outcome = await attempt(progress)
                with hold.last_words:
                    return await settle(progress, outcome, hold, ended)
    except* LostLease:
        pass  # another worker owns the order now, and will tell the rest
    return None


async def attempt(progress: Progress) -> Outcome | MustWait:
    """The steps that are left, one after the other, until one fails, must wait or the last is done."""
    try:
        progress.note_start()
        await progress.artifacts.salvage()
        await progress.look_up()
        await progress.take_up()
        while (step := await next_step(progress)) is not None:
            await checkpoint()  # who was cancelled between two steps starts no other
            with span(f"step {step.plan.name}", order_id=progress.claim.order_id):
                await progress.start_step(step.place, step.plan)
                said = await step.take(progress)
                await progress.finish_step(StepStatus.SKIPPED if said.skipped else StepStatus.COMPLETED, said.output)
            await progress.conversation.kept()
            progress.next_step = step.then
    except MustWait as wait:
        return wait
    except (StepFailed, OSError) as error:
        failure = await meaning_of(progress, error)
        if isinstance(failure, MustWait):
            return failure
        return Outcome(
            status=Status.FAILED,
            summary=failure.message,
            failure_class=failure.failure_class,
            error_message=failure.message,
            next_action=failure.next_action,
        )
    return Outcome(status=Status.COMPLETED, summary=progress.summary())


async def settle(
    progress: Progress, outcome: Outcome | MustWait | None, hold: Hold, ended: Callable[[], None]
) -> datetime | None:
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
    await progress.rest()
    hold.stop_listening()  # from here on the store itself sees to what people write
    await progress.flush()
    if isinstance(outcome, MustWait):
        if isinstance(outcome, MustAsk):
            asking = outcome.asking
            await progress.write_metadata(await patiently(lambda: store.ask(claim, asking)))
            return None
        why, until, action = outcome.reason, outcome.until, clean(outcome.next_action)
        message = clean(outcome.message)
        await progress.write_metadata(await patiently(lambda: store.wait(claim, why, until, message, action)))
        return until if why is WaitingReason.USAGE_LIMIT else None
    ending = replace(
        outcome,
        summary=clean(outcome.summary),
        error_message=outcome.error_message and clean(outcome.error_message),
        next_action=outcome.next_action and clean(outcome.next_action),
        follow_up_step=follow_up_step(progress.order.selected_commands),
    )
    order = await patiently(lambda: store.finish(claim, ending))
    hold.let_go()
    ended()
    await progress.write_metadata(order)
    if order.status is Status.COMPLETED:
        await progress.sharing.end()
    return None
