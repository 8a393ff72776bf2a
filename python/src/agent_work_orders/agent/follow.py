"""Follows what a child says while it says it, without ever holding up the loop. Knows no command line."""

from collections.abc import Awaitable, Callable
from datetime import timedelta
from time import perf_counter

import anyio
from anyio.lowlevel import checkpoint

from ..domain.events import Payload
from ..ports import AgentFailure
from .line_tail import LineTail
from .outcome import stalled
from .process import Child
from .rounds import Rounds
from .stream_json import Reading, decoded

# Longest silence of one tool call that the command line allows.
TOOL_LIMIT = timedelta(minutes=10)
_LONGEST_HOLD_SECONDS = 0.003


async def follow(
    child: Child,
    tail: LineTail,
    reading: Reading,
    tell: Callable[[Payload], None],
    stall: timedelta,
    rounds: Rounds,
    give_way: Callable[[], Awaitable[None]] = checkpoint,
) -> AgentFailure | None:
    """Tells what the child says until it has ended (None), or until it was silent for too long."""
    heard_at = told_at = anyio.current_time()
    while True:
        ended = child.exit_code is not None
        heard, told = await drain(tail, reading, tell, give_way)
        now = anyio.current_time()
        if ended:
            return None
        heard_at, told_at = now if heard else heard_at, now if told else told_at
        # A tool may be silent for as long as the command line lets it run.
        patience = max(stall, TOOL_LIMIT + timedelta(minutes=1)) if reading.open_tools else stall
        until = heard_at + patience.total_seconds()
        if now > until:
            return stalled(patience)
        await rounds.wait(lambda: child.exit_code is not None or tail.has_more(), told_at, until)


async def drain(
    tail: LineTail,
    reading: Reading,
    tell: Callable[[Payload], None],
    give_way: Callable[[], Awaitable[None]] = checkpoint,
) -> tuple[bool, bool]:
    """Tells all whole lines that are there, giving way to the loop (and to a slow listener) every few milliseconds.

    Whether there were any, and whether any said something.
    """
    began = perf_counter()
    line = tail.next_line()
    heard, told = line is not None, False
    while line is not None:
        told = _feed(line, reading, tell) or told
        if perf_counter() - began > _LONGEST_HOLD_SECONDS:
            await give_way()
            began = perf_counter()
        line = tail.next_line()
    return heard, told


async def drain_to_the_end(
    tail: LineTail,
    reading: Reading,
    tell: Callable[[Payload], None],
    give_way: Callable[[], Awaitable[None]] = checkpoint,
) -> None:
    """For a child that has ended: also the last line, if only its end is missing."""
    await drain(tail, reading, tell, give_way)
    _feed(_whole(tail.unfinished()), reading, tell)


def _feed(line: bytes, reading: Reading, tell: Callable[[Payload], None]) -> bool:
    payloads = reading.feed(line)
    for payload in payloads:
        tell(payload)
    return bool(payloads)


def _whole(rest: bytes) -> bytes:
    """A last line without its end, unless it is a piece of an event: what was killed may have been cut short."""
    return b"" if rest.startswith(b"{") and decoded(rest) is None else rest
