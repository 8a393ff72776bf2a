"""One client for all calls to the database's functions: bounded, with time limits, and repeated where that helps.

Every function may be called twice with the same arguments; that, and nothing else, is why this may repeat a call whose
answer was lost. Knows no order.
"""

import inspect
import random
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import anyio
from anyio import CapacityLimiter, to_thread
from pydantic import ValidationError

from ..domain.errors import StoreUnavailable
from ..tracing import span
from .answers import Refusal, Trouble, trouble_of, unreachable
from .rows import storable

if TYPE_CHECKING:
    from postgrest import AsyncPostgrestClient

CALLS_AT_ONCE = 8
CONNECT_SECONDS, READ_SECONDS, POOL_SECONDS = 2.0, 10.0, 5.0
PAUSES = (0.2, 0.5, 1.0, 2.0)
# What the client makes of an answer that is no JSON, such as a gateway's page; no function answers with just these.
_ERROR = frozenset({"message", "code", "hint", "details"})
# No call is tried again when it has taken so long already.
REPEAT_WITHIN = 12.0


class Transport:
    """Calls of functions at `url` with the service key. `open` makes the client, once, in a thread: that is slow."""

    def __init__(self, url: str, key: str, pauses: tuple[float, ...] = PAUSES) -> None:
        self._url, self._key, self._pauses = url.rstrip("/"), key, pauses
        self._client: AsyncPostgrestClient | None = None
        # While the database is away, each call is tried once: who calls comes again by himself.
        self._away = False

    async def open(self) -> None:
        self._limiter = CapacityLimiter(CALLS_AT_ONCE)
        self._client = await to_thread.run_sync(_make_client, self._url, self._key)

    async def close(self) -> None:
        if self._client is not None:
            client, self._client = self._client, None
            await client.aclose()

    async def call(self, function: str, **arguments: Any) -> Any:
        """The function's answer, as Python has JSON.

        StoreUnavailable when it could not be had; Refusal when the function said no; SchemaMissing when there is none.
        """
        cleaned = _clean(arguments)
        began = anyio.current_time()
        pauses = iter(() if self._away else self._pauses)
        repeated = False
        while True:
            with span(f"store {function}", outside=True, inner=True):
                trouble, answer = await self._once(function, cleaned)
            if trouble is None:
                self._away = False
                return answer
            pause = next(pauses, None)
            if isinstance(trouble.error, Refusal):
                trouble.error.repeated = repeated
            repeated = True
            if trouble.passing and pause is not None and anyio.current_time() - began < REPEAT_WITHIN:
                # Not all at the same moment when the database is back.
                await anyio.sleep(pause * random.uniform(0.5, 1.5))  # noqa: S311 - spreads calls, guards nothing
                continue
            self._away = trouble.passing
            raise trouble.error

    async def _once(self, function: str, arguments: dict[str, Any]) -> tuple[Trouble | None, Any]:
        import httpx
        from postgrest.exceptions import APIError

        if self._client is None:
            closed = StoreUnavailable("The store is closed.", next_action="Start the server again.")
            return Trouble(closed), None
        async with self._limiter:
            try:
                answer: Any = await self._client.rpc(function, arguments).execute()
            except APIError as error:
                if isinstance(error.__cause__, ValidationError) and set(error.json()) - _ERROR:
                    # postgrest 1.0 takes every answer that has a `message` for an error; the function went well.
                    return None, error.json()
                return trouble_of(function, str(error.code), str(error.message), str(error.details)), None
            except (httpx.TransportError, httpx.InvalidURL) as error:
                return unreachable(error), None
        return None, answer.data


def _make_client(url: str, key: str) -> "AsyncPostgrestClient":
    # Not `create_client`: that of 2.15 refuses keys of the form sb_secret_…, and it makes four other clients too.
    import httpx  # both come with supabase; half a second that embedded mode does not pay
    from postgrest import AsyncPostgrestClient

    limits = httpx.Timeout(READ_SECONDS, connect=CONNECT_SECONDS, pool=POOL_SECONDS)
    known = inspect.signature(AsyncPostgrestClient.__init__).parameters
    options: dict[str, Any] = {}
    if "http_client" in known:
        pool = httpx.Limits(max_connections=CALLS_AT_ONCE, max_keepalive_connections=CALLS_AT_ONCE)
        options["http_client"] = httpx.AsyncClient(timeout=limits, limits=pool)
    else:
        options["timeout"] = limits
    if "retry_enabled" in known:
        options["retry_enabled"] = False  # ours knows more: which calls, how long, and how it ended
    make: Callable[..., AsyncPostgrestClient] = AsyncPostgrestClient
    return make(f"{url}/rest/v1", headers={"apikey": key, "Authorization": f"Bearer {key}"}, **options)


def _clean(value: Any) -> Any:
    """The value without what Postgres cannot hold in a text."""
    if isinstance(value, str):
        return storable(value)
    if isinstance(value, dict):
        return {name: _clean(inner) for name, inner in value.items()}
    if isinstance(value, list):
        return [_clean(inner) for inner in value]
    return value
