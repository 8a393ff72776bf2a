"""The run's side of the journal: order, batches, cuts, secrets, and a store that is away."""

import json
from datetime import timedelta
from typing import Any

import anyio
import anyio.lowlevel
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from src.agent_work_orders.domain.errors import LostLease, SequenceGap
from src.agent_work_orders.domain.events import MAX_BODY_BYTES, AgentSpoke, CheckRun, ToolReturned, ToolUsed
from src.agent_work_orders.domain.status import StepStatus
from src.agent_work_orders.domain.work_order import Artifact, Claim, OrderChanges, StepResult
from src.agent_work_orders.ports import Batch, StepStart
from src.agent_work_orders.workflow import journal as journal_module
from src.agent_work_orders.workflow import spool as spool_module
from src.agent_work_orders.workflow.journal import BATCH, Journal, keep_journal
from src.agent_work_orders.workflow.lease import Ending, Hold
from src.agent_work_orders.workflow.run import run_work_order

from ..fakes import Bench, Hang

pytestmark = pytest.mark.anyio
SECRET = "a-github-token-1234"


async def told(bench: Bench, *payloads: Any, artifact_id: str | None = None) -> list[dict[str, Any]]:
    """What stands in the journal after these were told."""
    order_id = await bench.file()
    async with keep_journal(await bench.claim(), bench.tools) as journal:
        for payload in payloads:
            journal.tell(payload, 3, artifact_id)
        await journal.flush()
    events = await bench.events(order_id)
    assert [event.seq for event in events] == list(range(1, len(events) + 1))
    mine = events[2:]
    assert {event.step_order for event in mine} <= {3}
    assert all(len(event.payload.encode()) <= MAX_BODY_BYTES for event in mine)
    return [json.loads(event.payload) for event in mine]


async def test_events_come_in_the_order_they_were_told_in_few_batches(bench: Bench) -> None:
    found = await told(bench, *(AgentSpoke(text=str(number)) for number in range(2 * BATCH + 1)))
    assert [event["text"] for event in found] == [str(number) for number in range(2 * BATCH + 1)]
    assert bench.store.calls.count("write") == 3


async def test_what_is_told_while_a_batch_is_written_goes_into_the_next(bench: Bench) -> None:
    order_id = await bench.file()
    async with keep_journal(await bench.claim(), bench.tools) as journal:
        for number in range(200):
            journal.tell(AgentSpoke(text=str(number)))
            if number % 7 == 0:
                await anyio.lowlevel.checkpoint()
        await journal.flush()
        await journal.flush()  # nothing to do, and it says so
        journal.tell(AgentSpoke(text="200"))
        await journal.flush()
    said = [payload["text"] for payload in await bench.payloads(order_id, "agent_spoke")]
    assert said == [str(number) for number in range(201)]


