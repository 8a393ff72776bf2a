"""A server-owned bare mirror: one per repository, cloned once, fetched when no longer fresh, shared by all its orders.

Remote branches are `refs/remotes/origin/*`; what orders keep is `refs/awo/<order id>/*`. Knows nothing of checkouts.
"""

import hashlib
import json
import logging
import os
import re
import secrets
import time
from collections.abc import Awaitable, Callable, Iterable
from contextlib import AbstractAsyncContextManager
from contextvars import ContextVar
from dataclasses import asdict, dataclass
from datetime import timedelta
from functools import partial
from pathlib import Path
from shutil import rmtree
from subprocess import DEVNULL
from typing import TypeVar

from anyio import CancelScope
from anyio.to_thread import run_sync

from . import disk, refs, repair
from .child import Progress
from .failures import Damaged, failure, refused, smells_of_damage
from .git import Git, Remote
from .remote_moves import following

T = TypeVar("T")
# Takes a working tree, whose .git is nothing but its index, and the commit that it is of. In a thread.
TakeFiles = Callable[[Path, str], None]
logger = logging.getLogger("archon.awo")

BRANCHES = "refs/remotes/origin/"
CONFIG = b"[core]\n\trepositoryformatversion = 0\n\tfilemode = true\n\tbare = true\n"
PROMISED = (
    b'[extensions]\n\tpartialClone = origin\n[remote "origin"]\n\tpromisor = true\n\tpartialclonefilter = blob:none\n'
)
ORDER_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,99}\Z")
_CLONED = "Clone succeeded, but checkout failed"
# Mirrors that the current task leans on.
_in_use: ContextVar[frozenset[Path]] = ContextVar("mirrors in use", default=frozenset())


@dataclass(frozen=True)
class Fetched:
    """What the last fetch found. `at` is when it began (seconds since 1970); `default` is None for a detached HEAD."""

    default: str | None
    at: float


@dataclass(frozen=True)
class OrderState:
    """What the server remembers of an order's checkout. `pushing` is a commit whose push has no known outcome yet."""

    base_branch: str
    base_commit: str
    ready: bool
    pushing: str | None = None


