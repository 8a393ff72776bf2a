"""Clauses 48 to 52: what operators say of repositories."""

import uuid
from datetime import timedelta

import anyio
import pytest

from src.agent_work_orders.domain.errors import NotFound, SettingsChanged
from src.agent_work_orders.domain.registry import Configuration, RegistryEntry, Verification
from src.agent_work_orders.domain.repository import RepositoryOptions
from src.agent_work_orders.domain.setting import Finding

from .store_world import World, claim_next, clause, file_order, maybe_claim

ALL_OPTIONS = RepositoryOptions(
    base_branch="develop",
    workflow_type="quick_fix",
    model="opus",
    verify_command="make test",
    max_concurrent=3,
    max_cost_usd=2.5,
    lfs=True,
    depth=50,
    setup_inputs=("uv.lock",),
    environment={"LANG": "C", "GREETING": "grüß \U0001f600"},
    files={"config/local.env": "A=1\n"},
)
GOOD = Finding(name="repository", ok=True, detail="It can be read.")


def wanted(key: str | None = None, display_name: str | None = None, **options: object) -> Configuration:
    key = key or f"github.com/owner/{uuid.uuid4().hex}"
    return Configuration(key, f"https://{key}", RepositoryOptions.model_validate(options), display_name)


async def entry(world: World, key: str) -> RegistryEntry:
    found = await world.store.repository(key)
    assert found is not None
    return found


