from collections.abc import Callable

import httpx

from src.agent_work_orders.rehearsal import Stage


def test_the_link_of_a_pull_request_opens_a_page_that_says_what_it_is(
    stage: Stage, github: httpx.Client, push_branch: Callable[[Stage, str], str]
) -> None:
    push_branch(stage, "topic")
    wanted = {"title": "Add <b>words</b>", "head": "topic", "base": "main", "body": "<script>alert(1)</script>"}
    address = github.post("/repos/rehearsal/greeter/pulls", json=wanted).json()["html_url"]

    page = httpx.get(address)

    assert page.status_code == 200
    assert page.headers["x-awo-rehearsal"] == "true"
    assert "default-src 'none'" in page.headers["content-security-policy"]
    assert "Rehearsal: this is not GitHub" in page.text
    assert "Add &lt;b&gt;words&lt;/b&gt;" in page.text
    assert "&lt;script&gt;" in page.text
    assert "<script" not in page.text
    assert "Add &lt;new&gt; words" in page.text
    assert "+one" in page.text
    assert "+one" in httpx.get(f"{address}.diff").text


def test_the_index_leads_to_repositories_and_their_pull_requests(
    stage: Stage, github: httpx.Client, push_branch: Callable[[Stage, str], str]
) -> None:
    push_branch(stage, "topic")
    github.post("/repos/rehearsal/greeter/pulls", json={"title": "Words", "head": "topic", "base": "main"})

    index, home = httpx.get(stage.base_url), httpx.get(stage.repository_url)

    assert 'href="/rehearsal/greeter"' in index.text
    assert 'href="/rehearsal/greeter/pull/1"' in home.text
    assert "topic" in home.text


def test_private_and_absent_things_have_no_page(stage: Stage) -> None:
    private = stage.add_repository("someone", "secret", {"a": "b"}, private=True)

    assert httpx.get(private).status_code == 404
    assert httpx.get(f"{stage.repository_url}/pull/9").status_code == 404
    assert "secret" not in httpx.get(stage.base_url).text
