"""Another server on the same volume, as a program: it opens the checkout of one order, and may be killed meanwhile."""

import sys
from datetime import timedelta
from pathlib import Path

import anyio

from src.agent_work_orders.checkout import GitCheckouts
from src.agent_work_orders.domain.repository import Repository

from .conftest import an_order


async def open_one(volume: str, host: str) -> None:
    checkouts = GitCheckouts(Path(volume), freshness=lambda: timedelta(0), insecure_hosts=lambda: frozenset({host}))
    repository = Repository(url=f"http://{host}/team/sample", host=host, owner="team", name="sample")
    checkout = await checkouts.open(an_order(), repository, "awo/x", None, lambda *_: None)
    sys.stdout.write(f"{checkout.base_commit}\n")


if __name__ == "__main__":
    anyio.run(open_one, sys.argv[1], sys.argv[2])
