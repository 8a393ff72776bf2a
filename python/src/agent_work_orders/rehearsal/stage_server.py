"""uvicorn inside somebody else's event loop: leaves signals alone, says when it listens, ends when it is told."""

import socket
from collections.abc import Iterator
from contextlib import contextmanager

import anyio
import uvicorn
from anyio.abc import TaskStatus
from starlette.types import ASGIApp, Receive, Scope, Send

from .model_line import HANG_UP

# Claude Code asks an overloaded model again after some seconds, on the same connection. uvicorn by itself closes it
# after five: met in the middle, that is a model that cannot be reached.
SECONDS_BETWEEN_REQUESTS = 75
SECONDS_FOR_OPEN_ANSWERS = 3


class StageServer(uvicorn.Server):
    """One server for one application and one listening socket. asyncio only, as uvicorn is."""

    def __init__(self, application: ASGIApp) -> None:
        self._application = application
        config = uvicorn.Config(
            self._with_hang_up,
            interface="asgi3",
            lifespan="off",
            ws="none",  # nobody here speaks it, and uvicorn 0.34 imports a deprecated library for it
            log_config=None,
            access_log=False,
            proxy_headers=False,
            server_header=False,
            timeout_graceful_shutdown=SECONDS_FOR_OPEN_ANSWERS,
            timeout_keep_alive=SECONDS_BETWEEN_REQUESTS,
        )
        super().__init__(config)
        self._listening = anyio.Event()

    async def serve_until_stopped(self, listener: socket.socket, *, task_status: TaskStatus[None]) -> None:
        """Started once it listens. Cancelling it does nothing; `stop` ends it, within a few seconds."""

        async def report() -> None:
            await self._listening.wait()
            task_status.started()

        with anyio.CancelScope(shield=True):
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(report)
                await self.serve(sockets=[listener])

    def stop(self) -> None:
        self.should_exit = True

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets=sockets)
        self._listening.set()

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Signals belong to the host of the event loop."""
        yield

    async def _with_hang_up(self, scope: Scope, receive: Receive, send: Send) -> None:
        client = tuple(scope["client"] or ())

        def hang_up() -> None:
            for connection in list(self.server_state.connections):
                if tuple(connection.transport.get_extra_info("peername") or ())[:2] == client:
                    connection.transport.close()

        extensions = scope.get("extensions", {}) | {HANG_UP: hang_up}
        await self._application({**scope, "extensions": extensions}, receive, send)
