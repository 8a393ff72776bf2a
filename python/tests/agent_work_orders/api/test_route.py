"""What holds for every route: the limit of bodies, one shape of errors, and nothing of the inside in them."""

import logging
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any

import anyio
import pytest
from fastapi import APIRouter, FastAPI, Request
from starlette.types import Message

from src.agent_work_orders.api import STATE_NAME, deps
from src.agent_work_orders.api.errors import STATUSES
from src.agent_work_orders.api.route import MAX_BODY, both
from src.agent_work_orders.domain.conversation import AlreadyAnswered, Approval, Verdict
from src.agent_work_orders.domain.errors import (
    FailureClass,
    InvalidInput,
    MustWait,
    SequenceGap,
    StepFailed,
    StoreUnavailable,
    WorkOrderError,
)
from src.agent_work_orders.domain.status import WaitingReason
from src.agent_work_orders.domain.workflow import Gate

from .conftest import REQUEST, Bench, detail_of

pytestmark = pytest.mark.anyio
URL = "/api/awo/work-orders"
JSON = {"Content-Type": "application/json"}


async def chunks(size: int) -> AsyncIterator[bytes]:
    for _ in range(size // 65536 + 1):
        yield b" " * 65536


async def test_a_body_over_one_mebibyte_is_refused_by_its_announcement(bench: Bench) -> None:
    answer = await bench.client.post(URL, content=b" " * (MAX_BODY + 1), headers=JSON)
    assert detail_of(answer, 413)["code"] == "too_large"


async def test_a_body_over_one_mebibyte_is_refused_while_it_arrives(bench: Bench) -> None:
    for path in (URL, f"{URL}/wo-0123456789abcdef/cancel"):
        answer = await bench.client.post(path, content=chunks(MAX_BODY), headers=JSON)
        assert detail_of(answer, 413)["code"] == "too_large"


async def test_a_body_of_just_under_one_mebibyte_is_read(bench: Bench) -> None:
    text = b'{"repository_url":"https://github.com/octo/tools","user_request":"x"' + b" " * (MAX_BODY - 100) + b"}"
    assert (await bench.client.post(URL, content=text, headers=JSON)).status_code == 202


async def test_a_refused_request_is_not_read_at_all(bench: Bench) -> None:
    asked = False

    async def receive() -> Message:
        nonlocal asked
        asked = True
        return {"type": "http.request", "body": b"{}", "more_body": False}

    sent: list[Message] = []

    async def send(message: Message) -> None:
        sent.append(message)

    headers = [(b"host", b"evil.example"), (b"content-type", b"application/json"), (b"content-length", b"2")]
    await bench.app(scope_of("POST", URL, headers), receive, send)
    assert sent[0]["status"] == 403
    assert not asked


async def test_a_client_that_leaves_while_it_speaks_creates_nothing(
    bench: Bench, caplog: pytest.LogCaptureFixture
) -> None:
    async def receive() -> Message:
        return {"type": "http.disconnect"}

    async def send(message: Message) -> None:
        pass

    headers = [(b"host", b"localhost"), (b"content-type", b"application/json"), (b"content-length", b"2")]
    await bench.app(scope_of("POST", URL, headers), receive, send)
    assert (await bench.client.get(URL)).json()["work_orders"] == []
    assert not caplog.records


async def test_a_body_that_does_not_arrive_is_not_waited_for_without_end(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def stalled() -> AsyncIterator[bytes]:
        yield b"{"
        await anyio.sleep_forever()

    monkeypatch.setattr("src.agent_work_orders.api.route.BODY_TIMEOUT", 0.05)
    answer = await bench.client.post(URL, content=stalled(), headers=JSON)
    assert detail_of(answer, 408)["code"] == "too_slow"


def scope_of(method: str, path: str, headers: list[tuple[bytes, bytes]]) -> dict[str, Any]:
    return {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": method,
        "scheme": "http",
        "path": path,
        "raw_path": path.encode(),
        "query_string": b"",
        "root_path": "",
        "headers": headers,
        "client": ("127.0.0.1", 5),
        "server": ("127.0.0.1", 8181),
    }


def failing_app(bench: Bench, error: Exception) -> None:
    """Adds a route that fails with `error`."""
    router = APIRouter(prefix="/api/awo")

    @both(router, "GET", "/failing")
    async def fail(request: Request) -> None:
        raise error

    bench.app.include_router(router)


APPROVAL = Approval(
    seq=7,
    attempt=1,
    gate=Gate.PLAN,
    step_name="execute",
    summary="The plan.",
    asked_at=datetime(2026, 1, 31, tzinfo=UTC),
    answer=Verdict.APPROVED,
    answered_by="ada",
    answered_at=datetime(2026, 1, 31, 12, tzinfo=UTC),
    subject="",
    back_to=1,
)


def all_errors() -> list[WorkOrderError]:
    special: dict[type[WorkOrderError], WorkOrderError] = {
        StepFailed: StepFailed(FailureClass.DISK, "The disk is full.", next_action="Free some space."),
        MustWait: MustWait(WaitingReason.DISK, "The disk is full.", until=None, next_action="Free some space."),
        InvalidInput: InvalidInput([]),
        SequenceGap: SequenceGap(5),
        AlreadyAnswered: AlreadyAnswered(APPROVAL),
    }
    return [special.get(kind) or kind("It is so.", next_action="Do that.") for kind in WorkOrderError.__subclasses__()]


@pytest.mark.parametrize("error", all_errors(), ids=lambda error: type(error).__name__)
async def test_every_error_of_the_domain_has_its_status(bench: Bench, error: WorkOrderError) -> None:
    failing_app(bench, error)
    expected = STATUSES.get(type(error), 500)
    answer = await bench.client.get("/api/awo/failing")
    detail = detail_of(answer, expected)
    assert ("retry-after" in answer.headers) == (expected == 503)
    assert detail["code"] == (error.code if expected != 500 else "internal")


async def test_a_bug_is_logged_once_and_shows_nothing(bench: Bench, caplog: pytest.LogCaptureFixture) -> None:
    failing_app(bench, RuntimeError("secret-of-the-inside"))
    with caplog.at_level(logging.ERROR):
        answer = await bench.client.get("/api/awo/failing")
    assert detail_of(answer, 500)["code"] == "internal"
    assert "secret" not in answer.text
    assert len(caplog.records) == 1
    assert caplog.records[0].exc_info is not None


async def test_a_full_disk_is_no_bug(bench: Bench) -> None:
    failing_app(bench, OSError(28, "No space left on device"))
    assert detail_of(await bench.client.get("/api/awo/failing"), 503)["code"] == "disk_full"


@pytest.mark.parametrize("store_is", ["away"])
async def test_a_store_that_is_away_says_when_to_come_back(bench: Bench, store_is: str) -> None:
    failing_app(bench, StoreUnavailable(f"The store is {store_is}."))
    answer = await bench.client.get("/api/awo/failing")
    assert detail_of(answer, 503)["error"] == "The store is away."
    assert int(answer.headers["retry-after"]) > 0


async def test_every_answer_forbids_guessing_keeping_and_embedding(bench: Bench) -> None:
    for answer in (await bench.client.get(URL), await bench.client.get(f"{URL}/nope"), await bench.client.post(URL)):
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["cache-control"] == "no-store"
        assert answer.headers["cross-origin-resource-policy"] == "same-origin"


async def test_a_server_without_the_plugin_running_says_so_and_its_health_does_too(bench: Bench) -> None:
    context = getattr(bench.app.state, STATE_NAME)
    for state in (None, deps.ApiContext(**{**vars(context), "enabled": False})):
        setattr(bench.app.state, STATE_NAME, state)
        for answer in (await bench.client.get(URL), await bench.client.post(URL, json=REQUEST)):
            assert detail_of(answer, 503)["code"] == "disabled"
        health = await bench.client.get("/api/awo/health")
        assert (health.status_code, health.json()["status"]) == (200, "disabled")


async def test_an_application_that_includes_us_twice_removed_keeps_the_guard(bench: Bench) -> None:
    from src.agent_work_orders.api import router

    inner = APIRouter()
    inner.include_router(router)
    app = FastAPI()
    app.include_router(inner, prefix="/host")
    setattr(app.state, STATE_NAME, getattr(bench.app.state, STATE_NAME))
    import httpx

    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://localhost") as client:
        assert (await client.get("/host/api/awo/work-orders")).status_code == 200
        filed = await client.post("/host/api/awo/work-orders", json=REQUEST)
        assert filed.headers["location"].startswith("/host/api/awo/work-orders/wo-")
        refused = await client.get("/host/api/awo/work-orders", headers={"Host": "evil.example"})
        assert detail_of(refused, 403)["code"] == "host_refused"
