"""Who went silent, and who is known to be dead, loses its orders; nobody else does."""

from collections.abc import Iterable
from datetime import timedelta

import anyio
import pytest

from src.agent_work_orders.domain.status import Status
from src.agent_work_orders.worker.reaper import Reaper

from ..fakes import Bench

pytestmark = pytest.mark.anyio


def nobody(worker_ids: Iterable[str]) -> list[str]:
    return []


async def test_an_expired_lease_is_taken_back_and_a_living_one_is_not(
    bench: Bench, caplog: pytest.LogCaptureFixture
) -> None:
    silent, living = await bench.file(), await bench.file()
    await bench.claim("silent")
    bench.clock.ahead = bench.limits.lease + timedelta(seconds=1)
    await bench.claim("living")
    await Reaper(bench.tools, nobody).reap()
    assert ((await bench.order(silent)).status, (await bench.order(silent)).attempt) == (Status.PENDING, 2)
    assert (await bench.order(living)).status is Status.RUNNING
    assert f"{silent} taken back from silent: pending" in caplog.text


async def test_the_orders_of_a_dead_process_are_taken_back_before_their_lease_runs_out(bench: Bench) -> None:
    await bench.file()
    await bench.file()
    dead, living = await bench.claim("dead"), await bench.claim("living")
    asked: list[set[str]] = []

    def dead_among(worker_ids: Iterable[str]) -> list[str]:
        asked.append(set(worker_ids))
        return ["dead"]

    await Reaper(bench.tools, dead_among).reap()
    assert asked == [{"dead", "living"}]
    assert (await bench.order(dead.order_id)).status is Status.PENDING
    assert (await bench.order(living.order_id)).status is Status.RUNNING


async def test_where_nothing_runs_nothing_is_asked_for(bench: Bench) -> None:
    await bench.file()
    await Reaper(bench.tools, nobody).reap()
    assert "reap" not in bench.store.calls


async def test_a_store_that_is_away_is_no_end_of_reaping(bench: Bench, caplog: pytest.LogCaptureFixture) -> None:
    await bench.file()
    await bench.claim("silent")
    bench.clock.ahead = bench.limits.lease + timedelta(seconds=1)
    bench.store.away = lambda name: bench.store.calls.count("counts") == 1
    reaper = Reaper(bench.tools, nobody)
    await reaper.reap()
    assert "Nothing can be reaped: The database is away." in caplog.text
    await reaper.reap()
    assert (await bench.store.counts()).leases == ()


async def test_it_reaps_when_the_server_starts(bench: Bench) -> None:
    order_id = await bench.file()
    await bench.claim("dead")
    async with anyio.create_task_group() as group:
        group.start_soon(Reaper(bench.tools, lambda worker_ids: list(worker_ids)).run)
        with anyio.fail_after(5):
            while (await bench.order(order_id)).status is not Status.PENDING:  # noqa: ASYNC110 - no event tells of it
                await anyio.sleep(0.005)  # fact: the order was taken back
        group.cancel_scope.cancel()
