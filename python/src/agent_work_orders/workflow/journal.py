"""The run's side of the journal: events are told without waiting, cut, redacted and appended in batches, in order."""

import json
import logging
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from typing import Any

import anyio
from anyio import to_thread
from anyio.lowlevel import checkpoint

from ..domain.conversation import Message
from ..domain.errors import LostLease, StoreUnavailable
from ..domain.events import MAX_BODY_BYTES, Draft, Payload
from ..domain.work_order import Artifact, Claim, OrderChanges, StepResult
from ..ports import Batch, StepStart, Tools, Written
from .lease import Hold, patiently
from .spool import Spool

logger = logging.getLogger("archon.awo")

BATCH = 500
# With more than this in memory a reader of the agent's output pauses: the output waits in its own file instead. While
# the store is away, memory is emptied to the disk; it fills once the disk takes no more.
HIGH_WATER, HIGH_WATER_BYTES = 20_000, 16 << 20
SPILL_EVERY = 0.2
HEARD_LATELY = 0.25  # seconds
LET_PASS = 0.02  # seconds
# Longest text within an event that is too long, tried in this order until the whole fits.
_CUTS = (15_000, 7_500, 2_000, 500, 120)
LEFT_OUT = "… left out …"
# What an administrator's log shows; the agent's own chatter stays in the journal.
QUIET = frozenset({"agent_spoke", "tool_used", "tool_returned", "usage_counted", "checkout_progressed"})


@dataclass
class _Untold:
    """What goes with the events of the next batch."""

    started: StepStart | None = None
    changes: OrderChanges | None = None
    artifacts: dict[str, Artifact] = field(default_factory=dict)
    finished: StepResult | None = None
    afterwards: list[Callable[[], object]] = field(default_factory=list)

    def __bool__(self) -> bool:
        return any(vars(self).values())

    @property
    def is_due(self) -> bool:
        """Whether it makes a batch by itself; files, and what is to be done afterwards, go with the next one."""
        return bool(self.started or self.changes or self.finished)


