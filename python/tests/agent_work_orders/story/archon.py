"""The real server as its own process, and a client of it: files orders, follows their events, reads everything back.
Knows addresses and HTTP; reaches into nothing of the server's."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Generator, Iterator, Mapping
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import httpx

from src.agent_work_orders.rehearsal import Stage

from .processes import processes_of

PYTHON_ROOT = Path(__file__).parents[3]
# What of this shell the server sees: where programs are, and how its lines are counted.
PASSED_ON = ("PATH", "LANG", "CLAUDE_CLI_PATH", "COVERAGE_PROCESS_START", "COVERAGE_PROCESS_CONFIG", "COVERAGE_FILE")
CLAUDE = PYTHON_ROOT.parent / ".tools" / "bin" / "claude"
HOST_APPLICATION = ("-m", "src.server.main")
ENDS_WITHIN = 10.0

Json = dict[str, Any]
T = TypeVar("T")


@dataclass(frozen=True)
class Event:
    """One entry of an order's journal, as it came over the stream."""

    seq: int
    kind: str
    step_order: int | None
    attempt: int
    payload: Json


class Order:
    """One work order, seen through the API."""

    def __init__(self, archon: "Archon", order_id: str) -> None:
        self.archon, self.client, self.id = archon, archon.client, order_id

    def now(self) -> Json:
        return self._get("").json()  # type: ignore[no-any-return]  # it is JSON

    def stream(self, after_seq: int = 0) -> Generator[Event]:
        """The events as they come; ends when the server ends it."""
        headers = {"Last-Event-ID": str(after_seq)} if after_seq else {}
        address = f"/work-orders/{self.id}/events/stream"
        with self.client.stream("GET", address, headers=headers, timeout=60) as stream:
            yield from events_in(stream.iter_lines())

    def follow(self, after_seq: int = 0) -> list[Event]:
        """All events until the order has ended; none is missing and none comes twice."""
        events = list(self.stream(after_seq))
        assert [event.seq for event in events] == list(range(after_seq + 1, after_seq + 1 + len(events)))
        assert events, "the stream ended before the order did"
        assert events[-1].kind == "order_finished", events[-1]
        return events

    def until(self, kind: str, after_seq: int = 0, **said: Any) -> Event:
        """The first event of this kind whose payload says so."""
        with closing(self.stream(after_seq)) as stream:
            for event in stream:
                if event.kind == kind and event.payload.items() >= said.items():
                    return event
        raise AssertionError(f"{self.id} ended without {kind} {said}: {self.now()}")

    def at_gate(self, gate: str, count: int = 1) -> None:
        """Returns when the order's agent hears nothing any more because the model waits at its gate."""
        model = self.archon.stage.model

        def has_come() -> bool:
            with suppress(TimeoutError):
                model.wait_for_gate(gate, count=count, seconds=0.1)
                return True
            return False

        self.eventually(has_come)

    def runs(self, arguments: str) -> None:
        """Returns when a process of the order's runs with these arguments."""
        self.eventually(lambda: any(arguments.replace(" ", "\0") in line for line in processes_of(self.id).values()))

    def eventually(self, look: Callable[[], T]) -> T:
        """What `look` finds once it finds something, which has to be before the order ends."""

        def look_on() -> T:
            found, order = look(), self.now()
            assert found or order["finished_at"] is None, self._how_it_ended(order)
            return found

        return eventually(look_on, within=30)

    def ended(self) -> Json:
        """The order once it has ended."""
        self.follow()
        return self.now()

    def completed(self) -> Json:
        order = self.ended()
        assert order["status"] == "completed", self._how_it_ended(order)
        return order

    def failed(self, failure_class: str) -> Json:
        """An order that failed says why, in one class and two sentences."""
        order = self.ended()
        assert (order["status"], order["failure_class"]) == ("failed", failure_class), self._how_it_ended(order)
        assert order["error_message"]
        assert order["next_action"]
        return order

    def events(self, *kinds: str) -> list[Event]:
        """The journal by pages."""
        found: list[Event] = []
        while True:
            parameters: Json = {"after_seq": found[-1].seq if found else 0, "limit": 1000, "kind": kinds}
            page = self._get("/events", params=parameters).json()["events"]
            found += [_event(entry) for entry in page]
            if len(page) < 1000:
                return found

    def steps(self) -> list[tuple[str, str]]:
        """Name and status of every step, in the order in which they were taken."""
        return [(step["step_name"], step["status"]) for step in self.now()["steps"]]

    def diff(self) -> dict[str, str]:
        """What the last checkpoint changes: the patch of each file."""
        return {file["path"]: file["patch"] for file in self._get("/diff").json()["files"]}

    def artifacts(self) -> dict[str, str]:
        """All files of the order, whole."""
        listed = self._get("/artifacts").json()["artifacts"]
        return {one["artifact_id"]: self._get(f"/artifacts/{one['artifact_id']}").text for one in listed}

    def cancel(self) -> httpx.Response:
        return self.client.post(f"/work-orders/{self.id}/cancel")

    def retry(self, **body: Any) -> httpx.Response:
        return self.client.post(f"/work-orders/{self.id}/retry", json=body)

    def delete(self) -> httpx.Response:
        return self.client.delete(f"/work-orders/{self.id}")

    def _how_it_ended(self, order: Json) -> str:
        said = " ".join(str(order[name]) for name in ("status", "failure_class", "error_message"))
        return f"{self.id} is {said}; the server's log ends with\n{self.archon.log[-3000:]}"

    def _get(self, address: str, **options: Any) -> httpx.Response:
        return self.client.get(f"/work-orders/{self.id}{address}", **options).raise_for_status()


