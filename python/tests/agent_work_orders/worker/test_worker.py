"""Claims, slots, parking and stopping: one worker on a real store, with fakes for git and the agent."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import timedelta
from itertools import pairwise

import anyio
import anyio.lowlevel
import pytest

from src.agent_work_orders.domain.errors import FailureClass
from src.agent_work_orders.domain.repository import HostPolicy, Repository, parse_repository_url
from src.agent_work_orders.domain.status import Status
from src.agent_work_orders.ports import AgentFailure, AgentTurn
from src.agent_work_orders.worker import worker as worker_module
from src.agent_work_orders.worker.worker import Worker
from src.agent_work_orders.workflow import lease as lease_module

from ..fakes import Bench, Hang, Tell, nothing, raises, writes

pytestmark = pytest.mark.anyio


@asynccontextmanager
async def working(bench: Bench) -> AsyncIterator[Worker]:
    """A worker that works while the block lasts, and is stopped then."""
    worker = Worker(bench.tools, "w1", bench.clock)
    with anyio.fail_after(30):
        async with anyio.create_task_group() as group:
            group.start_soon(worker.run, bench.stopping)
            yield worker
            bench.stopping.set()


async def until(fact: Callable[[], Awaitable[bool]]) -> None:
    while not await fact():  # noqa: ASYNC110 - no event tells of a fact in the database
        await anyio.sleep(0.005)  # fact: what is asked for has come true


def has_ended(bench: Bench, *order_ids: str) -> Callable[[], Awaitable[bool]]:
    async def look() -> bool:
        return all([(await bench.order(order_id)).status.is_terminal for order_id in order_ids])

    return look


def has_started(bench: Bench, turns: int) -> Callable[[], Awaitable[bool]]:
    async def look() -> bool:
        return len(bench.agent.turns) == turns

    return look


async def test_it_runs_what_is_filed_and_what_is_filed_later(bench: Bench) -> None:
    bench.agent.script = [writes(a_txt="a\n")]
    first = await bench.file(workflow_type="quick_fix")
    async with working(bench) as worker:
        await until(has_ended(bench, first))
        second = await bench.file(workflow_type="quick_fix")
        await until(has_ended(bench, second))
    assert {(await bench.order(order_id)).status for order_id in (first, second)} == {Status.COMPLETED}
    assert worker.busy == 0


async def test_it_runs_as_many_at_once_as_it_has_slots_and_hears_of_more(bench: Bench) -> None:
    bench.limits = replace(bench.limits, slots=2)
    bench.agent.script = [Hang()]
    for _ in range(4):
        await bench.file(workflow_type="plan_only")
    async with working(bench) as worker:
        await until(has_started(bench, 2))
        assert worker.busy == 2
        assert (await bench.store.counts()).by_status[Status.PENDING] == 2
        bench.limits = replace(bench.limits, slots=3)
        await until(has_started(bench, 3))
        assert (await bench.store.counts()).by_status[Status.PENDING] == 1
    assert len(bench.agent.turns) == 3


async def test_a_slot_that_is_freed_is_filled_at_once(bench: Bench) -> None:
    bench.limits = replace(bench.limits, slots=1)
    bench.agent.script = [nothing]
    ids = [await bench.file(workflow_type="plan_only") for _ in range(6)]
    began = anyio.current_time()
    async with working(bench):
        await until(has_ended(bench, *ids))
        assert anyio.current_time() - began < 5 * worker_module.POLL  # each within its poll would take longer


async def test_the_limit_of_a_repository_is_handed_to_the_store(bench: Bench) -> None:
    bench.limits = replace(bench.limits, per_repository=1)
    bench.agent.script = [Hang()]
    await bench.file(workflow_type="plan_only")
    await bench.file(workflow_type="plan_only")
    await bench.file(workflow_type="plan_only", repository_url="https://github.com/owner/other")
    async with working(bench):
        await until(has_started(bench, 2))
        assert (await bench.store.counts()).by_status[Status.PENDING] == 1


async def test_nobody_asks_for_more_where_the_last_order_was_given(bench: Bench) -> None:
    bench.agent.script = [Hang()]
    for _ in range(2):
        await bench.file(workflow_type="plan_only")
    async with working(bench):
        await until(has_started(bench, 2))
        assert bench.store.calls.count("claim") == 2
        await bench.file(workflow_type="plan_only")
        await until(has_started(bench, 3))


async def test_a_slot_is_free_as_soon_as_the_end_is_written_down(bench: Bench) -> None:
    bench.limits = replace(bench.limits, slots=1)
    bench.agent.script = [nothing, Hang()]
    first = await bench.file(workflow_type="plan_only")
    await bench.file(workflow_type="plan_only")
    papers = anyio.Event()
    bench.store.before["artifacts"] = papers.wait
    async with working(bench) as worker:
        await until(has_started(bench, 2))
        assert (await bench.order(first)).status is Status.COMPLETED
        assert worker.busy == 1
        papers.set()


async def test_an_idle_worker_hardly_asks(bench: Bench) -> None:
    async with working(bench):
        with anyio.move_on_after(0.5):
            await anyio.sleep_forever()
        assert bench.store.calls.count("claim") <= 2


async def test_a_stop_gives_every_claim_back_within_seconds(bench: Bench) -> None:
    bench.agent.script = [Hang()]
    ids = [await bench.file(workflow_type="plan_only") for _ in range(3)]
    async with working(bench):
        await until(has_started(bench, 3))
        began = anyio.current_time()
    assert anyio.current_time() - began < 5
    assert bench.agent.running == 0
    orders = [await bench.order(order_id) for order_id in ids]
    assert {(order.status, order.attempt, order.worker_id) for order in orders} == {(Status.PENDING, 1, None)}


async def test_a_stop_is_not_held_up_by_a_store_that_is_away(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lease_module, "LAST_WORDS_WITHIN", timedelta(seconds=0.2))
    bench.agent.script = [Hang()]
    await bench.file(workflow_type="plan_only")
    async with working(bench):
        await until(has_started(bench, 1))
        bench.store.away = lambda name: True
        began = anyio.current_time()
    assert anyio.current_time() - began < 3
    assert bench.agent.running == 0


async def test_a_run_that_does_not_end_by_itself_is_cancelled(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(worker_module, "STOP_WITHIN", 0.2)
    stuck = Hang()
    bench.store.release = lambda *ignored: stuck()  # type: ignore[attr-defined]  # found before __getattr__ is asked
    monkeypatch.setattr(lease_module, "LAST_WORDS_WITHIN", timedelta(seconds=0.5))
    bench.agent.script = [Hang()]
    await bench.file(workflow_type="plan_only")
    async with working(bench):
        await until(has_started(bench, 1))
    assert stuck.reached.is_set()


async def test_an_idle_worker_stops_at_once(bench: Bench) -> None:
    async with working(bench):
        await anyio.lowlevel.checkpoint()
        began = anyio.current_time()
    assert anyio.current_time() - began < worker_module.POLL


# --- trouble ---


async def test_a_bug_in_one_run_ends_that_run_alone_and_is_recorded(
    bench: Bench, caplog: pytest.LogCaptureFixture
) -> None:
    bench.agent.script = [raises(ZeroDivisionError("near a-github-token-1234")), nothing]
    crashed = await bench.file(workflow_type="plan_only", priority=0)
    async with working(bench) as worker:
        await until(has_ended(bench, crashed))
        fine = await bench.file(workflow_type="plan_only")
        await until(has_ended(bench, fine))
    assert worker.busy == 0
    order = await bench.order(crashed)
    assert (order.status, order.failure_class) == (Status.FAILED, FailureClass.INTERNAL)
    assert "the server's log has it" in (order.error_message or "")
    assert await bench.outcomes(crashed) == {"planning": "failed"}
    assert (await bench.order(fine)).status is Status.COMPLETED
    assert "ZeroDivisionError" in caplog.text
    assert "a-github-token-1234" not in caplog.text


async def test_a_bug_in_an_order_that_is_somebody_elses_by_now_is_only_logged(
    bench: Bench, caplog: pytest.LogCaptureFixture
) -> None:
    async def lose_and_crash(turn: AgentTurn, tell: Tell) -> None:
        await bench.store.reap(10, ["w1"])
        bench.limits = replace(bench.limits, slots=1)
        bench.stopping.set()
        raise ZeroDivisionError

    bench.agent.script = [lose_and_crash]
    order_id = await bench.file(workflow_type="plan_only")
    async with working(bench):
        await bench.stopping.wait()
    order = await bench.order(order_id)
    assert (order.status, order.attempt) == (Status.PENDING, 2)
    assert "could not be recorded as failed" in caplog.text


async def test_an_order_whose_repository_is_no_longer_allowed_fails_and_says_so(bench: Bench) -> None:
    order_id = await bench.file(workflow_type="plan_only")

    def refuse(url: str) -> Repository:
        return parse_repository_url(url, HostPolicy(frozenset({"git.corp"})))

    bench.tools = replace(bench.tools, repository=refuse)
    async with working(bench):
        await until(has_ended(bench, order_id))
    order = await bench.order(order_id)
    assert (order.status, order.failure_class) == (Status.FAILED, FailureClass.POLICY)
    assert "repository_url is on the host github.com, which is not allowed" in (order.error_message or "")


async def test_a_store_that_is_away_is_asked_again_more_and_more_slowly(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(worker_module, "POLL", 0.02)
    bench.agent.script = [nothing]
    order_id = await bench.file(workflow_type="plan_only")
    asked_at: list[float] = []

    def away(name: str) -> bool:
        if name == "claim":
            asked_at.append(anyio.current_time())
        return name == "claim" and len(asked_at) <= 4

    bench.store.away = away
    async with working(bench):
        await until(has_ended(bench, order_id))
    pauses = [after - before for before, after in pairwise(asked_at[:5])]
    assert [pause >= least for pause, least in zip(pauses, (0.02, 0.04, 0.08, 0.16), strict=True)] == [True] * 4
    assert caplog.text.count("No work can be claimed") == 4


async def test_a_claim_whose_reply_was_lost_is_found_again(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(worker_module, "POLL", 0.02)
    bench.agent.script = [nothing]
    bench.store.lost_replies = {"claim"}
    order_id = await bench.file(workflow_type="plan_only")
    async with working(bench):
        await until(has_ended(bench, order_id))
    order = await bench.order(order_id)
    assert (order.status, order.attempt) == (Status.COMPLETED, 1)
    assert len(await bench.payloads(order_id, "order_claimed")) == 1


async def test_a_used_up_account_parks_all_orders_of_this_server(bench: Bench) -> None:
    bench.limits = replace(bench.limits, slots=1)
    bench.agent.script = [nothing]
    bench.agent.failures = {0: AgentFailure(FailureClass.LIMIT, "Used up.", "Wait.")}
    first = await bench.file(workflow_type="plan_only", priority=0)
    second = await bench.file(workflow_type="plan_only")
    async with working(bench):

        async def is_waiting() -> bool:
            return (await bench.order(first)).status is Status.WAITING

        await until(is_waiting)
        claims = bench.store.calls.count("claim")
        with anyio.move_on_after(worker_module.POLL * 1.5):
            await anyio.sleep_forever()
        assert bench.store.calls.count("claim") == claims
        assert (await bench.order(second)).status is Status.PENDING
        bench.clock.ahead = timedelta(minutes=2)
        await until(has_ended(bench, first, second))
    assert len(bench.agent.turns) == 3
