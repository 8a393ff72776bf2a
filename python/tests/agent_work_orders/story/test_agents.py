"""Agents as they are: lazy, untidy, talkative, denied, or asked for less than everything."""

import json
from pathlib import Path

import pytest

from src.agent_work_orders.rehearsal import Stage

from .archon import Archon
from .conftest import MakeRepository, Play, StartArchon
from .processes import processes_of
from .remote import Remote
from .scripts import FILES, WRITES_HELLO, Json, bash, executing, in_step, says

AGENTS = Path(__file__).parent / "agents"
LINES = 20_000


def test_an_agent_that_changes_nothing_completes_without_a_pull_request_and_says_so(
    archon: Archon, play: Play, remote: Remote
) -> None:
    play(executing(bash("cat README.md"), says("There is nothing to do.")))

    order = archon.file(remote.url)
    order.completed()

    assert "changed nothing" in order.events("order_finished")[0].payload["summary"]
    assert order.steps()[2:] == [("verify", "skipped"), ("commit", "skipped"), ("create-pr", "skipped")]
    assert remote.branches() == ["main"]
    assert remote.pull_requests() == []


def test_what_an_agent_takes_back_is_no_change(archon: Archon, play: Play, remote: Remote) -> None:
    play(
        executing(
            bash("echo x > x && git add x && git commit -qm x && git reset -q --hard HEAD~1"), says("Never mind.")
        )
    )

    order = archon.file(remote.url)
    order.completed()

    assert "changed nothing" in order.events("order_finished")[0].payload["summary"]
    assert remote.branches() == ["main"]


COMMITS = "echo one > one.txt && git add one.txt && git commit -qm 'Add one'"
REMOVES = "python3 -c 'import shutil; shutil.rmtree(\".git\")'"
LEAVES = "echo two > two.txt && mkdir -p deep && echo three > deep/three.txt"


@pytest.mark.parametrize(
    ("commands", "changed", "subjects"),
    [
        pytest.param([LEAVES], ["deep/three.txt", "two.txt"], ["Write."], id="leaves its work uncommitted"),
        pytest.param([COMMITS], ["one.txt"], ["Add one"], id="commits itself"),
        pytest.param(
            [COMMITS, LEAVES], ["deep/three.txt", "one.txt", "two.txt"], ["Write.", "Add one"], id="does both"
        ),
        pytest.param([f"{REMOVES} && echo one > one.txt"], ["one.txt"], ["Write."], id="removes its repository"),
    ],
)
def test_everything_that_an_agent_did_is_in_the_branch(
    archon: Archon, play: Play, remote: Remote, commands: list[str], changed: list[str], subjects: list[str]
) -> None:
    play(executing(*map(bash, commands), says("Done.")))

    done = archon.file(remote.url, "Write.").completed()
    branch = done["git_branch_name"]

    assert remote.git("diff", "--name-only", f"main..{branch}").splitlines() == changed
    assert remote.git("log", "--format=%s", f"main..{branch}").splitlines() == subjects
    assert (done["git_commit_count"], done["git_files_changed"]) == (len(subjects), len(changed))
    assert len(remote.pull_requests()) == 1


def test_an_agent_that_is_killed_fails_the_order_keeps_its_work_and_goes_on_when_it_is_retried(
    archon: Archon, play: Play, remote: Remote
) -> None:
    play(executing(bash("echo hello > hello.txt; kill -9 $PPID; sleep 4741"), says("Never said.")))
    order = archon.file(remote.url)

    failed = order.failed("agent")

    assert "signal 9" in failed["error_message"]
    assert processes_of(order.id) == {}
    assert list(order.diff()) == ["hello.txt"]
    play(executing(bash("cat hello.txt"), says("It is there.")))
    order.retry()
    order.follow(failed["last_seq"])
    assert order.now()["status"] == "completed", order.now()
    assert order.now()["agent_session_id"] == failed["agent_session_id"]


def test_twenty_thousand_lines_of_an_agent_are_all_in_the_journal_in_order_and_in_its_output(
    start_archon: StartArchon, remote: Remote
) -> None:
    archon = start_archon(CLAUDE_CLI_PATH=str(AGENTS / "talker"))
    order = archon.file(remote.url)

    # One reader loses its connection again and again, and takes it up where it was.
    seen = []
    for event in order.stream():
        seen.append(event)
        if len(seen) >= 1_000:
            break
    for after in range(1_000, LINES, 2_500):
        for event in order.stream(after):
            seen.append(event)
            if event.seq == after + 2_500:
                break
    seen += order.stream(seen[-1].seq)
    order.completed()

    assert [event.seq for event in seen] == list(range(1, order.now()["last_seq"] + 1))
    said = [event.payload["text"] for event in seen if event.kind == "agent_spoke"]
    assert said == [f"line {number}" for number in range(1, LINES + 1)]
    kept = order.artifacts()["outputs-1-2-execute.jsonl"]
    assert kept.count('"text":"line ') == LINES
    assert [event.seq for event in order.events()] == [event.seq for event in seen]


