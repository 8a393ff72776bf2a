"""What keeping a mirror fresh costs when the remote has nothing new, over what git itself takes to find that out; and
how often a repository is cloned that many orders ask for at once.
"""

import os
import shutil
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from datetime import timedelta
from pathlib import Path
from time import perf_counter
from urllib.parse import urlsplit

import anyio

from src.agent_work_orders.checkout.git import Git, Remote
from src.agent_work_orders.checkout.mirror import Mirror

from . import agents, scratch
from .figures import Figure, milliseconds, ratio
from .scale import Scale
from .server import ORDER_WITHIN, Stage, open_server, open_stage

TARGET = 1.3
LIMIT = timedelta(minutes=10)
TURNS = 4
AT_ONCE = 10


def measure(scale: Scale) -> list[Figure]:
    tree = scale.medium
    scratch.repository(tree)
    cold = f"{tree.name}-at-once"
    scratch.repository(tree, cold)
    folder = scratch.folder()
    with open_stage() as stage:
        clones = _clones(folder, stage, stage.address(cold))
        ours, plain = anyio.run(_in_turns, folder, stage.address(tree.name), scale.repeats * TURNS)
    what = f"fetch with nothing new, {tree.files:,} files"
    return [
        Figure(f"{what} / git fetch", ratio(ours, plain), "ratio", TARGET),
        Figure(f"  {what}", milliseconds(ours), "ms"),
        Figure("  git fetch", milliseconds(plain), "ms"),
        Figure(f"{AT_ONCE} orders at once on a cold repository, {tree.files:,} files: clones", clones, "clones", 1),
    ]


def _clones(folder: Path, stage: Stage, address: str) -> int:
    """How often a server clones for orders that are filed at once and all get their checkout."""
    counting, log = folder / "counting", folder / "git.log"
    counting.mkdir()
    program = counting / "git"
    program.write_text(f"#!/bin/sh\necho \"$1\" >>'{log}'\nexec '{shutil.which('git')}' \"$@\"\n")
    program.chmod(0o755)
    many = {"AWO_MAX_CONCURRENT": str(AT_ONCE), "AWO_MAX_CONCURRENT_PER_REPOSITORY": str(AT_ONCE)}
    with closing(agents.Starts(folder)) as starts:
        agent = agents.starting(folder, starts)
        path = f"{counting}{os.pathsep}{os.environ['PATH']}"
        with open_server(folder / "at-once", stage, agent, PATH=path, **many) as server, ThreadPoolExecutor() as filing:
            list(filing.map(lambda _: server.client().file(address), range(AT_ONCE)))
            for _ in range(AT_ONCE):
                starts.wait(ORDER_WITHIN)
    return log.read_text().split().count("clone")


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
