"""What a page of another origin can make a browser send, and that none of it files, cancels or reads anything.

The host application around us answers every origin with credentials, as the public Archon server does.
"""

from typing import Any

import pytest
from starlette.datastructures import Headers

from src.agent_work_orders.api.errors import Refused
from src.agent_work_orders.api.guard import Guard, GuardPolicy

from .conftest import REQUEST, Bench, detail_of

pytestmark = pytest.mark.anyio
URL = "/api/awo/work-orders"
EVIL = "http://evil.example"
TOKEN = "0123456789abcdef-token"
OPEN = GuardPolicy(bound_to_loopback=False)
BODY = '{"repository_url": "https://github.com/octo/tools", "user_request": "mine now"}'

# As browsers send them; `Host` is where the browser thinks it is.
ATTACKS: dict[str, tuple[str, str, dict[str, str], str | None, set[int]]] = {
    "a form": (
        "POST",
        URL,
        {"Origin": EVIL, "Content-Type": "application/x-www-form-urlencoded", "Sec-Fetch-Site": "cross-site"},
        "repository_url=x",
        {403},
    ),
    "a form that looks like JSON": ("POST", URL, {"Origin": EVIL, "Content-Type": "text/plain"}, BODY, {403}),
    "a form of an old browser": ("POST", URL, {"Content-Type": "text/plain"}, BODY, {415}),
    "a form with a file": ("POST", URL, {"Content-Type": "multipart/form-data; boundary=x"}, BODY, {415}),
    "a body without a type": ("POST", URL, {}, BODY, {415}),
    "a fetch without cors": (
        "POST",
        URL,
        {"Origin": EVIL, "Content-Type": "text/plain;charset=UTF-8", "Sec-Fetch-Mode": "no-cors"},
        BODY,
        {403},
    ),
    "a fetch after an allowed preflight": (
        "POST",
        URL,
        {"Origin": EVIL, "Content-Type": "application/json"},
        BODY,
        {403},
    ),
    "a page from a file or a sandbox": (
        "POST",
        URL,
        {"Origin": "null", "Content-Type": "application/json"},
        BODY,
        {403},
    ),
    "another port of this machine": (
        "POST",
        URL,
        {"Origin": "http://localhost:9999", "Content-Type": "application/json", "Sec-Fetch-Site": "same-site"},
        BODY,
        {403},
    ),
    "another scheme": (
        "POST",
        URL,
        {"Origin": "https://localhost:8181", "Content-Type": "application/json"},
        BODY,
        {403},
    ),
    "a look-alike": (
        "POST",
        URL,
        {"Origin": "http://localhost:8181.evil.example", "Content-Type": "application/json"},
        BODY,
        {403},
    ),
    "a user name in the origin": (
        "POST",
        URL,
        {"Origin": "http://localhost:8181@evil.example", "Content-Type": "application/json"},
        BODY,
        {403},
    ),
    "no origin but a confession": (
        "POST",
        URL,
        {"Content-Type": "application/json", "Sec-Fetch-Site": "cross-site"},
        BODY,
        {403},
    ),
    "rebinding": (
        "POST",
        URL,
        {"Host": "evil.example:8181", "Origin": "http://evil.example:8181", "Content-Type": "application/json"},
        BODY,
        {403},
    ),
    "rebinding to read": ("GET", URL, {"Host": "evil.example", "Sec-Fetch-Site": "same-origin"}, None, {403}),
    "rebinding to listen": (
        "GET",
        "/api/awo/events/stream",
        {"Host": "evil.example", "Accept": "text/event-stream"},
        None,
        {403},
    ),
    "a host that only starts right": ("GET", URL, {"Host": "localhost.evil.example"}, None, {403}),
    "a host with a path": ("GET", URL, {"Host": "localhost/evil"}, None, {403}),
    "an empty host": ("GET", URL, {"Host": ""}, None, {403}),
    "reading by fetch": ("GET", URL, {"Origin": EVIL, "Sec-Fetch-Site": "cross-site"}, None, {403}),
    "listening by EventSource": (
        "GET",
        "/api/awo/events/stream",
        {"Origin": EVIL, "Accept": "text/event-stream", "Sec-Fetch-Site": "cross-site"},
        None,
        {403},
    ),
    "a script tag": ("GET", URL, {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "no-cors"}, None, {403}),
    "a frame": (
        "GET",
        URL,
        {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "iframe"},
        None,
        {403},
    ),
    "a posted navigation": (
        "POST",
        URL,
        {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "document"},
        None,
        {403},
    ),
    "health by fetch": ("GET", "/api/awo/health", {"Origin": EVIL}, None, {403}),
    "deleting": ("DELETE", f"{URL}/wo-0123456789abcdef", {"Origin": EVIL}, None, {403}),
}


