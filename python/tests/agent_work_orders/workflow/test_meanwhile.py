"""Two things at once: both are over at the end, and a failure of either comes out bare."""

import anyio
import pytest

from src.agent_work_orders.domain.errors import FailureClass, LostLease, StepFailed
from src.agent_work_orders.workflow.meanwhile import meanwhile

pytestmark = pytest.mark.anyio

FULL = StepFailed(FailureClass.DISK, "The disk is full.", next_action="Make room.")


async def test_the_block_ends_when_both_are_done() -> None:
    done: list[str] = []
    both = anyio.Event()

    async def act() -> None:
        await both.wait()
        done.append("act")

    async with meanwhile(act):
        done.append("block")
        both.set()
    assert done == ["block", "act"]


async def test_a_failure_beside_the_block_ends_it_and_is_raised_as_it_is() -> None:
    async def act() -> None:
        raise FULL

    with pytest.raises(StepFailed) as caught:
        async with meanwhile(act):
            await anyio.sleep_forever()
    assert caught.value is FULL


async def test_a_failure_of_the_block_ends_what_is_beside_it() -> None:
    ended = False

    async def act() -> None:
        nonlocal ended
        try:
            await anyio.sleep_forever()
        finally:
            ended = True

    async def lose() -> None:
        async with meanwhile(act):
            await anyio.lowlevel.checkpoint()
            raise LostLease("Somebody else has it.")

    with pytest.raises(LostLease):
        await lose()
    assert ended


async def test_who_is_cancelled_from_outside_leaves_nothing_running() -> None:
    ended = anyio.Event()

    async def act() -> None:
        try:
            await anyio.sleep_forever()
        finally:
            ended.set()

    with anyio.CancelScope() as outside:
        async with meanwhile(act):
            await anyio.lowlevel.checkpoint()
            outside.cancel()
            await anyio.sleep_forever()
    assert outside.cancelled_caught
    assert ended.is_set()
