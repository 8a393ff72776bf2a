"""Many orders at once: how close to the ideal they are worked off, and whether the server answers meanwhile."""

import time
from contextlib import closing
from datetime import datetime
from itertools import cycle
from statistics import median

from . import agents, scratch
from .figures import Figure
from .scale import Scale
from .server import ORDER_WITHIN, Broken, Client, Stage, open_server, open_stage

MAKESPAN_TARGET = 1.2
REQUEST_TARGET = 250.0
PAUSE = 0.05


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
    """Seconds from the first request to the end of the last order; milliseconds of the slowest request meanwhile.

    The mirror is warm: what clones and fetches take is measured elsewhere.
    """
    folder = scratch.folder()
    address = stage.address(scale.small.name)
    with closing(agents.Starts(folder)) as starts:
        agent = agents.starting(folder, starts, scale.order_seconds)
        slots = str(scale.slots)
        settings = {
            "AWO_MAX_CONCURRENT": slots,
            "AWO_MAX_CONCURRENT_PER_REPOSITORY": slots,
            "AWO_FETCH_FRESHNESS_SECONDS": "600",
        }
        with open_server(folder / "server", stage, agent, **settings) as server:
            client = server.client()
            client.wait(client.file(address)[0])
            asker = _Asker(client)
            began = time.time()
            filed = {asker.file(address) for _ in range(scale.orders)}
            deadline = began + ORDER_WITHIN
            while (queue := asker.look())["completed"] <= scale.orders:
                if queue["failed"] or time.time() > deadline:
                    raise Broken(f"the orders do not get done: {queue}")
                time.sleep(PAUSE)
            orders = client.ask("GET", "/work-orders?limit=200")[1]["work_orders"]
    ends = [datetime.fromisoformat(one["finished_at"]) for one in orders if one["agent_work_order_id"] in filed]
    if len(ends) != scale.orders:
        raise Broken(f"{len(ends)} of {scale.orders} orders are listed")
    return max(ends).timestamp() - began, asker.slowest * 1000


class _Asker:
    """Asks what people ask, one question after the other, and keeps how long the slowest answer took."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self._order_id = ""
        self._paths = cycle(("/status", "/work-orders/{}", "/work-orders?limit=50", "/health"))
        self._queue = {"completed": 0, "failed": 0}
        self.slowest = 0.0

    def file(self, address: str) -> str:
        began = time.perf_counter()
        self._order_id, _ = self._client.file(address)
        self._took(began)
        return self._order_id

    def look(self) -> dict[str, int]:
        """Asks the next question. Returns the queue as it was told last, by status."""
        path = next(self._paths).format(self._order_id)
        began = time.perf_counter()
        status, answer = self._client.ask("GET", path)
        self._took(began)
        if status != 200:
            raise Broken(f"{path}: {answer}")
        self._queue = answer.get("queue", self._queue)
        return self._queue

    def _took(self, began: float) -> None:
        self.slowest = max(self.slowest, time.perf_counter() - began)
