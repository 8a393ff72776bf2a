"""A store that is watched: every event that passes it, and every call, is counted. It changes nothing."""

import json
from collections.abc import Callable, Sequence
from datetime import timedelta
from functools import cache
from inspect import iscoroutinefunction
from time import perf_counter
from typing import Any

from ..domain.conversation import Asking
from ..domain.errors import StoreUnavailable
from ..domain.events import (
    AgentStarted,
    BranchPushed,
    CheckoutOpened,
    CheckRun,
    Draft,
    PullRequestOpened,
    StepFinished,
    UsageCounted,
)
from ..domain.status import WaitingReason
from ..domain.work_order import Claim, Outcome, WorkOrder
from ..ports import Batch, Reaped, Store, Written
from .catalogue import Catalogue


class ObservedStore:
    """`ports.Store` before another one. What is not named here is passed on, timed, and counted when it fails."""

    def __init__(self, store: Store, catalogue: Catalogue) -> None:
        self._store, self._catalogue = store, catalogue
        self._wrapped: dict[str, Any] = {}

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._store, name)
        if name.startswith("wait_for_") or not iscoroutinefunction(found):
            return found
        if name not in self._wrapped:
            self._wrapped[name] = self._watched(name, found)
        return self._wrapped[name]

    async def claim(self, worker_id: str, request_id: str, lease: timedelta, limit_per_repository: int) -> Claim | None:
        claim: Claim | None = await self._call("claim", worker_id, request_id, lease, limit_per_repository)
        if claim is not None:
            self._catalogue.claims.inc()
        return claim

    async def append(self, claim: Claim, first_seq: int, drafts: Sequence[Draft]) -> int:
        last_seq: int = await self._call("append", claim, first_seq, drafts)
        for draft in drafts:
            self._count(draft)
        return last_seq

    async def write(self, claim: Claim, batch: Batch, lease: timedelta) -> Written:
        written: Written = await self._call("write", claim, batch, lease)
        for draft in batch.drafts:
            self._count(draft)
        return written

    async def ask(self, claim: Claim, asking: Asking) -> WorkOrder:
        order: WorkOrder = await self._call("ask", claim, asking)
        self._catalogue.waits.labels(WaitingReason.APPROVAL).inc()
        return order

    async def finish(self, claim: Claim, outcome: Outcome) -> WorkOrder:
        order: WorkOrder = await self._call("finish", claim, outcome)
        if order.status.is_terminal:  # else a message came in time, and it goes on
            self._catalogue.finished.labels(order.status, outcome.failure_class or "").inc()
        return order

    async def wait(self, claim: Claim, reason: WaitingReason, *said: Any, **more: Any) -> WorkOrder:
        order: WorkOrder = await self._call("wait", claim, reason, *said, **more)
        self._catalogue.waits.labels(reason).inc()
        return order

    async def reap(self, limit: int, dead_workers: Sequence[str] = ()) -> list[Reaped]:
        reaped: list[Reaped] = await self._call("reap", limit, dead_workers)
        self._catalogue.leases_lost.inc(len(reaped))
        return reaped

    async def _call(self, name: str, *said: Any, **more: Any) -> Any:
        return await self._watched(name, getattr(self._store, name))(*said, **more)

    def _watched(self, name: str, call: Callable[..., Any]) -> Callable[..., Any]:
        took, failures = self._catalogue.store_calls.labels(name), self._catalogue.store_failures.labels(name)

        async def watched(*said: Any, **more: Any) -> Any:
            began = perf_counter()
            try:
                return await call(*said, **more)
            except StoreUnavailable:
                failures.inc()
                raise
            finally:
                took.observe(perf_counter() - began)

        return watched

    def _count(self, draft: Draft) -> None:
        count = _counters().get(draft.kind)
        if count is not None:
            count(self._catalogue, json.loads(draft.payload))


@cache
def _counters() -> dict[str, Callable[[Catalogue, dict[str, Any]], None]]:
    """What an event of a run adds to. The payloads are those of `domain.events`."""
    return {
        CheckoutOpened.kind: lambda to, said: to.checkouts.labels(_word(said["resumed"])).observe(
            said["took_ms"] / 1000
        ),
        StepFinished.kind: lambda to, said: to.steps.labels(said["step_name"], said["status"]).observe(
            said["duration_seconds"]
        ),
        CheckRun.kind: lambda to, said: to.checks.labels(_result(said)).observe(said["duration_seconds"]),
        AgentStarted.kind: lambda to, said: to.agent_starts.labels(_word(said["resumed"])).inc(),
        UsageCounted.kind: _count_usage,
        BranchPushed.kind: lambda to, said: to.pushes.inc(),
        PullRequestOpened.kind: lambda to, said: to.pull_requests.labels(_word(said["created"])).inc(),
    }


def _count_usage(to: Catalogue, said: dict[str, Any]) -> None:
    to.tokens.labels("input").inc(said["input_tokens"])
    to.tokens.labels("output").inc(said["output_tokens"])
    to.cost.inc(said["cost_usd"])


def _result(said: dict[str, Any]) -> str:
    if said["exit_code"] is None:
        return "timed_out"
    return "passed" if said["passed"] else "failed"


def _word(value: bool) -> str:
    return "true" if value else "false"
