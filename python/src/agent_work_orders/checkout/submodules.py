"""Submodules of the first level, fetched by the server from allowed hosts only: content to read, never to push.

Each has a mirror like any repository. Addresses are the repository's words, so they pass the grammar of an order's.
"""

import hashlib
import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from urllib.parse import urljoin

from anyio.to_thread import run_sync

from ..domain.errors import InvalidInput, StepFailed
from ..domain.repository import Repository
from . import disk
from .child import Progress
from .failures import refused
from .git import Git, Remote
from .git_dir import GitDir, Owner, new_root
from .mirror import Mirror
from .server_index import copy_index

MAX = 200
_SECURE_SHELL = re.compile(r"(?:ssh://)?(?:[\w.-]+@)([A-Za-z0-9.-]+)[:/](?!//)(.+)\Z")
_PLAIN_NAME = re.compile(r"[A-Za-z0-9._/ -]{1,200}\Z")


@dataclass(frozen=True)
class Submodule:
    """One that is wanted: where it belongs, at which commit, and where it comes from."""

    name: str
    path: str
    commit: str
    repository: Repository


@dataclass(frozen=True)
class Found:
    """The submodules of a commit, and a sentence for each that cannot be had."""

    modules: tuple[Submodule, ...] = ()
    notes: tuple[str, ...] = ()

    def mirrors(self, directory: Path, git: Git, limit: timedelta) -> dict[str, str]:
        """Which mirror each is borrowed from, by path."""
        keys = ((one.path, one.repository.key) for one in self.modules)
        return {path: Mirror(git, directory, key, limit).path.name for path, key in keys}

    @property
    def config(self) -> str:
        """Lines of .git/config that make them known to the order's git."""
        return "".join(
            f'[submodule "{one.name}"]\n\tactive = true\n\turl = {one.repository.url}\n' for one in self.modules
        )


@dataclass(frozen=True)
class Submodules:
    """Finds, fetches and places them. `parse` turns an address into a repository, or raises InvalidInput."""

    git: Git
    mirrors: Path
    parse: Callable[[str], Repository]
    remote: Callable[[Repository, str | None], Remote]
    freshness: Callable[[], timedelta]
    limit: timedelta

    async def find(self, mirror: Mirror, commit: str, repository: Repository, subdir: str) -> Found:
        """Those that a commit names in .gitmodules and has in its tree; in a sparse checkout those within it."""
        words = ("config", "--blob", f"{commit}:.gitmodules", "--list", "-z")
        listing = await self.git.run(*words, git_dir=mirror.path, expect=range(-64, 256))
        sections = _sections(listing.stdout)
        paths = [section["path"] for section in sections.values() if section.get("path")][:MAX]
        if not paths:
            return Found()
        tree = await self.git.run("ls-tree", "-z", "--full-tree", commit, "--", *paths, git_dir=mirror.path)
        links = dict(_link(entry) for entry in tree.stdout.split(b"\0") if entry.startswith(b"160000 "))
        modules, notes = [], []
        for name, section in sections.items():
            path, url = section.get("path", ""), section.get("url", "")
            if path not in links or (subdir and not f"{path}/".startswith(f"{subdir}/")):
                continue
            try:
                source = self.parse(_address(url, repository))
            except InvalidInput as error:
                notes.append(f"The submodule {_shown(path)} is left empty: its address {error.fields[0].problem}.")
                continue
            modules.append(Submodule(name if _PLAIN_NAME.match(name) else path, path, links[path], source))
        return Found(tuple(module for module in modules if _PLAIN_NAME.match(module.name)), tuple(notes))

    async def place(
        self,
        module: Submodule,
        repository: Repository,
        token: str | None,
        root: Path,
        index: Path,
        owner: Owner,
        progress: Progress,
    ) -> str | None:
        """Fetches one and checks it out where it belongs, in a checkout that nobody has had yet; what is left to say.

        `index` is where the server keeps what it looked like. StepFailed names the submodule. The token goes to the
        host that it is for, and to no other.
        """
        own = Mirror(self.git, self.mirrors, module.repository.key, self.limit)
        remote = self.remote(module.repository, token if module.repository.host == repository.host else None)
        try:
            await self._fetch(own, remote, module, progress)
        except StepFailed as error:
            raise StepFailed(
                error.failure_class,
                f"The submodule {_shown(module.path)} could not be fetched: {error.message}",
                next_action=error.next_action,
            ) from error
        place = root / module.path
        await run_sync(new_root, place, owner)
        await self.git.run(
            "read-tree", "-u", "--reset", module.commit,
            git_dir=own.path, work_tree=place, index=place / ".git" / "index", limit=self.limit, as_agent=True,
        )  # fmt: skip
        git_dir = GitDir(module.repository.url, module.commit, own.path / "objects")
        await run_sync(git_dir.write, place, owner)
        await run_sync(copy_index, place, index)
        if await run_sync(disk.read_inside, place, [".gitmodules"], 1 << 20):
            return f"The submodule {_shown(module.path)} has submodules of its own; they are not fetched."
        return None

    async def _fetch(self, own: Mirror, remote: Remote, module: Submodule, progress: Progress) -> None:
        if not await self._has(own, module.commit):
            await own.refresh(remote, timedelta(0), progress)
        if not await self._has(own, module.commit):
            # No branch leads to it; most hosts give it out by its name all the same.
            await self.git.run(
                "fetch", "--no-tags", "--no-write-fetch-head", "--no-recurse-submodules", "--", remote.url,
                module.commit,
                git_dir=own.path, remote=remote, limit=self.limit, expect=(0, 1, 128),
            )  # fmt: skip
        if not await self._has(own, module.commit):
            raise refused(
                f"its repository has no commit {module.commit[:12]}",
                "Push that commit of the submodule, or correct the submodule in the repository; then retry the order.",
            )

    async def _has(self, mirror: Mirror, commit: str) -> bool:
        if not await run_sync(disk.is_directory, mirror.path):
            return False
        found = await self.git.run("cat-file", "-e", f"{commit}^{{tree}}", git_dir=mirror.path, expect=range(-64, 256))
        return found.exit_code == 0


def index_of(order_directory: Path, path: str) -> Path:
    """The server's own index of one submodule."""
    return order_directory / "modules" / hashlib.sha256(path.encode("utf-8", "surrogateescape")).hexdigest()[:20]


def _sections(listing: bytes) -> dict[str, dict[str, str]]:
    """Of `git config --list -z`: `submodule.<name>.<key>` newline value, for each name."""
    found: dict[str, dict[str, str]] = {}
    for line in listing.decode("utf-8", "replace").split("\0"):
        key, _, value = line.partition("\n")
        beginning, _, rest = key.partition(".")
        name, _, last = rest.rpartition(".")
        if beginning == "submodule" and name:
            found.setdefault(name, {})[last] = value
    return found


def _link(entry: bytes) -> tuple[str, str]:
    facts, _, path = entry.partition(b"\t")
    return path.decode("utf-8", "surrogateescape"), facts.split(b" ")[2].decode()


def _address(url: str, repository: Repository) -> str:
    """The address that a submodule's means here: relative ones belong to the repository's own, ssh becomes https."""
    if url.startswith(("./", "../")):
        return urljoin(f"{repository.url}/", url)
    if ("://" not in url or url.startswith("ssh://")) and (match := _SECURE_SHELL.match(url)):
        return f"https://{match[1]}/{match[2].lstrip('/')}"
    return url


def _shown(path: str) -> str:
    return "".join(char if char.isprintable() else "?" for char in path)[:200]
