"""Where a run stands: its current step, checkout, agent session and what it has produced so far."""

import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

import anyio

from ..domain.errors import FailureClass, StepFailed
from ..domain.events import (
    CheckoutOpened,
    CheckoutProgressed,
    CheckpointSaved,
    CheckRun,
    Payload,
    StepFinished,
    StepStarted,
)
from ..domain.repository import RepositoryOptions, branch_for
from ..domain.retention import MB
from ..domain.status import StepStatus
from ..domain.work_order import Claim, OrderChanges, StepResult, WorkOrder
from ..domain.workflow import COMMIT, VERIFY, StepKind, StepPlan, Workflow
from ..ports import AgentResult, Checkout, Checkpoint, StepStart, Tools
from .artifacts import Artifacts
from .conversation import Conversation
from .journal import Journal, keep_journal
from .lease import Hold, patiently
from .metadata import write_metadata, write_start
from .set_up import SettingUp
from .sharing import SHARE_AT_LAST_WITHIN, SHARE_WITHIN, Sharing

logger = logging.getLogger("archon.awo")

MAX_OUTPUT = 16_000
# Seconds between two events about a clone: a quick one needs none.
PROGRESS_EVERY = 1.0


@dataclass
class _Current:
    step_order: int
    plan: StepPlan
    started: float
    cost_usd: float = 0.0
    input_tokens: int = 0
    output_tokens: int = 0
    turns: int = 0
    denials: tuple[str, ...] = ()


