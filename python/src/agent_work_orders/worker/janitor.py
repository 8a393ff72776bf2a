"""Keeps the disk from filling up: cleans now and then, earlier when it gets full, and lets orders that waited for room
go on. `cleaning.py` is one clean-up. Never in two processes at once on one disk."""

import logging
from collections.abc import Callable
from datetime import datetime, timedelta

import anyio

from ..domain.errors import StoreUnavailable, WrongState
from ..domain.retention import CleanupReport, Pressure, Rules
from ..domain.status import Status, WaitingReason
from ..domain.work_order import utc_now
from ..ports import ListQuery, Tools, Volume
from .cleaning import Cleaning
from .metadata import mend_metadata

logger = logging.getLogger("archon.awo")

DUTY = "janitor"
LOOK_EVERY = 5.0
CLEAN_EVERY = timedelta(minutes=30)
# While the disk is nearly full.
CLEAN_EARLY_EVERY = timedelta(minutes=1)
RETRY_AFTER = 60.0
ASK_EVERY = timedelta(minutes=1)
SWEEP_WITHIN = timedelta(seconds=20)
BACK_IN_LINE = "There is room on the disk again."


class Janitor:
    """Cleans one server's disk. `rules` are asked for anew by every clean-up; the first is `first_after` the start."""

    def __init__(
        self,
        tools: Tools,
        volume: Volume,
        rules: Callable[[], Rules],
        worker_id: str,
        clock: Callable[[], datetime] = utc_now,
        *,
        first_after: timedelta = timedelta(0),
    ) -> None:
        self._tools, self._volume, self._rules, self._worker_id, self._clock = tools, volume, rules, worker_id, clock
        # The last clean-up's; health and status show it without looking at the disk.
        self.last: CleanupReport | None = None
        self._first_after = first_after.total_seconds()
        self._not_before: float | None = None
        self._cleaned_at: float | None = None
        self._asked_at: float | None = None
        self._problems: frozenset[str] = frozenset()

    async def run(self) -> None:
        while True:
            await self.look()
            await anyio.sleep(LOOK_EVERY)

    async def look(self) -> None:
        """Cleans if it is time to, and calls back who waited for room."""
        try:
            if self._is_due():
                await self._clean_by_itself()
            await self._call_back()
        except StoreUnavailable as error:
            logger.warning("Nothing can be cleaned up: %s", error.message)
            self._not_before = anyio.current_time() + RETRY_AFTER
        except OSError as error:
            logger.warning("The disk cannot be looked at: %s", error)

    async def clean(self, *, dry_run: bool, sweep_within: timedelta = SWEEP_WITHIN) -> CleanupReport:
        """One clean-up, or what it would do. WrongState while another one is at work on this disk."""
        if dry_run:
            # What nobody else cleans now may be somebody else's duty: it would go all the same.
            return await self._cleaning(dry_run=True).run(rows=True)
        with self._volume.alone() as ours:
            if not ours:
                raise WrongState("A clean-up of this disk is under way.", next_action="Try again in a minute.")
            rows = await self._tools.store.take_duty(DUTY, self._worker_id, CLEAN_EVERY)
            cleaning = self._cleaning(dry_run=False)
            report = await cleaning.run(rows=rows)
            swept, problems = await self._volume.sweep(sweep_within)
            if not swept:
                problems = [*problems, "Not all of it is deleted yet; that goes on in the background."]
            await mend_metadata(self._tools, cleaning.ended())
        space, marks = self._volume.space()
        report = report.model_copy(
            update={"problems": [*report.problems, *problems], "pressure": space.pressure(marks)}
        )
        self.last, self._cleaned_at = report, anyio.current_time()
        return report

    def _cleaning(self, *, dry_run: bool) -> Cleaning:
        return Cleaning(self._tools, self._volume, self._rules(), self._clock(), dry_run=dry_run)

    def _is_due(self) -> bool:
        now = anyio.current_time()
        if self._not_before is None:
            self._not_before = now + self._first_after
        if now < self._not_before:
            return False
        if self._cleaned_at is None:
            return True
        space, marks = self._volume.space()
        every = CLEAN_EVERY if space.pressure(marks) is Pressure.OK else CLEAN_EARLY_EVERY
        return now - self._cleaned_at >= every.total_seconds()

    async def _clean_by_itself(self) -> None:
        try:
            report = await self.clean(dry_run=False)
        except WrongState:
            self._cleaned_at = anyio.current_time()  # another server does it
            return
        for problem in report.problems:
            if problem not in self._problems:
                logger.warning("Clean-up: %s", problem)
        self._problems = frozenset(report.problems)

    async def _call_back(self) -> None:
        """Orders that waited for room on the disk, once there is room for them here."""
        now = anyio.current_time()
        is_time = self._asked_at is None or now - self._asked_at >= ASK_EVERY.total_seconds()
        if not (self._volume.turned_away() or is_time):
            return
        self._asked_at = now
        waiting = await self._tools.store.list_orders(ListQuery(statuses=frozenset({Status.WAITING}), limit=200))
        for_room = [one.agent_work_order_id for one in waiting if one.waiting_reason is WaitingReason.DISK]
        self._volume.turned_away(for_room)
        for order_id in for_room:
            if self._volume.has_room_for(order_id):
                try:
                    await self._tools.store.resume(order_id, BACK_IN_LINE)
                except WrongState:
                    continue  # somebody else was faster
