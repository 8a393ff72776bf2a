"""Whole orders out of the shared store and into it: what the database's functions take and give. Asks through `Ask`."""

from collections.abc import Sequence
from typing import Any, Protocol

from ..domain.exported import EventRow, ExportedOrder, Row, Surroundings, exported_row, time_text
from . import wire

PAGE = 500
# What goes out in one call: enough to be quick, and below what gateways let through.
PART_EVENTS, PART_CHARACTERS = 1000, 2_000_000


class Ask(Protocol):
    async def __call__(self, function: str, order_id: str = "", rule: str = "", **arguments: Any) -> Any: ...


async def export_order(ask: Ask, order_id: str) -> ExportedOrder:
    """Row, tables and the journal's end are of one instant; the journal up to there never changes, so pages will do."""
    found = await ask("export", order_id, p_id=order_id)
    last_seq: int = found["order"]["last_seq"]
    events: list[EventRow] = []
    while len(events) < last_seq:
        rows = await ask(
            "events", p_id=order_id, p_after_seq=len(events), p_before_seq=None, p_kinds=None, p_limit=PAGE
        )
        page = [_event(row) for row in rows if row[0] <= last_seq]
        if not page:
            break  # deleted meanwhile; the caller sees that the journal is not whole
        events += page
    return ExportedOrder(order=exported_row(found["order"]), tables=_rows_of(found["tables"]), events=events)


async def import_order(ask: Ask, exported: ExportedOrder) -> bool:
    """Long journals go ahead in parts, which count for nothing until the order itself is there."""
    *ahead, last = _parts(exported.events)
    for events in ahead:
        await ask("import_part", p_id=exported.order_id, p_first_seq=events[0][0], p_events=[list(e) for e in events])
    whole = {"order": exported.order, "tables": exported.tables, "events": [list(event) for event in last]}
    created: bool = await ask("import", exported.order_id, p_order=whole)
    return created


async def surroundings(ask: Ask) -> Surroundings:
    found = await ask("surroundings")
    return Surroundings(tables=_rows_of(found["tables"]), fence=found["fence"])


async def import_surroundings(ask: Ask, given: Surroundings) -> None:
    await ask("import_surroundings", p_given=given.model_dump(mode="json"))


def _rows_of(tables: dict[str, list[Row]]) -> dict[str, list[Row]]:
    return {name: [exported_row(row) for row in rows] for name, rows in sorted(tables.items())}


def _event(row: list[Any]) -> EventRow:
    seq, at, kind, step_order, attempt, payload = row
    return (seq, time_text(wire.moment(at)), kind, step_order, attempt, payload)


def _parts(events: Sequence[EventRow]) -> list[list[EventRow]]:
    parts: list[list[EventRow]] = [[]]
    size = 0
    for event in events:
        size += len(event[-1]) + 100
        if parts[-1] and (len(parts[-1]) == PART_EVENTS or size > PART_CHARACTERS):
            parts.append([])
            size = len(event[-1]) + 100
        parts[-1].append(event)
    return parts
