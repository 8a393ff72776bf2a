"""An order's own checkout: a working tree with its own .git that borrows objects from the repository's mirror.

The agent may write anything in it; the server only reads it, by ways on which nothing of the agent's can run.
"""

import os
import stat
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TypeVar

import anyio
from anyio.to_thread import run_sync

from ..domain.work_order import WorkOrder
from ..ports import Checkpoint, Diff
from . import disk, inspect, refs, resting
from .failures import refusal_of, refused, rejected
from .git import EXCLUDED, Git, Remote
from .git_dir import Owner
from .hidden import HiddenRef
from .mirror import Mirror, OrderState
from .opening import Opened
from .placed import hiding, write_inside
from .remote_moves import following
from .set_up import SetUps
from .snapshot import Snapshotter

T = TypeVar("T")
SERVER_NAME, SERVER_EMAIL = "Archon Agent Work Orders", "agent-work-orders@archon.invalid"
_IDENTITY = {
    f"GIT_{who}_{what}": value
    for who in ("AUTHOR", "COMMITTER")
    for what, value in (("NAME", SERVER_NAME), ("EMAIL", SERVER_EMAIL))
}

# A commit's tree never is another, whichever mirror it was asked of: the last ones that were met.
_tree_of: dict[str, str] = {}
_TREES = 1000


