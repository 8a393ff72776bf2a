"""Repositories of a file that an older server wrote, and how they are read."""

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from src.agent_work_orders.domain.registry import Configuration
from src.agent_work_orders.domain.repository import RepositoryOptions
from src.agent_work_orders.store.schema import MIGRATIONS
from src.agent_work_orders.store.sqlite import SqliteStore

pytestmark = pytest.mark.anyio
KEY = "github.com/owner/name"
# As an older server writes a repository: it names three columns and knows no others.
NAMED = "insert into agent_work_order_repositories (repository_key, repository_url, created_at) values (?, ?, ?)"


def before_there_were_options(path: Path) -> None:
    with closing(sqlite3.connect(path)) as db, db:
        for statements in MIGRATIONS[:2]:
            for statement in statements:
                db.execute(statement)
        db.execute("pragma user_version = 2")
        db.execute(NAMED, (KEY, f"https://{KEY}", 1))
        db.execute("update agent_work_order_repositories set max_concurrent = 3")


async def test_a_limit_from_before_there_were_options_stays_in_force(tmp_path: Path) -> None:
    before_there_were_options(tmp_path / "awo.db")
    async with SqliteStore.open(tmp_path / "awo.db") as store:
        found = await store.repository(KEY)
        assert found is not None
        assert (found.configured, found.version, found.options) == (False, 0, RepositoryOptions(max_concurrent=3))
        await store.save_repository(Configuration(KEY, f"https://{KEY}", RepositoryOptions(lfs=True)), 0, "Ana")
        found = await store.repository(KEY)
        assert found is not None
        assert (found.configured, found.options) == (True, RepositoryOptions(lfs=True))


async def test_what_an_older_server_writes_beside_us_is_read(tmp_path: Path) -> None:
    async with SqliteStore.open(tmp_path / "awo.db") as store:
        with closing(sqlite3.connect(tmp_path / "awo.db")) as db, db:
            db.execute(NAMED, (KEY, f"https://{KEY}", 1))
        (found,) = await store.repositories(everything=True)
        assert (found.key, found.configured, found.options) == (KEY, False, RepositoryOptions())


async def test_options_that_are_broken_on_the_disk_do_not_hide_the_others(tmp_path: Path) -> None:
    async with SqliteStore.open(tmp_path / "awo.db") as store:
        await store.save_repository(Configuration(KEY, f"https://{KEY}", RepositoryOptions(lfs=True)), 0, "Ana")
        with closing(sqlite3.connect(tmp_path / "awo.db")) as db, db:
            db.execute("""update agent_work_order_repositories set options = '{"lfs": true, "depth": "deep"}'""")
        (found,) = await store.repositories()
        assert found.options == RepositoryOptions(lfs=True)
