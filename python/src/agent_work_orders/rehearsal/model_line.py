"""The wire from the scripted model to one client: whole answers, streams, and every way in which they break off."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Self

import anyio
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.types import Send

from .messages_api import Json, error_body, frame, stream_events
from .scenario import ApiError, Fault

HANG_UP = "awo.hang_up"
"""Key in the ASGI scope's `extensions`: a function that drops the line once what was sent is out. The stage sets it."""

EVENTS_BEFORE_A_FAULT = 3


class ModelLine:
    """One answer on its way. Every method is called at most once, inside `while_the_client_listens`."""

    def __init__(self, request: Request, send: Send) -> None:
        self._request = request
        self._send = send

    @asynccontextmanager
    async def while_the_client_listens(self) -> AsyncIterator[Self]:
        """Gives the block up as soon as the client has gone: nobody waits at a gate for a client that was killed."""
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(self._cancel_when_gone, tasks.cancel_scope)
            yield self
            tasks.cancel_scope.cancel()

    async def pause(self, seconds: float) -> None:
        if seconds:
            await anyio.sleep(seconds)

    async def fail(self, error: ApiError) -> None:
        """An error status."""
        response = JSONResponse(error_body(error), status_code=error.status, headers=error.headers)
        await response(self._request.scope, self._request.receive, self._send)

    async def say(self, message: Json) -> None:
        """The whole answer at once."""
        await JSONResponse(message)(self._request.scope, self._request.receive, self._send)

    async def stream(self, message: Json) -> None:
        """The answer as events."""
        await self._begin()
        for event in stream_events(message):
            await self._more(frame(event))
        await self._end()

    async def break_off(self, message: Json, fault: Fault, *, until: Callable[[], Awaitable[None]]) -> None:
        """Part of the answer, then the fault; a hang lasts as long as the client does, or until `until` returns."""
        if not fault.before_the_first_byte:
            await self._begin()
            events = [] if fault.kind == "empty" else list(stream_events(message))
            for event in events[: fault.after_events or EVENTS_BEFORE_A_FAULT]:
                await self._more(frame(event))
        match fault.kind:
            case "hang":
                await until()
                await self._hang_up()
            case "disconnect" | "truncate":
                await self._hang_up()
            case "malformed":
                await self._more(b"event: content_block_delta\ndata: {this is no JSON\n\n")
            case "error_event":
                await self._more(frame(error_body(ApiError(status=529, message="Overloaded"))))
            case "empty":
                pass
        await self._end()

    async def _cancel_when_gone(self, scope: anyio.CancelScope) -> None:
        while (await self._request.receive())["type"] != "http.disconnect":
            pass
        scope.cancel()

    async def _begin(self) -> None:
        headers = [(b"content-type", b"text/event-stream; charset=utf-8"), (b"cache-control", b"no-cache")]
        await self._send({"type": "http.response.start", "status": 200, "headers": headers})

    async def _more(self, part: bytes) -> None:
        await self._send({"type": "http.response.body", "body": part, "more_body": True})

    async def _end(self) -> None:
        await self._send({"type": "http.response.body", "body": b"", "more_body": False})

    async def _hang_up(self) -> None:
        drop: Callable[[], None] = self._request.scope["extensions"][HANG_UP]
        drop()
        await anyio.sleep_forever()  # the server notices the closed line and so ends this answer
