"""An order's own .git, written by hand: complete before its owner gets it. Knows neither orders nor the network."""

import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from .git import EXCLUDED
from .mirror import BRANCHES

Owner = tuple[int, int] | None  # uid and gid of the agent's user; None is the server's own

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
_SPARSE = "[core]\n\tsparseCheckout = true\n\tsparseCheckoutCone = true\n"


@dataclass(frozen=True)
class GitDir:
    """What it says. `start` is the commit that HEAD leads to; without a `branch` HEAD is detached.

    `objects` is the store that it borrows from, `hidden` are lines for info/exclude, `cone` those of
    info/sparse-checkout, and `shallow` the content of the mirror's file of that name.
    """

    url: str
    start: str
    objects: Path
    branch: str | None = None
    base: tuple[str, str] | None = None  # name and commit of the base branch
    hidden: tuple[str, ...] = ()
    cone: str | None = None
    shallow: bytes | None = None
    more_config: str = ""

    def write(self, root: Path, owner: Owner) -> None:
        """Into `root`, and all of it to its owner. Nobody may be able to plant a link where this is about to write."""
        git = root / ".git"
        files = self._files()
        for directory in _directories(("hooks/", "objects/pack/", "refs/heads/", "refs/tags/", *files)):
            (git / directory).mkdir(exist_ok=True)
        for name, content in files.items():
            (git / name).write_bytes(content)
        git.chmod(0o700)
        hand_over(git, owner)

    def _files(self) -> dict[str, bytes]:
        files = {
            "HEAD": f"ref: refs/heads/{self.branch}\n" if self.branch else f"{self.start}\n",
            "config": _CONFIG.format(url=self.url) + (_SPARSE if self.cone else "") + self.more_config,
            "info/exclude": "\n".join((*EXCLUDED, *self.hidden)) + "\n",
            "objects/info/alternates": f"{self.objects}\n",
        }
        if self.branch:
            files[f"refs/heads/{self.branch}"] = f"{self.start}\n"
        if self.base:
            ref = f"{self.base[1]} {BRANCHES}{self.base[0]}\n"
            files["packed-refs"] = f"# pack-refs with: peeled fully-peeled sorted \n{ref}"
        if self.cone:
            files["info/sparse-checkout"] = self.cone
        contents = {name: text.encode() for name, text in files.items()}
        return contents if self.shallow is None else {**contents, "shallow": self.shallow}


def _directories(names: Iterable[str]) -> list[str]:
    """Those that the names lie in, each after the one that it lies in itself; "" first."""
    found = {""}
    for name in names:
        parts = name.split("/")[:-1]
        found.update("/".join(parts[: end + 1]) for end in range(len(parts)))
    return sorted(found)


def new_root(root: Path, owner: Owner) -> None:
    """An empty working tree with an empty .git, for git to fill; both belong to their owner alone."""
    for directory in (root, root / ".git"):
        directory.mkdir(exist_ok=True)
        directory.chmod(0o700)
        if owner:
            os.lchown(directory, *owner)


def hand_over(tree: Path, owner: Owner) -> None:
    """Gives a small tree that nobody else can reach yet to its owner."""
    if owner:
        for directory, _, names in os.walk(tree, topdown=False):
            for name in names:
                os.lchown(Path(directory) / name, *owner)
            os.lchown(directory, *owner)
