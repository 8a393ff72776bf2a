"""The mirrors and checkouts on a volume: opening an order's checkout, fast, and taking it away again.

A checkout is populated by the server once; what is read from it afterwards is in `checkout.py` and `snapshot.py`.
"""

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from functools import partial
from pathlib import Path

import anyio
from anyio.to_thread import run_sync

from ..domain.errors import FailureClass, FieldProblem, InvalidInput, NotFound, StepFailed
from ..domain.repository import Repository, RepositoryOptions, branch_problem
from ..domain.retention import Marks, Space
from ..domain.work_order import WorkOrder
from ..ports import NO_OPTIONS, Diff, MirrorView, TakenOver
from . import disk, extras, inspect, removal, resting
from .bundles import load_order, save_order
from .checkout import GitCheckout, SetUp
from .child import Progress
from .clean_up import CleanUp
from .failures import refused
from .git import Git, Remote
from .hidden import HiddenRef
from .maintenance import keep_up, views_of
from .mirror import ORDER_ID, Fetched, Mirror, OrderState
from .opening import Begun, Opened, Opening, Start, Workshop
from .pool import Pool
from .remote_moves import following
from .set_up import SetUps
from .space import Room
from .stock import Stock, Wish
from .submodules import Submodules
from .takeover import take_over

logger = logging.getLogger("archon.awo")


@dataclass(frozen=True)
class _Found:
    """What a first look found. About `needed` bytes will be taken, 0 for a checkout that is there; `space` is what the
    volume has.
    """

    start: Start | None
    begun: Begun | None
    needed: int
    space: Space


