"""What every test of the plugin shares: the event loop it runs on, and nothing else."""

import pytest


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    return "asyncio"
