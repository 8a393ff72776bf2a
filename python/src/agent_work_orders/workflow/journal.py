"""The run's side of the journal: events are told without waiting, cut, redacted and appended in batches, in order."""

import json
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import anyio

from ..domain.errors import StoreUnavailable
from ..domain.events import MAX_BODY_BYTES, Draft, Payload
from ..domain.work_order import Claim
from ..ports import Tools

logger = logging.getLogger("archon.awo")

BATCH = 500
# Above this many unwritten events a reader of the agent's output pauses: the output waits in its file instead.
HIGH_WATER = 20_000
# What an administrator's log shows; the agent's own chatter stays in the journal.
QUIET = frozenset({"agent_spoke", "tool_used", "tool_returned", "usage_counted", "checkout_progressed"})


class Journal:
    """Appends one run's events. `tell` never waits; `flush` returns when all that was told is durable."""

    def __init__(self, claim: Claim, tools: Tools) -> None:
        self._claim, self._tools = claim, tools
        self._last_seq = claim.order.last_seq
        self._pending: list[Draft] = []
        self._told = anyio.Event()
        self._written = anyio.Event()

    def tell(self, payload: Payload, step_order: int | None = None, artifact_id: str | None = None) -> None:
        """Takes note of an event; texts over 16 kB are cut and name the artifact that holds the whole."""
        text = payload.model_dump_json()
        if len(text) > MAX_BODY_BYTES:
            text = self._shortened(payload, artifact_id)
        self._pending.append(Draft(payload.kind, text, step_order))
        self._told.set()

    async def room(self) -> None:
        """Waits while too much is unwritten."""
        while len(self._pending) > HIGH_WATER:
            await self._written.wait()

    async def flush(self) -> None:
        """Returns when everything told so far is in the store."""
        while self._pending:
            self._told.set()
            await self._written.wait()

    async def write_forever(self) -> None:
        """The one writer: whatever was told while a batch was being written goes into the next one."""
        delay = self._tools.store.append_delay.total_seconds()
        while True:
            await self._told.wait()
            if delay and len(self._pending) < BATCH:
                await anyio.sleep(delay)
            self._told = anyio.Event()
            while self._pending:
                batch = self._pending[:BATCH]
                await self._append(batch)
                del self._pending[: len(batch)]
                self._written.set()
                self._written = anyio.Event()

    async def _append(self, batch: list[Draft]) -> None:
        batch = self._redacted(batch)
        pause = 0.2
        while True:
            try:
                self._last_seq = await self._tools.store.append(self._claim, self._last_seq + 1, batch)
                break
            except StoreUnavailable:
                # Safe to repeat: the store drops what it already has. The lease decides when it is too late.
                await anyio.sleep(pause)
                pause = min(pause * 2, 5)
        for event in batch:
            if event.kind not in QUIET:
                logger.info("%s %s %s", self._claim.order_id, event.kind, event.payload)

    def _shortened(self, payload: Payload, artifact_id: str | None) -> str:
        # Redacted first: a secret that the cut went through could not be recognised any more.
        whole = json.loads(self._tools.redactor.redact(payload.model_dump_json()))
        short = {name: _cut(value) for name, value in whole.items()}
        if "artifact_id" in short:
            short["artifact_id"] = artifact_id
        return json.dumps(short, ensure_ascii=False, separators=(",", ":"))

    def _redacted(self, batch: list[Draft]) -> list[Draft]:
        # JSON text holds no raw line break, so a batch is scanned as one text.
        joined = "\n".join(event.payload for event in batch)
        clean = self._tools.redactor.redact(joined)
        if clean is joined or clean == joined:
            return batch
        payloads = clean.split("\n")
        if len(payloads) != len(batch):  # a pattern swallowed a border
            payloads = [self._tools.redactor.redact(event.payload) for event in batch]
        return [Draft(event.kind, text, event.step_order) for event, text in zip(batch, payloads, strict=True)]


@asynccontextmanager
async def keep_journal(claim: Claim, tools: Tools) -> AsyncIterator[Journal]:
    """A journal that is written while the block runs. LostLease ends the block."""
    journal = Journal(claim, tools)
    async with anyio.create_task_group() as group:
        group.start_soon(journal.write_forever)
        yield journal
        group.cancel_scope.cancel()


def _cut(value: Any) -> Any:
    if isinstance(value, str) and len(value) > MAX_BODY_BYTES:
        # From the middle: the beginning says what it is, the end how it went.
        half = MAX_BODY_BYTES // 2
        return f"{value[:half]}\n… {len(value) - 2 * half:,} characters left out …\n{value[-half:]}"
    if isinstance(value, dict):
        return {key: _cut(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [_cut(inner) for inner in value[:200]]
    return value
