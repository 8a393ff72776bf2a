"""A real Archon server and the real MCP server before it, each its own process."""

import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.agent_work_orders.story.archon import PYTHON_ROOT, Archon, eventually
from tests.agent_work_orders.story.conftest import archon, make_repository, play, remote, stage

__all__ = ["archon", "make_repository", "play", "remote", "stage"]


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(scope="session")
def mcp_address(archon: Archon, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Where the tools are."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    log = tmp_path_factory.mktemp("mcp") / "mcp.log"
    environment = {
        **{
            name: os.environ[name] for name in ("PATH", "COVERAGE_PROCESS_START", "COVERAGE_FILE") if name in os.environ
        },
        "ARCHON_MCP_PORT": str(port),
        "ARCHON_SERVER_HOST": "127.0.0.1",
        "ARCHON_SERVER_PORT": archon.address.rpartition(":")[2],
        # To be reached from everywhere must not mean to answer to every name.
        "ARCHON_MCP_HOST": "0.0.0.0",  # noqa: S104 - that it is safe is what is tested
    }
    with (
        log.open("wb") as sink,
        subprocess.Popen(  # noqa: TID251 - this block is the child's scope
            [sys.executable, "-m", "src.mcp_server.mcp_server"],
            cwd=PYTHON_ROOT,
            env=environment,
            stdout=sink,
            stderr=sink,
        ) as process,
    ):
        address = f"http://127.0.0.1:{port}/mcp"

        def answers() -> bool:
            assert process.poll() is None, log.read_text()
            try:
                return httpx.get(address).status_code > 0
            except httpx.TransportError:
                return False

        try:
            eventually(answers, within=60)
            yield address
        finally:
            process.terminate()
            process.wait(timeout=20)


@pytest.fixture
def empty(tmp_path: Path) -> Path:
    return tmp_path
