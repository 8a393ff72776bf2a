"""`make demo`, as a newcomer sees it: one command, no key, exit 0, and everything it promises on the screen."""

import os
import subprocess
import sys
from pathlib import Path

from .archon import CLAUDE

SHELL = ("PATH", "LANG", "COVERAGE_PROCESS_START", "COVERAGE_PROCESS_CONFIG")


def play(home: Path, **more: str) -> "subprocess.CompletedProcess[str]":
    environment = {name: os.environ[name] for name in SHELL if name in os.environ}
    environment |= {"HOME": str(home), "CLAUDE_CLI_PATH": str(CLAUDE), **more}
    command = [sys.executable, "-m", "src.agent_work_orders.rehearsal.demo"]
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=100, check=False)


def test_the_demo_goes_from_words_to_a_pull_request(tmp_path: Path) -> None:
    demo = play(tmp_path)

    assert demo.returncode == 0, demo.stderr + demo.stdout
    live, steps, evidence, commits, pull_request = (
        demo.stdout.partition(heading)[2]
        for heading in ("── Live events", "── Steps", "── Evidence", "── Pushed commits", "── Pull request")
    )
    assert "order_finished       completed: Opened http" in live
    assert all(name in steps for name in ("create-branch", "planning", "execute", "prp-review", "verify", "create-pr"))
    assert "the server ran `make test`" in evidence
    assert "exit code 0" in evidence
    assert "greeter/__init__.py" in commits
    assert "into main, open)" in pull_request
    assert not list(tmp_path.glob("**/awo.db")), "a demo leaves nothing behind"


def test_a_demo_that_fails_says_why_and_exits_with_1(tmp_path: Path) -> None:
    demo = play(tmp_path, CLAUDE_CLI_PATH=str(tmp_path / "no-such-program"))

    assert demo.returncode == 1
    assert "CLAUDE_CLI_PATH" in demo.stderr
