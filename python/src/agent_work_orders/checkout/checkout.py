"""Each order's own checkout: a working tree with its own .git that borrows objects from the repository's mirror.

The agent may write anything in it. The server populates it once, and from then on only reads it, trusting nothing.
"""

import os
import stat
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import anyio
from anyio.to_thread import run_sync

from ..domain.errors import FailureClass, NotFound, StepFailed
from ..domain.repository import Repository, branch_problem
from ..domain.work_order import WorkOrder
from ..ports import Checkpoint, Diff
from . import disk, inspect, refs
from .failures import refused, rejected
from .git import EXCLUDED, Git, Progress, Remote
from .mirror import BRANCHES, Mirror, OrderState
from .snapshot import Snapshotter

SERVER_NAME, SERVER_EMAIL = "Archon Agent Work Orders", "agent-work-orders@archon.invalid"
_IDENTITY = {
    f"GIT_{who}_{what}": value
    for who in ("AUTHOR", "COMMITTER")
    for what, value in (("NAME", SERVER_NAME), ("EMAIL", SERVER_EMAIL))
}
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
        freshness: timedelta,
        insecure_hosts: Callable[[], frozenset[str]],
        agent_user: tuple[int, int] | None = None,
        git: str = "git",
        clone_timeout: timedelta = timedelta(hours=1),
        command_timeout: timedelta = timedelta(minutes=10),
    ) -> None:
        self._directory = repositories_dir.absolute()
        self._mirrors, self._trash = self._directory / ".mirrors", self._directory / ".trash"
        self._freshness, self._insecure_hosts, self._clone_limit = freshness, insecure_hosts, clone_timeout
        self._agent_user = agent_user
        self._runner = Git(self._mirrors / ".server", git, command_timeout, agent_user)

    async def open(
        self, order: WorkOrder, repository: Repository, branch: str, token: str | None, progress: Progress
    ) -> "GitCheckout":
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
        """See ports.Checkouts. In two phases: renamed aside, then deleted; StepFailed (disk) names what would not go."""
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
        """Where a new order starts from: the base branch as the remote has it now, or the commit it started from before."""
        fetched = mirror.fresh(self._freshness, float("inf")) or await mirror.refresh(remote, self._freshness, progress)
        base_branch = order.base_branch or fetched.default
        if base_branch is None:
            raise refused(
                "The repository has no default branch", "File the work order again and name its base_branch."
            )
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
    ) -> "GitCheckout":
        remote = self._remote(repository, None)
        return GitCheckout(self._runner, mirror, root, order, branch, remote, state, resumed=resumed)

    def _mirror(self, repository: Repository) -> Mirror:
        return Mirror(self._runner, self._mirrors, repository.key, self._clone_limit)

    def _root(self, order: WorkOrder, repository: Repository) -> Path:
        return self._directory / order.agent_work_order_id / repository.name

    def _remote(self, repository: Repository, token: str | None) -> Remote:
        return Remote(repository.url, repository.host, repository.host in self._insecure_hosts(), token)


