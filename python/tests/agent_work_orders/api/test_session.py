"""Signing in: the token goes in once, a cookie that no script can read comes out, and nothing else lets anybody in."""

import httpx
import pytest
from starlette.datastructures import Headers

from src.agent_work_orders.api import cookie
from src.agent_work_orders.api.guard import GuardPolicy

from .conftest import Bench

pytestmark = pytest.mark.anyio
URL = "/api/awo/work-orders"
TOKEN = "0123456789abcdef-token"
NOW = 1_900_000_000.0


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


def carrying(value: str) -> Headers:
    return Headers({"cookie": f"other=1; {cookie.NAME}={value}"})


async def signed_in(bench: Bench) -> httpx.Response:
    bench.policy[0] = GuardPolicy(bound_to_loopback=False, token=TOKEN)
    answer = await bench.client.post("/api/awo/session", headers=bearer(TOKEN))
    assert answer.status_code == 204
    return answer


async def test_the_token_is_traded_for_a_cookie_that_lets_the_page_in(bench: Bench) -> None:
    given = (await signed_in(bench)).headers["set-cookie"]
    assert {"HttpOnly", "SameSite=strict", "Path=/api/awo"} <= {part.strip() for part in given.split(";")}
    assert TOKEN not in given
    assert (await bench.client.get(URL)).status_code == 200


async def test_over_https_the_cookie_never_leaves_it(bench: Bench) -> None:
    bench.policy[0] = GuardPolicy(bound_to_loopback=False, token=TOKEN)
    answer = await bench.client.post("https://localhost:8181/api/awo/session", headers=bearer(TOKEN))
    assert "Secure" in answer.headers["set-cookie"]


async def test_without_the_token_there_is_no_cookie(bench: Bench) -> None:
    bench.policy[0] = GuardPolicy(bound_to_loopback=False, token=TOKEN)
    for headers in ({}, bearer("0123456789abcdef-wrong")):
        answer = await bench.client.post("/api/awo/session", headers=headers)
        assert answer.status_code == 401
        assert "set-cookie" not in answer.headers


async def test_a_cookie_does_not_let_a_foreign_page_in(bench: Bench) -> None:
    await signed_in(bench)
    for headers in ({"Origin": "http://evil.example"}, {"Sec-Fetch-Site": "cross-site"}):
        assert (await bench.client.get(URL, headers=headers)).status_code == 403


async def test_a_wrong_token_is_refused_whatever_cookie_comes_with_it(bench: Bench) -> None:
    await signed_in(bench)
    assert (await bench.client.get(URL, headers=bearer("0123456789abcdef-wrong"))).status_code == 401


async def test_signing_out_takes_the_cookie_back(bench: Bench) -> None:
    await signed_in(bench)
    assert (await bench.client.delete("/api/awo/session")).status_code == 204
    assert (await bench.client.get(URL)).status_code == 401


async def test_another_token_ends_all_sessions(bench: Bench) -> None:
    await signed_in(bench)
    bench.policy[0] = GuardPolicy(bound_to_loopback=False, token="another-token-0123")
    assert (await bench.client.get(URL)).status_code == 401


async def test_a_server_that_asks_for_no_token_needs_no_cookie(bench: Bench) -> None:
    answer = await bench.client.post("/api/awo/session")
    assert (answer.status_code, answer.headers.get("set-cookie")) == (204, None)


def test_a_cookie_ends_by_itself() -> None:
    value = cookie.signed(TOKEN, NOW)
    assert cookie.is_signed_in(TOKEN, carrying(value), NOW + cookie.LIFETIME - 1)
    assert not cookie.is_signed_in(TOKEN, carrying(value), NOW + cookie.LIFETIME)


@pytest.mark.parametrize("change", ["later", "proof", "empty", "words", "no proof", "letters"])
def test_a_cookie_cannot_be_made_up(change: str) -> None:
    until, proof = cookie.signed(TOKEN, NOW).split(".")
    forged = {
        "later": f"{int(until) + 1}.{proof}",
        "proof": f"{until}.{'0' * 64}",
        "empty": "",
        "words": "signed-in",
        "no proof": f"{until}.",
        "letters": f"{until}x.{proof}",
    }[change]
    assert not cookie.is_signed_in(TOKEN, carrying(forged), NOW)
