"""A worker that never ends: claims an order and writes steps and events, telling each end, until it is killed."""

import json
import os
import sys
import uuid

import anyio

from ..backends import open_store
from ..store_world import LEASE, drafts, result


async def write(address: str) -> None:
    async with open_store(address) as store:
        claim = await store.claim(f"writer-{os.getpid()}", str(uuid.uuid4()), LEASE, 10)
        assert claim is not None
        last_seq, step_order = claim.order.last_seq, 0
        while True:
            step_order += 1
            await store.start_step(claim, step_order, "planning", "claude")
            last_seq = await store.append(claim, last_seq + 1, drafts(50, "x" * 500))
            await store.finish_step(claim, result(step_order, cost_usd=0.01))
            told = {"last_seq": last_seq, "next_step": step_order + 1}
            print(json.dumps(told), flush=True)  # noqa: T201 - its parent reads it


if __name__ == "__main__":
    anyio.run(write, sys.argv[1])
