"""Many orders at once: how close to the ideal they are worked off, and whether the server answers meanwhile."""

import time
from contextlib import closing
from statistics import median

from . import agents, scratch
from .figures import Figure
from .scale import Scale
from .server import ORDER_WITHIN, Broken, Client, Stage, open_server, open_stage

MAKESPAN_TARGET = 1.2
REQUEST_TARGET = 250.0
PAUSE = 0.1


def measure(scale: Scale) -> list[Figure]:
    scratch.repository(scale.small)
    with open_stage() as stage:
        taken = [_measure_batch(stage, scale) for _ in range(scale.repeats)]
    spans = [span for span, _ in taken]
    ideal = scale.orders / scale.slots * scale.order_seconds
    what = f"{scale.orders} orders of {scale.order_seconds:g} s at limit {scale.slots}"
    return [
        Figure(f"{what}: makespan / ideal", round(median(spans) / ideal, 3), "ratio", MAKESPAN_TARGET),
        Figure("  makespan", round(median(spans), 2), "s"),
        Figure(f"{what}: slowest request", round(median(slowest for _, slowest in taken), 1), "ms", REQUEST_TARGET),
        Figure(f"  the slowest of {scale.repeats} runs", round(max(slowest for _, slowest in taken), 1), "ms"),
    ]


def _measure_batch(stage: Stage, scale: Scale) -> tuple[float, float]:
    """Seconds from the first request to the end of the last order; milliseconds of the slowest request meanwhile."""
    folder = scratch.folder()
    with closing(agents.Starts(folder)) as starts:
        agent = agents.starting(folder, starts, scale.order_seconds)
        slots = str(scale.slots)
        limits = {"AWO_MAX_CONCURRENT": slots, "AWO_MAX_CONCURRENT_PER_REPOSITORY": slots}
        with open_server(folder / "server", stage, agent, **limits) as server:
            asker = _Asker(server.client())
            began = time.perf_counter()
            last = [asker.file(stage.address(scale.small.name)) for _ in range(scale.orders)][-1]
            deadline = began + ORDER_WITHIN
            while (queue := asker.look(last))["completed"] < scale.orders:
                if queue["failed"] or time.perf_counter() > deadline:
                    raise Broken(f"the orders do not get done: {queue}")
                time.sleep(PAUSE)
            return time.perf_counter() - began, asker.slowest * 1000


class _Asker:
    """Asks what people ask, one question after the other, and keeps how long the slowest answer took."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self.slowest = 0.0

    def file(self, address: str) -> str:
        began = time.perf_counter()
        order_id, _ = self._client.file(address)
        self._took(began)
        return order_id

    def look(self, order_id: str) -> dict[str, int]:
        for path in (f"/work-orders/{order_id}", "/work-orders?limit=50", "/health"):
            self._ask(path)
        queue: dict[str, int] = self._ask("/status")["queue"]
        return queue

    def _ask(self, path: str) -> dict[str, dict[str, int]]:
        began = time.perf_counter()
        status, answer = self._client.ask("GET", path)
        self._took(began)
        if status != 200:
            raise Broken(f"{path}: {answer}")
        found: dict[str, dict[str, int]] = answer
        return found

    def _took(self, began: float) -> None:
        self.slowest = max(self.slowest, time.perf_counter() - began)
