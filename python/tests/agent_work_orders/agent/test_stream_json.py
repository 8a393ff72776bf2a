"""Lines in, events out; and what results add up to on both ways of counting."""

import json
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from src.agent_work_orders.agent.stream_json import Reading, clean, denied
from src.agent_work_orders.domain.events import AgentSpoke, AgentStarted, Payload, ToolReturned, ToolUsed

INIT = {"type": "system", "subtype": "init", "session_id": "s-1", "model": "m", "claude_code_version": "2.1.197"}


def said(*blocks: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"type": "assistant", "message": {"content": list(blocks)}, **more}


def returned(content: Any, **more: Any) -> dict[str, Any]:
    block = {"type": "tool_result", "tool_use_id": "t-1", "content": content, **more}
    return {"type": "user", "message": {"content": [block]}}


def feed(reading: Reading, *entries: dict[str, Any] | bytes) -> list[Payload]:
    lines = [entry if isinstance(entry, bytes) else json.dumps(entry).encode() for entry in entries]
    return [event for line in lines for event in reading.feed(line)]


def test_a_start_is_told_once_though_every_round_begins_with_one() -> None:
    reading = Reading(resumed=True)
    assert feed(reading, INIT, INIT) == [AgentStarted(session_id="s-1", model="m", version="2.1.197", resumed=True)]
    assert reading.session_id == "s-1"


def test_blocks_become_events_and_unknown_ones_nothing() -> None:
    reading = Reading(resumed=False)
    tool = {"type": "tool_use", "id": "t-1", "name": "Bash", "input": {"command": "ls"}}
    parts = [{"type": "text", "text": "a"}, {"type": "image"}, {"type": "text", "text": "b"}]
    assert feed(
        reading,
        said({"type": "thinking", "thinking": "hm"}, {"type": "text", "text": "Hello."}, tool, {"type": "new"}),
        returned(parts, is_error=True),
        {"type": "user", "message": {"content": "a reminder"}},
        {"type": "tool_progress"},
        {"kind": "no type at all"},
    ) == [
        AgentSpoke(text="Hello."),
        ToolUsed(tool_use_id="t-1", tool="Bash", input={"command": "ls"}),
        ToolReturned(tool_use_id="t-1", output="a\n[image]\nb", is_error=True),
    ]
    assert reading.last_text == "Hello."


def test_a_tool_is_open_until_it_returned() -> None:
    reading = Reading(resumed=False)
    feed(reading, said({"type": "tool_use", "id": "t-1", "name": "Bash", "input": {}}))
    assert reading.open_tools == {"t-1"}
    feed(reading, returned("done"))
    assert not reading.open_tools


def test_pieces_of_a_message_are_passed_over() -> None:
    assert feed(Reading(resumed=False), b'{"type":"stream_event","event":{"type":"content_block_delta"}}') == []


def test_what_is_no_event_is_what_the_command_line_said() -> None:
    reading = Reading(resumed=False)
    assert feed(reading, b"warning: something\r", b"", b"  ", b"[1]", b"{broken") == [
        AgentSpoke(text="warning: something"),
        AgentSpoke(text="[1]"),
        AgentSpoke(text="{broken"),
    ]


def test_text_that_no_database_takes_is_mended() -> None:
    reading = Reading(resumed=False)
    line = b'{"type":"assistant","message":{"content":[{"type":"text","text":"%s"}]}}'
    assert feed(reading, line % rb"a\ud800b", line % rb"a\u0000b", line % b"a\xffb", line % rb"\ud83d\ude00") == [
        AgentSpoke(text="a\ufffdb"),
        AgentSpoke(text="a\ufffdb"),
        AgentSpoke(text="a\ufffdb"),
        AgentSpoke(text="\U0001f600"),
    ]
    tool = rb'{"type":"tool_use","id":"t","name":"Bash","input":{"k\u0000":["\ud800",1]}}'
    events = feed(reading, b'{"type":"assistant","message":{"content":[%s]}}' % tool)
    assert events == [ToolUsed(tool_use_id="t", tool="Bash", input={"k\ufffd": ["\ufffd", 1]})]


