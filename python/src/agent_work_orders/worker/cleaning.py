"""One clean-up, from a look at the disk to what became of it. `janitor.py` says when; `due.py` says what may go."""

import logging
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from datetime import datetime
from typing import TypeVar

import anyio
from anyio import to_thread
from anyio.lowlevel import checkpoint

from ..domain.errors import FailureClass, InvalidInput, StepFailed, WorkOrderError
from ..domain.events import FilesRemoved
from ..domain.retention import Aside, CleanupReport, Kept, Kind, Pressure, Protected, Reason, Removal, Rules
from ..domain.status import TERMINAL, Status
from ..domain.work_order import WorkOrder
from ..ports import ListQuery, Tools, Volume
from .due import Candidate, is_over, shield, under_pressure, wording

logger = logging.getLogger("archon.awo")

T = TypeVar("T")
PAGE = 200
LISTED = 1000
# Renamed and written down together. No order can be opened meanwhile: some milliseconds.
AT_ONCE = 50
UNSHARE_WITHIN = 10.0
# How such an order ended may have kept its last work from being saved.
_SAVED_FIRST = frozenset({FailureClass.DISK, FailureClass.INTERNAL, FailureClass.GIT, None})


class Cleaning:
    """One pass over a disk. With `dry_run` it only says what it would do."""

    def __init__(self, tools: Tools, volume: Volume, rules: Rules, now: datetime, *, dry_run: bool) -> None:
        self._tools, self._volume, self._rules, self._now, self._dry_run = tools, volume, rules, now, dry_run
        self._left: dict[tuple[Kind, str], Candidate] = {}
        self._removed: dict[tuple[Kind, str], Removal] = {}
        self._protected: dict[tuple[Kind, str], Protected] = {}
        self._problems: list[str] = []
        # Hosts that did not answer this time.
        self._away: set[str] = set()

    async def run(self, *, rows: bool) -> CleanupReport:
        """Goes through all rules. `rows`: also through orders whose journal is old enough, wherever their files are."""
        began = anyio.current_time()
        if not self._dry_run:
            await tell_of_removals(self._tools, self._volume)
        survey = await self._volume.survey()
        self._problems += survey.problems
        orders = await self._orders(survey.kept)
        await to_thread.run_sync(self._see, survey.kept, orders)
        await self._by_age()
        if rows:
            await self._old_orders()
        await self._by_count()
        await self._by_size()
        await self._by_room()
        return await to_thread.run_sync(self._report, began, anyio.current_time())

    def ended(self) -> list[WorkOrder]:
        """Orders that have ended and whose files stay."""
        found = (one.order for (kind, _), one in self._left.items() if kind is Kind.ARTIFACTS and one.order is not None)
        return [order for order in found if order.status.is_terminal]

    async def _orders(self, found: tuple[Kept, ...]) -> dict[str, WorkOrder]:
        names = await to_thread.run_sync(lambda: sorted({kept.name for kept in found if kept.of_an_order}))
        known: dict[str, WorkOrder] = {}
        for start in range(0, len(names), PAGE):
            orders = await self._tools.store.find(names[start : start + PAGE])
            known |= {order.agent_work_order_id: order for order in orders}
        return known

    def _see(self, found: tuple[Kept, ...], orders: Mapping[str, WorkOrder]) -> None:
        """In a thread, as all that goes through everything: there may be much, and the loop has others to serve."""
        for kept in found:
            candidate = Candidate(kept, orders.get(kept.name) if kept.of_an_order else None)
            if not candidate.is_foreign:
                self._left[kept.kind, kept.name] = candidate

    # --- The rules

    async def _by_age(self) -> None:
        def due() -> list[Candidate]:
            found = [one for one in self._left.values() if is_over(one, self._rules, self._now)]
            # Checkouts before what the mirrors remember of their orders, and mirrors last: each frees the next.
            return sorted(found, key=lambda one: _TURN[one.kept.kind])

        for few in _batches(await to_thread.run_sync(due)):
            await self._take(few, Reason.AGE)

    async def _old_orders(self) -> None:
        """Orders whose journal has been kept long enough: they are forgotten altogether."""
        before = self._now - self._rules.orders
        cursor: tuple[datetime, str] | None = (before, "")
        while cursor is not None:
            query = ListQuery(statuses=TERMINAL, before=cursor, limit=PAGE)
            page = await self._tools.store.list_orders(query)
            for order in page:
                if (order.finished_at or order.updated_at) < before:
                    await self._forget(order)
            cursor = (page[-1].created_at, page[-1].agent_work_order_id) if len(page) == PAGE else None

    async def _by_count(self) -> None:
        if self._rules.max_checkouts is None:
            return
        ended = [
            one
            for one in self._left.values()
            if one.kept.kind is Kind.CHECKOUT and one.order is not None and one.order.status.is_terminal
        ]
        surplus = len(ended) - self._rules.max_checkouts
        await self._evict(ended, Reason.COUNT, lambda gone, freed: gone >= surplus)

    async def _by_size(self) -> None:
        if self._rules.max_bytes is not None:
            surplus = sum(one.kept.size_bytes for one in self._left.values()) - self._rules.max_bytes
            await self._evict(list(self._left.values()), Reason.SIZE, lambda gone, freed: freed >= surplus)

    async def _by_room(self) -> None:
        space, marks = self._volume.space()
        if space.pressure(marks) is Pressure.OK:
            return
        # What was put aside by now counts: it is deleted right after this.
        missing = space.missing(max(marks.low_bytes, marks.min_free_bytes)) - self._freed()
        enough = max(missing, 1)
        await self._evict(list(self._left.values()), Reason.DISK, lambda gone, freed: freed >= enough)

    async def _evict(self, candidates: list[Candidate], reason: Reason, enough: Callable[[int, int], bool]) -> None:
        """Takes the least recently used until `enough(number, bytes)` says so. Mirrors go after what lives off them."""
        gone = freed = 0
        waiting = deque(await to_thread.run_sync(under_pressure, candidates, self._now))
        while waiting and not enough(gone, freed):
            few: list[Candidate] = []
            # No more than would be enough if all of them went.
            while waiting and len(few) < AT_ONCE and not enough(gone + len(few), freed + _size(few)):
                few.append(waiting.popleft())
            taken = await self._take(few, reason)
            gone, freed = gone + len(taken), freed + _size(taken)

    # --- A few things

    async def _take(self, few: Sequence[Candidate], reason: Reason) -> list[Candidate]:
        """Puts those aside that nothing speaks against; those that are gone."""
        await checkpoint()  # there may be very many, and others to serve in between
        going: list[Candidate] = []
        for candidate in few:
            why = shield(candidate, self._now) or await self._unsaved(candidate)
            if why is None:
                going.append(candidate)
            else:
                self._protect(candidate.kept, why)
        gone: list[Candidate] = going if self._dry_run else []
        if not self._dry_run:
            for those in _that_go_together(going):
                gone += await self._put_aside(those, reason)
        for candidate in gone:
            self._note(candidate.kept, candidate.used_at, reason)
        return gone

    async def _put_aside(self, few: Sequence[Candidate], reason: Reason) -> list[Candidate]:
        """A checkout's clean-up command first, and what an order left on a remote before what is known of it here."""
        for candidate in await self._still(few):
            if candidate.kept.kind is Kind.CHECKOUT and candidate.order is not None:
                with suppress(InvalidInput):  # a host that is not allowed any more: no command is known for it either
                    repository = self._tools.repository(candidate.order.repository_url)
                    await self._tools.checkouts.clean_up(candidate.order, repository)
            elif candidate.kept.kind is Kind.ORDER:
                await self._unshare(candidate.kept.name)

        async def still() -> list[Kept]:
            return [one.kept for one in await self._still(few)]

        done = await self._volume.put_aside(reason, still)
        self._problems += [f"{kept.kind} {kept.name} could not be removed: {why}." for kept, why in done.refused]
        await tell(self._tools, self._volume, done.asides)
        gone = {(kept.kind, kept.name) for kept in done.gone}
        return [one for one in few if (one.kept.kind, one.kept.name) in gone]

    async def _still(self, few: Sequence[Candidate]) -> list[Candidate]:
        """Those whose orders are as they were when all this was decided. Asked while no order can be opened."""
        names = sorted({one.kept.name for one in few if one.kept.of_an_order})
        found = {one.agent_work_order_id: one for one in await self._tools.store.find(names)} if names else {}
        return [
            one
            for one in few
            if not one.kept.of_an_order or _standing(found.get(one.kept.name)) == _standing(one.order)
        ]

    async def _unshare(self, order_id: str) -> None:
        """Takes hidden refs away that nobody needs; those that alone hold an order's work stay on their remotes."""
        for key in await self._volume.spare_refs(order_id):
            host = key.partition("/")[0]
            if host in self._away:
                continue
            try:
                repository = self._tools.repository(f"https://{key}")
                with anyio.fail_after(UNSHARE_WITHIN):
                    token = await self._tools.secrets.get("GITHUB_TOKEN", repository)
                    await self._tools.checkouts.unshare(order_id, repository, token)
            except (WorkOrderError, OSError) as error:  # OSError: out of time, too
                why = error.message.rstrip(".") if isinstance(error, WorkOrderError) else "it took too long"
                if isinstance(error, OSError) or getattr(error, "failure_class", None) is FailureClass.NETWORK:
                    self._away.add(host)
                self._problems.append(f"A hidden ref of order {order_id} is still on {key}: {why}.")

    async def _unsaved(self, candidate: Candidate) -> str | None:
        kept, order = candidate.kept, candidate.order
        if not kept.of_an_order:
            return None
        changed = order is not None and order.git_files_changed > 0 and order.github_pull_request_url is None
        why = await self._volume.unsaved(kept.name, changed=changed)
        if why is None and order is not None and kept.kind is Kind.CHECKOUT and not self._dry_run:
            why = await self._save_first(order) or await self._volume.unsaved(kept.name, changed=changed)
        return why

    async def _save_first(self, order: WorkOrder) -> str | None:
        """Work that was in no checkpoint becomes one; the reason if that cannot be."""
        if order.status is Status.COMPLETED or order.failure_class not in _SAVED_FIRST:
            return None
        try:
            await self._tools.checkouts.save(order, self._tools.repository(order.repository_url))
        except InvalidInput:
            return "its repository's host is not allowed any more, so its last work cannot be saved"
        except (StepFailed, OSError) as error:
            return f"its last work cannot be saved: {_why(error)}"
        return None

    async def _forget(self, order: WorkOrder) -> None:
        """The row first: it alone can refuse, and nobody takes the order up after it is gone."""
        order_id = order.agent_work_order_id
        whole = Candidate(Kept(Kind.ORDER, order_id, 0, order.finished_at or order.updated_at), order)
        why = shield(whole, self._now) or await self._unsaved(whole)
        if why is not None:
            return self._protect(whole.kept, why)
        if not self._dry_run:
            try:
                await self._tools.store.delete(order_id)
            except WorkOrderError as refusal:
                self._problems.append(f"order {order_id} could not be forgotten: {refusal.message}")
                return None
            logger.info("Clean-up forgot %s: %s.", order_id, wording(Reason.AGE))
        files = [self._left.get((kind, order_id)) for kind in (Kind.CHECKOUT, Kind.ARTIFACTS, Kind.ORDER)]
        self._note(whole.kept, whole.used_at, Reason.AGE)
        for left in files:
            # Its order is gone by now, which is what has to be true still when it is renamed.
            if left and (self._dry_run or await self._put_aside([Candidate(left.kept)], Reason.AGE)):
                self._note(left.kept, left.used_at, Reason.AGE)
        return None

    def _note(self, kept: Kept, used_at: datetime, reason: Reason) -> None:
        self._left.pop((kept.kind, kept.name), None)
        self._removed[kept.kind, kept.name] = Removal(
            kind=kept.kind, name=kept.name, size_bytes=kept.size_bytes, used_at=used_at, reason=wording(reason)
        )

    def _protect(self, kept: Kept, why: str) -> None:
        self._protected[kept.kind, kept.name] = Protected(
            kind=kept.kind, name=kept.name, size_bytes=kept.size_bytes, reason=why
        )

    def _freed(self) -> int:
        return sum(one.size_bytes for one in self._removed.values())

    def _report(self, began: float, ended: float) -> CleanupReport:
        used = dict.fromkeys(Kind, 0)
        for (kind, _), candidate in self._left.items():
            used[kind] += candidate.kept.size_bytes
        space, marks = self._volume.space()
        return CleanupReport(
            dry_run=self._dry_run,
            removed=list(self._removed.values())[:LISTED],
            removed_count=len(self._removed),
            freed_bytes=self._freed(),
            protected=list(self._protected.values())[:LISTED],
            problems=self._problems[:LISTED],
            used_bytes=used,
            pressure=space.pressure(marks),
            took_ms=round((ended - began) * 1000),
        )


