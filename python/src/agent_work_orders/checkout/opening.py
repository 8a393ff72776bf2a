"""One checkout on its way: from the pool, from an older prepared one, or from nothing; then what its operator adds."""

from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path
from subprocess import DEVNULL

from anyio.to_thread import run_sync

from ..domain.repository import Repository, RepositoryOptions
from . import disk, lfs, partial, sparse
from .child import Progress
from .extras import Extras
from .failures import refused
from .git import Git, Remote
from .git_dir import GitDir, Owner, new_root
from .mirror import Mirror, OrderState
from .placed import hiding, place
from .pool import INDEX, TREE, Pool, Ready
from .server_index import copy_index
from .set_up import NO_KEY, SetUps
from .submodules import Submodules, index_of


@dataclass(frozen=True)
class Workshop:
    """What all checkouts of a volume are made with."""

    git: Git
    pool: Pool
    set_ups: SetUps
    submodules: Submodules
    trash: Path
    owner: Owner
    limit: timedelta

    async def read_tree(
        self,
        commit: str,
        *,
        mirror: Mirror,
        root: Path,
        view: Path | None = None,
        progress: Progress | None = None,
        behind: bool = False,
    ) -> None:
        """Files and index by a single git, which is what makes this fast; what is there already is brought up to it."""
        await self.git.run(
            "read-tree", "-u", "-v", "--reset", commit,
            git_dir=view or mirror.path, work_tree=root, index=root / ".git" / "index",
            environment={"GIT_COMMON_DIR": str(mirror.path)} if view else None,
            settings=sparse.SETTINGS if view else None,
            progress=progress, limit=self.limit, stdout=DEVNULL, as_agent=True, behind=behind,
        )  # fmt: skip


@dataclass(frozen=True)
class Start:
    """What is known of an order before its checkout is opened, and the commit that is checked out."""

    state: OrderState
    commit: str


@dataclass(frozen=True)
class Opened:
    """What came of it. `prepared` when nothing was left to do but to hand it over; `key` names the set-up that belongs
    to it, and `config` is what submodules add to the order's configuration. `commit` is what was just checked out.
    """

    extras: Extras
    key: str
    prepared: bool = False
    config: str = ""
    notes: tuple[str, ...] = ()
    commit: str | None = None


@dataclass(frozen=True)
class Files:
    """A working tree that the server made just now, whose .git is nothing but its index, and the commit it is of."""

    tree: Path
    commit: str


@dataclass(frozen=True)
class Begun:
    """The order's directory: what was taken from the pool, the commit of which it has the files, and what a person
    should know of the mirror.
    """

    taken: Ready | None
    commit: str | None
    is_partial: bool
    notes: tuple[str, ...]


