"""Streams over a real server: nothing lost, nothing twice, and an end when it is due."""

import json
import ssl
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from typing import Any

import anyio
import httpx
import pytest
import uvicorn
from fastapi import FastAPI, Request, Response
from starlette.middleware.base import BaseHTTPMiddleware, RequestResponseEndpoint

from src.agent_work_orders.api import stream
from src.agent_work_orders.domain.errors import StoreUnavailable
from src.agent_work_orders.domain.events import AgentSpoke, Event, draft
from src.agent_work_orders.domain.status import Status

from .conftest import Bench, until

pytestmark = pytest.mark.anyio
# Loading the usual ones for each of 200 clients would take longer than everything else here.
NO_CERTIFICATES = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)


class QuietServer(uvicorn.Server):
    """A server in a test's own loop: it must not take the test runner's signals."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


@asynccontextmanager
async def serving(app: FastAPI) -> AsyncIterator[str]:
    """The address of the application."""
    server = QuietServer(uvicorn.Config(app, port=0, log_config=None, lifespan="off", ws="none"))
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(server.serve)
        await until(lambda: server.started)
        yield f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
        server.should_exit = True


@dataclass
class Frame:
    """One server-sent event as a browser understands it."""

    id: str | None
    event: str | None
    data: Any


@asynccontextmanager
async def listening(address: str, path: str, **headers: str) -> AsyncIterator[AsyncIterator[Frame]]:
    async with (
        httpx.AsyncClient(base_url=address, timeout=30, verify=NO_CERTIFICATES) as client,
        client.stream("GET", f"/api/awo{path}", headers=headers) as answer,
    ):
        assert answer.status_code == 200
        assert answer.headers["content-type"] == "text/event-stream; charset=utf-8"
        yield frames(answer.aiter_lines())


async def frames(lines: AsyncIterator[str]) -> AsyncIterator[Frame]:
    current = Frame(None, None, None)
    async for line in lines:
        name, _, value = line.partition(": ")
        if line == "":
            if current.data is not None or current.id is not None:
                yield current
            current = Frame(None, None, None)
        elif line.startswith(":"):
            yield Frame(None, "comment", None)
        elif name == "data":
            current.data = json.loads(value)
        elif name in ("id", "event"):
            setattr(current, name, value)
        else:
            assert name == "retry"


async def ids(stream_of: AsyncIterator[Frame], until: int | None = None) -> list[int]:
    """The ids of the stream's events, to its end or to one of them; what is told twice is checked on the way."""
    found = []
    async for frame in stream_of:
        if frame.event == "comment":
            continue
        assert frame.id is not None
        assert frame.data["seq"] == int(frame.id)
        assert frame.data["kind"] == frame.event
        found.append(int(frame.id))
        if found[-1] == until:
            break
    return found


async def test_a_stream_replays_goes_on_live_and_ends_with_the_order(bench: Bench) -> None:
    order_id = await bench.file()
    claim = await bench.claim()
    last = await bench.speak(claim, claim.order.last_seq + 1, 2_500)
    async with serving(bench.app) as address, listening(address, f"/work-orders/{order_id}/events/stream") as events:
        assert await ids(events, until=last) == list(range(1, last + 1))
        last = await bench.speak(claim, last + 1, 3)
        assert await ids(events, until=last) == [last - 2, last - 1, last]
        order = await bench.finish(claim)
        assert await ids(events) == list(range(last + 1, order.last_seq + 1))


@pytest.mark.parametrize(
    ("query", "header", "first"),
    [
        ("", "4", 5),
        ("?after_seq=6", None, 7),
        ("?after_seq=6", "3", 4),  # the address of an EventSource never changes, so the header is the newer word
        ("?after_seq=6", "not-a-number", 7),
        ("", "-5", 1),
        ("", "9" * 40, 1),
        ("", "", 1),
    ],
)
async def test_a_stream_resumes_where_it_was_left(bench: Bench, query: str, header: str | None, first: int) -> None:
    order_id = await bench.file()
    claim = await bench.claim()
    await bench.speak(claim, claim.order.last_seq + 1, 10)
    order = await bench.finish(claim)
    headers = {} if header is None else {"Last-Event-ID": header}
    path = f"/work-orders/{order_id}/events/stream{query}"
    async with serving(bench.app) as address, listening(address, path, **headers) as events:
        assert await ids(events) == list(range(first, order.last_seq + 1))


