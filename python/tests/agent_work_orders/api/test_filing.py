"""Filing a work order: what is accepted, and that a refusal names everything and creates nothing."""

import json
from typing import Any

import pytest

from .conftest import REQUEST, Bench, detail_of, fields_of

pytestmark = pytest.mark.anyio
URL = "/api/awo/work-orders"


async def count(bench: Bench) -> int:
    return len((await bench.client.get(URL)).json()["work_orders"])


async def test_a_filed_order_is_queued_and_has_an_address(bench: Bench) -> None:
    answer = await bench.client.post(URL, json=REQUEST)
    assert answer.status_code == 202
    order = answer.json()
    assert order["status"] == "pending"
    assert order["repository_url"] == "https://github.com/octo/tools"
    assert answer.headers["location"] == f"{URL}/{order['agent_work_order_id']}"
    assert not {"rev", "repository_key", "next_step", "base_commit", "error"} & set(order)
    assert (await bench.client.get(answer.headers["location"])).json()["steps"] == []


async def test_a_repository_is_expected_when_its_order_is_taken_up_at_once(bench: Bench) -> None:
    first = await bench.file(idempotency_key="k1")
    assert bench.checkouts.expected == [(first, "github.com/octo/tools")]
    bench.busy[0] = 5
    await bench.file()
    bench.busy[0] = 1
    await bench.claim()
    assert await bench.file(idempotency_key="k1") == first  # it runs already
    await bench.file(run_after="2099-01-01T00:00:00Z")
    assert bench.checkouts.expected == [(first, "github.com/octo/tools")]


async def test_both_spellings_of_an_address_answer(bench: Bench) -> None:
    answer = await bench.client.post(f"{URL}/", json=REQUEST)
    assert answer.status_code == 202
    assert answer.headers["location"].startswith(f"{URL}/wo-")
    for path in (
        "/work-orders",
        "/health",
        "/status",
        "/workflows",
        f"/work-orders/{answer.json()['agent_work_order_id']}",
    ):
        for spelling in (path, f"{path}/"):
            assert (await bench.client.get(f"/api/awo{spelling}")).status_code == 200, spelling


async def test_every_field_of_a_request_arrives(bench: Bench) -> None:
    everything = {
        **REQUEST,
        "workflow_type": "quick_fix",
        "selected_commands": ["create-branch", "execute"],
        "sandbox_type": "git_worktree",
        "github_issue_number": 12,
        "base_branch": "trunk",
        "working_subdir": "packages/a",
        "priority": 2,
        "model": "opus",
        "timeout_seconds": 60,
        "max_cost_usd": 1.5,
        "idempotency_key": "k1",
        "run_after": "2099-01-01T00:00:00+01:00",
    }
    order = (await bench.client.post(URL, json=everything)).json()
    same = set(everything) - {"idempotency_key", "run_after"}
    assert {name: order[name] for name in same} == {name: everything[name] for name in same}
    assert order["status"] == "scheduled"
    assert order["run_after"] == "2098-12-31T23:00:00Z"


@pytest.mark.parametrize("place", ["header", "body"])
async def test_the_same_key_gives_the_same_order_and_another_request_under_it_is_refused(
    bench: Bench, place: str
) -> None:
    async def file(text: str) -> Any:
        headers = {"Idempotency-Key": "abc"} if place == "header" else {}
        body = {**REQUEST, "user_request": text, **({"idempotency_key": "abc"} if place == "body" else {})}
        return await bench.client.post(URL, json=body, headers=headers)

    first, second = await file("one"), await file("one")
    assert first.status_code == second.status_code == 202
    assert first.json()["agent_work_order_id"] == second.json()["agent_work_order_id"]
    assert detail_of(await file("two"), 409)["code"] == "idempotency_conflict"
    assert await count(bench) == 1


async def test_a_key_in_the_header_and_the_same_in_the_body_agree(bench: Bench) -> None:
    body = {**REQUEST, "idempotency_key": "abc"}
    assert (await bench.client.post(URL, json=body, headers={"Idempotency-Key": "abc"})).status_code == 202
    refused = await bench.client.post(URL, json=body, headers={"Idempotency-Key": "abd"})
    assert fields_of(refused) == {"idempotency_key": "is not the same as the Idempotency-Key header"}


async def test_one_answer_names_everything_that_is_wrong(bench: Bench) -> None:
    body = {
        "repository_url": "ftp://github.com/octo/tools",
        "workflow_type": "no-such",
        "priority": "5",
        "model": 7,
        "surprise": 1,
        "idempotency_key": "with space",
    }
    found = fields_of(await bench.client.post(URL, json=body, headers={"Idempotency-Key": "x" * 201}))
    assert set(found) == {
        "repository_url",
        "user_request",
        "workflow_type",
        "priority",
        "model",
        "surprise",
        "idempotency_key",
        "Idempotency-Key",
    }
    assert found["user_request"] == "is required"
    assert found["surprise"] == "is not a known field"
    assert await count(bench) == 0


