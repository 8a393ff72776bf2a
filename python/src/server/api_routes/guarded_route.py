"""Who may talk to the host's own routes, and what every error of theirs looks like.

Refuses wrong Host headers, state changes from other sites, bodies over 1 MiB and, beyond loopback, callers without the
token. Knows nothing of what the routes do.
"""

import hmac
import os
import re
from collections.abc import Callable, Coroutine, Sequence
from typing import Any

from fastapi import HTTPException, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.routing import APIRoute
from starlette.datastructures import Headers
from starlette.types import Message, Receive

from ..config.config import bind_host, is_loopback, ui_port, words
from ..services.credential_errors import CredentialError, CredentialStoreUnavailable

MAXIMUM_BODY_BYTES = 1024 * 1024
_READING_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})
_HOST_HEADER = re.compile(r"(?P<name>[a-z0-9_.-]+|\[[0-9a-f:.]+\])(:[0-9]{1,5})?")
_LOOPBACK_NAMES = frozenset({"localhost", "127.0.0.1", "::1"})
_WILDCARD_ADDRESSES = frozenset({"0.0.0.0", "::"})  # noqa: S104 compared with, not bound to


def refusal(
    status: int, code: str, message: str, next_action: str, fields: Sequence[tuple[str, str]] = ()
) -> HTTPException:
    """An error in the one shape that Archon's UI reads; `fields` are pairs of name and problem."""
    detail: dict[str, Any] = {"error": message, "code": code, "next_action": next_action}
    if fields:
        detail["fields"] = [{"field": field, "problem": problem} for field, problem in fields]
    return HTTPException(status, detail)


def allowed_origins() -> list[str]:
    """The pages that may call from another port: the UI's, and those of AWO_ALLOWED_ORIGINS."""
    port = ui_port()
    named = (origin.rstrip("/").lower() for origin in words("AWO_ALLOWED_ORIGINS") if origin != "*")
    return [f"http://localhost:{port}", f"http://127.0.0.1:{port}", *named]


class GuardedRoute(APIRoute):
    """A route behind the guard. Its validation errors name fields and never repeat what was sent."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """FastAPI's hook: the guard stands before the body is read."""
        answer = super().get_route_handler()

        async def guarded(request: Request) -> Response:
            admit(request)
            try:
                return await answer(Request(request.scope, _bounded(request.receive)))
            except RequestValidationError as error:
                raise _invalid(error) from None
            except CredentialStoreUnavailable as error:
                raise refusal(503, "store_unavailable", error.message, error.next_action) from None
            except CredentialError as error:
                raise refusal(500, "credential_unreadable", error.message, error.next_action) from None

        return guarded


def admit(request: Request) -> None:
    """Let a request in, or raise the refusal. The environment is read anew each time: it is a few words."""
    headers = request.headers
    host = headers.get("host", "")
    if not _is_allowed_host(host):
        raise refusal(
            403,
            "host_not_allowed",
            "This server does not answer to that host name.",
            "Use http://127.0.0.1 with the server's port, or add the name to AWO_ALLOWED_HOSTS.",
        )
    if request.method in _READING_METHODS:
        return
    if not _is_own_page(headers, request.url.scheme, host):
        raise refusal(
            403,
            "origin_not_allowed",
            "This change was asked for by a page of another site.",
            "Open Archon's own UI, or add that page's origin to AWO_ALLOWED_ORIGINS.",
        )
    _check_token(headers, request.scope)
    length = headers.get("content-length", "0")
    if not length.isdecimal() or int(length) > MAXIMUM_BODY_BYTES:
        raise _too_large()


def _is_allowed_host(header: str) -> bool:
    """`header` is a Host header: name, name:port, [v6] or [v6]:port. Only listed names pass: rebinding fails."""
    written = _HOST_HEADER.fullmatch(header.lower())
    if written is None:
        return False
    name = written["name"].strip("[]")
    if name in _LOOPBACK_NAMES:
        return True
    own = bind_host().strip("[]").lower()
    if own not in _WILDCARD_ADDRESSES and name == own:
        return True
    listed = {word.lower() for word in words("AWO_ALLOWED_HOSTS")}
    return not listed.isdisjoint({name, written["name"], header.lower()})


def _is_own_page(headers: Headers, scheme: str, host: str) -> bool:
    """Browsers always send Origin with a change from a page; programs send neither it nor Sec-Fetch-Site."""
    origin = headers.get("origin")
    if origin is None:
        return headers.get("sec-fetch-site", "none") in ("same-origin", "none")
    return origin.lower() in {*allowed_origins(), f"{scheme}://{host}".lower()}


def _check_token(headers: Headers, scope: Any) -> None:
    expected = os.environ.get("AWO_API_TOKEN", "").strip()
    if expected:
        scheme, _, offered = headers.get("authorization", "").partition(" ")
        if scheme.lower() == "bearer" and hmac.compare_digest(offered.strip().encode(), expected.encode()):
            return
        raise refusal(401, "token_required", "This change needs the token.", "Send it as `Authorization: Bearer …`.")
    if _is_beyond_loopback(scope):
        raise refusal(
            403,
            "token_not_configured",
            "This server can be reached from other machines and has no token, so it accepts no changes.",
            "Set AWO_API_TOKEN, or set HOST=127.0.0.1, and start it again.",
        )


def _is_beyond_loopback(scope: Any) -> bool:
    """By what was configured, and by the address that this very connection came in on."""
    address = (scope.get("server") or ("127.0.0.1", None))[0]
    return not is_loopback(bind_host()) or not (is_loopback(address) or address.startswith("/"))


def _bounded(receive: Receive) -> Receive:
    """`receive` that stops a body without a Content-Length, too, before it fills the memory."""
    seen = 0

    async def bounded() -> Message:
        nonlocal seen
        message = await receive()
        seen += len(message.get("body", b""))
        if seen > MAXIMUM_BODY_BYTES:
            raise _too_large()
        return message

    return bounded


def _too_large() -> HTTPException:
    return refusal(413, "too_large", "The request's body is over 1 MiB.", "Send less in one request.")


def _invalid(error: RequestValidationError) -> HTTPException:
    fields = [
        (".".join(str(part) for part in problem["loc"] if part not in ("body", "path")) or "body", str(problem["msg"]))
        for problem in error.errors()
    ]
    names = ", ".join(dict.fromkeys(field for field, _ in fields))
    return refusal(
        422, "invalid_input", f"The request is not valid: {names}.", "Correct the named fields and try again.", fields
    )