class Progress:
    """One run of an order. Steps read from it and leave what they made in it; it does the writing down."""

    def __init__(self, claim: Claim, tools: Tools, journal: Journal) -> None:
        self.claim, self.order, self.tools, self.journal = claim, claim.order, tools, journal
        self.limits = tools.limits()
        self.repository = tools.repository(self.order.repository_url)
        self.artifacts = Artifacts(tools.work_orders_dir / claim.order_id, claim, journal, tools.store, tools.redactor)
        self.outputs = {step.step_name: step.output or "" for step in claim.steps if step.success}
        # Of each step, how it last ended, whichever attempt that was.
        self.succeeded = {step.step_name: bool(step.success) for step in claim.steps}
        self._setting_up = SettingUp(claim, tools, journal, self.artifacts)
        self.conversation = Conversation(claim, tools.store, journal)
        self.session_id = self.order.agent_session_id
        self.pull_request_url = self.order.github_pull_request_url
        self.checkpoint: Checkpoint | None = None
        self.evidence: CheckRun | None = None
        self.options = RepositoryOptions()
        self._workflow: Workflow | None = None
        self.plan: tuple[StepPlan, ...] = ()
        self._changed_since: StepFailed | None = None
        try:
            self._workflow, self.plan = tools.workflows().taken_up(
                self.order.workflow_type, self.order.selected_commands
            )
        except StepFailed as changed:
            self._changed_since = changed  # how the order ends is said where all its other ends are
        self.next_step = self.order.next_step
        self._spent = self.order.cost_usd
        pushes = any(plan.name == COMMIT.name for plan in self.plan)
        self.sharing = Sharing(claim, tools, journal, self.repository, pushes=pushes)
        self._taken_notes: tuple[str, ...] = ()
        self._checkout: Checkout | None = None
        self._current: _Current | None = None
        # A step that ended and is not written down yet: what interrupts the writing does not change how it ended.
        self._ended: StepResult | None = None

    async def take_up(self) -> None:
        """Brings what another server made to this one's disk, or goes back to the step that made it.

        Where its checkpoints are out of reach, the plan is not: it stands in the store.
        """
        if not self.order.git_files_changed:
            return
        taken = await self.sharing.take_over(self.branch)
        self._taken_notes = taken.notes
        if (await self.save_checkpoint("taken-up")).changed and taken.complete:
            return
        made_by = next((n for n, plan in enumerate(self.plan, 1) if plan.writes), self.next_step)
        self.next_step = min(self.next_step, made_by)
        for plan in self.plan[self.next_step - 1 :]:
            self.succeeded.pop(plan.name, None)
            self.outputs.pop(plan.name, None)

    def forget_verification(self) -> None:
        """What was verified is not what there is any more."""
        self.evidence = None
        self.succeeded.pop(VERIFY.name, None)

    async def look_up(self) -> None:
        """What the operator says of the repository and of the workflow; StepFailed when the workflow is another now."""
        self.options = self.sharing.options = await patiently(lambda: self.tools.options(self.repository))
        if self._changed_since is not None:
            raise self._changed_since

    @property
    def step_order(self) -> int | None:
        return self._current.step_order if self._current else None

    @property
    def step_name(self) -> str:
        return self._current.plan.name if self._current else ""

    @property
    def command(self) -> str:
        """Name of the current step's command file."""
        return self._step.plan.command_name or self.step_name

    @property
    def plan_text(self) -> str | None:
        """What the agent planned: its last words in the last step in which it was only to read."""
        said = [self.outputs.get(plan.name) for plan in self.plan if plan.read_only]
        return next((text for text in reversed(said) if text), None)

    @property
    def branch(self) -> str:
        """The order's branch: the one it already has, else named by the server."""
        prefix = self._workflow.branch_prefix if self._workflow else "awo/"
        return self.order.git_branch_name or branch_for(self.claim.order_id, self.order.user_request, prefix)

    @property
    def budget_left(self) -> float | None:
        """US dollars this order may still spend; None without a limit."""
        given = (self.order.max_cost_usd, self.options.max_cost_usd, self.limits.max_cost_usd)
        limits = [limit for limit in given if limit is not None]
        return min(limits) - self._spent if limits else None

    @property
    def quota_bytes(self) -> int | None:
        """Most that the order's files may hold; None without a quota."""
        quota = self.options.quota_mb or self.limits.order_quota_mb
        return None if quota is None else quota * MB

    def tell(self, payload: Payload, artifact_id: str | None = None) -> None:
        self.journal.tell(payload, self.step_order, artifact_id)

    async def flush(self) -> None:
        await self.journal.flush()

    def record(self, changes: OrderChanges) -> None:
        """Without waiting for it: in the store with the next batch, and with the end of the step at the latest."""
        self.journal.record(changes)

    async def secret(self, name: str) -> str | None:
        return await patiently(lambda: self.tools.secrets.get(name, self.repository))

    # --- the checkout ---

    async def checkout(self) -> Checkout:
        """The order's checkout, opened when the first step asks for it."""
        if self._checkout is None:
            began = anyio.current_time()
            told_at = began

            def tell_progress(phase: str, percent: int) -> None:
                nonlocal told_at
                if anyio.current_time() - told_at >= PROGRESS_EVERY:
                    told_at = anyio.current_time()
                    self.tell(CheckoutProgressed(phase=phase, percent=percent))

            token = await self.secret("GITHUB_TOKEN")
            wanted = self._setting_up.admit(self.options)
            opened = await self.tools.checkouts.open(
                self.order, self.repository, self.branch, token, tell_progress, options=wanted
            )
            self.journal.let_pass()
            self.tell(
                CheckoutOpened(
                    branch=opened.branch,
                    base_branch=opened.base_branch,
                    base_commit=opened.base_commit,
                    resumed=opened.resumed,
                    prepared=opened.prepared,
                    took_ms=round((anyio.current_time() - began) * 1000),
                    notes=[*self._taken_notes, *opened.notes],
                )
            )
            self.record(OrderChanges(base_branch=opened.base_branch, base_commit=opened.base_commit))
            await self._setting_up.run(opened, self.options, self.step_order or 0, self.step_name or None)
            self._checkout = opened
        return self._checkout

    async def save_checkpoint(self, label: str, share_within: float = SHARE_WITHIN) -> Checkpoint:
        """Everything in the checkout, as a commit in the mirror; for other servers too, if that takes no longer."""
        checkout = await self.checkout()
        known = len(checkout.notes)
        saved = await checkout.checkpoint(label, self.commit_message())
        notes = list(checkout.notes[known:])
        if notes or self.checkpoint is None or saved.commit != self.checkpoint.commit:
            self.tell(
                CheckpointSaved(
                    commit=saved.commit,
                    commit_count=saved.commit_count,
                    files_changed=saved.files_changed,
                    notes=notes,
                )
            )
            self.record(OrderChanges(git_commit_count=saved.commit_count, git_files_changed=saved.files_changed))
        self.checkpoint = saved
        await self.sharing.share(checkout, saved, self.step_order, share_within)
        return saved

    async def head_commit(self) -> str:
        """The commit to publish: the verified one if there is evidence, else everything in the checkout.

        What was verified is what is published: files that the check itself left behind stay out.
        """
        if self.evidence is None:
            self.evidence = await self._evidence_of_earlier()
        if self.evidence is not None and self.evidence.passed:
            return self.evidence.commit
        return (await self.save_checkpoint("to-commit")).commit

    async def _evidence_of_earlier(self) -> CheckRun | None:
        """What an earlier run of the order verified: after a crash between two steps it stands in the journal alone."""
        told = await patiently(
            lambda: self.tools.store.events(
                self.claim.order_id,
                before_seq=self.journal.last_seq + 1,
                kinds=frozenset({CheckRun.kind, StepStarted.kind}),
            )
        )
        # Only the last verification counts: the checks of one that was taken again are about another change.
        for event in reversed(told):
            if event.kind == CheckRun.kind:
                return CheckRun.model_validate_json(event.payload)
            if StepStarted.model_validate_json(event.payload).step_name == VERIFY.name:
                return None
        return None

    def commit_message(self) -> str:
        """Subject from the request's first line; the trailer leads back to the order."""
        return f"{self.title()}\n\nWork-Order: {self.claim.order_id}\n"

    def title(self) -> str:
        """The request's first line, at most 72 characters."""
        lines = [line.strip().lstrip("#").strip() for line in self.order.user_request.splitlines()]
        first = next((line for line in lines if line), "Work order")
        first = "".join(char for char in first if char.isprintable())
        return first if len(first) <= 72 else first[:71].rstrip() + "…"

    # --- steps ---

    async def start_step(self, step_order: int, plan: StepPlan) -> None:
        self._current = _Current(step_order, plan, anyio.current_time())
        self.tell(StepStarted(step_name=plan.name, agent_name=plan.agent_name))
        self.journal.start_step(StepStart(step_order, plan.name, plan.agent_name))

    async def finish_step(self, status: StepStatus, output: str | None = None, error: str | None = None) -> None:
        """Ends the current step, if one is open; the work of an agent's step is kept first, however it ended.

        May be called again when it was interrupted, or failed to keep the work: it goes on where it was.
        """
        current = self._current
        if current is not None:
            if self._checkout is not None and self._may_have_changed(current, status):
                try:
                    in_time = SHARE_WITHIN if status is StepStatus.COMPLETED else SHARE_AT_LAST_WITHIN
                    await self.save_checkpoint(f"{current.step_order}-{current.plan.name}", in_time)
                except (StepFailed, OSError) as failure:
                    if status is StepStatus.COMPLETED:
                        raise
                    logger.warning(
                        "%s: the work of a step that ended badly is not kept: %s", self.claim.order_id, failure
                    )
            self._ended = self._end_of(current, status, output, error)
            self._current = None
        if (ended := self._ended) is not None:
            await self.journal.finish_step(ended)
            self._ended = None

    def _may_have_changed(self, current: _Current, status: StepStatus) -> bool:
        """Whether the work of a step that ends is to be kept now.

        An agent that was only to read and wrote all the same loses nothing: the next checkpoint takes everything, and
        where none would follow it is made at once.
        """
        if status is StepStatus.COMPLETED and current.plan.read_only:
            return all(plan.read_only for plan in self.plan[current.step_order :])
        return bool(current.turns) or current.plan.kind is StepKind.AGENT

    def _end_of(self, current: _Current, status: StepStatus, output: str | None, error: str | None) -> StepResult:
        duration = anyio.current_time() - current.started
        output = None if output is None else self.tools.redactor.redact(output)[:MAX_OUTPUT]
        error = None if error is None else self.tools.redactor.redact(error)[:MAX_OUTPUT]
        self.tell(
            StepFinished(
                step_name=current.plan.name,
                status=status,
                duration_seconds=round(duration, 3),
                output=output,
                error_message=error,
                cost_usd=current.cost_usd,
                permission_denials=list(current.denials),
            )
        )
        self.succeeded[current.plan.name] = status in (StepStatus.COMPLETED, StepStatus.SKIPPED)
        if output is not None and status is StepStatus.COMPLETED:
            self.outputs[current.plan.name] = output
        return StepResult(
            step_order=current.step_order,
            step_name=current.plan.name,
            agent_name=current.plan.agent_name,
            status=status,
            duration_seconds=duration,
            output=output,
            error_message=error,
            session_id=self.session_id,
            cost_usd=current.cost_usd,
            input_tokens=current.input_tokens,
            output_tokens=current.output_tokens,
        )

    @property
    def _step(self) -> _Current:
        if self._current is None:
            raise RuntimeError("no step is open")
        return self._current

    def next_turn(self) -> int:
        """Number of the agent's turn within the current step, from 1."""
        self._step.turns += 1
        return self._step.turns

    def count(self, result: AgentResult) -> None:
        """Adds what a turn of the agent used to its step."""
        self._step.cost_usd += result.cost_usd
        self._step.input_tokens += result.input_tokens
        self._step.output_tokens += result.output_tokens
        self._step.denials += result.permission_denials
        self._spent += result.cost_usd

    def check_budget(self) -> None:
        """StepFailed once the order has spent what it may."""
        left = self.budget_left
        if left is not None and left <= 0:
            raise StepFailed(
                FailureClass.BUDGET,
                f"The order has spent its limit: {self._spent:.2f} US dollars.",
                next_action="File it again with a higher max_cost_usd, or ask for less.",
            )

    # --- the end ---

    async def keep_what_is_left(self) -> None:
        """Output of turns that did not come to their end. Without it an order ends all the same."""
        try:
            await self.artifacts.salvage(also_mine=True)
        except OSError as error:
            logger.warning("%s: some output could not be kept: %s", self.claim.order_id, error)

    async def rest(self) -> None:
        """Nobody works in the checkout from here on. Without it an order ends all the same."""
        if self._checkout is not None:
            try:
                await self._checkout.rest()
            except StepFailed as failure:
                logger.warning("%s: its checkout takes more room than it has to: %s", self.claim.order_id, failure)

    def note_start(self) -> None:
        """`metadata.json` as the run begins: what crashes has left a true one. Nobody waits for it."""
        folder, order, steps = self.artifacts.folder, self.order, self.claim.steps
        self.journal.afterwards(lambda: write_start(folder, order, steps, self.tools.redactor))

    async def write_metadata(self, order: WorkOrder) -> None:
        """The order as it stands now, beside its files."""
        await write_metadata(self.tools, order)

    def summary(self) -> str:
        """One sentence for a completed order."""
        if self.pull_request_url:
            return f"Opened {self.pull_request_url}."
        names = [plan.name for plan in self.plan]
        if any(plan.writes for plan in self.plan) and self.checkpoint is not None and not self.checkpoint.changed:
            return "The agent changed nothing, so there is nothing to push and no pull request."
        if "commit" in names:
            return f"Pushed the branch {self.branch}."
        return "Done; nothing was pushed, as the workflow asks."


@asynccontextmanager
async def open_progress(claim: Claim, tools: Tools, hold: Hold | None = None) -> AsyncIterator[Progress]:
    """A run's progress, its journal written as long as the block lasts."""
    async with keep_journal(claim, tools, hold) as journal:
        yield Progress(claim, tools, journal)
