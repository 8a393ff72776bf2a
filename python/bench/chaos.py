"""`python -m bench.chaos --orders 10000 --servers 4`: everything dies at some time, and nothing may be lost or doubled.

Worker processes, PostgREST and a process of Postgres are killed with SIGKILL, answers are dropped after the commit, and
nothing answers for five seconds now and then. Afterwards the journals are read and judged.
"""

import argparse
import json
import os
import random
import subprocess
import sys
import time
from collections import Counter
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import psycopg

from tests.agent_work_orders.postgres.project import Child, Project, running_project
from tests.agent_work_orders.postgres.proxy import Fault

from .chaos_worker import BATCHES, EVENTS, LIMIT

PYTHON = Path(__file__).resolve().parents[1]
REPOSITORIES = 8
DROPPED = 0.02
OUTAGE_SECONDS = 5.0


@dataclass
class Report:
    """What was done to it, and what is wrong with what came of it."""

    orders: int
    seconds: float = 0.0
    done_to_it: Counter[str] = field(default_factory=Counter)
    attempts: Counter[int] = field(default_factory=Counter)
    problems: list[str] = field(default_factory=list)

    def __str__(self) -> str:
        faults = ", ".join(f"{what} {times}x" for what, times in self.done_to_it.items())
        attempts = ", ".join(f"{orders} in {attempt}" for attempt, orders in sorted(self.attempts.items()))
        verdict = "\n".join(self.problems) or "Every order ended once; no token, event or place was given twice."
        return f"{self.orders} orders in {self.seconds:.0f} s; {faults}.\nAttempts: {attempts}.\n{verdict}"


def run(project: Project, orders: int, servers: int, within: float = 600, seed: int = 7) -> Report:
    """Files the orders in an empty, migrated project and torments it until all have ended."""
    report, chance = Report(orders), random.Random(seed)
    _file(project, orders)
    began = time.monotonic()
    project.gateway.fault = lambda function: Fault.DROP_AFTER if chance.random() < DROPPED else None
    with ExitStack() as stack:
        folder = Path(stack.enter_context(TemporaryDirectory()))
        workers = Workers(project, folder, servers)
        stack.callback(workers.end)
        torment = _torments(project, workers, report, chance)
        while _left(project):
            if time.monotonic() - began > within:
                report.problems.append(f"{_left(project)} orders had not ended after {within:g} s")
                break
            next(torment)
            workers.keep_alive()
        project.gateway.fault = lambda function: None
        report.seconds = time.monotonic() - began
        _judge(project, workers.claims(), report)
    return report


class Workers:
    """Processes that work like servers; one that was killed is followed by another of another name."""

    def __init__(self, project: Project, folder: Path, number: int) -> None:
        self._folder = folder
        self._running: list[Child] = []
        self._number, self._started = number, 0
        self._environment = {
            **{name: os.environ[name] for name in ("PATH", "LANG") if name in os.environ},
            "SUPABASE_URL": project.url,
            "SUPABASE_SERVICE_KEY": project.service_key,
        }
        self.keep_alive()

    def keep_alive(self) -> None:
        self._running = [worker for worker in self._running if worker.poll() is None]
        while len(self._running) < self._number:
            self._started += 1
            name = f"server-{self._started}"
            with (self._folder / f"{name}.claims").open("wb") as claims, (self._folder / "log").open("ab") as log:
                self._running.append(
                    subprocess.Popen(  # noqa: TID251 - ended by `end`, whatever happens
                        [sys.executable, "-m", "bench.chaos_worker", name],
                        cwd=PYTHON, env=self._environment, stdin=subprocess.DEVNULL, stdout=claims, stderr=log,
                    )
                )  # fmt: skip

    def kill_one(self, chance: random.Random) -> None:
        if self._running:
            victim = chance.choice(self._running)
            victim.kill()
            victim.wait()

    def end(self) -> None:
        for worker in self._running:
            worker.kill()
            worker.wait()

    def claims(self) -> list[tuple[str, int]]:
        """Order and token of every claim that a worker was told of."""
        lines = [line for path in self._folder.glob("*.claims") for line in path.read_text().splitlines()]
        return [(order_id, token) for order_id, token in map(json.loads, lines)]


def _torments(project: Project, workers: Workers, report: Report, chance: random.Random) -> Any:
    """One torment after the other, with time to work in between."""

    def postgrest() -> None:
        project.kill_postgrest()
        project.start_postgrest()

    def outage() -> None:
        before = project.gateway.fault
        project.gateway.fault = lambda function: Fault.NOT_READY
        time.sleep(OUTAGE_SECONDS)
        project.gateway.fault = before

    torments = {
        "a worker killed": lambda: workers.kill_one(chance),
        "PostgREST killed": postgrest,
        "a process of Postgres killed": project.kill_a_backend,
        f"an outage of {OUTAGE_SECONDS:g} s": outage,
    }
    # Each of them once, however small the run.
    yield from _pauses(3.0)
    while True:
        for what, torment in torments.items():
            torment()
            report.done_to_it[what] += 1
            yield from _pauses(2.0)


