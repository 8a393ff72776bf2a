"""The gateway before PostgREST: its prefix, its key types, and every fault that a network has. Knows no table.

Bytes are passed on as they are; a thread of its own does it, so that tests may block.
"""

import asyncio
import threading
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from enum import Enum
from typing import Protocol

PREFIX = b"/rest/v1"
LIMIT = 1 << 23


class Fault(Enum):
    """What befalls a request."""

    DROP_BEFORE = "the connection ends before the request gets there"
    DROP_AFTER = "the connection ends after the request was carried out"
    BAD_GATEWAY = "a page of the gateway's instead of an answer"
    NOT_READY = "PostgREST has no connection to the database"
    NO_ANSWER = "nothing comes back at all"


_PAGES = {
    Fault.BAD_GATEWAY: (b"502 Bad Gateway", b"text/html", b"<html><h1>502 Bad Gateway</h1></html>"),
    Fault.NOT_READY: (
        b"503 Service Unavailable",
        b"application/json",
        b'{"code":"PGRST002","details":null,"hint":null,"message":"Could not query the database for the schema cache"}',
    ),
}


class Gateway(threading.Thread):
    """`/rest/v1/x` becomes `/x` at `upstream_port`. `fault` is asked for every request, by the name of its function."""

    def __init__(self, upstream_port: int, service_key: str, secret_key: str) -> None:
        super().__init__(daemon=True, name="gateway")
        self.upstream_port, self._service_key, self._secret_key = upstream_port, service_key, secret_key
        self.port = 0
        self.fault: Callable[[str], Fault | None] = lambda function: None
        self.requests: Counter[str] = Counter()
        self._ready = threading.Event()

    def start(self) -> None:
        super().start()
        assert self._ready.wait(10)

    def run(self) -> None:
        asyncio.run(self._serve())

    def stop(self) -> None:
        with suppress(RuntimeError):  # it has ended
            self._loop.call_soon_threadsafe(self._stopped.set)
        self.join(10)

    async def _serve(self) -> None:
        self._loop, self._stopped = asyncio.get_running_loop(), asyncio.Event()
        server = await asyncio.start_server(self._handle, "127.0.0.1", 0, limit=LIMIT)
        self.port = server.sockets[0].getsockname()[1]
        self._ready.set()
        await self._stopped.wait()
        server.close()

    async def _handle(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        upstream: asyncio.StreamWriter | None = None
        answers: asyncio.StreamReader | None = None
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                body = _Kept()
                await _pass_body(reader, head, body)
                method, path, rest = self._readdressed(head)
                function = path.decode().rpartition("/")[2].partition("?")[0]
                self.requests[function] += 1
                fault = self.fault(function)
                if fault is Fault.DROP_BEFORE:
                    return
                if fault is Fault.NO_ANSWER:
                    await self._stopped.wait()
                    return
                if fault in _PAGES:
                    writer.write(_page(*_PAGES[fault]))
                    await writer.drain()
                    continue
                if upstream is None or answers is None:
                    answers, upstream = await asyncio.open_connection("127.0.0.1", self.upstream_port, limit=LIMIT)
                upstream.write(method + b" " + path + b" HTTP/1.1\r\n" + rest + bytes(body.held))
                answer = await answers.readuntil(b"\r\n\r\n")
                if fault is Fault.DROP_AFTER:
                    return
                writer.write(answer)
                if answer[9:12] not in (b"204", b"304"):
                    await _pass_body(answers, answer, writer)
                await writer.drain()
        except (asyncio.IncompleteReadError, OSError):
            pass
        finally:
            for one in (writer, upstream):
                if one is not None:
                    one.close()

    def _readdressed(self, head: bytes) -> tuple[bytes, bytes, bytes]:
        line, _, rest = head.partition(b"\r\n")
        method, path, _ = line.split(b" ")
        # As the hosted gateway does: a key that is no token itself stands for the service role.
        rest = rest.replace(self._secret_key.encode(), self._service_key.encode())
        return method, path.removeprefix(PREFIX) if path.startswith(PREFIX) else b"/not-there", rest


class _Sink(Protocol):
    def write(self, data: bytes, /) -> object: ...


class _Kept:
    def __init__(self) -> None:
        self.held = bytearray()

    def write(self, data: bytes) -> None:
        self.held += data


def _page(status: bytes, media_type: bytes, body: bytes) -> bytes:
    return b"HTTP/1.1 %s\r\ncontent-type: %s\r\ncontent-length: %d\r\n\r\n%s" % (status, media_type, len(body), body)


async def _pass_body(reader: asyncio.StreamReader, head: bytes, to: _Sink) -> None:
    lower = head.lower()
    if b"\r\ntransfer-encoding: chunked" in lower:
        size = -1
        while size:
            line = await reader.readuntil(b"\r\n")
            size = int(line.split(b";")[0], 16)
            to.write(line + await reader.readexactly(size + 2))
    elif b"\r\ncontent-length:" in lower:
        left = int(lower.partition(b"\r\ncontent-length:")[2].partition(b"\r\n")[0])
        if left:
            to.write(await reader.readexactly(left))
