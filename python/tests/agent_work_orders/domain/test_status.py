"""The moves of a work order, as the design draws them."""

from itertools import product

import pytest

from src.agent_work_orders.domain.status import TERMINAL, TRANSITIONS, Status

ALLOWED = {
    "scheduled": {"pending", "cancelled"},
    "pending": {"running", "cancelled"},
    "running": {"pending", "waiting", "completed", "failed", "cancelled"},
    "waiting": {"pending", "failed", "cancelled"},
    "completed": {"pending"},
    "failed": {"pending"},
    "cancelled": {"pending"},
}


@pytest.mark.parametrize(("before", "after"), list(product(Status, Status)))
def test_a_move_is_allowed_exactly_if_the_design_draws_it(before: Status, after: Status) -> None:
    assert (after in TRANSITIONS[before]) == (after.value in ALLOWED[before.value])


def test_what_has_ended_goes_on_as_a_new_attempt_alone() -> None:
    assert {status for status in Status if status.is_terminal} == TERMINAL
    for status in TERMINAL:
        assert TRANSITIONS[status] <= {Status.PENDING}


def test_every_status_can_be_reached_and_left_to_an_end() -> None:
    for start in Status:
        seen, ahead = {start}, [start]
        while ahead:
            for following in TRANSITIONS[ahead.pop()] - seen:
                seen.add(following)
                ahead.append(following)
        assert seen & TERMINAL
    reached = {Status.PENDING, *TRANSITIONS[Status.PENDING], *TRANSITIONS[Status.RUNNING]}
    assert reached | {Status.SCHEDULED} == set(Status)
