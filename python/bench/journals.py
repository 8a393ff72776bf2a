"""State for the pages to show, written by the store before a server starts: long journals and very many orders."""

import json
import random
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import anyio

from src.agent_work_orders.domain.events import (
    AgentSpoke,
    AgentStarted,
    CheckRun,
    Payload,
    StepFinished,
    StepStarted,
    ToolReturned,
    ToolUsed,
    UsageCounted,
    draft,
)
from src.agent_work_orders.domain.status import Status, StepStatus
from src.agent_work_orders.domain.work_order import NewWorkOrder, Outcome, StepResult, WorkOrderRequest, new_order_id
from src.agent_work_orders.store.database import Database
from src.agent_work_orders.store.sqlite import SqliteStore
from src.agent_work_orders.store.transaction import Transaction

URL, KEY = "https://github.com/bench/pages", "github.com/bench/pages"
LEASE = timedelta(hours=12)
AT_ONCE = 1_000
STEPS = ("create-branch", "planning", "execute", "prp-review", "commit", "create-pr")
TALE = (
    "the parser reads an empty line as the end of a block and then drops what follows so a test that only looks at "
    "the first block never sees it which is why I begin with a case that has two of them"
)
WORDS = TALE.split()
PROSE = (
    "{0}\n\n- {1}\n- `{2}` calls it **twice**\n\n```python\ndef {2}(line: str) -> list[str]:\n"
    "    return [part for part in line.split() if part]\n```\n\n{3}"
)


class Clock:
    """Goes on by itself with every look, so that a long journal is not all of one instant."""

    def __init__(self, began: datetime) -> None:
        self.now = began

    def __call__(self) -> datetime:
        self.now += timedelta(seconds=0.15)
        return self.now


@dataclass(frozen=True)
class Seeded:
    """Ids of what was written: orders by the number of events that they have."""

    journals: dict[int, str]


def seed(home: Path, journals: tuple[int, ...], orders: int) -> Seeded:
    """Writes completed orders with so many events each, and so many older ones without any to speak of."""
    return anyio.run(_seed, home / "awo.db", journals, orders)


async def _seed(path: Path, journals: tuple[int, ...], orders: int) -> Seeded:
    clock = Clock(datetime.now(UTC) - timedelta(hours=6))
    ids: dict[int, str] = {}
    async with SqliteStore.open(path, clock=clock) as store:
        for events in journals:
            ids[events] = await _journal(store, events)
        pattern = [await _short(store, status) for status in (Status.COMPLETED, Status.FAILED, Status.CANCELLED)]
    database = Database(path, clock, lambda news: None)
    await database.open()
    try:
        await database.write(lambda tx: _multiply(tx, pattern, orders))
    finally:
        await database.close()
    return Seeded(ids)


async def _journal(store: SqliteStore, events: int) -> str:
    """One completed order of all six steps, whose journal has exactly so many events."""
    order_id = await _file(store, f"Mend the parser ({events:,} events)")
    claim = await store.claim("bench", str(uuid.uuid4()), LEASE, 1000)
    assert claim is not None, "the order is there to be claimed"
    last_seq, randomness = claim.order.last_seq, random.Random(events)
    # The store tells of the end by itself.
    left = events - last_seq - 1
    for number, name in enumerate(STEPS, 1):
        await store.start_step(claim, number, name, "claude")
        # Most of it is the execution; what is over falls to the last step.
        share = left if number == len(STEPS) else int(events * (0.75 if name == "execute" else 0.02))
        left -= share
        drafts = [draft(payload, number) for payload in _step(name, share, randomness)]
        for at in range(0, len(drafts), AT_ONCE):
            last_seq = await store.append(claim, last_seq + 1, drafts[at : at + AT_ONCE])
        result = StepResult(
            step_order=number,
            step_name=name,
            agent_name="claude",
            status=StepStatus.COMPLETED,
            duration_seconds=60.0,
            cost_usd=0.2,
        )
        await store.finish_step(claim, result)
    ended = await store.finish(claim, Outcome(Status.COMPLETED, "Opened pull request #1."))
    if ended.last_seq != events:
        raise AssertionError(f"{ended.last_seq} events instead of {events}")
    return order_id


async def _short(store: SqliteStore, status: Status) -> str:
    order_id = await _file(store, "Mend a small thing")
    claim = await store.claim("bench", str(uuid.uuid4()), LEASE, 1000)
    assert claim is not None, "the order is there to be claimed"
    await store.finish(claim, Outcome(status, "Over."))
    return order_id


