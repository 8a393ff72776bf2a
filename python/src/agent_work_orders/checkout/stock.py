"""Keeps the pool filled, in the background: one checkout at a time, and never while an order waits for its own."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path

import anyio
from anyio.to_thread import run_sync

from ..domain.errors import StepFailed
from ..domain.repository import RepositoryOptions
from ..domain.retention import Pressure
from . import removal
from .git_dir import new_root
from .mirror import Mirror
from .opening import Workshop
from .pool import INDEX, MARK, TREE, Ready, generation_of
from .server_index import copy_index
from .set_up import is_cached
from .space import Room

logger = logging.getLogger("archon.awo")

# Seconds from a wish to its fulfilment: an order that was just given its checkout starts its agent first.
CALM = 0.25


@dataclass(frozen=True)
class Wish:
    """So many checkouts of a repository's default branch are to be ready."""

    mirror: Mirror
    options: RepositoryOptions
    count: int


@dataclass
class Stock:
    """What is wished for, a repository's newest wish only, and whether anybody opens a checkout right now."""

    shop: Workshop
    room: Room
    _wishes: dict[str, Wish] = field(default_factory=dict)
    _due: dict[str, float] = field(default_factory=dict)
    _wished: anyio.Event = field(default_factory=anyio.Event)
    _calm: anyio.Event | None = None
    _opening: int = 0
    _work: anyio.CancelScope | None = None

    def wish(self, wish: Wish) -> None:
        self._wishes[wish.mirror.name] = wish
        self._due.setdefault(wish.mirror.name, anyio.current_time() + CALM)
        self._wished.set()

    @contextmanager
    def put_off(self) -> Iterator[None]:
        """As long as the block lasts nothing is prepared; what was being prepared is begun again later."""
        self._opening += 1
        if self._work is not None:
            self._work.cancel()
        try:
            yield
        finally:
            self._opening -= 1
            if not self._opening and self._calm is not None:
                self._calm.set()

    async def run(self, stopping: anyio.Event) -> None:
        """Prepares until the server stops; what is half done then is left as a draft, which nobody uses."""

        async def stop() -> None:
            await stopping.wait()
            tasks.cancel_scope.cancel()

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(stop)
            while True:
                await self._wait()
                name, wish = next(iter(self._wishes.items()))
                del self._wishes[name], self._due[name]
                with anyio.CancelScope() as self._work:
                    await self._fulfil(wish)
                if self._work.cancel_called:
                    self.wish(self._wishes.get(name, wish))
                self._work = None

    async def _wait(self) -> None:
        """Until a wish is due and nobody opens a checkout."""
        while True:
            if self._opening:
                self._calm = anyio.Event()
                await self._calm.wait()
            elif not self._wishes:
                self._wished = anyio.Event()
                await self._wished.wait()
            elif (due := self._due[next(iter(self._wishes))]) > anyio.current_time():
                await anyio.sleep_until(due)
            else:
                return

    async def _fulfil(self, wish: Wish) -> None:
        try:
            await self._prepare(wish)
        except (StepFailed, OSError) as error:
            logger.warning("No checkout of %s could be prepared: %s", wish.mirror.name, error)

    async def _prepare(self, wish: Wish) -> None:
        """Brings what is there up to date, makes what is missing, and takes away what nobody will ask for."""
        mirror, pool = wish.mirror, self.shop.pool
        fetched = mirror.fresh(timedelta.max, 0.0)
        commit = mirror.branch(fetched.default) if fetched and fetched.default else None
        if commit is None:
            return
        await run_sync(self.shop.git.prepare)
        key = await self.shop.set_ups.key(mirror, commit, wish.options)
        key = key if is_cached(key) and self.shop.set_ups.has(mirror, key) else ""
        wanted = Ready(commit, "", key)
        while await run_sync(self._missing, wish, wanted):
            if not await self._make_one(mirror, wanted):
                break
        await run_sync(pool.drop_unfit, mirror, commit, key, wish.count)
        await run_sync(removal.empty, self.shop.trash)

    def _missing(self, wish: Wish, wanted: Ready) -> bool:
        found = [ready for _, ready in self.shop.pool.entries(wish.mirror)]
        fit = [ready for ready in found if (ready.commit, ready.set_up) == (wanted.commit, wanted.set_up)]
        has_room = self.room.pressure() is Pressure.OK and self.shop.pool.has_room()
        return len(fit) < wish.count and has_room

    async def _make_one(self, mirror: Mirror, wanted: Ready) -> bool:
        pool = self.shop.pool
        reopened = await run_sync(pool.reopen, mirror, wanted.commit, wanted.set_up)
        draft, known = reopened or (await run_sync(pool.draft, mirror), None)
        try:
            ready = await self._fill(mirror, draft, wanted, known)
            if ready is not None:
                await run_sync(pool.finish, draft, ready)
            return ready is not None
        finally:
            if not (draft / MARK).exists():
                with anyio.CancelScope(shield=True):
                    await run_sync(pool.drop, draft)

    async def _fill(self, mirror: Mirror, draft: Path, wanted: Ready, known: Ready | None) -> Ready | None:
        """The working tree, what its set-up made, and the server's index of it."""
        shop, root = self.shop, draft / TREE
        if known is None:
            await run_sync(new_root, root, shop.owner)
        await shop.read_tree(wanted.commit, mirror=mirror, root=root, behind=True)
        hidden = known.hidden if known else ()
        if wanted.set_up and (known is None or known.set_up != wanted.set_up):
            restored = await shop.set_ups.restore(mirror, wanted.set_up, root)
            if restored is None:
                return None
            hidden = restored
        (draft / INDEX).unlink(missing_ok=True)
        await run_sync(copy_index, root, draft / INDEX)
        return Ready(wanted.commit, generation_of(mirror), wanted.set_up, hidden)
