"""The server as a real process: how it starts, whom it answers, how it stops, and what it says when it cannot."""

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import httpx
import pytest

from .conftest import service_key
from .pretend_database import PretendDatabase

COMMAND = [sys.executable, "-m", "src.server.main"]
PYTHON_ROOT = Path(__file__).parents[2]


class RunningServer:
    """A started server. `said` is everything it wrote, once it has ended."""

    def __init__(self, process: "subprocess.Popen[str]", port: int) -> None:  # noqa: TID251 a name, no start
        self.process, self.port = process, port
        self.said = ""
        self.client = httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=30)

    def stop(self) -> int:
        """SIGTERM; the exit status. Fails if it takes longer than ten seconds."""
        self.client.close()
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        try:
            self.said += self.process.communicate(timeout=10)[0]
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.said += self.process.communicate()[0]
            raise
        return self.process.returncode


Start = Callable[..., RunningServer]


def environment(home: Path, port: int, more: Mapping[str, str]) -> dict[str, str]:
    """Nothing of this machine but the path, so that no variable of a developer takes part."""
    given = {name: os.environ[name] for name in ("PATH", "COVERAGE_PROCESS_START") if name in os.environ}
    return {**given, "HOME": str(home), "ARCHON_HOME": str(home), "ARCHON_SERVER_PORT": str(port), **more}


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """Start servers; none outlives the test."""
    servers: list[RunningServer] = []

    def run(**more: str) -> RunningServer:
        port = free_port()
        process = subprocess.Popen(  # noqa: TID251 the fixture ends every one of them
            COMMAND,
            env=environment(tmp_path / "home", port, more),
            cwd=PYTHON_ROOT,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        server = RunningServer(process, port)
        servers.append(server)
        assert process.stdout is not None
        # It listens before it says so: from here on a connection waits instead of being refused.
        while f":{port}" not in (line := process.stdout.readline()):
            assert line, f"it ended with {process.wait()}: {server.said}"
            server.said += line
        return server

    yield run
    for server in servers:
        server.stop()


def ended(home: Path, port: int, **more: str) -> "subprocess.CompletedProcess[str]":
    """A server that is expected to end by itself."""
    return subprocess.run(
        COMMAND,
        env=environment(home, port, more),
        cwd=PYTHON_ROOT,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )


def test_it_starts_in_embedded_mode_answers_and_ends_on_sigterm(start: Start) -> None:
    server = start()
    health = server.client.get("/health")
    assert health.status_code == 200
    body = health.json()
    assert (body["status"], body["service"], body["ready"]) == ("healthy", "archon-backend", True)
    assert (body["credentials_loaded"], body["schema_valid"]) == (True, True)
    assert server.client.get("/api/health").json()["status"] == "healthy"
    assert server.client.get("/").json()["name"] == "Archon"
    assert server.client.get("/api/migrations/status").json()["has_pending"] is False
    assert server.client.get("/api/settings/health").status_code == 200
    assert "/api/credentials" in server.client.get("/openapi.json").json()["paths"]
    # uvicorn ends by the signal itself, after a clean shutdown.
    assert server.stop() in (0, -signal.SIGTERM)
    assert "GET /api/migrations/status" in server.said
    assert "GET /health" not in server.said
    assert "GET /api/health" not in server.said
    assert "Traceback" not in server.said


def test_a_secret_is_neither_written_in_clear_nor_said_nor_put_into_the_environment(
    start: Start, tmp_path: Path
) -> None:
    server = start()
    secret = "ghp_very_secret_token"
    saved = server.client.post("/api/credentials", json={"key": "GITHUB_TOKEN", "value": secret})
    assert saved.status_code == 200
    assert server.client.get("/api/credentials/GITHUB_TOKEN").json()["has_value"] is True
    if Path("/proc/self").exists():
        process = Path(f"/proc/{server.process.pid}")
        assert secret.encode() not in (process / "environ").read_bytes()
        assert secret.encode() not in (process / "cmdline").read_bytes()
    server.stop()
    assert secret not in server.said
    for path in (tmp_path / "home").rglob("*"):
        assert not path.is_file() or secret.encode() not in path.read_bytes()


def test_only_the_uis_origin_is_offered_by_cors(start: Start) -> None:
    client = start(ARCHON_UI_PORT="4000").client
    ask = {"access-control-request-method": "POST"}
    for origin in ("http://localhost:4000", "http://127.0.0.1:4000"):
        answer = client.options("/api/credentials", headers={**ask, "origin": origin})
        assert answer.status_code == 200
        assert answer.headers["access-control-allow-origin"] == origin
    for origin in ("http://localhost:3737", "https://evil.example", "null"):
        answer = client.options("/api/credentials", headers={**ask, "origin": origin})
        assert answer.status_code == 400
        assert "access-control-allow-origin" not in answer.headers
        reading = client.get("/api/credentials", headers={"origin": origin})
        assert "access-control-allow-origin" not in reading.headers


def test_another_site_and_another_host_are_refused_over_the_wire(start: Start) -> None:
    client = start().client
    change = {"key": "THEME", "value": "dark"}
    foreign = client.post("/api/credentials", json=change, headers={"origin": "https://evil.example"})
    rebound = client.post("/api/credentials", json=change, headers={"host": "evil.example"})
    for answer in (foreign, rebound):
        assert answer.status_code == 403
        assert answer.json()["detail"]["error"]
    assert client.get("/api/credentials").json() == []
    # Probes come by address, whatever it is, and learn nothing.
    assert client.get("/health", headers={"host": "10.1.2.3:8181"}).status_code == 200


def test_a_port_that_is_taken_is_one_sentence_with_what_to_do(tmp_path: Path) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        result = ended(tmp_path, port)
    assert result.returncode == 1
    assert len(result.stderr.strip().splitlines()) == 1
    assert str(port) in result.stderr
    assert "ARCHON_SERVER_PORT" in result.stderr


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("ARCHON_UI_PORT", "many"),
        ("SUPABASE_URL", "http://example.com"),
        ("HOST", "no such host"),
        ("HOST", "203.0.113.7"),
        ("ARCHON_ENCRYPTION_KEY", "short"),
    ],
)
def test_an_environment_that_cannot_be_used_is_one_sentence(tmp_path: Path, name: str, value: str) -> None:
    result = ended(tmp_path, free_port(), **{name: value})
    assert result.returncode == 1
    assert len(result.stderr.strip().splitlines()) == 1
    assert name in result.stderr


