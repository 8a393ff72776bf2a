"""First clones that begin when an order is accepted, while it is on its way to its slot. Whoever opens a checkout of
such a repository meanwhile joins. What brings a mirror is given."""

import logging
import math
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import anyio
from anyio.abc import TaskGroup

from ..domain.errors import StepFailed, WorkOrderError
from ..tracing import span
from .child import Progress
from .mirror import TakeFiles

logger = logging.getLogger("archon.awo")

# At most so many at once: who files a hundred orders for as many repositories fills neither the line nor the disk.
AT_ONCE = 2
# Seconds in which the order comes, or else it went to another server, or nowhere: what nobody waits for is stopped.
PATIENCE = 10.0

# Returns what people should know of it, one sentence each.
Bring = Callable[[Progress, TakeFiles], Awaitable[Sequence[str]]]


@dataclass
class _Coming:
    """One mirror on its way. Who joined hears how far it is, and the first who wants the files gets them."""

    keep: TakeFiles
    scope: anyio.CancelScope
    listeners: list[Progress] = field(default_factory=list)
    takers: list[TakeFiles] = field(default_factory=list)
    over: anyio.Event = field(default_factory=anyio.Event)
    failure: StepFailed | None = None
    notes: Sequence[str] = ()

    def tell(self, phase: str, percent: int) -> None:
        for listener in self.listeners:
            listener(phase, percent)

    def take(self, tree: Path, commit: str) -> None:
        """In a thread."""
        take = next(iter(self.takers), self.keep)
        take(tree, commit)


class Expected:
    """The mirrors that are on their way because somebody will want them."""

    def __init__(self, patience: float = PATIENCE) -> None:
        self._patience = patience
        self._coming: dict[Path, _Coming] = {}
        # Where they are brought, as long as the server runs.
        self.tasks: TaskGroup | None = None

    def expect(self, mirror: Path, bring: Bring, keep: TakeFiles) -> None:
        """Begins to bring a mirror, unless others are coming already. Files that nobody takes are given to `keep`."""
        if self.tasks is None or mirror in self._coming or len(self._coming) >= AT_ONCE:
            return
        scope = anyio.CancelScope(deadline=anyio.current_time() + self._patience)
        coming = self._coming[mirror] = _Coming(keep, scope)
        self.tasks.start_soon(self._bring, mirror, coming, bring)

    async def join(self, mirror: Path, progress: Progress, take: TakeFiles | None) -> Sequence[str] | None:
        """None unless the mirror was on its way and is there now; else what people should know of it. Raises what went
        wrong with it (StepFailed), for whoever joined.

        With the last who leaves before it is there, it is stopped; nothing of it runs when this returns.
        """
        coming = self._coming.get(mirror)
        if coming is None:
            return None
        coming.scope.deadline = math.inf
        coming.listeners.append(progress)
        takers = [take] if take else []
        coming.takers += takers
        try:
            # The clone itself belongs to the request that filed the order; in the order's own trace it is the wait.
            with span("git clone", outside=True, joined=True):
                await coming.over.wait()
        finally:
            coming.listeners.remove(progress)
            for one in takers:
                coming.takers.remove(one)
            if not coming.listeners and not coming.over.is_set():
                coming.scope.cancel()
                with anyio.CancelScope(shield=True):
                    await coming.over.wait()
        if coming.failure is not None:
            raise coming.failure
        is_there = mirror.is_dir()  # noqa: ASYNC240 - a look costs less than the way to a thread
        return coming.notes if is_there else None

    async def _bring(self, mirror: Path, coming: _Coming, bring: Bring) -> None:
        try:
            with coming.scope:
                coming.notes = await bring(coming.tell, coming.take)
        except StepFailed as failure:
            coming.failure = failure
        except WorkOrderError as failure:  # no room, or no store to ask for the token: who joined goes on by itself
            logger.info("%s is not brought beforehand: %s", mirror.name, failure.message)
        finally:
            del self._coming[mirror]
            coming.over.set()
