"""A page of another origin in the reader's own browser: it files nothing, steers nothing and reads nothing."""

import json
from collections.abc import Iterator
from urllib.parse import urlencode

import httpx
import pytest

from src.agent_work_orders.rehearsal import Stage

from .archon import HOST_APPLICATION, Archon, Json, Order, running_archon
from .conftest import MakeRepository

EVIL = "http://evil.example"


@pytest.fixture(
    scope="module",
    params=[
        pytest.param(HOST_APPLICATION, id="Archon itself"),
        pytest.param(("-m", "tests.agent_work_orders.story.open_host"), id="a host with CORS for everybody"),
    ],
)
def host(request: pytest.FixtureRequest, stage: Stage, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Archon]:
    home = tmp_path_factory.mktemp("strangers") / "home"
    with running_archon(home, stage, {"AWO_MAX_CONCURRENT": "1"}, program=request.param) as archon:
        yield archon


@pytest.fixture
def victim(host: Archon, make_repository: MakeRepository) -> Order:
    """An order that nobody has run yet, with words that nobody else should read."""
    return host.file(make_repository().url, "The words of the victim.", run_after="2100-01-01T00:00:00Z")


def page_of(origin: str) -> dict[str, str]:
    """What a browser adds to the requests of a page, and a page cannot take away."""
    return {"Origin": origin, "Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "cors", "Sec-Fetch-Dest": "empty"}


def attacks(victim: Order) -> Iterator[httpx.Request]:
    """The requests that a browser would send for a page of somebody else's."""
    archon = victim.archon
    port = int(archon.address.rsplit(":", 1)[1])
    api = f"{archon.address}/api/awo"
    orders, order = f"{api}/work-orders", f"{api}/work-orders/{victim.id}"
    body: Json = {"repository_url": victim.now()["repository_url"], "user_request": "The words of the attacker."}
    text, form = json.dumps(body), urlencode(body)

    def ask(method: str, address: str, page: dict[str, str], kind: str = "", content: str = "") -> httpx.Request:
        headers = page | ({"Content-Type": kind} if kind else {})
        return archon.client.build_request(method, address, headers=headers, content=content or None)

    for origin in (EVIL, "null", f"http://localhost:{port + 1}", f"https://127.0.0.1:{port}"):
        page = page_of(origin)
        # What a page may send without asking first; then what it would have to ask for.
        yield ask("POST", orders, page, "text/plain;charset=UTF-8", text)
        yield ask("POST", orders, page, "", text)
        yield ask("POST", orders, page | {"Sec-Fetch-Mode": "navigate"}, "application/x-www-form-urlencoded", form)
        yield ask("POST", f"{order}/cancel", page)
        yield ask("POST", orders, page, "application/json", text)
        yield ask("DELETE", order, page)
        for address in (orders, order, f"{order}/events", f"{order}/events/stream", f"{api}/events/stream"):
            yield ask("GET", address, page)
    # A frame, a script or an image carries no Origin at all.
    for destination in ("iframe", "script", "image"):
        yield ask("GET", orders, {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Dest": destination})
    # After rebinding, the browser believes that evil.example is this machine, and that all is of one origin.
    for name in ("evil.example", f"evil.example:{port}", f"127.0.0.1.evil.example:{port}", "[::1].evil.example"):
        page = {"Host": name, "Sec-Fetch-Site": "same-origin"}
        yield ask("GET", orders, page)
        yield ask("GET", f"{order}/events/stream", page)
        yield ask("POST", orders, page | {"Origin": f"http://{name}"}, "application/json", text)


def test_no_request_of_a_foreign_page_files_steers_or_reads_anything(host: Archon, victim: Order) -> None:
    before, orders = victim.now(), len(host.orders())

    tried = 0
    for request in attacks(victim):
        answer = host.client.send(request)  # whole: a stream that was opened would not come to its end
        assert answer.status_code in (403, 415), (request, request.headers, answer.status_code, answer.text)
        for words in (victim.id, "words of the victim", "words of the attacker", before["repository_url"]):
            assert words not in answer.text, (request, request.headers)
        tried += 1

    assert tried > 50
    assert victim.now() == before
    assert len(host.orders()) == orders


def test_a_preflight_promises_nothing_that_is_kept(host: Archon, victim: Order) -> None:
    wanted = {"Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "content-type"}
    answer = host.client.options("/work-orders", headers={"Origin": EVIL, **wanted})

    # A host that allows everything says so before we are asked; the request that follows is refused all the same.
    if answer.headers.get("access-control-allow-origin") in ("*", EVIL):
        body = {"repository_url": victim.now()["repository_url"], "user_request": "x"}
        assert host.client.post("/work-orders", json=body, headers={"Origin": EVIL}).status_code == 403
    assert [order["agent_work_order_id"] for order in host.orders()].count(victim.id) == 1
    assert all(order["user_request"] != "x" for order in host.orders())


def test_archon_s_own_page_and_programs_are_served(host: Archon, victim: Order) -> None:
    own = {"Origin": "http://localhost:3737", "Sec-Fetch-Site": "same-site"}

    assert host.client.get(f"/work-orders/{victim.id}", headers=own).status_code == 200
    assert host.client.post(f"/work-orders/{victim.id}/cancel", headers=own).status_code == 202
    assert victim.now()["status"] == "cancelled"
