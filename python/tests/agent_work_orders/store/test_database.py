"""The embedded store's file: who may read it, how it grows up, and what is said when it cannot be used."""

import os
import sqlite3
import stat
from collections.abc import AsyncIterator, Iterator
from contextlib import closing
from datetime import timedelta
from pathlib import Path

import anyio
import pytest

from src.agent_work_orders.domain.errors import StoreUnavailable
from src.agent_work_orders.domain.work_order import NewWorkOrder, WorkOrderRequest, new_order_id
from src.agent_work_orders.ports import ListQuery
from src.agent_work_orders.store import database
from src.agent_work_orders.store.schema import MIGRATIONS
from src.agent_work_orders.store.sqlite import SqliteStore

pytestmark = pytest.mark.anyio


def new_order(key: str = "key") -> NewWorkOrder:
    request = WorkOrderRequest(repository_url="https://github.com/owner/name", user_request="Mend the parser.")
    return NewWorkOrder(new_order_id(), request, request.repository_url, "github.com/owner/name", key)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "home" / "awo.db"


@pytest.fixture
async def store(path: Path) -> AsyncIterator[SqliteStore]:
    async with SqliteStore.open(path) as opened:
        yield opened


def writer(store: SqliteStore) -> sqlite3.Connection:
    return store._database._must_be_open()


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def put(path: Path, content: bytes, mode: int = 0o600) -> None:
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(content)
    path.chmod(mode)


def content_of(path: Path) -> bytes:
    return path.read_bytes()


def move(path: Path, name: str) -> None:
    path.rename(path.with_name(name))


def version(path: Path) -> int:
    with closing(sqlite3.connect(path)) as db:
        found: int = db.execute("pragma user_version").fetchone()[0]
        return found


@pytest.fixture
def open_umask() -> Iterator[None]:
    before = os.umask(0o000)
    yield
    os.umask(before)


async def test_nobody_else_may_read_the_file(path: Path, open_umask: None) -> None:
    async with SqliteStore.open(path) as store:
        await store.enqueue(new_order())
        modes = {file.name: mode(file) for file in path.parent.iterdir()}
        assert modes == {"awo.db": 0o600, "awo.db-wal": 0o600, "awo.db-shm": 0o600}
        assert mode(path.parent) == 0o700


async def test_a_file_that_others_could_read_is_closed_to_them(path: Path) -> None:
    put(path, b"", mode=0o644)
    async with SqliteStore.open(path):
        assert mode(path) == 0o600


async def test_a_path_with_odd_characters_is_opened(tmp_path: Path) -> None:
    path = tmp_path / "100% söm?e #home" / "awo.db"
    async with SqliteStore.open(path) as store:
        await store.enqueue(new_order())
    assert path.is_file()


async def test_what_was_written_is_there_after_a_restart(path: Path) -> None:
    async with SqliteStore.open(path) as store:
        filed = await store.enqueue(new_order())
    async with SqliteStore.open(path) as store:
        assert await store.list_orders(ListQuery()) == [filed.order]
        assert await store.last_rev() == filed.order.rev


async def test_the_file_keeps_a_write_ahead_log_and_survives_a_power_cut(store: SqliteStore) -> None:
    settings = {name: writer(store).execute(f"pragma {name}").fetchone()[0] for name in ("journal_mode", "synchronous")}
    assert settings == {"journal_mode": "wal", "synchronous": 2}
    assert writer(store).execute("pragma foreign_keys").fetchone()[0] == 1


async def test_many_servers_that_start_at_once_make_one_schema(path: Path) -> None:
    async def start(number: int) -> None:
        async with SqliteStore.open(path) as store:
            await store.enqueue(new_order(f"key-{number}"))

    async with anyio.create_task_group() as group:
        for number in range(12):
            group.start_soon(start, number)
    assert version(path) == len(MIGRATIONS)
    async with SqliteStore.open(path) as store:
        assert len(await store.list_orders(ListQuery())) == 12


