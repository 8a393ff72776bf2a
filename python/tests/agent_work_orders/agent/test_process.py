"""Real child processes: however the scope is left, and whatever they do, none is left behind."""

import signal
import sys
from pathlib import Path

import anyio
import pytest
from anyio.lowlevel import checkpoint

from src.agent_work_orders.agent import process
from src.agent_work_orders.agent.confinement import SameUser
from src.agent_work_orders.agent.process import open_child
from src.agent_work_orders.agent.strays import sweep_strays
from src.agent_work_orders.domain.errors import FailureClass, StepFailed
from src.agent_work_orders.ports import AgentTurn
from src.agent_work_orders.rehearsal import Stage

from .conftest import CLI, processes_of, script, until

pytestmark = pytest.mark.anyio

ENV = {"PATH": "/usr/bin:/bin", "LANG": "C.UTF-8"}
PYTHON_ROOT = Path(__file__).parents[3]


async def test_a_child_sees_its_input_its_environment_and_two_files(tmp_path: Path) -> None:
    async with open_child(
        ["sh", "-c", "cat; echo wrong >&2; env | sort | cut -d= -f1; ps -o sid= -p $$ >/dev/null; exit 3"],
        env=ENV,
        cwd=tmp_path,
        fed=True,
        stdout=tmp_path / "out",
        stderr=tmp_path / "err",
        run_id="wo-see",
        confinement=SameUser(),
    ) as child:
        await child.feed(b"given\n")
        assert await child.wait() == 3
    said = (tmp_path / "out").read_text().split()
    assert said[0] == "given"
    assert set(said[1:]) - {"_", "SHLVL", "OLDPWD"} == {"AWO_OWNER", "AWO_RUN_ID", "LANG", "PATH", "PWD"}
    assert (tmp_path / "err").read_text() == "wrong\n"


async def test_a_child_that_ignores_the_signal_is_killed_with_what_it_started(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(process, "_GRACE_SECONDS", 0.2)
    with anyio.move_on_after(30) as scope:
        async with open_child(
            ["sh", "-c", "trap '' TERM; setsid sleep 1000 & touch ready; while :; do sleep 1000; done"],
            env=ENV,
            cwd=tmp_path,
            stdout=tmp_path / "out",
            stderr=None,
            run_id="wo-stubborn",
            confinement=SameUser(),
        ) as child:
            await until((tmp_path / "ready").exists)
            scope.cancel()
            await checkpoint()
    assert child.exit_code == -signal.SIGKILL
    assert processes_of("wo-stubborn") == []


async def test_an_error_in_the_block_is_passed_on_and_the_child_is_gone(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="mine"):
        async with open_child(
            ["sleep", "1000"],
            env=ENV,
            cwd=tmp_path,
            stdout=tmp_path / "out",
            stderr=None,
            run_id="wo-error",
            confinement=SameUser(),
        ):
            raise ValueError("mine")
    assert processes_of("wo-error") == []


async def test_what_will_not_die_is_told_by_its_number(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(process, "sweep_run", lambda run_id, suspects: [4711])
    with pytest.raises(StepFailed, match="4711") as caught:
        async with open_child(
            ["true"],
            env=ENV,
            cwd=tmp_path,
            stdout=tmp_path / "out",
            stderr=None,
            run_id="wo-immortal",
            confinement=SameUser(),
        ) as child:
            await child.wait()
    assert caught.value.failure_class == FailureClass.INTERNAL


@pytest.mark.parametrize("name", ["no-such-program", "./nothing", "./plain.txt"])
async def test_a_program_that_cannot_be_started_is_an_os_error_before_anything_is_made(
    tmp_path: Path, name: str
) -> None:
    (tmp_path / "plain.txt").write_text("no program")
    with pytest.raises(OSError):
        async with open_child(
            [name],
            env=ENV,
            cwd=tmp_path,
            stdout=tmp_path / "out",
            stderr=None,
            run_id="wo-none",
            confinement=SameUser(),
        ):
            raise AssertionError("nothing was there to be started")
    assert not (tmp_path / "out").exists()


SERVER = """
import sys, anyio
from datetime import timedelta
from pathlib import Path
from src.agent_work_orders.agent.claude_cli import ClaudeCli
from src.agent_work_orders.agent.confinement import SameUser
from src.agent_work_orders.ports import AgentTurn

cli, url, key, run_id, root = sys.argv[1:]
turn = AgentTurn(run_id, "Go.", Path(root, "checkout"), Path(root, "home"), Path(root, "run"), None,
    "claude-sonnet-5-5", False, timedelta(minutes=5), timedelta(minutes=5), None, {"ANTHROPIC_API_KEY": key})
anyio.run(ClaudeCli(lambda: cli, SameUser(), base_url=lambda: url).run, turn, lambda payload: None)
"""


async def test_a_server_that_is_killed_takes_the_command_line_with_it_and_the_next_one_sweeps_the_rest(
    turn: AgentTurn, stage: Stage, tmp_path: Path
) -> None:
    command = "(setsid sleep 1000 &) ; echo $PPID > cli-pid; sleep 1000"
    stage.model.play(script({"tool": "Bash", "input": {"command": command}}, {"text": "Never."}))
    arguments = [CLI, stage.model_url, stage.anthropic_api_key, turn.run_id, str(tmp_path)]
    server = await anyio.open_process(
        [sys.executable, "-c", SERVER, *arguments], cwd=PYTHON_ROOT, stdout=None, stderr=None
    )
    async with server:
        pid_file = turn.cwd / "cli-pid"
        await until(lambda: pid_file.exists() and pid_file.read_text().endswith("\n"))
        command_line = int(pid_file.read_text())
        assert command_line in processes_of(turn.run_id)
        assert not set(sweep_strays()) & set(processes_of(turn.run_id))
        server.kill()
        await server.wait()
        await until(lambda: command_line not in processes_of(turn.run_id))
        left = processes_of(turn.run_id)
        assert left
        assert set(left) <= set(sweep_strays())
    assert processes_of(turn.run_id) == []
