"""The database goes away while an agent talks: what it says waits on the disk, and is told once, or not at all."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from ..postgres.project import Project
from .archon import Archon, Order, eventually
from .conftest import StartArchon
from .processes import processes_of
from .remote import Remote

TELLER = Path(__file__).with_name("agents") / "teller"
LINES = [f"line {number}" for number in range(1, 701)]
KEPT = "spool-interrupted-unwritten-events.jsonl"


@pytest.fixture
def shared(project: Project) -> dict[str, str]:
    return {
        "SUPABASE_URL": project.url,
        "SUPABASE_SERVICE_KEY": project.service_key,
        "CLAUDE_CLI_PATH": str(TELLER),
        "AWO_LEASE_SECONDS": "60",
    }


def told(archon: Archon, remote: Remote) -> Order:
    """An order whose agent has begun to talk."""
    order = archon.file(remote.url, workflow_type="plan_only")
    order.until("agent_spoke")
    return order


@contextmanager
def away(project: Project) -> Iterator[None]:
    """Nobody reaches the database while the block runs."""
    project.kill_postgrest()
    try:
        yield
    finally:
        project.start_postgrest()


def spool_of(archon: Archon, order: Order) -> Path:
    """The file with what the agent said during the outage, once there is something in it."""

    def found() -> Path | None:
        return next(iter((archon.home / "work-orders" / order.id / "run").glob("*-spool/*.jsonl")), None)

    path = eventually(found, within=20)
    assert path is not None
    eventually(lambda: path.read_bytes().count(b"\n") > 20)
    assert path.stat().st_mode & 0o777 == 0o600
    return path


def spoken(order: Order, attempt: int) -> list[str]:
    said = [event.payload["text"] for event in order.events("agent_spoke") if event.attempt == attempt]
    return [text for text in said if text.startswith("line ")]


def kept_for_people(order: Order, after_seq: int) -> list[str]:
    """What a run that lost its order could tell nobody. A line that was cut off does not count.

    What the database did take before its answer got lost is in the file too, under the number that it has there.
    """
    [text] = [text for name, text in order.artifacts().items() if name.endswith(KEPT)]
    entries = [json.loads(line) for line in text.splitlines(keepends=True) if line.endswith("\n")]
    unheard = [entry for entry in entries if entry["kind"] == "agent_spoke" and entry["seq"] > after_seq]
    return [entry["payload"]["text"] for entry in unheard]


@pytest.mark.timeout(120)  # the agent talks for nine seconds
def test_an_agent_talks_on_through_an_outage_and_every_word_is_there_once(
    start_archon: StartArchon, remote: Remote, shared: dict[str, str], project: Project
) -> None:
    archon = start_archon(**shared)
    order = told(archon, remote)
    with away(project):
        spool = spool_of(archon, order)
        assert processes_of(order.id)
    done = order.completed()
    assert done["attempt"] == 1
    assert spoken(order, 1) == LINES
    assert [event.kind for event in order.events()].count("order_claimed") == 1
    assert not spool.parent.exists()


@pytest.mark.timeout(180)  # two agents that talk for nine seconds, and a lease that runs out
def test_a_run_that_could_not_renew_its_lease_stops_by_itself_writes_nothing_and_is_made_anew(
    start_archon: StartArchon, remote: Remote, shared: dict[str, str], project: Project
) -> None:
    archon = start_archon(**{**shared, "AWO_LEASE_SECONDS": "6"})
    order = told(archon, remote)
    with away(project):
        end = last_seq(project, order.id)
        # Nobody has told it anything: it sees for itself that others may take the order soon.
        eventually(lambda: not processes_of(order.id), within=20)
        assert last_seq(project, order.id) == end
    done = order.completed()
    assert done["attempt"] == 2
    events = order.events()
    assert [event.kind for event in events if event.seq > end][:1] == ["lease_lost"]
    assert spoken(order, 2) == LINES
    before = spoken(order, 1)
    unheard = kept_for_people(order, end)
    assert unheard
    assert before + unheard == LINES[: len(before) + len(unheard)]


@pytest.mark.timeout(180)  # two agents that talk for nine seconds
def test_a_server_that_is_killed_during_an_outage_leaves_what_was_said_for_people(
    start_archon: StartArchon, remote: Remote, shared: dict[str, str], project: Project
) -> None:
    first = start_archon(**shared)
    order = told(first, remote)
    with away(project):
        spool_of(first, order)
        end = last_seq(project, order.id)
        first.kill()
    second = start_archon(first.home, **shared)
    order = second.order(order.id)
    done = order.completed()
    assert done["attempt"] == 2
    assert [event.kind for event in order.events() if event.seq > end][:1] == ["lease_lost"]
    assert spoken(order, 2) == LINES
    before = spoken(order, 1)
    unheard = kept_for_people(order, end)
    assert before + unheard == LINES[: len(before) + len(unheard)]
    assert len(unheard) > 20


def last_seq(project: Project, order_id: str) -> int:
    """What the database itself says, whoever can reach it."""
    with project.connect() as db:
        sql = "select last_seq from agent_work_orders where agent_work_order_id = %s"
        row = db.execute(sql, (order_id,)).fetchone()
    assert row is not None
    return int(row[0])
