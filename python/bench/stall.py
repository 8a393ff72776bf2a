"""How long the server's event loop stands still while a large repository is cloned for the first time."""

import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from statistics import median

from . import agents, scratch
from .figures import Figure
from .scale import Scale
from .server import open_server, open_stage

TARGET = 50.0


def measure(scale: Scale) -> list[Figure]:
    """Every clone is of the same repository under another name, so that each is a first one."""
    names = [f"{scale.large.name}-{number}" for number in range(scale.repeats)]
    for name in names:
        scratch.repository(scale.large, name)
    stalls: list[float] = []
    work: list[float] = []
    machine: list[float] = []
    folder = scratch.folder()
    with closing(agents.Starts(folder)) as starts, open_stage() as stage:
        agent = agents.starting(folder, starts)
        with open_server(folder / "server", stage, agent, ("-m", "bench.probed_server")) as server:
            client = server.client()
            for name in names:
                client.ask("GET", "/bench/stall")  # what was before does not count
                with bystander(machine):
                    order_id, _ = client.file(stage.address(name))
                    client.wait(order_id)
                    late, busy = client.ask("GET", "/bench/stall")[1]
                stalls.append(late * 1000)
                work.append(busy * 1000)
    what = f"first clone of {scale.large.files:,} files, {scale.large.megabytes} MB"
    return [
        Figure(f"event loop stalled at most, {what}", round(median(stalls), 1), "ms", TARGET),
        Figure(f"  the worst of {scale.repeats} clones", round(max(stalls), 1), "ms"),
        Figure("  of that at most at work itself, and not waiting for a processor", round(median(work), 1), "ms"),
        Figure("  a process that only sleeps, meanwhile", round(median(machine), 1), "ms"),
    ]


@contextmanager
def bystander(worst: list[float]) -> Iterator[None]:
    """Adds by how many milliseconds a process with nothing to do was woken too late while the block ran."""
    with subprocess.Popen(  # noqa: TID251 - it ends with this block
        [sys.executable, "-m", "bench.probe"], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        try:
            yield
        finally:
            process.send_signal(signal.SIGTERM)
            said = process.stdout.read()
    worst.append(float(said) * 1000)