class GitCheckouts:
    """ports.Checkouts on a volume: mirrors in `.mirrors`, an order's checkout in `<order id>/<repository name>`."""

    def __init__(
        self,
        repositories_dir: Path,
        *,
        freshness: Callable[[], timedelta],
        insecure_hosts: Callable[[], frozenset[str]],
        agent_user: tuple[int, int] | None = None,
        marks: Mapping[str, str] | None = None,
        git: str = "git",
        prepared: Callable[[], int] = lambda: 0,
        repository: Callable[[str], Repository] | None = None,
        room: Room | None = None,
        clean_up: CleanUp | None = None,
        clone_timeout: timedelta = timedelta(hours=1),
        command_timeout: timedelta = timedelta(minutes=10),
    ) -> None:
        self._directory = repositories_dir.absolute()
        self._room = room or Room(self._directory, lambda: Marks(0, 0))
        self._mirrors, self._trash = self._directory / ".mirrors", self._directory / ".trash"
        self._freshness, self._insecure_hosts, self._clone_limit = freshness, insecure_hosts, clone_timeout
        self._prepared, self._clean_up = prepared, clean_up
        self._runner = Git(self._mirrors / ".server", git, command_timeout, agent_user, marks)
        submodules = Submodules(
            self._runner, self._mirrors, repository or _no_submodule, self._remote, freshness, clone_timeout
        )
        pool = Pool(self._directory / ".ready", self._trash)
        set_ups = SetUps(self._runner, self._directory / ".setup")
        self._shop = Workshop(self._runner, pool, set_ups, submodules, self._trash, agent_user, clone_timeout)
        self._stock = Stock(self._shop, self._room)

    async def open(
        self,
        order: WorkOrder,
        repository: Repository,
        branch: str,
        token: str | None,
        progress: Progress,
        *,
        options: RepositoryOptions = NO_OPTIONS,
    ) -> GitCheckout:
        """See ports.Checkouts. What was left out or met on the way is in the checkout's `notes`."""
        if problem := branch_problem(branch):
            raise refused(f"The branch name {problem}", "Retry the order; if it happens again, report it as a bug.")
        mirror = self._mirror(repository, options)
        mirror.remote = self._remote(repository, token)
        with disk.storage_failures():
            if not self._mirrors.is_dir():  # a look costs less than the way to a thread
                await run_sync(self._runner.prepare)
            checkout = await mirror.using(
                lambda: self._open(mirror, order, repository, branch, token, progress, options)
            )
        for said in mirror.notes():
            checkout.note(said)
        return checkout

    async def _open(
        self,
        mirror: Mirror,
        order: WorkOrder,
        repository: Repository,
        branch: str,
        token: str | None,
        progress: Progress,
        options: RepositoryOptions,
    ) -> GitCheckout:
        root, order_id = self._root(order, repository), order.agent_work_order_id
        wish = Wish(mirror, options, self._to_prepare(options))
        remote, freshness = self._remote(repository, token), self._freshness()
        from_start = partial(
            Opening, self._shop, mirror, root, order_id, repository, branch, options,
            order.working_subdir or "" if options.sparse else "", remote, progress,
        )  # fmt: skip
        async with disk.opening(self._directory):  # clean-up either saw the order run, or has done its work
            found = await run_sync(self._look, mirror, order, freshness, from_start)
        if found.start is None:
            with self._room.promised(order_id, found.needed, found.space):
                await mirror.refresh(remote, freshness, progress)
            found = await run_sync(self._look, mirror, order, timedelta.max, from_start)  # now the size is known
        start, begun = found.start, found.begun
        with self._room.promised(order_id, found.needed, found.space):
            if start and start.state.ready:
                left = await self._left(mirror, root, order, repository, branch, start.state, wish)
                if await run_sync(left.is_sound):
                    return left
                await left.rescue()
                start = await run_sync(self._start, mirror, order, freshness)  # what was rescued is its end now
            if start is None:
                raise refused("The mirror of the repository vanished while a checkout was opened", "Retry the order.")
            opening = from_start(start)
            with self._stock.put_off():
                opened = await opening.populate(begun)
                checkout = self._checkout(mirror, root, order, repository, branch, start.state, wish, opened)
                await run_sync(self._finish, opening, opened, checkout, start.state)
        if checkout.set_up:
            self._stock.wish(wish)
        return checkout

    async def run(self, stopping: anyio.Event) -> None:
        """Prepares checkouts of repositories that orders were opened on, until the server stops."""
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(keep_up, self._runner, self._mirrors, self._clone_limit, stopping)
            await self._stock.run(stopping)
            tasks.cancel_scope.cancel()

    async def mirrors(self) -> list[MirrorView]:
        """See ports.Checkouts."""
        return await run_sync(views_of, self._mirrors)

    async def take_over(
        self,
        order: WorkOrder,
        repository: Repository,
        branch: str,
        token: str | None,
        commits: Sequence[str],
        progress: Progress,
        *,
        options: RepositoryOptions = NO_OPTIONS,
    ) -> TakenOver:
        """See ports.Checkouts. What is in an older checkout of the order on this disk is saved before it goes."""
        mirror, remote = self._mirror(repository, options), self._remote(repository, token)

        async def save_what_is_here() -> None:
            state = mirror.state(order.agent_work_order_id)
            if state is not None:
                root, wish = self._root(order, repository), Wish(mirror, options, 0)
                left = await self._left(mirror, root, order, repository, branch, state, wish)
                await left.rescue()

        mirror.remote = remote
        with disk.storage_failures():
            await run_sync(self._runner.prepare)
            return await mirror.using(
                lambda: take_over(
                    self._runner, mirror, order, branch, commits, remote, self._freshness(), progress, save_what_is_here
                )
            )

    async def unshare(self, order_id: str, repository: Repository, token: str | None) -> None:
        """See ports.Checkouts."""
        hidden = HiddenRef(self._runner, self._mirror(repository), order_id)
        if not await run_sync(hidden.is_known):
            return
        with disk.storage_failures():
            await run_sync(self._runner.prepare)
            await following(self._runner, self._remote(repository, token), hidden.delete, logger.info)

    async def diff(self, order: WorkOrder, repository: Repository) -> Diff:
        """See ports.Checkouts."""
        mirror, order_id = self._mirror(repository), order.agent_work_order_id
        base, head = mirror.ref(order_id, "base"), mirror.ref(order_id, "head")
        if base is None or head is None:
            raise NotFound("This work order has no checkpoint yet.", next_action="Look again after its first step.")
        files = await mirror.using(partial(run_sync, inspect.file_diffs, mirror.path, base, head))
        return Diff(base, head, files)

    async def bundle(self, order: WorkOrder, repository: Repository, folder: Path) -> bool:
        """See ports.Branches."""
        with disk.storage_failures():
            return await save_order(self._runner, self._mirror(repository), order.agent_work_order_id, folder)

    async def unbundle(self, order: WorkOrder, repository: Repository, token: str | None, folder: Path) -> None:
        """See ports.Branches. Makes the mirror anew where there is none."""
        mirror = self._mirror(repository)
        with disk.storage_failures():
            await run_sync(self._runner.prepare)
            await mirror.refresh(self._remote(repository, token), self._freshness(), lambda phase, percent: None)
            async with mirror.locked():
                await load_order(self._runner, mirror, order.agent_work_order_id, folder)

    async def save(self, order: WorkOrder, repository: Repository) -> None:
        """See ports.Checkouts."""
        mirror, root = self._mirror(repository), self._root(order, repository)
        state = mirror.state(order.agent_work_order_id)
        if state is None or not state.ready or not await run_sync(disk.is_directory, root):
            return
        branch, wish = order.git_branch_name or "none", Wish(mirror, NO_OPTIONS, 0)
        left = await self._left(mirror, root, order, repository, branch, state, wish)
        await left.checkpoint("clean-up", "Files that were in no checkpoint when the checkout was removed")

    async def clean_up(self, order: WorkOrder, repository: Repository) -> None:
        """See ports.Checkouts."""
        if self._clean_up is not None:
            await self._clean_up(order.agent_work_order_id, repository, self._root(order, repository))

    async def remove(self, order: WorkOrder, repository: Repository) -> None:
        """See ports.Checkouts. Renamed aside, then deleted; StepFailed (disk) says what would not go."""
        await self.clean_up(order, repository)
        with disk.storage_failures():
            await run_sync(disk.set_aside, self._root(order, repository).parent, self._trash)
            await self._mirror(repository).forget(order.agent_work_order_id)
            problems = await run_sync(removal.empty, self._trash)
        if problems:
            raise StepFailed(
                FailureClass.DISK,
                f"{len(problems)} entries of a removed checkout could not be deleted: {problems[0]}.",
                next_action=f"Delete what is left in {self._trash} by hand.",
            )

    def _look(
        self, mirror: Mirror, order: WorkOrder, freshness: timedelta, from_start: Callable[[Start], Opening]
    ) -> _Found:
        """Where the order stands; and what needs nobody else's word is begun at once, while somebody is here."""
        self._runner.prepare()
        start, begun = self._start(mirror, order, freshness), None
        needed, space = 0 if start and start.state.ready else self._room.estimate(mirror.path), self._room.space()
        if start and not start.state.ready and self._room.holds(needed, space):
            begun = from_start(start).begin_without_set_up()
        return _Found(start, begun, needed, space)

    def _start(self, mirror: Mirror, order: WorkOrder, freshness: timedelta) -> Start | None:
        """Where the order stands, or else starts from: the base branch as the remote has it now, or the commit it once
        started from. None when the mirror has to be fetched to tell.
        """
        order_id = order.agent_work_order_id
        state = mirror.state(order_id)
        if state is None:
            fetched = mirror.fresh(freshness, float("inf"))
            if fetched is None:
                return None
            state = self._first_state(mirror, order, fetched)
        return Start(state, mirror.ref(order_id, "head") or state.base_commit)

    def _first_state(self, mirror: Mirror, order: WorkOrder, fetched: Fetched) -> OrderState:
        base_branch = order.base_branch or fetched.default
        if base_branch is None:
            raise refused("The repository has no default branch", "File the work order again and name its base_branch.")
        base = mirror.ref(order.agent_work_order_id, "base") or mirror.branch(base_branch)
        if base is None:
            raise refused(
                f"The repository has no branch {base_branch}",
                "File the work order again with a base_branch that exists, or push that branch first.",
            )
        return OrderState(base_branch, base, ready=False)

    def _finish(self, opening: Opening, opened: Opened, checkout: GitCheckout, state: OrderState) -> None:
        opening.finish(opened)
        checkout.settle(replace(state, ready=True))

    def _to_prepare(self, options: RepositoryOptions) -> int:
        """How many checkouts are kept ready. What is fetched for each order anew cannot be."""
        if options.submodules or options.lfs:
            return 0
        return self._prepared() if options.prepared_checkouts is None else options.prepared_checkouts

    async def _left(
        self,
        mirror: Mirror,
        root: Path,
        order: WorkOrder,
        repository: Repository,
        branch: str,
        state: OrderState,
        wish: Wish,
    ) -> GitCheckout:
        """A checkout that should still be there."""
        order_id = order.agent_work_order_id
        ours = mirror.order_dir(order_id)
        await run_sync(resting.wake, root, ours / "index", self._shop.owner)
        found, key = await run_sync(extras.load, ours), ""
        if found.due:
            start = await run_sync(mirror.ref, order_id, "head") or state.base_commit
            key = await self._shop.set_ups.key(mirror, start, wish.options)
        left = Opened(found, key)
        return self._checkout(mirror, root, order, repository, branch, state, wish, left, resumed=True)

    def _checkout(
        self,
        mirror: Mirror,
        root: Path,
        order: WorkOrder,
        repository: Repository,
        branch: str,
        state: OrderState,
        wish: Wish,
        opened: Opened,
        *,
        resumed: bool = False,
    ) -> GitCheckout:
        set_up = SetUp(self._shop.set_ups, opened.key, self._shop.owner, lambda: self._stock.wish(wish))
        remote = self._remote(repository, None)
        return GitCheckout(
            self._runner, mirror, root, order, branch, remote, state, opened, set_up, resumed=resumed
        )  # fmt: skip

    def _mirror(self, repository: Repository, options: RepositoryOptions = NO_OPTIONS) -> Mirror:
        return Mirror(
            self._runner, self._mirrors, repository.key, self._clone_limit,
            without_contents=options.partial_clone, depth=options.depth,
        )  # fmt: skip

    def _root(self, order: WorkOrder, repository: Repository) -> Path:
        if not ORDER_ID.match(order.agent_work_order_id):
            raise ValueError(f"not an order id: {order.agent_work_order_id!r}")
        return self._directory / order.agent_work_order_id / repository.name

    def _remote(self, repository: Repository, token: str | None) -> Remote:
        return Remote(repository.url, repository.host, repository.host in self._insecure_hosts(), token)


def _no_submodule(address: str) -> Repository:
    raise InvalidInput([FieldProblem("url", "cannot be looked at by this server")])
