"""The contract over the embedded store."""

import re
import sqlite3
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, closing
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from src.agent_work_orders.domain.work_order import utc_now
from src.agent_work_orders.ports import Store
from src.agent_work_orders.store.sqlite import SqliteStore

from . import store_contract
from .store_contract import StoreContract


class Clock:
    """Begins now, goes on by a microsecond at every look, and further when told."""

    def __init__(self) -> None:
        self._at = utc_now()

    def __call__(self) -> datetime:
        self._at += timedelta(microseconds=1)
        return self._at

    def go_on(self, time: timedelta) -> None:
        self._at += time


class SqliteWorld:
    def __init__(self, path: Path, store: Store, clock: Clock) -> None:
        self.store, self.address = store, f"sqlite:{path}"
        self._path, self._clock = path, clock

    def server(self) -> AbstractAsyncContextManager[Store]:
        return SqliteStore.open(self._path, clock=self._clock)

    async def now(self) -> datetime:
        return self._clock()

    async def let_pass(self, time: timedelta) -> None:
        self._clock.go_on(time)

    async def limit_repository(self, repository_key: str, at_most: int | None) -> None:
        with closing(sqlite3.connect(self._path)) as db, db:
            changed = db.execute(
                "update agent_work_order_repositories set max_concurrent = ? where repository_key = ?",
                (at_most, repository_key),
            )
            assert changed.rowcount == 1

    async def assert_sound(self) -> None:
        with closing(sqlite3.connect(self._path)) as db:
            assert db.execute("pragma integrity_check").fetchall() == [("ok",)]
            assert db.execute("pragma foreign_key_check").fetchall() == []


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[SqliteWorld]:
    path, clock = tmp_path / "awo.db", Clock()
    async with SqliteStore.open(path, clock=clock) as store:
        yield SqliteWorld(path, store, clock)


@pytest.mark.anyio
class TestSqliteStore(StoreContract):
    pass


def test_every_clause_has_a_test_and_every_test_a_clause() -> None:
    written = {int(number) for number in re.findall(r"^ ?(\d+)\. ", store_contract.__doc__ or "", re.MULTILINE)}
    tests = [getattr(StoreContract, name) for name in dir(StoreContract) if name.startswith("test_")]
    assert written == set(range(1, len(written) + 1))
    assert {number for test in tests for number in test.clauses} == written
