"""The mirrors and checkouts on a volume: opening an order's checkout, fast, and taking it away again.

A checkout is populated by the server once; what is read from it afterwards is in `checkout.py` and `snapshot.py`.
"""

import os
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

from anyio.to_thread import run_sync

from ..domain.errors import FailureClass, NotFound, StepFailed
from ..domain.repository import Repository, branch_problem
from ..domain.work_order import WorkOrder
from ..ports import Diff
from . import disk, inspect
from .checkout import GitCheckout
from .child import Progress
from .failures import refused
from .git import EXCLUDED, Git, Remote
from .mirror import BRANCHES, ORDER_ID, Mirror, OrderState

_CONFIG = """\
[core]
	repositoryformatversion = 0
	filemode = true
	bare = false
	logallrefupdates = true
[user]
	name = Archon Agent
	email = agent@archon.invalid
[remote "origin"]
	url = {url}
	fetch = +refs/heads/*:refs/remotes/origin/*
[gc]
	auto = 0
[maintenance]
	auto = false
"""


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
        clone_timeout: timedelta = timedelta(hours=1),
        command_timeout: timedelta = timedelta(minutes=10),
    ) -> None:
        self._directory = repositories_dir.absolute()
        self._mirrors, self._trash = self._directory / ".mirrors", self._directory / ".trash"
        self._freshness, self._insecure_hosts, self._clone_limit = freshness, insecure_hosts, clone_timeout
        self._agent_user = agent_user
        self._runner = Git(self._mirrors / ".server", git, command_timeout, agent_user, marks)

    async def open(
        self, order: WorkOrder, repository: Repository, branch: str, token: str | None, progress: Progress
    ) -> GitCheckout:
        """See ports.Checkouts. What was left out or met on the way is in the checkout's `notes`."""
        if problem := branch_problem(branch):
            raise refused(f"The branch name {problem}", "Retry the order; if it happens again, report it as a bug.")
        mirror, root = self._mirror(repository), self._root(order, repository)
        order_id = order.agent_work_order_id
        with disk.storage_failures():
            await run_sync(self._runner.prepare)
            state = mirror.state(order_id)
            if state and state.ready:
                left = self._checkout(mirror, root, order, repository, branch, state, resumed=True)
                if await run_sync(left.is_sound):
                    return left
                await left.rescue()
            if state is None:
                state = await self._start(mirror, order, self._remote(repository, token), progress)
            await self._populate(mirror, root, order_id, repository, branch, state, progress)
            state = replace(state, ready=True)
            checkout = self._checkout(mirror, root, order, repository, branch, state, resumed=False)
            await run_sync(checkout.settle, state)
            return checkout

    async def diff(self, order: WorkOrder, repository: Repository) -> Diff:
        """See ports.Checkouts."""
        mirror, order_id = self._mirror(repository), order.agent_work_order_id
        base, head = mirror.ref(order_id, "base"), mirror.ref(order_id, "head")
        if base is None or head is None:
            raise NotFound("This work order has no checkpoint yet.", next_action="Look again after its first step.")
        return Diff(base, head, await run_sync(inspect.file_diffs, mirror.path, base, head))

    async def remove(self, order: WorkOrder, repository: Repository) -> None:
        """See ports.Checkouts. Renamed aside, then deleted; StepFailed (disk) says what would not go."""
        with disk.storage_failures():
            await run_sync(disk.set_aside, self._root(order, repository).parent, self._trash)
            await self._mirror(repository).forget(order.agent_work_order_id)
            problems = await run_sync(disk.empty, self._trash)
        if problems:
            raise StepFailed(
                FailureClass.DISK,
                f"{len(problems)} entries of a removed checkout could not be deleted: {problems[0]}.",
                next_action=f"Delete what is left in {self._trash} by hand.",
            )

    async def _start(self, mirror: Mirror, order: WorkOrder, remote: Remote, progress: Progress) -> OrderState:
        """Where an order starts from: the base branch as the remote has it now, or the commit it once started from."""
        freshness = self._freshness()
        fetched = mirror.fresh(freshness, float("inf")) or await mirror.refresh(remote, freshness, progress)
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

    async def _populate(
        self,
        mirror: Mirror,
        root: Path,
        order_id: str,
        repository: Repository,
        branch: str,
        state: OrderState,
        progress: Progress,
    ) -> None:
        """The .git by hand, then files and index by a single git, which is what makes this fast."""
        start = mirror.ref(order_id, "head") or state.base_commit

        def prepare() -> None:
            mirror.save_state(order_id, replace(state, ready=False))
            mirror.keep(order_id, "base", state.base_commit)
            disk.set_aside(root.parent, self._trash)
            disk.make_directory(root.parent, 0o711)
            self._write_git_dir(root, mirror, repository, branch, state, start)

        await run_sync(prepare)
        await self._runner.run(
            "read-tree", "-u", "-v", "--reset", start,
            git_dir=mirror.path, work_tree=root, index=root / ".git" / "index",
            progress=progress, limit=self._clone_limit, as_agent=True,
        )  # fmt: skip

    def _write_git_dir(
        self, root: Path, mirror: Mirror, repository: Repository, branch: str, state: OrderState, start: str
    ) -> None:
        """Complete before its owner gets it, so that nobody can plant a link where we are about to write."""
        git = root / ".git"
        base_ref = f"{state.base_commit} {BRANCHES}{state.base_branch}\n"
        files = {
            "HEAD": f"ref: refs/heads/{branch}\n",
            "config": _CONFIG.format(url=repository.url),
            "packed-refs": f"# pack-refs with: peeled fully-peeled sorted \n{base_ref}",
            "info/exclude": "\n".join(EXCLUDED) + "\n",
            "objects/info/alternates": f"{mirror.path / 'objects'}\n",
            f"refs/heads/{branch}": f"{start}\n",
        }
        for directory in ("hooks", "objects/pack", "refs/tags", *(str(Path(name).parent) for name in files)):
            (git / directory).mkdir(parents=True, exist_ok=True)
        for name, text in files.items():
            (git / name).write_text(text)
        git.chmod(0o700)
        root.chmod(0o700)
        if self._agent_user:
            for directory, _, names in os.walk(git, topdown=False):
                for name in names:
                    os.lchown(Path(directory) / name, *self._agent_user)
                os.lchown(directory, *self._agent_user)
            os.lchown(root, *self._agent_user)

    def _checkout(
        self,
        mirror: Mirror,
        root: Path,
        order: WorkOrder,
        repository: Repository,
        branch: str,
        state: OrderState,
        *,
        resumed: bool,
    ) -> GitCheckout:
        remote = self._remote(repository, None)
        return GitCheckout(self._runner, mirror, root, order, branch, remote, state, resumed=resumed)

    def _mirror(self, repository: Repository) -> Mirror:
        return Mirror(self._runner, self._mirrors, repository.key, self._clone_limit)

    def _root(self, order: WorkOrder, repository: Repository) -> Path:
        if not ORDER_ID.match(order.agent_work_order_id):
            raise ValueError(f"not an order id: {order.agent_work_order_id!r}")
        return self._directory / order.agent_work_order_id / repository.name

    def _remote(self, repository: Repository, token: str | None) -> Remote:
        return Remote(repository.url, repository.host, repository.host in self._insecure_hosts(), token)
