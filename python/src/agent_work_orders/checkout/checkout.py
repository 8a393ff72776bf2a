"""An order's own checkout: a working tree with its own .git that borrows objects from the repository's mirror.

The agent may write anything in it; the server only reads it, by ways on which nothing of the agent's can run.
"""

import os
import stat
from dataclasses import replace
from pathlib import Path

import anyio
from anyio.to_thread import run_sync

from ..domain.work_order import WorkOrder
from ..ports import Checkpoint, Diff
from . import disk, inspect, refs
from .failures import refused, rejected
from .git import Git, Remote
from .mirror import Mirror, OrderState
from .snapshot import Snapshotter

SERVER_NAME, SERVER_EMAIL = "Archon Agent Work Orders", "agent-work-orders@archon.invalid"
_IDENTITY = {
    f"GIT_{who}_{what}": value
    for who in ("AUTHOR", "COMMITTER")
    for what, value in (("NAME", SERVER_NAME), ("EMAIL", SERVER_EMAIL))
}


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
        """Whether it is as an agent may leave it: a directory, a .git with a readable HEAD, its borrowed objects."""
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
        """Once the files are there: the server's own copy of the index, and last the word that all is complete."""
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
        """What a checkpoint stands on: the agent's own commits if they continue the branch, else the branch's end."""
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
