from collections.abc import Callable
from typing import Any

import httpx
import pytest

from src.agent_work_orders.rehearsal import Stage

from .conftest import Git

PULLS = "/repos/rehearsal/greeter/pulls"
Push = Callable[[Stage, str], str]


def opening(head: str, **more: Any) -> dict[str, Any]:
    return {"title": "Add words", "head": head, "base": "main", "body": "Why not?", **more}


def test_a_repository_has_github_s_shape_and_its_real_default_branch(stage: Stage, github: httpx.Client) -> None:
    stage.add_repository("someone", "things", {"a": "b"}, "trunk")

    response = github.get("/repos/someone/things")

    assert response.status_code == 200
    assert response.json()["default_branch"] == "trunk"
    assert response.json()["full_name"] == "someone/things"
    assert response.json()["permissions"]["push"] is True
    assert response.headers["x-ratelimit-limit"] == "5000"
    assert int(response.headers["x-ratelimit-remaining"]) < 5000
    assert response.headers["x-awo-rehearsal"] == "true"


def test_a_wrong_token_is_refused_where_a_stranger_is_not(stage: Stage, github: httpx.Client) -> None:
    wrong = github.get("/repos/rehearsal/greeter", headers={"authorization": "Bearer wrong"})
    stranger = httpx.get(f"{stage.github_api_url}/repos/rehearsal/greeter")
    writing = httpx.post(f"{stage.github_api_url}{PULLS}", json=opening("topic"))

    assert (wrong.status_code, wrong.json()["message"]) == (401, "Bad credentials")
    assert stranger.json()["permissions"]["push"] is False
    assert (writing.status_code, writing.json()["message"]) == (401, "Requires authentication")
    assert [request.authorized for request in stage.github.requests] == [False, False, False]


def test_the_user_says_whose_token_it_is(stage: Stage, github: httpx.Client) -> None:
    assert github.get("/user").json()["login"] == "rehearsal-bot"
    assert github.get("/user").headers["x-oauth-scopes"] == "repo"
    assert httpx.get(f"{stage.github_api_url}/user").status_code == 401


def test_what_does_not_exist_is_not_found(stage: Stage, github: httpx.Client) -> None:
    stage.add_repository("someone", "private", {"a": "b"}, private=True)
    paths = ("/repos/some/thing", "/repos/rehearsal/greeter/issues/7", f"{PULLS}/7", "/nothing", "/repositories/1")

    for path in paths:
        response = github.get(path)
        assert (response.status_code, response.json()["message"]) == (404, "Not Found")
    assert github.get("/repos/someone/private").status_code == 200
    assert httpx.get(f"{stage.github_api_url}/repos/someone/private").status_code == 404


def test_an_issue_has_its_words(stage: Stage, github: httpx.Client) -> None:
    number = stage.github.add_issue("rehearsal", "greeter", "It only speaks English", "Bonjour?")

    issue = github.get(f"/repos/rehearsal/greeter/issues/{number}").json()

    assert (issue["title"], issue["body"], issue["state"]) == ("It only speaks English", "Bonjour?", "open")


def test_a_pull_request_is_opened_found_read_and_changed(stage: Stage, github: httpx.Client, push_branch: Push) -> None:
    commit = push_branch(stage, "topic/one")

    opened = github.post(PULLS, json=opening("topic/one", draft=True))
    number = opened.json()["number"]
    listed = github.get(PULLS, params={"head": "rehearsal:topic/one", "base": "main", "state": "open"})
    changed = github.patch(f"{PULLS}/{number}", json={"title": "Add better words", "state": "closed"})

    assert opened.status_code == 201
    assert opened.json()["head"] | {"user": 0, "repo": 0} == {
        "label": "rehearsal:topic/one",
        "ref": "topic/one",
        "sha": commit,
        "user": 0,
        "repo": 0,
    }
    assert (opened.json()["commits"], opened.json()["additions"], opened.json()["changed_files"]) == (1, 2, 1)
    assert (opened.json()["draft"], opened.json()["merged"]) == (True, False)
    assert opened.json()["html_url"] == f"{stage.base_url}/rehearsal/greeter/pull/{number}"
    assert [one["number"] for one in listed.json()] == [number]
    assert (changed.json()["title"], changed.json()["state"]) == ("Add better words", "closed")
    assert github.get(PULLS).json() == []
    assert github.get(PULLS, params={"state": "all", "head": "rehearsal:other"}).json() == []
    assert github.get(f"{PULLS}/{number}").json()["closed_at"] is not None
    assert github.get(f"/repos/rehearsal/greeter/issues/{number}").json()["pull_request"]["url"].endswith(str(number))
    assert [one.state for one in stage.github.pull_requests("rehearsal", "greeter")] == ["closed"]


