"""Agent Work Orders' HTTP API as the tools use it. Every failure is a `Refused` that says what to do next."""

import os
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any

import anyio
import httpx

from .answers import Refused

# A wait of the tool's own is bounded by the time that common MCP clients give a call.
LONGEST_WAIT = 50
# Events after which an order looks different to whoever waits for it.
NOTABLE = frozenset(
    {
        "order_claimed", "step_finished", "check_run", "branch_pushed", "pull_request_opened", "order_waiting",
        "order_resumed", "message_received", "cancel_requested", "lease_lost", "order_finished",
    }
)  # fmt: skip
_KINDS = {400: "validation_error", 404: "not_found", 409: "conflict", 413: "validation_error", 422: "validation_error"}


class ArchonApi:
    """`base_url` is asked at every call: in a container the name may come later than this process."""

    def __init__(self, base_url: Callable[[], str]) -> None:
        self._base_url = base_url

    async def ask(
        self,
        method: str,
        path: str,
        *,
        body: Mapping[str, Any] | None = None,
        query: Mapping[str, Any] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Any:
        """The answer's JSON, None for an empty one. `path` is below /api/awo."""
        try:
            async with self._client() as client:
                answer = await client.request(
                    method,
                    self._address(path),
                    json=body,
                    params=_given(query),
                    headers={**_token(), **(headers or {})},
                )
        except httpx.HTTPError as error:
            raise self._unreachable(error) from error
        if answer.is_error:
            raise _refusal(answer)
        return answer.json() if answer.content else None

    async def wait_for_change(self, order_id: str, after_seq: int, seconds: float) -> None:
        """Returns at the first notable event after `after_seq`, when the order has ended, or when the time is over."""
        try:
            # Heartbeats come oftener than any read would time out: the whole is bounded, not its pieces.
            with anyio.move_on_after(seconds):
                await self._read_until_notable(order_id, after_seq)
        except httpx.HTTPError as error:
            raise self._unreachable(error) from error

    async def _read_until_notable(self, order_id: str, after_seq: int) -> None:
        address = self._address(f"/work-orders/{order_id}/events/stream")
        async with (
            self._client() as client,
            client.stream("GET", address, params={"after_seq": after_seq}, headers=_token()) as stream,
        ):
            if stream.is_error:
                await stream.aread()
                raise _refusal(stream)
            async for line in stream.aiter_lines():
                field, _, value = line.partition(":")
                if field == "event" and value.strip() in NOTABLE:
                    return

    def _client(self) -> httpx.AsyncClient:
        timeout = httpx.Timeout(
            _seconds("MCP_REQUEST_TIMEOUT", 30),
            connect=_seconds("MCP_CONNECT_TIMEOUT", 5),
            read=_seconds("MCP_READ_TIMEOUT", 20),
            write=_seconds("MCP_WRITE_TIMEOUT", 10),
        )
        # The server is next door: a proxy of the environment has no business with it.
        return httpx.AsyncClient(timeout=timeout, trust_env=False)

    def _address(self, path: str) -> str:
        return f"{self._base_url().rstrip('/')}/api/awo{path}"

    def _unreachable(self, error: httpx.HTTPError) -> Refused:
        kind = "read_timeout" if isinstance(error, httpx.TimeoutException) else "connection_error"
        return Refused(
            kind,
            f"The Archon server at {self._base_url()} does not answer ({type(error).__name__}).",
            suggestion="See that the server runs and that ARCHON_SERVER_HOST and ARCHON_SERVER_PORT name it.",
        )


def _refusal(answer: httpx.Response) -> Refused:
    detail: Any = None
    with suppress(ValueError):
        detail = answer.json().get("detail")
    if not isinstance(detail, dict):
        return Refused("http_error", f"The server answered {answer.status_code}.", status=answer.status_code)
    return Refused(
        _KINDS.get(answer.status_code, "api_error"),
        detail.get("error") or f"The server answered {answer.status_code}.",
        suggestion=detail.get("next_action"),
        details={key: value for key, value in detail.items() if key not in ("error", "next_action")} or None,
        status=answer.status_code,
    )


def _token() -> dict[str, str]:
    token = os.environ.get("AWO_API_TOKEN", "").strip()
    return {"Authorization": f"Bearer {token}"} if token else {}


def _given(query: Mapping[str, Any] | None) -> dict[str, Any]:
    return {name: value for name, value in (query or {}).items() if value not in (None, "")}


def _seconds(variable: str, default: float) -> float:
    try:
        return float(os.environ.get(variable, "") or default)
    except ValueError:
        return default
