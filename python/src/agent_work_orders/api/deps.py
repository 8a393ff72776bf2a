"""How handlers reach the rest: one object on the host application's state. Knows who asks; decides nothing."""

import re
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Annotated, Protocol

import anyio
from fastapi import Depends, Path, Request

from ..domain.errors import NotFound
from ..domain.retention import CleanupReport
from ..ports import Archive, Registry, SettingsDesk, Tools
from .errors import Refused
from .guard import GuardPolicy

# Where plugin.py puts the context: `app.state.agent_work_orders`.
STATE_NAME = "agent_work_orders"
_ORDER_ID = re.compile(r"wo-[0-9a-f]{16}\Z")


@dataclass(frozen=True)
class HealthCheck:
    """One thing AWO leans on. Without a `required` one no work order can run at all."""

    name: str
    ok: bool
    detail: str
    next_action: str | None = None
    required: bool = True


@dataclass(frozen=True)
class WorkerStatus:
    """The worker of this server. `confinement` says in words how agents are kept in."""

    worker_id: str
    slots: int
    busy: int
    confinement: str


class Exposition(Protocol):
    """The metrics as Prometheus reads them."""

    @property
    def content_type(self) -> str: ...

    async def text(self) -> bytes: ...


class NoMetrics:
    """Of a server on which nobody counts."""

    content_type = "text/plain; version=0.0.4; charset=utf-8"

    async def text(self) -> bytes:
        return b""


class Cleaner(Protocol):
    """Clean-up of this server's disk; `last` is what it last did."""

    @property
    def last(self) -> CleanupReport | None: ...

    async def clean(self, *, dry_run: bool) -> CleanupReport: ...


@dataclass(frozen=True)
class ApiContext:
    """All that the API works with. `stopping` is set when the server begins to stop; open streams then end at once."""

    tools: Tools
    guard_policy: Callable[[], GuardPolicy]
    stopping: anyio.Event
    health: Callable[[], Awaitable[list[HealthCheck]]]
    workers: Callable[[], WorkerStatus]
    enabled: bool = True
    # Settings as people see and change them; None only where a test has no use for them.
    desk: SettingsDesk | None = None
    # Repositories as people see and configure them; None only where a test has no use for them.
    registry: Registry | None = None
    # Where orders are put away; None only where a test has no use for it.
    archive: Archive | None = None
    # Clean-up; None only where a test has no use for it.
    cleaner: Cleaner | None = None
    # What a rehearsal plays with (addresses and the sample request), for people who try it out; None in earnest.
    rehearsal: Mapping[str, str] | None = None
    # What Prometheus is told; nothing where nobody counts.
    metrics: Exposition = field(default_factory=NoMetrics)
    # The event streams that are open now.
    streams: set[object] = field(default_factory=set)
    # How often a silent stream says that it is alive, in seconds: proxies cut what is quiet for long.
    heartbeat: float = 15.0


@dataclass(frozen=True)
class SwitchedOff:
    """Why there is no context, and what would change that."""

    reason: str = "Agent Work Orders is switched off on this server."
    next_action: str = "Set ARCHON_AWO_ENABLED=true and restart the server."


def why_off(request: Request) -> SwitchedOff:
    """Why AWO is off, where it is."""
    found = getattr(request.app.state, STATE_NAME, None)
    return found if isinstance(found, SwitchedOff) else SwitchedOff()


def context_or_none(request: Request) -> ApiContext | None:
    """The context, or None while AWO is off."""
    found = getattr(request.app.state, STATE_NAME, None)
    return found if isinstance(found, ApiContext) and found.enabled else None


def context_of(request: Request) -> ApiContext:
    """The context; 503 while AWO is off."""
    context = context_or_none(request)
    if context is None:
        off = why_off(request)
        raise Refused(503, "disabled", off.reason, off.next_action)
    return context


async def _given_context(request: Request) -> ApiContext:
    """`context_of` as a dependency: one that is no coroutine would cost each request a way to a thread and back."""
    return context_of(request)


async def known_id(
    agent_work_order_id: Annotated[
        str, Path(description="Identifier of the work order: `wo-` and 16 hexadecimal digits.")
    ],
) -> str:
    """The identifier, which is also a safe name of a folder; NotFound for anything else."""
    if not _ORDER_ID.match(agent_work_order_id):
        raise NotFound("There is no work order with this identifier.")
    return agent_work_order_id


Context = Annotated[ApiContext, Depends(_given_context)]
OrderId = Annotated[str, Depends(known_id)]
