"""The mirrors and checkouts on a volume: opening an order's checkout, fast, and taking it away again.

A checkout is populated by the server once; what is read from it afterwards is in `checkout.py` and `snapshot.py`.
"""

import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from functools import partial
from pathlib import Path

import anyio
from anyio.to_thread import run_sync

from ..domain.errors import FailureClass, FieldProblem, InvalidInput, NotFound, StepFailed, WorkOrderError
from ..domain.repository import Repository, RepositoryOptions, branch_problem
from ..domain.retention import Marks, Space
from ..domain.work_order import WorkOrder
from ..ports import NO_OPTIONS, Diff, MirrorView, TakenOver
from . import disk, extras, inspect, removal, resting
from .bundles import load_order, save_order
from .checkout import GitCheckout, SetUp
from .child import Progress
from .clean_up import CleanUp
from .expected import Expected
from .failures import refused
from .git import Git, Remote
from .hidden import HiddenRef
from .maintenance import keep_up, views_of
from .mirror import ORDER_ID, Fetched, Mirror, OrderState, TakeFiles
from .opening import Begun, Files, Opened, Opening, Start, Workshop
from .pool import Pool
from .remote_moves import following
from .set_up import SetUps
from .space import Room
from .stock import Stock, Wish
from .submodules import Submodules
from .takeover import take_over

logger = logging.getLogger("archon.awo")


@dataclass(frozen=True)
class _Wanted:
    """Whose checkout, of what, and where."""

    mirror: Mirror
    root: Path
    order: WorkOrder
    repository: Repository
    branch: str
    options: RepositoryOptions
    wish: Wish

    @property
    def subdir(self) -> str:
        """Empty unless it alone is wanted on disk."""
        return self.order.working_subdir or "" if self.options.sparse else ""


