"""The real Claude CLI, its model scripted: what reaches the model, what comes back, how failed turns are named."""

import json
import os
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import anyio
import pytest
from anyio import to_thread

from src.agent_work_orders.agent.claude_cli import ClaudeCli
from src.agent_work_orders.agent.confinement import SameUser
from src.agent_work_orders.domain.errors import FailureClass, StepFailed
from src.agent_work_orders.domain.events import AgentSpoke, AgentStarted, ToolReturned, ToolUsed, UsageCounted
from src.agent_work_orders.ports import AgentTurn
from src.agent_work_orders.rehearsal import Stage

from .conftest import CLI, StandIn, Told, processes_of, script, until

pytestmark = pytest.mark.anyio

USAGE = {"input_tokens": 1000, "output_tokens": 100}


async def test_the_agent_edits_and_commits_and_tells_it_in_order(
    cli: ClaudeCli, real_turn: AgentTurn, stage: Stage, told: Told
) -> None:
    stage.model.play(
        script(
            {
                "text": "I will write it.",
                "tool": "Write",
                "input": {"file_path": "{{cwd}}/hello.txt", "content": "Hello!\n"},
                "usage": USAGE,
            },
            {
                "tool": "Bash",
                "input": {"command": "git init -q && git add . && git commit -qm hi && git log --format=%an"},
            },
            {"text": "Done: {{last_tool_result}}", "usage": USAGE},
        )
    )
    result = await cli.run(real_turn, told)
    assert result.failure is None
    assert result.text == "Done: Agent Work Orders"
    assert (real_turn.cwd / "hello.txt").read_text() == "Hello!\n"
    kinds = [event.kind for event in told.events]
    assert kinds == [
        "agent_started",
        "agent_spoke",
        *["tool_used", "tool_returned"] * 2,
        "agent_spoke",
        "usage_counted",
    ]
    started = told.of(AgentStarted)[0]
    assert started.session_id == result.session_id
    assert not started.resumed
    assert f"claude {started.version}" == await cli.describe()
    assert [used.tool for used in told.of(ToolUsed)] == ["Write", "Bash"]
    assert result.cost_usd > 0
    assert result.input_tokens >= 2000
    assert '"result"' in result.stdout.read_text()
    assert result.stdout.stat().st_mode & 0o777 == 0o600
    assert processes_of(real_turn.run_id) == []


async def test_a_resumed_session_knows_the_first_turn_and_counts_only_its_own(
    cli: ClaudeCli, real_turn: AgentTurn, stage: Stage, told: Told
) -> None:
    stage.model.play(script({"text": "Yes.", "usage": USAGE}, after="repeat"))
    first = await cli.run(replace(real_turn, prompt="Remember the word xylophone."), told)
    second = await cli.run(replace(real_turn, prompt="Which word?", session_id=first.session_id), told)
    assert second.session_id == first.session_id
    assert told.of(AgentStarted)[1].resumed
    assert "xylophone" in json.dumps(stage.model.requests[-1].body)
    assert (second.input_tokens, second.output_tokens) == (first.input_tokens, first.output_tokens) == (1000, 100)
    assert second.cost_usd == pytest.approx(first.cost_usd)
    assert [counted.input_tokens for counted in told.of(UsageCounted)] == [1000, 1000]


async def test_an_unknown_session_is_replaced_by_a_new_one_and_that_is_said(
    cli: ClaudeCli, real_turn: AgentTurn, stage: Stage, told: Told
) -> None:
    stage.model.play(script({"text": "Fresh."}))
    gone = "6f3c1e5e-0000-4000-8000-000000000000"
    result = await cli.run(replace(real_turn, session_id=gone), told)
    assert result.failure is None
    assert result.text == "Fresh."
    assert result.session_id not in (None, gone)
    assert "earlier session is gone" in told.of(AgentSpoke)[0].text
    assert [started.resumed for started in told.of(AgentStarted)] == [False]


async def test_a_denied_tool_is_shown_and_the_turn_goes_on(
    cli: ClaudeCli, real_turn: AgentTurn, stage: Stage, told: Told
) -> None:
    stage.model.play(script({"tool": "Read", "input": {"file_path": "/etc/hostname"}}, {"text": "I could not."}))
    result = await cli.run(real_turn, told)
    assert result.failure is None
    assert result.permission_denials == ("Read(/etc/hostname)",)
    assert told.of(ToolReturned)[0].is_error


