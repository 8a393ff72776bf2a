"""A worker of its own: claims, appends and finishes until all orders have ended. Arguments: address, worker, limit."""

import json
import sys
import uuid
from datetime import timedelta

import anyio

from ..backends import open_store
from ..store_world import DONE, LEASE, drafts


async def work(address: str, worker_id: str, limit: int) -> None:
    async with open_store(address) as store:
        while True:
            claim = await store.claim(worker_id, str(uuid.uuid4()), LEASE, limit)
            if claim is None:
                if all(status.is_terminal for status in (await store.counts()).by_status):
                    return
                await store.wait_for_work(timedelta(milliseconds=5))
                continue
            print(json.dumps({"order_id": claim.order_id, "token": claim.token}), flush=True)  # noqa: T201 - its parent reads it
            await store.append(claim, claim.order.last_seq + 1, drafts(5))
            await store.finish(claim, DONE)


if __name__ == "__main__":
    anyio.run(work, sys.argv[1], sys.argv[2], int(sys.argv[3]))
