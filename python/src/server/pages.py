"""The built pages (`archon-ui-main/dist`), so that one process on one port is enough. Knows files and headers only.

The page is one file for all of its own addresses; its scripts and styles carry a hash in their names and never change.
"""

import gzip
import html
import re
import secrets
from functools import lru_cache
from pathlib import Path

from anyio import to_thread
from fastapi import APIRouter, HTTPException, Request, Response
from fastapi.responses import HTMLResponse

router = APIRouter(include_in_schema=False)

# Of a check-out: python/src/server/pages.py and archon-ui-main/dist under one root.
DIST = Path(__file__).resolve().parents[3] / "archon-ui-main" / "dist"
NONCE = "__CSP_NONCE__"
MEDIA_TYPES = {
    ".js": "text/javascript; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".svg": "image/svg+xml",
    ".png": "image/png",
    ".woff2": "font/woff2",
}
COMPRESSED = frozenset({".js", ".css", ".svg"})
# What a page may ever hold that is its own; anything else is no address of ours.
_FILE_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,199}\Z")
HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
}
NOT_BUILT = (
    "<!doctype html><html lang=en><meta charset=utf-8><title>Archon</title><h1>The pages are not built yet</h1>"
    "<p>The server itself runs: <a href=/docs>its interface</a> is there. The pages need Node.js 20 or newer: run "
    "<code>make ui</code> in the repository and reload. The server need not be restarted.</p>"
)


def wants_page(request: Request) -> bool:
    """Whether a person's browser asks, and no program."""
    return "text/html" in request.headers.get("accept", "")


async def page() -> Response:
    """The page, with a nonce of its own; never stored, so that a new build is seen at the next visit."""
    nonce = secrets.token_urlsafe(18)
    try:
        text = await to_thread.run_sync((DIST / "index.html").read_text)
    except OSError:
        return HTMLResponse(NOT_BUILT, status_code=503, headers=_page_headers(nonce))
    return HTMLResponse(text.replace(NONCE, html.escape(nonce)), headers=_page_headers(nonce))


for _address in ("/agent-work-orders", "/agent-work-orders/{_:path}", "/settings", "/settings/{_:path}"):
    router.add_api_route(_address, page, methods=["GET", "HEAD"])


@router.api_route("/assets/{name}", methods=["GET", "HEAD"])
async def asset(name: str, request: Request) -> Response:
    """A script, style or picture of the page; its name changes with its content."""
    return await _file(DIST / "assets", name, request, "public, max-age=31536000, immutable")


@router.api_route("/favicon.svg", methods=["GET", "HEAD"])
async def favicon(request: Request) -> Response:
    """The little picture in the browser's tab."""
    return await _file(DIST, "favicon.svg", request, "public, max-age=3600")


async def _file(folder: Path, name: str, request: Request, caching: str) -> Response:
    path = folder / name
    media_type = MEDIA_TYPES.get(path.suffix)
    if media_type is None or not _FILE_NAME.match(name):
        raise HTTPException(404, "There is no such file.")
    accepts_gzip = "gzip" in request.headers.get("accept-encoding", "") and path.suffix in COMPRESSED
    try:
        content = await to_thread.run_sync(_content, path, accepts_gzip)
    except OSError:
        raise HTTPException(404, "There is no such file.") from None
    headers = {**HEADERS, "Cache-Control": caching, "Vary": "Accept-Encoding"}
    if accepts_gzip:
        headers["Content-Encoding"] = "gzip"
    return Response(content, media_type=media_type, headers=headers)


def _content(path: Path, compressed: bool) -> bytes:
    """Raises OSError when there is no such file."""
    if not compressed:
        return path.read_bytes()
    return _compressed(path, path.stat().st_mtime_ns)


@lru_cache(maxsize=128)
def _compressed(path: Path, _changed_at: int) -> bytes:
    return gzip.compress(path.read_bytes(), 6, mtime=0)


def _page_headers(nonce: str) -> dict[str, str]:
    """No script, style or connection but our own, and no frame around us."""
    policy = (
        f"default-src 'none'; script-src 'self' 'nonce-{nonce}'; style-src 'self' 'nonce-{nonce}'; "
        "img-src 'self' data:; font-src 'self'; connect-src 'self'; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    )
    return {**HEADERS, "Content-Security-Policy": policy, "X-Frame-Options": "DENY", "Cache-Control": "no-store"}
