"""Orders that leave a store whole, reach another, or are put away."""

from pathlib import Path
from typing import Any, cast

import pytest

from src.agent_work_orders.domain.errors import IdempotencyConflict, NotFound, WrongState
from src.agent_work_orders.domain.exported import ExportedOrder
from src.agent_work_orders.domain.status import Status, StepStatus
from src.agent_work_orders.domain.work_order import Artifact, new_order_id
from src.agent_work_orders.ports import AuditLog, ListQuery, Store, Transfers
from src.agent_work_orders.store.sqlite import SqliteStore

from .store_world import (
    World,
    claim_next,
    clause,
    drafts,
    failure,
    file_and_claim,
    file_order,
    journal,
    order_in,
    result,
)

NOT_ENDED = [status for status in Status if not status.is_terminal]


def transfers(store: Store) -> Transfers:
    return cast(Transfers, store)


def audit(store: Store) -> AuditLog:
    return cast(AuditLog, store)


async def rich_order(store: Store, *, events: int = 20) -> str:
    """An order with two attempts, steps, artifacts, costs and words that are hard to carry."""
    claim = await file_and_claim(store, user_request="Größe → 'quoted' \\ {\"json\": [1]} 🎉", max_cost_usd=2.5)
    await store.start_step(claim, 1, "planning", "claude")
    await store.append(claim, claim.order.last_seq + 1, drafts(events, 'Ein "Wort" 🎉\n\t\\u0000'))
    for name in ("b", "a"):
        await store.put_artifact(claim, Artifact(artifact_id=name, artifact_type="output", path=name, size_bytes=3))
    await store.finish_step(claim, result(1, StepStatus.FAILED, cost_usd=0.1 + 0.2, output="No.", input_tokens=7))
    await store.finish(claim, failure())
    await store.retry(claim.order_id, None)
    again = await claim_next(store, "worker-2")
    await store.finish_step(again, result(1, session_id="session-1", cost_usd=1.0))
    await store.finish(again, failure())
    return claim.order_id


async def everything_of(store: Store, order_id: str) -> list[Any]:
    order = await store.get(order_id)
    rest: list[Any] = [await store.steps(order_id), await store.artifacts(order_id), await journal(store, order_id)]
    return [order.model_dump(exclude={"rev"}), *rest]


