"""Supabase mode: two server processes on one database follow each other's changes, and outlive its absence."""

import json
import os
import queue
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import anyio.lowlevel
import pytest

from src.agent_work_orders.desk.live import LiveSettings
from src.agent_work_orders.domain.errors import StoreUnavailable
from src.agent_work_orders.host import CATEGORY, HostSecrets, HostSettings
from tests.server.conftest import service_key
from tests.server.pretend_database import PretendDatabase

pytestmark = pytest.mark.anyio
PYTHON_ROOT = Path(__file__).parents[3]
# Promised for other servers; the rest is the machine's.
WITHIN = 5.0
SLACK = 2.0
WANTED = (9, "opus", "ghp_shared_0123456789abcdefghijklmnop")
Json = dict[str, Any]


class Server:
    """A process that obeys settings, and what it said last."""

    def __init__(self, process: "subprocess.Popen[str]") -> None:  # noqa: TID251 - a name, the fixture starts and ends it
        self.process = process
        self._lines: queue.SimpleQueue[str] = queue.SimpleQueue()
        threading.Thread(target=self._read, daemon=True).start()

    def until(self, fact: Callable[[Json], bool], within: float = WITHIN + SLACK) -> float:
        """Seconds until it said something for which this is true."""
        began = time.monotonic()
        while True:
            left = within - (time.monotonic() - began)
            try:
                line = self._lines.get(timeout=max(0.01, left))
            except queue.Empty:
                raise AssertionError(f"it did not come true within {within:g} s") from None
            assert line, "the server ended"
            if fact(json.loads(line)):
                return time.monotonic() - began

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self._lines.put(line)
        self._lines.put("")


@pytest.fixture
def database(monkeypatch: pytest.MonkeyPatch) -> Iterator[PretendDatabase]:
    with PretendDatabase() as pretend:
        monkeypatch.setenv("SUPABASE_URL", pretend.url)
        monkeypatch.setenv("SUPABASE_SERVICE_KEY", service_key())
        for name in ("GITHUB_TOKEN", "ARCHON_ENCRYPTION_KEY"):
            monkeypatch.delenv(name, raising=False)
        yield pretend


@pytest.fixture
def start(database: PretendDatabase, tmp_path: Path) -> Iterator[Callable[[], Server]]:
    servers: list[Server] = []

    def run() -> Server:
        environment = {
            **{name: os.environ[name] for name in ("PATH", "COVERAGE_PROCESS_START") if name in os.environ},
            "HOME": str(tmp_path),
            "ARCHON_HOME": str(tmp_path / f"home-{len(servers)}"),
            "ARCHON_AWO_ENABLED": "true",
            "SUPABASE_URL": database.url,
            "SUPABASE_SERVICE_KEY": service_key(),
        }
        process = subprocess.Popen(  # noqa: TID251 - the fixture ends every one of them
            [sys.executable, "-m", "tests.agent_work_orders.desk.scripts.server"],
            cwd=PYTHON_ROOT, env=environment, text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
        )  # fmt: skip
        servers.append(Server(process))
        return servers[-1]

    yield run
    for server in servers:
        if server.process.stdin is not None:
            server.process.stdin.close()
        server.process.wait(10)
        if server.process.stdout is not None:
            server.process.stdout.close()


async def test_two_servers_obey_what_a_third_saves(start: Callable[[], Server], database: PretendDatabase) -> None:
    one, other = start(), start()
    for server in (one, other):
        server.until(lambda said: (said["slots"], said["retention"]) == (5, 7), within=30)
    saved = {"AWO_MAX_CONCURRENT": "9", "AWO_CLAUDE_MODEL": "opus", "AWO_RETENTION_DAYS": "3"}
    await HostSettings().save(saved)
    await HostSecrets().save("GITHUB_TOKEN", str(WANTED[2]))
    for server in (one, other):
        server.until(lambda said: (said["slots"], said["model"], said["token"], said["retention"]) == (*WANTED, 3))
    row = database.settings["AWO_MAX_CONCURRENT"]
    assert (row["value"], row["category"], row["is_encrypted"]) == ("9", CATEGORY, False)
    assert database.settings["GITHUB_TOKEN"]["value"] is None
    assert "ghp_shared" not in json.dumps(database.settings)
    assert "ghp_shared" not in " ".join(database.urls)


