"""The program that moves orders between stores, as an operator runs it."""

import subprocess
import sys
import time
from pathlib import Path

import anyio
import pytest

from src.agent_work_orders.migrate import main
from src.agent_work_orders.store.answers import MIGRATIONS
from src.agent_work_orders.store.sqlite import SqliteStore

from ..contracts.store_moves import rich_order
from ..contracts.store_world import file_and_claim, file_order
from ..postgres.project import Project

PYTHON_ROOT = Path(__file__).parents[3]


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home with one failed order and one that waits to run."""

    async def fill() -> None:
        async with SqliteStore.open(tmp_path / "awo.db") as store:
            await rich_order(store)
            await file_order(store)

    anyio.run(fill)
    monkeypatch.setenv("ARCHON_HOME", str(tmp_path))
    return tmp_path


@pytest.fixture
def named_project(project: Project, monkeypatch: pytest.MonkeyPatch) -> Project:
    monkeypatch.setenv("SUPABASE_URL", project.url)
    monkeypatch.setenv("SUPABASE_SERVICE_KEY", project.service_key)
    return project


def test_dry_run_then_the_move_then_the_way_back(
    home: Path,
    named_project: Project,
    tmp_path_factory: pytest.TempPathFactory,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main(["--to", "supabase", "--dry-run"]) == 0
    shown = capsys.readouterr().out
    assert "1  orders failed" in shown
    assert "1  orders pending" in shown
    assert "Nothing was written" in shown
    assert main(["--to", "supabase"]) == 0
    shown = capsys.readouterr().out
    assert "Moved 2 work orders" in shown
    assert "hashes are equal" in shown
    assert "Not moved: settings and secrets" in shown
    assert main(["--to", "supabase"]) == 0
    assert "Moved 0 work orders" in capsys.readouterr().out
    monkeypatch.setenv("ARCHON_HOME", str(tmp_path_factory.mktemp("other-home")))
    assert main(["--to", "sqlite"]) == 0
    assert "Moved 2 work orders" in capsys.readouterr().out


def test_a_project_with_an_old_schema_is_told_what_to_run(
    home: Path, named_project: Project, capsys: pytest.CaptureFixture[str]
) -> None:
    named_project.run("update agent_work_order_change_head set schema_version = 3")
    try:
        assert main(["--to", "supabase", "--dry-run"]) == 1
    finally:
        with named_project.connect() as db:
            db.execute("update agent_work_order_change_head set schema_version = %s", (len(MIGRATIONS),))
    shown = capsys.readouterr().out
    assert "Not moved: The database has an old schema" in shown
    assert "010_import.sql" in shown


def test_a_running_order_is_named(home: Path, named_project: Project, capsys: pytest.CaptureFixture[str]) -> None:
    async def run_one() -> str:
        async with SqliteStore.open(home / "awo.db") as store:
            return (await file_and_claim(store)).order_id

    order_id = anyio.run(run_one)
    for arguments in (["--to", "supabase", "--dry-run"], ["--to", "supabase"]):
        assert main(arguments) == 1
        shown = capsys.readouterr().out
        assert order_id in shown
        assert "Stop its servers" in shown


def test_what_is_missing_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("ARCHON_HOME", str(tmp_path))
    monkeypatch.delenv("SUPABASE_URL", raising=False)
    assert main(["--to", "supabase"]) == 1
    assert "SUPABASE_URL" in capsys.readouterr().out
    monkeypatch.setenv("SUPABASE_URL", "http://127.0.0.1:1")
    monkeypatch.setenv("SUPABASE_SERVICE_KEY", "key")
    assert main(["--to", "supabase"]) == 1
    assert "There is no" in capsys.readouterr().out


def test_a_move_that_is_killed_goes_on_where_it_was(
    tmp_path: Path, named_project: Project, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    async def fill() -> None:
        async with SqliteStore.open(tmp_path / "awo.db") as store:
            for _ in range(60):
                await rich_order(store, events=5)

    anyio.run(fill)
    monkeypatch.setenv("ARCHON_HOME", str(tmp_path))
    arrived = 0
    with subprocess.Popen(  # noqa: TID251 - this block is the child's scope
        [sys.executable, "-m", "src.agent_work_orders.migrate", "--to", "supabase"], cwd=PYTHON_ROOT
    ) as process:
        while arrived < 10:
            assert process.poll() is None, "it was done before it could be killed"
            arrived = arrivals(named_project)
            time.sleep(0.005)  # fact: some orders have arrived
        process.kill()
    arrived = arrivals(named_project)
    assert arrived < 60
    with named_project.connect() as db:
        torn = db.execute(
            "select o.agent_work_order_id from agent_work_orders o left join agent_work_order_events e "
            "using (agent_work_order_id) group by 1, o.last_seq having count(e.seq) <> o.last_seq"
        ).fetchall()
    assert torn == [], "no order is half there"
    assert main(["--to", "supabase"]) == 0
    assert f"Moved {60 - arrived} work orders" in capsys.readouterr().out
    assert arrivals(named_project) == 60


def arrivals(project: Project) -> int:
    with project.connect() as db:
        row = db.execute("select count(*) from agent_work_orders").fetchone()
    assert row is not None
    return int(row[0])
