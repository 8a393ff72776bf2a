"""The tools as agents use them: over the wire, with the library's own client and with Claude Code itself."""

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import httpx
import pytest
from mcp import Client

from src.agent_work_orders.rehearsal import Stage
from tests.agent_work_orders.story.archon import CLAUDE, Archon, running_archon
from tests.agent_work_orders.story.conftest import Play
from tests.agent_work_orders.story.remote import Remote
from tests.agent_work_orders.story.scripts import WRITES_HELLO, Json, bash, executing, says

pytestmark = pytest.mark.anyio

OPENING = {
    "jsonrpc": "2.0",
    "id": 1,
    "method": "initialize",
    "params": {
        "protocolVersion": "2025-06-18",
        "capabilities": {},
        "clientInfo": {"name": "a test", "version": "1"},
    },
}
ACCEPTED = {"Accept": "application/json, text/event-stream"}


async def call(client: Client, tool: str, **arguments: Any) -> dict[str, Any]:
    """What a tool answered."""
    answer = await client.call_tool(tool, arguments)
    assert not answer.is_error, answer
    [content] = answer.content
    assert content.type == "text"
    found: dict[str, Any] = json.loads(content.text)
    return found


async def test_an_agent_files_an_order_waits_and_gets_the_pull_request(
    mcp_address: str, remote: Remote, play: Play
) -> None:
    play(WRITES_HELLO)
    async with Client(mcp_address) as client:
        filed = await call(
            client,
            "manage_work_order",
            action="create",
            repository_url=remote.url,
            user_request="Write hello.txt.",
            workflow_type="quick_fix",
        )
        assert filed["success"]
        order = filed["work_order"]
        calls = 0
        while order["status"] not in ("completed", "failed"):
            calls += 1
            answer = await call(
                client,
                "find_work_orders",
                work_order_id=order["agent_work_order_id"],
                wait_seconds=45,
                after_seq=order["last_seq"],
            )
            assert answer["work_order"]["last_seq"] > order["last_seq"]  # it came back because something had changed
            order = answer["work_order"]
        assert order["status"] == "completed"
        assert calls < 15
        [pull_request] = remote.pull_requests()
        assert order["github_pull_request_url"].endswith(f"/pull/{pull_request.number}")
        assert [step["status"] for step in order["steps"]] == ["completed"] * len(order["steps"])

        events = await call(client, "find_work_order_events", work_order_id=order["agent_work_order_id"])
        assert events["events"][-1]["kind"] == "order_finished"
        assert events["last_seq"] == order["last_seq"]
        checks = await call(
            client, "find_work_order_events", work_order_id=order["agent_work_order_id"], kind="check_run"
        )
        assert [event["payload"]["exit_code"] for event in checks["events"]] == [0]

        listed = await call(client, "find_work_orders", filter_by="repository", filter_value=remote.url)
        assert [one["agent_work_order_id"] for one in listed["work_orders"]] == [order["agent_work_order_id"]]
        gone = await call(client, "manage_work_order", action="delete", work_order_id=order["agent_work_order_id"])
        assert gone["success"]


async def test_what_goes_wrong_says_what_to_do_next(mcp_address: str) -> None:
    async with Client(mcp_address) as client:
        wrong = await call(client, "manage_work_order", action="explode")
        assert (wrong["success"], wrong["error"]["type"]) == (False, "invalid_action")
        missing = await call(client, "manage_work_order", action="cancel")
        assert missing["error"] == {"type": "missing_data", "message": "cancel needs work_order_id."}
        refused = await call(
            client, "manage_work_order", action="create", repository_url="ftp://example.com/a/b", user_request="x"
        )
        assert refused["error"]["type"] == "validation_error"
        assert [one["field"] for one in refused["error"]["details"]["fields"]] == ["repository_url"]
        unknown = await call(client, "find_work_orders", work_order_id="wo-none")
        assert (unknown["error"]["type"], unknown["error"]["http_status"]) == ("not_found", 404)
        escaped = await call(client, "find_work_orders", work_order_id="../settings")
        assert escaped["success"] is False


async def test_a_wait_ends_when_its_time_is_over(mcp_address: str, archon: Archon, remote: Remote, play: Play) -> None:
    play({**WRITES_HELLO, "turns": [{"text": "Never said.", "gate": "for ever"}]})
    order = archon.file(remote.url)
    order.until("agent_started")
    seen = order.now()["last_seq"]
    async with Client(mcp_address) as client:
        answer = await call(client, "find_work_orders", work_order_id=order.id, wait_seconds=1, after_seq=seen)
        assert answer["work_order"]["status"] == "running"
        cancelled = await call(client, "manage_work_order", action="cancel", work_order_id=order.id)
        assert cancelled["success"]
    assert order.ended()["status"] == "cancelled"