def test_a_line_nested_without_end_is_only_text() -> None:
    assert len(feed(Reading(resumed=False), b"[" * 100_000)) == 1


@given(
    st.binary(max_size=200) | st.recursive(st.none() | st.text() | st.integers(), st.lists).map(repr).map(str.encode)
)
def test_any_line_gives_events_that_can_be_stored(line: bytes) -> None:
    for event in Reading(resumed=False).feed(line):
        assert "\\u0000" not in event.model_dump_json()


@given(st.text(st.characters(codec=None, exclude_categories=())))
def test_cleaned_text_is_utf_8_without_nul(text: str) -> None:
    assert b"\0" not in clean(text).encode()


def models(cost: float, tokens: int) -> dict[str, Any]:
    return {"m": {"inputTokens": tokens, "cacheReadInputTokens": 5, "outputTokens": 2, "costUSD": cost}}


def test_usage_is_the_turns_own_where_the_session_is_added_up() -> None:
    reading = Reading(resumed=True)
    for total in (0.5, 0.6):
        result = {"type": "result", "total_cost_usd": total, "modelUsage": models(total, 900)}
        feed(reading, {**result, "model_usage_since_last_result": models(0.1, 10)})
    assert reading.usage.cost_usd == pytest.approx(0.2)
    assert (reading.usage.input_tokens, reading.usage.output_tokens) == (30, 4)


def test_usage_is_the_last_total_where_the_process_is_added_up() -> None:
    reading = Reading(resumed=True)
    feed(reading, {"type": "result", "total_cost_usd": 0.1, "modelUsage": models(0.1, 10)})
    feed(reading, {"type": "result", "total_cost_usd": 0.2, "modelUsage": models(0.2, 20)})
    assert reading.usage.cost_usd == pytest.approx(0.2)
    assert (reading.usage.input_tokens, reading.usage.output_tokens) == (25, 2)


def test_a_result_counts_only_if_no_round_began_after_it() -> None:
    reading = Reading(resumed=False)
    feed(reading, INIT, {"type": "result", "result": "first"}, INIT)
    assert not reading.result
    feed(reading, {"type": "result", "result": "second"})
    assert (reading.result or {})["result"] == "second"


def test_denials_of_all_rounds_are_kept_each_once() -> None:
    reading = Reading(resumed=False)
    push = {"tool_name": "Bash", "tool_use_id": "t-1", "tool_input": {"command": "git push\n origin main"}}
    fetch = {"tool_name": "WebFetch", "tool_use_id": "t-2", "tool_input": {"url": "https://x"}}
    feed(reading, {"type": "result", "permission_denials": [push]})
    feed(reading, {"type": "result", "permission_denials": [push, fetch]})
    assert list(reading.denials.values()) == ["Bash(git push origin main)", "WebFetch(https://x)"]
    assert denied({"tool_name": "Odd", "tool_input": {"a": 1}}) == 'Odd({"a": 1})'
    assert len(denied({"tool_name": "Bash", "tool_input": {"command": "x" * 5000}})) < 200


def test_a_limit_event_tells_when_it_ends() -> None:
    reading = Reading(resumed=False)
    feed(reading, {"type": "rate_limit_event", "rate_limit_info": {"status": "allowed", "resetsAt": 1}})
    assert reading.limit_resets_at is None
    feed(reading, {"type": "rate_limit_event", "rate_limit_info": {"status": "rejected", "resetsAt": 1_795_368_249}})
    assert reading.limit_resets_at == datetime.fromtimestamp(1_795_368_249, UTC)
    feed(reading, {"type": "rate_limit_event", "rate_limit_info": {"status": "rejected", "resetsAt": 1e300}})
    assert reading.limit_resets_at is None
