"""The text that Prometheus fetches: what was counted, and how store, disk and worker stand now."""

import shutil
from collections.abc import Callable, Mapping
from datetime import datetime
from pathlib import Path

from anyio import to_thread
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest

from ..domain.errors import StoreUnavailable
from ..domain.status import Status
from ..domain.work_order import utc_now
from ..ports import Store
from .catalogue import Catalogue


class Exposition:
    """Gathers at every request. `volumes` are folders by name; `slots` tells (all, busy)."""

    content_type = CONTENT_TYPE_LATEST

    def __init__(
        self,
        catalogue: Catalogue,
        store: Store,
        volumes: Mapping[str, Path],
        slots: Callable[[], tuple[int, int]],
        redactions: Callable[[], int],
        streams: Callable[[], int],
        clock: Callable[[], datetime] = utc_now,
    ) -> None:
        self._catalogue, self._store, self._volumes, self._slots = catalogue, store, volumes, slots
        self._redactions, self._streams, self._clock = redactions, streams, clock
        self._redacted = 0

    async def text(self) -> bytes:
        """Also when the store is away: then the queue is missing and the rest is true."""
        catalogue = self._catalogue
        slots, busy = self._slots()
        catalogue.slots.set(slots)
        catalogue.slots_busy.set(busy)
        catalogue.streams.set(self._streams())
        redacted = self._redactions()
        catalogue.redactions.inc(redacted - self._redacted)
        self._redacted = redacted
        try:
            counts = await self._store.counts()
        except StoreUnavailable:
            catalogue.orders.clear()
            catalogue.oldest_pending.set(float("nan"))
        else:
            for status in Status:
                catalogue.orders.labels(status).set(counts.by_status.get(status, 0))
            oldest = counts.oldest_pending_at
            catalogue.oldest_pending.set((self._clock() - oldest).total_seconds() if oldest else 0)
        return await to_thread.run_sync(self._measured)

    def _measured(self) -> bytes:
        for name, folder in self._volumes.items():
            try:
                usage = shutil.disk_usage(folder)
            except OSError:
                continue
            self._catalogue.disk_size.labels(name).set(usage.total)
            self._catalogue.disk_free.labels(name).set(usage.free)
        return generate_latest(self._catalogue.registry)