@dataclass(frozen=True)
class _Found:
    """What a look found. About `needed` bytes will be taken, 0 for a checkout that is there; `space` is what the volume
    has. `made` is a new checkout for which there was nothing to wait.
    """

    start: Start | None
    needed: int
    space: Space
    begun: Begun | None = None
    made: GitCheckout | None = None


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
        self._expected = Expected()

    def expect(
        self,
        order: WorkOrder,
        repository: Repository,
        token: Callable[[], Awaitable[str | None]],
        *,
        options: RepositoryOptions = NO_OPTIONS,
    ) -> None:
        """See ports.Checkouts."""
        wanted = self._wanted(order, repository, "none", options)
        mirror = wanted.mirror
        if mirror.path.is_dir():  # a fetch is quick, and may not be due
            return

        async def bring(progress: Progress, take: TakeFiles) -> list[str]:
            with disk.storage_failures():
                remote = self._remote(repository, await token())
                if not self._runner.is_prepared:
                    await run_sync(self._runner.prepare)
                if self._room.holds(self._room.estimate(mirror.path), self._room.space()):
                    await mirror.refresh(remote, timedelta.max, progress, take if self._wants_all(wanted) else None)
            return mirror.notes()

        self._expected.expect(mirror.path, bring, partial(self._shop.pool.add, mirror))

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
        wanted = self._wanted(order, repository, branch, options, self._to_prepare(options))
        mirror = wanted.mirror
        mirror.remote = self._remote(repository, token)
        with disk.storage_failures():
            if not self._runner.is_prepared:
                await run_sync(self._runner.prepare)
            checkout = await mirror.using(lambda: self._open(wanted, token, progress))
        for said in mirror.notes():
            checkout.note(said)
        return checkout

    async def _open(self, wanted: _Wanted, token: str | None, progress: Progress) -> GitCheckout:
        order_id = wanted.order.agent_work_order_id
        remote, freshness = self._remote(wanted.repository, token), self._freshness()
        look = partial(self._look, wanted, remote, progress)
        async with disk.opening(self._directory):  # clean-up either saw the order run, or has done its work
            unseen = self._unseen(wanted)
            found = await run_sync(look, freshness) if unseen is None else unseen
        if found.start is None:
            found = await self._first_look(wanted, look, remote, progress, found)
        with self._room.promised(order_id, found.needed, found.space):
            checkout = found.made or await self._make(wanted, found, remote, progress, freshness)
        if checkout.set_up and not checkout.resumed:
            self._stock.wish(wanted.wish)
        return checkout

    async def _first_look(
        self, wanted: _Wanted, look: Callable[..., _Found], remote: Remote, progress: Progress, unseen: _Found
    ) -> _Found:
        """Where the order stands once the mirror is as fresh as it has to be; if it was cloned, with its own files."""
        brought: list[_Found | WorkOrderError | OSError] = []

        def take(tree: Path, commit: str) -> None:
            try:
                brought.append(look(timedelta.max, Files(tree, commit)))
            except (WorkOrderError, OSError) as failure:  # the order's, not the mirror's, which others wait for as well
                brought.append(failure)

        mirror, files = wanted.mirror, take if self._wants_all(wanted) else None
        notes = await self._expected.join(mirror.path, progress, files)
        mirror.note(notes or ())
        if notes is None:
            with self._room.promised(wanted.order.agent_work_order_id, unseen.needed, unseen.space):
                await mirror.refresh(remote, self._freshness(), progress, files)
        found = brought[0] if brought else await run_sync(look, timedelta.max)  # now the size is known
        if isinstance(found, Exception):
            raise found
        return found

    async def _make(
        self, wanted: _Wanted, found: _Found, remote: Remote, progress: Progress, freshness: timedelta
    ) -> GitCheckout:
        """The one that was left, or a new one."""
        start = found.start
        if start and start.state.ready:
            left = await self._left(wanted, start.state)
            if await run_sync(left.is_sound):
                return left
            await left.rescue()
            start = await run_sync(self._start, wanted, freshness)  # what was rescued is its end now
        if start is None:
            raise refused("The mirror of the repository vanished while a checkout was opened", "Retry the order.")
        opening = self._opening(wanted, start, remote, progress)
        with self._stock.put_off():
            opened = await opening.populate(found.begun)
            return await run_sync(self._finish, wanted, opening, opened)

    async def run(self, stopping: anyio.Event) -> None:
        """Prepares checkouts of repositories that orders were opened on, until the server stops."""
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(keep_up, self._runner, self._mirrors, self._clone_limit, stopping)
            self._expected.tasks = tasks
            try:
                await self._stock.run(stopping)
            finally:
                self._expected.tasks = None
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
        wanted = self._wanted(order, repository, branch, options)
        mirror, remote = wanted.mirror, self._remote(repository, token)

        async def save_what_is_here() -> None:
            state = mirror.state(order.agent_work_order_id)
            if state is not None:
                left = await self._left(wanted, state)
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
        wanted = self._wanted(order, repository, order.git_branch_name or "none", NO_OPTIONS)
        state = wanted.mirror.state(order.agent_work_order_id)
        if state is None or not state.ready or not await run_sync(disk.is_directory, wanted.root):
            return
        left = await self._left(wanted, state)
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

    def _unseen(self, wanted: _Wanted) -> _Found | None:
        """What there is to say where the repository was never seen, which costs less than the way to a thread."""
        mirror = wanted.mirror.path
        if not self._runner.is_prepared or mirror.is_dir():
            return None
        return _Found(None, self._room.estimate(mirror), self._room.space())

    def _look(
        self,
        wanted: _Wanted,
        remote: Remote,
        progress: Progress,
        freshness: timedelta,
        files: Files | None = None,
    ) -> _Found:
        """Where the order stands; and what needs nobody else's word is done at once, while somebody is here.

        `files` are there already, and are used if they are the right ones and there is room to keep them.
        """
        start, space = self._start(wanted, freshness), self._room.space()
        if start is None or start.state.ready:
            return _Found(start, 0 if start else self._room.estimate(wanted.mirror.path), space)
        if files and not (files.commit == start.commit and self._room.holds(0, space)):
            files = None
        needed = 0 if files else self._room.estimate(wanted.mirror.path)
        if not self._room.holds(needed, space):
            return _Found(start, needed, space)
        opening = self._opening(wanted, start, remote, progress)
        begun = opening.begin_without_set_up(files)
        if begun is None or (opened := opening.without_waiting(begun)) is None:
            return _Found(start, needed, space, begun)
        return _Found(start, 0, space, made=self._finish(wanted, opening, opened))

    def _start(self, wanted: _Wanted, freshness: timedelta) -> Start | None:
        """Where the order stands, or else starts from: the base branch as the remote has it now, or the commit it once
        started from. None when the mirror has to be fetched to tell.
        """
        mirror, order_id = wanted.mirror, wanted.order.agent_work_order_id
        state = mirror.state(order_id)
        if state is None:
            fetched = mirror.fresh(freshness, float("inf"))
            if fetched is None:
                return None
            state = self._first_state(mirror, wanted.order, fetched)
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

    def _opening(self, wanted: _Wanted, start: Start, remote: Remote, progress: Progress) -> Opening:
        return Opening(
            self._shop, wanted.mirror, wanted.root, wanted.order.agent_work_order_id, wanted.repository, wanted.branch,
            wanted.options, wanted.subdir, remote, progress, start,
        )  # fmt: skip

    def _finish(self, wanted: _Wanted, opening: Opening, opened: Opened) -> GitCheckout:
        checkout = self._checkout(wanted, opening.start.state, opened)
        opening.finish(opened)
        checkout.settle(replace(opening.start.state, ready=True))
        return checkout

    def _wants_all(self, wanted: _Wanted) -> bool:
        """Whether a first clone may bring the order's files along: all of the default branch, for the server's user."""
        options = wanted.options
        in_part = options.partial_clone or options.submodules or options.lfs or wanted.subdir
        return not in_part and wanted.order.base_branch is None and self._shop.owner is None

    def _to_prepare(self, options: RepositoryOptions) -> int:
        """How many checkouts are kept ready. What is fetched for each order anew cannot be."""
        if options.submodules or options.lfs:
            return 0
        return self._prepared() if options.prepared_checkouts is None else options.prepared_checkouts

    async def _left(self, wanted: _Wanted, state: OrderState) -> GitCheckout:
        """A checkout that should still be there."""
        mirror, order_id = wanted.mirror, wanted.order.agent_work_order_id
        ours = mirror.order_dir(order_id)
        await run_sync(resting.wake, wanted.root, ours / "index", self._shop.owner)
        found, key = await run_sync(extras.load, ours), ""
        if found.due:
            start = await run_sync(mirror.ref, order_id, "head") or state.base_commit
            key = await self._shop.set_ups.key(mirror, start, wanted.options)
        return self._checkout(wanted, state, Opened(found, key), resumed=True)

    def _checkout(self, wanted: _Wanted, state: OrderState, opened: Opened, *, resumed: bool = False) -> GitCheckout:
        set_up = SetUp(self._shop.set_ups, opened.key, self._shop.owner, lambda: self._stock.wish(wanted.wish))
        return GitCheckout(
            self._runner, wanted.mirror, wanted.root, wanted.order, wanted.branch,
            self._remote(wanted.repository, None), state, opened, set_up, resumed=resumed,
        )  # fmt: skip

    def _wanted(
        self, order: WorkOrder, repository: Repository, branch: str, options: RepositoryOptions, prepare: int = 0
    ) -> _Wanted:
        """`prepare` is how many more of its kind are to be ready for others afterwards."""
        mirror = self._mirror(repository, options)
        root = self._root(order, repository)
        return _Wanted(mirror, root, order, repository, branch, options, Wish(mirror, options, prepare))

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
