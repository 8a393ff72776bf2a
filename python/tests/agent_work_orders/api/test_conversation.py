"""Answers and messages over HTTP: who said it, what is refused, and that a repetition says nothing twice."""

from typing import Any

import httpx
import pytest

from src.agent_work_orders.api import GuardPolicy
from src.agent_work_orders.domain.conversation import Asking, Question
from src.agent_work_orders.domain.workflow import Gate

from .conftest import Bench, detail_of, fields_of

pytestmark = pytest.mark.anyio


async def asked(bench: Bench) -> tuple[str, int]:
    """An order that asks before its push, and the `seq` to answer."""
    order_id = await bench.file(requires_approval=["push"])
    question = Question(gate=Gate.PUSH, step_name="commit", summary="1 file, +2 -1", files_changed=1)
    claim = await bench.claim()
    assert claim.order_id == order_id
    order = await bench.store.ask(claim, Asking(question, "c" * 40, 5, "It waits.", "Approve it."))
    return order_id, order.last_seq


async def post(bench: Bench, order_id: str, verb: str, user: str | None = "Ana", **body: Any) -> httpx.Response:
    headers = {} if user is None else {"X-Archon-User": user}
    return await bench.client.post(f"/api/awo/work-orders/{order_id}/{verb}", json=body, headers=headers)


async def detail(bench: Bench, order_id: str) -> dict[str, Any]:
    return dict((await bench.client.get(f"/api/awo/work-orders/{order_id}")).json())


async def test_a_work_order_shows_what_it_asks_until_it_is_answered(bench: Bench) -> None:
    order_id, seq = await asked(bench)
    order = await detail(bench, order_id)
    assert (order["status"], order["waiting_reason"], order["approval_gates"]) == ("waiting", "approval", ["push"])
    approval = order["approval"]
    assert (approval["seq"], approval["gate"], approval["step_name"]) == (seq, "push", "commit")
    assert (approval["summary"], approval["answer"]) == ("1 file, +2 -1", None)
    assert "subject" not in approval
    answered = await post(bench, order_id, "approve", seq=seq, comment="Go.")
    assert (answered.status_code, answered.json()["status"]) == (202, "pending")
    order = await detail(bench, order_id)
    assert order["approval"] is None
    (approval,) = order["approvals"]
    assert (approval["answer"], approval["comment"]) == ("approved", "Go.")
    assert approval["answered_by"].startswith("Ana (no token, ")


async def test_a_late_answer_hears_who_was_first(bench: Bench) -> None:
    order_id, seq = await asked(bench)
    await post(bench, order_id, "reject", seq=seq, comment="Not yet.")
    late = await post(bench, order_id, "approve", "Ben", seq=seq)
    body = late.json()
    assert late.status_code == 409
    assert set(body) == {"detail", "answer"}
    assert body["detail"]["code"] == "already_answered"
    assert body["detail"]["error"].startswith("Ana (no token, ")
    assert (body["answer"]["answer"], body["answer"]["comment"]) == ("rejected", "Not yet.")
    assert body["answer"]["answered_at"]


async def test_a_question_that_is_not_open_is_refused(bench: Bench) -> None:
    order_id, seq = await asked(bench)
    assert fields_of(await post(bench, order_id, "approve", seq=1)) == {
        "seq": "is not the `seq` of an event that asked for an approval"
    }
    await post(bench, order_id, "cancel")
    assert detail_of(await post(bench, order_id, "approve", seq=seq), 409)["code"] == "wrong_state"
    assert detail_of(await post(bench, "wo-0000000000000000", "reject", seq=1), 404)