@pytest.mark.parametrize("name", ATTACKS)
async def test_a_foreign_page_gets_nothing_and_does_nothing(bench: Bench, name: str) -> None:
    method, path, headers, body, expected = ATTACKS[name]
    order_id = await bench.file()
    for target in {path, path.replace("wo-0123456789abcdef", order_id)}:
        answer = await bench.client.request(method, target, headers=headers, content=body)
        assert answer.status_code in expected
        assert detail_of(answer, answer.status_code)["code"] in ("origin_refused", "host_refused", "not_json")
        assert order_id not in answer.text
    orders = (await bench.client.get(URL)).json()["work_orders"]
    assert [(order["agent_work_order_id"], order["status"]) for order in orders] == [(order_id, "pending")]


async def test_a_foreign_page_cannot_cancel(bench: Bench) -> None:
    order_id = await bench.file()
    for headers in ({"Origin": EVIL}, {"Origin": "null"}, {"Sec-Fetch-Site": "cross-site"}, {"Host": "evil.example"}):
        assert (await bench.client.post(f"{URL}/{order_id}/cancel", headers=headers)).status_code == 403
    assert (await bench.client.get(f"{URL}/{order_id}")).json()["status"] == "pending"


async def test_we_give_no_permission_to_a_preflight(bench: Bench) -> None:
    from fastapi import FastAPI
    from httpx import ASGITransport, AsyncClient

    from src.agent_work_orders.api import STATE_NAME, router

    app = FastAPI()  # a host without CORS: whatever is permitted, we permitted
    app.include_router(router)
    setattr(app.state, STATE_NAME, getattr(bench.app.state, STATE_NAME))
    headers = {
        "Origin": EVIL,
        "Access-Control-Request-Method": "POST",
        "Access-Control-Request-Headers": "content-type",
    }
    async with AsyncClient(transport=ASGITransport(app), base_url="http://localhost:8181") as client:
        answer = await client.options(URL, headers=headers)
    assert answer.status_code == 405
    assert not [name for name in answer.headers if name.startswith("access-control-")]


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Origin": "http://localhost:8181", "Sec-Fetch-Site": "same-origin"},
        {"Host": "127.0.0.1:8181", "Origin": "http://127.0.0.1:8181"},
        {"Host": "[::1]:8181", "Origin": "http://[::1]:8181"},
        {"Host": "LOCALHOST", "Origin": "http://localhost:80"},
        {"Sec-Fetch-Site": "none"},
    ],
    ids=repr,
)
async def test_our_own_page_and_programs_may_do_everything(bench: Bench, headers: dict[str, str]) -> None:
    filed = await bench.client.post(URL, json=REQUEST, headers=headers)
    assert filed.status_code == 202
    order_id = filed.json()["agent_work_order_id"]
    assert (await bench.client.get(f"{URL}/{order_id}", headers=headers)).status_code == 200
    assert (await bench.client.post(f"{URL}/{order_id}/cancel", headers=headers)).status_code == 202


async def test_a_link_in_another_page_may_be_followed(bench: Bench) -> None:
    headers = {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "document"}
    assert (await bench.client.get(URL, headers=headers)).status_code == 200


async def test_an_origin_that_the_operator_named_may_do_everything(bench: Bench) -> None:
    bench.policy[0] = GuardPolicy(bound_to_loopback=True, allowed_origins=frozenset({"http://localhost:3737"}))
    headers = {"Origin": "http://localhost:3737", "Sec-Fetch-Site": "same-site"}
    assert (await bench.client.post(URL, json=REQUEST, headers=headers)).status_code == 202
    assert (await bench.client.get(URL, headers={**headers, "Origin": "http://localhost:3738"})).status_code == 403


