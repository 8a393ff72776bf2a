"""A server's worker without agents: claims, journals and finishes until all orders have ended, or until it is killed.

SUPABASE_URL and SUPABASE_SERVICE_KEY say where; the argument is its name. Each claim is told on a line of its own.
"""

import json
import os
import random
import sys
import uuid
from datetime import timedelta
from functools import partial

import anyio

from src.agent_work_orders.domain.errors import LostLease, StoreUnavailable
from src.agent_work_orders.domain.events import Draft
from src.agent_work_orders.domain.status import Status
from src.agent_work_orders.domain.work_order import Claim, Outcome
from src.agent_work_orders.ports import Batch
from src.agent_work_orders.store.supabase import SupabaseStore
from src.agent_work_orders.workflow.lease import patiently

LEASE = timedelta(seconds=4)
LIMIT = 4
SLOTS = 4
EVENTS, BATCHES = 4, 3


async def serve(name: str) -> None:
    url, key = os.environ["SUPABASE_URL"], os.environ["SUPABASE_SERVICE_KEY"]
    async with SupabaseStore.open(url, key) as store, anyio.create_task_group() as group:
        done = anyio.Event()

        async def slot() -> None:
            while not done.is_set():
                request_id = str(uuid.uuid4())
                claim = await patiently(partial(store.claim, name, request_id, LEASE, LIMIT))
                if claim is None:
                    await anyio.sleep(random.uniform(0.05, 0.2))
                    continue
                print(json.dumps([claim.order_id, claim.token]), flush=True)
                try:
                    await run(store, claim)
                except LostLease:
                    continue

        async def reap() -> None:
            while not done.is_set():
                try:
                    await store.reap(50)
                    if all(status.is_terminal for status in (await store.counts()).by_status):
                        done.set()
                except StoreUnavailable:
                    pass
                await anyio.sleep(random.uniform(0.5, 1.0))

        for _ in range(SLOTS):
            group.start_soon(slot)
        group.start_soon(reap)


async def run(store: SupabaseStore, claim: Claim) -> None:
    last_seq = claim.order.last_seq
    for batch in range(BATCHES):
        numbers = range(batch * EVENTS, (batch + 1) * EVENTS)
        drafts = [Draft("agent_spoke", json.dumps({"token": claim.token, "number": number})) for number in numbers]
        written = await patiently(partial(store.write, claim, Batch(last_seq + 1, drafts=tuple(drafts)), LEASE))
        last_seq = written.last_seq
    await patiently(lambda: store.renew(claim, LEASE))
    await patiently(lambda: store.finish(claim, Outcome(Status.COMPLETED, "Done.")))


if __name__ == "__main__":
    anyio.run(serve, sys.argv[1])
