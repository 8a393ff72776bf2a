"""One transaction of the embedded store: what it reads, changes and tells, and what others hear after its commit."""

import sqlite3
from dataclasses import dataclass, field
from typing import Any

from ..domain.errors import LostLease, NotFound
from ..domain.events import Event, Payload, draft
from ..domain.status import StepStatus
from ..domain.work_order import Claim
from .rows import moment, storable

# What nobody holds.
UNHELD: dict[str, Any] = {"worker_id": None, "claim_request_id": None, "lease_token": None, "lease_expires_at": None}
# What an order that goes on no longer says.
UNTROUBLED: dict[str, Any] = {
    "waiting_reason": None,
    "waiting_until": None,
    "failure_class": None,
    "error_message": None,
    "next_action": None,
}


@dataclass
class News:
    """What a commit brought, for those who wait in this process."""

    events: dict[str, list[Event]] = field(default_factory=dict)
    rev: int = 0
    work: bool = False
    claims: set[str] = field(default_factory=set)
    cancels: set[str] = field(default_factory=set)
    deleted: set[str] = field(default_factory=set)


class Transaction:
    """An open write transaction. `now` is one instant, in microseconds, for all that it writes."""

    def __init__(self, db: sqlite3.Connection, now: int) -> None:
        self.db, self.now = db, now
        self.news = News()

    def find(self, sql: str, *values: Any) -> sqlite3.Row | None:
        """The first row, if there is one."""
        row: sqlite3.Row | None = self.db.execute(sql, values).fetchone()
        return row

    def one(self, sql: str, *values: Any) -> sqlite3.Row:
        """The first row of a statement that always has one."""
        row = self.find(sql, *values)
        if row is None:
            raise LookupError(sql)
        return row

    def order(self, order_id: str) -> sqlite3.Row:
        """The order's row, or NotFound."""
        row = self.find("select * from agent_work_orders where agent_work_order_id = ?", order_id)
        if row is None:
            raise NotFound(f"There is no work order {order_id}.")
        return row

    def held(self, claim: Claim) -> sqlite3.Row:
        """The order's row if the claim still holds it, or LostLease. An expired lease still holds."""
        row = self.find(
            "select * from agent_work_orders where agent_work_order_id = ? and status = 'running' and lease_token = ?",
            claim.order_id,
            claim.token,
        )
        if row is None:
            raise LostLease(f"The lease on {claim.order_id} is held no longer.")
        return row

    def next(self, counter: str) -> int:
        sql = "update agent_work_order_counters set value = value + 1 where name = ? returning value"
        value: int = self.one(sql, counter)["value"]
        return value

    def insert(self, columns: dict[str, Any]) -> sqlite3.Row:
        """A new order."""
        self.news.rev = self.next("rev")
        columns = {**columns, "rev": self.news.rev, "created_at": self.now, "updated_at": self.now}
        return self.one(
            f"insert into agent_work_orders ({', '.join(columns)}) "  # noqa: S608 - names of columns from our own code
            f"values ({', '.join('?' * len(columns))}) returning *",
            *columns.values(),
        )

    def change(self, order: sqlite3.Row, **columns: Any) -> sqlite3.Row:
        """The order's row after a state change: every one of them gets the next `rev`."""
        self.news.rev = self.next("rev")
        columns = {**columns, "rev": self.news.rev, "updated_at": self.now}
        return self.one(
            f"update agent_work_orders set {' = ?, '.join(columns)} = ? "  # noqa: S608 - names from our own code
            "where order_no = ? returning *",
            *columns.values(),
            order["order_no"],
        )

    def tell(self, order: sqlite3.Row, payload: Payload, *, attempt: int | None = None) -> None:
        """Appends an event of the store's own to the journal; `change`, called afterwards, knows the new `last_seq`."""
        attempt = order["attempt"] if attempt is None else attempt
        moved = self.one(
            "update agent_work_orders set last_seq = last_seq + 1 where order_no = ? returning last_seq",
            order["order_no"],
        )
        drafted = draft(payload)
        event = Event(moved["last_seq"], moment(self.now), drafted.kind, None, attempt, storable(drafted.payload))
        self.write_events(order["agent_work_order_id"], [event])

    def write_events(self, order_id: str, events: list[Event]) -> None:
        """Rows of the journal; who calls has moved `last_seq`."""
        self.db.executemany(
            "insert into agent_work_order_events (agent_work_order_id, seq, at, kind, step_order, attempt, payload) "
            "values (?, ?, ?, ?, ?, ?, ?)",
            [(order_id, e.seq, self.now, e.kind, e.step_order, e.attempt, e.payload) for e in events],
        )
        self.news.events.setdefault(order_id, []).extend(events)

    def end_open_steps(self, order: sqlite3.Row, status: StepStatus, why: str) -> None:
        """No step runs on when its order does not."""
        self.db.execute(
            "update agent_work_order_steps set status = ?, success = 0, error_message = ?, finished_at = ?, "
            "duration_seconds = (? - started_at) / 1e6 where agent_work_order_id = ? and status = 'running'",
            (status, why, self.now, self.now, order["agent_work_order_id"]),
        )