def test_neither_supabase_nor_logfire_is_loaded_when_neither_is_configured(tmp_path: Path) -> None:
    program = "import sys, src.server.main; print([name for name in ('supabase', 'logfire') if name in sys.modules])"
    result = subprocess.run(
        [sys.executable, "-c", program],
        env=environment(tmp_path, 8181, {}),
        cwd=PYTHON_ROOT,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert result.stdout.strip() == "[]", result.stderr


def test_with_supabase_secrets_go_sealed_into_the_table(start: Start, database: PretendDatabase) -> None:
    server = start(SUPABASE_URL=database.url, SUPABASE_SERVICE_KEY=service_key())
    assert server.client.get("/health").json()["credentials_loaded"] is True
    saved = server.client.post("/api/credentials", json={"key": "GITHUB_TOKEN", "value": "ghp_1"})
    assert saved.status_code == 200
    assert database.settings["GITHUB_TOKEN"]["encrypted_value"].startswith("Z0FBQUFBQ")
    server.stop()
    assert service_key() not in server.said


def test_a_database_without_archons_tables_is_told_by_health(start: Start, database: PretendDatabase) -> None:
    del database.tables["archon_settings"]
    server = start(SUPABASE_URL=database.url, SUPABASE_SERVICE_KEY=service_key())
    health = server.client.get("/health")
    assert health.status_code == 503
    assert health.json()["status"] == "migration_required"
    assert "awo_setup.sql" in health.json()["migration_instructions"]
    assert server.client.get("/api/health").status_code == 200


def test_a_database_that_is_away_does_not_keep_the_server_from_starting(
    start: Start, database: PretendDatabase
) -> None:
    database.stop()
    server = start(SUPABASE_URL=database.url, SUPABASE_SERVICE_KEY=service_key())
    health = server.client.get("/health")
    assert health.status_code == 200
    assert health.json()["credentials_loaded"] is False
    assert health.json()["next_action"]
    refused = server.client.get("/api/credentials")
    assert refused.status_code == 503


def test_reachable_from_elsewhere_without_a_token_is_warned_about(start: Start) -> None:
    server = start(HOST="0.0.0.0")  # noqa: S104 it is what is tested, and nothing can be changed there
    refused = server.client.post("/api/credentials", json={"key": "THEME", "value": "dark"})
    assert refused.status_code == 403
    server.stop()
    assert "AWO_API_TOKEN" in server.said
