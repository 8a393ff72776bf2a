"""The shared store's database: what PostgREST costs over plain SQL, and whether many orders make it slow.

Both sides of a ratio call the same functions in turns, from as many threads, with a client as small as can be.
"""

import http.client
import json
import threading
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from statistics import median
from time import perf_counter
from typing import Any

import psycopg

from tests.agent_work_orders.postgres.binaries import BinariesMissing
from tests.agent_work_orders.postgres.fixtures import EMPTY
from tests.agent_work_orders.postgres.project import Project, running_project

from .figures import Figure, milliseconds
from .scale import FULL, Scale
from .server import Broken

THREADS = 4
BATCH = 50
EVENT = ["agent_spoke", 1, json.dumps({"text": "x" * 280})]
Call = Callable[[str, dict[str, Any]], Any]

FILL = """
insert into agent_work_order_repositories (repository_key, repository_url, created_at)
  select 'github.com/o/' || n, 'https://github.com/o/' || n, now() from generate_series(0, 99) n on conflict do nothing;
insert into agent_work_orders (
  agent_work_order_id, idempotency_key, request_fingerprint, repository_key, repository_url, sandbox_identifier,
  sandbox_type, workflow_type, selected_commands, user_request, status, max_attempts, priority, rev, created_at,
  updated_at, finished_at)
select 'wo-' || lpad(to_hex(n), 16, '0'), 'key-' || n, 'f', 'github.com/o/' || n %% 100,
  'https://github.com/o/' || n %% 100,
  'wo-' || n, 'git_branch', 'quick_fix', '{execute}', 'Mend number ' || n, s.status, 3, n %% 10, n,
  now() - (10000000 - n) * interval '1 second', now(), case s.status when 'completed' then now() end
from generate_series(%(first)s::bigint, %(last)s::bigint) n,
  lateral (select case when n <= %(pending)s then 'pending' else 'completed' end as status) s;
"""


@dataclass
class Client:
    """Calls functions: over PostgREST, or by SQL."""

    name: str
    open: Callable[[], Call]


def measure(scale: Scale) -> list[Figure]:
    try:
        with running_project() as project:
            project.migrate()
            return [*_ratios(project, scale), *_sizes(project, scale)]
    except BinariesMissing as missing:
        raise Broken(str(missing)) from missing


def _clients(project: Project) -> tuple[Client, Client]:
    def over_rest() -> Call:
        connection = http.client.HTTPConnection("127.0.0.1", project.port)
        headers = {"Authorization": f"Bearer {project.service_key}", "Content-Type": "application/json"}

        def call(function: str, arguments: dict[str, Any]) -> Any:
            connection.request("POST", f"/rpc/{function}", json.dumps(arguments), headers)
            answer = connection.getresponse()
            body = answer.read()
            if answer.status >= 300:
                raise Broken(f"{function}: {answer.status}")
            return json.loads(body) if body else None

        return call

    def by_sql() -> Call:
        db = psycopg.connect(project.dsn(), autocommit=True)
        db.execute("set role service_role")

        def call(function: str, arguments: dict[str, Any]) -> Any:
            values = {k: json.dumps(v) if isinstance(v, list | dict) else v for k, v in arguments.items()}
            named = ", ".join(f"{name} => %({name})s" for name in values)
            row = db.execute(f"select {function}({named})".encode(), values).fetchone()
            return row[0] if row else None

        return call

    return Client("PostgREST", over_rest), Client("SQL", by_sql)


def _ratios(project: Project, scale: Scale) -> list[Figure]:
    cycles, batches = (400, 60) if scale is FULL else (80, 10)
    taken: dict[str, dict[str, list[float]]] = {"cycles": {}, "rows": {}}
    for _ in range(scale.repeats):
        for client in _clients(project):
            _fill(project, cycles * 2, pending=cycles * 2)
            taken["cycles"].setdefault(client.name, []).append(cycles / _in_threads(client, cycles, _cycle))
            rows = batches * BATCH / _in_threads(client, batches, _append)
            taken["rows"].setdefault(client.name, []).append(rows)
    figures = []
    for what, unit, target in (("cycles", "claim+finish/s", 0.5), ("rows", f"events/s, {BATCH} at once", 0.6)):
        rest, sql = median(taken[what]["PostgREST"]), median(taken[what]["SQL"])
        figures += [
            Figure(f"database: {what} through PostgREST over SQL", round(rest / sql, 3), "x", target, at_least=True),
            Figure(f"database: {what} through PostgREST", round(rest), unit),
            Figure(f"database: {what} by SQL", round(sql), unit),
        ]
    return figures