WRONG: list[tuple[str, Any]] = [
    ("repository_url", "http://github.com/octo/tools"),
    ("repository_url", "ssh://git@github.com/octo/tools"),
    ("repository_url", "file:///etc"),
    ("repository_url", "https://user:secret@github.com/octo/tools"),
    ("repository_url", "https://github.com/octo/tools?ref=x"),
    ("repository_url", "--upload-pack=touch"),
    ("repository_url", "https://github.com/octo/to ols"),
    ("repository_url", "https://github.com/octo/tools\n"),
    ("repository_url", "https://github.com/octo/too\u0000ls"),
    ("repository_url", "https://github.com/octo"),
    ("repository_url", "https://github.com//tools"),
    ("repository_url", "https://127.0.0.1/octo/tools"),
    ("repository_url", "https://10.0.0.8/octo/tools"),
    ("repository_url", "https://localhost/octo/tools"),
    ("repository_url", "https://evil.example/octo/tools"),
    ("repository_url", "https://github.com/octo/" + "x" * 600),
    ("repository_url", ""),
    ("repository_url", None),
    ("repository_url", 5),
    ("user_request", ""),
    ("user_request", " \n "),
    ("user_request", "x" * 65_537),
    ("user_request", "ä" * 32_769),
    ("user_request", "nul \u0000"),
    ("user_request", "half \ud800"),
    ("user_request", ["a"]),
    ("workflow_type", "unknown"),
    ("workflow_type", True),
    ("selected_commands", []),
    ("selected_commands", ["create-branch", "no-such"]),
    ("selected_commands", ["execute", "create-branch"]),
    ("selected_commands", ["execute"]),
    ("selected_commands", ["create-branch"]),
    ("selected_commands", "execute"),
    ("selected_commands", ["x"] * 21),
    ("sandbox_type", "docker"),
    ("github_issue_number", 0),
    ("github_issue_number", 2**31),
    ("github_issue_number", True),
    ("github_issue_number", 1.5),
    ("base_branch", "--help"),
    ("base_branch", "x$(touch${IFS}y)"),
    ("base_branch", "a;id"),
    ("base_branch", "a..b"),
    ("base_branch", ""),
    ("working_subdir", "/etc"),
    ("working_subdir", "../x"),
    ("working_subdir", "a/.git/hooks"),
    ("priority", -1),
    ("priority", 10),
    ("priority", False),
    ("model", "a b"),
    ("timeout_seconds", 0),
    ("timeout_seconds", 86_401),
    ("timeout_seconds", "60"),
    ("max_cost_usd", 0),
    ("max_cost_usd", 10_001),
    ("max_cost_usd", "1"),
    ("run_after", "2099-01-01T00:00:00"),
    ("run_after", "tomorrow"),
    ("idempotency_key", ""),
]


@pytest.mark.parametrize(("name", "value"), WRONG, ids=lambda value: repr(value)[:40])
async def test_a_wrong_field_is_named_and_nothing_is_created(bench: Bench, name: str, value: Any) -> None:
    body = json.dumps({**REQUEST, name: value})  # spells lone surrogates as escapes, as an attacker would
    answer = await bench.client.post(URL, content=body, headers={"Content-Type": "application/json"})
    assert {field.split(".")[0] for field in fields_of(answer)} == {name}
    assert await count(bench) == 0


async def test_a_wrong_item_is_named_by_its_place(bench: Bench) -> None:
    body = {**REQUEST, "selected_commands": ["planning", 7]}
    assert list(fields_of(await bench.client.post(URL, json=body))) == ["selected_commands.1"]


@pytest.mark.parametrize("text", ['{"NaN": NaN}', '{"max_cost_usd": Infinity}', '{"max_cost_usd": 1e999}'])
async def test_numbers_that_json_does_not_have_are_refused(bench: Bench, text: str) -> None:
    answer = await bench.client.post(URL, content=text, headers={"Content-Type": "application/json"})
    assert "repository_url" in fields_of(answer)


@pytest.mark.parametrize(
    "body",
    [b"{", b"", b"\xff\xfe\x00", b"{'a': 1}", b"[" * 100_000, b'{"priority": ' + b"9" * 5_000 + b"}"],
    ids=["cut", "empty", "not-utf-8", "python", "deep", "long-number"],
)
async def test_what_cannot_be_read_creates_nothing(bench: Bench, body: bytes) -> None:
    answer = await bench.client.post(URL, content=body, headers={"Content-Type": "application/json"})
    assert detail_of(answer, answer.status_code)["code"] in ("unreadable", "invalid_input")
    assert answer.status_code in (400, 422)
    assert await count(bench) == 0


@pytest.mark.parametrize("body", ["[]", '"text"', "5", "null", "true"])
async def test_a_body_that_is_no_object_is_named_as_such(bench: Bench, body: str) -> None:
    answer = await bench.client.post(URL, content=body, headers={"Content-Type": "application/json"})
    assert list(fields_of(answer)) == ["body"]


async def test_names_of_unknown_fields_come_back_harmless_and_few(bench: Bench) -> None:
    body = {**REQUEST, **{f"\x00\n{number}": number for number in range(200)}, "x" * 5_000: 1}
    found = detail_of(await bench.client.post(URL, json=body), 422)["fields"]
    assert len(found) == 50
    assert all(len(one["field"]) <= 200 and one["field"].isprintable() for one in found)


async def test_a_name_that_is_no_text_is_refused(bench: Bench) -> None:
    body = json.dumps({**REQUEST, "\ud800": 1})
    assert fields_of(await bench.client.post(URL, content=body, headers={"Content-Type": "application/json"}))
    assert await count(bench) == 0
