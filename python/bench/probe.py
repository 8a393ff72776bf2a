"""`python -m bench.probe`: how late an event loop wakes. On its own it tells how late this machine wakes anybody."""

import asyncio
import signal
import sys
from time import perf_counter

TICK = 0.005


class Probe:
    """Asks to be woken every few milliseconds, and keeps by how many seconds it was late at most."""

    def __init__(self) -> None:
        self._worst = 0.0

    async def run(self) -> None:
        while True:
            before = perf_counter()
            await asyncio.sleep(TICK)
            self._worst = max(self._worst, perf_counter() - before - TICK)

    def take(self) -> float:
        """The worst since it was taken last."""
        worst, self._worst = self._worst, 0.0
        return worst


def main() -> None:
    """Until SIGTERM; then the worst, in seconds."""
    probe = Probe()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(print(probe.take())))
    asyncio.run(probe.run())


if __name__ == "__main__":
    main()
