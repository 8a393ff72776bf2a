"""A clean-up that is killed on its way: `cleaner <home> <host> <days ahead> <phase> <which time>`. It says `begun`."""

import os
import signal
import sys
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import anyio

from src.agent_work_orders.checkout import disk, removal, volume
from src.agent_work_orders.store.sqlite import SqliteStore

from ...checkout.git_host import GitHost
from ...fakes import Clock
from ..yard import Yard

left = 0


def deadly(function: Callable[..., Any], *, before: bool = False) -> Callable[..., Any]:
    """The function, with the kill right before or after its n-th call."""

    def call(*given: Any, **named: Any) -> Any:
        global left
        left -= 1
        if before and left == 0:
            os.kill(os.getpid(), signal.SIGKILL)
        found = function(*given, **named)
        if left == 0:
            os.kill(os.getpid(), signal.SIGKILL)
        return found

    return call


def arm(phase: str) -> None:
    match phase:
        case "renamed":
            removal.put_aside = deadly(removal.put_aside)
        case "told":
            removal.told = deadly(removal.told, before=True)
        case "marked":
            removal.told = deadly(removal.told)
        case "deleting":
            disk.open_up = deadly(disk.open_up)
        case "unlinking":
            os.unlink = deadly(os.unlink)
        case "forgetting":
            volume._forget_in = deadly(volume._forget_in)


async def main(home: Path, name: str, days: float, phase: str) -> None:
    clock = Clock()
    clock.ahead = timedelta(days=days)
    host = GitHost.__new__(GitHost)  # only its name is needed: it is served by the test
    type(host).name = property(lambda self: name)  # type: ignore[assignment,method-assign]  # the other process's
    async with SqliteStore.open(home / "awo.db", clock=clock) as store:
        yard = Yard(host, home / "repositories", home / "work-orders", store, clock)
        sys.stdout.write("begun\n")
        sys.stdout.flush()
        arm(phase)
        await yard.clean()
    sys.stdout.write("ended\n")


if __name__ == "__main__":
    left = int(sys.argv[5])
    anyio.run(main, Path(sys.argv[1]), sys.argv[2], float(sys.argv[3]), sys.argv[4])