@dataclass(frozen=True)
class SetUp:
    """Where the work of set-up commands is kept, which one this checkout's is, and whom to tell that it is done."""

    kept: SetUps
    key: str
    owner: Owner
    done: Callable[[], None]


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
        opened: Opened,
        set_up: SetUp,
        *,
        resumed: bool,
    ) -> None:
        self.root, self.branch, self.resumed, self.prepared = root, branch, resumed, opened.prepared
        self._extras, self._set_up = opened.extras, set_up
        self.base_branch, self.base_commit = state.base_branch, state.base_commit
        self._subdir = order.working_subdir or ""
        self.workdir = root / self._subdir if self._subdir else root
        self._git, self._mirror, self._remote, self._order_id = git, mirror, remote, order.agent_work_order_id
        self._alternates = f"{mirror.path / 'objects'}\n".encode()
        self._snapshotter = Snapshotter(
            git, mirror.path, root, mirror.order_dir(self._order_id) / "index", self._alternates,
            extras=opened.extras, notes=dict.fromkeys(opened.notes), at=opened.commit,
        )  # fmt: skip
        self._lock = anyio.Lock()

    @property
    def notes(self) -> tuple[str, ...]:
        return tuple(self._snapshotter.notes)

    @property
    def set_up(self) -> bool:
        return not self._extras.due

    async def keep_set_up(self) -> None:
        """See ports.Checkout. What the command changed of the repository's own files is put back."""
        async with self._lock:
            with disk.storage_failures():
                made, left = await self._snapshotter.made_by_set_up()
                self._extras = replace(self._extras, set_up=self._set_up.key, due=False, hidden=hiding(left))
                self._snapshotter.extras = self._extras
                await run_sync(self._hide)
                await self._set_up.kept.keep(self._mirror, self._set_up.key, self.root, made, self._extras.hidden)
        self._set_up.done()

    async def checkpoint(self, label: str, message: str) -> Checkpoint:
        """See ports.Checkout. Nothing of the agent's configuration runs; its processes must have ended before."""
        async with self._lock:
            with disk.storage_failures():
                return await self._using(lambda: self._save(label, message))

    async def _save(self, label: str, message: str) -> Checkpoint:
        parent = await self._parent()
        tree = await self._snapshotter.tree(parent)
        parent_tree, base_tree = await self._trees(parent, self.base_commit)
        commit = parent
        if tree not in (None, parent_tree):
            commit = await self._commit(str(tree), parent, message)
            _remember_tree(commit, str(tree))
        self._snapshotter.at = commit
        await run_sync(self._keep, commit, label)
        return await self._counted(commit, tree or parent_tree, base_tree)

    async def put_back(self, commit: str) -> None:
        """See ports.Checkout."""
        if not refs.COMMIT.match(commit):
            raise ValueError(f"not a commit id: {commit!r}")
        async with self._lock:
            with disk.storage_failures():
                await self._snapshotter.put_back(commit)

    async def push(self, commit: str, token: str | None) -> None:
        """See ports.Checkout. Forces only over what we know to have pushed ourselves, and repeats itself harmlessly."""
        if not refs.COMMIT.match(commit):
            raise ValueError(f"not a commit id: {commit!r}")
        async with self._lock:
            with disk.storage_failures():
                await self._using(lambda: self._where_it_is(token, lambda there: self._push(commit, there)))

    async def _push(self, commit: str, remote: Remote) -> None:
        target = f"refs/heads/{self.branch}"
        pushed = await self._pushed(remote, target)
        self._remember_pushing(commit)
        lease = [f"--force-with-lease={target}:{pushed}"] if pushed else []
        output = await self._git.run(
            "push", "--porcelain", "--no-verify", "--no-follow-tags", "--recurse-submodules=no", *lease,
            "--", remote.url, f"{commit}:{target}",
            git_dir=self._mirror.path, remote=remote, expect=(0, 1),
        )  # fmt: skip
        refusal = refusal_of(output.stdout)
        if output.exit_code == 0 and refusal is None:
            self._mirror.keep(self._order_id, "pushed", commit)
        # The remote has answered, whatever it said: nothing is uncertain any more.
        self._remember_pushing(None)
        if output.exit_code or refusal:
            raise rejected(refusal or "it gave no reason", output.stderr)

    async def share(self, commit: str, token: str | None) -> None:
        """See ports.Checkout."""
        async with self._lock:
            with disk.storage_failures():
                hidden = HiddenRef(self._git, self._mirror, self._order_id)
                await self._using(lambda: self._where_it_is(token, lambda there: hidden.push(there, commit)))

    async def diff(self, head_commit: str) -> Diff:
        """See ports.Checkout."""
        if not refs.COMMIT.match(head_commit):
            raise ValueError(f"not a commit id: {head_commit!r}")
        looking = partial(run_sync, inspect.file_diffs, self._mirror.path, self.base_commit, head_commit)
        files = await self._using(looking)
        return Diff(self.base_commit, head_commit, files)

    async def rest(self) -> None:
        """See ports.Checkout."""
        async with self._lock:
            with disk.storage_failures():
                if resting.is_worth_it(self._snapshotter.index):
                    await run_sync(resting.lay_down, self.root, self._snapshotter.index)

    # --- For GitCheckouts

    def note(self, sentence: str) -> None:
        self._snapshotter.note(sentence)

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
        """Once all is there: a look at it, and last the word that it is complete."""
        self._look_around()
        self._check_workdir()
        self._mirror.save_state(self._order_id, state)

    def _look_around(self) -> None:
        """What a person should know that we do not do."""
        if os.path.lexists(self.root / ".gitmodules") and not self._extras.submodules:
            self._snapshotter.note("The repository has submodules; they are not fetched.")
        attributes = disk.read_inside(self.root, [".gitattributes"], 1 << 20) or b""
        if b"filter=lfs" in attributes and self._extras.large is None:
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

    def _hide(self) -> None:
        """Keeps what the set-up made out of commits: the server's by its own list, the agent's by its .git."""
        self._extras.save(self._mirror.order_dir(self._order_id))
        lines = (*EXCLUDED, *self._extras.hidden, *hiding(self._extras.placed), "")
        try:
            write_inside(self.root, [".git", "info", "exclude"], "\n".join(lines).encode(), self._set_up.owner)
        except OSError:
            self._snapshotter.note("The set-up command left a .git in which nothing can be excluded from commits.")

    # --- The steps of a checkpoint and a push

    async def _where_it_is(self, token: str | None, work: Callable[[Remote], Awaitable[T]]) -> T:
        return await following(self._git, replace(self._remote, token=token), work, self.note)

    async def _using(self, work: Callable[[], Awaitable[T]]) -> T:
        """Leans on the mirror, which is mended on the way if it must be; and says so."""
        try:
            return await self._mirror.using(work)
        finally:
            for said in self._mirror.notes():
                self._snapshotter.note(said)

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
        if head == anchor or await self._mirror.descends(head, anchor):
            return head
        if not await self._mirror.descends(head, self.base_commit):
            self._snapshotter.note("The agent's commits do not continue the base branch; only its files were saved.")
        return anchor

    async def _trees(self, *commits: str) -> list[str]:
        known = {commit: _tree_of[commit] for commit in commits if commit in _tree_of}
        unknown = [commit for commit in dict.fromkeys(commits) if commit not in known]
        if unknown:
            names = [f"{commit}^{{tree}}" for commit in unknown]
            found = await self._git.run("rev-parse", *names, git_dir=self._mirror.path)
            for commit, tree in zip(unknown, found.stdout.decode().split(), strict=True):
                known[commit] = tree
                _remember_tree(commit, tree)
        return [known[commit] for commit in commits]

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


def _remember_tree(commit: str, tree: str) -> None:
    while len(_tree_of) >= _TREES:
        del _tree_of[next(iter(_tree_of))]
    _tree_of[commit] = tree
