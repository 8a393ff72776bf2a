"""The schema says the domain's words, holds what the specification asks for, and its indexes are the ones used."""

import re
import sqlite3
import uuid
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import timedelta
from enum import StrEnum
from functools import partial

import pytest

from src.agent_work_orders.domain.status import Status, StepStatus, WaitingReason
from src.agent_work_orders.domain.work_order import (
    Artifact,
    NewWorkOrder,
    Step,
    WorkOrder,
    WorkOrderRequest,
    new_order_id,
    utc_now,
)
from src.agent_work_orders.ports import ListQuery
from src.agent_work_orders.store import orders, queue, reading
from src.agent_work_orders.store.rows import micros
from src.agent_work_orders.store.schema import MIGRATIONS
from src.agent_work_orders.store.transaction import Transaction

# What the specification's tables hold; ours hold at least that.
ASKED_FOR = {
    "agent_work_orders": "agent_work_order_id repository_url sandbox_identifier git_branch_name agent_session_id "
    "workflow_type sandbox_type status user_request github_issue_number current_phase github_pull_request_url "
    "git_commit_count git_files_changed error_message created_at updated_at",
    "agent_work_order_steps": "id agent_work_order_id step_order step_name agent_name success output error_message "
    "duration_seconds session_id created_at",
    "agent_work_order_artifacts": "id agent_work_order_id artifact_type step_name content created_at",
}


@pytest.fixture
def db() -> Iterator[sqlite3.Connection]:
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as opened:
        opened.row_factory = sqlite3.Row
        for statements in MIGRATIONS:
            for statement in statements:
                opened.execute(statement)
        yield opened


def columns(db: sqlite3.Connection, table: str) -> set[str]:
    return {row["name"] for row in db.execute("select name from pragma_table_info(?)", (table,))}


@pytest.mark.parametrize("table", ASKED_FOR)
def test_every_column_of_the_specification_is_there(db: sqlite3.Connection, table: str) -> None:
    assert set(ASKED_FOR[table].split()) <= columns(db, table)


@pytest.mark.parametrize(
    ("table", "model"),
    [
        ("agent_work_orders", WorkOrder),
        ("agent_work_order_steps", Step),
        ("agent_work_order_artifacts", Artifact),
    ],
)
def test_every_field_of_the_domain_has_a_column(
    db: sqlite3.Connection, table: str, model: type[WorkOrder] | type[Step] | type[Artifact]
) -> None:
    assert set(model.model_fields) <= columns(db, table)


@pytest.mark.parametrize(
    ("table", "column", "words"),
    [
        ("agent_work_orders", "status", Status),
        ("agent_work_orders", "waiting_reason", WaitingReason),
        ("agent_work_order_steps", "status", StepStatus),
    ],
)
def test_the_words_of_the_database_are_the_domains(
    db: sqlite3.Connection, table: str, column: str, words: type[StrEnum]
) -> None:
    (sql,) = db.execute("select sql from sqlite_master where name = ?", (table,)).fetchone()
    found = re.search(rf"{column} text[^(]*check \(\s*{column} in \(([^)]*)\)", sql)
    assert found is not None
    assert set(re.findall(r"'(\w+)'", found[1])) == {word.value for word in words}


def file_orders(db: sqlite3.Connection, count: int) -> None:
    tx = Transaction(db, micros(utc_now()))
    for number in range(count):
        request = WorkOrderRequest(repository_url="https://github.com/owner/name", user_request="Mend the parser.")
        key = f"github.com/owner/{number % 5}"
        tx.now += 1
        orders.enqueue(tx, NewWorkOrder(new_order_id(), request, request.repository_url, key, f"key-{number}"))


def plans(db: sqlite3.Connection, call: Callable[[], object]) -> str:
    """How SQLite carries out every statement that the call runs."""
    statements: list[str] = []
    db.set_trace_callback(statements.append)
    call()
    db.set_trace_callback(None)
    explained = [
        row["detail"]
        for statement in dict.fromkeys(statements)
        if statement.lstrip().lower().startswith(("select", "with", "update", "delete"))
        for row in db.execute(f"explain query plan {statement}")
    ]
    assert explained
    return "\n".join(explained)


ANY = ListQuery()
BEFORE = (utc_now(), "wo-0000000000000000")


@pytest.mark.parametrize(
    ("query", "index"),
    [
        (ListQuery(), "agent_work_orders_newest"),
        (ListQuery(before=BEFORE), "agent_work_orders_newest"),
        (ListQuery(frozenset({Status.FAILED})), "agent_work_orders_by_status"),
        (ListQuery(frozenset({Status.FAILED, Status.PENDING}), before=BEFORE), "agent_work_orders_by_status"),
        (ListQuery(repository_key="github.com/owner/1"), "agent_work_orders_by_repository"),
        (ListQuery(repository_key="github.com/owner/1", before=BEFORE), "agent_work_orders_by_repository"),
        (ListQuery(frozenset({Status.FAILED}), "github.com/owner/1"), "agent_work_orders_by_repository"),
        (ListQuery(text="parser"), "agent_work_orders_newest"),
    ],
    # Told apart by their place: the text of a set or a time differs between two workers that collect the same tests.
    ids=lambda value: value if isinstance(value, str) else "query",
)
def test_a_list_walks_down_its_index_and_sorts_nothing(db: sqlite3.Connection, query: ListQuery, index: str) -> None:
    file_orders(db, 50)
    plan = plans(db, lambda: reading.list_orders(db, query))
    assert set(re.findall(r"INDEX (\w+)", plan)) == {index}
    assert "TEMP B-TREE" not in plan
    if query.before is not None and query.text is None:
        assert re.search(r"(created_at|\(created_at,agent_work_order_id\))<", plan)


def test_a_claim_reads_small_indexes_only(db: sqlite3.Connection) -> None:
    file_orders(db, 50)
    tx = Transaction(db, micros(utc_now()) + 1000)
    plan = plans(db, lambda: queue.claim(tx, "worker", uuid.uuid4().hex, timedelta(seconds=1), 2))
    for name in ("pending", "running", "scheduled", "waiting"):
        assert f"agent_work_orders_{name}" in plan
    assert "agent_work_orders_by_" not in plan
    assert "agent_work_orders_newest" not in plan
    # Only what runs now is walked through, to find the claim of a repeated request.
    assert re.findall(r"SCAN (agent_work_order.*)", plan) == ["agent_work_orders USING INDEX agent_work_orders_running"]


def test_the_tails_and_the_reaper_use_their_indexes(db: sqlite3.Connection) -> None:
    file_orders(db, 50)
    tx = Transaction(db, micros(utc_now()) + 1000)
    changes = plans(db, lambda: reading.changes(db, 10, 200))
    assert "(rev>?)" in changes
    assert "TEMP B-TREE" not in changes
    order_id = reading.list_orders(db, ANY)[0].agent_work_order_id
    for before in (None, 10):
        events = plans(db, partial(reading.events, db, order_id, 0, before, frozenset(), 500))
        assert "PRIMARY KEY (agent_work_order_id=? AND seq>? AND seq<?)" in events
        assert "TEMP B-TREE" not in events
    assert "agent_work_orders_running" in plans(db, lambda: queue.reap(tx, 10, ["worker"]))
    assert "COVERING INDEX agent_work_orders_by_status" in plans(db, lambda: reading.counts(db))
