"""What can be read, each from one snapshot. Changes nothing."""

import json
import sqlite3
from typing import Any

from ..domain.errors import NotFound
from ..domain.events import Event
from ..domain.status import Status
from ..domain.work_order import Artifact, Step, WorkOrder
from ..ports import Counts, ListQuery
from .rows import artifact_of, event_of, micros, moment, order_of, step_of

_FOREVER = 2**62


def get(db: sqlite3.Connection, order_id: str) -> WorkOrder:
    row = db.execute("select * from agent_work_orders where agent_work_order_id = ?", (order_id,)).fetchone()
    if row is None:
        raise NotFound(f"There is no work order {order_id}.")
    return order_of(row)


def steps(db: sqlite3.Connection, order_id: str) -> list[Step]:
    rows = db.execute(
        "select * from agent_work_order_steps where agent_work_order_id = ? order by attempt, step_order", (order_id,)
    )
    return [step_of(row) for row in rows.fetchall()]


def artifacts(db: sqlite3.Connection, order_id: str) -> list[Artifact]:
    rows = db.execute("select * from agent_work_order_artifacts where agent_work_order_id = ? order by id", (order_id,))
    return [artifact_of(row) for row in rows.fetchall()]


def list_orders(db: sqlite3.Connection, query: ListQuery) -> list[WorkOrder]:
    """One short walk down an index for each status asked for, merged: never a sort of everything that matches."""
    conditions = [f"archived_at is {'not ' if query.archived else ''}null"]
    values: list[Any] = []
    if query.repository_key is not None:
        conditions.append("repository_key = ?")
        values.append(query.repository_key)
    if query.before is not None:
        conditions.append("(created_at, agent_work_order_id) < (?, ?)")
        values += [micros(query.before[0]), query.before[1]]
    if query.text:
        columns = ("user_request", "agent_work_order_id", "repository_url", "git_branch_name")
        conditions.append("(" + " or ".join(rf"{column} like ? escape '\'" for column in columns) + ")")
        values += [f"%{_escaped(query.text)}%"] * len(columns)
    statuses = query.statuses or (frozenset(Status) if query.repository_key is not None else frozenset())
    rows: list[sqlite3.Row] = []
    for status in statuses or (None,):
        wanted = conditions if status is None else ["status = ?", *conditions]
        found = db.execute(
            f"select * from agent_work_orders where {' and '.join(wanted) or 'true'} "  # noqa: S608 - fixed words above
            "order by created_at desc, agent_work_order_id desc limit ?",
            (*(() if status is None else (status,)), *values, query.limit),
        )
        rows += found.fetchall()
    rows.sort(key=lambda row: (row["created_at"], row["agent_work_order_id"]), reverse=True)
    return [order_of(row) for row in rows[: query.limit]]


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")


def counts(db: sqlite3.Connection) -> Counts:
    by_status = db.execute("select status, count(*) as orders from agent_work_orders group by status").fetchall()
    oldest = db.execute("select min(created_at) as at from agent_work_orders where status = ?", (Status.PENDING,))
    leases = db.execute(
        "select agent_work_order_id, worker_id, lease_expires_at from agent_work_orders where status = 'running'"
    )
    return Counts(
        by_status={Status(row["status"]): row["orders"] for row in by_status},
        oldest_pending_at=moment(oldest.fetchone()["at"]),
        leases=tuple(
            (row["agent_work_order_id"], row["worker_id"], moment(row["lease_expires_at"])) for row in leases.fetchall()
        ),
    )


_FORWARDS = """
select seq, at, kind, step_order, attempt, payload from agent_work_order_events
where agent_work_order_id = :order_id and seq > :after and seq < :before
and (:kinds is null or kind in (select value from json_each(:kinds)))
order by seq limit :limit
"""
_BACKWARDS = _FORWARDS.replace("order by seq", "order by seq desc")


def events(
    db: sqlite3.Connection,
    order_id: str,
    after_seq: int | None,
    before_seq: int | None,
    kinds: frozenset[str],
    limit: int,
) -> list[Event]:
    rows = db.execute(
        _FORWARDS if before_seq is None else _BACKWARDS,
        {
            "order_id": order_id,
            "after": 0 if after_seq is None else after_seq,
            "before": _FOREVER if before_seq is None else before_seq,
            "kinds": json.dumps(sorted(kinds)) if kinds else None,
            "limit": limit,
        },
    )
    found = [event_of(row) for row in rows.fetchall()]
    return found if before_seq is None else found[::-1]


def last_seq(db: sqlite3.Connection, order_id: str) -> int:
    """Of the order's journal; 0 for an order that does not exist."""
    row = db.execute("select last_seq from agent_work_orders where agent_work_order_id = ?", (order_id,)).fetchone()
    return 0 if row is None else row["last_seq"]


def is_cancel_requested(db: sqlite3.Connection, order_id: str) -> bool:
    row = db.execute(
        "select 1 from agent_work_orders where agent_work_order_id = ? and cancel_requested_at is not null", (order_id,)
    )
    return row.fetchone() is not None


def changes(db: sqlite3.Connection, after_rev: int, limit: int) -> list[WorkOrder]:
    rows = db.execute("select * from agent_work_orders where rev > ? order by rev limit ?", (after_rev, limit))
    return [order_of(row) for row in rows.fetchall()]


def last_rev(db: sqlite3.Connection) -> int:
    row = db.execute("select value from agent_work_order_counters where name = 'rev'").fetchone()
    rev: int = row["value"]
    return rev
