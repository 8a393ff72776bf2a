"""How fast and how faithfully what an agent prints reaches a client of the event stream."""

import http.client
import json
from bisect import bisect_left
from contextlib import closing
from itertools import accumulate
from statistics import median, quantiles
from time import time

from . import agents, scratch
from .figures import Figure
from .scale import Scale
from .server import API, ORDER_WITHIN, Broken, Server, Stage, open_server, open_stage

LATENCY_TARGET = 30.0
THROUGHPUT_TARGET = 20_000.0
PAUSE = 0.02
READ = 1 << 18


def measure(scale: Scale) -> list[Figure]:
    scratch.repository(scale.small)
    with open_stage() as stage:
        return [*_latency(stage, scale), *_throughput(stage, scale)]


def _latency(stage: Stage, scale: Scale) -> list[Figure]:
    """Of lines that come one by one, each of which holds the time at which it was printed."""
    delays: list[float] = []
    folder = scratch.folder()
    agent = agents.trickling(folder, scale.trickled_lines, PAUSE)
    with open_server(folder / "server", stage, agent) as server:
        for _ in range(scale.repeats):
            _, told = _follow(server, stage.address(scale.small.name))
            delays += [(arrived_at - int(text) / 1e9) * 1000 for arrived_at, text in told]
            if len(told) != scale.trickled_lines:
                raise Broken(f"{len(told)} of {scale.trickled_lines} lines arrived")
    return [
        Figure("line printed → line at the client, p50", round(median(delays), 1), "ms", LATENCY_TARGET),
        Figure("  the same, p99", round(quantiles(delays, n=100)[98], 1), "ms"),
    ]


def _throughput(stage: Stage, scale: Scale) -> list[Figure]:
    """Of numbered lines that are all there at once, from the start of the agent to the arrival of the last."""
    rates: list[float] = []
    wrong = 0
    folder = scratch.folder()
    with closing(agents.Starts(folder)) as starts:
        agent = agents.bursting(folder, starts, scale.burst_lines)
        with open_server(folder / "server", stage, agent) as server:
            for _ in range(scale.repeats):
                began_at, told = _follow(server, stage.address(scale.small.name), starts)
                numbers = [int(text.split(" ", 1)[0]) for _, text in told]
                expected = range(scale.burst_lines)
                wrong += abs(len(numbers) - len(expected))
                wrong += sum(got != sent for got, sent in zip(numbers, expected, strict=False))
                rates.append(scale.burst_lines / (told[-1][0] - began_at))
    what = f"burst of {scale.burst_lines:,} lines"
    return [
        Figure(f"{what}: lines at the client", round(median(rates)), "lines/s", THROUGHPUT_TARGET, at_least=True),
        Figure(f"{what}: lost or out of order", wrong, "lines", 0),
    ]


def _follow(server: Server, address: str, starts: agents.Starts | None = None) -> tuple[float, list[tuple[float, str]]]:
    """Files an order and follows it to its end: when its agent began, and what it said with the time of each arrival.

    While it reads it does nothing else, so that it is the server that is measured.
    """
    client = server.client()
    order_id, _ = client.file(address)
    chunks: list[bytes] = []
    arrivals: list[float] = []
    with closing(http.client.HTTPConnection("127.0.0.1", server.port, timeout=120)) as connection:
        connection.request("GET", f"{API}/work-orders/{order_id}/events/stream")
        answer = connection.getresponse()
        began_at = starts.wait(ORDER_WITHIN)[1] if starts else 0.0
        while chunk := answer.read1(READ):
            chunks.append(chunk)
            arrivals.append(time())
    client.wait(order_id)
    ends = list(accumulate(map(len, chunks)))
    told: list[tuple[float, str]] = []
    place = 0
    for event in b"".join(chunks).split(b"\n\n"):
        place += len(event) + 2
        if b"event: agent_spoke" in event:
            said = json.loads(event.partition(b"data: ")[2])["payload"]["text"]
            told.append((arrivals[bisect_left(ends, place)], said))
    return began_at, told
