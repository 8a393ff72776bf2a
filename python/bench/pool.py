"""How long an accepted order waits for its agent when a checkout was prepared, and what an order costs in disk."""

import os
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from statistics import median

from . import agents, scratch
from .agents import Starts
from .figures import Figure, milliseconds, ratio
from .scale import Scale, Tree
from .server import ORDER_WITHIN, Broken, Client, Server, Stage, open_server, open_stage

START_TARGET = 150.0
SIZE_TARGET = 1.5
DISK_TARGET = 2.0
PREPARED_WITHIN = 120.0


def measure(scale: Scale) -> list[Figure]:
    trees = (scale.small, scale.medium, scale.many)
    for tree in trees:
        scratch.repository(tree)
    folder = scratch.folder()
    starts_of: dict[str, list[float]] = {}
    figures: list[Figure] = []
    with closing(agents.Starts(folder)) as starts, open_stage() as stage:
        agent = agents.starting(folder, starts)
        settings = {"AWO_FETCH_FRESHNESS_SECONDS": "600", "AWO_PREPARED_CHECKOUTS": "1"}
        with open_server(folder / "pool", stage, agent, **settings) as server:
            for tree in trees:
                took, beyond = _measure_tree(starts, stage, server, tree, scale.repeats)
                starts_of[tree.name] = took
                what = f"{tree.files:,} files"
                figures += [
                    Figure(f"start from the pool, {what}", milliseconds(took), "ms", START_TARGET),
                    Figure(f"disk of one more order beyond its files, {what}", beyond, "MB", DISK_TARGET),
                ]
    largest, smallest = starts_of[scale.many.name], starts_of[scale.small.name]
    what = f"{scale.many.files:,} / {scale.small.files:,} files"
    return [Figure(f"start from the pool, {what}", ratio(largest, smallest), "ratio", SIZE_TARGET), *figures]


def _measure_tree(starts: Starts, stage: Stage, server: Server, tree: Tree, repeats: int) -> tuple[list[float], float]:
    """Seconds of each start, and the megabytes beyond its files of one order. The first order is not counted."""
    client, address = server.client(), stage.address(tree.name)
    client.wait(client.file(address)[0])
    starts.wait(ORDER_WITHIN)
    took, beyond = [], []
    for _ in range(repeats):
        _wait_until_prepared(server, tree)
        os.sync()  # what was written before is nobody's burden now
        order_id, accepted_at = client.file(address)
        started, heard_at = starts.wait(ORDER_WITHIN)
        if started != order_id:
            raise Broken(f"{started} started instead of {order_id}")
        client.wait(order_id)
        _ensure_prepared(client, order_id)
        took.append(heard_at - accepted_at)
        beyond.append(_beyond_files(server.home / "repositories", order_id))
    return took, round(median(beyond) / 1e6, 2)


def _wait_until_prepared(server: Server, tree: Tree) -> None:
    deadline = time.monotonic() + PREPARED_WITHIN
    while not list((server.home / "repositories" / ".ready").glob(f"*-{tree.name}-*/*/+ready.json")):
        if time.monotonic() > deadline:
            raise Broken(f"no checkout of {tree.name} was prepared")
        time.sleep(0.05)


def _ensure_prepared(client: Client, order_id: str) -> None:
    events = client.ask("GET", f"/work-orders/{order_id}/events?kind=checkout_opened")[1]["events"]
    if not events[0]["payload"]["prepared"]:
        raise Broken(f"{order_id} got no prepared checkout")


def _beyond_files(repositories: Path, order_id: str) -> float:
    """Bytes on the disk that there would not be without the order, its working files apart."""
    own = sum(_allocated(path) for root in (repositories / order_id).glob("*/.git") for path in _below(root))
    notes = (repositories.glob(f".mirrors/*.git/{place}/{order_id}") for place in ("awo", "refs/awo"))
    return own + sum(_allocated(path) for roots in notes for root in roots for path in _below(root))


def _below(root: Path) -> Iterator[Path]:
    yield root
    yield from root.rglob("*")


def _allocated(path: Path) -> int:
    return path.lstat().st_blocks * 512
