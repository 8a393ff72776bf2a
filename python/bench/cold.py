"""How long the first order on a repository waits for its agent, over a plain clone and a branch of one's own."""

import os
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from tempfile import mkdtemp

from . import agents, scratch
from .agents import Starts
from .figures import Figure, milliseconds, ratio
from .scale import Scale, Tree
from .server import AWAY, Server, open_server, open_stage
from .start import time_start

TARGET = 1.1


def measure(scale: Scale) -> list[Figure]:
    """Every order is on the same repository under another name, so that each is the first one there."""
    # The target is for a remote on this very machine, where nothing hides what a server does around the clone. What
    # somebody waits whose host is elsewhere stands beside it.
    figures = _measure(0, [scale.small], scale, TARGET)
    figures += _measure(AWAY, [scale.small], scale, None)
    return figures + _measure(0, [scale.medium, scale.many], scale, TARGET)


def _measure(latency: int, trees: Sequence[Tree], scale: Scale, target: float | None) -> list[Figure]:
    for tree in trees:
        for name in _names(tree, scale):
            scratch.repository(tree, name)
    folder = scratch.folder()
    figures: list[Figure] = []
    with closing(agents.Starts(folder)) as starts, open_stage(latency) as stage:
        agent = agents.starting(folder, starts)
        with open_server(folder / "cold", stage, agent) as server:
            for tree in trees:
                addresses = [stage.address(name) for name in _names(tree, scale)]
                ours, plain = _in_turns(folder, starts, server, addresses)
                what = f"{tree.files:,} files" + (f", remote {latency} ms away" if latency else "")
                indent = "" if target else "  "
                figures += [
                    Figure(
                        f"{indent}cold start / plain git clone + checkout, {what}", ratio(ours, plain), "ratio", target
                    ),
                    Figure(f"  cold start, {what}", milliseconds(ours), "ms"),
                    Figure(f"  plain git clone + checkout, {what}", milliseconds(plain), "ms"),
                ]
    return figures


def _names(tree: Tree, scale: Scale) -> list[str]:
    """The first is for warming up. What takes a tenth of a second differs most from one time to the next."""
    repeats = 3 * scale.repeats if tree is scale.small else scale.repeats
    return [f"{tree.name}-cold-{number}" for number in range(repeats + 1)]


def _in_turns(folder: Path, starts: Starts, server: Server, addresses: list[str]) -> tuple[list[float], list[float]]:
    """Seconds of ours and of git's own; the first of both only warms up."""
    ours, plain = [], []
    for address in addresses:
        plain.append(_clone(folder, address))
        ours.append(time_start(starts, server, address))
    return ours[1:], plain[1:]


def _clone(folder: Path, address: str) -> float:
    """Seconds that git takes for what an order gets."""
    target = Path(mkdtemp(prefix="yardstick-", dir=folder))
    os.sync()
    cloning = scratch.git("clone", "--quiet", address, target)
    return cloning + scratch.git("-C", target, "checkout", "--quiet", "-b", "order")