async def test_an_older_schema_is_brought_up_to_date(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with SqliteStore.open(path) as store:
        filed = await store.enqueue(new_order())
    newer = (*MIGRATIONS, ("alter table agent_work_orders add column colour text",))
    monkeypatch.setattr(database, "MIGRATIONS", newer)
    async with SqliteStore.open(path) as store:
        assert await store.get(filed.order.agent_work_order_id) == filed.order
    assert version(path) == len(newer)


async def test_a_migration_that_fails_leaves_the_schema_as_it_was(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with SqliteStore.open(path) as store:
        await store.enqueue(new_order())
    broken = ("create table half_done (x)", "create table half_done (x)")
    monkeypatch.setattr(database, "MIGRATIONS", (*MIGRATIONS, broken))
    with pytest.raises(sqlite3.OperationalError):
        async with SqliteStore.open(path):
            pass
    monkeypatch.undo()
    assert version(path) == len(MIGRATIONS)
    async with SqliteStore.open(path) as store:
        assert len(await store.list_orders(ListQuery())) == 1
        assert writer(store).execute("select 1 from sqlite_master where name = 'half_done'").fetchone() is None


async def test_a_newer_schema_is_refused_and_left_alone(path: Path) -> None:
    async with SqliteStore.open(path):
        pass
    with closing(sqlite3.connect(path)) as db:
        db.execute("pragma user_version = 99")
    with pytest.raises(StoreUnavailable, match="newer version \\(schema 99") as refused:
        async with SqliteStore.open(path):
            pass
    assert refused.value.next_action
    assert version(path) == 99


async def test_a_server_notices_that_a_newer_one_changed_the_schema(store: SqliteStore, path: Path) -> None:
    await store.check()
    with closing(sqlite3.connect(path)) as db:
        db.execute("pragma user_version = 99")
    with pytest.raises(StoreUnavailable, match="newer"):
        await store.check()


@pytest.mark.parametrize("content", [b"this is no database, " * 100, b"SQLite format 3\0" + b"\xff" * 4080])
async def test_a_file_that_is_no_database_is_named_and_left_alone(path: Path, content: bytes) -> None:
    put(path, content)
    with pytest.raises(StoreUnavailable, match=r"awo\.db") as refused:
        async with SqliteStore.open(path):
            pass
    assert "backup" in refused.value.next_action
    assert content_of(path) == content


async def test_a_place_that_cannot_hold_a_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "occupied").touch()
    for path in (tmp_path / "occupied" / "awo.db", tmp_path):
        with pytest.raises(StoreUnavailable, match="cannot be opened") as refused:
            async with SqliteStore.open(path):
                pass
        assert refused.value.next_action


async def test_a_full_disk_is_named_and_the_same_call_succeeds_once_there_is_room(
    store: SqliteStore, path: Path
) -> None:
    await store.enqueue(new_order())
    pages = writer(store).execute("pragma page_count").fetchone()[0]
    writer(store).execute(f"pragma max_page_count = {pages}")
    large = WorkOrderRequest(repository_url="https://github.com/owner/name", user_request="x" * 60_000)
    new = NewWorkOrder(new_order_id(), large, large.repository_url, "github.com/owner/other", "large")
    with pytest.raises(StoreUnavailable, match="disk is full") as refused:
        await store.enqueue(new)
    assert "Free space" in refused.value.next_action
    assert len(await store.list_orders(ListQuery())) == 1
    writer(store).execute("pragma max_page_count = 100000")
    assert (await store.enqueue(new)).created
    with closing(sqlite3.connect(path)) as db:
        assert db.execute("pragma integrity_check").fetchone() == ("ok",)


async def test_a_volume_that_became_read_only_is_named(store: SqliteStore) -> None:
    filed = await store.enqueue(new_order())
    writer(store).execute("pragma query_only = on")
    for call in (store.enqueue(new_order("other")), store.check()):
        with pytest.raises(StoreUnavailable, match="cannot be written"):
            await call
    assert await store.get(filed.order.agent_work_order_id) == filed.order


async def test_a_lock_that_another_process_never_gives_back_is_named(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(database, "BUSY_SECONDS", 0.05)
    async with SqliteStore.open(path) as store:
        with closing(sqlite3.connect(path, isolation_level=None)) as other:
            other.execute("begin immediate")
            for call in (store.enqueue(new_order()), store.check()):
                with pytest.raises(StoreUnavailable, match="locked by another process"):
                    await call
            assert await store.list_orders(ListQuery()) == [], "readers do not care"
            other.execute("rollback")
        assert (await store.enqueue(new_order())).created


async def test_a_file_that_was_moved_away_is_noticed(store: SqliteStore, path: Path) -> None:
    await store.check()
    move(path, "elsewhere.db")
    with pytest.raises(StoreUnavailable, match="moved or removed"):
        await store.check()
    put(path, b"")
    with pytest.raises(StoreUnavailable, match="moved or removed"):
        await store.check()


async def test_a_closed_store_says_so(path: Path) -> None:
    async with SqliteStore.open(path) as store:
        pass
    for call in (store.last_rev(), store.enqueue(new_order()), store.check()):
        with pytest.raises(StoreUnavailable, match="closed"):
            await call


async def test_a_bug_of_ours_is_not_called_a_full_disk(store: SqliteStore) -> None:
    with pytest.raises(sqlite3.OperationalError, match="no such table"):
        await store._database.read(lambda db: db.execute("select * from nowhere"))
    with pytest.raises(ZeroDivisionError):
        await store._database.write(lambda tx: 1 // 0)
    assert (await store.enqueue(new_order())).created, "and the next call is none the worse for it"


async def test_the_event_loop_and_readers_go_on_while_a_writer_waits(store: SqliteStore, path: Path) -> None:
    filed = (await store.enqueue(new_order("first"))).order
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("begin immediate")
        async with anyio.create_task_group() as group:
            group.start_soon(store.enqueue, new_order("second"))
            await anyio.wait_all_tasks_blocked()
            assert await store.list_orders(ListQuery()) == [filed]
            other.execute("rollback")
    assert len(await store.list_orders(ListQuery())) == 2


async def test_a_caller_that_is_cancelled_leaves_a_whole_call_and_news_of_it(store: SqliteStore, path: Path) -> None:
    rev = await store.last_rev()
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("begin immediate")
        async with anyio.create_task_group() as group:
            group.start_soon(store.enqueue, new_order())
            await anyio.wait_all_tasks_blocked()
            group.cancel_scope.cancel()
            other.execute("rollback")
    (order,) = await store.list_orders(ListQuery())
    with anyio.fail_after(30):
        await store.wait_for_change(rev, timedelta(minutes=10))
    assert [event.kind for event in await store.events(order.agent_work_order_id)] == ["order_enqueued"]
