"""Who may call: Host, Origin, Sec-Fetch-Site, bearer token and content type. Knows headers, and no work order.

Any page can make its reader's browser call a server on the same machine. Headers that no page can forge tell those
calls apart, so they are judged here, whatever the host application's CORS says.
"""

import re
import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass
from urllib.parse import urlsplit

from starlette.datastructures import Headers

from .cookie import is_signed_in
from .errors import Refused

SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})
# No page of another site can send one of these: rebinding changes what a name resolves to, not the name.
LOOPBACK_NAMES = frozenset({"localhost", "127.0.0.1", "[::1]"})
_HOST = re.compile(r"(?P<name>\[[0-9a-f:.]{2,45}\]|[a-z0-9.-]{1,253})(?::[0-9]{1,5})?\Z")
_DEFAULT_PORTS = {"http": 80, "https": 443}


@dataclass(frozen=True)
class GuardPolicy:
    """What the guard goes by. `allowed_hosts` are `host` or `host:port`, beside the loopback names;
    `allowed_origins` are whole origins such as `http://localhost:3737`.
    """

    bound_to_loopback: bool
    allowed_hosts: frozenset[str] = frozenset()
    allowed_origins: frozenset[str] = frozenset()
    token: str | None = None

    def __repr__(self) -> str:
        return f"GuardPolicy(bound_to_loopback={self.bound_to_loopback}, token={'set' if self.token else None})"


class Guard:
    """Judges a request by its head alone. `policy` is asked each time, so that it can change without a restart."""

    def __init__(self, policy: Callable[[], GuardPolicy]) -> None:
        self._policy = policy

    def check(self, method: str, scheme: str, headers: Headers, *, public: bool = False) -> None:
        """Raises Refused (401, 403, 415). A `public` route needs no token, and all the rest like any other."""
        policy = self._policy()
        host = _check_host(headers, policy)
        _check_origin(method, scheme, host, headers, policy)
        if not public:
            _check_token(headers, policy)
        if method not in SAFE_METHODS:
            _check_content_type(headers)

    def admits(self, headers: Headers) -> bool:
        """Whether the caller may see what is not public."""
        try:
            _check_token(headers, self._policy())
        except Refused:
            return False
        return True


def _check_host(headers: Headers, policy: GuardPolicy) -> str:
    hosts = headers.getlist("host")
    host = hosts[0].lower() if len(hosts) == 1 else ""
    parsed = _HOST.match(host)
    if parsed is None or not {parsed["name"], host} & (LOOPBACK_NAMES | policy.allowed_hosts):
        raise Refused(
            403,
            "host_refused",
            "This server does not answer to the name in the request's Host header.",
            "Call it as localhost, or add the name to AWO_ALLOWED_HOSTS.",
        )
    return host


def _check_origin(method: str, scheme: str, host: str, headers: Headers, policy: GuardPolicy) -> None:
    refused = Refused(
        403,
        "origin_refused",
        "A page of another origin may not use Agent Work Orders.",
        "Use Archon's own page, or add the page's origin to AWO_ALLOWED_ORIGINS.",
    )
    allowed = {_origin(origin) for origin in policy.allowed_origins} | {_origin(f"{scheme}://{host}")}
    origins = headers.getlist("origin")
    if origins:
        if any(_origin(origin) not in allowed - {None} for origin in origins):
            raise refused
        return
    # Without Origin: plain GETs of a page (images, scripts, frames), and everything that is no browser.
    if headers.get("sec-fetch-site", "same-origin") in ("same-origin", "none"):
        return
    goes_there = headers.get("sec-fetch-mode") == "navigate" and headers.get("sec-fetch-dest") == "document"
    if not (method == "GET" and goes_there):
        raise refused


def _check_token(headers: Headers, policy: GuardPolicy) -> None:
    if policy.token is None:
        if policy.bound_to_loopback:
            return
        raise Refused(
            403,
            "token_required",
            "Other machines can reach this server, and no token protects it.",
            "Set AWO_API_TOKEN to at least 16 characters, or bind the server to this machine with HOST=localhost.",
        )
    # Where a header names a token, that one counts: a wrong one is refused, whatever cookie comes with it.
    if "authorization" not in headers and is_signed_in(policy.token, headers, time.time()):
        return
    kind, _, offered = headers.get("authorization", "").partition(" ")
    same = secrets.compare_digest(offered.strip().encode("latin-1", "replace"), policy.token.encode())
    if kind.lower() != "bearer" or not same:
        raise Refused(
            401,
            "token_refused",
            "The request carries no valid bearer token.",
            "Send the header Authorization: Bearer with the value of AWO_API_TOKEN.",
            headers={"WWW-Authenticate": 'Bearer realm="Agent Work Orders"'},
        )


def _check_content_type(headers: Headers) -> None:
    # What a page can send without asking first is a form or plain text; JSON makes the browser ask.
    declared = headers.get("content-type")
    has_body = headers.get("content-length", "0") != "0" or "transfer-encoding" in headers
    if declared is None and not has_body:
        return
    if (declared or "").partition(";")[0].strip().lower() != "application/json":
        raise Refused(
            415,
            "not_json",
            "The body's content type is not application/json.",
            "Send JSON with the header Content-Type: application/json.",
        )


def _origin(text: str) -> tuple[str, str, int] | None:
    """Scheme, host and port; None for what is no web origin, such as `null`."""
    try:
        parts = urlsplit(text.lower())
        port = parts.port or _DEFAULT_PORTS[parts.scheme]
    except (ValueError, KeyError):
        return None
    if not parts.hostname or parts.username is not None or parts.path not in ("", "/") or parts.query or parts.fragment:
        return None
    return parts.scheme, parts.hostname, port