class Repositories:
    @clause(48)
    async def test_what_was_configured_is_what_is_read(self, world: World) -> None:
        key = "github.com/owner/name"
        before = await world.now()
        saved = await world.store.save_repository(
            Configuration(key, "https://github.com/Owner/Name", ALL_OPTIONS, "The name"), 0, "Ana"
        )
        assert (saved.options, saved.url, saved.display_name) == (
            ALL_OPTIONS, "https://github.com/Owner/Name", "The name",
        )  # fmt: skip
        assert (saved.configured, saved.changed_by, saved.verification) == (True, "Ana", None)
        assert saved.updated_at is not None
        assert before <= saved.created_at <= saved.updated_at <= await world.now()
        async with world.server() as other:
            assert await other.repository(key) == saved

    @clause(48)
    async def test_saving_again_says_it_anew_as_a_whole(self, world: World) -> None:
        first = await world.store.save_repository(wanted(lfs=True, max_concurrent=1, model="opus"), 0, "Ana")
        again = await world.store.save_repository(wanted(first.key, depth=1), first.version, "Ben")
        assert again.options == RepositoryOptions(depth=1)
        assert (again.changed_by, again.created_at) == ("Ben", first.created_at)
        assert again.version > first.version

    @clause(48)
    async def test_what_orders_merely_named_is_known_and_not_configured(self, world: World) -> None:
        order = await file_order(world.store)
        found = await entry(world, order.repository_key)
        assert (found.configured, found.options, found.version) == (False, RepositoryOptions(), 0)
        assert await world.store.repository("github.com/owner/other") is None
        assert await world.store.repositories() == []
        assert await world.store.repositories(everything=True) == [found]
        saved = await world.store.save_repository(wanted(order.repository_key, lfs=True), 0, "Ana")
        assert await world.store.repositories() == [saved]
        assert await world.store.get(order.agent_work_order_id) == order

    @clause(49)
    async def test_only_who_has_read_the_newest_version_changes_it(self, world: World) -> None:
        first = await world.store.save_repository(wanted(), 0, "Ana")
        newer = await world.store.save_repository(wanted(first.key, depth=1), first.version, "Ana")
        for version in (0, first.version, newer.version + 1):
            with pytest.raises(SettingsChanged):
                await world.store.save_repository(wanted(first.key, depth=9), version, "Ben")
            with pytest.raises((SettingsChanged, NotFound)):
                await world.store.forget_repository(first.key, version)
        assert await entry(world, first.key) == newer
        whatever = await world.store.save_repository(wanted(first.key, depth=3), None, "Ben")
        assert whatever.options.depth == 3

    @clause(49)
    async def test_of_many_who_save_at_once_one_wins(self, world: World) -> None:
        first = await world.store.save_repository(wanted(), 0, "Ana")
        won: list[int] = []

        async def save(depth: int) -> None:
            async with world.server() as server:
                try:
                    await server.save_repository(wanted(first.key, depth=depth), first.version, "Ben")
                except SettingsChanged:
                    return
                won.append(depth)

        async with anyio.create_task_group() as group:
            for depth in range(1, 6):
                group.start_soon(save, depth)
        assert len(won) == 1
        assert (await entry(world, first.key)).options.depth == won[0]

    @clause(50)
    async def test_a_forgotten_repository_keeps_its_orders_and_nothing_else(self, world: World) -> None:
        order = await file_order(world.store)
        key = order.repository_key
        saved = await world.store.save_repository(Configuration(key, f"https://{key}", ALL_OPTIONS, "A name"), 0, "Ana")
        await world.store.note_verification(key, Verification(True, (GOOD,), "main"))
        await world.store.forget_repository(key, saved.version)
        found = await entry(world, key)
        assert (found.configured, found.options, found.display_name) == (False, RepositoryOptions(), None)
        assert (found.verification, found.changed_by) == (None, None)
        assert await world.store.repositories() == []
        assert await world.store.get(order.agent_work_order_id) == order
        assert (await claim_next(world.store)).order_id == order.agent_work_order_id

    @clause(50)
    async def test_no_version_comes_twice(self, world: World) -> None:
        """Who read it before it was forgotten must not overwrite what was configured since."""
        first = await world.store.save_repository(wanted(), 0, "Ana")
        await world.store.forget_repository(first.key, first.version)
        again = await world.store.save_repository(wanted(first.key), 0, "Ben")
        assert again.version > first.version
        with pytest.raises(SettingsChanged):
            await world.store.save_repository(wanted(first.key, depth=1), first.version, "Ana")

    @clause(50)
    async def test_what_is_not_configured_can_be_neither_changed_nor_forgotten_nor_verified(self, world: World) -> None:
        order = await file_order(world.store)
        for key in (order.repository_key, "github.com/owner/nobody-named-it"):
            with pytest.raises(NotFound):
                await world.store.save_repository(wanted(key), 7, "Ana")
            with pytest.raises(NotFound):
                await world.store.forget_repository(key, None)
            with pytest.raises(NotFound):
                await world.store.note_verification(key, Verification(True, ()))

    @clause(50)
    async def test_repositories_come_by_key_page_by_page(self, world: World) -> None:
        names = [f"github.com/owner/{name}" for name in ("zebra", "ant", "_bee", "cat-2", "cat.1")]
        for name in names:
            await world.store.save_repository(wanted(name), 0, "Ana")
        first = await world.store.repositories(2)
        second = await world.store.repositories(2, first[-1].key)
        rest = await world.store.repositories(2, second[-1].key)
        assert [one.key for one in first + second + rest] == sorted(names)
        assert await world.store.repositories(2, rest[-1].key) == []

    @clause(51)
    async def test_a_verification_is_kept_with_its_time_and_changes_no_version(self, world: World) -> None:
        saved = await world.store.save_repository(wanted(lfs=True), 0, "Ana")
        bad = Finding(name="contents", ok=False, detail="The token may not push.", next_action="Give it the right.")
        before = await world.now()
        noted = await world.store.note_verification(saved.key, Verification(False, (GOOD, bad), "trunk"))
        verification = noted.verification
        assert verification is not None
        assert verification.at is not None
        assert before <= verification.at <= await world.now()
        assert (verification.ok, verification.checks, verification.default_branch) == (False, (GOOD, bad), "trunk")
        assert (noted.version, noted.options, noted.updated_at) == (saved.version, saved.options, saved.updated_at)
        assert await entry(world, saved.key) == noted
        changed = await world.store.save_repository(wanted(saved.key), saved.version, "Ana")
        assert changed.verification == verification

    @clause(6, 52)
    async def test_a_repositorys_limit_holds_from_the_next_claim_on(self, world: World) -> None:
        key = "github.com/owner/limited"
        for _ in range(4):
            await file_order(world.store, key)
        await world.store.save_repository(wanted(key, max_concurrent=1), 0, "Ana")
        await claim_next(world.store, limit=5)
        assert await maybe_claim(world.store, limit=5) is None
        await world.store.save_repository(wanted(key, max_concurrent=2), None, "Ana")
        await claim_next(world.store, limit=1)
        assert await maybe_claim(world.store, limit=5) is None
        await world.store.save_repository(wanted(key, max_concurrent=0), None, "Ana")
        assert await maybe_claim(world.store, limit=5) is None
        await world.store.forget_repository(key, None)
        await claim_next(world.store, limit=3)
        assert await maybe_claim(world.store, limit=3) is None

    @clause(52)
    async def test_a_higher_limit_wakes_workers_of_this_server(self, world: World) -> None:
        key = "github.com/owner/paused"
        await world.store.save_repository(wanted(key, max_concurrent=0), 0, "Ana")
        await file_order(world.store, key)
        assert await maybe_claim(world.store) is None
        async with anyio.create_task_group() as group:
            group.start_soon(world.store.wait_for_work, timedelta(minutes=5))
            await anyio.wait_all_tasks_blocked()
            await world.store.save_repository(wanted(key, max_concurrent=1), None, "Ana")
        await claim_next(world.store)
