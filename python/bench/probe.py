"""`python -m bench.probe`: how late an event loop wakes. On its own it tells how late this machine wakes anybody."""

import asyncio
import signal
import sys
from time import perf_counter, thread_time

TICK = 0.005


class Probe:
    """Asks to be woken every few milliseconds, and keeps by how many seconds it was late at most.

    Also the longest time between two of these in which the loop itself was at work: beyond that it waited for a
    processor or for a disk.
    """

    def __init__(self) -> None:
        self._late = self._busy = 0.0

    async def run(self) -> None:
        while True:
            before, worked = perf_counter(), thread_time()
            await asyncio.sleep(TICK)
            self._late = max(self._late, perf_counter() - before - TICK)
            self._busy = max(self._busy, thread_time() - worked)

    def take(self) -> tuple[float, float]:
        """The longest delay and the longest work since they were taken last."""
        taken = self._late, self._busy
        self._late = self._busy = 0.0
        return taken


def main() -> None:
    """Until SIGTERM; then the longest delay, in seconds."""
    probe = Probe()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(print(probe.take()[0])))
    asyncio.run(probe.run())


if __name__ == "__main__":
    main()