async def _file(store: SqliteStore, words: str) -> str:
    request = WorkOrderRequest(repository_url=URL, user_request=words, workflow_type="agent_workflow_plan")
    order_id = new_order_id()
    await store.enqueue(NewWorkOrder(order_id, request, URL, KEY, order_id))
    return order_id


def _step(name: str, events: int, randomness: random.Random) -> Iterator[Payload]:
    """Exactly so many events of one step: words, calls with what came back, now and then what it cost."""
    yield StepStarted(step_name=name, agent_name="claude")
    yield AgentStarted(session_id=str(uuid.UUID(int=1)), model="bench", version="1", resumed=False)
    left = events - 3
    while left > 0:
        for payload in _turn(randomness)[:left]:
            yield payload
            left -= 1
    yield StepFinished(step_name=name, status=StepStatus.COMPLETED, duration_seconds=60.0, cost_usd=0.2)


def _turn(randomness: random.Random) -> list[Payload]:
    """What an agent does between two breaths: it speaks, calls one to five tools, and is charged."""
    turn: list[Payload] = [AgentSpoke(text=_prose(randomness))]
    for _ in range(randomness.randint(1, 5)):
        use = uuid.UUID(int=randomness.getrandbits(128)).hex
        tool, given = randomness.choice(
            [
                ("Bash", {"command": "python -m pytest -q tests/test_parser.py"}),
                ("Read", {"file_path": "src/parser.py"}),
                ("Grep", {"pattern": "def parse", "path": "src"}),
                ("Edit", {"file_path": "src/parser.py", "old_string": _line(randomness), "new_string": "pass"}),
            ]
        )
        lines = "\n".join(_line(randomness) for _ in range(randomness.randint(1, 30)))
        turn.append(ToolUsed(tool_use_id=use, tool=tool, input=given))
        turn.append(ToolReturned(tool_use_id=use, output=lines, is_error=randomness.random() < 0.02))
    turn.append(UsageCounted(input_tokens=1_000, output_tokens=100, cost_usd=0.01))
    if randomness.random() < 0.01:
        turn.append(_check(randomness))
    return turn


def _check(randomness: random.Random) -> CheckRun:
    return CheckRun(
        command="make test",
        source="Makefile",
        exit_code=0,
        passed=True,
        duration_seconds=12.0,
        commit="0" * 40,
        output_tail="\n".join(_line(randomness) for _ in range(10)),
        repair_round=0,
    )


def _prose(randomness: random.Random) -> str:
    if randomness.random() < 0.6:
        return _line(randomness).capitalize() + "."
    name = f"read_{randomness.choice(WORDS)}"
    return PROSE.format(_line(randomness), _line(randomness), name, _line(randomness))


def _line(randomness: random.Random) -> str:
    return " ".join(randomness.choices(WORDS, k=randomness.randint(4, 18)))


def _multiply(tx: Transaction, pattern: list[str], orders: int) -> None:
    """Copies of the given orders, half a minute apart, each older than all that is there. Not one by one: 100,000
    transactions would take minutes."""
    columns = [row["name"] for row in tx.db.execute("pragma table_info(agent_work_orders)").fetchall()]
    copied = [name for name in columns if name not in _OF_ITS_OWN]
    first_rev = tx.one("select value from agent_work_order_counters where name = 'rev'")["value"]
    tx.db.execute(
        f"""
        with recursive number (n) as (select 1 union all select n + 1 from number where n < :orders)
        insert into agent_work_orders ({", ".join([*copied, *_OF_ITS_OWN])})
        select {", ".join(f"o.{name}" for name in copied)}, {", ".join(_OF_ITS_OWN.values())}
        from number join agent_work_orders o
            on o.agent_work_order_id = json_extract(:pattern, '$[' || (n % :kinds) || ']')
        """,  # noqa: S608 - names of columns, and expressions from below
        {"orders": orders, "pattern": json.dumps(pattern), "kinds": len(pattern), "rev": first_rev},
    )
    tx.db.execute("update agent_work_order_counters set value = value + ? where name = 'rev'", (orders,))


_OF_ITS_OWN = {
    "agent_work_order_id": "'wo-' || printf('%016x', n)",
    "idempotency_key": "'bench-' || n",
    "sandbox_identifier": "'wo-' || printf('%016x', n)",
    "user_request": "'Mend thing number ' || n || ' of very many'",
    "rev": ":rev + n",
    "created_at": "o.created_at - 30000000 * n",
    "order_no": "null",
    # Of a claim there is one.
    "settled_token": "null",
    "settled_by": "null",
}
