"""What every test of the plugin shares: the event loop it runs on, and where a project of Supabase's comes from."""

import pytest

from .postgres.fixtures import newest_project, oldest_project, project

__all__ = ["newest_project", "oldest_project", "project"]


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    return "asyncio"
