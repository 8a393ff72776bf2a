from datetime import timedelta

import anyio
import pytest

from src.agent_work_orders.store.signals import Bell, Signals
from src.agent_work_orders.store.transaction import News

pytestmark = pytest.mark.anyio
LONG, SOON = timedelta(minutes=10), timedelta(milliseconds=10)


async def test_a_bell_that_rings_during_the_look_is_heard() -> None:
    bell = Bell()

    async def look() -> bool:
        bell.ring()
        return False

    with anyio.fail_after(30):
        await bell.listen(LONG, look)


async def test_a_claim_that_found_nothing_does_not_speak_for_what_came_meanwhile() -> None:
    signals = Signals()
    as_of = signals.work_seen
    signals.hear(News(work=True))
    signals.found_no_work(as_of)
    with anyio.fail_after(30):
        await signals.wait_for_work(LONG)
    signals.found_no_work(signals.work_seen)
    signals.found_no_work(as_of)
    with anyio.move_on_after(SOON.total_seconds()) as waited:
        await signals.wait_for_work(LONG)
    assert waited.cancelled_caught


async def test_an_order_has_bells_only_while_somebody_listens() -> None:
    signals = Signals()

    async def look() -> bool:
        return False

    for _ in range(3):
        await signals.wait_for_events("wo-1", SOON, look)
        await signals.wait_for_cancel("wo-1", SOON, look)
    assert not signals._events
    assert not signals._cancels


@pytest.mark.parametrize(
    ("heard", "looks"),
    [
        ([], 1),  # another process gave it out
        ([News(claims={"wo-1"})], 0),
        ([News(claims={"wo-1"}), News(cancels={"wo-1"})], 1),
        ([News(claims={"wo-2"})], 1),
    ],
)
async def test_a_cancel_is_looked_for_unless_the_claim_was_just_given_here(heard: list[News], looks: int) -> None:
    signals, looked = Signals(), 0

    async def look() -> bool:
        nonlocal looked
        looked += 1
        return True

    for news in heard:
        signals.hear(news)
    await signals.wait_for_cancel("wo-1", SOON, look)
    assert looked == looks
    await signals.wait_for_cancel("wo-1", SOON, look)
    assert looked == looks + 1