def test_a_denied_tool_is_shown_in_the_step_although_the_agent_calls_it_a_success(
    archon: Archon, play: Play, remote: Remote
) -> None:
    outside: Json = {"tool": "Write", "input": {"file_path": "/etc/awo-denied", "content": "x"}}
    play(executing(bash("echo hello > hello.txt"), outside, says("Written.")))

    order = archon.file(remote.url)
    order.completed()

    [step] = [event for event in order.events("step_finished") if event.payload["step_name"] == "execute"]
    assert step.payload["permission_denials"] == ["Write(/etc/awo-denied)"]
    assert not Path("/etc/awo-denied").exists()
    assert any(event.payload["is_error"] for event in order.events("tool_returned"))


def test_programs_that_a_repository_or_an_agent_planted_are_run_by_nobody(
    archon: Archon, play: Play, make_repository: MakeRepository, tmp_path: Path
) -> None:
    proof = tmp_path / "it-was-run"
    hook: Json = {"type": "command", "command": f"touch {proof}"}
    settings: Json = {"hooks": {event: [{"hooks": [hook]}] for event in ("SessionStart", "PreToolUse", "Stop")}}
    server = {"mcpServers": {"planted": {"command": "touch", "args": [str(proof)]}}}
    remote = make_repository({**FILES, ".claude/settings.json": json.dumps(settings), ".mcp.json": json.dumps(server)})
    options = ("core.fsmonitor", "core.sshCommand", "core.pager", "core.editor", "diff.external", "gpg.program",
               "credential.helper", "filter.bad.clean", "filter.bad.smudge", "filter.bad.process")  # fmt: skip
    hooks = "pre-commit post-commit pre-push post-checkout reference-transaction post-index-change"
    plant = [
        "echo hello > hello.txt",
        f"printf '#!/bin/sh\\ntouch {proof}\\n' > .git/evil; chmod +x .git/evil",
        f"for hook in {hooks}; do cp .git/evil .git/hooks/$hook; done",
        "echo '* filter=bad' > .git/info/attributes; echo '* filter=bad' > .gitattributes",
        *(f'git config {name} "$PWD/.git/evil"' for name in options),
    ]
    # The last of the agent's words with git: whatever runs afterwards, the server ran.
    play(executing(bash("; ".join([*plant, f"rm -f {proof}"])), says("Planted.")))

    order = archon.file(remote.url)
    branch = order.completed()["git_branch_name"]

    assert remote.read(branch, "hello.txt") == "hello"
    planted = archon.home / "repositories" / order.id / remote.name / ".git" / "hooks" / "pre-push"
    assert str(proof) in planted.read_text()
    assert not proof.exists()


def test_a_plan_alone_changes_and_pushes_nothing(archon: Archon, play: Play, remote: Remote) -> None:
    # The planning agent has no tool that could write, whatever it tries.
    play(in_step("planning", bash("echo x > planned.txt"), says("# The plan\n\nDo it.")))

    order = archon.file(remote.url, workflow_type="plan_only")
    done = order.completed()

    assert order.steps() == [("planning", "completed")]
    assert done["steps"][0]["output"] == "# The plan\n\nDo it."
    assert order.diff() == {}
    assert remote.branches() == ["main"]
    assert remote.pull_requests() == []


def test_only_the_selected_steps_are_taken_and_verification_is_not_a_choice(
    archon: Archon, play: Play, remote: Remote
) -> None:
    play(WRITES_HELLO)
    chosen = ["create-branch", "execute", "commit"]

    order = archon.file(remote.url, workflow_type="agent_workflow_plan", selected_commands=chosen)
    done = order.completed()

    assert order.steps() == [(name, "completed") for name in ("create-branch", "execute", "verify", "commit")]
    assert remote.read(done["git_branch_name"], "hello.txt") == "hello"
    assert remote.pull_requests() == []


def test_an_order_that_costs_too_much_stops_and_keeps_its_work(archon: Archon, play: Play, remote: Remote) -> None:
    dear = {"usage": {"input_tokens": 100_000, "output_tokens": 100_000}}
    play(executing(bash("echo hello > hello.txt"), bash("echo more > more.txt", **dear), says("Done.")))

    order = archon.file(remote.url, max_cost_usd=0.5)
    failed = order.failed("budget")

    assert failed["cost_usd"] > 0.5
    assert "hello.txt" in order.diff()
    assert remote.branches() == ["main"]


def test_the_model_and_the_issue_that_an_order_names_reach_the_agent(
    archon: Archon, stage: Stage, play: Play, remote: Remote
) -> None:
    number = stage.github.add_issue(remote.owner, remote.name, "Hello is missing", "It should say *hello*.")
    play(WRITES_HELLO)

    order = archon.file(remote.url, model="claude-haiku-5-5", github_issue_number=number)
    order.completed()

    assert "It should say *hello*." in order.artifacts()["prompts-1-2-execute.md"]
    assert {event.payload["model"] for event in order.events("agent_started")} == {"claude-haiku-5-5"}
    [pull_request] = remote.pull_requests()
    assert f"Closes #{number}" in (pull_request.body or "")