@dataclass(frozen=True)
class Opening:
    """A checkout for one order. `subdir` is empty unless it alone is wanted on disk."""

    shop: Workshop
    mirror: Mirror
    root: Path
    order_id: str
    repository: Repository
    branch: str
    options: RepositoryOptions
    subdir: str
    remote: Remote
    progress: Progress
    start: Start

    def begin_without_set_up(self, files: Files | None = None) -> Begun | None:
        """What `populate` is given then; None where a set-up command has to be looked up first. In a thread.

        Of `files` that are there the order's directory is made.
        """
        return self._begin(NO_KEY, files) if files or self.options.setup_command is None else None

    def without_waiting(self, begun: Begun) -> Opened | None:
        """What `populate` would say where it has nothing to do; else None."""
        options, taken = self.options, begun.taken
        if begun.commit != self.start.commit:
            return None
        if options.setup_command is not None or options.files or options.lfs or options.submodules:
            return None
        extras = Extras(sparse=self.subdir, hidden=taken.hidden if taken else ())
        return Opened(extras, NO_KEY, taken is not None, "", begun.notes, begun.commit)

    async def populate(self, begun: Begun | None) -> Opened:
        """The files and what belongs beside them; `finish` does the rest."""
        start = self.start.commit
        key = await self.shop.set_ups.key(self.mirror, start, self.options)
        if begun is None:
            begun = await run_sync(self._begin, key)
        taken = begun.taken
        if begun.commit != start:
            await self._fill(start, begun)
        large = await self._fetch_large(start)
        config, mirrors, notes = await self._fetch_submodules(start)
        extras = Extras(
            sparse=self.subdir,
            set_up=taken.set_up if taken else "",
            hidden=taken.hidden if taken else (),
            placed=tuple(self.options.files),
            submodules=mirrors,
            large=large,
        )
        if key != extras.set_up:
            hidden = await self.shop.set_ups.restore(self.mirror, key, self.root)
            extras = extras if hidden is None else replace(extras, set_up=key, hidden=hidden)
        extras = replace(extras, due=key != extras.set_up)
        await self._refuse_tracked_files(start)
        prepared = taken is not None and taken.commit == start
        return Opened(extras, key, prepared, config, (*begun.notes, *notes), start)

    def _begin(self, key: str, files: Files | None = None) -> Begun:
        """An order's directory: of files that are there, a prepared one if there is any, else an empty one."""
        state, unready = self.start.state, replace(self.start.state, ready=False)
        if state.ready:  # before anything is taken away: an empty checkout must not pass for what an agent left
            self.mirror.save_state(self.order_id, unready)
        self.mirror.keep(self.order_id, "base", state.base_commit)
        place = self.root.parent
        disk.set_aside(place, self.shop.trash)
        is_partial, taken = self.mirror.is_partial(), None
        if files is None and self._takes_prepared():
            taken = self.shop.pool.take(self.mirror, self.start.commit, key, place)
        if taken is not None:
            (place / TREE).rename(self.root)
        else:
            disk.make_directory(place, 0o711)
            if files:
                files.tree.rename(self.root)
            new_root(self.root, self.shop.owner)
        there = files or taken
        begun = Begun(taken, there.commit if there else None, is_partial, self._notes(is_partial))
        if self.without_waiting(begun) is None:
            self.mirror.save_state(self.order_id, unready)
        return begun

    def _takes_prepared(self) -> bool:
        """Prepared checkouts are whole ones of the default branch; for any other they would be a detour."""
        if self.subdir or self.options.submodules or self.options.lfs:
            return False
        fetched = self.mirror.fresh(timedelta.max, 0.0)
        return fetched is not None and self.start.state.base_branch == fetched.default

    async def _fill(self, start: str, begun: Begun) -> None:
        if begun.is_partial:
            await partial.fetch_contents(
                self.shop.git, self.mirror, self.remote, start, self.subdir, self.progress, self.shop.limit
            )
        view = None
        if self.subdir:
            view = self.mirror.order_dir(self.order_id) / "view"
            await run_sync(sparse.write_view, view, self.subdir)
        await self.shop.read_tree(start, mirror=self.mirror, root=self.root, view=view, progress=self.progress)

    async def _fetch_large(self, start: str) -> dict[str, lfs.Stamp] | None:
        shop = self.shop
        if not self.options.lfs:
            return None
        return await lfs.fetch(
            shop.git, self.mirror, self.remote, start, self.root, shop.owner, self.progress, shop.limit
        )

    async def _fetch_submodules(self, start: str) -> tuple[str, dict[str, str], tuple[str, ...]]:
        """Lines for the order's configuration, mirrors by path, and what there is to say."""
        if not self.options.submodules:
            return "", {}, ()
        shop = self.shop
        found = await shop.submodules.find(self.mirror, start, self.repository, self.subdir)
        notes = list(found.notes)
        for module in found.modules:
            index = index_of(self.mirror.order_dir(self.order_id), module.path)
            said = await shop.submodules.place(
                module, self.repository, self.remote.token, self.root, index, shop.owner, self.progress
            )
            notes += [said] if said else []
        return found.config, found.mirrors(shop.submodules.mirrors, shop.git, shop.limit), tuple(notes)

    async def _refuse_tracked_files(self, start: str) -> None:
        """A file that belongs to the repository cannot be placed: every commit would have it changed."""
        if not self.options.files:
            return
        words = ("ls-tree", "-z", "--name-only", "--full-tree", start, "--", *self.options.files)
        tracked = (await self.shop.git.run(*words, git_dir=self.mirror.path)).stdout.split(b"\0")[0]
        if tracked:
            raise refused(
                f"{tracked.decode('utf-8', 'replace')} belongs to the repository and cannot be placed over",
                "Choose another path for it in the settings of this repository, then retry the order.",
            )

    def finish(self, opened: Opened) -> None:
        """What makes it the order's: the files of the operator, its .git, and the server's own index. In a thread.

        Nothing of the order's has run in it yet, so its .git is written where nobody can have planted a link.
        """
        state, extras = self.start.state, opened.extras
        place(self.root, self.options.files, self.shop.owner)
        GitDir(
            url=self.repository.url,
            start=self.start.commit,
            objects=self.mirror.path / "objects",
            branch=self.branch,
            base=(state.base_branch, state.base_commit),
            hidden=(*extras.hidden, *hiding(extras.placed)),
            cone=sparse.cone(self.subdir) if self.subdir else None,
            shallow=disk.read_inside(self.mirror.path, ["shallow"], 1 << 24),
            more_config=opened.config,
        ).write(self.root, self.shop.owner)
        ours, index = self.mirror.order_dir(self.order_id), self.root.parent / INDEX
        extras.save(ours)
        if opened.prepared:
            index.rename(ours / "index")
        else:
            index.unlink(missing_ok=True)
            copy_index(self.root, ours / "index")

    def _notes(self, is_partial: bool) -> tuple[str, ...]:
        notes = []
        if self.subdir:
            notes.append(f"Only {self.subdir} and the files on the way to it are on disk (a sparse checkout).")
        if is_partial:
            notes.append(partial.NOTE)
        if (self.mirror.path / "shallow").is_file():
            notes.append("The mirror is a shallow one: older commits are not there.")
        return tuple(notes)
