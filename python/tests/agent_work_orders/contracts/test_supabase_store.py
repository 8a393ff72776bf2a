"""The contract over real Postgres behind real PostgREST: the newest that Supabase hosts, and an older one."""

from collections.abc import AsyncIterator

import pytest

from src.agent_work_orders.store.supabase import SupabaseStore

from ..postgres.project import Project
from ..postgres.world import SupabaseWorld
from .store_contract import StoreContract


async def _world(project: Project) -> AsyncIterator[SupabaseWorld]:
    SupabaseWorld.begin(project)
    async with SupabaseStore.open(project.url, project.service_key) as store:
        yield SupabaseWorld(project, store)


@pytest.mark.anyio
class TestOnTheNewestPostgres(StoreContract):
    @pytest.fixture
    async def world(self, newest_project: Project) -> AsyncIterator[SupabaseWorld]:
        async for world in _world(newest_project):
            yield world


@pytest.mark.anyio
class TestOnAnOlderPostgres(StoreContract):
    @pytest.fixture
    async def world(self, oldest_project: Project) -> AsyncIterator[SupabaseWorld]:
        async for world in _world(oldest_project):
            yield world
