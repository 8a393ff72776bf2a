"""Archiving over HTTP: who is asked, what is listed, and what is told when it cannot be."""

from dataclasses import dataclass, field, replace

import pytest

from src.agent_work_orders.api import STATE_NAME
from src.agent_work_orders.domain.errors import FailureClass, StepFailed
from src.agent_work_orders.domain.work_order import WorkOrder
from src.agent_work_orders.ports import Archive
from src.agent_work_orders.store.sqlite import SqliteStore

from .conftest import Bench, detail_of

pytestmark = pytest.mark.anyio


@dataclass
class MarkingArchive:
    """Keeps no files: only the mark in the store."""

    store: SqliteStore
    error: Exception | None = None
    forgotten: list[str] = field(default_factory=list)

    async def archive(self, order_id: str) -> WorkOrder:
        if self.error is not None:
            raise self.error
        return await self.store.archive(order_id)

    async def unarchive(self, order_id: str) -> WorkOrder:
        return await self.store.unarchive(order_id)

    async def forget(self, order_id: str) -> None:
        if self.error is not None:
            raise self.error
        self.forgotten.append(order_id)


@pytest.fixture
def archive(bench: Bench) -> MarkingArchive:
    found = MarkingArchive(bench.store)
    port: Archive = found
    setattr(bench.app.state, STATE_NAME, replace(getattr(bench.app.state, STATE_NAME), archive=port))
    return found


async def listed(bench: Bench, **asked: str) -> list[str]:
    answer = await bench.client.get("/api/awo/work-orders", params=asked)
    assert answer.status_code == 200, answer.text
    return [order["agent_work_order_id"] for order in answer.json()["work_orders"]]


async def test_an_archived_order_is_listed_only_when_it_is_asked_for(bench: Bench, archive: MarkingArchive) -> None:
    kept, gone = await bench.finished(), await bench.finished()
    answer = await bench.client.post(f"/api/awo/work-orders/{gone}/archive")
    assert answer.status_code == 200
    assert answer.json()["archived_at"] is not None
    assert await listed(bench) == [kept]
    assert await listed(bench, archived="true") == [gone]
    assert (await bench.client.get(f"/api/awo/work-orders/{gone}")).json()["archived_at"] is not None
    answer = await bench.client.post(f"/api/awo/work-orders/{gone}/unarchive")
    assert (answer.status_code, answer.json()["archived_at"]) == (200, None)
    assert await listed(bench) == [gone, kept]


async def test_an_order_that_has_not_ended_is_refused(bench: Bench, archive: MarkingArchive) -> None:
    order_id = await bench.file()
    detail = detail_of(await bench.client.post(f"/api/awo/work-orders/{order_id}/archive"), 409)
    assert detail["code"] == "wrong_state"


async def test_an_order_that_does_not_exist_is_not_found(bench: Bench, archive: MarkingArchive) -> None:
    for verb in ("archive", "unarchive"):
        detail_of(await bench.client.post(f"/api/awo/work-orders/wo-{'0' * 16}/{verb}"), 404)


async def test_an_archived_order_is_not_retried(bench: Bench, archive: MarkingArchive) -> None:
    order_id = await bench.file()
    await bench.client.post(f"/api/awo/work-orders/{order_id}/cancel")
    await bench.client.post(f"/api/awo/work-orders/{order_id}/archive")
    detail = detail_of(await bench.client.post(f"/api/awo/work-orders/{order_id}/retry"), 409)
    assert "archived" in detail["error"]


async def test_an_archive_that_refuses_is_told_with_the_next_action(bench: Bench, archive: MarkingArchive) -> None:
    order_id = await bench.finished()
    archive.error = StepFailed(FailureClass.NETWORK, "The bucket is away.", next_action="Look at it.")
    detail = detail_of(await bench.client.post(f"/api/awo/work-orders/{order_id}/archive"), 503)
    assert (detail["error"], detail["next_action"]) == ("The bucket is away.", "Look at it.")


async def test_deleting_an_archived_order_takes_it_from_the_shelf(bench: Bench, archive: MarkingArchive) -> None:
    archived, other = await bench.finished(), await bench.finished()
    await bench.client.post(f"/api/awo/work-orders/{archived}/archive")
    for order_id in (archived, other):
        assert (await bench.client.delete(f"/api/awo/work-orders/{order_id}")).status_code == 204
    assert archive.forgotten == [archived]


async def test_a_shelf_that_is_away_does_not_keep_an_order_from_being_deleted(
    bench: Bench, archive: MarkingArchive
) -> None:
    order_id = await bench.finished()
    await bench.client.post(f"/api/awo/work-orders/{order_id}/archive")
    archive.error = StepFailed(FailureClass.NETWORK, "The bucket is away.", next_action="Look at it.")
    assert (await bench.client.delete(f"/api/awo/work-orders/{order_id}")).status_code == 204
