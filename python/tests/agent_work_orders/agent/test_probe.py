"""The Claude test button: the real program against the scripted model, and programs that are none."""

import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from src.agent_work_orders.agent.claude_cli import ClaudeCli
from src.agent_work_orders.agent.confinement import SameUser
from src.agent_work_orders.agent.probe import probe_claude
from src.agent_work_orders.domain.setting import Finding
from src.agent_work_orders.rehearsal import Stage

from .conftest import CLI, script

pytestmark = pytest.mark.anyio
MODEL = "claude-sonnet-5-5"


async def asked(
    path: str, base_url: str | None, credentials: dict[str, str], *, ask_model: bool = False
) -> dict[str, Finding]:
    """Findings by name; every one that is not well names its next action, and none shows a credential."""
    cli = ClaudeCli(lambda: path, SameUser(), base_url=lambda: base_url, max_retries=0)
    found = await probe_claude(cli, path, SameUser(), credentials, ask_model=ask_model, model=MODEL)
    for one in found:
        assert one.ok or one.next_action, one
        assert not any(value in f"{one.detail} {one.next_action}" for value in credentials.values())
    return {one.name: one for one in found}


def wrong(found: dict[str, Finding]) -> set[str]:
    return {name for name, one in found.items() if not one.ok and one.required}


@pytest.fixture
def program(tmp_path: Path) -> Callable[[str], str]:
    """A `claude` that is a Python script."""

    def make(text: str) -> str:
        path = tmp_path / "claude"
        path.write_text(f"#!{sys.executable}\nimport sys\n{text}")
        path.chmod(0o755)
        return str(path)

    return make


async def test_the_real_program_is_well_and_the_model_is_not_asked_unbidden(stage: Stage) -> None:
    before = len(stage.model.requests)
    found = await asked(CLI, stage.model_url, {"ANTHROPIC_API_KEY": stage.anthropic_api_key})
    assert wrong(found) == set()
    assert set(found) == {"program", "version", "options", "confinement", "credential"}
    assert not found["confinement"].ok, "the server's own user is no confinement"
    assert len(stage.model.requests) == before


async def test_the_model_answers_one_question(stage: Stage) -> None:
    stage.model.play(script({"text": "OK"}))
    found = await asked(CLI, stage.model_url, {"ANTHROPIC_API_KEY": stage.anthropic_api_key}, ask_model=True)
    assert wrong(found) == set()
    assert "answered" in found["model"].detail


@pytest.mark.parametrize("path", ["/no/such/claude", "no-such-claude-on-the-path", "/etc/passwd", "/etc"])
async def test_a_program_that_is_missing(path: str) -> None:
    found = await asked(path, None, {"ANTHROPIC_API_KEY": "sk-ant-0123456789"})
    assert wrong(found) == set(found) == {"program"}
    assert "CLAUDE_CLI_PATH" in (found["program"].next_action or "")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("print('1.0.3 (Claude Code)')", "older"),
        ("print('hello')", "--version"),
        ("sys.exit('cannot load libc')", "cannot load libc"),
    ],
)
async def test_a_program_of_another_version(program: Callable[[str], str], text: str, said: str) -> None:
    found = await asked(program(text), None, {})
    assert wrong(found) == {"version"}
    assert said in found["version"].detail


async def test_a_program_that_does_not_know_our_options(program: Callable[[str], str]) -> None:
    text = "print('2.1.400 (Claude Code)' if '--version' in sys.argv else 'Options: -p, --print, --model, --verbose')"
    found = await asked(program(text), None, {"ANTHROPIC_API_KEY": "sk-ant-0123456789"}, ask_model=True)
    assert wrong(found) == {"options"}
    assert "--strict-mcp-config" in found["options"].detail
    assert "--model" not in found["options"].detail.replace("--model-", "")


async def test_without_a_credential_the_model_is_not_asked(stage: Stage) -> None:
    found = await asked(CLI, stage.model_url, {}, ask_model=True)
    assert wrong(found) == {"credential"}
    assert "model" not in found


async def test_a_bad_key(stage: Stage) -> None:
    found = await asked(CLI, stage.model_url, {"ANTHROPIC_API_KEY": "sk-ant-api03-wrong-0123456789"}, ask_model=True)
    assert wrong(found) == {"model"}
    assert "refused the credential" in found["model"].detail


async def test_no_credit(stage: Stage) -> None:
    stage.model.play(script({"error": {"status": 400, "message": "Your credit balance is too low"}}))
    found = await asked(CLI, stage.model_url, {"ANTHROPIC_API_KEY": stage.anthropic_api_key}, ask_model=True)
    assert wrong(found) == {"model"}
    assert "cannot pay" in found["model"].detail


async def test_a_model_that_cannot_be_reached(stage: Stage) -> None:
    found = await asked(CLI, "http://127.0.0.1:9", {"ANTHROPIC_API_KEY": stage.anthropic_api_key}, ask_model=True)
    assert wrong(found) == {"model"}
    assert "could not be reached" in found["model"].detail