_TURN = {
    Kind.LEFTOVER: 0,
    Kind.PREPARED: 0,
    Kind.CACHE: 0,
    Kind.CHECKOUT: 1,
    Kind.ARTIFACTS: 1,
    Kind.ORDER: 2,
    Kind.MIRROR: 3,
}


async def tell_of_removals(tools: Tools, volume: Volume) -> None:
    """What an earlier clean-up put aside and did not come to write down."""
    for few in _batches(await volume.untold()):
        await tell(tools, volume, few)


async def tell(tools: Tools, volume: Volume, asides: Sequence[Aside]) -> None:
    """Writes removals down: in the log, and in the journals of orders that are still known."""
    for one in asides:
        logger.info("Clean-up took %s %s, %s bytes: %s.", one.kind, one.name, one.size_bytes, wording(one.reason))
    said = [(one.name, _said(one)) for one in asides if one.kind in (Kind.CHECKOUT, Kind.ARTIFACTS)]
    if said:
        await tools.store.remark(said)
    if asides:
        await volume.told(asides)


def _said(aside: Aside) -> FilesRemoved:
    return FilesRemoved(
        removal_id=aside.removal_id, what=aside.kind, size_bytes=aside.size_bytes, reason=wording(aside.reason)
    )


def _that_go_together(going: Sequence[Candidate]) -> list[list[Candidate]]:
    """What is only renamed at once; what waits for a mirror's lock one by one, since orders wait for it in turn."""
    alone = [one for one in going if one.kept.kind in (Kind.ORDER, Kind.MIRROR)]
    together = [one for one in going if one not in alone]
    return [few for few in (together, *([one] for one in alone)) if few]


def _batches(these: Sequence[T]) -> Iterator[Sequence[T]]:
    return (these[start : start + AT_ONCE] for start in range(0, len(these), AT_ONCE))


def _size(few: Sequence[Candidate]) -> int:
    return sum(one.kept.size_bytes for one in few)


def _standing(order: WorkOrder | None) -> tuple[int, Status, int] | None:
    return None if order is None else (order.rev, order.status, order.attempt)


def _why(error: OSError | StepFailed) -> str:
    if isinstance(error, StepFailed):
        return error.message.rstrip(".")
    return error.strerror or type(error).__name__
