"""Stores to move orders between."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from src.agent_work_orders.store.sqlite import SqliteStore
from src.agent_work_orders.store.supabase import SupabaseStore

from ..postgres.project import Project
from .s3_server import s3_endpoint

__all__ = ["s3_endpoint"]


@pytest.fixture
async def embedded(tmp_path: Path) -> AsyncIterator[SqliteStore]:
    async with SqliteStore.open(tmp_path / "home" / "awo.db") as store:
        yield store


@pytest.fixture
async def shared(project: Project) -> AsyncIterator[SupabaseStore]:
    async with SupabaseStore.open(project.url, project.service_key) as store:
        yield store
