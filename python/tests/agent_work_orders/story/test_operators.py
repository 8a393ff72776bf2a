"""What an operator says of repositories and workflows, on a running server: no restart, and orders keep to it."""

from pathlib import Path

from src.agent_work_orders.rehearsal import Stage

from .archon import Archon, Json, eventually
from .conftest import MakeRepository, Play, StartArchon
from .remote import Remote
from .scripts import bash, executing, in_step, says

WORKFLOW = """\
name: docs
explanation: Writes documentation.
branch_prefix: docs/
steps:
  - create-branch
  - step: write-docs
  - verify
  - commit
  - create-pr
"""


def configure(archon: Archon, url: str, **options: object) -> Json:
    answer = archon.client.post("/repositories", json={"repository_url": url, "options": options})
    assert answer.status_code == 201, answer.text
    body: Json = answer.json()
    return body


def workflows(archon: Archon) -> Json:
    found: Json = archon.client.get("/workflows").json()
    return found


def test_a_repository_is_configured_verified_used_and_forgotten(
    archon: Archon, play: Play, make_repository: MakeRepository
) -> None:
    remote = make_repository()
    made = configure(
        archon, remote.url, workflow_type="quick_fix", verify_command="test -f hello.txt", base_branch="main"
    )
    address = f"/repositories/{made['repository_id']}"
    verified = archon.client.post(f"{address}/verify").json()
    assert (verified["is_verified"], verified["default_branch"]) == (True, "main"), verified
    assert {"repository", "contents", "pull_requests", "base_branch"} <= {
        check["name"] for check in verified["verification"]["checks"]
    }
    assert verified["mirror"] is None

    play(executing(bash("echo hello > hello.txt"), says("Done.")))
    answer = archon.client.post("/work-orders", json={"repository_url": remote.url, "user_request": "Say hello."})
    order = archon.order(answer.json()["agent_work_order_id"])
    assert order.completed()["workflow_type"] == "quick_fix"
    (evidence,) = order.events("check_run")
    assert (evidence.payload["command"], evidence.payload["source"]) == (
        "test -f hello.txt", "the repository's settings",
    )  # fmt: skip
    shown = archon.client.get(address).json()
    assert shown["mirror"]["size_bytes"] > 0
    assert shown["mirror"]["last_fetched_at"]

    assert archon.client.delete(address).status_code == 204
    assert archon.client.get(address).status_code == 404
    assert order.now()["status"] == "completed"


def test_a_repository_that_the_token_does_not_reach_is_told_so(archon: Archon, stage: Stage, remote: Remote) -> None:
    made = configure(archon, f"http://{stage.git_host}/story/there-is-none")
    told = archon.client.post(f"/repositories/{made['repository_id']}/verify").json()
    assert told["is_verified"] is False
    bad = [check for check in told["verification"]["checks"] if not check["ok"]]
    assert bad
    assert all(check["next_action"] for check in bad)
    assert stage.github_token not in str(told)


def test_a_limit_of_nought_pauses_a_repository_and_raising_it_lets_its_orders_start(
    archon: Archon, play: Play, make_repository: MakeRepository
) -> None:
    paused, free = make_repository(), make_repository()
    made = configure(archon, paused.url, max_concurrent=0)
    play(executing(bash("echo hello > hello.txt"), says("Done.")))
    waits = archon.file(paused.url)
    archon.file(free.url).completed()
    assert waits.now()["status"] == "pending"
    changed = archon.client.patch(
        f"/repositories/{made['repository_id']}",
        json={"options": {"max_concurrent": None}},
        headers={"If-Match": str(made["version"])},
    )
    assert changed.status_code == 200, changed.text
    waits.completed()


def test_a_workflow_is_added_changed_broken_and_taken_away_while_the_server_runs(
    start_archon: StartArchon, play: Play, make_repository: MakeRepository, tmp_path: Path
) -> None:
    config = tmp_path / "home" / "config"
    (config / "workflows").mkdir(parents=True)
    (config / "commands").mkdir()
    (config / "commands" / "write-docs.md").write_text('<awo-step name="write-docs">{{user_request}}</awo-step>')
    archon = start_archon()
    assert "docs" not in {one["name"] for one in workflows(archon)["workflows"]}

    path = config / "workflows" / "docs.yaml"
    path.write_text(WORKFLOW)
    eventually(lambda: "docs" in {one["name"] for one in workflows(archon)["workflows"]}, within=5)
    play(in_step("write-docs", bash("echo docs > docs.md"), says("Written.")))
    order = archon.file(make_repository().url, workflow_type="docs")
    done = order.completed()
    assert done["git_branch_name"].startswith("docs/")
    assert [name for name, _ in order.steps()] == ["create-branch", "write-docs", "verify", "commit", "create-pr"]
    assert done["github_pull_request_url"]

    path.write_text(WORKFLOW.replace("  - verify\n", ""))
    eventually(lambda: workflows(archon)["problems"], within=5)
    [check] = [one for one in archon.client.get("/health").json()["checks"] if one["name"] == "workflows"]
    assert not check["ok"]
    assert f"{path}:7: commit needs verify before it" in check["detail"]
    assert "docs" in {one["name"] for one in workflows(archon)["workflows"]}, "the last good one stays in force"

    path.unlink()
    eventually(lambda: "docs" not in {one["name"] for one in workflows(archon)["workflows"]}, within=5)
    assert workflows(archon)["problems"] == []
    refused = archon.client.post(
        "/work-orders", json={"repository_url": "https://x/y/z", "user_request": "x", "workflow_type": "docs"}
    )
    assert refused.status_code == 422
    assert order.now()["workflow_type"] == "docs"
    assert done["agent_work_order_id"] in {one["agent_work_order_id"] for one in archon.orders()}


def test_an_issues_title_can_be_looked_up(archon: Archon, stage: Stage, remote: Remote) -> None:
    number = stage.github.add_issue(remote.owner, remote.name, "The parser falls over")
    found = archon.client.get("/issues", params={"repository_url": remote.url, "number": str(number)})
    assert found.json()["title"] == "The parser falls over"
    missing = archon.client.get("/issues", params={"repository_url": remote.url, "number": str(number + 1)})
    assert missing.status_code == 404
