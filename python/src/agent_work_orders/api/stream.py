"""Server-sent events: framing, heartbeat, and an end when the reader leaves or the server stops. Knows no route.

Our own, because uvicorn waits for open streams before it stops, and libraries end them differently in each version.
"""

import logging
from collections.abc import Awaitable, Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from datetime import timedelta

import anyio
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from ..domain.errors import NotFound, StoreUnavailable
from ..domain.events import OrderFinished
from ..ports import Store

log = logging.getLogger(__name__)

Write = Callable[[bytes], Awaitable[None]]
Follow = Callable[[Write], Awaitable[None]]

BATCH = 500
# Few writes for many small events, and no large buffers for a slow reader; in characters.
MAX_PIECE = 128 * 1024
# News from another server is seen at the latest after this; our own store wakes us at once.
POLL = timedelta(seconds=1)
# What a browser waits before it connects again, in milliseconds.
HELLO = b"retry: 2000\n"
HEARTBEAT = b": still here\n\n"
LAST_WORDS = 0.2


class EventStream(Response):
    """Sends what `follow` writes until it returns, the reader leaves or `stopping` is set, and ends the response.

    While it is sent it stands in `all_open`.
    """

    media_type = "text/event-stream"

    def __init__(self, follow: Follow, stopping: anyio.Event, all_open: set[object]) -> None:
        super().__init__(headers={"X-Accel-Buffering": "no", "Cache-Control": "no-store"})
        # The base class counts an empty body; a stream has no length.
        del self.headers["content-length"]
        self._follow, self._stopping, self._all_open = follow, stopping, all_open

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        gone = False

        async def write(data: bytes) -> None:
            await send({"type": "http.response.body", "body": data, "more_body": True})

        async def cancel_when_gone(cancel: anyio.CancelScope) -> None:
            nonlocal gone
            while (await receive())["type"] != "http.disconnect":
                pass
            gone = True
            cancel.cancel()

        async def cancel_when_stopping(cancel: anyio.CancelScope) -> None:
            await self._stopping.wait()
            cancel.cancel()

        # OSError is how a server says that the reader is gone.
        with suppress(OSError), self._counted():
            await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(cancel_when_gone, tasks.cancel_scope)
                tasks.start_soon(cancel_when_stopping, tasks.cancel_scope)
                await self._run(write)
                tasks.cancel_scope.cancel()
            if not gone:
                with anyio.move_on_after(LAST_WORDS):
                    await send({"type": "http.response.body", "body": b"", "more_body": False})

    @contextmanager
    def _counted(self) -> Iterator[None]:
        self._all_open.add(self)
        try:
            yield
        finally:
            self._all_open.discard(self)

    async def _run(self, write: Write) -> None:
        try:
            await self._follow(write)
        except (OSError, NotFound):
            return  # the reader is gone, or the order is
        except Exception as error:
            # The door of the API: a response that has started can only end.
            log.error("a stream ended in an error nobody expected", exc_info=error)


async def follow_order(store: Store, order_id: str, after_seq: int, heartbeat: float, write: Write) -> None:
    """The journal from `after_seq` on, as it grows; returns once the order is terminal and all of it was written."""
    await write(HELLO + b"\n")
    quiet_since = anyio.current_time()
    look = True  # whether the order itself may have news: at first, after its last event, and now and then
    while True:
        try:
            events = await store.events(order_id, after_seq=after_seq, limit=BATCH)
            if events:
                for piece in _pieces(f"id: {e.seq}\nevent: {e.kind}\ndata: {e.to_json()}\n\n" for e in events):
                    await write(piece)
                after_seq, quiet_since = events[-1].seq, anyio.current_time()
                look = look or events[-1].kind == OrderFinished.kind
            if look and len(events) < BATCH:
                order = await store.get(order_id)
                if order.status.is_terminal and order.last_seq <= after_seq:
                    return
                look = False
            await store.wait_for_events(order_id, after_seq, POLL)
        except StoreUnavailable:
            await anyio.sleep(POLL.total_seconds())
            look = True
        if anyio.current_time() - quiet_since >= heartbeat:
            await write(HEARTBEAT)
            quiet_since, look = anyio.current_time(), True


async def follow_changes(store: Store, after_rev: int, heartbeat: float, write: Write) -> None:
    """Every order whose state changed after `after_rev`, with its newest state, for as long as somebody reads."""
    # An id without data moves the browser's Last-Event-ID: a first reconnect then misses nothing either.
    await write(HELLO + f"id: {after_rev}\n\n".encode())
    quiet_since = anyio.current_time()
    while True:
        try:
            orders = await store.changes(after_rev)
            if orders:
                for piece in _pieces(
                    f"id: {one.rev}\nevent: order_changed\ndata: {one.model_dump_json()}\n\n" for one in orders
                ):
                    await write(piece)
                after_rev, quiet_since = orders[-1].rev, anyio.current_time()
            await store.wait_for_change(after_rev, POLL)
        except StoreUnavailable:
            await anyio.sleep(POLL.total_seconds())
        if anyio.current_time() - quiet_since >= heartbeat:
            await write(HEARTBEAT)
            quiet_since = anyio.current_time()


def _pieces(frames: Iterable[str]) -> Iterator[bytes]:
    """The frames, joined into pieces of about `MAX_PIECE`; none is cut."""
    waiting: list[str] = []
    size = 0
    for frame in frames:
        waiting.append(frame)
        size += len(frame)
        if size >= MAX_PIECE:
            yield "".join(waiting).encode()
            waiting, size = [], 0
    if waiting:
        yield "".join(waiting).encode()
