"""The real server as its own process, pointed by ordinary settings at a stage in another, and a client of its API."""

import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .scratch import OWNER, STAGE

API = "/api/awo"
Child = subprocess.Popen[bytes]  # noqa: TID251 - a name for the type alone
START_WITHIN = 30.0
# Milliseconds that an answer of a git host elsewhere is on its way: assumed of a hosted forge, measured of none.
AWAY = 50
ORDER_WITHIN = 300.0
TERMINAL = frozenset({"completed", "failed", "cancelled"})


class Broken(Exception):
    """The bench itself could not go on; no figure can be trusted."""


@dataclass(frozen=True)
class Stage:
    """A git server in a process of its own. `settings` point a server at it."""

    settings: dict[str, str]

    def address(self, name: str) -> str:
        return f"http://{self.settings['AWO_ALLOWED_REPOSITORY_HOSTS']}/{OWNER}/{name}"


class Client:
    """A connection for every request, by plain `http.client`: hardly anything of its own is measured."""

    def __init__(self, port: int) -> None:
        self._port = port

    def ask(self, method: str, path: str, body: Mapping[str, Any] | None = None) -> tuple[int, Any]:
        """Status and JSON of the answer; None for an empty one."""
        headers = {"Content-Type": "application/json"} if body is not None else {}
        with closing(http.client.HTTPConnection("127.0.0.1", self._port, timeout=60)) as connection:
            connection.request(method, API + path, json.dumps(body) if body is not None else None, headers)
            answer = connection.getresponse()
            text = answer.read()
        return answer.status, json.loads(text) if text else None

    def file(self, repository_url: str, **more: Any) -> tuple[str, float]:
        """Files an order that plans only; its id, and when it was accepted, in seconds since 1970."""
        body = {"repository_url": repository_url, "user_request": "Measure.", "workflow_type": "plan_only", **more}
        status, order = self.ask("POST", "/work-orders", body)
        accepted_at = time.time()
        if status != 202:
            raise Broken(f"an order was refused: {order}")
        return order["agent_work_order_id"], accepted_at

    def wait(self, order_id: str) -> dict[str, Any]:
        """The order once it has ended. Asks seldom, so that it is no load."""
        deadline = time.monotonic() + ORDER_WITHIN
        while time.monotonic() < deadline:
            order: dict[str, Any] = self.ask("GET", f"/work-orders/{order_id}")[1]
            if order["status"] in TERMINAL:
                if order["status"] != "completed":
                    raise Broken(f"{order_id} is {order['status']}: {order['error_message']}")
                return order
            time.sleep(0.05)
        raise Broken(f"{order_id} did not end within {ORDER_WITHIN:.0f} s")


@dataclass(frozen=True)
class Server:
    """A running server, its process and its folder."""

    port: int
    pid: int
    home: Path

    def client(self) -> Client:
        return Client(self.port)

    def cpu_seconds(self) -> float:
        """Of its threads, to the nanosecond."""
        threads = Path(f"/proc/{self.pid}/task").glob("*/schedstat")
        return sum(int(thread.read_text().split()[0]) for thread in threads) / 1e9

    def resident_megabytes(self) -> float:
        pages = int(Path(f"/proc/{self.pid}/statm").read_text().split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


@contextmanager
def open_stage(latency: int = 0) -> Iterator[Stage]:
    """Serves every repository that was generated before; `latency` is in milliseconds."""
    command = [sys.executable, "-m", "src.agent_work_orders.rehearsal", "--directory", str(STAGE)]
    command += ["--latency", str(latency)]
    with _process(command, dict(os.environ), stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        _put_behind(process.pid)
        settings: dict[str, str] = {}
        while "AWO_INSECURE_REPOSITORY_HOSTS" not in settings:
            line = process.stdout.readline().decode()
            if not line:
                raise Broken("the stage ended at its start")
            name, _, value = line.removeprefix("export ").strip().partition("=")
            settings[name] = value
        yield Stage(settings)


def _put_behind(pid: int) -> None:
    """The stage stands for machines elsewhere: what it does here must not take the processor from the server."""
    with suppress(OSError), Path(f"/proc/{pid}/autogroup").open("w") as group:
        group.write("19")


@contextmanager
def open_server(
    home: Path, stage: Stage, agent: Path, module: Sequence[str] = ("-m", "src.server.main"), **settings: str
) -> Iterator[Server]:
    """A healthy server with its state in `home`; `settings` are environment variables."""
    port = _free_port()
    environment = {
        "PATH": os.environ["PATH"],
        "HOME": str(home),
        **stage.settings,
        "ARCHON_AWO_ENABLED": "true",
        "ARCHON_HOME": str(home / "archon"),
        "ARCHON_SERVER_PORT": str(port),
        "CLAUDE_CLI_PATH": str(agent),
        # Nothing but what is measured; the pool has a subject of its own.
        "AWO_PREPARED_CHECKOUTS": "0",
        **settings,
    }
    home.mkdir(parents=True, exist_ok=True)
    with (home / "server.log").open("wb") as log, _process([sys.executable, *module], environment, log) as process:
        try:
            _wait_until_healthy(port, process)
            yield Server(port, process.pid, home / "archon")
        except Broken as broken:
            said = (home / "server.log").read_text(errors="replace")[-3000:]
            raise Broken(f"{broken}\nThe server said:\n{said}") from broken


@contextmanager
def _process(command: list[str], environment: dict[str, str], stdout: Any) -> Iterator[Child]:
    process = subprocess.Popen(  # noqa: TID251 - it ends with this block
        command,
        env=environment,
        stdin=subprocess.DEVNULL,
        start_new_session=True,
        stdout=stdout,
        stderr=None if stdout == subprocess.PIPE else stdout,
    )
    try:
        yield process
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(timeout=20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        if process.stdout:
            process.stdout.close()


def _wait_until_healthy(port: int, process: Child) -> None:
    deadline = time.monotonic() + START_WITHIN
    health: Any = None
    while time.monotonic() < deadline and process.poll() is None:
        try:
            health = Client(port).ask("GET", "/health")[1]
            if health["status"] == "healthy":
                return
        except (OSError, http.client.HTTPException, ValueError):
            pass
        time.sleep(0.05)
    raise Broken(f"the server did not get healthy: {health}")


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
