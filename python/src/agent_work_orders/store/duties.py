"""What clean-up asks of the embedded store and leaves in it: duties by lease, and remarks on orders that have ended."""

import json
import sqlite3
from collections.abc import Sequence
from datetime import timedelta

from ..domain.events import Payload, draft
from ..domain.status import Status
from ..domain.work_order import WorkOrder
from .rows import order_of, storable
from .transaction import Transaction


def take_duty(tx: Transaction, duty: str, worker_id: str, lease: timedelta) -> bool:
    held = tx.find("select worker_id, expires_at from awo_duties where duty = ?", duty)
    if held is not None and held["worker_id"] != worker_id and held["expires_at"] > tx.now:
        return False
    tx.db.execute(
        "insert into awo_duties (duty, worker_id, expires_at) values (?, ?, ?) on conflict (duty) "
        "do update set worker_id = excluded.worker_id, expires_at = excluded.expires_at",
        (duty, worker_id, tx.now + lease // timedelta(microseconds=1)),
    )
    return True


def remark(tx: Transaction, order_id: str, payload: Payload) -> bool:
    order = tx.find("select * from agent_work_orders where agent_work_order_id = ?", order_id)
    if order is None or not Status(order["status"]).is_terminal:
        return False
    said = draft(payload)
    known = tx.find(
        "select 1 from agent_work_order_events where agent_work_order_id = ? and kind = ? and payload = ?",
        order_id,
        said.kind,
        storable(said.payload),
    )
    if known is None:
        tx.tell(order, payload)
    return True


def find(db: sqlite3.Connection, order_ids: Sequence[str]) -> list[WorkOrder]:
    rows = db.execute(
        "select o.* from json_each(?) wanted cross join agent_work_orders o on o.agent_work_order_id = wanted.value",
        (json.dumps(list(order_ids)),),
    )
    return [order_of(row) for row in rows.fetchall()]