@pytest.mark.parametrize(
    "prompt", ["Look at @{secret} and @{secret}, please.", "@{secret}", '"@{secret}"', "/clear now"]
)
async def test_nothing_in_a_prompt_is_opened_or_run(
    cli: ClaudeCli, real_turn: AgentTurn, stage: Stage, told: Told, tmp_path: Path, prompt: str
) -> None:
    secret = tmp_path / "checkout" / "secret.txt"
    secret.write_text("open sesame")
    stage.model.play(script({"text": "Yes."}))
    asked = prompt.format(secret=secret)
    result = await cli.run(replace(real_turn, prompt=asked), told)
    assert result.text == "Yes."
    body = stage.model.requests[-1].body
    assert body is not None
    assert asked in texts(body)
    assert "open sesame" not in json.dumps(body)


async def test_a_prompt_of_300_kb_arrives_whole(cli: ClaudeCli, real_turn: AgentTurn, stage: Stage, told: Told) -> None:
    stage.model.play(script({"text": "Long."}))
    prompt = "A long story. " * 22_000
    await cli.run(replace(real_turn, prompt=prompt + "The end \ud800\0."), told)
    body = stage.model.requests[-1].body
    assert body is not None
    assert prompt + "The end \ufffd\ufffd." in texts(body)


async def test_a_planning_turn_has_no_tool_that_writes(
    cli: ClaudeCli, real_turn: AgentTurn, stage: Stage, told: Told
) -> None:
    (real_turn.cwd / "a.txt").write_text("needle")
    stage.model.play(
        script(
            {"tool": "Write", "input": {"file_path": "{{cwd}}/b.txt", "content": "x"}},
            {"tool": "Bash", "input": {"command": "touch b.txt"}},
            {"tool": "Grep", "input": {"pattern": "needle"}},
            {"text": "A plan: {{last_tool_result}}"},
        )
    )
    result = await cli.run(replace(real_turn, read_only=True), told)
    assert [returned.is_error for returned in told.of(ToolReturned)] == [True, True, False]
    assert not (real_turn.cwd / "b.txt").exists()
    assert "a.txt" in result.text
    body = stage.model.requests[-1].body
    assert body is not None
    offered = {tool["name"] for tool in body["tools"]}
    assert {"Read", "Glob", "Grep"} <= offered
    assert not {"Bash", "Edit", "Write", "NotebookEdit", "Agent", "WebFetch"} & offered


async def test_hooks_of_a_repository_that_the_operator_trusts_are_loaded_and_its_servers_are_not(
    cli: ClaudeCli, real_turn: AgentTurn, stage: Stage, told: Told
) -> None:
    (real_turn.cwd / ".claude").mkdir()
    hook = {"hooks": [{"type": "command", "command": "touch hooked"}]}
    (real_turn.cwd / ".claude/settings.json").write_text(
        json.dumps({"hooks": {"SessionStart": [hook]}, "enableAllProjectMcpServers": True})
    )
    server = {"command": "/bin/sh", "args": ["-c", "touch served"]}
    (real_turn.cwd / ".mcp.json").write_text(json.dumps({"mcpServers": {"its-own": server}}))
    stage.model.play(script({"text": "Yes."}))
    assert (await cli.run(replace(real_turn, trusted=True), told)).failure is None
    assert (real_turn.cwd / "hooked").exists()
    assert not (real_turn.cwd / "served").exists()


async def test_settings_and_hooks_of_the_repository_are_not_loaded(
    cli: ClaudeCli, real_turn: AgentTurn, stage: Stage, told: Told
) -> None:
    (real_turn.cwd / ".claude").mkdir()
    hook = {"hooks": [{"type": "command", "command": "touch hooked"}]}
    (real_turn.cwd / ".claude/settings.json").write_text(json.dumps({"hooks": {"SessionStart": [hook]}}))
    stage.model.play(script({"text": "Yes."}))
    assert (await cli.run(real_turn, told)).failure is None
    assert not (real_turn.cwd / "hooked").exists()


