"""An order's last checkpoint on a ref of the remote that nobody sees as a branch, for servers with another disk.

Takes no commit that it was not told of: whoever may write to the remote could have put anything there.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta

from anyio.to_thread import run_sync

from . import refs
from .child import Progress
from .failures import refusal_of, rejected
from .git import Git, Output, Remote
from .mirror import Mirror

# A checkpoint is small, and somebody waits for the step to end.
PUSH_LIMIT = timedelta(minutes=2)


@dataclass(frozen=True)
class Found:
    """A commit of the order's, in the mirror by now; `pushed` is where the order's branch stands on the remote."""

    commit: str
    pushed: str | None


class HiddenRef:
    """`refs/awo/<order id>/head` of the remote. What we know of it is the mirror's ref `shared`."""

    def __init__(self, git: Git, mirror: Mirror, order_id: str) -> None:
        mirror.order_dir(order_id)  # refuses what is no order id
        self.name = f"refs/awo/{order_id}/head"
        self._git, self._mirror, self._order_id = git, mirror, order_id

    def is_known(self) -> bool:
        """Whether there is one as far as we know."""
        return self._known is not None

    @property
    def _known(self) -> str | None:
        return self._mirror.ref(self._order_id, "shared")

    async def push(self, remote: Remote, commit: str) -> None:
        """Puts the ref where `commit` is. StepFailed (conflict) for a refusal, also when another server was there."""
        if self._known == commit:
            return
        output = await self._replace(remote, commit, self._known)
        if refusal_of(output.stdout):
            # An answer that was lost leaves us behind our own push: that is not somebody else's.
            there = (await self._listed(remote, self.name)).get(self.name)
            if there != self._known and (there is None or await self._is_here(there)):
                output = await self._replace(remote, commit, there)
        refusal = refusal_of(output.stdout)
        if output.exit_code or refusal:
            raise rejected(refusal or "it gave no reason", output.stderr, "checkpoint")
        await run_sync(self._mirror.keep, self._order_id, "shared", commit)

    async def take(self, remote: Remote, branch: str, commits: Sequence[str], progress: Progress) -> Found | None:
        """The newest of `commits` (oldest first) that the hidden ref or the branch holds, fetched; None if neither."""
        target = f"refs/heads/{branch}"
        listed = await self._listed(remote, self.name, target)
        age = {commit: number for number, commit in enumerate(commits)}
        known = [name for name in (self.name, target) if listed.get(name) in age]
        if not known:
            return None
        name = max(known, key=lambda one: age[listed[one]])
        async with self._mirror.locked():
            await self._git.run(
                "fetch", "--no-tags", "--no-recurse-submodules", "--no-write-fetch-head", "--progress",
                "--", remote.url, f"+{name}:refs/awo/{self._order_id}/taken",
                git_dir=self._mirror.path, remote=remote, progress=progress,
            )  # fmt: skip
        commit = self._mirror.ref(self._order_id, "taken")
        if commit is None or commit not in age:  # it moved between the question and the fetch
            return None
        shared, tip = ([listed[one]] if one in listed else [] for one in (self.name, target))
        for there in shared:
            if await self._is_here(there):
                await run_sync(self._mirror.keep, self._order_id, "shared", there)
        ours = [there for there in tip if await self._is_ours(there, commit)]
        return Found(commit, ours[0] if ours else None)

    async def delete(self, remote: Remote) -> None:
        """Takes the ref away; one that is gone already, or that another server has moved on, is left alone."""
        if known := self._known:
            await self._replace(remote, "", known)
            await run_sync(self._mirror.drop, self._order_id, "shared")

    async def _replace(self, remote: Remote, commit: str, expected: str | None) -> Output:
        """Only where the ref is still what we last knew: a server that lost the order must not turn it back."""
        return await self._git.run(
            "push", "--porcelain", "--no-verify", "--no-follow-tags", "--recurse-submodules=no",
            f"--force-with-lease={self.name}:{expected or ''}", "--", remote.url, f"{commit}:{self.name}",
            git_dir=self._mirror.path, remote=remote, limit=PUSH_LIMIT, expect=(0, 1),
        )  # fmt: skip

    async def _listed(self, remote: Remote, *names: str) -> dict[str, str]:
        listing = await self._git.run("ls-remote", "--", remote.url, *names, remote=remote, limit=PUSH_LIMIT)
        pairs = (line.partition("\t") for line in listing.stdout.decode("utf-8", "replace").splitlines())
        return {name: commit for commit, _, name in pairs if name in names and refs.COMMIT.match(commit)}

    async def _is_here(self, commit: str) -> bool:
        """Whether this server made it, or took it up: what another one made since then is on no disk but its own."""
        words = ("cat-file", "-e", f"{commit}^{{commit}}")
        return (await self._git.run(*words, git_dir=self._mirror.path, expect=(0, 1, 128))).exit_code == 0

    async def _is_ours(self, there: str, commit: str) -> bool:
        """Whether a branch's end is the order's own work: `commit` continues it, or it is a checkpoint of ours."""
        kept = await run_sync(refs.refs_below, self._mirror.path, f"refs/awo/{self._order_id}/")
        return there in kept.values() or await self._mirror.descends(commit, there)
