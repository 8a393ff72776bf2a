"""Claims work and runs it, a few orders at a time, until the server stops."""

import logging
import traceback
import uuid
from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import datetime, timedelta

import anyio
from anyio.abc import TaskGroup

from ..domain.errors import FailureClass, InvalidInput, StoreUnavailable, WorkOrderError
from ..domain.status import Status
from ..domain.work_order import Claim, Outcome, utc_now
from ..ports import Tools
from ..workflow.run import run_work_order

logger = logging.getLogger("archon.awo")

POLL = 2.0
# What is filed here wakes the worker at once; what falls due, or is filed on another server, is found so late at most.
POLL_AT_MOST = 5.0
# A little more than a run takes for its last words; what does not make it is taken back by its lease.
STOP_WITHIN = 8.0
RECORD_WITHIN = 3.0


class Worker:
    """Runs claimed orders in as many slots as the settings give, live."""

    def __init__(self, tools: Tools, worker_id: str, clock: Callable[[], datetime] = utc_now) -> None:
        self._tools, self.worker_id, self._clock = tools, worker_id, clock
        # Slots in use; a run whose order has ended has no slot any more, and may still be putting its papers away.
        self.busy = 0
        self._runs = 0
        self._slot_freed = anyio.Event()
        self._parked_until: datetime | None = None

    async def run(self, stopping: anyio.Event) -> None:
        """Works until `stopping` is set, then gives every claim back, within a few seconds."""
        async with anyio.create_task_group() as group:
            await self._claim_forever(group, stopping)
            with anyio.move_on_after(STOP_WITHIN):
                while self._runs:
                    await self._slot_freed.wait()
            group.cancel_scope.cancel()

    async def _claim_forever(self, group: TaskGroup, stopping: anyio.Event) -> None:
        pause = quiet = POLL
        # Kept until it is answered: the answer that got lost may have been a claim, which the same request finds again.
        request_id = str(uuid.uuid4())
        while not stopping.is_set():
            if self.busy >= self._tools.limits().slots or self._is_parked():
                await self._idle(self._slot_freed.wait, stopping)
                continue
            limits = self._tools.limits()
            try:
                claim = await self._tools.store.claim(self.worker_id, request_id, limits.lease, limits.per_repository)
                pause = POLL
                request_id = str(uuid.uuid4())
            except StoreUnavailable as error:
                logger.warning("No work can be claimed: %s", error.message)
                await self._idle(anyio.sleep_forever, stopping, pause)
                pause = min(pause * 2, 10)
                continue
            if claim is None:
                await self._idle(self._wait_for_work, stopping, quiet)
                quiet = min(quiet * 1.5, POLL_AT_MOST)
                continue
            quiet = POLL
            self.busy += 1
            self._runs += 1
            group.start_soon(self._run_one, claim, stopping, name=f"work order {claim.order_id}")
            if claim.was_last:
                await self._idle(self._wait_for_work, stopping, quiet)

    async def _run_one(self, claim: Claim, stopping: anyio.Event) -> None:
        holds_slot = True

        def free_slot() -> None:
            nonlocal holds_slot
            self.busy -= holds_slot
            holds_slot = False
            self._slot_freed.set()
            self._slot_freed = anyio.Event()

        try:
            parked_until = await run_work_order(claim, self._tools, stopping, free_slot)
            if parked_until is not None:
                # All orders use the same account: asking again for each of them would only burn retries.
                self._parked_until = max(parked_until, self._parked_until or parked_until)
        except Exception as error:  # noqa: BLE001 - the worker's door: a bug in one run must end that run alone
            trace = "".join(traceback.format_exception(error))
            logger.error("%s ended by an error:\n%s", claim.order_id, self._tools.redactor.redact(trace))
            await self._record_crash(claim, error)
        finally:
            self._runs -= 1
            free_slot()

    async def _record_crash(self, claim: Claim, error: Exception) -> None:
        redact = self._tools.redactor.redact
        outcome = _meaning(error)
        outcome = replace(outcome, error_message=redact(outcome.error_message or ""))
        try:
            with anyio.CancelScope(shield=True, deadline=anyio.current_time() + RECORD_WITHIN):
                await self._tools.store.finish(claim, outcome)
        except WorkOrderError as failure:
            logger.error("%s could not be recorded as failed: %s", claim.order_id, failure)

    def _is_parked(self) -> bool:
        if self._parked_until is not None and self._parked_until <= self._clock():
            self._parked_until = None
        return self._parked_until is not None

    async def _wait_for_work(self) -> None:
        await self._tools.store.wait_for_work(timedelta(seconds=POLL_AT_MOST))

    async def _idle(self, wake: Callable[[], Awaitable[None]], stopping: anyio.Event, at_most: float = POLL) -> None:
        """Waits for `wake`, the stop of the server or the time, whichever comes first."""
        async with anyio.create_task_group() as group:

            async def stop() -> None:
                await stopping.wait()
                group.cancel_scope.cancel()

            group.start_soon(stop)
            with anyio.move_on_after(at_most):
                await wake()
            group.cancel_scope.cancel()


def _meaning(error: Exception) -> Outcome:
    """What is recorded of an error that no step of a run expects."""
    while isinstance(error, ExceptionGroup) and len(error.exceptions) == 1:
        error = error.exceptions[0]
    failure_class, message = FailureClass.INTERNAL, "An unexpected error ended the run; the server's log has it."
    next_action = "Retry the order; if it fails again, report the error in the server's log."
    if isinstance(error, InvalidInput):  # it was valid when it was filed: the settings have changed since
        failure_class = FailureClass.POLICY
        message = "; ".join(f"{problem.field} {problem.problem}" for problem in error.fields)
        next_action = "Change the settings back, or file a new order that they allow."
    elif isinstance(error, WorkOrderError):
        message, next_action = error.message, error.next_action or next_action
    return Outcome(
        status=Status.FAILED,
        summary="The run was ended by an error.",
        failure_class=failure_class,
        error_message=message,
        next_action=next_action,
    )
