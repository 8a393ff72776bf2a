"""Another server on the same volume, as a program that may be killed: `other_server <what> <volume> <host> <git>`.

It opens an order's checkout, or several, packs the mirrors, or holds a lock until it is killed.
"""

import sys
from datetime import timedelta
from pathlib import Path

import anyio

from src.agent_work_orders.checkout import GitCheckouts
from src.agent_work_orders.checkout.disk import held
from src.agent_work_orders.checkout.git import Git
from src.agent_work_orders.checkout.maintenance import maintain, mirrors_in
from src.agent_work_orders.domain.repository import Repository

from .conftest import an_order

LIMIT = timedelta(minutes=1)


async def run(what: str, volume: Path, host: str, git: str) -> None:
    match what:
        case "open":
            sys.stdout.write(f"{await open_one(volume, host, git)}\n")
        case "open-many":
            for _ in range(4):
                await open_one(volume, host, git)
        case "maintain":
            for mirror in mirrors_in(volume / ".mirrors"):
                await maintain(Git(volume / ".mirrors/.server", git, LIMIT, None), mirror, LIMIT)
        case "hold":
            async with held(volume / "lock", lambda: False):
                sys.stdout.write("held\n")
                sys.stdout.flush()
                await anyio.sleep_forever()


async def open_one(volume: Path, host: str, git: str) -> str:
    checkouts = GitCheckouts(volume, freshness=lambda: timedelta(0), insecure_hosts=lambda: frozenset({host}), git=git)
    repository = Repository(url=f"http://{host}/team/sample", host=host, owner="team", name="sample")
    return (await checkouts.open(an_order(), repository, "awo/x", None, lambda *_: None)).base_commit


if __name__ == "__main__":
    anyio.run(run, sys.argv[1], Path(sys.argv[2]), sys.argv[3], sys.argv[4])
