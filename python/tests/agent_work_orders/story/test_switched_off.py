"""A server whose operator has not switched AWO on: it says so, and touches nothing."""

from fastapi import FastAPI

from src.agent_work_orders.api import router
from src.agent_work_orders.rehearsal import Stage

from .conftest import StartArchon


def test_a_server_without_awo_says_so_on_every_route_and_makes_nothing(start_archon: StartArchon, stage: Stage) -> None:
    archon = start_archon(ARCHON_AWO_ENABLED="false")

    health = archon.client.get("/health")
    assert (health.status_code, health.json()["status"]) == (200, "disabled")
    [check] = health.json()["checks"]
    assert check["next_action"] == "Set ARCHON_AWO_ENABLED=true and restart the server."
    # The host itself is well.
    assert archon.client.get(f"{archon.address}/health").status_code == 200

    described = FastAPI()
    described.include_router(router)
    routes = [
        (method.upper(), path.replace("{agent_work_order_id}", "wo-0123456789abcdef").replace("{artifact_id}", "x"))
        for path, methods in described.openapi()["paths"].items()
        for method in methods
        if path.rstrip("/") != "/api/awo/health"
    ]
    assert len(routes) > 10
    for method, path in routes:
        answer = archon.client.request(method, f"{archon.address}{path}", json=None if method == "GET" else {})
        assert answer.status_code == 503, (method, path, answer.text)
        assert answer.json()["detail"]["error"] == "Agent Work Orders is switched off on this server.", (method, path)

    made = {path.name for path in archon.home.iterdir()}
    assert not made & {"repositories", "work-orders", "awo.db", "config", "rehearsal"}, made
    assert stage.environment()["GITHUB_TOKEN"] not in archon.log
