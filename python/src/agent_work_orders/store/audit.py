"""The log of who changed which setting. Append only; knows no setting."""

import sqlite3

from ..domain.setting import AuditEntry
from .rows import moment, storable
from .transaction import Transaction


def append(tx: Transaction, by: str, setting: str, action: str, old: str | None, new: str | None) -> None:
    tx.db.execute(
        "insert into agent_work_order_settings_audit (at, changed_by, setting, action, old_value, new_value) "
        "values (?, ?, ?, ?, ?, ?)",
        (tx.now, storable(by), storable(setting), action, storable(old), storable(new)),
    )


def page(db: sqlite3.Connection, limit: int, before: int | None, setting: str | None) -> list[AuditEntry]:
    rows = db.execute(
        "select * from agent_work_order_settings_audit where (:before is null or entry_id < :before) "
        "and (:setting is null or setting = :setting) order by entry_id desc limit :limit",
        {"before": before, "setting": setting, "limit": limit},
    )
    return [
        AuditEntry(
            entry_id=row["entry_id"],
            at=moment(row["at"]),
            by=row["changed_by"],
            setting=row["setting"],
            action=row["action"],
            old=row["old_value"],
            new=row["new_value"],
        )
        for row in rows
    ]
