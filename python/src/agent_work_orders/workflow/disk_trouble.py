"""What a disk that will not take any more means for a run: it waits until there is room, and loses nothing."""

import errno
from datetime import timedelta
from pathlib import Path

import anyio

from ..domain.errors import DiskFull, FailureClass, MustWait, StepFailed
from ..domain.events import OrderWaiting
from ..domain.retention import MB
from ..domain.status import WaitingReason
from ..domain.work_order import utc_now
from .lease import patiently
from .progress import Progress

# Clean-up calls the order back as soon as there is room; this is for a server that never comes to it.
LOOK_AGAIN_AFTER = timedelta(minutes=10)
# An order that itself fills the disk again and again must not spend money for ever.
MOST_WAITS = 10
NOTHING_LEFT = 1 * MB
MEASURE_EVERY = 10.0
_NEVER_THE_DISK = frozenset({FailureClass.AUTH, FailureClass.BUDGET, FailureClass.POLICY, FailureClass.CONFLICT})


async def meaning_of(progress: Progress, error: StepFailed | OSError) -> StepFailed | MustWait:
    """How a run goes on that ended in this error. An OSError that the disk does not explain is a bug and goes on up."""
    failure = error if isinstance(error, StepFailed) else disk_failure(error)
    if not isinstance(failure, DiskFull) and _explains(progress, failure):
        failure = DiskFull(f"The disk is full. {failure.message}")
    if not isinstance(failure, DiskFull) or await _waits_for_room(progress) >= MOST_WAITS:
        return failure
    return MustWait(
        WaitingReason.DISK, failure.message, until=utc_now() + LOOK_AGAIN_AFTER, next_action=failure.next_action
    )


def disk_failure(error: OSError) -> StepFailed:
    """What an unusable disk means for the order; any other OSError is a bug and goes on up."""
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return DiskFull()
    if error.errno not in (errno.EROFS, errno.EACCES, errno.EIO):
        raise error
    return StepFailed(
        FailureClass.DISK,
        f"The disk cannot be used: {error.strerror}.",
        next_action="Mend the permissions of the AWO directories, or mount the volume for writing; then retry.",
    )


def _explains(progress: Progress, failure: StepFailed) -> bool:
    """Whether there is no room at all: then what a program made of that, in its own words, is no reason by itself."""
    volume = progress.tools.volume
    if volume is None or failure.failure_class in _NEVER_THE_DISK:
        return False
    try:
        space, _ = volume.space()
    except OSError:
        return False
    return space.free_bytes < NOTHING_LEFT or (space.total_files > 0 and space.free_files == 0)


async def _waits_for_room(progress: Progress) -> int:
    told = await patiently(
        lambda: progress.tools.store.events(
            progress.claim.order_id, before_seq=progress.journal.last_seq + 1, kinds=frozenset({OrderWaiting.kind})
        )
    )
    waits = [OrderWaiting.model_validate_json(wait.payload) for wait in told if wait.attempt == progress.order.attempt]
    return sum(wait.reason is WaitingReason.DISK for wait in waits)


async def over_quota(progress: Progress, root: Path, *, once: bool = False) -> StepFailed | None:
    """Measures an order's files now and then, and comes back when they hold more than they may; with `once`, at once.

    None without a quota, and if all is well.
    """
    quota, volume = progress.quota_bytes, progress.tools.volume
    while quota is not None and volume is not None:
        held = await volume.size_of([root, progress.artifacts.folder])
        if held > quota:
            return StepFailed(
                FailureClass.DISK,
                f"The order's files hold {held / MB:,.0f} MB; they may hold {quota / MB:,.0f} MB.",
                next_action="Raise the quota (AWO_ORDER_QUOTA_MB, or quota_mb of the repository), or ask for less; "
                "then retry the order.",
            )
        if once:
            return None
        await anyio.sleep(MEASURE_EVERY)
    return None
