"""Two things at once, with failures that come out as they are: a task group alone would wrap them."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import anyio

from ..domain.errors import WorkOrderError


@asynccontextmanager
async def meanwhile(act: Callable[[], Awaitable[object]]) -> AsyncIterator[None]:
    """Does `act` beside the block, and ends when both have. Who fails first ends the other and is what is raised."""
    failure: WorkOrderError | OSError | None = None

    async def guarded() -> None:
        nonlocal failure
        try:
            await act()
        except (WorkOrderError, OSError) as error:
            failure = failure or error
            tasks.cancel_scope.cancel()

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(guarded)
        try:
            yield
        except (WorkOrderError, OSError) as error:
            failure = failure or error
            tasks.cancel_scope.cancel()
    if failure is not None:
        raise failure