async def test_the_tools_say_what_they_are_for(mcp_address: str) -> None:
    async with Client(mcp_address) as client:
        tools = {tool.name: tool for tool in (await client.list_tools()).tools}
        assert set(tools) == {
            "find_work_orders",
            "manage_work_order",
            "find_work_order_events",
            "find_repositories",
        }
        for tool in tools.values():
            assert tool.description
            assert all(word in tool.description for word in ("Args:", "Returns:", "Examples:"))


@pytest.mark.parametrize(
    "header", [{"Host": "evil.example"}, {"Origin": "http://evil.example"}], ids=["host", "origin"]
)
def test_a_name_that_is_not_ours_gets_nothing(mcp_address: str, header: dict[str, str]) -> None:
    answer = httpx.post(mcp_address, json=OPENING, headers={**ACCEPTED, **header})
    assert answer.status_code in (403, 421)
    assert "find_work_orders" not in answer.text
    assert httpx.post(mcp_address, json=OPENING, headers=ACCEPTED).status_code == 200


def test_an_agent_of_ours_is_offered_the_tools_where_the_operator_wants_it(
    mcp_address: str, stage: Stage, remote: Remote, play: Play, tmp_path: Path
) -> None:
    asking = {"action": "cancel", "work_order_id": "wo-0000000000000000"}
    play(
        executing(
            {"tool": "mcp__archon__manage_work_order", "input": asking},
            bash("echo hello > hello.txt"),
            says("I asked Archon."),
        )
    )
    with running_archon(tmp_path / "home", stage, {"AWO_AGENT_MCP_URL": mcp_address}) as archon:
        order = archon.file(remote.url)
        order.completed()
        [returned] = [event for event in order.events("tool_returned") if "success" in event.payload["output"]]
        assert "not_found" in returned.payload["output"]


def test_claude_code_files_an_order_waits_reads_its_events_and_gets_the_pull_request(
    mcp_address: str, stage: Stage, remote: Remote, play: Play, tmp_path: Path
) -> None:
    filing = {
        "action": "create",
        "repository_url": remote.url,
        "user_request": "Write hello.txt.",
        "workflow_type": "quick_fix",
        "idempotency_key": remote.url,
    }
    of_the_order = {"work_order_id": "{{group.order}}"}
    files: Json = {
        "name": "files",
        "match": "Have Archon do it.",
        "turns": [{"tool": "mcp__archon__manage_work_order", "input": filing}, {"text": "{{last_tool_result}}"}],
        "after": "stop",
    }
    follows: Json = {
        "name": "follows",
        "match": "What became of (?P<order>wo-[0-9a-f]+)",
        "turns": [
            # Each comes back at the next change, and at once when there will be none: an order has about ten.
            *[{"tool": "mcp__archon__find_work_orders", "input": {**of_the_order, "wait_seconds": 45}}] * 15,
            {
                "tool": "mcp__archon__find_work_order_events",
                "input": {**of_the_order, "kind": "pull_request_opened"},
            },
            {"text": "{{last_tool_result}}"},
        ],
        "after": "stop",
    }
    play(files, follows, WRITES_HELLO)

    def claude(prompt: str) -> dict[str, Any]:
        """What the last tool answered, which the scripted model says at the end."""
        told = json.loads(told_by_claude(prompt, mcp_address, stage, tmp_path))
        found: dict[str, Any] = json.loads(told["result"])  # a tool's text, as the program passes it on
        assert found["success"], found
        return found

    order_id = claude("Have Archon do it.")["work_order"]["agent_work_order_id"]
    [event] = claude(f"What became of {order_id}?")["events"]

    [made] = remote.pull_requests()
    assert made.state == "open"
    assert event["payload"]["url"].endswith(f"/pull/{made.number}")


def told_by_claude(prompt: str, mcp_address: str, stage: Stage, home: Path) -> str:
    """The real program with our MCP server and the scripted model: its last words."""
    configuration = home / "mcp.json"
    configuration.write_text(json.dumps({"mcpServers": {"archon": {"type": "http", "url": mcp_address}}}))
    command = [
        os.environ.get("CLAUDE_CLI_PATH", str(CLAUDE)), "-p", prompt, "--output-format", "json",
        "--mcp-config", str(configuration), "--strict-mcp-config", "--allowedTools", "mcp__archon",
    ]  # fmt: skip
    said = subprocess.run(
        command,
        cwd=home,
        env={"PATH": os.environ["PATH"], "HOME": str(home), **stage.environment()},
        capture_output=True,
        text=True,
        timeout=90,
        stdin=subprocess.DEVNULL,
    )
    assert said.returncode == 0, said.stdout + said.stderr
    result: str = json.loads(said.stdout)["result"]
    return result
