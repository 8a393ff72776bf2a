"""The queue of events that the store has not taken yet: its order, its file, its bounds, and a disk that is full."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from src.agent_work_orders.domain.events import Draft
from src.agent_work_orders.workflow import spool as spool_module
from src.agent_work_orders.workflow.spool import Spool

pytestmark = pytest.mark.anyio


def said(number: int, text: str = "") -> Draft:
    return Draft("agent_spoke", json.dumps({"text": f"{number}{text}"}, ensure_ascii=False), 2 if number % 2 else None)


def unchanged(drafts: list[Draft]) -> list[Draft]:
    return drafts


def spool_at(directory: Path, clean: Callable[[list[Draft]], list[Draft]] = unchanged) -> Spool:
    return Spool(directory / "7-spool" / "unwritten-events.jsonl", clean)


def file_of(directory: Path) -> Path:
    return directory / "7-spool" / "unwritten-events.jsonl"


async def all_of(spool: Spool, at_once: int = 3) -> list[Draft]:
    found: list[Draft] = []
    while drafts := await spool.first(at_once):
        found += drafts
        await spool.drop(len(drafts))
    return found


async def test_what_is_in_memory_and_on_the_disk_comes_back_in_order_and_the_file_goes(tmp_path: Path) -> None:
    spool = spool_at(tmp_path)
    for number in range(10):
        spool.add(said(number))
        if number in (3, 6):
            while await spool.spill(1, 2):
                pass
    assert (len(spool), spool.in_memory) == (10, 3)
    assert file_of(tmp_path).stat().st_mode & 0o777 == 0o600
    assert file_of(tmp_path).parent.stat().st_mode & 0o777 == 0o700
    assert await all_of(spool) == [said(number) for number in range(10)]
    assert len(spool) == spool.bytes_in_memory == 0
    assert not file_of(tmp_path).parent.exists()


async def test_what_was_taken_and_not_yet_dropped_may_move_to_the_disk_meanwhile(tmp_path: Path) -> None:
    spool = spool_at(tmp_path)
    for number in range(6):
        spool.add(said(number))
    taken = await spool.first(4)
    await spool.spill(1, 5)
    await spool.drop(len(taken))
    spool.add(said(6))
    assert taken + await all_of(spool) == [said(number) for number in range(7)]
    assert not file_of(tmp_path).parent.exists()


async def test_the_file_is_for_people_too_one_json_line_an_event_with_the_number_it_would_have(tmp_path: Path) -> None:
    spool = spool_at(tmp_path)
    for number in range(3):
        spool.add(said(number))
    await spool.spill(41, 2)
    await spool.spill(41, 2)
    lines = [json.loads(line) for line in file_of(tmp_path).read_text().splitlines()]
    assert [line["seq"] for line in lines] == [41, 42, 43]
    assert lines[1] == {"seq": 42, "kind": "agent_spoke", "step_order": 2, "payload": {"text": "1"}}


async def test_no_secret_reaches_the_disk(tmp_path: Path) -> None:
    spool = spool_at(tmp_path, lambda drafts: [Draft(d.kind, d.payload.replace("secret", "***")) for d in drafts])
    spool.add(said(1, "secret"))
    await spool.spill(1, 10)
    assert "secret" not in file_of(tmp_path).read_text()


async def test_the_file_is_bounded_and_what_it_does_not_take_stays_in_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(spool_module, "MOST_BYTES", 1_000)
    spool = spool_at(tmp_path)
    for number in range(100):
        spool.add(said(number))
    while await spool.spill(1, 10):
        pass
    assert 900 < file_of(tmp_path).stat().st_size <= 1_000
    assert 0 < spool.in_memory < 100
    assert not await spool.spill(1, 10)
    assert await all_of(spool) == [said(number) for number in range(100)]


async def test_a_write_that_failed_half_way_is_written_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    spool = spool_at(tmp_path)
    spool.add(said(0))
    assert await spool.spill(1, 10)
    with file_of(tmp_path).open("ab") as file:
        file.write(b'{"seq":2,"kind":"agent_spo')  # as a disk that was full leaves it
    spool.add(said(1))
    await spool.spill(1, 10)
    assert await all_of(spool) == [said(0), said(1)]
    # A place that cannot be written at all is said once, and the events wait in memory.
    file_of(tmp_path).parent.write_text("in the way")
    spool.add(said(2))
    assert not await spool.spill(1, 10)
    assert not await spool.spill(1, 10)
    assert caplog.text.count("Events wait in memory alone") == 1
    assert await all_of(spool) == [said(2)]


@pytest.mark.parametrize("spilled", [False, True])
async def test_long_events_go_in_more_and_smaller_batches(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, spilled: bool
) -> None:
    monkeypatch.setattr(spool_module, "BATCH_BYTES", 5_000)
    spool = spool_at(tmp_path)
    for number in range(4):
        spool.add(said(number, "x" * 2_000))
    spool.add(said(4, "x" * 9_000))
    if spilled:
        await spool.spill(1, 10)
    sizes = []
    while drafts := await spool.first(100):
        sizes.append(len(drafts))
        await spool.drop(len(drafts))
    assert sizes == [2, 2, 1]


@given(st.lists(st.text(max_size=40), max_size=12), st.integers(0, 12))
@settings(deadline=None, max_examples=60)
def test_whatever_was_said_comes_back_to_the_letter(texts: list[str], spilled: int) -> None:
    drafts = [Draft("agent_spoke", json.dumps({"text": text}, ensure_ascii=False), 1) for text in texts]
    drafts += [Draft("agent_spoke", '{"text":"\ud800 ,\\"payload\\": }"}', None)]
    for number, draft in enumerate(drafts):
        line = spool_module._line_of(number + spilled, draft)
        assert line.count(b"\n") == 1
        assert spool_module._draft_of(line) == draft