def _pauses(seconds: float) -> Any:
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        time.sleep(0.1)
        yield


def _file(project: Project, orders: int) -> None:
    filed = """
    select awo_enqueue_v1(jsonb_build_object(
      'agent_work_order_id', 'wo-' || lpad(to_hex(n), 16, '0'), 'idempotency_key', 'chaos-' || n,
      'request_fingerprint', 'f', 'repository_key', 'github.com/o/' || n %% %s,
      'repository_url', 'https://github.com/o/' || n %% %s, 'sandbox_identifier', 'wo-' || n,
      'sandbox_type', 'git_branch', 'workflow_type', 'quick_fix', 'selected_commands', '["execute"]'::jsonb,
      'user_request', 'Mend it.', 'max_attempts', 20, 'priority', n %% 3))
    from generate_series(1, %s) n
    """
    with project.connect() as db:
        db.execute(filed, (REPOSITORIES, REPOSITORIES, orders))


def _left(project: Project) -> int:
    while True:
        try:
            with project.connect() as db:
                sql = "select count(*) from agent_work_orders where finished_at is null"
                return int((db.execute(sql).fetchone() or (0,))[0])
        except psycopg.OperationalError:
            time.sleep(0.1)  # it recovers from what this very program did to it


def _judge(project: Project, claims: list[tuple[str, int]], report: Report) -> None:
    with project.connect() as db:
        orders = db.execute(
            "select agent_work_order_id, repository_key, status, last_seq, attempt from agent_work_orders"
        )
        rows = orders.fetchall()
        events = db.execute(
            "select agent_work_order_id, seq, at, kind, payload from agent_work_order_events order by 1, 2"
        )
        journals: dict[str, list[Any]] = {}
        for order_id, *event in events.fetchall():
            journals.setdefault(order_id, []).append(event)
        revs = db.execute("select count(*) - count(distinct rev) from agent_work_orders").fetchone()
    wrong = report.problems.append
    report.attempts = Counter(row[4] for row in rows)
    if len(rows) != report.orders:
        wrong(f"{len(rows)} orders instead of {report.orders}")
    if revs != (0,):
        wrong("a rev was given twice")
    twice = [token for token, times in Counter(token for _, token in set(claims)).items() if times > 1]
    if twice:
        wrong(f"tokens given to two orders: {twice[:5]}")
    moves: dict[str, list[tuple[Any, int]]] = {}
    for order_id, repository, status, last_seq, _ in rows:
        journal = journals.get(order_id, [])
        kinds = Counter(kind for _, _, kind, _ in journal)
        if status != "completed" or kinds["order_finished"] != 1 or kinds["order_enqueued"] != 1:
            wrong(f"{order_id} is {status} with {kinds}")
        if kinds["order_claimed"] != 1 + kinds["lease_lost"]:
            wrong(f"{order_id} was claimed {kinds['order_claimed']} times and lost {kinds['lease_lost']} times")
        if [seq for seq, *_ in journal] != list(range(1, last_seq + 1)):
            wrong(f"{order_id} has a gap in its journal")
        said: dict[int, list[int]] = {}
        for _, _, kind, payload in journal:
            if kind == "agent_spoke":
                entry = json.loads(payload)
                said.setdefault(entry["token"], []).append(entry["number"])
        if any(numbers != list(range(len(numbers))) for numbers in said.values()):
            wrong(f"{order_id} has an event missing or doubled")
        if [len(numbers) for numbers in said.values()][-1:] != [EVENTS * BATCHES]:
            wrong(f"{order_id} lacks events of the run that finished it")
        for _, at, kind, _ in journal:
            if kind in ("order_claimed", "order_finished", "lease_lost"):
                moves.setdefault(repository, []).append((at, 1 if kind == "order_claimed" else -1))
    for repository, moved in moves.items():
        running = most = 0
        for _, step in sorted(moved):  # at the same instant, who leaves goes first
            running += step
            most = max(most, running)
        if most > LIMIT:
            wrong(f"{most} orders of {repository} ran at once; the limit is {LIMIT}")


def main() -> int:
    parser = argparse.ArgumentParser(prog="bench.chaos", description="Torments servers that share a database.")
    parser.add_argument("--orders", type=int, default=10_000)
    parser.add_argument("--servers", type=int, default=4)
    parser.add_argument("--within", type=float, default=1800, help="seconds after which it has failed")
    parser.add_argument("--postgres", type=int, default=18, choices=(16, 18))
    options = parser.parse_args()
    with running_project(options.postgres) as project:
        project.migrate()
        report = run(project, options.orders, options.servers, options.within)
    print(report)
    return 1 if report.problems else 0


if __name__ == "__main__":
    sys.exit(main())
