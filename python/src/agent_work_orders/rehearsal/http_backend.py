"""One run of `git http-backend` as a CGI program: bodies stream both ways, nothing outlives the exchange.
Knows no repository."""

import os
import signal
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from subprocess import PIPE

import anyio
from anyio.abc import Process
from starlette.requests import Request
from starlette.types import Send

CHUNK = 1 << 16
# Git says how far it is in a hundred tiny writes. From the third of a row on they go out together: one by one each
# would cost the client more than it tells, and no host sends them so.
TINY, ONE_BY_ONE = 8192, 2
TOGETHER = 0.002  # seconds
LONGEST_HEAD = 1 << 16
SECONDS_TO_END = 5


async def answer(request: Request, send: Send, environment: Mapping[str, str], *, log: Path) -> None:
    """`environment` is RFC 3875's, and all that git sees; what git complains of is appended to `log`."""
    reading, writing = os.pipe()
    try:
        with log.open("ab") as complaints:
            try:
                process = await anyio.open_process(
                    ["git", "http-backend"],
                    stdin=PIPE,
                    stdout=writing,
                    stderr=complaints,
                    env=environment,
                    start_new_session=True,
                )
            finally:
                os.close(writing)
        try:
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(_feed, request, process, tasks.cancel_scope)
                await _relay(process, reading, send)
                tasks.cancel_scope.cancel()
        finally:
            await _end(process)
    finally:
        os.close(reading)


async def _feed(request: Request, process: Process, scope: anyio.CancelScope) -> None:
    """The request's body into git; then, and whenever the client leaves, the end of the exchange."""
    assert process.stdin is not None  # noqa: S101 - it was asked for
    more = True
    while True:
        message = await request.receive()
        if message["type"] == "http.disconnect":
            scope.cancel()
            return
        if more:
            try:
                await process.stdin.send(message.get("body", b""))
                more = message.get("more_body", False)
            except (anyio.BrokenResourceError, anyio.ClosedResourceError, ConnectionError):
                more = False  # git has heard enough; its answer says why
            if not more:
                await process.stdin.aclose()


async def _relay(process: Process, reading: int, send: Send) -> None:
    """Git's answer to the client: CGI headers first, the body as it comes."""
    status, headers, body = await _head(reading)
    await send({"type": "http.response.start", "status": status, "headers": headers})
    if body:
        await send({"type": "http.response.body", "body": body, "more_body": True})
    tiny = 0
    while chunk := await _chunk(reading):
        await send({"type": "http.response.body", "body": chunk, "more_body": True})
        tiny = tiny + 1 if len(chunk) < TINY else 0
        if tiny > ONE_BY_ONE:
            await anyio.sleep(TOGETHER)
    with anyio.move_on_after(SECONDS_TO_END):
        await process.wait()  # so that the client hears the end when all is written
    await send({"type": "http.response.body", "body": b"", "more_body": False})


async def _head(reading: int) -> tuple[int, list[tuple[bytes, bytes]], bytes]:
    """Status, headers and the beginning of the body. A backend that says nothing is a 500."""
    said = b""
    while b"\r\n\r\n" not in said:
        chunk = await _chunk(reading)
        if not chunk or len(said) > LONGEST_HEAD:
            return 500, [(b"content-type", b"text/plain")], b"git http-backend failed; see its log.\n"
        said += chunk
    head, _, body = said.partition(b"\r\n\r\n")
    status, headers = 200, []
    for line in head.split(b"\r\n"):
        name, _, value = line.partition(b":")
        if name.lower() == b"status":
            status = int(value.split()[0])
        else:
            headers.append((name.lower(), value.strip()))
    return status, headers, body


async def _chunk(reading: int) -> bytes:
    """What git has written and nobody read yet, nothing at its end."""
    await anyio.wait_readable(reading)
    return os.read(reading, CHUNK)


async def _end(process: Process) -> None:
    """Git and what it started are gone when this returns."""
    with anyio.CancelScope(shield=True):
        if process.returncode is None:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
        await process.aclose()
