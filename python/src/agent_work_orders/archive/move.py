"""Everything of one store into another: looked at first, copied order by order, compared at the end. Knows no backend.

A move may be stopped at any moment and begun again: what has arrived is left as it is.
"""

from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from typing import Protocol

from ..domain.errors import NotFound, WorkOrderError
from ..domain.exported import Census
from ..domain.work_order import WorkOrder
from ..ports import Store, Transfers

PAGE = 200


class Movable(Store, Transfers, Protocol):
    """A store that orders can leave and reach."""


class CannotMove(WorkOrderError):
    """A move that must not be; nothing has been written, or what was written is whole and may stay."""

    code = "cannot_move"


@dataclass(frozen=True)
class Inventory:
    """What a move would do. `there` are orders that have arrived before; `running` those that a worker holds."""

    source: Census
    target: Census
    there: int
    conflicts: tuple[str, ...]
    running: tuple[str, ...]


@dataclass(frozen=True)
class Moved:
    """What a move did. Every order that is counted here was read again from the target and is the same."""

    created: int
    there: int
    events: int


async def take_inventory(source: Movable, target: Movable) -> Inventory:
    """Changes nothing. StoreUnavailable, with what to run, when one of the two cannot be used."""
    await source.check()
    await target.check()
    there, conflicts = 0, []
    known = await target.census()
    if known.orders:
        async for order in all_orders(source):
            match await _is_there(source, target, order.agent_work_order_id):
                case True:
                    there += 1
                case False:
                    conflicts.append(order.agent_work_order_id)
    running = [order_id for order_id, _, _ in (await source.counts()).leases]
    return Inventory(await source.census(), known, there, tuple(conflicts), tuple(running))


async def move(source: Movable, target: Movable, tell: Callable[[int], None] = lambda number: None) -> Moved:
    """Copies everything, then compares it. `tell` hears how many orders have arrived.

    Orders whose worker went silent are taken back first, as the reaper would. CannotMove while workers hold others,
    when the target has other states of the same orders, or when the source was used meanwhile.
    """
    await source.check()
    await target.check()
    await source.reap(1000)
    inventory = await take_inventory(source, target)
    refuse_conflicts(inventory)
    rev = await source.last_rev()
    given = await source.export_surroundings()
    await target.import_surroundings(given)
    if missing := given.missing_in(await target.export_surroundings()):
        raise CannotMove(
            f"The target has other rows of {missing[0]} than the source.",
            next_action="Give the repositories the same settings on both sides, then run the move again.",
        )
    created = there = events = 0
    async for order in all_orders(source):
        if await target.import_order(await source.export_order(order.agent_work_order_id)):
            created += 1
        else:
            there += 1
        events += order.last_seq
        tell(created + there)
    await _compare(source, target)
    if await source.last_rev() != rev:
        raise CannotMove(
            "The source was used while it was moved; what arrived is whole, but some of it may be old.",
            next_action="Stop every server that works on the source, then run the move again.",
        )
    return Moved(created, there, events)


def refuse_conflicts(inventory: Inventory) -> None:
    """CannotMove unless everything can go."""
    if inventory.running:
        raise CannotMove(
            f"{len(inventory.running)} orders are running on the source ({_some(inventory.running)}).",
            next_action="Stop its servers. An order whose server was killed is free after AWO_LEASE_SECONDS; then run "
            "the move again.",
        )
    if inventory.conflicts:
        raise CannotMove(
            f"The target has another state of {len(inventory.conflicts)} orders ({_some(inventory.conflicts)}).",
            next_action="Compare them, delete on one side what is not wanted, then run the move again.",
        )


async def all_orders(store: Store) -> AsyncIterator[WorkOrder]:
    """Every order, archived ones too, the one that changed last at the end. One that changes meanwhile comes again."""
    rev = 0
    while page := await store.changes(rev, PAGE):
        for order in page:
            yield order
        rev = page[-1].rev


async def _compare(source: Movable, target: Movable) -> None:
    async for order in all_orders(source):
        if await _is_there(source, target, order.agent_work_order_id) is not True:
            raise CannotMove(
                f"{order.agent_work_order_id} is not the same on both sides.",
                next_action="Stop every server that works on either side, then run the move again.",
            )


async def _is_there(source: Movable, target: Movable, order_id: str) -> bool | None:
    """Whether the target has the very same order; None if it has none of this id."""
    try:
        found = await target.export_order(order_id)
    except NotFound:
        return None
    return found.digest() == (await source.export_order(order_id)).digest()


def _some(order_ids: tuple[str, ...]) -> str:
    return ", ".join(order_ids[:3]) + (", …" if len(order_ids) > 3 else "")
