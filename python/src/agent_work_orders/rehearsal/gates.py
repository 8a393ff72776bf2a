"""Places where a pretend server waits until a test or a demo says go. Knows nothing of what is said there."""

import asyncio
import threading
from collections.abc import Callable


class Gates:
    """Named gates, closed until opened; an open one stays open. Any thread opens and watches, a loop waits."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._open: set[str] = set()
        self._all_open = False
        self._arrived: dict[str, int] = {}
        self._waiting: list[tuple[str, asyncio.AbstractEventLoop, asyncio.Event]] = []

    async def passed(self, name: str) -> None:
        """Returns when the gate is open."""
        event = asyncio.Event()
        entry = (name, asyncio.get_running_loop(), event)
        with self._changed:
            self._arrived[name] = self._arrived.get(name, 0) + 1
            self._changed.notify_all()
            if self._all_open or name in self._open:
                return
            self._waiting.append(entry)
        try:
            await event.wait()
        finally:
            with self._changed:
                self._waiting.remove(entry)

    async def closing(self) -> None:
        """Returns when all gates are opened for good."""
        await self.passed("")

    def release(self, name: str) -> None:
        """Opens one gate, for those who wait and for those who come."""
        with self._changed:
            self._open.add(name)
            self._wake(lambda waited: waited == name)

    def release_all(self) -> None:
        """Opens every gate, named or not yet; a server that ends calls it."""
        with self._changed:
            self._all_open = True
            self._wake(lambda waited: True)

    def wait_for_arrival(self, name: str, *, count: int = 1, seconds: float = 30) -> None:
        """Blocks the calling thread until `count` requests have come to the gate. Raises `TimeoutError`."""
        with self._changed:
            if not self._changed.wait_for(lambda: self._arrived.get(name, 0) >= count, seconds):
                raise TimeoutError(f"{self._arrived.get(name, 0)} of {count} came to the gate {name!r}")

    def _wake(self, wanted: Callable[[str], bool]) -> None:
        for name, loop, event in self._waiting:
            if wanted(name):
                loop.call_soon_threadsafe(event.set)
