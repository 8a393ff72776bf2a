"""Whole orders out of the embedded store and into it, each in one transaction. Asks the schema which columns there are.

What is carried is found by name: every table with a column `agent_work_order_id` belongs to an order.
"""

import json
import re
import sqlite3
from collections.abc import Sequence
from datetime import datetime
from typing import Any

from ..domain.errors import IdempotencyConflict, NotFound
from ..domain.exported import (
    AUDIT,
    REPOSITORIES,
    Census,
    EventRow,
    ExportedOrder,
    Row,
    Surroundings,
    canonical,
    exported_row,
    is_time,
    time_text,
)
from ..domain.status import Status
from .arrival import too_new
from .rows import micros, moment
from .transaction import Transaction

ORDERS, EVENTS = "agent_work_orders", "agent_work_order_events"
_BOOLEANS = frozenset({"success"})


def export_order(db: sqlite3.Connection, order_id: str) -> ExportedOrder:
    found = _rows(db, ORDERS, order_id)
    if not found:
        raise NotFound(f"There is no work order {order_id}.")
    events = db.execute(
        "select seq, at, kind, step_order, attempt, payload from agent_work_order_events "
        "where agent_work_order_id = ? order by seq",
        (order_id,),
    )
    return ExportedOrder(
        order=found[0],
        tables={table: rows for table in belonging(db) if (rows := _rows(db, table, order_id))},
        events=[(row[0], time_text(moment(row[1])), *row[2:]) for row in map(tuple, events.fetchall())],
    )


def import_order(tx: Transaction, exported: ExportedOrder) -> bool:
    """False, and nothing has changed, if there is an order of that id already."""
    order = exported.order
    if tx.find("select 1 from agent_work_orders where agent_work_order_id = ?", exported.order_id):
        return False
    if tx.find("select 1 from agent_work_orders where idempotency_key = ?", order["idempotency_key"]):
        raise IdempotencyConflict(f"Another work order has the idempotency key of {exported.order_id}.")
    tx.db.execute(
        "insert into agent_work_order_repositories (repository_key, repository_url, created_at) values (?, ?, ?) "
        "on conflict (repository_key) do nothing",
        (order["repository_key"], order["repository_url"], tx.now),
    )
    tx.news.rev = tx.next("rev")
    tx.news.work = True
    _put(tx.db, ORDERS, [order], rev=tx.news.rev)
    known = belonging(tx.db)
    for table, rows in exported.tables.items():
        if rows and table not in known:
            raise too_new(table)
        _put(tx.db, table, rows)
    _put_events(tx.db, exported.order_id, exported.events)
    _raise_fence(tx, max(order.get("settled_token") or 0, order.get("lease_token") or 0))
    return True


def surroundings(db: sqlite3.Connection) -> Surroundings:
    fence = db.execute("select value from agent_work_order_counters where name = 'fence'").fetchone()["value"]
    return Surroundings(tables={table: _rows(db, table) for table in standing_alone(db)}, fence=fence)


def import_surroundings(tx: Transaction, given: Surroundings) -> None:
    """Adds what is not there; of a repository that is there only its place in the line moves on."""
    known = standing_alone(tx.db)
    for table, rows in given.tables.items():
        if rows and table not in known:
            raise too_new(table)
        there = {canonical(row) for row in _rows(tx.db, table)} if rows else set()
        for row in rows:
            if table == REPOSITORIES:
                tx.db.execute(
                    "update agent_work_order_repositories set last_claim_token = max(last_claim_token, ?) "
                    "where repository_key = ?",
                    (row["last_claim_token"], row["repository_key"]),
                )
            if canonical(row) not in there:
                _put(tx.db, table, [row], "on conflict do nothing")
    _raise_fence(tx, given.fence)


def census(db: sqlite3.Connection) -> Census:
    def count(table: str) -> int:
        found: int = db.execute(f"select count(*) from {table}").fetchone()[0]  # noqa: S608 - a name of our own
        return found

    by_status = db.execute("select status, count(*) from agent_work_orders group by status").fetchall()
    return Census(
        orders={Status(status): number for status, number in map(tuple, by_status)},
        steps=count("agent_work_order_steps"),
        events=count(EVENTS),
        artifacts=count("agent_work_order_artifacts"),
        repositories=count(REPOSITORIES),
        audit=count(AUDIT),
    )


