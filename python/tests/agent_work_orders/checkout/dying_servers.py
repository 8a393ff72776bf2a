"""Servers that are killed at one step of their own after the other, as a program: each is followed by one that lives.

`dying_servers <volumes> <host> <what> <stride>`: `what` is clone, fetch or checkpoint. A step is whatever changes a
directory or starts a process, as the interpreter's own audit events tell. Says how many servers died.
"""

import os
import signal
import sys
import traceback
from collections.abc import Awaitable, Callable
from datetime import timedelta
from itertools import count
from pathlib import Path
from shutil import copytree
from typing import Any

import anyio

from src.agent_work_orders.checkout import GitCheckout, GitCheckouts
from src.agent_work_orders.domain.repository import Repository
from src.agent_work_orders.domain.work_order import WorkOrder

from .conftest import an_order, mirror_of
from .git_host import git

STEPS = {"os.rename", "os.mkdir", "os.remove", "os.rmdir", "os.chmod", "shutil.rmtree", "subprocess.Popen"}
ORDER = an_order(agent_work_order_id="wo-0123456789abcdef")
Act = Callable[[Path, str], Awaitable[None]]


async def open_one(volume: Path, host: str, order: WorkOrder = ORDER) -> GitCheckout:
    checkouts = GitCheckouts(volume, freshness=lambda: timedelta(0), insecure_hosts=lambda: frozenset({host}))
    repository = Repository(url=f"http://{host}/team/sample", host=host, owner="team", name="sample")
    return await checkouts.open(order, repository, "awo/x", None, lambda *_: None)


async def opens(volume: Path, host: str) -> None:
    await open_one(volume, host)


async def saves(volume: Path, host: str) -> None:
    checkout = await open_one(volume, host)
    (checkout.root / "work.txt").write_text("work\n")
    await checkout.checkpoint("execute", "Work")


async def opened_again(volume: Path, host: str) -> None:
    """What must hold whenever the first was killed."""
    checkout = await open_one(volume, host)
    assert (checkout.root / "README.md").read_text() == git(mirror_of(volume), "show", "origin/main:README.md") + "\n"
    other = await open_one(volume, host, an_order())
    assert other.base_commit == git(mirror_of(volume), "rev-parse", "origin/main")
    git(mirror_of(volume), "fsck", "--full", "--strict")
    left = [path.name for path in (volume / ".mirrors").iterdir() if path.name.endswith((".tmp", ".broken"))]
    assert left == [], left


async def saved_again(volume: Path, host: str) -> None:
    checkout = await open_one(volume, host)
    (checkout.root / "work.txt").write_text("work\n")
    saved = await checkout.checkpoint("execute", "Work")
    assert saved.files_changed == 1, saved
    assert git(mirror_of(volume), "show", f"{saved.commit}:work.txt") == "work"
    git(mirror_of(volume), "fsck", "--full", "--strict")


ACTS: dict[str, tuple[Act, Act]] = {
    "clone": (opens, opened_again),
    "fetch": (opens, opened_again),
    "checkpoint": (saves, saved_again),
}


def die_at(step: int, volume: Path) -> None:
    seen = count(1)

    def hook(event: str, args: tuple[Any, ...]) -> None:
        if event == "open" and isinstance(args[2], int) and not args[2] & (os.O_WRONLY | os.O_RDWR):
            return
        named = event == "subprocess.Popen" or (args and str(volume) in str(args[0]))
        if (event in STEPS or event == "open") and named and next(seen) == step:
            os.kill(os.getpid(), signal.SIGKILL)

    sys.addaudithook(hook)


def in_a_server(act: Act, volume: Path, host: str, dies_at: int = 0) -> int:
    """Exit code of a process of its own; negative for the signal that ended it."""
    pid = os.fork()  # noqa: TID251 - no thread runs in this program before it
    if pid == 0:
        code = 1
        try:
            if dies_at:
                die_at(dies_at, volume)
            anyio.run(act, volume, host)
            code = 0
        except BaseException:
            traceback.print_exc()
            raise
        finally:
            os._exit(code)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def main(volumes: Path, host: str, what: str, stride: int) -> None:
    act, again = ACTS[what]
    died = 0
    for step in count(1, stride):
        volume = volumes / str(step)
        if (volumes / "template").is_dir():
            copytree(volumes / "template", volume, symlinks=True)
        code = in_a_server(act, volume, host, step)
        if code not in (0, -signal.SIGKILL) or in_a_server(again, volume, host) != 0:
            sys.exit(f"killed at step {step}: the next server did not go on")
        if code == 0:
            break
        died += 1
    sys.stdout.write(f"{died}\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2], sys.argv[3], int(sys.argv[4]))
