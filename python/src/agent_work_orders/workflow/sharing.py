"""Lets another server go on where this one stops: checkpoints on a hidden ref of the remote, put there and taken up.

Nothing depends on it: where it cannot be done the order says so, and its work is made anew if it must be.
"""

import logging

import anyio

from ..domain.errors import FailureClass, StepFailed
from ..domain.events import BranchPushed, CheckpointSaved, CheckpointShared
from ..domain.repository import Repository, RepositoryOptions
from ..domain.work_order import Claim
from ..ports import Checkout, Checkpoint, TakenOver, Tools
from .journal import Journal
from .lease import patiently
from .policy import problems_of

logger = logging.getLogger("archon.awo")

# Seconds. What ends badly, or because the server stops, has no time to wait for a slow remote.
SHARE_WITHIN = 60.0
SHARE_AT_LAST_WITHIN = 3.0
UNSHARE_WITHIN = 5.0

_AGAIN = (FailureClass.NETWORK, FailureClass.DISK, FailureClass.TIMEOUT)


class Sharing:
    """What one run of an order does with the hidden ref."""

    def __init__(self, claim: Claim, tools: Tools, journal: Journal, repository: Repository, *, pushes: bool) -> None:
        self._claim, self._tools, self._journal, self._repository = claim, tools, journal, repository
        # A workflow that pushes nothing promises that nothing leaves the server.
        self._pushes = pushes
        self._wanted = pushes and tools.limits().push_checkpoints
        # Asked for once in a run, which knows them from its start.
        self.options: RepositoryOptions | None = None
        self._shared: str | None = None
        self._problem: str | None = None

    async def take_over(self, branch: str) -> TakenOver:
        """What the order's journal says it made, brought to this server's disk as far as it can be had."""
        return await self._tools.checkouts.take_over(
            self._claim.order,
            self._repository,
            branch,
            await self._token(),
            await self._saved_commits(),
            lambda phase, percent: None,
            options=await self._options(),
        )

    async def _saved_commits(self) -> list[str]:
        """Every commit that a run of the order wrote down, the newest last."""
        kinds: dict[str, type[CheckpointSaved] | type[BranchPushed]] = {
            CheckpointSaved.kind: CheckpointSaved,
            BranchPushed.kind: BranchPushed,
        }
        told = await patiently(
            lambda: self._tools.store.events(
                self._claim.order_id, before_seq=self._journal.last_seq + 1, kinds=frozenset(kinds)
            )
        )
        commits = [kinds[event.kind].model_validate_json(event.payload).commit for event in reversed(told)]
        return list(dict.fromkeys(commits))[::-1]

    async def share(self, checkout: Checkout, saved: Checkpoint, step_order: int | None, within: float) -> None:
        """Pushes a checkpoint that changed something, once it is in the journal: others take nothing else."""
        if not self._wanted or not saved.changed or saved.commit == self._shared:
            return
        if not (await self._options()).push_checkpoints:
            self._wanted = False
            return
        await self._journal.flush()
        problem = await self._push(checkout, saved.commit, within)
        if problem is None:
            self._shared = saved.commit
        if problem is None or problem != self._problem:
            self._journal.tell(CheckpointShared(commit=saved.commit, problem=problem), step_order)
        self._problem = problem

    async def _push(self, checkout: Checkout, commit: str, within: float) -> str | None:
        """Why it is not there now; None when it is."""
        try:
            with anyio.fail_after(within):
                # Others can read the remote: what must not be pushed as a branch must not be pushed at all.
                problems = problems_of(await checkout.diff(commit), self._tools.redactor, (await self._options()).files)
                if problems:
                    return f"It must not be pushed: {'; '.join(problems)[:300]}."
                token = await self._token()
                if token is None:
                    self._wanted = False
                    return "No GitHub token is set, so other servers cannot take this up."
                await checkout.share(commit, token)
        except TimeoutError:
            return f"The remote did not take it within {within:.0f} s."
        except StepFailed as failure:
            self._wanted = failure.failure_class in _AGAIN
            return self._tools.redactor.redact(failure.message)
        return None

    async def end(self) -> None:
        """The work is done and published: nobody will take it up. Best effort, for it holds nobody up."""
        if not self._pushes:
            return
        try:
            with anyio.move_on_after(UNSHARE_WITHIN):
                await self._tools.checkouts.unshare(self._claim.order_id, self._repository, await self._token())
        except (StepFailed, OSError) as failure:
            logger.warning("%s: its hidden ref is still on the remote: %s", self._claim.order_id, failure)

    async def _options(self) -> RepositoryOptions:
        if self.options is None:
            self.options = await patiently(lambda: self._tools.options(self._repository))
        return self.options

    async def _token(self) -> str | None:
        return await patiently(lambda: self._tools.secrets.get("GITHUB_TOKEN", self._repository))
