"""The right to go on: renewed, lost, given back, and what a store that is away means for it."""

from datetime import timedelta
from pathlib import Path

import anyio
import anyio.lowlevel
import pytest

from src.agent_work_orders.domain.status import Status
from src.agent_work_orders.domain.work_order import Renewal
from src.agent_work_orders.workflow import lease as lease_module
from src.agent_work_orders.workflow.lease import Ending, Hold, keep_lease, patiently
from src.agent_work_orders.workflow.run import run_work_order

from ..fakes import Bench, Hang, nothing, open_bench, writes

pytestmark = pytest.mark.anyio


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Renews every hundredth of a second."""
    monkeypatch.setattr(lease_module, "RENEW_AT_MOST", timedelta(seconds=0.01))


@pytest.mark.usefixtures("quick")
async def test_a_lease_is_renewed_as_long_as_the_block_lasts(bench: Bench) -> None:
    await bench.file()
    claim = await bench.claim()
    bench.clock.ahead = timedelta(seconds=20)
    async with keep_lease(claim, bench.tools, bench.stopping) as hold:
        while bench.store.calls.count("renew") < 3:
            await anyio.lowlevel.checkpoint()
        assert hold.ending is None
    (lease,) = (await bench.store.counts()).leases
    assert lease[2] - claim.lease_expires_at > timedelta(seconds=19)
    bench.store.calls.clear()
    await anyio.wait_all_tasks_blocked()
    assert bench.store.calls == []


@pytest.mark.usefixtures("quick")
async def test_what_was_written_renewed_the_lease_and_no_renewal_is_asked_for(bench: Bench) -> None:
    await bench.file()
    claim = await bench.claim()
    waits: list[timedelta] = []
    again, original = anyio.Event(), bench.store.wait_for_cancel

    async def wait_for_cancel(order_id: str, at_most: timedelta) -> None:
        waits.append(at_most)
        if len(waits) > 1:
            again.set()
            await anyio.sleep_forever()
        # As a write that began in the meantime would: it holds for longer than this wait takes.
        hold.renewed(anyio.current_time() + 100, Renewal(claim.lease_expires_at, cancel_requested=False))
        await original(order_id, at_most)

    bench.store.wait_for_cancel = wait_for_cancel  # type: ignore[attr-defined]  # found before __getattr__ is asked
    async with keep_lease(claim, bench.tools, bench.stopping) as hold:
        await again.wait()
        assert waits[1] > timedelta(seconds=90)
        assert "renew" not in bench.store.calls


@pytest.mark.usefixtures("quick")
async def test_a_lost_lease_ends_the_work_and_the_last_words(bench: Bench) -> None:
    await bench.file()
    claim = await bench.claim()
    async with keep_lease(claim, bench.tools, bench.stopping) as hold:
        await bench.store.reap(10, [claim.worker_id])
        with hold.scope:
            await anyio.sleep_forever()
        assert hold.ending is Ending.LOST
        with hold.last_words:
            await anyio.sleep_forever()
        assert hold.last_words.cancelled_caught


@pytest.mark.usefixtures("quick")
async def test_a_cancel_is_seen_at_once_and_the_lease_is_renewed_on(bench: Bench) -> None:
    order_id = await bench.file()
    claim = await bench.claim()
    async with keep_lease(claim, bench.tools, bench.stopping) as hold:
        await bench.store.cancel(order_id)
        with hold.scope:
            await anyio.sleep_forever()
        assert hold.ending is Ending.CANCELLED
        seen = bench.store.calls.count("renew")
        with hold.last_words:
            while bench.store.calls.count("renew") < seen + 2:
                await anyio.lowlevel.checkpoint()
        assert not hold.last_words.cancelled_caught


async def test_a_cancel_that_was_seen_does_not_keep_the_processor_busy(bench: Bench) -> None:
    order_id = await bench.file()
    claim = await bench.claim()
    await bench.store.cancel(order_id)
    async with keep_lease(claim, bench.tools, bench.stopping) as hold:
        with hold.scope:
            await anyio.sleep_forever()
        asked = len(bench.store.calls)
        with anyio.move_on_after(0.3):
            await anyio.sleep_forever()
        assert len(bench.store.calls) == asked  # the next renewal is seconds away, although the cancel is still there


async def test_a_stop_gives_the_last_words_a_deadline(bench: Bench) -> None:
    await bench.file()
    claim = await bench.claim()
    async with keep_lease(claim, bench.tools, bench.stopping) as hold:
        bench.stopping.set()
        with hold.scope:
            await anyio.sleep_forever()
        assert hold.ending is Ending.RELEASED
        assert 0 < hold.last_words.deadline - anyio.current_time() <= lease_module.LAST_WORDS_WITHIN.total_seconds()


async def test_a_lost_lease_overrules_and_nothing_overrules_it() -> None:
    hold = Hold()
    endings = []
    for ending in (Ending.RELEASED, Ending.CANCELLED, Ending.LOST, Ending.CANCELLED):
        hold.end(ending)
        endings.append(hold.ending)
    assert endings == [Ending.RELEASED, Ending.RELEASED, Ending.LOST, Ending.LOST]


async def test_what_was_let_go_cannot_be_lost() -> None:
    hold = Hold()
    hold.let_go()
    hold.end(Ending.LOST)
    assert hold.ending is None
    assert not hold.last_words.cancel_called


@pytest.mark.usefixtures("quick")
async def test_a_store_that_is_away_for_a_while_ends_nothing(bench: Bench) -> None:
    await bench.file()
    claim = await bench.claim()
    bench.store.away = lambda name: name in ("renew", "wait_for_cancel")
    async with keep_lease(claim, bench.tools, bench.stopping) as hold:
        await bench.store.refused.wait()
        bench.store.away = lambda name: False
        while "renew" not in bench.store.calls:
            await anyio.lowlevel.checkpoint()
        assert hold.ending is None


@pytest.mark.parametrize("call", ["renew", "wait_for_cancel"])
async def test_a_store_that_stays_away_ends_the_run_before_the_lease_runs_out(tmp_path: Path, call: str) -> None:
    async with open_bench(tmp_path, lease=timedelta(seconds=0.6)) as bench:
        await bench.file()
        claim = await bench.claim()
        bench.store.away = lambda name: name == call
        began = anyio.current_time()
        async with keep_lease(claim, bench.tools, bench.stopping) as hold:
            with hold.scope:
                await anyio.sleep_forever()
            assert hold.ending is Ending.LOST
        assert 0.4 <= anyio.current_time() - began < 1.5


async def test_a_store_that_does_not_answer_at_all_ends_the_run_too(tmp_path: Path) -> None:
    async with open_bench(tmp_path, lease=timedelta(seconds=0.6)) as bench:
        await bench.file()
        claim = await bench.claim()
        hang = Hang()
        bench.store.renew = lambda *ignored: hang()  # type: ignore[attr-defined]  # found before __getattr__ is asked
        async with keep_lease(claim, bench.tools, bench.stopping) as hold:
            with hold.scope:
                await anyio.sleep_forever()
            assert hold.ending is Ending.LOST


async def test_a_call_is_repeated_until_the_store_is_back(bench: Bench) -> None:
    order_id = await bench.file()
    bench.store.away = lambda name: bench.store.calls.count("get") < 3
    found = await patiently(lambda: bench.store.get(order_id))
    assert found.agent_work_order_id == order_id
    assert bench.store.calls.count("get") == 3


# --- whole runs ---

WRITES = ["write", "finish"]


@pytest.mark.parametrize("call", WRITES)
async def test_a_store_that_is_away_once_at_any_call_changes_nothing_in_the_end(bench: Bench, call: str) -> None:
    order_id = await bench.file(workflow_type="quick_fix")
    bench.store.away = lambda name: name == call and bench.store.calls.count(call) == 1
    await bench.run()
    order = await bench.order(order_id)
    assert order.status is Status.COMPLETED
    assert [step.status for step in await bench.steps(order_id)] == ["completed"] * 5
    assert [event.seq for event in await bench.events(order_id)] == list(range(1, order.last_seq + 1))


@pytest.mark.parametrize("call", WRITES)
async def test_a_reply_that_is_lost_at_any_write_changes_nothing_in_the_end(bench: Bench, call: str) -> None:
    bench.store.lost_replies = {call}
    order_id = await bench.file(workflow_type="quick_fix")
    await bench.run()
    order = await bench.order(order_id)
    assert (order.status, order.cost_usd) == (Status.COMPLETED, 0.25)
    assert len(await bench.payloads(order_id, "step_started")) == 5
    assert len(await bench.payloads(order_id, "order_finished")) == 1
    assert [event.seq for event in await bench.events(order_id)] == list(range(1, order.last_seq + 1))
    assert (await bench.order(order_id)).agent_session_id == "session-1"


async def test_replies_lost_at_a_wait_and_at_a_release_leave_the_order_where_it_was_put(bench: Bench) -> None:
    order_id = await bench.file()
    bench.stopping.set()
    bench.store.lost_replies = {"release"}
    await bench.run()
    assert (await bench.order(order_id)).status is Status.PENDING


@pytest.mark.usefixtures("quick")
async def test_a_run_that_lost_its_lease_stops_its_agent_and_writes_nothing_more(bench: Bench) -> None:
    hang = Hang()
    bench.agent.script = [hang]
    order_id = await bench.file(workflow_type="plan_only")
    claim = await bench.claim("w1")
    async with anyio.create_task_group() as group:
        group.start_soon(run_work_order, claim, bench.tools, bench.stopping)
        await hang.reached.wait()
        await bench.store.reap(10, ["w1"])
        taken = await bench.claim("w2")
    assert bench.agent.running == 0
    order = await bench.order(order_id)
    assert (order.status, order.worker_id, order.attempt) == (Status.RUNNING, "w2", 2)
    assert order.last_seq == taken.order.last_seq


async def test_a_lease_lost_while_the_end_is_written_down_ends_the_run(bench: Bench) -> None:
    order_id = await bench.file(workflow_type="plan_only")
    claim = await bench.claim("w1")

    async def lose() -> None:
        await bench.store.reap(10, ["w1"])

    bench.agent.script = [nothing]
    original = bench.agent.run

    async def run_and_lose(*turn: object) -> object:
        result = await original(*turn)  # type: ignore[arg-type]  # handed through
        await lose()
        return result

    bench.agent.run = run_and_lose  # type: ignore[method-assign,assignment]  # the same, with an end of its own
    with anyio.fail_after(5):
        await run_work_order(claim, bench.tools, bench.stopping)
    assert (await bench.order(order_id)).status is Status.PENDING


async def test_a_store_that_is_away_for_good_does_not_hold_up_the_stop_of_the_server(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lease_module, "LAST_WORDS_WITHIN", timedelta(seconds=0.3))
    hang = Hang()
    bench.agent.script = [hang]
    order_id = await bench.file(workflow_type="plan_only")
    claim = await bench.claim()
    with anyio.fail_after(5):
        async with anyio.create_task_group() as group:
            group.start_soon(run_work_order, claim, bench.tools, bench.stopping)
            await hang.reached.wait()
            bench.store.away = lambda name: True
            bench.stopping.set()
    bench.store.away = lambda name: False
    assert (
        await bench.order(order_id)
    ).status is Status.RUNNING  # until its lease runs out, or its worker is known dead
    assert bench.agent.running == 0


async def test_a_run_that_is_itself_cancelled_while_it_gives_back_its_claim_ends(bench: Bench) -> None:
    hang, stuck = Hang(), Hang()
    bench.agent.script = [hang]
    await bench.file(workflow_type="plan_only")
    claim = await bench.claim()
    with anyio.fail_after(5):
        async with anyio.create_task_group() as group:
            group.start_soon(run_work_order, claim, bench.tools, bench.stopping)
            await hang.reached.wait()
            bench.store.write = lambda *ignored: stuck()  # type: ignore[attr-defined]  # found before __getattr__
            bench.stopping.set()
            await stuck.reached.wait()
            group.cancel_scope.cancel()


async def test_a_session_is_recorded_while_its_turn_still_runs(bench: Bench) -> None:
    hang = Hang()
    bench.agent.script = [hang]
    order_id = await bench.file(workflow_type="plan_only")
    claim = await bench.claim()
    async with anyio.create_task_group() as group:
        group.start_soon(run_work_order, claim, bench.tools, bench.stopping)
        await hang.reached.wait()
        while (await bench.order(order_id)).agent_session_id is None:
            await anyio.lowlevel.checkpoint()
        bench.stopping.set()
    assert (await bench.order(order_id)).agent_session_id == "session-1"


async def test_two_runs_at_once_do_not_meet(bench: Bench) -> None:
    bench.agent.script = [writes(a_txt="a\n")]
    ids = [await bench.file(workflow_type="quick_fix") for _ in range(3)]
    async with anyio.create_task_group() as group:
        for number in range(3):
            group.start_soon(run_work_order, await bench.claim(f"w{number}"), bench.tools, bench.stopping)
    for order_id in ids:
        order = await bench.order(order_id)
        assert order.status is Status.COMPLETED
        assert [event.seq for event in await bench.events(order_id)] == list(range(1, order.last_seq + 1))