class Mirror:
    """The mirror of one repository in `directory`. Nothing is read or written before the first call."""

    def __init__(
        self,
        git: Git,
        directory: Path,
        key: str,
        clone_limit: timedelta,
        *,
        without_contents: bool = False,
        depth: int | None = None,
    ) -> None:
        """`without_contents` and `depth` say how it is cloned; one that is there already stays as it is."""
        readable = re.sub(r"[^a-z0-9._-]", "-", key)[:100]
        self.name = f"{readable}-{hashlib.sha256(key.encode()).hexdigest()[:12]}"
        self.key, self.path = key, directory / f"{self.name}.git"
        self._git, self._directory, self._clone_limit = git, directory, clone_limit
        self._without_contents, self._depth = without_contents, depth
        # By which a damaged mirror may be cloned anew, by whoever stumbles over the damage.
        self.remote: Remote | None = None
        self._notes: list[str] = []

    # --- What orders keep here

    def order_dir(self, order_id: str) -> Path:
        if not ORDER_ID.match(order_id):
            raise ValueError(f"not an order id: {order_id!r}")
        return self.path / "awo" / order_id

    def ref(self, order_id: str, name: str) -> str | None:
        """A ref of the order's. A `head` that a power cut left unreadable is the newest checkpoint that can be read."""
        found = refs.read_ref(self.path, f"refs/awo/{order_id}/{name}")
        return found or (self._newest_checkpoint(order_id) if name == "head" else None)

    def _newest_checkpoint(self, order_id: str) -> str | None:
        folder = f"refs/awo/{order_id}/checkpoints/"
        names = [name for name in refs.refs_below(self.path, folder) if (self.path / name).is_file()]
        newest = max(names, key=lambda name: (self.path / name).stat().st_mtime_ns, default=None)
        return newest and refs.read_ref(self.path, newest)

    def keep(self, order_id: str, name: str, commit: str) -> None:
        refs.write_ref(self.path, f"refs/awo/{order_id}/{name}", commit)

    def drop(self, order_id: str, name: str) -> None:
        refs.remove_ref(self.path, f"refs/awo/{order_id}/{name}")

    async def descends(self, commit: str, ancestor: str) -> bool:
        """Whether `ancestor` is `commit` or lies behind it; one that is not here at all does not."""
        words = ("merge-base", "--is-ancestor", ancestor, commit)
        output = await self._git.run(*words, git_dir=self.path, expect=(0, 1, 128))
        if output.exit_code == 128 and smells_of_damage(output.stderr):
            raise failure("merge-base", 128, output.stderr, "")
        return output.exit_code == 0

    def locked(self) -> AbstractAsyncContextManager[bool]:
        """The lock under which the mirror is fetched, packed and mended."""
        return disk.held(self._lock, lambda: False)

    def state(self, order_id: str) -> OrderState | None:
        data = disk.read_inside(self.order_dir(order_id), ["state.json"], 4096)
        try:
            return OrderState(**json.loads(data)) if data else None
        except (ValueError, TypeError):
            return None

    def save_state(self, order_id: str, state: OrderState) -> None:
        disk.make_directory(self.order_dir(order_id))
        disk.write_whole(self.order_dir(order_id) / "state.json", json.dumps(asdict(state)).encode())

    async def forget(self, order_id: str) -> None:
        """Removes an order's refs and state; objects stay."""
        if not await run_sync(self.path.is_dir):
            return
        async with disk.held(self._lock, lambda: False):
            names = await run_sync(refs.refs_below, self.path, f"refs/awo/{order_id}/")
            lines = "".join(f"delete {name}\n" for name in names)
            if lines:
                await run_sync(self._clear_stale_locks)
                await self._git.run("update-ref", "--stdin", git_dir=self.path, stdin=lines.encode())
            await run_sync(rmtree, self.order_dir(order_id), True)

    # --- The remote

    def branch(self, name: str) -> str | None:
        """The commit of a remote branch, as last fetched."""
        return refs.read_ref(self.path, f"{BRANCHES}{name}")

    def fresh(self, freshness: timedelta, asked_at: float) -> Fetched | None:
        """The last fetch, if it is young enough or began after somebody asked."""
        data = disk.read_inside(self.path, ["awo", "fetched.json"], 4096)
        try:
            fetched = Fetched(**json.loads(data)) if data else None
        except (ValueError, TypeError):
            return None
        if fetched is None:
            return None
        age = time.time() - fetched.at
        return fetched if 0 <= age < freshness.total_seconds() or fetched.at >= asked_at else None

    async def refresh(
        self, remote: Remote, freshness: timedelta, progress: Progress, files: TakeFiles | None = None
    ) -> Fetched:
        """Makes the mirror as new as `freshness` asks for. Any number of waiting orders share one clone or fetch.

        If it has to be cloned, `files` gets those of the default branch: git has them at hand right then.
        """
        asked_at = time.time()
        if not self._directory.is_dir():  # a look costs less than the way to a thread
            await run_sync(disk.make_directory, self._directory)
        async with disk.held(self._lock, lambda: self.fresh(freshness, asked_at) is not None) as ours:
            if ours:
                bring = self._fetch if self.path.is_dir() else partial(self._clone, files=files)
                await following(self._git, remote, lambda there: bring(there, progress), self._say)
        fetched = self.fresh(timedelta.max, 0.0)
        if fetched is None:
            raise refused("The mirror of the repository vanished while it was being fetched", "Retry the order.")
        return fetched

    async def _clone(self, remote: Remote, progress: Progress, files: TakeFiles | None = None) -> None:
        """Into a temporary name, which only the rename at the end makes a mirror."""
        draft = self._directory / f".{self.name}.{secrets.token_hex(4)}.tmp"
        started_at, is_clear = time.time(), False
        try:
            # A clone learns the remote's HEAD and gets everything in one conversation.
            cloned = await self._git.run(
                "clone", *(["--no-checkout"] if files is None else []), "--no-tags", "--no-recurse-submodules",
                "--template=", "--origin", "origin", "--progress", *self._less(), "--", remote.url, str(draft),
                remote=remote, progress=progress, limit=self._clone_limit, stdout=DEVNULL, expect=(0, 1, 128),
            )  # fmt: skip
            # Files that cannot be written are none of the mirror's business: whoever needs them hears of it then.
            if cloned.exit_code and _CLONED not in cloned.stderr:
                raise failure("clone", cloned.exit_code, cloned.stderr, remote.host)
            left = await run_sync(self._move_in, draft, started_at, files)
            is_clear = not left
            for old in left:
                for lost in await repair.bring_over(self._git, old, draft / ".git", self._clone_limit):
                    self._notes.append(f"{lost} could not be read any more when the mirror was mended.")
            if left:
                await run_sync(repair.put_in_place, draft / ".git", self.path, left)
        finally:
            if not is_clear:
                with CancelScope(shield=True):
                    await run_sync(self._clear_drafts)

    def _move_in(self, draft: Path, started_at: float, files: TakeFiles | None) -> list[Path]:
        """Makes a finished clone the mirror, unless there are damaged ones whose work has to be brought over first."""
        git_dir, index = draft / ".git", draft / ".git" / "index"
        commit = self._furnish(git_dir, started_at)
        around = os.listdir(self._directory)  # noqa: PTH208 - thousands, and a look at each name is all there is to it
        left = repair.left_behind(self.path, around)
        if left:
            index.unlink(missing_ok=True)
            return left
        is_whole = index.is_file()  # git writes it last
        repair.put_in_place(git_dir, self.path, left)
        if files and commit and is_whole and not git_dir.exists():
            git_dir.mkdir()
            (self.path / "index").rename(index)
            files(draft, commit)
        self._clear_drafts(around)
        return left

    # --- Damage

    async def using(self, work: Callable[[], Awaitable[T]]) -> T:
        """Does what leans on the mirror. If git stumbles over damage it is mended, and the work is done once more.

        Nobody's work goes on while a mirror is exchanged for a new one. May be nested: the outermost mends.
        """
        outer = _in_use.get()
        if self.path in outer:
            return await work()
        mark = _in_use.set(outer | {self.path})
        try:
            try:
                async with disk.held(self._use_lock, lambda: False, shared=True):
                    return await work()
            except Damaged as damaged:
                await self._mend(damaged)
            async with disk.held(self._use_lock, lambda: False, shared=True):
                return await work()
        finally:
            _in_use.reset(mark)

    def note(self, sentences: Iterable[str]) -> None:
        """What somebody else found out about it."""
        self._notes += [sentence for sentence in sentences if sentence not in self._notes]

    def notes(self) -> list[str]:
        """What was mended since somebody asked, one sentence each."""
        said, self._notes = self._notes, []
        return said

    async def _mend(self, damaged: Damaged) -> None:
        """Mended on the spot, else cloned anew; raises `damaged` where it cannot be."""
        async with disk.held(self._use_lock, lambda: False), self.locked():
            if not await run_sync(disk.is_directory, self.path):
                return  # whoever needs it clones it
            logger.warning("%s: %s", self.name, damaged.message)
            await run_sync(self._clear_stale_locks)
            found = await run_sync(repair.put_back, self.path, [CONFIG, CONFIG + PROMISED])
            await run_sync(repair.forget_derived, self.path)
            problem = await repair.damage(self._git, self.path, self._clone_limit)
            if problem is None:
                if found:
                    self._say(f"The server's copy of the repository was damaged ({', '.join(found)}); it was mended.")
                return
            if self.remote is None:
                raise damaged
            await following(self._git, self.remote, lambda there: self._clone(there, lambda *said: None), self._say)
            self._say(f"The server's copy of the repository was damaged ({problem}); it was cloned anew.")

    def _say(self, sentence: str) -> None:
        logger.warning("%s: %s", self.name, sentence)
        if sentence not in self._notes:
            self._notes.append(sentence)

    def is_partial(self) -> bool:
        """Whether it was cloned without the contents of files."""
        return PROMISED in (disk.read_inside(self.path, ["config"], 1 << 20) or b"")

    def _less(self) -> list[str]:
        """What the operator wants left out."""
        words = ["--filter=blob:none"] if self._without_contents else []
        return [*words, f"--depth={self._depth}", "--no-single-branch"] if self._depth else words

    def _furnish(self, git_dir: Path, started_at: float) -> str | None:
        """Makes a finished clone ours: our configuration, no branch of its own, and the marker last.

        The commit of the remote's default branch, if it has one.
        """
        head = (disk.read_inside(git_dir, ["HEAD"], 4096) or b"").decode("utf-8", "replace").strip()
        branches = refs.refs_below(git_dir, BRANCHES)
        for leftover in ("hooks", "logs", "info", "refs/heads"):
            if (git_dir / leftover).is_dir():
                rmtree(git_dir / leftover, ignore_errors=True)
        (git_dir / BRANCHES / "HEAD").unlink(missing_ok=True)
        if not branches:
            raise _empty()
        default = head.removeprefix("ref: refs/heads/") if head.startswith("ref: refs/heads/") else None
        (git_dir / "refs" / "heads").mkdir()
        disk.write_whole(git_dir / "HEAD", repair.HEAD)
        disk.write_whole(git_dir / "config", CONFIG + (PROMISED if self._without_contents else b""))
        self._mark(git_dir, Fetched(default, started_at))
        return branches.get(f"{BRANCHES}{default}")

    async def _fetch(self, remote: Remote, progress: Progress) -> None:
        """One question when nothing is new; the fetch itself only when something is."""
        started_at = time.time()
        answer = await self._git.run(
            "ls-remote", "--symref", "--", remote.url, "HEAD", "refs/heads/*", remote=remote, progress=progress
        )
        default, advertised = _advertised(answer.stdout)
        if not advertised:
            raise _empty()
        held = await run_sync(self._branches)
        held.pop(f"{BRANCHES}HEAD", None)  # a branch that is really called HEAD is not worth a fetch each time
        if advertised != {name.removeprefix(BRANCHES): commit for name, commit in held.items()}:
            await run_sync(self._clear_stale_locks)
            await self._git.run(
                "fetch", "--prune", "--no-tags", "--no-recurse-submodules", "--no-write-fetch-head", "--progress",
                *(["--filter=blob:none", "origin"] if self.is_partial() else ["--", remote.url]),
                f"+refs/heads/*:{BRANCHES}*",
                git_dir=self.path, remote=remote, progress=progress, limit=self._clone_limit,
                settings={"remote.origin.url": remote.url},
            )  # fmt: skip
        await run_sync(self._mark, self.path, Fetched(default, started_at))

    @property
    def _use_lock(self) -> Path:
        """Shared by all who lean on the mirror; whole for whoever exchanges it. Taken before `_lock`, never after."""
        return self._directory / f"{self.name}.use.lock"

    @property
    def _lock(self) -> Path:
        return self._directory / f"{self.name}.lock"

    def _mark(self, git_dir: Path, fetched: Fetched) -> None:
        disk.make_directory(git_dir / "awo")
        if not (git_dir / "awo" / "key").exists():
            disk.write_whole(git_dir / "awo" / "key", self.key.encode())
        disk.write_whole(git_dir / "awo" / "fetched.json", json.dumps(asdict(fetched)).encode())

    def _branches(self) -> dict[str, str]:
        self._clear_drafts()
        return refs.refs_below(self.path, BRANCHES)

    def _clear_drafts(self, around: list[str] | None = None) -> None:
        """Ours, and those of processes that died: under the lock nobody else clones."""
        for name in os.listdir(self._directory) if around is None else around:  # noqa: PTH208 - see there
            if name.startswith(f".{self.name}.") and name.endswith(".tmp"):
                rmtree(self._directory / name, ignore_errors=True)

    def _clear_stale_locks(self) -> None:
        """These files are only ever locked under our lock: a lock that is there has lost its holder."""
        for lock in [*(self.path / BRANCHES).rglob("*.lock"), self.path / "packed-refs.lock"]:
            lock.unlink(missing_ok=True)


def _advertised(listing: bytes) -> tuple[str | None, dict[str, str]]:
    """Default branch and branches of an `ls-remote --symref`; without a symref, a branch that HEAD agrees with."""
    default: str | None = None
    detached: str | None = None
    branches: dict[str, str] = {}
    for line in listing.decode("utf-8", "replace").splitlines():
        value, _, name = line.partition("\t")
        if name == "HEAD" and value.startswith("ref: refs/heads/"):
            default = value.removeprefix("ref: refs/heads/")
        elif name == "HEAD":
            detached = value
        elif name.startswith("refs/heads/") and name != "refs/heads/HEAD":
            branches[name.removeprefix("refs/heads/")] = value
    if default is None and detached:
        alike = sorted(name for name, commit in branches.items() if commit == detached)
        default = next((name for name in ("main", "master") if name in alike), alike[0] if alike else None)
    return default, branches


def _empty() -> Exception:
    return refused("The repository is empty", "Push a first commit to it, then retry the order.")