class Archon:
    """A server that runs."""

    def __init__(
        self,
        process: "subprocess.Popen[bytes]",  # noqa: TID251 - whose scope is `running_archon`
        address: str,
        home: Path,
        log: Path,
        stage: Stage,
    ) -> None:
        self.process, self.address, self.home, self._log, self.stage = process, address, home, log, stage
        self.client = httpx.Client(base_url=f"{address}/api/awo", timeout=30)

    def file(self, repository_url: str, user_request: str = "Write hello.txt.", **fields: Any) -> Order:
        """A filed order; the shortest workflow that opens a pull request unless told otherwise."""
        body = {"repository_url": repository_url, "user_request": user_request, "workflow_type": "quick_fix", **fields}
        answer = self.client.post("/work-orders", json=body)
        assert answer.status_code == 202, answer.text
        return self.order(answer.json()["agent_work_order_id"])

    def order(self, order_id: str) -> Order:
        return Order(self, order_id)

    def orders(self) -> list[Json]:
        return self.client.get("/work-orders").raise_for_status().json()["work_orders"]  # type: ignore[no-any-return]  # it is JSON

    @property
    def log(self) -> str:
        return self._log.read_text(encoding="utf-8", errors="replace")

    def kill(self) -> None:
        """As a machine that loses its power would: no last word."""
        self.process.kill()
        self.process.wait()

    def terminate(self) -> float:
        """SIGTERM; the seconds until it was gone."""
        began = time.monotonic()
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(timeout=ENDS_WITHIN)
        return time.monotonic() - began


@contextmanager
def running_archon(
    home: Path,
    stage: Stage,
    settings: Mapping[str, str] | None = None,
    program: tuple[str, ...] = HOST_APPLICATION,
    health: int = 200,
) -> Iterator[Archon]:
    """A server on `home` that uses `stage` for the world outside, told so as an operator would tell it.

    `health` is the status that its health has once it is up.
    """
    home.mkdir(parents=True, exist_ok=True)
    port, log = int((settings or {}).get("ARCHON_SERVER_PORT", 0)) or free_port(), home.with_name(f"{home.name}.log")
    environment = {
        "CLAUDE_CLI_PATH": str(CLAUDE),
        **{name: os.environ[name] for name in PASSED_ON if name in os.environ},
        "HOME": str(home),
        "ARCHON_AWO_ENABLED": "true",
        "ARCHON_HOME": str(home),
        "ARCHON_SERVER_PORT": str(port),
        "HOST": "127.0.0.1",
        "AWO_FETCH_FRESHNESS_SECONDS": "0",
        **stage.environment(),
        **(settings or {}),
    }
    with (
        log.open("ab") as sink,
        subprocess.Popen(  # noqa: TID251 - this block is the child's scope
            [sys.executable, *program], cwd=PYTHON_ROOT, env=environment, stdout=sink, stderr=sink
        ) as process,
    ):
        archon = Archon(process, f"http://127.0.0.1:{port}", home, log, stage)
        try:
            with archon.client:
                eventually(lambda: _answers(archon, health), within=30)
                yield archon
        finally:
            if process.poll() is None:
                process.send_signal(signal.SIGTERM)  # and not SIGKILL: what was run is counted at its end
                try:
                    process.wait(timeout=ENDS_WITHIN)
                except subprocess.TimeoutExpired:
                    process.kill()
                    raise


def events_in(lines: Iterator[str]) -> Iterator[Event]:
    """Server-sent events; `id` and `event` are what `data` says too."""
    given: dict[str, str] = {}
    for line in lines:
        name, _, value = line.partition(": ")
        if name in ("id", "event", "data"):
            given[name] = value
        elif not line and "data" in given:
            event = _event(json.loads(given["data"]))
            assert (given["id"], given["event"]) == (str(event.seq), event.kind)
            yield event
            given = {}


def eventually(look: Callable[[], T], within: float = ENDS_WITHIN) -> T:
    """What `look` finds once it finds something."""
    deadline = time.monotonic() + within
    while not (found := look()):
        assert time.monotonic() < deadline, f"it did not come true within {within:g} s"
        time.sleep(0.02)  # fact: the caller's
    return found


def _event(entry: Json) -> Event:
    return Event(entry["seq"], entry["kind"], entry["step_order"], entry["attempt"], entry["payload"])


def _answers(archon: Archon, status: int) -> bool:
    assert archon.process.poll() is None, f"the server ended at its start:\n{archon.log[-3000:]}"
    try:
        health = archon.client.get("/health")
    except httpx.TransportError:
        return False
    assert health.status_code == status, health.text
    return True


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return int(probe.getsockname()[1])
