"""An order seen from outside: one connected trace, and the metrics that the catalogue promises."""

import json
import re
from pathlib import Path
from typing import Any

from src.agent_work_orders.rehearsal import Stage

from .archon import running_archon
from .conftest import Play
from .remote import Remote
from .scripts import WRITES_HELLO


def test_an_order_is_one_connected_trace_and_is_counted(
    stage: Stage, remote: Remote, play: Play, tmp_path: Path
) -> None:
    play(WRITES_HELLO)
    spans_file = tmp_path / "spans.jsonl"
    program = ("-m", "tests.agent_work_orders.story.traced_host")
    with running_archon(tmp_path / "home", stage, {"SPANS_FILE": str(spans_file)}, program) as archon:
        order = archon.file(remote.url, user_request="Write hello.txt and keep quiet about pass-the-salt.")
        order.completed()
        metrics = archon.client.get("/metrics")
    spans: list[dict[str, Any]] = [json.loads(line) for line in spans_file.read_text().splitlines()]

    # One trace, from the claim to the end.
    [root] = [span for span in spans if span["name"] == "work order"]
    assert root["attributes"] == {"awo.order_id": order.id, "awo.attempt": 1}
    assert root["parent_id"] is None
    trace = [span for span in spans if span["context"]["trace_id"] == root["context"]["trace_id"]]
    parents = {span["context"]["span_id"]: span["parent_id"] for span in trace}
    for span in trace:  # every one leads to the root
        above = span["context"]["span_id"]
        while parents[above] is not None:
            above = parents[above]
        assert above == root["context"]["span_id"]

    # A span for every step, in it every call to the world outside.
    steps = sorted(
        (span for span in trace if span["name"].startswith("step ")), key=lambda span: str(span["start_time"])
    )
    assert [span["name"] for span in steps] == [
        "step create-branch", "step execute", "step verify", "step commit", "step create-pr",
    ]  # fmt: skip
    assert all(span["parent_id"] == root["context"]["span_id"] for span in steps)
    step_of = {span["context"]["span_id"]: span["name"] for span in steps}
    outside = {(step_of.get(span["parent_id"]), span["name"]) for span in trace if span["kind"] == "SpanKind.CLIENT"}
    assert ("step create-branch", "git clone") in outside
    assert {name for step, name in outside if step == "step execute"} == {"run claude"}
    assert ("step commit", "git push") in outside
    assert {name for step, name in outside if step == "step create-pr"} >= {"GitHub POST"}

    # Nothing that people, agents or remotes said is in it.
    told = spans_file.read_text()
    assert "pass-the-salt" not in told
    assert remote.name not in told
    assert stage.environment()["GITHUB_TOKEN"] not in told

    # And it was counted, once.
    assert metrics.headers["content-type"].startswith("text/plain")
    for line in (
        "awo_claims_total 1.0",
        'awo_orders{status="completed"} 1.0',
        'awo_orders_finished_total{failure_class="",status="completed"} 1.0',
        'awo_step_seconds_count{status="completed",step="execute"} 1.0',
        'awo_check_seconds_count{result="passed"} 1.0',
        'awo_checkout_seconds_count{resumed="false"} 1.0',
        'awo_agent_starts_total{resumed="false"} 1.0',
        "awo_branches_pushed_total 1.0",
        'awo_pull_requests_total{created="true"} 1.0',
    ):
        assert line in metrics.text.splitlines()
    cost = re.search(r"^awo_cost_usd_total (.+)$", metrics.text, re.MULTILINE)
    assert cost is not None
    assert float(cost[1]) > 0
