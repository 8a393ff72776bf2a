"""A whole work order as it leaves one store for another, a backup or an archive. Knows columns and rows, no backend.

Values are as JSON has them: times RFC 3339 in UTC, lists and objects as such. Numbers that only one database knows (its
keys, its `rev`) are left out.
"""

import hashlib
import json
from datetime import UTC, datetime
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from .status import Status

Row = dict[str, Any]
# seq, at, kind, step_order, attempt, payload
EventRow = tuple[int, str, str, int | None, int, str]

_TIMES = frozenset({"at", "waiting_until", "run_after"})
# What belongs to one database: its own keys, and by what it knows repeated calls of people.
_ITS_OWN = frozenset({"order_no", "rev", "asked_by", "entry_id", "request_id"})
REPOSITORIES, AUDIT = "agent_work_order_repositories", "agent_work_order_settings_audit"


def is_time(column: str) -> bool:
    """Whether a column holds a time, by the house's rule for names."""
    return column in _TIMES or column.endswith("_at")


def time_text(at: datetime) -> str:
    """The one way in which an export writes a time."""
    return at.astimezone(UTC).isoformat(timespec="microseconds")


def exported_row(columns: Row) -> Row:
    """A row without what belongs to one database alone, its times written in the one way."""
    return {
        name: time_text(datetime.fromisoformat(value)) if value is not None and is_time(name) else value
        for name, value in columns.items()
        if name not in _ITS_OWN
    }


class ExportedOrder(BaseModel):
    """An order with all that hangs on it: its row, the rows of other tables by their table's name, and its journal."""

    model_config = ConfigDict(frozen=True)

    order: Row = Field(description="Columns of `agent_work_orders`.")
    tables: dict[str, list[Row]] = Field(description="Rows of other tables that name the order.")
    events: list[EventRow] = Field(description="The journal, whole and in order.")

    @property
    def order_id(self) -> str:
        found: str = self.order["agent_work_order_id"]
        return found

    @property
    def status(self) -> Status:
        return Status(self.order["status"])

    @property
    def artifacts(self) -> list[Row]:
        return self.tables.get("agent_work_order_artifacts", [])

    def problem(self) -> str | None:
        """Why this is not one whole order, as the end of a sentence; None if it is."""
        seqs = [event[0] for event in self.events]
        if seqs != list(range(1, self.order["last_seq"] + 1)):
            return "its journal has gaps"
        strangers = [
            name
            for name, rows in self.tables.items()
            if any(row.get("agent_work_order_id") != self.order_id for row in rows)
        ]
        return f"rows of {strangers[0]} belong to another order" if strangers else None

    def digest(self) -> str:
        """Equal for equal orders, whichever store holds them (hex SHA-256)."""
        digest = hashlib.sha256(canonical(self.order).encode())
        for name in sorted(self.tables):
            for line in sorted(canonical(row) for row in self.tables[name]):
                digest.update(f"\n{name} {line}".encode())
        for event in self.events:
            digest.update(f"\n{canonical(list(event))}".encode())
        return digest.hexdigest()

    def is_kept_by(self, other: "ExportedOrder") -> bool:
        """Whether the other is this very order; columns that came into being later are not looked at."""
        if canonical(self.order) != canonical(_only(other.order, self.order)) or self.events != other.events:
            return False
        ours = {name: rows for name, rows in self.tables.items() if rows}
        theirs = {name: rows for name, rows in other.tables.items() if rows}
        return ours.keys() == theirs.keys() and all(
            sorted(canonical(row) for row in rows) == sorted(canonical(_only(row, *rows)) for row in theirs[name])
            for name, rows in ours.items()
        )


class Surroundings(BaseModel):
    """What a store keeps beside orders: repositories with limits and fairness, the audit, the last token."""

    model_config = ConfigDict(frozen=True)

    tables: dict[str, list[Row]] = Field(description="Rows by their table's name, oldest first.")
    fence: int = Field(description="The highest fencing token that was ever given.")

    def missing_in(self, other: "Surroundings") -> list[str]:
        """The tables of which something is not in the other; `fence` where its last token is lower."""
        there = {name: {_known_by(row) for row in rows} for name, rows in other.tables.items()}
        return [
            name for name, rows in self.tables.items() for row in rows if _known_by(row) not in there.get(name, set())
        ] + (["fence"] if other.fence < self.fence else [])


class Census(BaseModel):
    """How much there is in a store."""

    model_config = ConfigDict(frozen=True)

    orders: dict[Status, int]
    steps: int
    events: int
    artifacts: int
    repositories: int
    audit: int


def _only(row: Row, *like: Row) -> Row:
    wanted = set().union(*like)
    return {name: value for name, value in row.items() if name in wanted}


def _known_by(row: Row) -> str:
    """Of a repository what somebody said of it; when it was first seen, and its place in the line, may differ."""
    if "repository_key" in row:
        row = {name: row.get(name) for name in ("repository_key", "max_concurrent", "display_name", "options")}
    return canonical(row)


def canonical(value: Any) -> str:
    """One text for equal values: sorted keys, no nulls in objects, and 2.0 is 2."""
    return json.dumps(_plain(value), sort_keys=True, ensure_ascii=False, separators=(",", ":"))


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _plain(inner) for name, inner in value.items() if inner is not None}
    if isinstance(value, list | tuple):
        return [_plain(inner) for inner in value]
    if isinstance(value, float) and value.is_integer():
        return int(value)
    return value
