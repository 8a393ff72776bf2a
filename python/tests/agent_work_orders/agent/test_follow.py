"""Stand-ins for the command line that print what the real one seldom does: much, wrong, nothing, or for ever."""

import time
from dataclasses import replace
from datetime import timedelta

import anyio
import pytest
from anyio.lowlevel import checkpoint

from src.agent_work_orders.domain.errors import FailureClass, StepFailed
from src.agent_work_orders.domain.events import AgentSpoke, Payload
from src.agent_work_orders.ports import AgentTurn

from .conftest import StandIn, Told, processes_of

pytestmark = pytest.mark.anyio

PREAMBLE = """
import json, os, signal, sys, time
def say(entry):
    sys.stdout.write((entry if isinstance(entry, str) else json.dumps(entry)) + "\\n")
def speak(text):
    say({"type": "assistant", "message": {"content": [{"type": "text", "text": text}]}})
def end(**result):
    say({"type": "result", "is_error": False, "result": "Done.", **result})
sys.stdin.read()
say({"type": "system", "subtype": "init", "session_id": "s-1", "model": "m", "claude_code_version": "9.9.9"})
"""


async def test_of_20000_lines_none_is_lost_and_the_loop_is_never_held_up(
    stand_in: StandIn, turn: AgentTurn, told: Told
) -> None:
    cli = stand_in(PREAMBLE + "for number in range(20_000): speak(f'line {number}')\nend()")
    longest = 0.0

    async def watch_the_loop() -> None:
        nonlocal longest
        while True:
            before = time.perf_counter()
            await checkpoint()
            longest = max(longest, time.perf_counter() - before)
            await anyio.sleep(0.002)  # fact: the next moment to measure

    async with anyio.create_task_group() as group:
        group.start_soon(watch_the_loop)
        result = await cli.run(turn, told)
        group.cancel_scope.cancel()
    assert result.failure is None
    assert [spoke.text for spoke in told.of(AgentSpoke)] == [f"line {number}" for number in range(20_000)]
    assert longest < 0.25  # 5 ms of ours, the rest is a busy machine's


async def test_what_is_no_json_and_what_is_huge_arrives(stand_in: StandIn, turn: AgentTurn, told: Told) -> None:
    cli = stand_in(PREAMBLE + "say('plain words'); speak('x' * 1_500_000); say('{\"type\":\"odd\"}'); end()")
    result = await cli.run(turn, told)
    assert result.text == "Done."
    assert [len(spoke.text) for spoke in told.of(AgentSpoke)] == [11, 1_500_000]


async def test_a_last_line_without_its_end_is_read_too(stand_in: StandIn, turn: AgentTurn, told: Told) -> None:
    cli = stand_in(PREAMBLE + "sys.stdout.write(json.dumps({'type': 'result', 'result': 'Just so.'}))")
    assert (await cli.run(turn, told)).text == "Just so."


async def test_a_line_is_told_while_the_agent_still_runs(stand_in: StandIn, turn: AgentTurn) -> None:
    cli = stand_in(
        PREAMBLE + "speak('first'); sys.stdout.flush()\nwhile not os.path.exists('go-on'): time.sleep(0.005)\nend()"
    )
    heard: list[str] = []

    def tell(payload: Payload) -> None:
        if isinstance(payload, AgentSpoke):
            heard.append(payload.text)
            (turn.cwd / "go-on").touch()

    assert (await cli.run(turn, tell)).text == "Done."
    assert heard == ["first"]


async def test_an_end_without_a_result_is_a_failure_with_the_last_words_of_stderr(
    stand_in: StandIn, turn: AgentTurn, told: Told
) -> None:
    cli = stand_in(PREAMBLE + "sys.stderr.write('error: unknown option\\n'); sys.exit(1)")
    failure = (await cli.run(turn, told)).failure
    assert failure is not None
    assert failure.failure_class == FailureClass.AGENT
    assert "unknown option" in failure.message


async def test_a_program_that_will_not_end_after_its_result_is_ended_and_the_result_counts(
    stand_in: StandIn, turn: AgentTurn, told: Told
) -> None:
    cli = stand_in(PREAMBLE + "end(); sys.stdout.flush(); time.sleep(1000)")
    result = await cli.run(replace(turn, timeout=timedelta(seconds=1)), told)
    assert result.failure is None
    assert result.text == "Done."
    assert processes_of(turn.run_id) == []


async def test_a_silent_tool_is_not_taken_for_a_silent_model(stand_in: StandIn, turn: AgentTurn, told: Told) -> None:
    tool = "{'type': 'tool_use', 'id': 't', 'name': 'Bash', 'input': {}}"
    cli = stand_in(
        PREAMBLE + f"say({{'type': 'assistant', 'message': {{'content': [{tool}]}}}})\nsys.stdout.flush()\n"
        "time.sleep(1.2)\nend()"
    )
    result = await cli.run(replace(turn, stall_timeout=timedelta(seconds=0.5)), told)
    assert result.failure is None


async def test_a_program_that_never_reads_its_prompt_runs_into_the_time_limit(
    stand_in: StandIn, turn: AgentTurn, told: Told
) -> None:
    cli = stand_in("import time\ntime.sleep(1000)")
    slow = replace(turn, timeout=timedelta(seconds=1), prompt="x" * 3_000_000)
    failure = (await cli.run(slow, told)).failure
    assert failure is not None
    assert failure.failure_class == FailureClass.TIMEOUT


@pytest.mark.parametrize(
    ("script", "words"),
    [
        ("print('1.0.3 (Claude Code)')", "older than 2.1.197"),
        ("print('no version here')", "no version here"),
        ("import sys; sys.exit('broken')", "exit code 1: broken"),
    ],
)
async def test_what_is_no_usable_claude_is_named(stand_in: StandIn, script: str, words: str) -> None:
    with pytest.raises(StepFailed, match=words):
        await stand_in(script).describe()


async def test_the_version_is_asked_once_per_program(stand_in: StandIn, turn: AgentTurn) -> None:
    cli = stand_in(f"open({str(turn.cwd / 'asked')!r}, 'a').write('x')\nprint('2.1.330 (Claude Code)')")
    assert [await cli.describe() for _ in range(3)] == ["claude 2.1.330"] * 3
    assert (turn.cwd / "asked").read_text() == "x"
