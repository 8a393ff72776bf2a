"""One run of `git http-backend` as a CGI program: bodies stream both ways, nothing outlives the exchange.
Knows no repository."""

import os
import signal
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from subprocess import PIPE

import anyio
from anyio.abc import ByteReceiveStream, Process
from starlette.requests import Request
from starlette.types import Send

CHUNK = 1 << 16
LONGEST_HEAD = 1 << 16
SECONDS_TO_END = 5


async def answer(request: Request, send: Send, environment: Mapping[str, str], *, log: Path) -> None:
    """`environment` is RFC 3875's, and all that git sees; what git complains of is appended to `log`."""
    with log.open("ab") as complaints:
        process = await anyio.open_process(
            ["git", "http-backend"],
            stdin=PIPE,
            stdout=PIPE,
            stderr=complaints,
            env=environment,
            start_new_session=True,
        )
    try:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(_feed, request, process, tasks.cancel_scope)
            await _relay(process, send)
            tasks.cancel_scope.cancel()
    finally:
        await _end(process)


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


async def _relay(process: Process, send: Send) -> None:
    """Git's answer to the client: CGI headers first, the body as it comes."""
    assert process.stdout is not None  # noqa: S101 - it was asked for
    status, headers, body = await _head(process.stdout)
    await send({"type": "http.response.start", "status": status, "headers": headers})
    if body:
        await send({"type": "http.response.body", "body": body, "more_body": True})
    while chunk := await _chunk(process.stdout):
        await send({"type": "http.response.body", "body": chunk, "more_body": True})
    with anyio.move_on_after(SECONDS_TO_END):
        await process.wait()  # so that the client hears the end when all is written
    await send({"type": "http.response.body", "body": b"", "more_body": False})


async def _head(stream: ByteReceiveStream) -> tuple[int, list[tuple[bytes, bytes]], bytes]:
    """Status, headers and the beginning of the body. A backend that says nothing is a 500."""
    said = b""
    while b"\r\n\r\n" not in said:
        chunk = await _chunk(stream)
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


async def _chunk(stream: ByteReceiveStream) -> bytes:
    try:
        return await stream.receive(CHUNK)
    except anyio.EndOfStream:
        return b""


async def _end(process: Process) -> None:
    """Git and what it started are gone when this returns."""
    with anyio.CancelScope(shield=True):
        if process.returncode is None:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
        await process.aclose()
