"""How many requests one work order makes of the shared database, from its filing to the last of its files.

The real server runs it with a stand-in for the agent, behind the gateway of the tests, which counts. What a server asks
on a timer, with orders or without, is told apart: slots that look for work, and the reaper.
"""

import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from tests.agent_work_orders.postgres.binaries import BinariesMissing
from tests.agent_work_orders.postgres.project import Project, running_project

from . import agents, scratch
from .figures import Figure
from .scale import Scale, Tree
from .server import ORDER_WITHIN, Broken, open_server, open_stage

STEPS = ["create-branch", "planning", "execute", "prp-review", "commit", "create-pr"]
EVENTS = 500
# What the agent says in each of its three turns, and how long it takes: with the server's own these are 500 events.
LINES, TURN_SECONDS = 160, 2.0
TARGET = 40
ON_A_TIMER = ("awo_claim_v1", "awo_counts_v1", "awo_reap_v1")
REPOSITORY = Tree("asking", 100, 6_000)


@dataclass(frozen=True)
class Asked:
    """Requests by function; those on a timer, which are not among them; and the events of the order's journal."""

    requests: Counter[str]
    on_a_timer: int
    events: int


def measure(scale: Scale) -> list[Figure]:
    try:
        with running_project() as project:
            project.migrate()
            asked = asked_for_an_order(project, scratch.folder())
    except BinariesMissing as missing:
        raise Broken(str(missing)) from missing
    return [
        Figure("database requests per work order", asked.requests.total(), "requests", TARGET),
        Figure("  its events", asked.events, "events", EVENTS, at_least=True),
        *(Figure(f"  {function}", count, "requests") for function, count in asked.requests.most_common()),
        Figure("  on a timer meanwhile", asked.on_a_timer, "requests"),
    ]


def asked_for_an_order(project: Project, folder: Path) -> Asked:
    """What one order of six steps asks for. The migrated project has no other."""
    scratch.repository(REPOSITORY)
    agent = agents.working(folder, LINES, TURN_SECONDS)
    settings = {"SUPABASE_URL": project.url, "SUPABASE_SERVICE_KEY": project.service_key}
    with open_stage() as stage, open_server(folder / "server", stage, agent, **settings) as server:
        project.gateway.requests.clear()
        order_id, _ = server.client().file(
            stage.address(REPOSITORY.name), workflow_type="agent_workflow_plan", selected_commands=STEPS
        )
        events = _events_at_the_end(project, order_id, server.home / "work-orders" / order_id / "metadata.json")
        requests = Counter(project.gateway.requests)
    on_a_timer = sum(requests.pop(function, 0) for function in ON_A_TIMER)
    requests["awo_claim_v1"] = 1  # the one that got it
    return Asked(requests, on_a_timer - 1, events)


def _events_at_the_end(project: Project, order_id: str, last_file: Path) -> int:
    """Asks the database itself: a client of the server would be counted."""
    deadline = time.monotonic() + ORDER_WITHIN
    sql = "select status, last_seq, error_message from agent_work_orders where agent_work_order_id = %s"
    with project.connect() as db:
        while time.monotonic() < deadline:
            status, last_seq, message = db.execute(sql, (order_id,)).fetchone() or ("gone", 0, None)
            if status == "completed" and last_file.exists():
                return int(last_seq)
            if status not in ("pending", "running", "completed"):
                raise Broken(f"{order_id} is {status}: {message}")
            time.sleep(0.05)
    raise Broken(f"{order_id} did not end within {ORDER_WITHIN:.0f} s")
