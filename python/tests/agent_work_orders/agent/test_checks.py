"""Checks of a repository as real processes."""

import sys
from collections.abc import Callable, Coroutine
from datetime import timedelta
from pathlib import Path
from typing import Any

import anyio
import pytest

from src.agent_work_orders.agent.checks import CommandChecks
from src.agent_work_orders.agent.confinement import SameUser
from src.agent_work_orders.ports import CheckResult

from .conftest import processes_of, until

pytestmark = pytest.mark.anyio

Run = Callable[..., Coroutine[Any, Any, CheckResult]]


@pytest.fixture
def run(tmp_path: Path) -> Run:
    (tmp_path / "checkout").mkdir()

    async def run_it(*command: str, seconds: float = 30) -> CheckResult:
        return await CommandChecks(SameUser()).run(
            "wo-check",
            command,
            tmp_path / "checkout",
            tmp_path / "home",
            tmp_path / "run",
            timedelta(seconds=seconds),
        )

    return run_it


async def test_a_check_gives_its_exit_code_and_both_streams_in_order(run: Run) -> None:
    result = await run("sh", "-c", "echo one; echo two >&2; echo three; exit 4")
    assert result.exit_code == 4
    assert result.output_tail == "one\ntwo\nthree\n"
    assert result.output.read_text() == result.output_tail
    assert result.duration > timedelta(0)


async def test_a_check_sees_no_credential_and_its_own_home(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ANTHROPIC_API_KEY", "sk-ant-secret")
    monkeypatch.setenv("GITHUB_TOKEN", "ghp_secret")
    result = await run("env")
    assert "secret" not in result.output_tail
    assert f"HOME={tmp_path / 'home'}\n" in result.output_tail
    assert "CI=true\n" in result.output_tail


async def test_a_long_output_keeps_its_end_and_the_file_the_whole(run: Run) -> None:
    result = await run(sys.executable, "-c", "import sys; sys.stdout.write('é' * 9000 + '\\0the end')")
    assert result.output_tail.endswith("é\ufffdthe end")
    assert set(result.output_tail[:100]) == {"é"}
    assert len(result.output_tail.encode()) <= 8 * 1024 + 8
    assert result.output.stat().st_size == 18_008


async def test_a_check_out_of_time_has_no_exit_code_and_leaves_nothing(run: Run) -> None:
    result = await run("sh", "-c", "echo begun; setsid sleep 1000 & sleep 1000", seconds=0.5)
    assert result.exit_code is None
    assert result.output_tail == "begun\n"
    assert processes_of("wo-check") == []


async def test_a_cancelled_check_leaves_nothing(run: Run, tmp_path: Path) -> None:
    async with anyio.create_task_group() as group:
        group.start_soon(run, "sh", "-c", "touch ready; setsid sleep 1000 & sleep 1000")
        await until((tmp_path / "checkout/ready").exists)
        group.cancel_scope.cancel()
    assert processes_of("wo-check") == []


async def test_a_command_that_is_not_there_is_a_red_check_that_says_so(run: Run) -> None:
    result = await run("no-such-command", "test")
    assert result.exit_code == 127
    assert "no-such-command" in result.output_tail
