"""What every route of ours does before and after its handler: guard, body limit, error shape. Knows no work order.

It lives in the route itself, so that one `include_router` carries it into any host application.
"""

from collections.abc import Awaitable, Callable, Coroutine, Iterable
from dataclasses import replace
from ipaddress import ip_address
from typing import Any, ClassVar, TypeVar

import anyio
from fastapi import APIRouter, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.routing import APIRoute
from starlette.requests import ClientDisconnect
from starlette.types import Message

from ..domain.errors import FieldProblem
from .deps import ApiContext, context_of, context_or_none
from .errors import Refused, response_to
from .guard import SAFE_METHODS, Guard

MAX_BODY = 1024 * 1024
BODY_TIMEOUT = 30.0
HEADERS = {
    "Cache-Control": "no-store",
    "X-Content-Type-Options": "nosniff",
    "Cross-Origin-Resource-Policy": "same-origin",
}

Endpoint = TypeVar("Endpoint", bound=Callable[..., Any])


class GuardedRoute(APIRoute):
    """A route behind the guard. `public` routes need no token and answer while AWO is off."""

    public: ClassVar[bool] = False

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        inner = super().get_route_handler()

        async def handle(request: Request) -> Response:
            try:
                self._guard(request)
                response = await inner(await _with_bounded_body(request))
            except ClientDisconnect:
                response = Response(status_code=400)  # nobody is there to read it
            except RequestValidationError as error:
                response = response_to(error, await self.more_problems(request, error))
            except Exception as error:  # noqa: BLE001 - the door of the API: every failure becomes a status
                response = response_to(error)
            for name, value in HEADERS.items():
                response.headers.setdefault(name, value)
            return response

        return handle

    async def more_problems(self, request: Request, error: RequestValidationError) -> Iterable[FieldProblem]:
        """What else is wrong with a body that is already refused, so that one answer names everything."""
        return ()

    def _guard(self, request: Request) -> None:
        context = context_or_none(request)
        if context is not None:
            guard = guard_of(request, context)
            guard.check(request.method, request.url.scheme, request.headers, public=self.public)
        elif not self.public:
            context_of(request)  # says that AWO is off


def guard_of(request: Request, context: ApiContext) -> Guard:
    """The guard for this request. What arrives on an address that others can reach never counts as loopback,
    whatever the settings believe: in a foreign host application, HOST may not be what the server was bound to.
    """
    policy = context.guard_policy()
    server = request.scope.get("server")
    return Guard(lambda: replace(policy, bound_to_loopback=policy.bound_to_loopback and not _is_reachable(server)))


def _is_reachable(server: tuple[str, int | None] | None) -> bool:
    try:
        return server is not None and not ip_address(server[0]).is_loopback
    except ValueError:
        return False  # a socket file or a test's made-up name


class PublicRoute(GuardedRoute):
    """A route that anyone may ask."""

    public = True


def both(
    router: APIRouter, method: str, path: str, *, route_class: type[GuardedRoute] = GuardedRoute, **options: Any
) -> Callable[[Endpoint], Endpoint]:
    """Registers a handler with and without a trailing slash: a redirect would lose its way behind a proxy."""

    def register(endpoint: Endpoint) -> Endpoint:
        for spelling, shown in ((path, True), (f"{path}/", False)):
            router.add_api_route(
                spelling,
                endpoint,
                methods=[method],
                include_in_schema=shown,
                route_class_override=route_class,
                **options,
            )
        return endpoint

    return register


async def _with_bounded_body(request: Request) -> Request:
    """The request with its body read; Refused when it is over 1 MiB or does not arrive."""
    if request.method in SAFE_METHODS:
        return request
    declared = request.headers.get("content-length", "0")
    if len(declared) > len(str(MAX_BODY)) or (declared.isdigit() and int(declared) > MAX_BODY):
        raise _too_large()
    body = bytearray()
    try:
        with anyio.fail_after(BODY_TIMEOUT):
            async for chunk in request.stream():
                body += chunk
                if len(body) > MAX_BODY:
                    raise _too_large()
    except TimeoutError:
        raise Refused(408, "too_slow", "The body did not arrive in time.", "Send the request again.") from None
    return Request(request.scope, _replayed(bytes(body), request.receive))


def _replayed(body: bytes, receive: Callable[[], Awaitable[Message]]) -> Callable[[], Awaitable[Message]]:
    pending: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]

    async def replay() -> Message:
        return pending.pop() if pending else await receive()

    return replay


def _too_large() -> Refused:
    return Refused(413, "too_large", "The body is over 1 MiB.", "Send a shorter request.")
