"""An order that another server began: its newest checkpoint, brought to this disk for the next checkout to begin from.

Knows which commits may be taken because it is told; makes no checkout itself.
"""

from collections.abc import Awaitable, Callable, Sequence
from datetime import timedelta

from anyio.to_thread import run_sync

from ..domain.work_order import WorkOrder
from ..ports import TakenOver
from . import refs
from .child import Progress
from .git import Git, Remote
from .hidden import Found, HiddenRef
from .mirror import Mirror, OrderState
from .remote_moves import following


async def take_over(
    git: Git,
    mirror: Mirror,
    order: WorkOrder,
    branch: str,
    commits: Sequence[str],
    remote: Remote,
    freshness: timedelta,
    progress: Progress,
    save_what_is_here: Callable[[], Awaitable[None]],
) -> TakenOver:
    """See ports.Checkouts. `save_what_is_here` is for a checkout that another server's work has overtaken."""
    order_id = order.agent_work_order_id
    if not commits or order.base_commit is None or order.base_branch is None:
        return TakenOver(complete=True)
    if await _is_at_hand(mirror, order_id, commits[-1]):
        return TakenOver(complete=True)
    await mirror.refresh(remote, freshness, progress)
    hidden, notes = HiddenRef(git, mirror, order_id), mirror.notes()
    found = await following(git, remote, lambda there: hidden.take(there, branch, commits, progress), notes.append)
    if found is None or not await mirror.descends(found.commit, order.base_commit):
        return TakenOver(complete=False)
    state = mirror.state(order_id)
    if state and state.ready:
        await save_what_is_here()
    await run_sync(_begin_from, mirror, order_id, found, OrderState(order.base_branch, order.base_commit, ready=False))
    notes.append(f"Goes on from the checkpoint {found.commit[:12]} that another server had pushed.")
    return TakenOver(found.commit == commits[-1], tuple(dict.fromkeys(notes)))


async def _is_at_hand(mirror: Mirror, order_id: str, commit: str) -> bool:
    """Whether the disk has this checkpoint of the order's, or work that was built on it."""
    if not await run_sync(mirror.path.is_dir):
        return False
    kept = await run_sync(refs.refs_below, mirror.path, f"refs/awo/{order_id}/")
    head = mirror.ref(order_id, "head")
    return commit in kept.values() or (head is not None and await mirror.descends(head, commit))


def _begin_from(mirror: Mirror, order_id: str, found: Found, state: OrderState) -> None:
    mirror.save_state(order_id, state)
    mirror.keep(order_id, "base", state.base_commit)
    if found.pushed:
        mirror.keep(order_id, "pushed", found.pushed)
    mirror.keep(order_id, "head", found.commit)
