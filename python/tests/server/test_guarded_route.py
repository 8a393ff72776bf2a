"""Who is let in: the requests that browsers and programs really send."""

from collections.abc import AsyncIterator

import httpx
import pytest

pytestmark = pytest.mark.anyio

CHANGE = {"key": "THEME", "value": "dark"}


async def change(client: httpx.AsyncClient, **headers: str) -> httpx.Response:
    sent = {name.replace("_", "-"): value for name, value in headers.items()}
    return await client.post("/api/credentials", json=CHANGE, headers=sent)


def refused_as(answer: httpx.Response) -> tuple[int, str]:
    detail = answer.json()["detail"]
    assert detail["error"]
    assert detail["next_action"]
    return answer.status_code, detail["code"]


@pytest.mark.parametrize("host", ["127.0.0.1:8181", "localhost", "LOCALHOST:3737", "[::1]:8181", "127.0.0.1"])
async def test_loopback_names_are_let_in(client: httpx.AsyncClient, host: str) -> None:
    assert (await change(client, host=host)).status_code == 200


@pytest.mark.parametrize(
    "host",
    ["evil.example", "127.0.0.1.evil.example", "localhost@evil.example", "evil@localhost", "", "192.168.0.9", "a b"],
)
async def test_another_host_is_refused_for_reading_too(client: httpx.AsyncClient, host: str) -> None:
    assert refused_as(await change(client, host=host)) == (403, "host_not_allowed")
    for path in ("/api/credentials", "/api/credentials/THEME", "/api/migrations/status", "/api/settings/health"):
        assert refused_as(await client.get(path, headers={"host": host})) == (403, "host_not_allowed")


async def test_the_operators_hosts_are_let_in(client: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWO_ALLOWED_HOSTS", "archon.internal, 192.168.0.9:8181")
    assert (await change(client, host="archon.internal:9000")).status_code == 200
    assert (await change(client, host="192.168.0.9:8181")).status_code == 200
    assert (await change(client, host="192.168.0.9:8182")).status_code == 403


@pytest.mark.parametrize(
    "origin", ["http://localhost:3737", "http://127.0.0.1:3737", "http://127.0.0.1:8181", "HTTP://LOCALHOST:3737"]
)
async def test_the_ui_and_the_servers_own_pages_may_change(client: httpx.AsyncClient, origin: str) -> None:
    assert (await change(client, origin=origin, sec_fetch_site="same-site")).status_code == 200


@pytest.mark.parametrize(
    "origin",
    ["https://evil.example", "null", "http://localhost:3738", "https://localhost:3737", "http://localhost", ""],
)
async def test_a_page_of_another_origin_changes_nothing(client: httpx.AsyncClient, origin: str) -> None:
    assert refused_as(await change(client, origin=origin)) == (403, "origin_not_allowed")
    for method in ("PUT", "DELETE"):
        answer = await client.request(method, "/api/credentials/THEME", json={"value": "x"}, headers={"origin": origin})
        assert refused_as(answer) == (403, "origin_not_allowed")
    assert (await client.get("/api/credentials")).json() == []


async def test_a_form_of_another_site_changes_nothing(client: httpx.AsyncClient) -> None:
    headers = {"origin": "https://evil.example", "content-type": "text/plain", "sec-fetch-site": "cross-site"}
    answer = await client.post("/api/credentials", content=b'{"key": "THEME", "value": "dark"}', headers=headers)
    assert refused_as(answer) == (403, "origin_not_allowed")


@pytest.mark.parametrize("site", ["cross-site", "same-site"])
async def test_a_browser_without_an_origin_header_is_judged_by_its_fetch_site(
    client: httpx.AsyncClient, site: str
) -> None:
    assert refused_as(await change(client, sec_fetch_site=site)) == (403, "origin_not_allowed")
    assert (await change(client, sec_fetch_site="same-origin")).status_code == 200


async def test_the_operators_origins_are_let_in_and_a_star_is_none(
    client: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWO_ALLOWED_ORIGINS", "https://archon.example/, *")
    assert (await change(client, origin="https://archon.example")).status_code == 200
    assert (await change(client, origin="https://evil.example")).status_code == 403


async def test_another_ui_port_moves_the_origin(client: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ARCHON_UI_PORT", "4000")
    assert (await change(client, origin="http://localhost:4000")).status_code == 200
    assert (await change(client, origin="http://localhost:3737")).status_code == 403


async def test_a_configured_token_is_asked_for_when_something_changes(
    client: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWO_API_TOKEN", "the-token")
    assert refused_as(await change(client)) == (401, "token_required")
    assert refused_as(await change(client, authorization="Bearer wrong")) == (401, "token_required")
    assert refused_as(await change(client, authorization="Basic the-token")) == (401, "token_required")
    assert (await change(client, authorization="bearer the-token")).status_code == 200
    assert (await client.get("/api/credentials")).status_code == 200


async def test_beyond_loopback_nothing_changes_without_a_token(
    client: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOST", "0.0.0.0")  # noqa: S104 read, not bound to
    assert refused_as(await change(client)) == (403, "token_not_configured")
    monkeypatch.setenv("AWO_API_TOKEN", "the-token")
    assert (await change(client, authorization="Bearer the-token")).status_code == 200


async def test_the_address_a_connection_came_in_on_counts_as_well(client: httpx.AsyncClient) -> None:
    # httpx' ASGI transport reports the URL's host as the server's own address.
    url = "http://192.168.0.9:8181/api/credentials"
    answer = await client.post(url, json=CHANGE, headers={"host": "localhost"})
    assert refused_as(answer) == (403, "token_not_configured")


async def test_the_name_that_the_server_listens_on_is_let_in(
    client: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOST", "archon.lan")
    assert (await client.get("/api/settings/health", headers={"host": "archon.lan:8181"})).status_code == 200
    monkeypatch.setenv("HOST", "0.0.0.0")  # noqa: S104 read, not bound to
    assert (await client.get("/api/settings/health", headers={"host": "0.0.0.0:8181"})).status_code == 403


async def test_a_large_body_is_refused_with_and_without_its_length(client: httpx.AsyncClient) -> None:
    assert (await client.post("/api/credentials", content=b" " * 1_100_000)).status_code == 413

    async def pieces() -> AsyncIterator[bytes]:
        for _ in range(20):
            yield b" " * 100_000

    headers = {"content-type": "application/json"}
    answer = await client.post("/api/credentials", content=pieces(), headers=headers)
    assert refused_as(answer) == (413, "too_large")


async def test_a_body_that_is_no_json_is_422_in_the_one_shape(client: httpx.AsyncClient) -> None:
    answer = await client.post("/api/credentials", content=b"{", headers={"content-type": "application/json"})
    assert refused_as(answer) == (422, "invalid_input")
