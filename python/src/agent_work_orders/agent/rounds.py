"""One look at all that is followed, many times a second: a timer for each follower would cost the loop far more.
Knows neither files nor children; what there is to see is said by those who wait."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field

import anyio

_SHORTEST, _LONGEST = 0.005, 0.02  # seconds between two looks


@dataclass(eq=False)
class _Waiting:
    fact: Callable[[], bool]
    since: float
    until: float
    woken: anyio.Event = field(default_factory=anyio.Event)

    def pause(self, now: float) -> float:
        """Seconds until the next look: a small part of the silence so far."""
        return min(max((now - self.since) / 10, _SHORTEST), _LONGEST)


class Rounds:
    """Wakes each who waits once its own fact has come true. There is a timer only while somebody waits."""

    def __init__(self) -> None:
        self._waiting: set[_Waiting] = set()
        self._timer: asyncio.TimerHandle | None = None

    async def wait(self, fact: Callable[[], bool], since: float, until: float) -> None:
        """Returns when `fact()` is true, or at `until`. It is asked often, on the event loop, and must not raise.

        `since` is when there was something to see last: after a longer silence the looks are further apart.
        """
        one = _Waiting(fact, since, until)
        self._waiting.add(one)
        try:
            self._look_in(one.pause(anyio.current_time()))
            await one.woken.wait()
        finally:
            self._waiting.discard(one)

    def _look_in(self, pause: float) -> None:
        loop = asyncio.get_running_loop()
        if self._timer is not None:
            if self._timer.when() <= loop.time() + pause:
                return
            self._timer.cancel()
        self._timer = loop.call_later(pause, self._look)

    def _look(self) -> None:
        # The loop's own clock: no task runs here, and older versions of anyio then know of no loop.
        self._timer, now = None, asyncio.get_running_loop().time()
        for one in [one for one in self._waiting if now >= one.until or one.fact()]:
            self._waiting.discard(one)
            one.woken.set()
        if self._waiting:
            self._look_in(min(one.pause(now) for one in self._waiting))
