"""One turn of the agent within a step: its prompt, its limits, its output, and what its failures mean."""

import math
from datetime import timedelta

import anyio

from ..domain.errors import FailureClass, MustWait, StepFailed
from ..domain.events import AgentStarted, Payload
from ..domain.status import WaitingReason
from ..domain.work_order import OrderChanges, utc_now
from ..ports import AgentFailure, AgentResult, AgentTurn
from .progress import Progress
from .prompts import prompt_for

# An account that is used up is asked again after 1, 2, 4 … minutes when nobody said when it will be free.
FIRST_WAIT = timedelta(minutes=1)
MOST_WAITS = 8


async def ask_agent(progress: Progress, command: str, *, read_only: bool = False, check_output: str = "") -> str:
    """The agent's last words on a command. StepFailed or MustWait if the turn did not end well."""
    progress.check_budget()
    turn_number = progress.next_turn()
    name = f"{progress.order.attempt}-{progress.step_order}-{command}" + (f"-{turn_number}" if turn_number > 1 else "")
    prompt = await prompt_for(progress, command, check_output)
    await progress.artifacts.write("prompt", f"{name}.md", prompt, progress.step_name, "text/markdown; charset=utf-8")
    checkout = await progress.checkout()
    limits, order = progress.limits, progress.order
    left = progress.budget_left
    turn = AgentTurn(
        run_id=f"{progress.claim.order_id}.{progress.claim.token}",
        prompt=prompt,
        cwd=checkout.workdir,
        home=progress.artifacts.home,
        run_dir=progress.artifacts.run_dir(progress.step_order or 0, turn_number),
        session_id=progress.session_id,
        model=order.model or limits.model,
        read_only=read_only,
        timeout=timedelta(seconds=order.timeout_seconds) if order.timeout_seconds else limits.step_timeout,
        stall_timeout=limits.stall_timeout,
        max_cost_usd=None if left is None else math.ceil(left * 10_000) / 10_000,
        credentials=await _credentials(progress),
    )
    result = await _run(progress, turn, f"outputs-{name}.jsonl")
    progress.count(result)
    progress.session_id = result.session_id or progress.session_id
    await progress.artifacts.keep_output(result.stdout, f"{name}.jsonl", progress.step_name)
    if result.failure is not None:
        raise await _meaning(progress, result.failure)
    return result.text


async def _credentials(progress: Progress) -> dict[str, str]:
    names = ("ANTHROPIC_API_KEY", "CLAUDE_CODE_OAUTH_TOKEN")
    found = {name: await progress.tools.secrets.get(name) for name in names}
    return {name: value for name, value in found.items() if value}


async def _run(progress: Progress, turn: AgentTurn, artifact_id: str) -> AgentResult:
    """Runs the turn. The session is recorded as soon as it is known: a crash resumes it."""
    known = anyio.Event()
    session_id = turn.session_id

    def tell(payload: Payload) -> None:
        nonlocal session_id
        if isinstance(payload, AgentStarted) and payload.session_id != session_id:
            session_id = payload.session_id
            known.set()
        progress.tell(payload, artifact_id)

    async def record_session() -> None:
        await known.wait()
        await progress.record(OrderChanges(agent_session_id=session_id))

    async with anyio.create_task_group() as group:
        group.start_soon(record_session)
        result = await progress.tools.agent.run(turn, tell)
        group.cancel_scope.cancel()
    return result


async def _meaning(progress: Progress, failure: AgentFailure) -> StepFailed | MustWait:
    if failure.failure_class is not FailureClass.LIMIT:
        return StepFailed(failure.failure_class, failure.message, next_action=failure.next_action)
    waits = await progress.tools.store.events(
        progress.claim.order_id, kinds=frozenset({"order_waiting"}), limit=MOST_WAITS
    )
    if len(waits) >= MOST_WAITS:
        return StepFailed(failure.failure_class, failure.message, next_action=failure.next_action)
    until = failure.retry_at or utc_now() + FIRST_WAIT * 2 ** len(waits)
    return MustWait(
        WaitingReason.USAGE_LIMIT,
        failure.message,
        until=until,
        next_action="Nothing: it goes on by itself. Raise the account's limit or use another key to go on sooner.",
    )
