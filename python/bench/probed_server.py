"""`python -m bench.probed_server`: the real server as it is, a probe in its event loop, and a route to read it."""

import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

import anyio
from fastapi import FastAPI

from src.server import main as host

from .probe import Probe

PATH = "/api/awo/bench/stall"


def main() -> int:
    probe = Probe()
    real = host.app.router.lifespan_context

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[Mapping[str, Any]]:
        async with real(app) as state, anyio.create_task_group() as tasks:
            tasks.start_soon(probe.run)
            yield state or {}
            tasks.cancel_scope.cancel()

    host.app.router.lifespan_context = lifespan
    host.app.add_api_route(PATH, probe.take)
    return host.main()


if __name__ == "__main__":
    sys.exit(main())
