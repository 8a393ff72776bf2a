"""Which migrations ship, which the database has, and how the UI asks."""

from pathlib import Path

import httpx
import pytest

from src.server.api_routes import migration_api
from src.server.services.migration_service import MigrationService

from .pretend_database import PretendDatabase

pytestmark = pytest.mark.anyio


@pytest.fixture
def directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Two versions and a file that belongs to none, served by the routes."""
    path = tmp_path / "migration"
    for name in ("awo-0.1.0/002_second.sql", "awo-0.1.0/001_first.sql", "0.1.0/001_old.sql"):
        (path / name).parent.mkdir(parents=True, exist_ok=True)
        (path / name).write_text(f"-- {name}\n")
    (path / "awo_setup.sql").write_text("-- whole\n")
    monkeypatch.setattr(migration_api, "migration_service", MigrationService(path))
    return path


async def test_what_the_database_has_not_recorded_is_pending_in_order(
    client: httpx.AsyncClient, directory: Path, database: PretendDatabase
) -> None:
    row = {"version": "0.1.0", "migration_name": "001_old", "applied_at": "2026-01-01T00:00:00+00:00", "checksum": None}
    database.tables["archon_migrations"].append(row)
    status = (await client.get("/api/migrations/status")).json()
    assert [found["file_path"] for found in status["pending_migrations"]] == [
        "migration/awo-0.1.0/001_first.sql",
        "migration/awo-0.1.0/002_second.sql",
    ]
    assert status["pending_migrations"][0]["sql_content"] == "-- awo-0.1.0/001_first.sql\n"
    assert len(status["pending_migrations"][0]["checksum"]) == 32
    assert status["applied_migrations"] == [row]
    assert (status["has_pending"], status["bootstrap_required"]) == (True, False)
    assert (status["pending_count"], status["applied_count"], status["current_version"]) == (2, 1, "0.1.0")
    history = (await client.get("/api/migrations/history")).json()
    assert history == {"migrations": [row], "total_count": 1, "current_version": "0.1.0"}
    pending = (await client.get("/api/migrations/pending")).json()
    assert [found["name"] for found in pending] == ["001_first", "002_second"]


async def test_a_database_without_the_table_needs_the_first_one(
    client: httpx.AsyncClient, directory: Path, database: PretendDatabase
) -> None:
    del database.tables["archon_migrations"]
    status = (await client.get("/api/migrations/status")).json()
    assert (status["bootstrap_required"], status["pending_count"], status["applied_count"]) == (True, 3, 0)
    assert (await client.get("/api/migrations/history")).json()["migrations"] == []


async def test_an_unchanged_answer_is_304(
    client: httpx.AsyncClient, directory: Path, database: PretendDatabase
) -> None:
    first = await client.get("/api/migrations/status")
    again = await client.get("/api/migrations/status", headers={"if-none-match": first.headers["etag"]})
    assert again.status_code == 304
    assert again.content == b""
    (directory / "awo-0.1.0" / "003_third.sql").write_text("-- third\n")
    changed = await client.get("/api/migrations/status", headers={"if-none-match": first.headers["etag"]})
    assert changed.status_code == 200


async def test_embedded_mode_needs_no_migrations(client: httpx.AsyncClient, directory: Path) -> None:
    status = (await client.get("/api/migrations/status")).json()
    assert (status["has_pending"], status["bootstrap_required"], status["pending_migrations"]) == (False, False, [])
    assert (await client.get("/api/migrations/pending")).json() == []
    assert (await client.get("/api/migrations/history")).json()["total_count"] == 0


@pytest.mark.parametrize("route", ["status", "history", "pending"])
async def test_a_database_that_is_away_is_503(
    client: httpx.AsyncClient, directory: Path, database: PretendDatabase, route: str
) -> None:
    database.refuse(500)
    refused = await client.get(f"/api/migrations/{route}")
    database.stop()
    away = await client.get(f"/api/migrations/{route}")
    for answer in (refused, away):
        assert answer.status_code == 503
        assert answer.json()["detail"]["next_action"]