async def test_a_host_that_the_operator_named_is_answered(bench: Bench) -> None:
    bench.policy[0] = GuardPolicy(bound_to_loopback=True, allowed_hosts=frozenset({"archon.lan", "box:8181"}))
    for host, status in (("archon.lan", 200), ("archon.lan:99", 200), ("box:8181", 200), ("box:1", 403), ("box", 403)):
        assert (await bench.client.get(URL, headers={"Host": host})).status_code == status, host


async def test_a_server_that_others_reach_needs_a_token(bench: Bench) -> None:
    bench.policy[0] = OPEN
    for answer in (await bench.client.get(URL), await bench.client.post(URL, json=REQUEST)):
        detail = detail_of(answer, 403)
        assert detail["code"] == "token_required"
        assert "AWO_API_TOKEN" in detail["next_action"]
    health = await bench.client.get("/api/awo/health")
    assert (health.status_code, health.json()["checks"]) == (200, [])


@pytest.mark.parametrize("loopback", [True, False])
@pytest.mark.parametrize(
    "offered",
    [None, "", "Bearer", "Bearer wrong", f"Basic {TOKEN}", f"Bearer {TOKEN}x", f"Bearer {TOKEN[:-1]}", "Bearer \xe9"],
)
async def test_a_wrong_token_is_refused_everywhere(bench: Bench, loopback: bool, offered: str | None) -> None:
    bench.policy[0] = GuardPolicy(bound_to_loopback=loopback, token=TOKEN)
    headers = [] if offered is None else [(b"authorization", offered.encode("latin-1"))]
    for path in (URL, "/api/awo/status", "/api/awo/events/stream"):
        answer = await bench.client.get(path, headers=headers)
        assert detail_of(answer, 401)["code"] == "token_refused"
        assert answer.headers["www-authenticate"].startswith("Bearer")
        assert TOKEN not in answer.text


@pytest.mark.parametrize("offered", [f"Bearer {TOKEN}", f"bearer  {TOKEN} "])
async def test_the_right_token_opens(bench: Bench, offered: str) -> None:
    bench.policy[0] = GuardPolicy(bound_to_loopback=False, token=TOKEN)
    assert (await bench.client.get(URL, headers={"Authorization": offered})).status_code == 200


async def test_a_token_does_not_excuse_a_foreign_page(bench: Bench) -> None:
    bench.policy[0] = GuardPolicy(bound_to_loopback=True, token=TOKEN)
    headers = {"Authorization": f"Bearer {TOKEN}", "Origin": EVIL}
    assert detail_of(await bench.client.get(URL, headers=headers), 403)["code"] == "origin_refused"


def judged(*headers: tuple[str, str], **options: Any) -> str | None:
    """The code of the guard's refusal of a GET, or None."""
    raw = [(name.encode(), value.encode()) for name, value in headers]
    try:
        Guard(lambda: GuardPolicy(bound_to_loopback=True, **options)).check("GET", "http", Headers(raw=raw))
    except Refused as refused:
        return refused.code
    return None


def test_two_hosts_are_none() -> None:
    assert judged(("host", "localhost"), ("host", "localhost")) == "host_refused"
    assert judged() == "host_refused"


def test_of_two_origins_both_have_to_be_right() -> None:
    assert judged(("host", "localhost"), ("origin", "http://localhost"), ("origin", EVIL)) == "origin_refused"


@pytest.mark.parametrize("origin", ["", "*", "localhost", "http://", "http://localhost:x", "file://", "about:blank"])
def test_what_is_no_origin_is_never_allowed_even_if_it_is_listed(origin: str) -> None:
    allowed = frozenset({origin})
    assert judged(("host", "localhost"), ("origin", origin), allowed_origins=allowed) == "origin_refused"


def test_a_policy_never_shows_its_token() -> None:
    assert TOKEN not in repr(GuardPolicy(bound_to_loopback=True, token=TOKEN))