def test_a_pull_request_follows_its_branch(stage: Stage, github: httpx.Client, push_branch: Push, git: Git) -> None:
    first = push_branch(stage, "topic")
    number = github.post(PULLS, json=opening("topic")).json()["number"]
    git("-C", "checkout-topic", "commit", "--quiet", "--allow-empty", "-m", "More")
    git("-C", "checkout-topic", "push", "--quiet", "origin", "HEAD:topic", token=stage.github_token)

    second = github.get(f"{PULLS}/{number}").json()

    assert second["head"]["sha"] != first
    assert second["commits"] == 2


def test_a_second_pull_request_of_a_branch_is_refused_as_github_does(
    stage: Stage, github: httpx.Client, push_branch: Push
) -> None:
    push_branch(stage, "topic")
    github.post(PULLS, json=opening("topic"))

    again = github.post(PULLS, json=opening("rehearsal:topic"))

    assert again.status_code == 422
    assert again.json()["message"] == "Validation Failed"
    message = "A pull request already exists for rehearsal:topic."
    assert again.json()["errors"] == [{"resource": "PullRequest", "code": "custom", "message": message}]


@pytest.mark.parametrize(
    ("wrong", "error"),
    [
        ({"head": "absent"}, {"resource": "PullRequest", "field": "head", "code": "invalid"}),
        ({"base": "absent"}, {"resource": "PullRequest", "field": "base", "code": "invalid"}),
        ({"title": ""}, {"resource": "PullRequest", "field": "title", "code": "missing_field"}),
        (
            {"head": "main"},
            {"resource": "PullRequest", "code": "custom", "message": "No commits between main and main"},
        ),
        (
            {"body": "x" * 65537},
            {
                "resource": "PullRequest",
                "code": "custom",
                "message": "body is too long (maximum is 65536 characters)",
            },
        ),
    ],
)
def test_a_pull_request_that_cannot_be_is_refused_with_the_reason(
    stage: Stage, github: httpx.Client, push_branch: Push, wrong: dict[str, str], error: dict[str, str]
) -> None:
    push_branch(stage, "topic")

    response = github.post(PULLS, json=opening("topic") | wrong)

    assert response.status_code == 422
    assert response.json()["errors"] == [error]


def test_a_body_that_is_no_json_is_refused(github: httpx.Client) -> None:
    assert github.post(PULLS, content=b"{").status_code == 400


def test_a_prepared_answer_comes_as_often_as_it_was_told(stage: Stage, github: httpx.Client) -> None:
    stage.github.answer("GET", "/repos/.*", 403, message="Resource not accessible by personal access token", times=2)

    responses = [github.get("/repos/rehearsal/greeter") for _ in range(3)]

    assert [response.status_code for response in responses] == [403, 403, 200]
    assert responses[0].json()["message"] == "Resource not accessible by personal access token"
    assert [request.status for request in stage.github.requests] == [403, 403, 200]


def test_both_rate_limits_look_as_github_s(stage: Stage, github: httpx.Client) -> None:
    stage.github.limit_secondarily("POST", PULLS, retry_after=3)
    stage.github.exhaust_limit("GET", "/user", reset_at=1_900_000_000)

    secondary, primary = github.post(PULLS, json=opening("topic")), github.get("/user")

    assert (secondary.status_code, secondary.headers["retry-after"]) == (403, "3")
    assert "secondary rate limit" in secondary.json()["message"]
    assert primary.headers["x-ratelimit-remaining"] == "0"
    assert primary.headers["x-ratelimit-reset"] == "1900000000"


def test_a_renamed_repository_redirects_and_keeps_its_pull_requests(
    stage: Stage, github: httpx.Client, push_branch: Push
) -> None:
    push_branch(stage, "topic")
    github.post(PULLS, json=opening("topic"))
    stage.repositories.rename("rehearsal", "greeter", "welcomer")

    moved = github.get("/repos/rehearsal/greeter")
    followed = github.get("/repos/rehearsal/greeter", follow_redirects=True)

    assert (moved.status_code, moved.json()["message"]) == (301, "Moved Permanently")
    assert followed.json()["full_name"] == "rehearsal/welcomer"
    assert len(github.get("/repos/rehearsal/welcomer/pulls").json()) == 1


def test_the_token_is_kept_in_no_record(stage: Stage, github: httpx.Client) -> None:
    github.get("/user")

    assert stage.github_token not in repr(stage.github.requests)
