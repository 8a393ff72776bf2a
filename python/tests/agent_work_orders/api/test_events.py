"""The journal by pages."""

from typing import Any

import pytest

from .conftest import Bench, fields_of

pytestmark = pytest.mark.anyio


async def seqs(bench: Bench, order_id: str, **query: Any) -> list[int]:
    answer = await bench.client.get(f"/api/awo/work-orders/{order_id}/events", params=query)
    assert answer.status_code == 200, answer.text
    return [event["seq"] for event in answer.json()["events"]]


async def test_a_page_goes_forwards_or_backwards_and_knows_the_end(bench: Bench) -> None:
    order_id = await bench.file()
    claim = await bench.claim()
    first = claim.order.last_seq + 1
    last = await bench.speak(claim, first, 20)
    assert await seqs(bench, order_id) == list(range(1, last + 1))
    assert await seqs(bench, order_id, after_seq=first + 4, limit=3) == [first + 5, first + 6, first + 7]
    assert await seqs(bench, order_id, before_seq=first + 4, limit=3) == [first + 1, first + 2, first + 3]
    assert await seqs(bench, order_id, after_seq=10**9) == []
    answer = await bench.client.get(f"/api/awo/work-orders/{order_id}/events?limit=1")
    assert answer.json()["last_seq"] == last


async def test_an_event_says_when_what_and_where(bench: Bench) -> None:
    order_id = await bench.file()
    claim = await bench.claim()
    seq = await bench.speak(claim, claim.order.last_seq + 1, 1)
    body = (await bench.client.get(f"/api/awo/work-orders/{order_id}/events?after_seq={seq - 1}")).json()
    (event,) = body["events"]
    assert set(event) == {"seq", "at", "kind", "step_order", "attempt", "payload"}
    assert (event["seq"], event["kind"], event["step_order"], event["attempt"]) == (seq, "agent_spoke", 1, 1)
    assert event["payload"] == {"text": f"word {seq}", "artifact_id": None}
    assert event["at"].endswith("Z")


async def test_kinds_can_be_chosen(bench: Bench) -> None:
    order_id = await bench.finished()
    path = f"/api/awo/work-orders/{order_id}/events"
    body = (await bench.client.get(path, params={"kind": ["order_enqueued", "order_finished"]})).json()
    assert [event["kind"] for event in body["events"]] == ["order_enqueued", "order_finished"]


@pytest.mark.parametrize(
    ("query", "name"),
    [
        ({"after_seq": -1}, "after_seq"),
        ({"after_seq": "x"}, "after_seq"),
        ({"after_seq": 10**30}, "after_seq"),
        ({"before_seq": 0}, "before_seq"),
        ({"after_seq": 1, "before_seq": 2}, "before_seq"),
        ({"limit": 0}, "limit"),
        ({"limit": 1001}, "limit"),
        ({"kind": "no_such"}, "kind"),
    ],
)
async def test_a_wrong_query_is_named(bench: Bench, query: dict[str, Any], name: str) -> None:
    order_id = await bench.file()
    answer = await bench.client.get(f"/api/awo/work-orders/{order_id}/events", params=query)
    assert list(fields_of(answer)) == [name]