async def test_a_place_beyond_the_end_is_the_end(bench: Bench) -> None:
    order_id = await bench.file()
    claim = await bench.claim()
    path = f"/work-orders/{order_id}/events/stream"
    async with serving(bench.app) as address, listening(address, path, **{"Last-Event-ID": "999"}) as events:
        last = await bench.speak(claim, claim.order.last_seq + 1, 1)
        assert await ids(events, until=last) == [last]


async def test_a_browser_that_has_seen_the_end_stops_asking(bench: Bench) -> None:
    order_id = await bench.finished()
    order = await bench.store.get(order_id)
    path = f"/api/awo/work-orders/{order_id}/events/stream"
    answer = await bench.client.get(path, headers={"Last-Event-ID": str(order.last_seq)})
    assert (answer.status_code, answer.content) == (204, b"")


async def test_a_stream_left_and_taken_up_again_and_again_has_no_gap_and_no_repeat(bench: Bench) -> None:
    order_id = await bench.file()
    claim = await bench.claim()
    seen: list[int] = []
    async with serving(bench.app) as address, anyio.create_task_group() as tasks:

        async def work() -> None:
            last = claim.order.last_seq
            for _ in range(150):
                last = await bench.speak(claim, last + 1, 7)
            await bench.finish(claim)

        tasks.start_soon(work)
        while (
            not (await bench.store.get(order_id)).status.is_terminal
            or seen[-1] < (await bench.store.get(order_id)).last_seq
        ):
            headers = {"Last-Event-ID": str(seen[-1])} if seen else {}
            path = f"/work-orders/{order_id}/events/stream"
            async with listening(address, path, **headers) as events:
                seen += await ids(events, until=(seen[-1] if seen else 0) + 100)
    assert seen == list(range(1, (await bench.store.get(order_id)).last_seq + 1))


async def test_an_order_that_is_retried_goes_on_in_its_stream(bench: Bench) -> None:
    order_id = await bench.finished(Status.FAILED)
    seen = (await bench.store.get(order_id)).last_seq
    await bench.store.retry(order_id, None)
    path = f"/work-orders/{order_id}/events/stream?after_seq={seen - 1}"
    async with serving(bench.app) as address, listening(address, path) as events:
        assert (await anext(events)).event == "order_finished"  # the earlier attempt's: no end of the stream
        order = await bench.finish(await bench.claim())
        assert (await ids(events))[-1] == order.last_seq


async def test_two_hundred_listeners_see_everything(bench: Bench) -> None:
    order_id = await bench.file()
    claim = await bench.claim()
    seen: list[list[int]] = []
    ready = 0

    async def listen(address: str) -> None:
        nonlocal ready
        async with listening(address, f"/work-orders/{order_id}/events/stream") as events:
            found = await ids(events, until=1)
            ready += 1
            seen.append(found + await ids(events))

    async with serving(bench.app) as address, anyio.create_task_group() as tasks:
        for _ in range(200):
            tasks.start_soon(listen, address)
        await until(lambda: ready == 200)
        last = claim.order.last_seq
        for _ in range(10):
            last = await bench.speak(claim, last + 1, 10)
        order = await bench.finish(claim)
    assert seen == [list(range(1, order.last_seq + 1))] * 200


async def test_a_silent_stream_says_that_it_is_alive(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stream, "POLL", stream.POLL / 50)
    order_id = await bench.file()
    async with serving(bench.app) as address:
        for path in (f"/work-orders/{order_id}/events/stream?after_seq=1", "/events/stream?after_rev=0"):
            async with listening(address, path) as events:
                comments = 0
                async for frame in events:
                    comments += frame.event == "comment"
                    if comments == 2:
                        break


async def test_streams_end_when_the_server_begins_to_stop(bench: Bench) -> None:
    order_id = await bench.file()
    async with serving(bench.app) as address:
        for path in (f"/work-orders/{order_id}/events/stream", "/events/stream?after_rev=0"):
            async with listening(address, path) as events:
                await anext(events)
                bench.stopping.set()
                began = time.monotonic()
                async for _ in events:
                    pass  # a clean end: a cut one would raise
                assert time.monotonic() - began < 2


async def test_a_reader_that_leaves_is_forgotten(bench: Bench) -> None:
    order_id = await bench.file()
    async with serving(bench.app) as address:
        async with listening(address, f"/work-orders/{order_id}/events/stream") as events:
            await anext(events)
            await until(lambda: waiting_for(bench, order_id) == 1)
        await until(lambda: waiting_for(bench, order_id) == 0)


