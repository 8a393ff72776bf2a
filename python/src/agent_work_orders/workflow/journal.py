"""The run's side of the journal: events are told without waiting, cut, redacted and appended in batches, in order."""

import json
import logging
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import anyio
from anyio.lowlevel import checkpoint

from ..domain.errors import LostLease
from ..domain.events import MAX_BODY_BYTES, Draft, Payload
from ..domain.work_order import Claim
from ..ports import Tools
from .lease import patiently

logger = logging.getLogger("archon.awo")

BATCH = 500
# Above this many unwritten events a reader of the agent's output pauses: the output waits in its file instead.
HIGH_WATER = 20_000
# Longest text within an event that is too long, tried in this order until the whole fits.
_CUTS = (15_000, 7_500, 2_000, 500, 120)
LEFT_OUT = "… left out …"
# What an administrator's log shows; the agent's own chatter stays in the journal.
QUIET = frozenset({"agent_spoke", "tool_used", "tool_returned", "usage_counted", "checkout_progressed"})


class Journal:
    """Appends one run's events. `tell` never waits; `flush` returns when all that was told is durable."""

    def __init__(self, claim: Claim, tools: Tools) -> None:
        self._claim, self._tools = claim, tools
        # The end of the journal as far as it is in the store.
        self.last_seq = claim.order.last_seq
        self._closed = False
        self._pending: list[Draft] = []
        self._writes: deque[Callable[[], Awaitable[object]]] = deque()
        self._told = anyio.Event()
        self._written = anyio.Event()

    def tell(self, payload: Payload, step_order: int | None = None, artifact_id: str | None = None) -> None:
        """Takes note of an event; texts over 16 kB are cut and name the artifact that holds the whole."""
        text = _json_of(payload)
        if _is_long(text):
            text = self._shortened(text, artifact_id)
        self._pending.append(Draft(payload.kind, text, step_order))
        self._told.set()

    def later(self, write: Callable[[], Awaitable[object]]) -> None:
        """Takes note of a write to the store that nobody waits for but `flush`. Done soon, and in turn."""
        self._writes.append(write)
        self._told.set()

    async def room(self) -> None:
        """Lets the loop go on, and waits while too much is unwritten. LostLease if nothing will be any more."""
        await checkpoint()
        while len(self._pending) > HIGH_WATER:
            await self._progress()

    async def flush(self) -> None:
        """Returns when everything told so far is in the store. LostLease if it will not be any more."""
        while self._pending or self._writes:
            self._told.set()
            await self._progress()

    async def _progress(self) -> None:
        if self._closed:
            raise LostLease(f"The journal of {self._claim.order_id} is written no longer.")
        await self._written.wait()

    async def write_forever(self) -> None:
        """The one writer: whatever was told while a batch was being written goes into the next one."""
        delay = self._tools.store.append_delay.total_seconds()
        try:
            while True:
                await self._told.wait()
                await self._catch_up()
                if delay and 0 < len(self._pending) < BATCH:
                    await anyio.sleep(delay)
                self._told = anyio.Event()
                while self._pending or self._writes:
                    await self._catch_up()
                    batch = self._pending[:BATCH]
                    if batch:
                        await self._append(batch)
                        del self._pending[: len(batch)]
                        self._wake()
        finally:
            # Who waits in a shielded scope would not be reached by what ended the writer.
            self._closed = True
            self._wake()

    async def _catch_up(self) -> None:
        """Before events, of which there may be no end while an agent talks."""
        while self._writes:
            await patiently(self._writes[0])
            self._writes.popleft()
            self._wake()

    def _wake(self) -> None:
        self._written.set()
        self._written = anyio.Event()

    async def _append(self, batch: list[Draft]) -> None:
        batch = self._redacted(batch)
        # Safe to repeat: the store drops what it already has.
        self.last_seq = await patiently(lambda: self._tools.store.append(self._claim, self.last_seq + 1, batch))
        for event in batch:
            if event.kind not in QUIET:
                logger.info("%s %s %s", self._claim.order_id, event.kind, event.payload)

    def _shortened(self, text: str, artifact_id: str | None) -> str:
        # Redacted first: a secret that the cut went through could not be recognised any more.
        whole = json.loads(self._tools.redactor.redact_json(text))
        if "artifact_id" in whole:
            whole["artifact_id"] = artifact_id or whole["artifact_id"]
        for longest in _CUTS:
            text = _text_of({name: _cut(value, longest) for name, value in whole.items()})
            if not _is_long(text):
                return text
        return _text_of({name: value if _is_plain(value) else LEFT_OUT for name, value in json.loads(text).items()})

    def _redacted(self, batch: list[Draft]) -> list[Draft]:
        redactor = self._tools.redactor
        # JSON text holds no raw line break, so a batch is scanned as one text; in most there is nothing to hide.
        joined = "\n".join(event.payload for event in batch)
        if redactor.redact(joined) == joined:
            return batch
        return [Draft(event.kind, redactor.redact_json(event.payload), event.step_order) for event in batch]


@asynccontextmanager
async def keep_journal(claim: Claim, tools: Tools) -> AsyncIterator[Journal]:
    """A journal that is written while the block runs. LostLease ends the block."""
    journal = Journal(claim, tools)
    async with anyio.create_task_group() as group:
        group.start_soon(journal.write_forever)
        yield journal
        group.cancel_scope.cancel()


def _json_of(payload: Payload) -> str:
    try:
        return payload.model_dump_json()
    except ValueError:  # nested deeper than a serialiser goes: somebody's tool was asked for it
        return _text_of({name: value if _is_plain(value) else LEFT_OUT for name, value in payload})


def _text_of(value: dict[str, Any]) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def _is_long(text: str) -> bool:
    return len(text) * 4 > MAX_BODY_BYTES and len(text.encode()) > MAX_BODY_BYTES


def _is_plain(value: Any) -> bool:
    return value is None or isinstance(value, str | int | float | bool)


def _cut(value: Any, longest: int) -> Any:
    """Texts of at most about `longest` characters, and as few entries as go with them."""
    if isinstance(value, str) and len(value) > longest:
        # From the middle: the beginning says what it is, the end how it went.
        half = longest // 2
        return f"{value[:half]}\n… {len(value) - 2 * half:,} characters left out …\n{value[-half:]}"
    most = max(longest // 40, 3)
    if isinstance(value, dict):
        return {_cut(key, 200): _cut(inner, longest) for key, inner in list(value.items())[:most]}
    if isinstance(value, list):
        return [_cut(inner, longest) for inner in value[:most]]
    return value
