"""What retention says of each thing on the disk: whether its time is over, and why it may not go all the same. Pure."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

from ..domain.retention import Kept, Kind, Reason, Rules
from ..domain.status import Status
from ..domain.work_order import WorkOrder

# Somebody may still look at what failed, and at what ended just now.
FAILURE_GRACE = timedelta(days=1)
RECENT = timedelta(hours=1)
# A clone never takes so long; and a database that was put back may know an order again tomorrow.
LEFTOVER_GRACE = timedelta(days=1)
NOT_OURS = "it does not look like ours"
MADE_ANEW = (Kind.PREPARED, Kind.CACHE)


@dataclass(frozen=True)
class Candidate:
    """Something on the disk, and its order where it belongs to one that the store knows."""

    kept: Kept
    order: WorkOrder | None = None

    @property
    def used_at(self) -> datetime:
        """An order's files were last used when it ended; of the rest the disk says it."""
        if self.order is None:
            return self.kept.used_at
        return self.order.finished_at or self.order.updated_at

    @property
    def is_orphan(self) -> bool:
        return self.kept.of_an_order and self.order is None

    @property
    def is_foreign(self) -> bool:
        """Named like an order's, but neither known nor marked: somebody else's, and none of our business."""
        return self.is_orphan and self.kept.in_use == NOT_OURS


def lifetime(kind: Kind, rules: Rules) -> timedelta:
    match kind:
        case Kind.CHECKOUT | Kind.PREPARED:
            return min(rules.checkouts, rules.orders)
        case Kind.ARTIFACTS:
            return min(rules.artifacts, rules.orders)
        case Kind.ORDER:
            return rules.orders
        case Kind.MIRROR | Kind.CACHE:
            return rules.mirrors
        case Kind.LEFTOVER:
            return LEFTOVER_GRACE


def is_over(candidate: Candidate, rules: Rules, now: datetime) -> bool:
    """Whether its time has run out."""
    if candidate.kept.kind is Kind.ORDER and not candidate.is_orphan:
        return False  # what mirrors remember of an order goes with the order itself
    return now - candidate.used_at > lifetime(candidate.kept.kind, rules)


def shield(candidate: Candidate, now: datetime) -> str | None:
    """Why no rule may take it, whatever it says; None if nothing speaks against it."""
    kept, order = candidate.kept, candidate.order
    if kept.in_use and not (order and kept.in_use == NOT_OURS):
        return kept.in_use
    if order is None:
        is_new = candidate.is_orphan and now - kept.used_at < LEFTOVER_GRACE
        return "its order is not known, and it was used within the last day" if is_new else None
    if not order.status.is_terminal:
        return f"its order is {order.status}"
    if order.status is not Status.COMPLETED and now - candidate.used_at < FAILURE_GRACE:
        return f"its order {'failed' if order.status is Status.FAILED else 'was cancelled'} less than a day ago"
    if kept.kind is Kind.ORDER and order.archived_at is not None:
        return "it was archived, which is meant to last"
    return None


def under_pressure(candidates: Iterable[Candidate], now: datetime) -> list[Candidate]:
    """What may go before its time, in this order: what is made anew by itself, then what was used least recently.

    Files of orders that nobody knows wait for their time; so does what was used just now.
    """
    found = [
        one
        for one in candidates
        if not one.is_orphan
        and one.kept.kind not in (Kind.ORDER, Kind.LEFTOVER)
        and (one.kept.kind in MADE_ANEW or now - one.used_at > RECENT)
    ]
    return sorted(found, key=lambda one: (one.kept.kind not in MADE_ANEW, one.used_at, one.kept.name))


def wording(reason: Reason) -> str:
    return {
        Reason.AGE: "older than its retention",
        Reason.COUNT: "more checkouts than may be kept; this one was used least recently",
        Reason.SIZE: "more bytes than may be kept; this was used least recently",
        Reason.DISK: "the disk is nearly full; this was used least recently",
    }[reason]
