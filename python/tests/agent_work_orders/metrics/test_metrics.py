"""What is counted, and that counting changes nothing."""

from datetime import timedelta
from pathlib import Path
from typing import Any, cast

import pytest

from src.agent_work_orders.domain.errors import StoreUnavailable
from src.agent_work_orders.domain.events import CheckRun, Draft, StepFinished, UsageCounted
from src.agent_work_orders.domain.status import Status, StepStatus
from src.agent_work_orders.domain.work_order import NewWorkOrder, Outcome, WorkOrderRequest
from src.agent_work_orders.metrics import Catalogue, Exposition, ObservedStore
from src.agent_work_orders.ports import Store
from src.agent_work_orders.store.sqlite import SqliteStore

pytestmark = pytest.mark.anyio

LEASE = timedelta(seconds=30)


def new_order(order_id: str = "wo-0000000000000001") -> NewWorkOrder:
    url = "https://github.com/owner/name"
    request = WorkOrderRequest(repository_url=url, user_request="Say hello.", workflow_type="plan_only")
    return NewWorkOrder(order_id, request, url, "github.com/owner/name", idempotency_key=order_id)


def exposition(catalogue: Catalogue, store: Any, tmp_path: Path, redactions: int = 0) -> Exposition:
    return Exposition(catalogue, store, {"repositories": tmp_path}, lambda: (5, 2), lambda: redactions, lambda: 3)


async def test_what_an_order_does_is_counted_once(tmp_path: Path) -> None:
    catalogue = Catalogue()
    async with SqliteStore.open(tmp_path / "awo.db") as inner:
        store = cast(Store, ObservedStore(inner, catalogue))
        await store.enqueue(new_order())
        await store.enqueue(new_order("wo-0000000000000002"))
        claim = await store.claim("a worker", "1", LEASE, 5)
        assert claim is not None
        payloads = [
            UsageCounted(input_tokens=7, output_tokens=11, cost_usd=0.25),
            CheckRun(
                command="make test", source="Makefile", exit_code=1, passed=False, duration_seconds=2.0,
                commit="0" * 40, output_tail="", repair_round=0,
            ),
            StepFinished(step_name="planning", status=StepStatus.COMPLETED, duration_seconds=4.0),
        ]  # fmt: skip
        drafts = [Draft(payload.kind, payload.model_dump_json(), 1) for payload in payloads]
        await store.append(claim, claim.order.last_seq + 1, drafts)
        await store.finish(claim, Outcome(status=Status.COMPLETED, summary="Done."))
        text = (await exposition(catalogue, store, tmp_path, redactions=4).text()).decode()
    for line in (
        'awo_orders{status="pending"} 1.0',
        'awo_orders{status="completed"} 1.0',
        "awo_claims_total 1.0",
        'awo_tokens_total{direction="input"} 7.0',
        'awo_tokens_total{direction="output"} 11.0',
        "awo_cost_usd_total 0.25",
        'awo_check_seconds_count{result="failed"} 1.0',
        'awo_step_seconds_sum{status="completed",step="planning"} 4.0',
        'awo_orders_finished_total{failure_class="",status="completed"} 1.0',
        'awo_store_seconds_count{call="claim"} 1.0',
        "awo_slots 5.0",
        "awo_slots_busy 2.0",
        "awo_streams 3.0",
        "awo_redactions_total 4.0",
    ):
        assert line in text.splitlines()
    assert 'awo_disk_free_bytes{volume="repositories"}' in text
    assert "wo-000" not in text


async def test_a_store_that_is_away_is_counted_and_the_rest_is_still_told(tmp_path: Path) -> None:
    class Away:
        async def counts(self) -> None:
            raise StoreUnavailable("It is away.")

    catalogue = Catalogue()
    store = cast(Store, ObservedStore(cast(Store, Away()), catalogue))
    with pytest.raises(StoreUnavailable):
        await store.counts()
    text = (await exposition(catalogue, store, tmp_path).text()).decode()
    assert 'awo_store_failures_total{call="counts"} 2.0' in text
    assert "awo_slots 5.0" in text
    assert 'awo_orders{status="pending"}' not in text


async def test_every_metric_has_our_name_and_says_what_it_is() -> None:
    for family in Catalogue().registry.collect():
        assert family.name.startswith("awo_")
        assert family.documentation.endswith(".")