def _in_threads(client: Client, times: int, work: Callable[[Call, int], None]) -> float:
    """Seconds for `times` rounds, shared among the threads."""
    ready, errors = threading.Barrier(THREADS + 1), []

    def run() -> None:
        call = client.open()
        call("awo_last_rev_v1", {})
        ready.wait()
        try:
            work(call, times // THREADS)
        except Exception as error:  # noqa: BLE001 - told by the thread that waits
            errors.append(error)

    threads = [threading.Thread(target=run) for _ in range(THREADS)]
    for thread in threads:
        thread.start()
    ready.wait()
    began = perf_counter()
    for thread in threads:
        thread.join()
    if errors:
        raise Broken(f"{type(errors[0]).__name__}: {errors[0]}")
    return perf_counter() - began


def _claim(call: Call) -> tuple[dict[str, Any], int]:
    arguments = {"p_worker_id": "w", "p_request_id": str(uuid.uuid4()), "p_lease_seconds": 60.0}
    found = call("awo_claim_v1", {**arguments, "p_limit_per_repository": 64})
    return {"p_id": found["order"]["agent_work_order_id"], "p_token": found["token"]}, found["order"]["last_seq"]


def _cycle(call: Call, times: int) -> None:
    for _ in range(times):
        held, _ = _claim(call)
        call("awo_finish_v1", {**held, "p_status": "completed", "p_summary": "Done."})


def _append(call: Call, times: int) -> None:
    held, last_seq = _claim(call)
    for _ in range(times):
        call("awo_append_v1", {**held, "p_first_seq": last_seq + 1, "p_events": [EVENT] * BATCH})
        last_seq += BATCH


def _fill(project: Project, orders: int, *, pending: int = 0, first: int = 1) -> None:
    with project.connect() as db:
        if first == 1:
            db.execute(EMPTY.encode())
        if first <= orders:
            numbers = {"first": first, "last": orders, "pending": pending}
            for statement in FILL.split(";\n")[:2]:
                db.execute(statement.encode(), numbers if "%(" in statement else None)
        db.execute("update agent_work_order_change_head set rev = %s", (orders,))
        db.execute("vacuum analyze agent_work_orders")


def _sizes(project: Project, scale: Scale) -> list[Figure]:
    sizes = (1_000, 100_000, 1_000_000) if scale is FULL else (1_000, 20_000)
    figures, taken, there = [], dict[str, list[float]](), 0
    rest, _ = _clients(project)
    for size in sizes:
        _fill(project, size, first=there + 1)
        there = size
        call = rest.open()
        middle = {"p_before_at": _created(project, size // 2), "p_before_id": "wo-x"}
        for name, page in (("first", {"p_before_at": None, "p_before_id": None}), ("middle", middle)):
            arguments = {"p_statuses": None, "p_repository_key": None, "p_text": None, "p_limit": 50, **page}
            taken.setdefault(name, []).append(_median_of(call, "awo_list_v1", arguments))
            figures.append(Figure(f"database: {name} page of {size:,}", milliseconds([taken[name][-1]]), "ms", 15.0))
    for name, seconds in taken.items():
        figures.append(
            Figure(f"database: {name} page, slowest size over fastest", round(max(seconds) / min(seconds), 2), "x", 3.0)
        )
    call = rest.open()
    idle = _median_of(call, "awo_look_v1", {"p_ids": ["wo-0000000000000001"]})
    figures.append(Figure(f"database: a look that finds nothing, {there:,} orders", milliseconds([idle]), "ms", 3.0))
    return figures


def _created(project: Project, number: int) -> str:
    with project.connect() as db:
        sql = "select created_at from agent_work_orders order by order_no offset %s limit 1"
        row = db.execute(sql, (number,)).fetchone()
    if row is None:
        raise Broken("there are no orders")
    return str(row[0].isoformat())


def _median_of(call: Call, function: str, arguments: dict[str, Any]) -> float:
    seconds = []
    for number in range(60):
        began = perf_counter()
        call(function, arguments)
        if number >= 10:
            seconds.append(perf_counter() - began)
    return median(seconds)