def belonging(db: sqlite3.Connection) -> list[str]:
    """Tables whose rows belong to orders, the journal aside."""
    found = db.execute(
        "select m.name from sqlite_master m join pragma_table_info(m.name) c on c.name = 'agent_work_order_id' "
        "where m.type = 'table' and m.name not in (?, ?) order by m.name",
        (ORDERS, EVENTS),
    )
    return [row["name"] for row in found.fetchall()]


def standing_alone(db: sqlite3.Connection) -> list[str]:
    """Tables of ours whose rows belong to no order, the counters aside."""
    found = db.execute(
        "select name from sqlite_master where type = 'table' and name like 'agent_work_order%' order by name"
    )
    apart = {ORDERS, EVENTS, "agent_work_order_counters", *belonging(db)}
    return [row["name"] for row in found.fetchall() if row["name"] not in apart]


def _columns(db: sqlite3.Connection, table: str) -> list[str]:
    """Those that mean something outside this file: a number that is only a row's key does not."""
    found = db.execute("select name, type, pk from pragma_table_info(?)", (table,)).fetchall()
    keys = [row for row in found if row["pk"]]
    key = keys[0]["name"] if len(keys) == 1 and keys[0]["type"].lower() == "integer" else None
    return [row["name"] for row in found if row["name"] != key]


def _rows(db: sqlite3.Connection, table: str, order_id: str | None = None) -> list[Row]:
    """Rows in the order of their writing, as an export has them."""
    source: str = db.execute("select sql from sqlite_master where name = ?", (table,)).fetchone()["sql"]
    objects = frozenset(re.findall(r"json_valid\((\w+)\)", source))
    names = _columns(db, table)
    where = "" if order_id is None else " where agent_work_order_id = :order_id"
    by = "1, 2" if "without rowid" in source.lower() else "rowid"
    found = db.execute(
        f"select {', '.join(names)} from {table}{where} order by {by}",  # noqa: S608 - names that the schema gives
        {"order_id": order_id},
    )
    return [
        exported_row({name: _out(name, value, objects) for name, value in zip(names, row, strict=True)})
        for row in found.fetchall()
    ]


def _out(name: str, value: Any, objects: frozenset[str]) -> Any:
    if value is None:
        return None
    if is_time(name):
        return time_text(moment(value))
    if name in _BOOLEANS:
        return bool(value)
    return json.loads(value) if name in objects else value


def _put(db: sqlite3.Connection, table: str, rows: Sequence[Row], clash: str = "", **more: Any) -> None:
    columns = set(_columns(db, table))
    for row in rows:
        given = {name: _in(name, value) for name, value in row.items() if value is not None} | more
        if strange := sorted(set(given) - columns):
            raise too_new(f"{table}.{strange[0]}")
        db.execute(
            f"insert into {table} ({', '.join(given)}) "  # noqa: S608 - names that the schema knows
            f"values ({', '.join('?' * len(given))}) {clash}",
            tuple(given.values()),
        )


def _in(name: str, value: Any) -> Any:
    if is_time(name):
        return micros(datetime.fromisoformat(value))
    return json.dumps(value) if isinstance(value, list | dict) else value


def _put_events(db: sqlite3.Connection, order_id: str, events: Sequence[EventRow]) -> None:
    db.executemany(
        "insert into agent_work_order_events (agent_work_order_id, seq, at, kind, step_order, attempt, payload) "
        "values (?, ?, ?, ?, ?, ?, ?)",
        [(order_id, seq, micros(datetime.fromisoformat(at)), *rest) for seq, at, *rest in events],
    )


def _raise_fence(tx: Transaction, token: int) -> None:
    """No token is ever given twice, also not one that another store gave."""
    tx.db.execute("update agent_work_order_counters set value = max(value, ?) where name = 'fence'", (token,))
