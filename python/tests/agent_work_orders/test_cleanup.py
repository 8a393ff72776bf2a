"""The command for people and for cron: what it prints, and how it ends."""

from pathlib import Path

import pytest

from src.agent_work_orders import cleanup
from src.agent_work_orders.domain.retention import CleanupReport, Kind, Pressure, Protected, Removal
from src.agent_work_orders.domain.work_order import utc_now
from src.agent_work_orders.utils.cleanup import cleanup_old_repositories

REPORT = CleanupReport(
    dry_run=True,
    removed=[Removal(kind=Kind.CHECKOUT, name="wo-1", size_bytes=5_000_000, used_at=utc_now(), reason="too old")],
    removed_count=1,
    freed_bytes=5_000_000,
    protected=[Protected(kind=Kind.CHECKOUT, name="wo-2", size_bytes=7_000_000, reason="its order is running")],
    problems=["x: Operation not permitted"],
    used_bytes=dict.fromkeys(Kind, 0) | {Kind.MIRROR: 9_000_000},
    pressure=Pressure.LOW,
    took_ms=5,
)


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in ("SUPABASE_URL", "AWO_REPOSITORY_DIR", "AWO_WORK_ORDER_DIR", "AWO_REHEARSAL"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("ARCHON_HOME", str(tmp_path))
    return tmp_path


def test_people_read_what_goes_what_stays_and_why() -> None:
    text = "\n".join(cleanup.lines_of(REPORT))
    assert "would go: checkout wo-1, 5.0 MB" in text
    assert "stays: checkout wo-2, 7.0 MB (its order is running)" in text
    assert "problem: x: Operation not permitted" in text
    assert "1 things, 5.0 MB would go; the disk is low." in text
    assert text.endswith("Kept: mirror 9.0 MB.")


@pytest.mark.parametrize("words", [[], ["--dry-run"], ["--json"]], ids=["plain", "dry-run", "json"])
def test_an_empty_home_is_clean(home: Path, words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert cleanup.main(words) == 0
    assert "nothing" in capsys.readouterr().out or words == ["--json"]


def test_settings_that_cannot_be_used_are_named(
    home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("AWO_RETENTION_DAYS", "soon")
    assert cleanup.main([]) == 2
    assert "AWO_RETENTION_DAYS" in capsys.readouterr().err


@pytest.mark.anyio
async def test_the_specifications_function_counts(home: Path) -> None:
    assert await cleanup_old_repositories() == {"removed": 0, "kept": 0}