class GitCheckout:
    """ports.Checkout. `notes` are sentences about what was met and left out: submodules, LFS, repositories inside."""

    def __init__(
        self,
        git: Git,
        mirror: Mirror,
        root: Path,
        order: WorkOrder,
        branch: str,
        remote: Remote,
        state: OrderState,
        *,
        resumed: bool,
    ) -> None:
        self.root, self.branch, self.resumed = root, branch, resumed
        self.base_branch, self.base_commit = state.base_branch, state.base_commit
        self._subdir = order.working_subdir or ""
        self.workdir = root / self._subdir if self._subdir else root
        self._git, self._mirror, self._remote, self._order_id = git, mirror, remote, order.agent_work_order_id
        self._alternates = f"{mirror.path / 'objects'}\n".encode()
        self._snapshotter = Snapshotter(
            git, mirror.path, root, mirror.order_dir(self._order_id) / "index", self._alternates
        )
        self._lock = anyio.Lock()

    @property
    def notes(self) -> tuple[str, ...]:
        return tuple(self._snapshotter.notes)

    async def checkpoint(self, label: str, message: str) -> Checkpoint:
        """See ports.Checkout. Nothing of the agent's configuration runs; its processes must have ended before."""
        async with self._lock:
            with disk.storage_failures():
                parent = await self._parent()
                tree = await self._snapshotter.tree(parent)
                parent_tree, base_tree = await self._trees(parent, self.base_commit)
                commit = parent
                if tree not in (None, parent_tree):
                    commit = await self._commit(str(tree), parent, message)
                await run_sync(self._keep, commit, label)
                return await self._counted(commit, tree or parent_tree, base_tree)

    async def push(self, commit: str, token: str | None) -> None:
        """See ports.Checkout. Forces only over what we know to have pushed ourselves, and repeats itself harmlessly."""
        if not refs.COMMIT.match(commit):
            raise ValueError(f"not a commit id: {commit!r}")
        remote = replace(self._remote, token=token)
        target = f"refs/heads/{self.branch}"
        async with self._lock:
            with disk.storage_failures():
                pushed = await self._pushed(remote, target)
                self._remember_pushing(commit)
                lease = [f"--force-with-lease={target}:{pushed}"] if pushed else []
                output = await self._git.run(
                    "push", "--porcelain", "--no-verify", "--no-follow-tags", "--recurse-submodules=no", *lease,
                    "--", remote.url, f"{commit}:{target}",
                    git_dir=self._mirror.path, remote=remote, expect=(0, 1),
                )  # fmt: skip
                refusal = _refusal(output.stdout)
                if output.exit_code == 0 and refusal is None:
                    self._mirror.keep(self._order_id, "pushed", commit)
                # The remote has answered, whatever it said: nothing is uncertain any more.
                self._remember_pushing(None)
                if output.exit_code or refusal:
                    raise rejected(refusal or "it gave no reason", output.stderr)

    async def diff(self, head_commit: str) -> Diff:
        """See ports.Checkout."""
        if not refs.COMMIT.match(head_commit):
            raise ValueError(f"not a commit id: {head_commit!r}")
        files = await run_sync(inspect.file_diffs, self._mirror.path, self.base_commit, head_commit)
        return Diff(self.base_commit, head_commit, files)

    # --- For GitCheckouts

    def is_sound(self) -> bool:
        """Whether the checkout is as an agent may leave it: a directory, a .git with a readable HEAD, its borrowed objects."""
        if not (disk.is_directory(self.root) and disk.is_directory(self.root / ".git")):
            return False
        git = self.root / ".git"
        alternates = disk.read_inside(git, ["objects", "info", "alternates"], refs.MAX_LOOSE)
        sound = alternates == self._alternates and refs.read_head(self.root) is not None
        if sound:
            self._check_workdir()
        return sound

    async def rescue(self) -> None:
        """Saves the files of a checkout whose .git is broken, so that they are still there when it is built anew."""
        if await run_sync(disk.is_directory, self.root):
            self._snapshotter.note("The checkout's .git was broken; it was built anew from its files.")
            await self.checkpoint("rescue", "Files of a checkout that was built anew")

    def settle(self, state: OrderState) -> None:
        """After the files are there: the server's own copy of the index, and last the word that the checkout is complete."""
        index = disk.read_inside(self.root, [".git", "index"], 1 << 32)
        if index is None:
            raise refused("The checkout's index vanished while it was made", "Retry the order.")
        disk.write_whole(self._snapshotter.index, index)
        self._look_around()
        self._check_workdir()
        self._mirror.save_state(self._order_id, state)

    def _look_around(self) -> None:
        """What a person should know that we do not do."""
        if os.path.lexists(self.root / ".gitmodules"):
            self._snapshotter.note("The repository has submodules; they are not fetched.")
        attributes = disk.read_inside(self.root, [".gitattributes"], 1 << 20) or b""
        if b"filter=lfs" in attributes:
            self._snapshotter.note("The repository uses Git LFS; its large files are not fetched, only their pointers.")

    def _check_workdir(self) -> None:
        way = self.root
        for part in Path(self._subdir).parts:
            way /= part
            try:
                plain = part not in ("..", ".git") and stat.S_ISDIR(way.lstat().st_mode)
            except OSError:
                plain = False
            if not plain:
                raise refused(
                    f"The repository has no directory {self._subdir} on {self.base_branch}",
                    "File the work order again with a working_subdir that is a directory of the repository.",
                )

    # --- The steps of a checkpoint and a push

    async def _parent(self) -> str:
        """What a checkpoint stands on: the agent's own commits, if they continue the branch; else the branch's last word."""
        pushed, last = (self._mirror.ref(self._order_id, name) for name in ("pushed", "head"))
        anchor = pushed or self.base_commit
        known = frozenset(commit for commit in (self.base_commit, pushed, last) if commit)
        head = await self._snapshotter.agents_head(known, self.base_commit)
        if head is None:
            head = last or anchor
        elif head not in known:
            await run_sync(self._mirror.keep, self._order_id, "agent", head)
        if head == anchor or await self._descends(head, anchor):
            return head
        if not await self._descends(head, self.base_commit):
            self._snapshotter.note("The agent's commits do not continue the base branch; only its files were saved.")
        return anchor

    async def _descends(self, commit: str, ancestor: str) -> bool:
        output = await self._git.run(
            "merge-base", "--is-ancestor", ancestor, commit, git_dir=self._mirror.path, expect=(0, 1)
        )
        return output.exit_code == 0

    async def _trees(self, *commits: str) -> list[str]:
        names = [f"{commit}^{{tree}}" for commit in commits]
        return (await self._git.run("rev-parse", *names, git_dir=self._mirror.path)).stdout.decode().split()

    async def _commit(self, tree: str, parent: str, message: str) -> str:
        text = message.replace("\0", "").strip() or "Checkpoint"
        output = await self._git.run(
            "commit-tree", tree, "-p", parent, "-F", "-",
            git_dir=self._mirror.path, environment=_IDENTITY, stdin=f"{text}\n".encode("utf-8", "replace"),
        )  # fmt: skip
        return output.stdout.decode().strip()

    def _keep(self, commit: str, label: str) -> None:
        self._mirror.keep(self._order_id, "head", commit)
        self._mirror.keep(self._order_id, f"checkpoints/{refs.ref_safe(label)}", commit)

    async def _counted(self, commit: str, tree: str, base_tree: str) -> Checkpoint:
        if commit == self.base_commit:
            return Checkpoint(commit, tree, changed=False, commit_count=0, files_changed=0)
        count = await self._git.run("rev-list", "--count", f"{self.base_commit}..{commit}", git_dir=self._mirror.path)
        names = b""
        if tree != base_tree:
            words = ("diff-tree", "-r", "--name-only", "-z", "--no-renames", base_tree, tree)
            names = (await self._git.run(*words, git_dir=self._mirror.path)).stdout
        return Checkpoint(commit, tree, changed=True, commit_count=int(count.stdout), files_changed=names.count(b"\0"))

    async def _pushed(self, remote: Remote, target: str) -> str | None:
        """What we know to have pushed. A push whose outcome was lost is looked up first."""
        state = self._mirror.state(self._order_id)
        if state and state.pushing:
            listing = await self._git.run("ls-remote", "--", remote.url, target, remote=remote)
            if listing.stdout.decode("utf-8", "replace").split("\t")[0] == state.pushing:
                self._mirror.keep(self._order_id, "pushed", state.pushing)
        return self._mirror.ref(self._order_id, "pushed")

    def _remember_pushing(self, commit: str | None) -> None:
        state = OrderState(self.base_branch, self.base_commit, ready=True, pushing=commit)
        self._mirror.save_state(self._order_id, state)


def _refusal(porcelain: bytes) -> str | None:
    """The reason in a line `!<tab>from:to<tab>[rejected] (reason)` of `push --porcelain`."""
    for line in porcelain.decode("utf-8", "replace").splitlines():
        if line.startswith("!"):
            return line.split("\t")[-1]
    return None