async def test_a_database_that_goes_away_leaves_the_last_settings_in_force(
    start: Callable[[], Server], database: PretendDatabase
) -> None:
    database.put("AWO_MAX_CONCURRENT", value="7", category=CATEGORY)
    server = start()
    server.until(lambda said: said["slots"] == 7, within=30)
    database.refuse()
    server.until(lambda said: bool(said["bad"]) and said["slots"] == 7)
    database.fail_with = None
    database.put("AWO_MAX_CONCURRENT", value="8", category=CATEGORY)
    server.until(lambda said: said["slots"] == 8 and not said["bad"])


async def test_several_settings_are_saved_in_one_statement_or_not_at_all(database: PretendDatabase) -> None:
    await HostSettings().save({"AWO_MAX_CONCURRENT": "9", "AWO_STALL_TIMEOUT": "60"})
    assert len([url for url in database.urls if "on_conflict" in url]) == 1
    database.refuse()
    with pytest.raises(StoreUnavailable):
        await HostSettings().save({"AWO_MAX_CONCURRENT": "10", "AWO_STALL_TIMEOUT": None})
    database.fail_with = None
    assert {name: row["value"] for name, row in database.settings.items()} == {
        "AWO_MAX_CONCURRENT": "9",
        "AWO_STALL_TIMEOUT": "60",
    }
    await HostSettings().save({"AWO_MAX_CONCURRENT": None, "AWO_STALL_TIMEOUT": "61"})
    assert await HostSettings().load() == {"AWO_STALL_TIMEOUT": "61"}


# --- one server, without a process of its own ---


class Kept:
    """Stored settings in memory, which can be away."""

    def __init__(self, **texts: str) -> None:
        self.texts, self.away = texts, False

    async def load(self) -> dict[str, str]:
        await anyio.lowlevel.checkpoint()
        if self.away:
            raise StoreUnavailable("The database is away.")
        return dict(self.texts)

    async def save(self, changes: Any) -> None:
        raise NotImplementedError


async def opened(kept: Kept, tmp_path: Path, **environ: str) -> LiveSettings:
    live = LiveSettings({"ARCHON_HOME": str(tmp_path), "ARCHON_AWO_ENABLED": "true", **environ}, kept)
    await live.open()
    return live


async def test_a_database_that_is_away_at_the_start_is_named_and_asked_again(tmp_path: Path) -> None:
    kept = Kept(AWO_MAX_CONCURRENT="9")
    kept.away = True
    live = await opened(kept, tmp_path)
    assert live.current().max_concurrent == 5
    assert "away" in live.problems[0]
    kept.away = False
    await live.refresh()
    assert (live.current().max_concurrent, live.problems) == (9, [])


async def test_what_is_not_live_waits_for_a_restart(tmp_path: Path) -> None:
    kept = Kept(AWO_REPOSITORY_DIR=str(tmp_path / "one"))
    live = await opened(kept, tmp_path)
    kept.texts = {"AWO_REPOSITORY_DIR": str(tmp_path / "two"), "AWO_MAX_CONCURRENT": "9"}
    await live.refresh()
    assert live.current().repositories == tmp_path / "one"
    assert live.current().max_concurrent == 9
    assert live.waiting == {"repository_dir"}
    assert (await opened(kept, tmp_path)).current().repositories == tmp_path / "two"


async def test_problems_and_conflicts_are_said_once(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    kept = Kept(AWO_MAX_CONCURRENT="9", AWO_LEASE_SECONDS="soon")
    live = await opened(kept, tmp_path, AWO_MAX_CONCURRENT="3")
    live._tell()
    assert caplog.text.count("given twice") == 1
    assert caplog.text.count("AWO_LEASE_SECONDS in the database is not used") == 1
    assert "soon" not in caplog.text
