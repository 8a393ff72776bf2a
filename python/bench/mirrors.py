"""What keeping a mirror fresh costs when the remote has nothing new, over what git itself takes to find that out."""

from datetime import timedelta
from pathlib import Path
from time import perf_counter
from urllib.parse import urlsplit

import anyio

from src.agent_work_orders.checkout.git import Git, Remote
from src.agent_work_orders.checkout.mirror import Mirror

from . import scratch
from .figures import Figure, milliseconds, ratio
from .scale import Scale
from .server import open_stage

TARGET = 1.3
LIMIT = timedelta(minutes=10)
TURNS = 4


def measure(scale: Scale) -> list[Figure]:
    tree = scale.medium
    scratch.repository(tree)
    folder = scratch.folder()
    with open_stage() as stage:
        ours, plain = anyio.run(_in_turns, folder, stage.address(tree.name), scale.repeats * TURNS)
    what = f"fetch with nothing new, {tree.files:,} files"
    return [
        Figure(f"{what} / git fetch", ratio(ours, plain), "ratio", TARGET),
        Figure(f"  {what}", milliseconds(ours), "ms"),
        Figure("  git fetch", milliseconds(plain), "ms"),
    ]


async def _in_turns(folder: Path, address: str, turns: int) -> tuple[list[float], list[float]]:
    """Seconds of ours and of git's own. The first clones are not counted."""
    runner = Git(folder / ".server", "git", LIMIT, None)
    await anyio.to_thread.run_sync(runner.prepare)
    remote = Remote(address, urlsplit(address).netloc, plain_http=True)
    mirror = Mirror(runner, folder, "bench", LIMIT)
    await mirror.refresh(remote, timedelta(0), _quietly)
    scratch.git("clone", "--quiet", "--bare", address, folder / "plain.git")
    ours, plain = [], []
    for _ in range(turns):
        plain.append(scratch.git("-C", folder / "plain.git", "fetch", "--quiet", address, "+refs/heads/*:refs/heads/*"))
        began = perf_counter()
        await mirror.refresh(remote, timedelta(0), _quietly)
        ours.append(perf_counter() - began)
    return ours, plain


def _quietly(phase: str, percent: int) -> None:
    """Nobody looks on."""
