"""How long an accepted order waits for its agent, over what git alone takes for the same tree."""

import os
import shutil
import time
from pathlib import Path
from time import perf_counter

from . import agents, scratch
from .figures import Figure, milliseconds, ratio
from .scale import Scale, Tree
from .server import ORDER_WITHIN, Broken, Server, Stage, open_server, open_stage

SHARED_TARGET = 1.3
PLAIN_TARGET = 0.2


def measure(scale: Scale) -> list[Figure]:
    trees = (scale.small, scale.medium, scale.many)
    for tree in trees:
        scratch.repository(tree)
    with scratch.folder() as folder, open_stage() as stage:
        agent = agents.starting(folder)
        with (
            open_server(folder / "warm", stage, agent, AWO_FETCH_FRESHNESS_SECONDS="600") as warm,
            open_server(folder / "fetching", stage, agent, AWO_FETCH_FRESHNESS_SECONDS="0") as fetching,
        ):
            return [
                figure
                for tree in trees
                for figure in _measure_tree(folder, stage, warm, fetching, tree, scale.repeats, plain=tree is scale.medium)
            ]


def _measure_tree(
    folder: Path, stage: Stage, warm: Server, fetching: Server, tree: Tree, repeats: int, *, plain: bool
) -> list[Figure]:
    """Yardsticks and ours in turns. The first order on each server makes its mirror and is not counted."""
    bare, address = scratch.repository(tree), stage.address(tree.name)
    for server in (warm, fetching):
        _start(folder, server, address)
    shared, ours, fetched, cloned = [], [], [], []
    for _ in range(repeats):
        shared.append(_clone(folder, "--shared", str(bare)))
        ours.append(_start(folder, warm, address))
        fetched.append(_start(folder, fetching, address))
        if plain:
            cloned.append(_clone(folder, address))
    what = f"{tree.files:,} files"
    figures = [
        Figure(f"start, warm mirror / shared clone, {what}", ratio(ours, shared), "ratio", SHARED_TARGET),
        Figure(f"  start on a warm mirror, {what}", milliseconds(ours), "ms"),
        Figure(f"  git clone --shared, {what}", milliseconds(shared), "ms"),
        Figure(f"  start with a fetch each time, {what}", milliseconds(fetched), "ms"),
        Figure(f"  start with a fetch / shared clone, {what}", ratio(fetched, shared), "ratio"),
    ]
    if plain:
        figures += [
            Figure(
                f"start, warm mirror / plain clone, {what}, {tree.megabytes} MB", ratio(ours, cloned), "ratio", PLAIN_TARGET
            ),
            Figure(f"  plain git clone from the remote, {what}", milliseconds(cloned), "ms"),
        ]
    return figures


def _start(folder: Path, server: Server, address: str) -> float:
    """Seconds from the acceptance of an order to the start of its agent."""
    client = server.client()
    os.sync()  # what was written before is nobody's burden now
    order_id, accepted_at = client.file(address)
    deadline = perf_counter() + ORDER_WITHIN
    while (started_at := agents.started_at(folder, order_id)) is None:
        if perf_counter() > deadline:
            raise Broken(f"no agent started: {client.ask('GET', f'/work-orders/{order_id}')[1]}")
        time.sleep(0.002)
    client.wait(order_id)
    client.remove(order_id)
    return started_at - accepted_at


def _clone(folder: Path, *arguments: str) -> float:
    """Seconds that a clone with its checkout takes."""
    target = folder / "yardstick"
    os.sync()
    took = scratch.git("clone", "--quiet", *arguments, target)
    shutil.rmtree(target)
    return took
