"""What operators say of repositories, in the embedded store. Knows rows; what an option means is the domain's."""

import json
import sqlite3

from ..domain.registry import (
    Configuration,
    RegistryEntry,
    Verification,
    changed_meanwhile,
    not_configured,
    stored_options,
    verification_json,
    verification_of,
)
from .rows import moment, storable
from .transaction import Transaction


def save(tx: Transaction, wanted: Configuration, version: int | None, by: str) -> RegistryEntry:
    tx.db.execute(
        "insert into agent_work_order_repositories (repository_key, repository_url, created_at) values (?, ?, ?) "
        "on conflict (repository_key) do nothing",
        (wanted.key, wanted.url, tx.now),
    )
    if version is not None:
        _expect(tx, wanted.key, version)
    columns = wanted.columns()
    saved = tx.one(
        "update agent_work_order_repositories set repository_url = ?, display_name = ?, options = ?, "
        "max_concurrent = ?, configured_at = coalesce(configured_at, ?), version = version + 1, changed_by = ?, "
        "updated_at = ? where repository_key = ? returning *",
        wanted.url,
        storable(wanted.display_name),
        storable(json.dumps(columns["options"])),
        columns["max_concurrent"],
        tx.now,
        storable(by),
        tx.now,
        wanted.key,
    )
    tx.news.work = True  # a higher limit lets orders in that had to stand back
    return entry_of(saved)


def forget(tx: Transaction, key: str, version: int | None) -> None:
    _expect(tx, key, version)
    tx.db.execute(
        "update agent_work_order_repositories set display_name = null, options = '{}', max_concurrent = null, "
        "configured_at = null, version = version + 1, changed_by = null, verification = null, "
        "last_verified_at = null, updated_at = ? where repository_key = ?",
        (tx.now, key),
    )
    tx.news.work = True


def note_verification(tx: Transaction, key: str, verification: Verification) -> RegistryEntry:
    _expect(tx, key, None)
    return entry_of(
        tx.one(
            "update agent_work_order_repositories set verification = ?, last_verified_at = ? where repository_key = ? "
            "returning *",
            storable(json.dumps(verification_json(verification))),
            tx.now,
            key,
        )
    )


def page(db: sqlite3.Connection, limit: int, after: str | None, everything: bool) -> list[RegistryEntry]:
    rows = db.execute(
        "select * from agent_work_order_repositories where repository_key > ? and (? or configured_at is not null) "
        "order by repository_key limit ?",
        (after or "", everything, limit),
    )
    return [entry_of(row) for row in rows.fetchall()]


def find(db: sqlite3.Connection, key: str) -> RegistryEntry | None:
    row = db.execute("select * from agent_work_order_repositories where repository_key = ?", (key,)).fetchone()
    return None if row is None else entry_of(row)


def _expect(tx: Transaction, key: str, version: int | None) -> None:
    """`version` is what was read, 0 for "not configured", None for whatever is; else SettingsChanged or NotFound."""
    row = tx.find("select * from agent_work_order_repositories where repository_key = ?", key)
    configured = row is not None and row["configured_at"] is not None
    if version == 0:
        if configured:
            raise changed_meanwhile(key)
    elif row is None or not configured:
        raise not_configured(key)
    elif version is not None and version != row["version"]:
        raise changed_meanwhile(key)


def entry_of(row: sqlite3.Row) -> RegistryEntry:
    """A row of `agent_work_order_repositories`."""
    found = None if row["verification"] is None else json.loads(row["verification"])
    return RegistryEntry(
        key=row["repository_key"],
        url=row["repository_url"],
        display_name=row["display_name"],
        options=stored_options(row["repository_key"], json.loads(row["options"]), row["max_concurrent"]),
        configured=row["configured_at"] is not None,
        version=row["version"],
        changed_by=row["changed_by"],
        verification=verification_of(found, moment(row["last_verified_at"])),
        created_at=moment(row["created_at"]),
        updated_at=moment(row["updated_at"]),
    )
