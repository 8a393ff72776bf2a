"""The shipped story, played by the real command line on a clone of the sample repository."""

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest

from src.agent_work_orders.rehearsal import SAMPLE_REQUEST, Stage

from .conftest import Git

ROOT = Path(__file__).parents[4]
COMMANDS = ROOT / "python" / "src" / "agent_work_orders" / "commands"


class Agent:
    """One command line session in one checkout."""

    def __init__(self, stage: Stage, checkout: Path, home: Path) -> None:
        self._checkout = checkout
        self._session = ""
        self._environment = {
            "PATH": os.environ["PATH"],
            "HOME": str(home),
            "CLAUDE_CONFIG_DIR": str(home / ".claude"),
            "CLAUDE_CODE_TMPDIR": str(home),
            "ANTHROPIC_BASE_URL": stage.model_url,
            "ANTHROPIC_API_KEY": stage.anthropic_api_key,
            "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC": "1",
            "CLAUDE_CODE_DISABLE_BACKGROUND_TASKS": "1",
            "DISABLE_AUTOUPDATER": "1",
        }

    def step(self, name: str, request: str) -> dict[str, Any]:
        """The last result of one step; its prompt is the shipped command with the request in it."""
        prompt = (COMMANDS / f"{name}.md").read_text().replace("{{user_request}}", request)
        claude = os.environ.get("CLAUDE_CLI_PATH") or str(ROOT / ".tools" / "bin" / "claude")
        options = ["-p", "--output-format", "stream-json", "--verbose", "--model", "claude-sonnet-5-5"]
        options += ["--permission-mode", "acceptEdits", "--allowedTools", "Bash"]
        options += ["--resume", self._session] if self._session else []
        done = subprocess.run(
            [claude, *options],
            input=prompt,
            cwd=self._checkout,
            env=self._environment,
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )
        results = [json.loads(line) for line in done.stdout.splitlines() if '"type":"result"' in line]
        assert results, done.stderr
        self._session = results[-1]["session_id"]
        return dict(results[-1])


@pytest.fixture
def checkout(stage: Stage, git: Git, tmp_path: Path) -> Path:
    git("clone", "--quiet", stage.repository_url, "greeter")
    return tmp_path / "greeter"


@pytest.fixture
def agent(stage: Stage, checkout: Path, tmp_path: Path) -> Agent:
    home = tmp_path / "home"
    home.mkdir()
    return Agent(stage, checkout, home)


def checked(checkout: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(["make", "test"], cwd=checkout, capture_output=True, text=True, check=False)


def test_the_sample_work_order_is_planned_carried_out_and_reviewed(
    stage: Stage, agent: Agent, checkout: Path, git: Git
) -> None:
    plan = agent.step("planning", SAMPLE_REQUEST)
    assert plan["result"].startswith("# Plan: greet in several languages")
    assert git("-C", str(checkout), "status", "--short").stdout == ""

    done = agent.step("execute", SAMPLE_REQUEST)
    assert (done["is_error"], done["permission_denials"]) == (False, [])
    assert "Ran 5 tests" in checked(checkout).stderr
    assert checked(checkout).returncode == 0

    review = agent.step("prp-review", SAMPLE_REQUEST)
    assert "**Mended:** the README" in review["result"]
    assert "Bonjour, Ada!" in (checkout / "README.md").read_text()

    assert checked(checkout).returncode == 0
    scripts = {request.script for request in stage.model.requests}
    assert scripts == {"sample: planning", "sample: execute", "sample: review"}
    assert len({request.session for request in stage.model.requests}) == 1


def test_a_red_check_is_repaired(agent: Agent, checkout: Path) -> None:
    agent.step("execute", SAMPLE_REQUEST)
    source = checkout / "greeter" / "__init__.py"
    source.write_text(source.read_text().replace("Bonjour", "Salut"))
    assert checked(checkout).returncode != 0

    repaired = agent.step("repair", SAMPLE_REQUEST)

    assert repaired["is_error"] is False
    assert checked(checkout).returncode == 0


def test_any_other_request_is_taken_down_and_reviewed(stage: Stage, agent: Agent, checkout: Path) -> None:
    request = "Greet in Klingon, with $(feeling) and 'quotes'."

    plan = agent.step("planning", request)
    done = agent.step("execute", request)
    again = agent.step("execute", f"{request} And louder.")
    review = agent.step("prp-review", request)

    assert request in plan["result"]
    assert done["is_error"] is False
    assert again["is_error"] is False
    assert f"{request} And louder.\n" in (checkout / "REHEARSAL.md").read_text()
    assert "REHEARSAL.md" in review["result"]
    assert "cannot find the cause" in agent.step("repair", request)["result"]
    assert all(asked.script.startswith("any request") for asked in stage.model.requests)
