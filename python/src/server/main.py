"""The Archon host: the application, its life, and `python -m src.server.main`. Agent Work Orders is two lines of it."""

import asyncio
import logging
import os
import socket
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any

from fastapi import FastAPI, Request, Response
from fastapi.middleware.cors import CORSMiddleware
from fastapi.responses import JSONResponse

from ..agent_work_orders import router as agent_work_orders_router
from . import pages
from .api_routes.guarded_route import allowed_origins
from .api_routes.migration_api import router as migration_router
from .api_routes.settings_api import router as settings_router
from .config.config import ConfigurationError, EnvironmentConfig, bind_host, get_config, is_loopback
from .config.logfire_config import QuietProbes, api_logger, setup_logfire
from .config.version import ARCHON_VERSION
from .services.credential_errors import CredentialError, CredentialTableMissing
from .services.credential_service import initialize_credentials

SERVICE = "archon-backend"
# How long uvicorn waits for open connections after SIGTERM; containers are killed after 10 s.
GRACEFUL_SHUTDOWN_SECONDS = 8
_SCHEMA_CHECK_SECONDS = 30.0


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[None]:
    """Check the environment, read the settings, start logging. A database that is away does not stop the server."""
    get_config()
    _watch_children_without_threads()
    trouble = await _credentials_trouble()
    setup_logfire(service_name=SERVICE)
    logging.getLogger("uvicorn.access").addFilter(QuietProbes())
    app.state.credentials_trouble = trouble
    app.state.credentials_checked_at = time.monotonic()
    app.state.ready = True
    if trouble is not None:
        api_logger.error("Credentials cannot be read | %s %s", trouble.message, trouble.next_action)
    if not is_loopback(bind_host()) and not os.environ.get("AWO_API_TOKEN", "").strip():
        api_logger.warning("Reachable from other machines without AWO_API_TOKEN: changes are refused until it is set")
    yield
    app.state.ready = False


def _cors_origins() -> list[str]:
    """Made at import, where a wrong port is nobody's error yet: the start checks the environment and says so."""
    try:
        return allowed_origins()
    except ConfigurationError:
        return []


app = FastAPI(title="Archon", version=ARCHON_VERSION, lifespan=lifespan)
app.add_middleware(
    CORSMiddleware,
    allow_origins=_cors_origins(),
    allow_credentials=True,
    allow_methods=["*"],
    allow_headers=["*"],
    expose_headers=["ETag", "Location"],
)
app.include_router(settings_router)
app.include_router(migration_router)
app.include_router(agent_work_orders_router)
app.include_router(pages.router)


@app.get("/", response_model=None)
async def root(request: Request) -> Response | dict[str, Any]:
    """The page for a person's browser; for a program, what answers here."""
    if pages.wants_page(request):
        return await pages.page()
    return {"name": "Archon", "version": ARCHON_VERSION, "status": "running"}


@app.get("/health")
async def health(request: Request) -> Response:
    """200 while the server can work. 503 before it has started, and when the database lacks Archon's tables."""
    state = request.app.state
    if not getattr(state, "ready", False):
        return _health(503, status="initializing", ready=False, message="The server is starting.")
    if state.credentials_trouble and time.monotonic() - state.credentials_checked_at > _SCHEMA_CHECK_SECONDS:
        state.credentials_checked_at = time.monotonic()
        state.credentials_trouble = await _credentials_trouble()
    trouble: CredentialError | None = state.credentials_trouble
    if isinstance(trouble, CredentialTableMissing):
        return _health(
            503,
            status="migration_required",
            ready=False,
            migration_required=True,
            message=trouble.message,
            migration_instructions=trouble.next_action,
            schema_valid=False,
        )
    body: dict[str, Any] = {"ready": True, "credentials_loaded": trouble is None, "schema_valid": True}
    if trouble is not None:
        body |= {"message": trouble.message, "next_action": trouble.next_action}
    return _health(200, status="healthy", **body)


@app.get("/api/health")
async def api_health() -> dict[str, str]:
    """That the server answers, whatever else is wrong."""
    return {"status": "healthy", "service": SERVICE, "timestamp": _now()}


def main() -> int:
    """Serve until a signal. Returns 1, after one sentence on stderr, if it cannot start."""
    try:
        config = get_config()
        listener = _listen(config)
    except ConfigurationError as error:
        sys.stderr.write(f"{error}\n")
        return 1

    import uvicorn  # not needed by those who only want `app`

    if config.reload:
        listener.close()
        uvicorn.run(
            "src.server.main:app",
            host=config.host,
            port=config.port,
            reload=True,
            timeout_graceful_shutdown=GRACEFUL_SHUTDOWN_SECONDS,
        )
        return 0
    sys.stderr.write(f"Archon {ARCHON_VERSION} on http://{_in_url(config.host)}:{config.port}\n")
    server = uvicorn.Server(uvicorn.Config(app, timeout_graceful_shutdown=GRACEFUL_SHUTDOWN_SECONDS))
    with listener:
        server.run(sockets=[listener])
    return 0 if server.started else 1


def _watch_children_without_threads() -> None:
    """Python 3.11 spends a thread on each child process, later ones a descriptor where the kernel has them."""
    if sys.version_info < (3, 12) and asyncio.PidfdChildWatcher is not None:
        try:
            os.close(os.pidfd_open(os.getpid()))
        except OSError:  # an old kernel, or a sandbox that forbids it
            return
        watcher = asyncio.PidfdChildWatcher()
        watcher.attach_loop(asyncio.get_running_loop())
        asyncio.set_child_watcher(watcher)


def _listen(config: EnvironmentConfig) -> socket.socket:
    """The listening socket, made here so that a port in use is one clear sentence.

    Raises:
        ConfigurationError: the address cannot be had.
    """
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            config.host, config.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        listener = socket.socket(family, kind, protocol)
        try:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind(address)
            listener.listen(2048)
        except OSError:
            listener.close()
            raise
    except OSError as error:
        raise ConfigurationError(
            f"Archon cannot listen on {_in_url(config.host)}:{config.port} ({error.strerror or error}); "
            f"stop what uses that port, or set ARCHON_SERVER_PORT to a free one and HOST to an address of this machine."
        ) from None
    return listener


async def _credentials_trouble() -> CredentialError | None:
    """Read the credentials, or say why that is not possible."""
    try:
        await initialize_credentials()
    except CredentialError as error:
        return error
    return None


def _health(status_code: int, **body: Any) -> Response:
    return JSONResponse({"service": SERVICE, "timestamp": _now(), **body}, status_code=status_code)


def _now() -> str:
    return datetime.now(UTC).isoformat()


def _in_url(host: str) -> str:
    return f"[{host}]" if ":" in host else host


if __name__ == "__main__":
    sys.exit(main())