def waiting_for(bench: Bench, order_id: str) -> int:
    """How many wait for events of an order in the store."""
    bell = bench.store._signals._events.get(order_id)
    return bell.listeners if bell else 0


async def test_large_events_arrive_whole(bench: Bench) -> None:
    order_id = await bench.file()
    claim = await bench.claim()
    text = "ä" * 8_000
    drafts = [draft(AgentSpoke(text=text), 1)] * 60
    await bench.store.append(claim, claim.order.last_seq + 1, drafts)
    async with serving(bench.app) as address, listening(address, f"/work-orders/{order_id}/events/stream") as events:
        spoken = [await anext(events) for _ in range(claim.order.last_seq + 60)][-60:]
    assert [frame.data["payload"]["text"] for frame in spoken] == [text] * 60


async def test_a_store_that_is_away_for_a_moment_interrupts_and_loses_nothing(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stream, "POLL", stream.POLL / 50)
    order_id = await bench.file()
    claim = await bench.claim()
    original, failures = bench.store.events, 0

    async def unsteady(order: str, **how: Any) -> list[Event]:
        nonlocal failures
        failures += 1
        if failures in (2, 3):
            raise StoreUnavailable("The store is away.")
        return await original(order, **how)

    monkeypatch.setattr(bench.store, "events", unsteady)
    async with serving(bench.app) as address, listening(address, f"/work-orders/{order_id}/events/stream") as events:
        first = await ids(events, until=claim.order.last_seq)
        await bench.speak(claim, claim.order.last_seq + 1, 5)
        order = await bench.finish(claim)
        assert first + await ids(events) == list(range(1, order.last_seq + 1))
    assert failures > 3


async def test_a_bug_in_a_stream_ends_it_and_is_logged(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async def broken(order_id: str, **how: Any) -> list[Event]:
        raise RuntimeError("a bug")

    order_id = await bench.file()
    monkeypatch.setattr(bench.store, "events", broken)
    async with serving(bench.app) as address, listening(address, f"/work-orders/{order_id}/events/stream") as events:
        assert [frame async for frame in events] == []
    assert [record.name for record in caplog.records if record.levelname == "ERROR"] == [stream.__name__]


# --- all orders ---


async def test_the_stream_of_changes_tells_each_new_state(bench: Bench) -> None:
    await bench.finished()
    async with serving(bench.app) as address, listening(address, "/events/stream") as changes:
        start = await anext(changes)
        assert (start.id, start.data) == (str(await bench.store.last_rev()), None)
        order_id = await bench.file()
        filed = await anext(changes)
        assert (filed.event, filed.data["agent_work_order_id"], filed.data["status"]) == (
            "order_changed",
            order_id,
            "pending",
        )
        assert not {"rev", "repository_key"} & set(filed.data)
        await bench.store.cancel(order_id)
        cancelled = await anext(changes)
        assert cancelled.data["status"] == "cancelled"
    async with serving(bench.app) as address:
        async with listening(address, "/events/stream", **{"Last-Event-ID": filed.id or ""}) as changes:
            assert (await anext(changes)).data is None
            assert (await anext(changes)).id == cancelled.id
        async with listening(address, "/events/stream?after_rev=0") as changes:
            assert [(await anext(changes)).data for _ in range(3)][2]["status"] == "cancelled"


async def test_streams_work_and_end_behind_the_hosts_middleware(bench: Bench) -> None:
    class Host(BaseHTTPMiddleware):  # the public host has one of these
        async def dispatch(self, request: Request, call_next: RequestResponseEndpoint) -> Response:
            return await call_next(request)

    bench.app.add_middleware(Host)
    order_id = await bench.file()
    claim = await bench.claim()
    async with serving(bench.app) as address:
        async with listening(address, f"/work-orders/{order_id}/events/stream") as events:
            await anext(events)
            await until(lambda: waiting_for(bench, order_id) == 1)
        await until(lambda: waiting_for(bench, order_id) == 0)
        async with listening(address, f"/work-orders/{order_id}/events/stream") as events:
            await anext(events)
            await bench.finish(claim)
            assert (await ids(events))[-1] == (await bench.store.get(order_id)).last_seq
        other = await bench.file()
        async with listening(address, f"/work-orders/{other}/events/stream") as events:
            await anext(events)
            bench.stopping.set()
            async for _ in events:
                pass
