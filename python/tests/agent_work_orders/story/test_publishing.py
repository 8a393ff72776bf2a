"""The last metres: remotes and forges that refuse, are slow, or have been there before."""

import httpx
import pytest

from src.agent_work_orders.rehearsal import Stage

from .archon import Archon
from .conftest import Play
from .remote import Remote
from .scripts import WRITES_HELLO, executing, says


@pytest.fixture(autouse=True)
def agent_writes_hello(play: Play) -> None:
    play(WRITES_HELLO)


def test_a_rejected_push_is_a_conflict_in_the_remote_s_words_and_a_retry_publishes_it(
    archon: Archon, stage: Stage, play: Play, remote: Remote
) -> None:
    stage.repositories.reject_pushes(remote.owner, remote.name, "error: GH006: Protected branch update failed.")
    order = archon.file(remote.url)

    failed = order.failed("conflict")

    assert "GH006" in failed["error_message"]
    assert remote.branches() == ["main"]
    assert remote.pull_requests() == []
    assert list(order.diff()) == ["hello.txt"]

    stage.repositories.accept_pushes(remote.owner, remote.name)
    play(executing(says("Nobody should ask me.")))
    asked = len(stage.model.requests)
    order.retry()
    order.follow(failed["last_seq"])

    assert order.now()["status"] == "completed", order.now()
    assert len(stage.model.requests) == asked
    assert len(remote.pull_requests()) == 1


def test_a_branch_of_somebody_else_s_is_never_overwritten(
    archon: Archon, stage: Stage, play: Play, remote: Remote
) -> None:
    gate = f"taken-{remote.name}"
    play(executing(WRITES_HELLO["turns"][0], says("Written.", gate=gate)))
    order = archon.file(remote.url)
    order.at_gate(gate)
    branch = order.now()["git_branch_name"]
    tree = remote.git("rev-parse", "main^{tree}")
    theirs = remote.git("-c", "user.name=a", "-c", "user.email=a@b", "commit-tree", tree, "-m", "Theirs")
    remote.git("update-ref", f"refs/heads/{branch}", theirs)
    stage.model.release(gate)

    order.failed("conflict")

    assert remote.commit(branch) == theirs


def test_a_pull_request_that_is_already_there_is_found_and_not_made_twice(
    archon: Archon, stage: Stage, remote: Remote
) -> None:
    stage.github.answer("POST", remote.api("/pulls"), 403)
    order = archon.file(remote.url)
    failed = order.failed("auth")
    # The branch is pushed; somebody opens the pull request by hand, under another title.
    body = {"title": "By hand", "head": failed["git_branch_name"], "base": "main"}
    headers = {"authorization": f"Bearer {stage.github_token}"}
    httpx.post(f"{stage.github_api_url}{remote.api('/pulls')}", json=body, headers=headers).raise_for_status()

    order.retry()
    order.follow(failed["last_seq"])

    done = order.now()
    assert done["status"] == "completed", done
    [pull_request] = remote.pull_requests()
    assert pull_request.title == "By hand"
    assert done["github_pull_request_url"].endswith(f"/pull/{pull_request.number}")
    [told] = order.events("pull_request_opened")
    assert told.payload["created"] is False


@pytest.mark.parametrize(
    ("status", "failure_class", "words"),
    [
        pytest.param(401, "auth", "valid token", id="401"),
        pytest.param(403, "auth", "rights", id="403"),
        pytest.param(404, "auth", "access", id="404"),
        pytest.param(422, "conflict", "base branch", id="422"),
    ],
)
def test_a_refusal_of_github_s_fails_the_order_with_what_a_person_can_do(
    archon: Archon, stage: Stage, remote: Remote, status: int, failure_class: str, words: str
) -> None:
    stage.github.answer("POST", remote.api("/pulls"), status, message="So says the forge.")

    order = archon.file(remote.url)
    failed = order.failed(failure_class)

    assert words in failed["next_action"]
    assert order.steps()[-1] == ("create-pr", "failed")
    # The branch is there, so that a retry has only the pull request left to open.
    assert remote.read(failed["git_branch_name"], "hello.txt") == "hello"
    order.retry()
    order.follow(failed["last_seq"])
    assert order.now()["status"] == "completed"
    assert len(remote.pull_requests()) == 1


def test_github_s_secondary_rate_limit_lets_the_order_wait_and_go_on_by_itself(
    archon: Archon, stage: Stage, remote: Remote
) -> None:
    stage.github.limit_secondarily("POST", remote.api("/pulls"), retry_after=1)

    order = archon.file(remote.url)
    waited = order.until("order_waiting")
    order.completed()

    assert (waited.payload["reason"], bool(waited.payload["until"])) == ("usage_limit", True)
    assert "by itself" in waited.payload["next_action"]
    kinds = [event.kind for event in order.events()]
    assert kinds.index("order_waiting") < kinds.index("order_resumed") < kinds.index("pull_request_opened")
    assert kinds.count("branch_pushed") == 1
    assert order.now()["attempt"] == 1
    assert len(remote.pull_requests()) == 1


def test_a_forge_that_stumbles_once_is_asked_again(archon: Archon, stage: Stage, remote: Remote) -> None:
    stage.github.answer("POST", remote.api("/pulls"), 502)

    archon.file(remote.url).completed()

    assert len(remote.pull_requests()) == 1