async def test_the_agent_sees_an_allow_list_of_the_environment_and_its_own_home(
    cli: ClaudeCli, real_turn: AgentTurn, stage: Stage, told: Told, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SUPABASE_SERVICE_KEY", "the-service-key")
    monkeypatch.setenv("GITHUB_TOKEN", "ghp_not_for_the_agent")
    monkeypatch.setenv("HTTPS_PROXY", "http://127.0.0.1:1")
    stage.model.play(script({"text": "Yes.", "gate": "environment"}))
    seen: list[dict[str, str]] = []

    def look() -> None:
        stage.model.wait_for_gate("environment")
        for pid in processes_of(real_turn.run_id):
            variables = Path(f"/proc/{pid}/environ").read_bytes().decode().rstrip("\0").split("\0")
            seen.append(dict(variable.split("=", 1) for variable in variables))
        stage.model.release("environment")

    async with anyio.create_task_group() as group:
        group.start_soon(to_thread.run_sync, look)
        await cli.run(real_turn, told)
    environment = seen[0]
    assert environment["HTTPS_PROXY"] == "http://127.0.0.1:1"
    assert environment["HOME"] == str(real_turn.home)
    assert environment["ANTHROPIC_API_KEY"] == stage.anthropic_api_key
    assert environment["AWO_RUN_ID"] == real_turn.run_id
    assert environment["AWO_OWNER"].startswith(f"{os.getpid()}-")
    assert not {"SUPABASE_SERVICE_KEY", "GITHUB_TOKEN", "PYTEST_CURRENT_TEST"} & environment.keys()
    inherited = {name for name, value in environment.items() if os.environ.get(name) == value}
    assert {name for name in inherited if not name.startswith("LC_")} <= {
        *("PATH", "LANG", "LANGUAGE", "TZ", "TERM", "HTTPS_PROXY", "HTTP_PROXY", "NO_PROXY", "ALL_PROXY"),
        *("https_proxy", "http_proxy", "no_proxy", "all_proxy", "SSL_CERT_FILE", "SSL_CERT_DIR"),
        *("NODE_EXTRA_CA_CERTS", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "GIT_SSL_CAINFO"),
        *("PYENV_ROOT", "RUSTUP_HOME", "JAVA_HOME", "GOROOT", "NVM_DIR"),
        # Ours, whatever the server's own say.
        *("GIT_TERMINAL_PROMPT", "PYTHONDONTWRITEBYTECODE", "DISABLE_AUTOUPDATER", "DISABLE_TELEMETRY"),
        "ANTHROPIC_BASE_URL",
    }


@pytest.mark.parametrize(
    ("answer", "failure_class"),
    [
        ({"error": 401}, FailureClass.AUTH),
        ({"error": 403}, FailureClass.AUTH),
        ({"error": {"status": 429, "headers": {"retry-after": "7200"}}}, FailureClass.LIMIT),
        ({"error": 529}, FailureClass.LIMIT),
        ({"error": {"status": 400, "message": "Your credit balance is too low"}}, FailureClass.BUDGET),
        ({"error": {"status": 404, "message": "model: nope"}}, FailureClass.AGENT),
        ({"fault": "disconnect"}, FailureClass.NETWORK),
    ],
    ids=lambda value: json.dumps(value) if isinstance(value, dict) else str(value),
)
async def test_what_the_model_answers_names_the_failure(
    cli: ClaudeCli, real_turn: AgentTurn, stage: Stage, told: Told, answer: dict[str, Any], failure_class: FailureClass
) -> None:
    stage.model.play(script(answer, after="repeat"))
    result = await cli.run(real_turn, told)
    assert result.failure is not None
    assert result.failure.failure_class == failure_class, result.failure
    assert result.failure.next_action


async def test_a_subscription_limit_says_when_to_come_back(
    cli: ClaudeCli, real_turn: AgentTurn, stage: Stage, told: Told
) -> None:
    resets_at = datetime.now(UTC).replace(microsecond=0) + timedelta(hours=1)
    headers = {
        "anthropic-ratelimit-unified-status": "rejected",
        "anthropic-ratelimit-unified-reset": str(int(resets_at.timestamp())),
        "anthropic-ratelimit-unified-representative-claim": "five_hour",
        "retry-after": "3600",
    }
    stage.model.play(script({"error": {"status": 429, "headers": headers}}, after="repeat"))
    token = {"CLAUDE_CODE_OAUTH_TOKEN": stage.anthropic_api_key}
    failure = (await cli.run(replace(real_turn, credentials=token), told)).failure
    assert failure is not None
    assert failure.failure_class == FailureClass.LIMIT
    assert failure.retry_at == resets_at


async def test_a_truncated_stream_is_asked_again_by_the_command_line(
    cli: ClaudeCli, real_turn: AgentTurn, stage: Stage, told: Told
) -> None:
    stage.model.play(script({"text": "Whole.", "fault": "truncate"}))
    result = await cli.run(real_turn, told)
    assert result.failure is None
    assert result.text == "Whole."


async def test_no_credential_is_an_auth_failure(cli: ClaudeCli, turn: AgentTurn, told: Told) -> None:
    failure = (await cli.run(turn, told)).failure
    assert failure is not None
    assert failure.failure_class == FailureClass.AUTH


async def test_a_model_that_cannot_be_reached_is_a_network_failure(real_turn: AgentTurn, told: Told) -> None:
    cli = ClaudeCli(lambda: CLI, SameUser(), base_url=lambda: "http://127.0.0.1:9", max_retries=1)
    failure = (await cli.run(real_turn, told)).failure
    assert failure is not None
    assert failure.failure_class == FailureClass.NETWORK


async def test_the_cost_limit_of_the_turn_is_kept(
    cli: ClaudeCli, real_turn: AgentTurn, stage: Stage, told: Told
) -> None:
    dear = {"input_tokens": 200_000, "output_tokens": 2000}
    stage.model.play(script({"tool": "Bash", "input": {"command": "echo a"}, "usage": dear}, after="repeat"))
    result = await cli.run(replace(real_turn, max_cost_usd=0.5), told)
    assert result.failure is not None
    assert result.failure.failure_class == FailureClass.BUDGET
    assert result.cost_usd > 0.5


async def test_a_model_that_hangs_is_a_stalled_turn(
    cli: ClaudeCli, real_turn: AgentTurn, stage: Stage, told: Told
) -> None:
    stage.model.play(script({"text": "Never.", "fault": "hang"}))
    result = await cli.run(replace(real_turn, stall_timeout=timedelta(seconds=2)), told)
    assert result.failure is not None
    assert result.failure.failure_class == FailureClass.STALLED
    assert processes_of(real_turn.run_id) == []


# Leaves one process in the tool's own session, one that ignores hang-ups, one that detached, and one that hides.
LEFT_BEHIND = (
    "setsid sleep 1000 & nohup sleep 1000 >/dev/null 2>&1 & (sleep 1000 &) ; "
    "echo started > ready ; env -i /bin/sleep 1000"
)


async def test_a_turn_out_of_time_leaves_no_process_whatever_session_it_hides_in(
    stand_in: StandIn, turn: AgentTurn, told: Told
) -> None:
    cli = stand_in(f"import os\nos.execvp('sh', ['sh', '-c', {LEFT_BEHIND!r}])")
    result = await cli.run(replace(turn, timeout=timedelta(seconds=2)), told)
    assert result.failure is not None
    assert result.failure.failure_class == FailureClass.TIMEOUT
    assert (turn.cwd / "ready").exists()
    assert processes_of(turn.run_id) == []
    assert working_in(turn.cwd) == []


async def test_a_cancelled_turn_leaves_no_process(
    cli: ClaudeCli, real_turn: AgentTurn, stage: Stage, told: Told
) -> None:
    stage.model.play(script({"tool": "Bash", "input": {"command": LEFT_BEHIND}}, {"text": "Never."}))
    async with anyio.create_task_group() as group:
        group.start_soon(cli.run, real_turn, told)
        await until((real_turn.cwd / "ready").exists)
        assert len(processes_of(real_turn.run_id)) >= 4
        group.cancel_scope.cancel()
    assert processes_of(real_turn.run_id) == []
    assert working_in(real_turn.cwd) == []


async def test_what_a_finished_turn_left_running_is_ended_too(
    cli: ClaudeCli, real_turn: AgentTurn, stage: Stage, told: Told
) -> None:
    command = "setsid sleep 1000 >/dev/null 2>&1 & echo left"
    stage.model.play(script({"tool": "Bash", "input": {"command": command}}, {"text": "Done."}))
    result = await cli.run(real_turn, told)
    assert result.text == "Done."
    assert processes_of(real_turn.run_id) == []


async def test_a_missing_program_says_what_to_set(turn: AgentTurn, told: Told) -> None:
    cli = ClaudeCli(lambda: "/nowhere/claude", SameUser(), base_url=lambda: None)
    for call in (cli.describe(), cli.run(turn, told)):
        with pytest.raises(StepFailed, match="cannot be started") as caught:
            await call
        assert caught.value.failure_class == FailureClass.AGENT
        assert "CLAUDE_CLI_PATH" in caught.value.next_action


def texts(body: Any) -> list[str]:
    """All text blocks of a request's messages."""
    found: list[str] = []
    for message in body["messages"]:
        content = message["content"]
        found += [content] if isinstance(content, str) else [block.get("text", "") for block in content]
    return found


def working_in(directory: Path) -> list[str]:
    """Processes whose working directory it is, also those that threw their environment away."""
    found = []
    for link in Path("/proc").glob("[0-9]*/cwd"):
        try:
            there = link.readlink() == directory
        except OSError:
            continue
        if there:
            found.append(link.parent.name)
    return found
