"""Follows what a child says while it says it, without ever holding up the loop. Knows no command line."""

from collections.abc import Callable
from datetime import timedelta
from time import perf_counter

import anyio
from anyio.lowlevel import checkpoint

from ..domain.events import Payload
from ..ports import AgentFailure
from .line_tail import LineTail
from .outcome import stalled
from .process import Child
from .stream_json import Reading, decoded

# Longest silence of one tool call that the command line allows.
TOOL_LIMIT = timedelta(minutes=10)
_TICK_SECONDS = 0.005


async def follow(
    child: Child, tail: LineTail, reading: Reading, tell: Callable[[Payload], None], stall: timedelta
) -> AgentFailure | None:
    """Tells what the child says until it has ended (None), or until it was silent for too long."""
    heard_at = anyio.current_time()
    while True:
        ended = child.exit_code is not None
        heard = await drain(tail, reading, tell)
        now = anyio.current_time()
        if ended:
            return None
        if heard:
            heard_at = now
        # A tool may be silent for as long as the command line lets it run.
        patience = max(stall, TOOL_LIMIT + timedelta(minutes=1)) if reading.open_tools else stall
        if now - heard_at > patience.total_seconds():
            return stalled(patience)
        await anyio.sleep(_pause(now - heard_at))


async def drain(tail: LineTail, reading: Reading, tell: Callable[[Payload], None]) -> bool:
    """Tells all whole lines that are there, giving way to the loop every few milliseconds. Whether any were."""
    began = perf_counter()
    line = tail.next_line()
    heard = line is not None
    while line is not None:
        _feed(line, reading, tell)
        if perf_counter() - began > _TICK_SECONDS:
            await checkpoint()
            began = perf_counter()
        line = tail.next_line()
    return heard


async def drain_to_the_end(tail: LineTail, reading: Reading, tell: Callable[[Payload], None]) -> None:
    """For a child that has ended: also the last line, if only its end is missing."""
    await drain(tail, reading, tell)
    _feed(_whole(tail.unfinished()), reading, tell)


def _feed(line: bytes, reading: Reading, tell: Callable[[Payload], None]) -> None:
    for payload in reading.feed(line):
        tell(payload)


def _whole(rest: bytes) -> bytes:
    """A last line without its end, unless it is a piece of an event: what was killed may have been cut short."""
    return b"" if rest.startswith(b"{") and decoded(rest) is None else rest


def _pause(silence: float) -> float:
    """Seconds until the next look: short while it talks, long while it thinks."""
    if silence < 0.5:
        return _TICK_SECONDS
    return 0.01 if silence < 2 else 0.05
