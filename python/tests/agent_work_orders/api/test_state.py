"""Health, status and workflows."""

import pytest

from src.agent_work_orders.api import GuardPolicy, HealthCheck
from src.agent_work_orders.domain.workflow import BUILT_IN

from .conftest import Bench

pytestmark = pytest.mark.anyio
GOOD = HealthCheck("store", True, "It answers.")
WORSE = HealthCheck("confinement", False, "There is none.", "Install bubblewrap.", required=False)
BAD = HealthCheck("git", False, "It is missing.", "Install git.")


@pytest.mark.parametrize(
    ("checks", "status", "word"),
    [([], 200, "healthy"), ([GOOD], 200, "healthy"), ([GOOD, WORSE], 200, "degraded"), ([WORSE, BAD], 503, "degraded")],
)
async def test_health_is_as_good_as_its_worst_check(
    bench: Bench, checks: list[HealthCheck], status: int, word: str
) -> None:
    bench.health.extend(checks)
    answer = await bench.client.get("/api/awo/health")
    assert (answer.status_code, answer.json()["status"]) == (status, word)
    assert ("retry-after" in answer.headers) == (status == 503)
    assert [check["name"] for check in answer.json()["checks"]] == [check.name for check in checks]


async def test_health_shows_details_to_holders_of_the_token_only(bench: Bench) -> None:
    bench.health.append(WORSE)
    bench.policy[0] = GuardPolicy(bound_to_loopback=False, token="0123456789abcdef")
    stranger = await bench.client.get("/api/awo/health")
    assert (stranger.json()["status"], stranger.json()["checks"]) == ("degraded", [])
    friend = await bench.client.get("/api/awo/health", headers={"Authorization": "Bearer 0123456789abcdef"})
    assert friend.json()["checks"][0]["next_action"] == "Install bubblewrap."


async def test_status_counts_what_waits_and_names_who_runs_what(bench: Bench) -> None:
    order_id = await bench.file()
    await bench.claim()
    await bench.file()
    body = (await bench.client.get("/api/awo/status")).json()
    assert body["worker"] == {"worker_id": "worker-1", "slots": 5, "busy": 1, "confinement": "none"}
    assert (body["queue"]["pending"], body["queue"]["running"], body["queue"]["failed"]) == (1, 1, 0)
    assert [lease["agent_work_order_id"] for lease in body["leases"]] == [order_id]
    assert body["oldest_pending_at"]
    assert 0 < body["disk"]["free_bytes"] <= body["disk"]["total_bytes"]
    assert body["rehearsal"] is None


async def test_status_lives_without_its_disk(bench: Bench) -> None:
    bench.folder.rmdir()
    assert (await bench.client.get("/api/awo/status")).json()["disk"] is None


async def test_a_rehearsal_is_labelled(bench: Bench) -> None:
    shown = {"repository_url": "http://localhost/a/b", "github_api_url": "http://localhost/api", "request": "Try me."}
    object.__setattr__(bench.app.state.agent_work_orders, "rehearsal", shown)
    assert (await bench.client.get("/api/awo/status")).json()["rehearsal"] == shown


async def test_workflows_are_listed_with_their_steps(bench: Bench) -> None:
    listed = (await bench.client.get("/api/awo/workflows")).json()["workflows"]
    assert [workflow["name"] for workflow in listed] == list(BUILT_IN)
    assert [workflow["is_default"] for workflow in listed].count(True) == 1
    steps = listed[0]["steps"]
    assert [step["name"] for step in steps][:2] == ["create-branch", "planning"]
    assert next(step for step in steps if step["name"] == "execute")["needs"] == ["create-branch"]
