"""What the server takes while it does nothing, and what an order takes of it while its agent thinks."""

import time
from contextlib import closing
from statistics import median

from . import agents, scratch
from .figures import Figure
from .scale import Scale
from .server import ORDER_WITHIN, Server, Stage, open_server, open_stage

CPU_TARGET = 0.5
RESIDENT_TARGET = 100.0
ORDER_TARGET = 1.0
# From the start to the first idle window: what a server does once is not what it does when idle.
SETTLE = 5.0


def measure(scale: Scale) -> list[Figure]:
    """Each repeat is a server of its own: memory that was grown once is not given back."""
    scratch.repository(scale.small)
    with open_stage() as stage:
        taken = [_measure_server(stage, scale) for _ in range(scale.repeats)]
    cpu, resident, per_order = (median(values) for values in zip(*taken, strict=True))
    seconds = scale.repeats * scale.idle_seconds
    return [
        Figure(f"idle CPU, over {seconds:g} s", round(cpu, 2), "%", CPU_TARGET),
        Figure("idle RSS of the whole server", round(resident, 1), "MB", RESIDENT_TARGET),
        Figure(f"RSS per running order, of {scale.sleeping_orders}", round(per_order, 2), "MB", ORDER_TARGET),
    ]


def _measure_server(stage: Stage, scale: Scale) -> tuple[float, float, float]:
    """CPU in per cent, RSS in MB, and RSS in MB for each order that runs. The agents' own processes do not count."""
    folder = scratch.folder()
    with closing(agents.Starts(folder)) as starts:
        agent = agents.starting(folder, starts, seconds=600)
        slots = str(scale.sleeping_orders)
        limits = {"AWO_MAX_CONCURRENT": slots, "AWO_MAX_CONCURRENT_PER_REPOSITORY": slots}
        with open_server(folder / "server", stage, agent, **limits) as server:
            time.sleep(SETTLE)
            before, began = server.cpu_seconds(), time.perf_counter()
            time.sleep(scale.idle_seconds)
            cpu = 100 * (server.cpu_seconds() - before) / (time.perf_counter() - began)
            idle = server.resident_megabytes()
            _run_orders(starts, server, stage.address(scale.small.name), scale.sleeping_orders)
            return cpu, idle, (server.resident_megabytes() - idle) / scale.sleeping_orders


def _run_orders(starts: agents.Starts, server: Server, address: str, count: int) -> None:
    client = server.client()
    for _ in range(count):
        client.file(address)
    for _ in range(count):
        starts.wait(ORDER_WITHIN)
    time.sleep(0.5)  # the last one's own preparations have ended
