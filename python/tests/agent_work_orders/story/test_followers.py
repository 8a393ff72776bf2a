"""Many who watch one order over the network."""

import anyio
import httpx
import pytest

from src.agent_work_orders.rehearsal import Stage

from .archon import Archon, Event, Order, events_in
from .conftest import Play
from .remote import Remote
from .scripts import bash, executing, says

FOLLOWERS = 200


@pytest.mark.anyio
async def test_two_hundred_followers_of_one_order_all_see_every_event(
    archon: Archon, stage: Stage, play: Play, remote: Remote
) -> None:
    gate = f"followed-{remote.name}"
    play(
        executing(says("Wait for all."), request="never"),
        executing(bash("echo hello > hello.txt", gate=gate), says("Done.")),
    )
    order = archon.file(remote.url)
    seen: list[list[Event]] = []
    here = 0
    limits = httpx.Limits(max_connections=FOLLOWERS)
    async with httpx.AsyncClient(base_url=str(archon.client.base_url), limits=limits, timeout=60) as client:

        async def follow() -> None:
            nonlocal here
            async with client.stream("GET", f"/work-orders/{order.id}/events/stream") as stream:
                here += 1
                if here == FOLLOWERS:
                    stage.model.release(gate)  # half of the story is told while they watch
                seen.append(list(events_in(iter([line async for line in stream.aiter_lines()]))))

        async with anyio.create_task_group() as followers:
            for _ in range(FOLLOWERS):
                followers.start_soon(follow)

    whole = await anyio.to_thread.run_sync(Order.events, order)
    assert len(seen) == FOLLOWERS
    assert all(one == whole for one in seen)
    assert order.now()["status"] == "completed"
