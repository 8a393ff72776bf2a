"""The README as a test: a request in words becomes a pull request, and everything about it can be read back."""

from src.agent_work_orders.rehearsal import Stage, sample
from src.agent_work_orders.rehearsal.scenario import Scenario

from .archon import Archon, eventually
from .conftest import MakeRepository
from .processes import processes_of


def test_a_request_in_words_becomes_a_verified_pull_request(
    archon: Archon, stage: Stage, make_repository: MakeRepository
) -> None:
    remote = make_repository(dict(sample.FILES))
    stage.model.play(Scenario.default())

    # Somebody files a request and watches.
    order = archon.file(remote.url, sample.REQUEST, workflow_type="agent_workflow_plan")
    events = order.follow()

    # It went through all steps, one after the other, in one session of the agent.
    done = order.now()
    assert done["status"] == "completed"
    assert order.steps() == [
        ("create-branch", "completed"),
        ("planning", "completed"),
        ("execute", "completed"),
        ("prp-review", "completed"),
        ("verify", "completed"),
        ("commit", "completed"),
        ("create-pr", "completed"),
    ]
    sessions = {event.payload["session_id"] for event in events if event.kind == "agent_started"}
    assert sessions == {done["agent_session_id"]}
    kinds = [event.kind for event in events]
    assert kinds[:2] == ["order_enqueued", "order_claimed"]
    assert {"agent_spoke", "tool_used", "tool_returned", "usage_counted", "checkpoint_saved"} <= set(kinds)
    # What they saw live is what the journal holds.
    assert order.events() == events

    # The server itself ran the repository's check, on the very commit that it pushed.
    [checked] = order.events("check_run")
    assert (checked.payload["command"], checked.payload["exit_code"]) == ("make test", 0)
    assert "Ran 5 tests" in checked.payload["output_tail"]
    branch = done["git_branch_name"]
    assert remote.commit(branch) == checked.payload["commit"]
    assert kinds.index("check_run") < kinds.index("branch_pushed") < kinds.index("pull_request_opened")

    # The remote has the change on a branch of its own, and nothing else of ours.
    assert remote.git("diff", "--name-only", f"main..{branch}").splitlines() == [
        "README.md",
        "greeter/__init__.py",
        "greeter/__main__.py",
        "tests/test_greet.py",
    ]
    assert remote.git("rev-list", "--count", "main") == "1"
    assert f"Work-Order: {order.id}" in remote.git("log", "-1", "--format=%B", branch)

    # The forge has one pull request, which says what was asked, planned, changed and proved.
    [pull_request] = remote.pull_requests()
    assert (pull_request.head, pull_request.base, pull_request.state) == (branch, "main", "open")
    assert pull_request.head_sha == checked.payload["commit"]
    assert done["github_pull_request_url"].endswith(f"/{remote.owner}/{remote.name}/pull/{pull_request.number}")
    assert pull_request.body is not None
    for words in ("Add a --language option", "Plan: greet in several languages", "`make test`", "4 files", order.id):
        assert words in pull_request.body

    # What it cost is the sum of its turns, each counted once.
    counted = order.events("usage_counted")
    assert len(counted) == 3
    assert done["cost_usd"] == round(sum(event.payload["cost_usd"] for event in counted), 6)
    assert done["output_tokens"] == sum(event.payload["output_tokens"] for event in counted)

    # Every prompt, every word of the agent's and all evidence was kept.
    kept = order.artifacts()
    assert sample.REQUEST in kept["prompts-1-2-planning.md"]
    assert '"type":"result"' in kept["outputs-1-3-execute.jsonl"]
    assert "OK" in kept["outputs-1-5-check-1.log"]
    assert set(order.diff()) == {"README.md", "greeter/__init__.py", "greeter/__main__.py", "tests/test_greet.py"}

    # And the server is free for the next one.
    eventually(lambda: archon.client.get("/status").json()["worker"]["busy"] == 0)
    assert processes_of(order.id) == {}
