"""Where a run stands: its current step, checkout, agent session and what it has produced so far."""

from collections.abc import AsyncIterator, Iterator
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
from ..domain.repository import branch_for
from ..domain.status import StepStatus
from ..domain.work_order import Claim, OrderChanges, StepResult
from ..domain.workflow import BUILT_IN, StepKind, StepPlan
from ..ports import AgentResult, Checkout, Checkpoint, Tools
from .artifacts import Artifacts
from .journal import Journal, keep_journal

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
        self.artifacts = Artifacts(tools.work_orders_dir / claim.order_id, claim, tools.store, tools.redactor)
        self.outputs = {step.step_name: step.output or "" for step in claim.steps if step.success}
        self.session_id = self.order.agent_session_id
        self.pull_request_url = self.order.github_pull_request_url
        self.checkpoint: Checkpoint | None = None
        self.evidence: CheckRun | None = None
        self._plan = self.order.steps()
        self._spent = self.order.cost_usd
        self._checkout: Checkout | None = None
        self._current: _Current | None = None

    def remaining(self) -> Iterator[tuple[int, StepPlan]]:
        """The steps still to take, with their place in the plan from 1."""
        return ((n, plan) for n, plan in enumerate(self._plan, 1) if n >= self.order.next_step)

    @property
    def step_order(self) -> int | None:
        return self._current.step_order if self._current else None

    @property
    def step_name(self) -> str:
        return self._current.plan.name if self._current else ""

    @property
    def branch(self) -> str:
        """The order's branch: the one it already has, else named by the server."""
        prefix = BUILT_IN[self.order.workflow_type].branch_prefix
        return self.order.git_branch_name or branch_for(self.claim.order_id, self.order.user_request, prefix)

    @property
    def budget_left(self) -> float | None:
        """US dollars this order may still spend; None without a limit."""
        limits = [limit for limit in (self.order.max_cost_usd, self.limits.max_cost_usd) if limit is not None]
        return min(limits) - self._spent if limits else None

    def tell(self, payload: Payload, artifact_id: str | None = None) -> None:
        self.journal.tell(payload, self.step_order, artifact_id)

    async def flush(self) -> None:
        await self.journal.flush()

    async def record(self, changes: OrderChanges) -> None:
        await self.tools.store.record(self.claim, changes)

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

            token = await self.tools.secrets.get("GITHUB_TOKEN")
            opened = await self.tools.checkouts.open(self.order, self.repository, self.branch, token, tell_progress)
            self._checkout = opened
            self.tell(
                CheckoutOpened(
                    branch=opened.branch,
                    base_branch=opened.base_branch,
                    base_commit=opened.base_commit,
                    resumed=opened.resumed,
                    took_ms=round((anyio.current_time() - began) * 1000),
                )
            )
            await self.record(OrderChanges(base_branch=opened.base_branch, base_commit=opened.base_commit))
        return self._checkout

    async def save_checkpoint(self, label: str) -> Checkpoint:
        """Everything in the checkout, as a commit in the mirror."""
        checkout = await self.checkout()
        saved = await checkout.checkpoint(label, self.commit_message())
        if self.checkpoint is None or saved.commit != self.checkpoint.commit:
            self.tell(
                CheckpointSaved(
                    commit=saved.commit, commit_count=saved.commit_count, files_changed=saved.files_changed
                )
            )
            changes = OrderChanges(git_commit_count=saved.commit_count, git_files_changed=saved.files_changed)
            await self.record(changes)
        self.checkpoint = saved
        return saved

    async def head_commit(self) -> str:
        """The commit to publish: the verified one if there is evidence, else everything in the checkout.

        What was verified is what is published: files that the check itself left behind stay out.
        """
        if self.evidence is None:
            runs = await self.tools.store.events(self.claim.order_id, kinds=frozenset({"check_run"}))
            found = [run for run in runs if run.attempt == self.order.attempt]
            # After a crash between two steps the evidence stands in the journal.
            self.evidence = CheckRun.model_validate_json(found[-1].payload) if found else None
        if self.evidence is not None and self.evidence.passed:
            return self.evidence.commit
        return (await self.save_checkpoint("to-commit")).commit

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
        await self.tools.store.start_step(self.claim, step_order, plan.name, plan.agent_name)
        self.tell(StepStarted(step_name=plan.name, agent_name=plan.agent_name))

    async def finish_step(self, status: StepStatus, output: str | None = None, error: str | None = None) -> None:
        """Ends the current step, if one is open; the work of an agent's step is kept first, however it ended."""
        if self._current is None:
            return
        if self._checkout is not None and (self._current.turns or self._current.plan.kind is StepKind.AGENT):
            try:
                await self.save_checkpoint(f"{self._current.step_order}-{self._current.plan.name}")
            except StepFailed as failure:
                if status is StepStatus.COMPLETED:
                    status, error = StepStatus.FAILED, failure.message
                    await self._write_step_end(self._current, status, output, error)
                    raise
        await self._write_step_end(self._current, status, output, error)

    async def _write_step_end(
        self, current: _Current, status: StepStatus, output: str | None, error: str | None
    ) -> None:
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
        # The journal first: a step that counts as finished has all its events.
        await self.flush()
        await self.tools.store.finish_step(
            self.claim,
            StepResult(
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
            ),
        )
        if output is not None and status is StepStatus.COMPLETED:
            self.outputs[current.plan.name] = output
        self._current = None

    def next_turn(self) -> int:
        """Number of the agent's turn within the current step, from 1."""
        assert self._current is not None
        self._current.turns += 1
        return self._current.turns

    def count(self, result: AgentResult) -> None:
        """Adds what a turn of the agent used to its step."""
        assert self._current is not None
        self._current.cost_usd += result.cost_usd
        self._current.input_tokens += result.input_tokens
        self._current.output_tokens += result.output_tokens
        self._current.denials += result.permission_denials
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

    def summary(self) -> str:
        """One sentence for a completed order."""
        if self.pull_request_url:
            return f"Opened {self.pull_request_url}."
        names = [plan.name for plan in self._plan]
        if "execute" in names and self.checkpoint is not None and not self.checkpoint.changed:
            return "The agent changed nothing, so there is nothing to push and no pull request."
        if "commit" in names:
            return f"Pushed the branch {self.branch}."
        return "Done; nothing was pushed, as the workflow asks."


@asynccontextmanager
async def open_progress(claim: Claim, tools: Tools) -> AsyncIterator[Progress]:
    """A run's progress, its journal written as long as the block lasts."""
    async with keep_journal(claim, tools) as journal:
        progress = Progress(claim, tools, journal)
        await progress.artifacts.salvage()
        yield progress
