"""Everything from SQLite to Supabase and back: nothing lost, nothing twice, nothing half."""

from datetime import timedelta
from pathlib import Path

import pytest

from src.agent_work_orders.archive.move import CannotMove, Movable, move, take_inventory
from src.agent_work_orders.domain.exported import ExportedOrder
from src.agent_work_orders.domain.status import Status
from src.agent_work_orders.ports import Store
from src.agent_work_orders.store.sqlite import SqliteStore
from src.agent_work_orders.store.supabase import SupabaseStore

from ..contracts.store_moves import rich_order
from ..contracts.store_world import claim_next, failure, file_and_claim, file_order, maybe_claim, park
from ..postgres.project import Project
from ..postgres.proxy import Fault

pytestmark = pytest.mark.anyio


async def fill(store: Store) -> list[str]:
    """One order of each state in which orders rest, in repositories with a place in the line."""
    found = [await rich_order(store), await rich_order(store, events=1200)]
    waiting = await file_and_claim(store)
    await park(store, waiting)
    cancelled = await file_order(store, key="a key of somebody's own")
    await store.cancel(cancelled.agent_work_order_id)
    pending = await file_order(store, "github.com/Owner/Waiting")
    return [*found, waiting.order_id, cancelled.agent_work_order_id, pending.agent_work_order_id]


async def digests(store: Movable, order_ids: list[str]) -> list[str]:
    return [(await store.export_order(one)).digest() for one in order_ids]


async def test_everything_goes_there_and_back(embedded: SqliteStore, shared: SupabaseStore, tmp_path: Path) -> None:
    order_ids = await fill(embedded)
    await embedded.audit_append("ann", "AWO_MAX_CONCURRENT", "changed", "5", "7")
    await embedded.archive(order_ids[0])
    before = await digests(embedded, order_ids)
    moved = await move(embedded, shared)
    assert (moved.created, moved.there) == (5, 0)
    assert await digests(shared, order_ids) == before
    assert await shared.census() == await embedded.census()
    async with SqliteStore.open(tmp_path / "again.db") as back:
        assert (await move(shared, back)).created == 5
        assert await digests(back, order_ids) == before
        assert (await back.audit_page(10))[0].by == "ann"


async def test_a_dry_run_writes_nothing(embedded: SqliteStore, shared: SupabaseStore) -> None:
    await fill(embedded)
    rev, target_rev = await embedded.last_rev(), await shared.last_rev()
    inventory = await take_inventory(embedded, shared)
    assert inventory.source.orders[Status.FAILED] == 2
    assert inventory.source == await embedded.census()
    assert (inventory.there, inventory.conflicts, inventory.running) == (0, (), ())
    assert (await embedded.last_rev(), await shared.last_rev()) == (rev, target_rev)
    assert (await shared.census()).orders == {}


async def test_a_move_that_was_cut_off_goes_on(embedded: SqliteStore, shared: SupabaseStore) -> None:
    class CutOff(Exception):
        pass

    def cut(arrived: int) -> None:
        if arrived == 2:
            raise CutOff

    order_ids = await fill(embedded)
    with pytest.raises(CutOff):
        await move(embedded, shared, cut)
    assert sum((await shared.census()).orders.values()) == 2
    again = await move(embedded, shared)
    assert (again.created, again.there) == (3, 2)
    assert await digests(shared, order_ids) == await digests(embedded, order_ids)
    assert (await move(embedded, shared)).created == 0


async def test_a_lost_answer_does_not_double_an_order(
    embedded: SqliteStore, shared: SupabaseStore, project: Project
) -> None:
    await fill(embedded)
    calls: dict[str, int] = {}

    def lose_each_first_answer(function: str) -> Fault | None:
        if not function.startswith("awo_import"):
            return None
        calls[function] = calls.get(function, 0) + 1
        return Fault.DROP_AFTER if calls[function] % 2 else None

    project.gateway.fault = lose_each_first_answer
    await move(embedded, shared)
    assert calls["awo_import_v1"] > 5
    assert await shared.census() == await embedded.census()


async def test_running_orders_hold_a_move_up(embedded: SqliteStore, shared: SupabaseStore) -> None:
    claim = await file_and_claim(embedded)
    with pytest.raises(CannotMove, match="running") as refused:
        await move(embedded, shared)
    assert claim.order_id in refused.value.message
    assert (await shared.census()).orders == {}
    await embedded.release(claim)
    assert (await move(embedded, shared)).created == 1


async def test_an_order_of_a_silent_worker_is_taken_back_first(embedded: SqliteStore, shared: SupabaseStore) -> None:
    await file_order(embedded)
    claim = await claim_next(embedded, lease=timedelta(microseconds=1))
    await move(embedded, shared)
    order = await shared.get(claim.order_id)
    assert (order.status, order.attempt) == (Status.PENDING, 2)
    assert (await claim_next(shared)).token > claim.token


async def test_another_state_on_the_other_side_stops_everything(embedded: SqliteStore, shared: SupabaseStore) -> None:
    first = await rich_order(embedded)
    await move(embedded, shared)
    await file_order(embedded)
    await shared.retry(first, None)
    with pytest.raises(CannotMove, match="another state") as refused:
        await move(embedded, shared)
    assert first in refused.value.message
    assert sum((await shared.census()).orders.values()) == 1


async def test_a_source_that_is_used_meanwhile_is_noticed(embedded: SqliteStore, shared: SupabaseStore) -> None:
    await fill(embedded)
    other_server: list[str] = []
    order_ids = [order.agent_work_order_id for order in await embedded.changes(0)]
    exporting = embedded.export_order

    async def export_and_use(order_id: str) -> ExportedOrder:
        found = await exporting(order_id)
        if order_id == order_ids[-1] and not other_server:
            other_server.append((await file_order(embedded)).agent_work_order_id)
        return found

    embedded.export_order = export_and_use  # type: ignore[method-assign]  # a server that works on beside the move
    with pytest.raises(CannotMove):
        await move(embedded, shared)


async def test_the_order_of_the_queue_is_kept(embedded: SqliteStore, shared: SupabaseStore) -> None:
    served = await file_and_claim(embedded)
    await embedded.finish(served, failure())
    await file_order(embedded, served.order.repository_key, user_request="Later: its repository was served.")
    fresh = await file_order(embedded, "github.com/owner/never-served")
    await move(embedded, shared)
    claim = await maybe_claim(shared)
    assert claim is not None
    assert claim.order_id == fresh.agent_work_order_id