class Moves:
    @clause(43)
    async def test_an_export_holds_all_and_is_stable(self, world: World) -> None:
        order_id = await rich_order(world.store)
        exported = await transfers(world.store).export_order(order_id)
        assert exported.problem() is None
        assert len(exported.events) == (await world.store.get(order_id)).last_seq
        assert len(exported.tables["agent_work_order_steps"]) == 2
        assert [row["artifact_id"] for row in exported.artifacts] == ["b", "a"]
        again = ExportedOrder.model_validate_json(exported.model_dump_json())
        assert again.digest() == exported.digest()
        assert (await transfers(world.store).export_order(order_id)).digest() == exported.digest()
        with pytest.raises(NotFound):
            await transfers(world.store).export_order(new_order_id())

    @clause(43, 44)
    @pytest.mark.parametrize("status", list(Status))
    async def test_an_order_goes_to_another_store_and_back(self, world: World, tmp_path: Path, status: Status) -> None:
        order = await order_in(world, status)
        order_id = order.agent_work_order_id
        before = await everything_of(world.store, order_id)
        exported = await transfers(world.store).export_order(order_id)
        async with SqliteStore.open(tmp_path / "other.db") as other:
            assert await other.import_order(exported)
            assert await everything_of(other, order_id) == before
            assert (await other.export_order(order_id)).digest() == exported.digest()
            back = await other.export_order(order_id)
        if not status.is_terminal:
            return
        await world.store.delete(order_id)
        assert await transfers(world.store).import_order(back)
        assert await everything_of(world.store, order_id) == before
        await world.assert_sound()

    @clause(44)
    async def test_an_import_keeps_everything(self, world: World) -> None:
        order_id = await rich_order(world.store, events=2300)
        before = await everything_of(world.store, order_id)
        exported = await transfers(world.store).export_order(order_id)
        await world.store.delete(order_id)
        rev = await world.store.last_rev()
        assert await transfers(world.store).import_order(exported)
        assert await everything_of(world.store, order_id) == before
        assert (await transfers(world.store).export_order(order_id)).digest() == exported.digest()
        assert [one.agent_work_order_id for one in await world.store.changes(rev)] == [order_id]
        await world.assert_sound()
        assert (await world.store.retry(order_id, None)).status is Status.PENDING, "it lives on"

    @clause(44)
    async def test_the_same_import_again_changes_nothing(self, world: World) -> None:
        exported = await transfers(world.store).export_order(await rich_order(world.store))
        rev = await world.store.last_rev()
        assert not await transfers(world.store).import_order(exported)
        assert await world.store.last_rev() == rev

    @clause(44)
    async def test_another_state_of_the_order_is_not_written_over(self, world: World) -> None:
        order_id = await rich_order(world.store)
        exported = await transfers(world.store).export_order(order_id)
        await world.store.retry(order_id, None)
        before = await everything_of(world.store, order_id)
        with pytest.raises(WrongState, match="Another state"):
            await transfers(world.store).import_order(exported)
        assert await everything_of(world.store, order_id) == before

    @clause(44)
    async def test_an_idempotency_key_that_is_taken_stops_an_import(self, world: World) -> None:
        exported = await transfers(world.store).export_order(await rich_order(world.store))
        other = new_order_id()
        renamed = ExportedOrder.model_validate_json(exported.model_dump_json().replace(exported.order_id, other))
        with pytest.raises(IdempotencyConflict):
            await transfers(world.store).import_order(renamed)
        with pytest.raises(NotFound):
            await world.store.get(other)

    @clause(44)
    async def test_half_an_order_is_not_imported(self, world: World) -> None:
        order_id = await rich_order(world.store)
        exported = await transfers(world.store).export_order(order_id)
        await world.store.delete(order_id)
        torn = exported.model_copy(update={"events": exported.events[:-1]})
        stranger = exported.model_copy(update={"order": {**exported.order, "of_tomorrow": 1}})
        bad_row = {**exported.artifacts[0], "artifact_type": None}
        spoilt = exported.model_copy(update={"tables": {**exported.tables, "agent_work_order_artifacts": [bad_row]}})
        for bad in (torn, stranger):
            with pytest.raises(WrongState):
                await transfers(world.store).import_order(bad)
        with pytest.raises(Exception):  # noqa: B017 - whatever the database says of a row that it cannot take
            await transfers(world.store).import_order(spoilt)
        with pytest.raises(NotFound):
            await world.store.get(order_id)
        assert await journal(world.store, order_id) == []
        assert await transfers(world.store).import_order(exported)

    @clause(45)
    async def test_no_token_is_given_twice_after_a_move(self, world: World, tmp_path: Path) -> None:
        first = await rich_order(world.store)
        exported = await transfers(world.store).export_order(first)
        given = await transfers(world.store).export_surroundings()
        async with SqliteStore.open(tmp_path / "other.db") as other:
            await other.import_surroundings(given)
            await other.import_order(exported)
            await file_order(other, "github.com/owner/fresh")
            claim = await claim_next(other)
            assert claim.token > given.fence
            assert (await other.export_surroundings()).fence == claim.token
            back = await other.export_surroundings()
        await transfers(world.store).import_surroundings(back)
        assert (await file_and_claim(world.store)).token > claim.token

    @clause(45)
    async def test_repositories_and_the_audit_come_along_once(self, world: World, tmp_path: Path) -> None:
        order = await order_in(world, Status.COMPLETED)
        await world.limit_repository(order.repository_key, 3)
        await audit(world.store).audit_append("ann", "AWO_MAX_CONCURRENT", "changed", "5", "7")
        await audit(world.store).audit_append("ann", "GITHUB_TOKEN", "secret_saved", None, None)
        given = await transfers(world.store).export_surroundings()
        async with SqliteStore.open(tmp_path / "other.db") as other:
            await other.import_surroundings(given)
            await other.import_surroundings(given)
            there = await other.export_surroundings()
            assert given.missing_in(there) == []
            assert len(await other.audit_page(10)) == 2
            assert [entry.setting for entry in await other.audit_page(10)] == ["GITHUB_TOKEN", "AWO_MAX_CONCURRENT"]
            (row,) = there.tables["agent_work_order_repositories"]
            assert (row["max_concurrent"], row["repository_key"]) == (3, order.repository_key)
            assert row["last_claim_token"] > 0
        await transfers(world.store).import_surroundings(there)
        assert len(await audit(world.store).audit_page(10)) == 2
        assert (await transfers(world.store).export_surroundings()).missing_in(given) == []

    @clause(46)
    async def test_the_census_counts_everything(self, world: World) -> None:
        await rich_order(world.store)
        await order_in(world, Status.PENDING)
        found = await transfers(world.store).census()
        assert found.orders == {Status.FAILED: 1, Status.PENDING: 1}
        assert (found.steps, found.artifacts, found.repositories) == (2, 2, 2)
        assert found.events == sum(order.last_seq for order in await world.store.changes(0))

    @clause(47)
    async def test_an_archived_order_is_in_no_list_but_the_archived_ones(self, world: World) -> None:
        kept = await order_in(world, Status.COMPLETED)
        gone = await order_in(world, Status.FAILED)
        archived = await world.store.archive(gone.agent_work_order_id)
        assert archived.archived_at is not None
        assert archived.rev > gone.rev
        assert await world.store.archive(gone.agent_work_order_id) == archived
        for query in (
            ListQuery(),
            ListQuery(statuses=frozenset({Status.FAILED, Status.COMPLETED})),
            ListQuery(repository_key=gone.repository_key),
            ListQuery(text=gone.agent_work_order_id),
        ):
            found = [one.agent_work_order_id for one in await world.store.list_orders(query)]
            assert gone.agent_work_order_id not in found
        put_away = await world.store.list_orders(ListQuery(archived=True))
        assert [one.agent_work_order_id for one in put_away] == [gone.agent_work_order_id]
        back = await world.store.unarchive(gone.agent_work_order_id)
        assert back.archived_at is None
        assert await world.store.unarchive(gone.agent_work_order_id) == back
        listed = [one.agent_work_order_id for one in await world.store.list_orders(ListQuery())]
        assert listed == [gone.agent_work_order_id, kept.agent_work_order_id]

    @clause(47)
    @pytest.mark.parametrize("status", NOT_ENDED)
    async def test_only_an_order_that_has_ended_can_be_archived(self, world: World, status: Status) -> None:
        order = await order_in(world, status)
        with pytest.raises(WrongState):
            await world.store.archive(order.agent_work_order_id)
        assert await world.store.get(order.agent_work_order_id) == order

    @clause(47)
    async def test_an_archived_order_is_not_taken_up_again(self, world: World) -> None:
        order = await order_in(world, Status.FAILED)
        order_id = order.agent_work_order_id
        archived = await world.store.archive(order_id)
        with pytest.raises(WrongState, match="archived"):
            await world.store.retry(order_id, None)
        assert await world.store.get(order_id) == archived
        await world.store.unarchive(order_id)
        assert (await world.store.retry(order_id, None)).status is Status.PENDING

    @clause(47)
    async def test_an_order_that_does_not_exist_cannot_be_archived(self, world: World) -> None:
        for verb in (world.store.archive, world.store.unarchive):
            with pytest.raises(NotFound):
                await verb(new_order_id())
