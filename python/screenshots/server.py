"""The real server as its own process, told where the stage is as an operator would tell it, and a client of its API.
Knows no page and no browser."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import httpx

from src.agent_work_orders.rehearsal import Stage

PYTHON_ROOT = Path(__file__).resolve().parents[1]
CLAUDE = PYTHON_ROOT.parent / ".tools" / "bin" / "claude"
PASSED_ON = ("PATH", "LANG")
WITHIN = 90.0

Json = dict[str, Any]
T = TypeVar("T")


class Broken(Exception):
    """A picture could not be taken; the text says what did not come true."""


class Archon:
    """A running server, seen through its API. `person` stands behind what is sent."""

    def __init__(self, address: str, stage: Stage | None) -> None:
        self.address, self.stage = address, stage
        self.client = httpx.Client(base_url=f"{address}/api/awo", timeout=60)

    def ask(self, method: str, path: str, person: str = "Ana", **options: Any) -> Any:
        """The decoded answer; a refusal is Broken."""
        headers = {"X-Archon-User": person, **options.pop("headers", {})}
        answer = self.client.request(method, path, headers=headers, **options)
        if answer.is_error:
            raise Broken(f"{method} {path}: {answer.status_code} {answer.text}")
        return answer.json() if answer.content else None

    def file(self, repository_url: str, user_request: str, **fields: Any) -> str:
        body = {"repository_url": repository_url, "user_request": user_request, **fields}
        return str(self.ask("POST", "/work-orders", json=body)["agent_work_order_id"])

    def order(self, order_id: str) -> Json:
        found: Json = self.ask("GET", f"/work-orders/{order_id}")
        return found

    def until(self, order_id: str, status: str) -> Json:
        """The order once it has this status; Broken when it ends in another one."""

        def look() -> Json | None:
            order = self.order(order_id)
            if order["status"] != status and order["finished_at"]:
                raise Broken(f"{order_id} is {order['status']}, not {status}: {order['error_message']}")
            return order if order["status"] == status else None

        return eventually(look, f"{order_id} is {status}")

    def question(self, order_id: str) -> int:
        """The event that asks for an approval, once the order waits for it."""
        self.until(order_id, "waiting")
        events = self.ask("GET", f"/work-orders/{order_id}/events", params={"kind": "order_waiting"})["events"]
        return int(events[-1]["seq"])


def eventually(look: Callable[[], T | None], what: str) -> T:
    """What `look` finds once it finds something."""
    deadline = time.monotonic() + WITHIN
    while not (found := look()):
        if time.monotonic() > deadline:
            raise Broken(f"it did not come true within {WITHIN:.0f} s: {what}")
        time.sleep(0.05)
    return found


@contextmanager
def running(home: Path, stage: Stage | None = None, **settings: str) -> Iterator[Archon]:
    """A healthy server with its state in `home`: on a stage of ours, or without one as a rehearsal of its own."""
    home.mkdir(parents=True, exist_ok=True)
    port = _free_port()
    environment = {
        **{name: os.environ[name] for name in PASSED_ON if name in os.environ},
        "CLAUDE_CLI_PATH": str(_program(home)),
        "HOME": str(home),
        "ARCHON_AWO_ENABLED": "true",
        "ARCHON_HOME": str(home / "archon"),
        "ARCHON_SERVER_PORT": str(port),
        "HOST": "127.0.0.1",
        **(_on(stage) if stage else {"AWO_REHEARSAL": "true"}),
        **settings,
    }
    log = home / "server.log"
    with (
        log.open("wb") as sink,
        subprocess.Popen(  # noqa: TID251 - it ends with this block
            [sys.executable, "-m", "src.server.main"], cwd=PYTHON_ROOT, env=environment, stdout=sink, stderr=sink
        ) as process,
    ):
        archon = Archon(f"http://127.0.0.1:{port}", stage)
        try:
            with archon.client:
                eventually(lambda: _answers(archon, process, log), "the server is there")
                yield archon
        finally:
            process.send_signal(signal.SIGTERM)
            try:
                process.wait(timeout=20)
            except subprocess.TimeoutExpired:
                process.kill()


def _on(stage: Stage) -> Mapping[str, str]:
    """Where the stage is; its credentials are saved over the API, as most people do it."""
    return {
        name: value for name, value in stage.environment().items() if name not in ("GITHUB_TOKEN", "ANTHROPIC_API_KEY")
    }


def _program(home: Path) -> Path:
    """The program under a name in the server's own folder: the pictures are not to show where this repository lies."""
    link = home / "bin" / "claude"
    link.parent.mkdir(parents=True, exist_ok=True)
    link.symlink_to(Path(os.environ.get("CLAUDE_CLI_PATH") or CLAUDE).resolve())
    return link


def _answers(archon: Archon, process: "subprocess.Popen[bytes]", log: Path) -> bool:  # noqa: TID251 - the type alone
    if process.poll() is not None:
        raise Broken(f"the server ended at its start:\n{log.read_text(errors='replace')[-3000:]}")
    try:
        return archon.client.get("/health").status_code in (200, 401)
    except (httpx.TransportError, json.JSONDecodeError):
        return False


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return int(probe.getsockname()[1])