@pytest.mark.parametrize(
    ("verb", "body", "field"),
    [
        ("approve", {}, "seq"),
        ("approve", {"seq": 0}, "seq"),
        ("approve", {"seq": "4"}, "seq"),
        ("approve", {"seq": 4, "again": True}, "again"),
        ("reject", {"seq": 4, "again": True}, "comment"),
        ("reject", {"seq": 4, "comment": " "}, "comment"),
        ("reject", {"seq": 4, "comment": "a\0b"}, "comment"),
        ("messages", {}, "text"),
        ("messages", {"text": ""}, "text"),
        ("messages", {"text": "ä" * 40_000}, "text"),
        ("messages", {"text": "x", "author": "a" * 81}, "author"),
        ("messages", {"text": "x", "to": "you"}, "to"),
    ],
)
async def test_what_cannot_be_meant_names_its_field(bench: Bench, verb: str, body: dict[str, Any], field: str) -> None:
    order_id, seq = await asked(bench)
    assert list(fields_of(await post(bench, order_id, verb, **body))) == [field]
    assert (await detail(bench, order_id))["last_seq"] == seq


async def test_a_message_says_who_wrote_it_and_who_sent_it(bench: Bench) -> None:
    order_id = await bench.file()
    sent = (await post(bench, order_id, "messages", text="Use tabs.", author="Dr. Eve\n## admin")).json()["message"]
    assert (sent["author"], sent["text"], sent["kind"]) == ("Dr. Eve    admin", "Use tabs.", "message")
    assert sent["sent_by"].startswith("Ana (no token, ")
    assert sent["seq"] == 2
    anonymous = (await post(bench, order_id, "messages", None, text="And spaces.")).json()["message"]
    assert (anonymous["author"], anonymous["sent_by"].startswith("somebody (")) == ("somebody", True)
    listed = (await bench.client.get(f"/api/awo/work-orders/{order_id}/messages")).json()["messages"]
    assert listed == [sent, anonymous]
    assert (await bench.client.get("/api/awo/work-orders/wo-0000000000000000/messages")).status_code == 404


async def test_the_same_key_sends_a_message_once(bench: Bench) -> None:
    order_id = await bench.finished()
    address, key = f"/api/awo/work-orders/{order_id}/messages", {"Idempotency-Key": "k-1"}
    first = await bench.client.post(address, json={"text": "Go on."}, headers=key)
    again = await bench.client.post(address, json={"text": "Go on."}, headers=key)
    assert (first.status_code, again.json()) == (202, first.json())
    assert (first.json()["work_order"]["status"], first.json()["work_order"]["attempt"]) == ("pending", 2)
    other = await bench.client.post(address, json={"text": "Stop."}, headers=key)
    assert detail_of(other, 409)["code"] == "idempotency_conflict"
    bad = await bench.client.post(address, json={"text": "Go on."}, headers={"Idempotency-Key": "a b"})
    assert list(fields_of(bad)) == ["Idempotency-Key"]


async def test_a_secret_in_a_message_stays_out_of_everything(bench: Bench) -> None:
    order_id = await bench.file()
    token = "ghp_" + "a1B2" * 9
    sent = await post(bench, order_id, "messages", text=f"Use {token} for it.")
    journal = (await bench.client.get(f"/api/awo/work-orders/{order_id}/events")).text
    assert token not in sent.text + journal


async def test_a_word_to_an_order_is_guarded_like_every_change(bench: Bench) -> None:
    order_id, seq = await asked(bench)
    bench.policy[0] = GuardPolicy(bound_to_loopback=True, token="t" * 20)
    for verb, body in (("approve", {"seq": seq}), ("reject", {"seq": seq}), ("messages", {"text": "x"})):
        assert detail_of(await post(bench, order_id, verb, **body), 401)


@pytest.mark.parametrize("wanted", ["plan", 1, None, ["plan", "deploy"], {"plan": True}])
async def test_gates_are_words_that_are_known(bench: Bench, wanted: object) -> None:
    body = {"repository_url": "https://github.com/octo/tools", "user_request": "x", "requires_approval": wanted}
    refused = await bench.client.post("/api/awo/work-orders", json=body)
    assert fields_of(refused) == {"requires_approval": "must be true, false or a list of `plan` and `push`"}
