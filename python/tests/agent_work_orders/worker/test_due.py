"""The rules alone: whose time is over, and what speaks against it."""

from datetime import UTC, datetime, timedelta

import pytest

from src.agent_work_orders.domain.retention import Kept, Kind, Marks, Pressure, Space
from src.agent_work_orders.domain.status import TERMINAL, Status
from src.agent_work_orders.domain.work_order import WorkOrder
from src.agent_work_orders.worker.due import NOT_OURS, Candidate, is_over, shield, under_pressure

from ..checkout.conftest import an_order
from .yard import DAY, WEEKLY

NOW = datetime(2030, 1, 31, tzinfo=UTC)


def order(status: Status, ago: timedelta) -> WorkOrder:
    return an_order(status=status, finished_at=NOW - ago if status in TERMINAL else None, updated_at=NOW - ago)


def candidate(kind: Kind, ago: timedelta, of: WorkOrder | None = None, in_use: str | None = None) -> Candidate:
    return Candidate(Kept(kind, f"{kind}-{ago.days}", 1, NOW - ago, in_use), of)


@pytest.mark.parametrize(
    ("kind", "days"),
    [
        (Kind.CHECKOUT, 7), (Kind.PREPARED, 7), (Kind.ARTIFACTS, 30), (Kind.MIRROR, 30), (Kind.CACHE, 30),
        (Kind.LEFTOVER, 1), (Kind.ORDER, 90),
    ],
)  # fmt: skip
def test_each_kind_has_a_time_of_its_own(kind: Kind, days: int) -> None:
    assert not is_over(candidate(kind, days * DAY - timedelta(hours=1)), WEEKLY, NOW)
    assert is_over(candidate(kind, days * DAY + timedelta(hours=1)), WEEKLY, NOW)


def test_an_orders_files_age_from_its_end_whatever_the_disk_says() -> None:
    ended = order(Status.COMPLETED, 8 * DAY)
    assert is_over(candidate(Kind.CHECKOUT, timedelta(0), ended), WEEKLY, NOW)
    assert not is_over(candidate(Kind.CHECKOUT, 100 * DAY, order(Status.COMPLETED, DAY)), WEEKLY, NOW)


@pytest.mark.parametrize("status", sorted(set(Status) - TERMINAL))
def test_an_order_that_has_not_ended_is_shielded_for_ever(status: Status) -> None:
    assert shield(candidate(Kind.CHECKOUT, 999 * DAY, order(status, 999 * DAY)), NOW) == f"its order is {status}"


@pytest.mark.parametrize("status", [Status.FAILED, Status.CANCELLED])
def test_what_did_not_succeed_today_is_shielded(status: Status) -> None:
    assert shield(candidate(Kind.CHECKOUT, DAY, order(status, 23 * DAY / 24)), NOW) is not None
    assert shield(candidate(Kind.CHECKOUT, DAY, order(status, 25 * DAY / 24)), NOW) is None
    assert shield(candidate(Kind.CHECKOUT, DAY, order(Status.COMPLETED, timedelta(0))), NOW) is None


def test_marks_count_only_where_nobody_knows_the_order() -> None:
    unmarked = candidate(Kind.ARTIFACTS, 999 * DAY, in_use=NOT_OURS)
    assert unmarked.is_foreign
    assert shield(unmarked, NOW) == NOT_OURS
    known = candidate(Kind.ARTIFACTS, 999 * DAY, order(Status.COMPLETED, 999 * DAY), NOT_OURS)
    assert not known.is_foreign
    assert shield(known, NOW) is None


def test_files_that_lost_their_order_today_are_shielded() -> None:
    assert shield(candidate(Kind.CHECKOUT, timedelta(hours=20)), NOW) is not None
    assert shield(candidate(Kind.CHECKOUT, timedelta(hours=30)), NOW) is None


def test_under_pressure_what_makes_itself_anew_goes_first_and_then_the_least_recently_used() -> None:
    old, older = order(Status.COMPLETED, 2 * DAY), order(Status.COMPLETED, 3 * DAY)
    found = under_pressure(
        [
            candidate(Kind.CHECKOUT, 2 * DAY, old),
            candidate(Kind.ARTIFACTS, 3 * DAY, older),
            candidate(Kind.MIRROR, 9 * DAY),
            candidate(Kind.CHECKOUT, timedelta(0), order(Status.COMPLETED, timedelta(minutes=5))),
            candidate(Kind.CHECKOUT, 99 * DAY),
            candidate(Kind.LEFTOVER, 99 * DAY),
            candidate(Kind.PREPARED, timedelta(0)),
            candidate(Kind.CACHE, DAY),
        ],
        NOW,
    )
    assert [one.kept.kind for one in found] == [
        Kind.CACHE, Kind.PREPARED, Kind.MIRROR, Kind.ARTIFACTS, Kind.CHECKOUT,
    ]  # fmt: skip


def test_a_volume_is_low_before_it_is_full_in_bytes_and_in_files() -> None:
    marks = Marks(low_bytes=500, min_free_bytes=100)

    def pressure(free: int, files: int = 0, free_files: int = 0, needed: int = 0) -> Pressure:
        return Space(10_000, free, files, free_files).pressure(marks, needed)

    assert [pressure(free) for free in (500, 499, 100, 99)] == [
        Pressure.OK, Pressure.LOW, Pressure.LOW, Pressure.FULL,
    ]  # fmt: skip
    assert pressure(600, needed=501) is Pressure.FULL
    assert [pressure(600, 10_000, free) for free in (500, 499, 100, 99)] == [
        Pressure.OK, Pressure.LOW, Pressure.LOW, Pressure.FULL,
    ]  # fmt: skip
    assert Space(10_000, 600).missing(700) == 100
