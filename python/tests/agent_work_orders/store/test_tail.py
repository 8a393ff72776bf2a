from datetime import UTC, datetime

from hypothesis import given
from hypothesis import strategies as st

from src.agent_work_orders.domain.events import Event
from src.agent_work_orders.store import tail
from src.agent_work_orders.store.tail import Tail, Tails

AT = datetime(2026, 1, 1, tzinfo=UTC)


def events(first: int, last: int, size: int = 10) -> list[Event]:
    return [Event(seq, AT, "agent_spoke", None, 1, str(seq).rjust(size)) for seq in range(first, last + 1)]


@given(
    st.lists(
        st.tuples(st.integers(1, 700), st.sampled_from([10, 1000, 5000]), st.sampled_from([0, 0, 0, 3])), max_size=30
    ),
    st.lists(st.tuples(st.floats(0, 1.1), st.integers(1, 600)), max_size=20),
)
def test_a_tail_answers_with_the_very_next_events_or_not_at_all(
    batches: list[tuple[int, int, int]], reads: list[tuple[float, int]]
) -> None:
    held, journal = Tail(), list[Event]()
    for count, size, elsewhere in batches:
        journal += events(len(journal) + 1, len(journal) + elsewhere)  # another process wrote these
        new = events(len(journal) + 1, len(journal) + count, size)
        journal += new
        held.extend(new)
        assert held.last_seq == len(journal)
        for place, limit in reads:
            after = int(place * len(journal))
            assert held.after(after, limit) in ([], journal[after : after + limit])
        assert held.after(len(journal) - 1, 5) == journal[-1:]


def test_a_tail_stays_small() -> None:
    held, last = Tail(), 0
    for size in (10, 16_000):
        for _ in range(40):
            held.extend(events(last + 1, last + 500, size))
            last += 500
        assert held.after(last - 1, 1)
        kept = next(after for after in range(last) if held.after(after, 1))
        assert last - kept <= 2 * tail.MOST_EVENTS
        assert (last - kept) * size <= 2 * tail.MOST_CHARACTERS + 500 * size


def test_only_the_orders_that_were_used_last_are_held() -> None:
    tails = Tails()
    for number in range(tail.MOST_ORDERS + 10):
        tails.extend(f"wo-{number}", events(1, 1))
        assert tails.get("wo-0") is not None, "it is read all the time"
    assert tails.get("wo-1") is None
    tails.forget("wo-0")
    assert tails.get("wo-0") is None
