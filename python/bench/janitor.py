"""How long the server's event loop stands still while clean-up looks at very many directories, and removes them."""

import http.client
import json
import os
import sqlite3
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from time import perf_counter
from typing import Any

import anyio

from src.agent_work_orders.domain.work_order import NewWorkOrder, WorkOrderRequest
from src.agent_work_orders.store.sqlite import SqliteStore

from . import agents, scratch
from .figures import Figure
from .scale import Scale
from .server import Broken, Client, Server, open_server, open_stage
from .stall import bystander

TARGET = 50.0
LONG_AGO = 1_000_000_000
# Longer than files of orders are kept, and not so long as their journals.
CANCELLED_AGO = timedelta(days=60)


def measure(scale: Scale) -> list[Figure]:
    """Half of them checkouts of orders that nobody knows any more, half of them files of orders that were cancelled
    long ago, in whose journals it is to be written down."""
    folder = scratch.folder()
    anyio.run(_cancel_long_ago, folder / "server" / "archon" / "awo.db", scale.directories // 2)
    with closing(agents.Starts(folder)) as starts, open_stage() as stage:
        agent = agents.starting(folder, starts)
        with open_server(folder / "server", stage, agent, ("-m", "bench.probed_server")) as server:
            for number in range(scale.directories // 2):
                _make_checkout(server.home / "repositories", number)
                _make_files(server.home / "work-orders", number)
            client = server.client()
            machine: list[float] = []
            with bystander(machine):
                planned, planning_ms, planning_stall = _clean(server, client, "true")
            with bystander(machine):
                removed, removing_ms, removing_stall = _clean(server, client, "false")
            if {planned, removed} != {scale.directories}:
                raise Broken(f"{planned} were to go and {removed} went, of {scale.directories}")
            if list((server.home / "work-orders").glob("wo-*")):
                raise Broken("not everything went")
    what = f"{scale.directories:,} directories"
    return [
        Figure(f"event loop stalled at most while clean-up looks at {what}", planning_stall, "ms", TARGET),
        Figure(f"event loop stalled at most while clean-up removes {what}", removing_stall, "ms", TARGET),
        Figure("  a process that only sleeps, while it looks", round(machine[0], 1), "ms"),
        Figure("  a process that only sleeps, while it removes", round(machine[1], 1), "ms"),
        Figure(f"  clean-up looked at {what} in", planning_ms, "ms"),
        Figure(f"  clean-up removed {what} in", removing_ms, "ms"),
    ]


def _clean(server: Server, client: Client, dry_run: str) -> tuple[int, float, float]:
    """How many went, in how many milliseconds, and how long the loop stood still meanwhile."""
    client.ask("GET", "/bench/stall")  # what was before does not count
    began = perf_counter()
    with closing(http.client.HTTPConnection("127.0.0.1", server.port, timeout=900)) as connection:
        connection.request("POST", f"/api/awo/cleanup?dry_run={dry_run}")
        answer = connection.getresponse()
        body: dict[str, Any] = json.loads(answer.read())
    if answer.status != 200:
        raise Broken(f"clean-up answered {answer.status}: {body}")
    took = perf_counter() - began
    late, _ = client.ask("GET", "/bench/stall")[1]
    return body["removed_count"], round(took * 1000), round(late * 1000, 1)


async def _cancel_long_ago(database: Path, count: int) -> None:
    """Orders in a state of its own, before a server opens it."""
    then = (datetime.now(UTC) - CANCELLED_AGO).timestamp() * 1e6
    async with SqliteStore.open(database) as store:
        for number in range(count):
            asked = WorkOrderRequest(repository_url="https://github.com/bench/sample", user_request="Measure.")
            name = _order_with_files(number)
            await store.enqueue(NewWorkOrder(name, asked, asked.repository_url, "github.com/bench/sample", name))
    with closing(sqlite3.connect(database)) as db, db:
        db.execute("update agent_work_orders set status = 'cancelled', created_at = ?, finished_at = ?", (then, then))


def _order_with_files(number: int) -> str:
    return f"wo-{number + (1 << 32):016x}"


def _make_checkout(repositories: Path, number: int) -> None:
    root = repositories / f"wo-{number:016x}" / "sample"
    info = root / ".git" / "objects" / "info"
    info.mkdir(parents=True)
    (info / "alternates").write_text(f"{repositories}/.mirrors/sample.git/objects\n")
    for name in ("README.md", "app.py", "test_app.py"):
        (root / name).write_text("x\n" * 100)
    _grow_old(root.parent, root)


def _make_files(work_orders: Path, number: int) -> None:
    folder = work_orders / _order_with_files(number)
    for part in ("prompts/1.md", "outputs/1.jsonl", "metadata.json"):
        (folder / part).parent.mkdir(parents=True, exist_ok=True)
        (folder / part).write_text("{}\n" * 100)
    _grow_old(folder, *folder.iterdir())


def _grow_old(*paths: Path) -> None:
    for path in paths:
        os.utime(path, (LONG_AGO, LONG_AGO))
