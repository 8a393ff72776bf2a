"""The built pages as a browser gets them: headers, deep links, caching, and what a server without a build says."""

import gzip
import re
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest
from fastapi import FastAPI

from src.server import pages

INDEX = '<!doctype html><script nonce="__CSP_NONCE__">1</script><meta property="csp-nonce" nonce="__CSP_NONCE__">'
SCRIPT = "export const words = 'a script that is long enough to be worth compressing';" * 20
BROWSER = {"Accept": "text/html,application/xhtml+xml", "Accept-Encoding": "identity"}
ADDRESSES = (
    "/agent-work-orders",
    "/agent-work-orders/",
    "/agent-work-orders/new",
    "/agent-work-orders/wo-0123456789abcdef",
    "/settings",
    "/settings/agent-work-orders",
)


@pytest.fixture
def dist(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A small build in place of the real one."""
    folder = tmp_path / "dist"
    (folder / "assets").mkdir(parents=True)
    (folder / "index.html").write_text(INDEX)
    (folder / "favicon.svg").write_text("<svg/>")
    (folder / "assets" / "index-Ab12.js").write_text(SCRIPT)
    (folder / ".sources").write_text("not for browsers")
    monkeypatch.setattr(pages, "DIST", folder)
    return folder


@pytest.fixture
async def browser() -> AsyncIterator[httpx.AsyncClient]:
    app = FastAPI()
    app.include_router(pages.router)
    transport = httpx.ASGITransport(app=app)
    async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1:8181", headers=BROWSER) as client:
        yield client


@pytest.mark.anyio
@pytest.mark.parametrize("address", ADDRESSES)
async def test_every_address_of_the_pages_answers_with_the_page(
    address: str, dist: Path, browser: httpx.AsyncClient
) -> None:
    answer = await browser.get(address)
    assert (answer.status_code, answer.headers["content-type"]) == (200, "text/html; charset=utf-8")
    assert answer.headers["cache-control"] == "no-store"


@pytest.mark.anyio
@pytest.mark.parametrize("address", ["/agent-work-ordersx", "/nowhere", "/index.html", "/dist/index.html"])
async def test_no_other_address_does(address: str, dist: Path, browser: httpx.AsyncClient) -> None:
    assert (await browser.get(address)).status_code == 404


@pytest.mark.anyio
async def test_the_page_may_run_nothing_but_its_own_and_stand_in_no_frame(
    dist: Path, browser: httpx.AsyncClient
) -> None:
    first, second = await browser.get("/settings"), await browser.get("/settings")
    policy = first.headers["content-security-policy"]
    found = re.search(r"script-src 'self' 'nonce-([A-Za-z0-9_-]{16,})'", policy)
    assert found is not None
    assert first.text.count(f'nonce="{found[1]}"') == 2
    assert found[1] not in second.text
    assert "unsafe" not in policy
    assert policy.startswith("default-src 'none';")
    assert "frame-ancestors 'none'" in policy
    assert first.headers["x-frame-options"] == "DENY"
    assert first.headers["x-content-type-options"] == "nosniff"


@pytest.mark.anyio
async def test_scripts_are_kept_for_good_because_their_names_change(dist: Path, browser: httpx.AsyncClient) -> None:
    answer = await browser.get("/assets/index-Ab12.js")
    assert answer.text == SCRIPT
    assert answer.headers["content-type"] == "text/javascript; charset=utf-8"
    assert answer.headers["cache-control"] == "public, max-age=31536000, immutable"
    assert (await browser.get("/favicon.svg")).headers["content-type"] == "image/svg+xml"


@pytest.mark.anyio
async def test_scripts_are_sent_compressed_to_who_can_read_it(dist: Path, browser: httpx.AsyncClient) -> None:
    async with browser.stream("GET", "/assets/index-Ab12.js", headers={"Accept-Encoding": "gzip"}) as answer:
        raw = b"".join([piece async for piece in answer.aiter_raw()])
    assert answer.headers["content-encoding"] == "gzip"
    assert answer.headers["vary"] == "Accept-Encoding"
    assert gzip.decompress(raw).decode() == SCRIPT
    assert len(raw) < len(SCRIPT) / 4


@pytest.mark.anyio
@pytest.mark.parametrize(
    "name", ["..%2f.sources", "..%2findex.html", ".sources", "%2e%2e", "index-Ab12.js.map", "gone-1.js", "a%00.js"]
)
async def test_no_file_is_served_that_is_not_the_pages(name: str, dist: Path, browser: httpx.AsyncClient) -> None:
    assert (await browser.get(f"/assets/{name}")).status_code == 404


@pytest.mark.anyio
async def test_without_a_build_it_says_how_to_get_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, browser: httpx.AsyncClient
) -> None:
    monkeypatch.setattr(pages, "DIST", tmp_path / "nothing")
    answer = await browser.get("/agent-work-orders")
    assert answer.status_code == 503
    assert "make ui" in answer.text
    assert "content-security-policy" in answer.headers


@pytest.mark.anyio
async def test_a_new_build_is_seen_without_a_restart(dist: Path, browser: httpx.AsyncClient) -> None:
    await browser.get("/agent-work-orders")
    (dist / "index.html").write_text("<!doctype html>another")
    assert (await browser.get("/agent-work-orders")).text.endswith("another")