async def test_a_store_that_prefers_large_batches_gets_them(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(type(bench.store), "append_delay", timedelta(milliseconds=50), raising=False)
    order_id = await bench.file()
    async with keep_journal(await bench.claim(), bench.tools) as journal:
        for number in range(10):
            journal.tell(AgentSpoke(text=str(number)))
            await anyio.lowlevel.checkpoint()
        await journal.flush()
    assert bench.store.calls.count("write") == 1
    assert len(await bench.payloads(order_id, "agent_spoke")) == 10


# --- cuts ---


async def test_a_long_text_keeps_both_ends_and_names_the_artifact_of_the_whole(bench: Bench) -> None:
    text = "begin " + "x" * 50_000 + " end"
    (found,) = await told(bench, ToolReturned(tool_use_id="t", output=text, is_error=False), artifact_id="outputs-1")
    assert found["output"].startswith("begin x")
    assert found["output"].endswith("x end")
    assert "characters left out" in found["output"]
    assert (found["artifact_id"], found["tool_use_id"]) == ("outputs-1", "t")
    assert len(found["output"]) > 14_000


async def test_a_text_within_the_bound_is_not_touched(bench: Bench) -> None:
    text = "x" * (MAX_BODY_BYTES - 60)
    assert (await told(bench, AgentSpoke(text=text)))[0]["text"] == text


async def test_the_bound_is_bytes_and_not_characters(bench: Bench) -> None:
    (found,) = await told(bench, AgentSpoke(text="€" * 10_000))
    assert "characters left out" in found["text"]


async def test_evidence_that_is_cut_keeps_the_artifact_it_names_and_stays_evidence(bench: Bench) -> None:
    evidence = CheckRun(
        command="make test", source="Makefile", exit_code=1, passed=False, duration_seconds=1.0, commit="c" * 40,
        output_tail="\x1b" * 9_000, repair_round=0, artifact_id="outputs-check.log",
    )  # fmt: skip
    (found,) = await told(bench, evidence)
    read = CheckRun.model_validate(found)
    assert (read.artifact_id, read.commit, read.passed) == ("outputs-check.log", "c" * 40, False)


HUGE: list[Any] = [
    {f"key {number}": "v" * 100 for number in range(5_000)},
    ["x" * 20_000] * 500,
    {"k" * 100_000: 1},
    [[[["y" * 3_000] * 30] * 30] * 3],
    {"a": {"b": ["z" * 9_000, {"c": "z" * 9_000}]}},
    list(range(100_000)),
]


@pytest.mark.parametrize("value", HUGE, ids=["keys", "texts", "key", "nested", "deep", "numbers"])
async def test_no_input_of_a_tool_makes_an_event_too_long(bench: Bench, value: Any) -> None:
    (found,) = await told(bench, ToolUsed(tool_use_id="t", tool="Write", input=value), artifact_id="whole")
    assert (found["tool"], found["artifact_id"]) == ("Write", "whole")


async def test_an_input_nested_too_deeply_for_any_serialiser_is_left_out(bench: Bench) -> None:
    value: Any = "bottom"
    for _ in range(500):
        value = [value]
    (found,) = await told(bench, ToolUsed(tool_use_id="t", tool="Write", input=value))
    assert found["input"] == journal_module.LEFT_OUT


# --- secrets ---


async def test_a_secret_that_the_cut_would_go_through_is_hidden_first(bench: Bench) -> None:
    for offset in range(0, 40, 3):
        text = "x" * (7_500 - offset) + SECRET + "y" * 40_000
        (found,) = await told(bench, AgentSpoke(text=text))
        assert not any(SECRET[start : start + 6] in found["text"] for start in range(len(SECRET) - 5))


async def test_a_secret_is_hidden_in_every_part_of_an_event_which_stays_json(bench: Bench) -> None:
    bench.tools.redactor.register("87654321")
    found = await told(
        bench,
        AgentSpoke(text="nothing"),
        ToolUsed(tool_use_id="t", tool="Bash", input={SECRET: [f"curl -H {SECRET}", 87654321], "ok": True}),
        AgentSpoke(text="TOKEN:\nghp_" + "a1B2" * 9),
    )
    assert found[0]["text"] == "nothing"
    assert found[1]["input"] == {"[REDACTED]": ["curl -H [REDACTED]", "[REDACTED]"], "ok": True}
    assert found[2]["text"] == "TOKEN:\n[REDACTED]"


async def test_the_log_shows_what_happened_and_neither_chatter_nor_secrets(
    bench: Bench, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", logger="archon.awo")
    evidence = CheckRun(
        command=f"curl {SECRET}", source="s", exit_code=0, passed=True, duration_seconds=1.0, commit="c",
        output_tail="", repair_round=0,
    )  # fmt: skip
    await told(bench, AgentSpoke(text="chatter"), evidence)
    assert "check_run" in caplog.text
    assert "chatter" not in caplog.text
    assert SECRET not in caplog.text


@given(
    st.recursive(
        st.one_of(st.none(), st.booleans(), st.integers(), st.text(max_size=30), st.just("x" * 9_000)),
        lambda inner: st.one_of(st.lists(inner, max_size=5), st.dictionaries(st.text(max_size=9), inner, max_size=5)),
        max_leaves=20,
    )
)
@settings(deadline=None, max_examples=60)
def test_the_cut_of_anything_is_smaller_json(value: Any) -> None:
    for longest in (15_000, 500, 120):
        cut = json.dumps(journal_module._cut(value, longest))
        assert len(cut) <= len(json.dumps(value)) + 60 * cut.count("left out")


# --- a store that is away, a lease that is lost ---


async def test_events_wait_while_the_store_is_away_and_are_written_once(bench: Bench) -> None:
    order_id = await bench.file()
    claim = await bench.claim()
    bench.store.away = lambda name: name == "write"
    async with keep_journal(claim, bench.tools) as journal:
        journal.tell(AgentSpoke(text="one"))
        await bench.store.refused.wait()
        journal.tell(AgentSpoke(text="two"))
        bench.store.lost_replies = {"write"}  # back, and the first reply is lost
        bench.store.away = lambda name: False
        await journal.flush()
    assert [payload["text"] for payload in await bench.payloads(order_id, "agent_spoke")] == ["one", "two"]


async def test_an_outage_moves_what_waits_to_the_disk_and_lets_the_reader_go_on(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(journal_module, "HIGH_WATER", 10)
    order_id = await bench.file()
    claim = await bench.claim()
    async with keep_journal(claim, bench.tools) as journal:
        journal.tell(AgentSpoke(text="before"))
        await journal.flush()
        bench.store.away = lambda name: name == "write"
        for number in range(100):
            journal.tell(AgentSpoke(text=f"{number} {SECRET}"))
            with anyio.fail_after(5):
                await journal.room()
        (file,) = bench.folder(order_id).glob("run/*/*")
        waiting = [json.loads(line)["payload"]["text"] for line in file.read_text().splitlines()]
        assert waiting == [f"{number} [REDACTED]" for number in range(len(waiting))]
        assert len(waiting) >= 90
        assert file.stat().st_mode & 0o777 == 0o600
        bench.store.lost_replies = {"write"}  # back, and the first reply is lost
        bench.store.away = lambda name: False
        journal.tell(AgentSpoke(text="back"))
        await journal.flush()
    said = [payload["text"] for payload in await bench.payloads(order_id, "agent_spoke")]
    assert said == ["before", *(f"{number} [REDACTED]" for number in range(100)), "back"]
    assert not list(bench.folder(order_id).glob("run/*"))


async def test_when_the_disk_takes_no_more_the_reader_waits(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(journal_module, "HIGH_WATER", 10)
    monkeypatch.setattr(spool_module, "MOST_BYTES", 500)
    order_id = await bench.file()
    claim = await bench.claim()
    bench.store.away = lambda name: name == "write"
    async with keep_journal(claim, bench.tools) as journal:
        with anyio.move_on_after(1) as patience:
            for number in range(100):
                journal.tell(AgentSpoke(text=str(number)))
                await journal.room()
        assert patience.cancelled_caught
        told = number
        bench.store.away = lambda name: False
        with anyio.fail_after(10):
            await journal.room()
            await journal.flush()
    assert len(await bench.payloads(order_id, "agent_spoke")) == told + 1


async def test_a_store_that_is_only_slow_fills_no_disk(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(journal_module, "HIGH_WATER", 10)
    await bench.file()
    claim = await bench.claim()
    slow = Hang()
    bench.store.write = lambda *ignored: slow()  # type: ignore[attr-defined]  # found before __getattr__ is asked
    async with keep_journal(claim, bench.tools) as journal:
        for _ in range(12):
            journal.tell(AgentSpoke(text="x"))
        await slow.reached.wait()
        with anyio.move_on_after(0.05) as patience:
            await journal.room()
        assert patience.cancelled_caught
        assert not bench.folder(claim.order_id).exists()


async def test_events_of_a_claim_that_was_lost_are_written_nowhere_but_kept_for_people(bench: Bench) -> None:
    order_id = await bench.file()
    claim = await bench.claim()
    bench.store.away = lambda name: name == "write"
    with pytest.raises(ExceptionGroup) as raised:  # noqa: PT012 - the block itself is what ends
        async with keep_journal(claim, bench.tools) as journal:
            journal.tell(AgentSpoke(text="unheard"))
            await bench.store.refused.wait()
            await bench.store.reap(10, [claim.worker_id])
            bench.store.away = lambda name: False
            await anyio.sleep_forever()
    assert raised.value.subgroup(LostLease)
    assert await bench.payloads(order_id, "agent_spoke") == []
    await run_work_order(await bench.claim("w2"), bench.tools, bench.stopping)
    kept = bench.folder(order_id) / "outputs" / f"{claim.token}-spool-interrupted-unwritten-events.jsonl"
    assert [json.loads(line)["payload"] for line in kept.read_text().splitlines()] == [
        {"text": "unheard", "artifact_id": None}
    ]
    assert f"outputs/{kept.name}" in {row.path for row in await bench.store.artifacts(order_id)}
    assert not list(bench.folder(order_id).glob("run/*"))


async def test_a_hold_that_has_ended_stops_the_writer_though_its_token_would_still_do(bench: Bench) -> None:
    order_id = await bench.file()
    claim, hold = await bench.claim(), Hold()
    bench.store.away = lambda name: name == "write"
    with pytest.raises(ExceptionGroup) as raised:  # noqa: PT012 - the block itself is what ends
        async with keep_journal(claim, bench.tools, hold) as journal:
            journal.tell(AgentSpoke(text="unheard"))
            await bench.store.refused.wait()
            hold.end(Ending.LOST)
            bench.store.away = lambda name: False
            await anyio.sleep_forever()
    assert raised.value.subgroup(LostLease)
    assert await bench.payloads(order_id, "agent_spoke") == []
    (file,) = bench.folder(order_id).glob("run/*/*")
    assert "unheard" in file.read_text()


async def test_what_a_moment_brings_goes_in_one_call(bench: Bench) -> None:
    order_id = await bench.file()
    claim = await bench.claim()
    bench.store.calls.clear()
    done: list[str] = []
    async with keep_journal(claim, bench.tools) as journal:
        journal.start_step(StepStart(1, "planning", "claude"))
        journal.record(OrderChanges(git_branch_name="awo/1", git_commit_count=1))
        journal.record(OrderChanges(git_commit_count=2))
        journal.tell(AgentSpoke(text="one"), 1)
        journal.keep(Artifact(artifact_id="a", artifact_type="prompt", path="prompts/a", size_bytes=1))
        journal.afterwards(lambda: done.append("afterwards"))
        await journal.finish_step(StepResult(1, "planning", "claude", StepStatus.COMPLETED, 1.0, cost_usd=0.5))
    assert bench.store.calls == ["write"]
    assert done == ["afterwards"]
    order = await bench.order(order_id)
    assert (order.git_branch_name, order.git_commit_count, order.next_step, order.cost_usd) == ("awo/1", 2, 2, 0.5)
    assert len(await bench.store.artifacts(order_id)) == len(await bench.payloads(order_id, "agent_spoke")) == 1


async def test_a_step_ends_with_the_last_of_its_events_however_many_there_are(bench: Bench) -> None:
    order_id = await bench.file()
    claim = await bench.claim()
    ends: list[tuple[int, bool]] = []
    original = bench.store.write

    async def write(claim: Claim, batch: Batch, lease: timedelta) -> object:
        ends.append((len(batch.drafts), batch.finished is not None))
        return await original(claim, batch, lease)

    bench.store.write = write  # type: ignore[attr-defined]  # found before __getattr__ is asked
    async with keep_journal(claim, bench.tools) as journal:
        journal.start_step(StepStart(1, "planning", "claude"))
        for _ in range(2 * BATCH + 1):
            journal.tell(AgentSpoke(text="x"), 1)
        await journal.finish_step(StepResult(1, "planning", "claude", StepStatus.COMPLETED, 1.0))
    assert ends == [(BATCH, False), (BATCH, False), (1, True)]
    assert (await bench.outcomes(order_id)) == {"planning": "completed"}


async def test_every_write_renews_the_lease_and_tells_of_a_cancel(bench: Bench) -> None:
    order_id = await bench.file()
    claim = await bench.claim()
    hold = Hold()
    before = hold.renewed_at
    bench.clock.ahead = timedelta(seconds=20)
    async with keep_journal(claim, bench.tools, hold) as journal:
        journal.tell(AgentSpoke(text="one"))
        await journal.flush()
        assert hold.renewed_at > before
        assert hold.ending is None
        ((_, _, until),) = (await bench.store.counts()).leases
        assert until - claim.lease_expires_at > timedelta(seconds=19)
        await bench.store.cancel(order_id)
        journal.tell(AgentSpoke(text="two"))
        await journal.flush()
    assert hold.ending is Ending.CANCELLED


async def test_a_lost_lease_ends_the_block(bench: Bench) -> None:
    await bench.file()
    claim = await bench.claim()
    await bench.store.reap(10, [claim.worker_id])
    with pytest.raises(ExceptionGroup) as raised:  # noqa: PT012 - the block itself is what ends
        async with keep_journal(claim, bench.tools) as journal:
            journal.tell(AgentSpoke(text="late"))
            await anyio.sleep_forever()
    assert raised.value.subgroup(LostLease)


async def test_whoever_waits_in_a_shielded_scope_hears_that_nothing_is_written_any_more(bench: Bench) -> None:
    await bench.file()
    claim = await bench.claim()
    await bench.store.reap(10, [claim.worker_id])
    with anyio.fail_after(5), pytest.raises(ExceptionGroup) as raised:  # noqa: PT012 - the block itself is what ends
        async with keep_journal(claim, bench.tools) as journal:
            with anyio.CancelScope(shield=True):
                journal.tell(AgentSpoke(text="late"))
                await journal.flush()
    assert raised.value.split(LostLease)[1] is None


async def test_a_journal_that_does_not_join_the_stores_is_a_bug_that_shows(bench: Bench) -> None:
    await bench.file()
    claim = await bench.claim()
    journal = Journal(claim, bench.tools)
    journal.last_seq += 5
    journal.tell(AgentSpoke(text="x"))
    with pytest.raises(SequenceGap):
        await journal.write_forever()
