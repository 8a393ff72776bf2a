"""How long an accepted order waits for its agent, over what git alone takes for the same tree."""

import os
from contextlib import closing
from pathlib import Path
from tempfile import mkdtemp

from . import agents, scratch
from .agents import Starts
from .figures import Figure, milliseconds, ratio
from .scale import Scale, Tree
from .server import ORDER_WITHIN, Broken, Server, Stage, open_server, open_stage

SHARED_TARGET = 1.3
PLAIN_TARGET = 0.2


def measure(scale: Scale) -> list[Figure]:
    trees = (scale.small, scale.medium, scale.many)
    for tree in trees:
        scratch.repository(tree)
    folder = scratch.folder()
    with closing(agents.Starts(folder)) as starts, open_stage() as stage:
        agent = agents.starting(folder, starts)
        with (
            open_server(folder / "warm", stage, agent, AWO_FETCH_FRESHNESS_SECONDS="600") as warm,
            open_server(folder / "fetching", stage, agent, AWO_FETCH_FRESHNESS_SECONDS="0") as fetching,
        ):
            return [
                figure for tree in trees for figure in _measure_tree(folder, starts, stage, warm, fetching, tree, scale)
            ]


def _measure_tree(
    folder: Path, starts: Starts, stage: Stage, warm: Server, fetching: Server, tree: Tree, scale: Scale
) -> list[Figure]:
    """Yardsticks and ours in turns. The first order on a server makes its mirror and is not counted.

    What only explains is left out for the largest tree, which has to be deleted in the end.
    """
    bare, address = scratch.repository(tree), stage.address(tree.name)
    small_enough, clones = tree is not scale.many, tree is scale.medium
    time_start(starts, warm, address)
    if small_enough:
        time_start(starts, fetching, address)
    shared, single, ours, fetched, cloned = [], [], [], [], []
    for _ in range(scale.repeats):
        shared.append(_shared_clone(folder, bare))
        ours.append(time_start(starts, warm, address))
        if small_enough:
            single.append(_clone(folder, "--shared", str(bare)))
            fetched.append(time_start(starts, fetching, address))
        if clones:
            cloned.append(_clone(folder, address))
    what = f"{tree.files:,} files"
    figures = [
        Figure(
            f"start on a warm mirror / git clone --shared + checkout, {what}",
            ratio(ours, shared),
            "ratio",
            SHARED_TARGET,
        ),
        Figure(f"  start on a warm mirror, {what}", milliseconds(ours), "ms"),
        Figure(f"  git clone --shared + checkout, {what}", milliseconds(shared), "ms"),
    ]
    if small_enough:
        figures += [
            Figure(f"  git clone --shared alone, without a branch of its own, {what}", milliseconds(single), "ms"),
            Figure(f"  start with a fetch each time, {what}", milliseconds(fetched), "ms"),
        ]
    if clones:
        size = f"{what}, {tree.megabytes} MB"
        figures += [
            Figure(f"start on a warm mirror / plain git clone, {size}", ratio(ours, cloned), "ratio", PLAIN_TARGET),
            Figure(f"  plain git clone from the remote, {size}", milliseconds(cloned), "ms"),
        ]
    return figures


def time_start(starts: Starts, server: Server, address: str) -> float:
    """Seconds from the acceptance of an order to the start of its agent."""
    client = server.client()
    os.sync()  # what was written before is nobody's burden now
    order_id, accepted_at = client.file(address)
    started, heard_at = starts.wait(ORDER_WITHIN)
    if started != order_id:
        raise Broken(f"{started} started instead of {order_id}")
    client.wait(order_id)
    return heard_at - accepted_at


def _shared_clone(folder: Path, bare: Path) -> float:
    """Seconds that git takes for what an order gets: a clone that borrows its objects, on a branch of its own."""
    target = Path(mkdtemp(prefix="yardstick-", dir=folder))
    os.sync()
    cloning = scratch.git("clone", "--quiet", "--shared", "--no-checkout", bare, target)
    return cloning + scratch.git("-C", target, "checkout", "--quiet", "-b", "order", "origin/main")


def _clone(folder: Path, *arguments: str) -> float:
    """Seconds that a clone takes which checks out in the same command."""
    target = Path(mkdtemp(prefix="yardstick-", dir=folder))
    os.sync()
    return scratch.git("clone", "--quiet", *arguments, target)