class Journal:
    """Writes down what one run tells, in order and in as few requests as that takes.

    Nothing here waits but `flush`, which returns when all that was told is in the store, and `room`.
    """

    def __init__(self, claim: Claim, tools: Tools, hold: Hold | None = None) -> None:
        self._claim, self._tools, self._hold = claim, tools, hold or Hold()
        self._hold.listen = self.listen
        # The end of the journal as far as it is in the store.
        self.last_seq = claim.order.last_seq
        # In the store's absence: what nobody takes from there belongs to a claim that is over, and is for people.
        self.folder = tools.work_orders_dir / claim.order_id / "run" / f"{claim.token}-spool"
        self._spool = Spool(self.folder / "unwritten-events.jsonl", self._redacted)
        self._beside = _Untold()
        self._writing = self._closed = False
        self._written_at = anyio.current_time()
        self._pause = tools.store.append_delay.total_seconds()
        self._not_before = 0.0
        # What people wrote: how often that was asked for, which of these is answered, and the newest answer.
        self._asked = self._answered = 0
        self._heard: list[Message] = []
        self._told = anyio.Event()
        self._hurry = anyio.Event()
        self._written = anyio.Event()
        self._away = anyio.Event()

    def tell(self, payload: Payload, step_order: int | None = None, artifact_id: str | None = None) -> None:
        """Takes note of an event; texts over 16 kB are cut and name the artifact that holds the whole."""
        text = _json_of(payload)
        if _is_long(text):
            text = self._shortened(text, artifact_id)
        self._spool.add(Draft(payload.kind, text, step_order))
        self._told.set()
        if len(self._spool) >= BATCH:
            self._hurry.set()

    def let_pass(self) -> None:
        """What is told now is written in a moment and not at once: something is about to start that goes before it."""
        self._not_before = anyio.current_time() + LET_PASS

    def start_step(self, started: StepStart) -> None:
        self._beside.started = started
        self._told.set()

    def record(self, changes: OrderChanges) -> None:
        before = self._beside.changes
        self._beside.changes = changes if before is None else replace(before, **dict[str, Any](changes.given()))
        self._told.set()

    def keep(self, artifact: Artifact) -> None:
        """A file of the order's, in the store with the next events, and with the end of the step at the latest."""
        self._beside.artifacts[artifact.artifact_id] = artifact

    def afterwards(self, act: Callable[[], object]) -> None:
        """`act` is done in a thread once the next batch is in the store, and all that was told so far. It must not
        fail.
        """
        self._beside.afterwards.append(act)

    async def finish_step(self, result: StepResult) -> None:
        """The step's end, in one with the last of its events: a step that counts as finished has all of them."""
        self._beside.finished = result
        await self.flush()

    async def hear(self) -> list[Message]:
        """What people wrote and no turn had when the run began; what is new of it is told, in its place. LostLease.

        Who asks again soon after a batch was written is told what was heard before: the store would have said so.
        """
        fresh = self._written_at + max(self._pause, HEARD_LATELY) > anyio.current_time()
        if fresh and 0 < self._asked == self._answered:
            return self._heard
        self.listen()
        mine = self._asked
        self._hurry.set()
        while self._answered < mine:
            await self._progress()
        return self._heard

    def listen(self) -> None:
        """Tells soon what people wrote."""
        self._asked += 1
        self._told.set()

    async def room(self) -> None:
        """Lets the loop go on, and waits while too much is unwritten. LostLease if nothing will be any more."""
        await checkpoint()
        while self._spool.in_memory > HIGH_WATER or self._spool.bytes_in_memory > HIGH_WATER_BYTES:
            await self._progress()

    async def flush(self) -> None:
        """Returns when everything told so far is in the store. LostLease if it will not be any more."""
        while self._spool or self._beside or self._writing or self._answered < self._asked:
            self._told.set()
            self._hurry.set()
            await self._progress()

    async def _progress(self) -> None:
        if self._closed:
            raise LostLease(f"The journal of {self._claim.order_id} is written no longer.")
        await self._written.wait()

    # --- the one writer ---

    async def write_forever(self) -> None:
        """Whatever was told while a batch was being written goes into the next one. LostLease when the hold ends."""
        try:
            with self._hold.writing:
                while True:
                    if not (self._spool or self._beside.is_due or self._answered < self._asked):
                        await self._told.wait()
                    await self._hold_back()
                    afterwards = await self._write_next()
                    if self._answered < self._asked:
                        await self._hear()
                    if afterwards:
                        await to_thread.run_sync(_do_all, afterwards)
                    self._writing = False
                    self._wake()
            raise LostLease(f"The lease on {self._claim.order_id} was not renewed in time.")
        finally:
            # Who waits in a shielded scope would not be reached by what ended the writer.
            self._closed = True
            self._wake()

    async def _hold_back(self) -> None:
        """What comes after a silence goes at once; while more and more comes, a batch goes every `append_delay`."""
        pause = max(self._written_at + self._pause, self._not_before) - anyio.current_time()
        if pause > 0 and len(self._spool) < BATCH:
            with anyio.move_on_after(pause):
                await self._hurry.wait()

    async def _hear(self) -> None:
        """Between two batches, because what it tells is numbered with them."""
        asked = self._asked
        # Safe to repeat: what was told already is told no more, and is among the answer.
        self._heard = await patiently(lambda: self._tools.store.hear(self._claim, self.last_seq + 1))
        self.last_seq = max([self.last_seq, *(message.seq or 0 for message in self._heard)])
        self._answered = asked
        self._wake()

    async def _write_next(self) -> list[Callable[[], object]]:
        """Writes a batch. Returns what is to be done now that it is in the store."""
        # Here and not before the wait: what was told before somebody waits for it is not missed.
        self._writing, self._hurry, self._told = True, anyio.Event(), anyio.Event()
        drafts = self._redacted(await self._spool.first(BATCH))
        beside, self._beside = self._beside, _Untold()
        if beside.finished is not None and len(drafts) < len(self._spool):
            self._beside.finished, beside.finished = beside.finished, None  # it comes with the last of the events
        batch = Batch(
            self.last_seq + 1, beside.started, beside.changes, tuple(beside.artifacts.values()), tuple(drafts),
            beside.finished,
        )  # fmt: skip
        if batch != Batch(batch.first_seq):
            self.last_seq = (await patiently(lambda: self._write(batch))).last_seq
            self._written_at = anyio.current_time()
        await self._spool.drop(len(drafts))
        for event in drafts:
            if event.kind not in QUIET:
                logger.info("%s %s %s", self._claim.order_id, event.kind, event.payload)
        return beside.afterwards

    async def _write(self, batch: Batch) -> Written:
        # Safe to repeat: the store knows a batch that it has already.
        asked_at = anyio.current_time()
        try:
            written = await self._tools.store.write(self._claim, batch, self._tools.limits().lease)
        except StoreUnavailable:
            self._away.set()
            raise
        if self._away.is_set():
            self._away = anyio.Event()
        self._hold.renewed(asked_at, written.renewal)
        return written

    def _wake(self) -> None:
        self._written.set()
        self._written = anyio.Event()

    # --- while the store is away ---

    async def spill_forever(self) -> None:
        """What was told while the store is away goes to the disk, and so does what is left when the run is over."""
        try:
            while True:
                await self._away.wait()
                await self._spill()
                await anyio.sleep(SPILL_EVERY)
        finally:
            with anyio.CancelScope(shield=True):  # bounded: what memory may hold, written once
                await self._spill()

    async def _spill(self) -> None:
        while await self._spool.spill(self.last_seq + 1, BATCH):
            self._wake()

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


def _do_all(acts: Sequence[Callable[[], object]]) -> None:
    for act in acts:
        act()


@asynccontextmanager
async def keep_journal(claim: Claim, tools: Tools, hold: Hold | None = None) -> AsyncIterator[Journal]:
    """A journal that is written while the block runs, and its writing renews the hold. LostLease ends the block."""
    journal = Journal(claim, tools, hold)
    async with anyio.create_task_group() as group:
        group.start_soon(journal.write_forever)
        group.start_soon(journal.spill_forever)
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
