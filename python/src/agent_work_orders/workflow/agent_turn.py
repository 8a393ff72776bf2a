"""One turn of the agent within a step: its prompt, its limits, its output, and what its failures mean."""

import math
from datetime import timedelta

import anyio

from ..domain.conversation import Message
from ..domain.errors import FailureClass, MustWait, StepFailed
from ..domain.events import AgentStarted, MessageDelivered, OrderWaiting, Payload
from ..domain.status import WaitingReason
from ..domain.work_order import OrderChanges, utc_now
from ..ports import AgentFailure, AgentResult, AgentTurn
from .conversation import block_of
from .disk_trouble import over_quota
from .lease import patiently
from .meanwhile import meanwhile
from .progress import Progress
from .prompts import load_command, prompt_for

# An account that is used up is asked again after 1, 2, 4 … minutes when nobody said when it will be free.
FIRST_WAIT = timedelta(minutes=1)
AGENT_FIRST = 0.02  # seconds that its start is given before its prompt is put by
MOST_WAITS = 8


async def ask_agent(progress: Progress, command: str, *, read_only: bool = False, check_output: str = "") -> str:
    """The agent's last words on a command. StepFailed or MustWait if the turn did not end well."""
    progress.check_budget()
    turn_number = progress.next_turn()
    name = f"{progress.order.attempt}-{progress.step_order}-{command}" + (f"-{turn_number}" if turn_number > 1 else "")
    async with meanwhile(progress.checkout):
        await progress.conversation.hear()
        template = await load_command(command, progress.limits.commands_dir)
    messages = progress.conversation.give()
    prompt = await prompt_for(progress, template, check_output, block_of(messages))
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
        environment=progress.options.environment,
        trusted=progress.options.trusted,
        give_way=progress.journal.room,
    )
    result = await _run(progress, turn, name, messages)
    progress.count(result)
    progress.session_id = result.session_id or progress.session_id
    await progress.artifacts.keep_output(result.stdout, f"{name}.jsonl", progress.step_name)
    await progress.artifacts.clear_run(turn.run_dir, name, progress.step_name)
    if (over := await over_quota(progress, checkout.root, once=True)) is not None:
        raise over
    if result.failure is not None:
        raise await _meaning(progress, result.failure)
    return result.text


async def _credentials(progress: Progress) -> dict[str, str]:
    names = ("ANTHROPIC_API_KEY", "CLAUDE_CODE_OAUTH_TOKEN")
    found = {name: await progress.secret(name) for name in names}
    return {name: value for name, value in found.items() if value}


async def _run(progress: Progress, turn: AgentTurn, name: str, messages: list[Message]) -> AgentResult:
    """Runs the turn, and keeps its prompt meanwhile: no agent waits for a disk.

    The session is recorded as soon as it is known: a crash resumes it.
    """
    step_name = progress.step_name
    result: AgentResult | None = None
    failure: StepFailed | MustWait | OSError | None = None
    untold = [message.message_id for message in messages]
    watching = anyio.CancelScope()

    def tell(payload: Payload) -> None:
        if isinstance(payload, AgentStarted) and payload.session_id != progress.session_id:
            progress.session_id = payload.session_id
            progress.record(OrderChanges(agent_session_id=payload.session_id))
        progress.tell(payload, f"outputs-{name}.jsonl")
        if isinstance(payload, AgentStarted) and untold:
            progress.tell(MessageDelivered(message_ids=untold.copy()))
            untold.clear()

    async def keep_prompt() -> None:
        nonlocal failure
        await anyio.sleep(AGENT_FIRST)
        try:
            await progress.artifacts.write(
                "prompt", f"{name}.md", turn.prompt, step_name, "text/markdown; charset=utf-8"
            )
        except OSError as error:
            failure = error
            group.cancel_scope.cancel()

    async def keep_within_quota() -> None:
        nonlocal failure
        with watching:
            over = await over_quota(progress, (await progress.checkout()).root)
            if over is not None:
                failure = over
                group.cancel_scope.cancel()

    try:
        async with anyio.create_task_group() as group:
            group.start_soon(keep_prompt)
            group.start_soon(keep_within_quota)
            try:
                result = await progress.tools.agent.run(turn, tell)
            except (StepFailed, MustWait, OSError) as error:
                failure = error
            watching.cancel()
    finally:
        # Here, because what leaves a task group comes in a group of errors; and also when the run was cancelled: an
        # agent that could not be stopped is no cancelled one.
        if failure is not None:
            raise failure
    if result is None:
        raise AssertionError("an agent returns or raises")
    return result


async def _meaning(progress: Progress, failure: AgentFailure) -> StepFailed | MustWait:
    if failure.failure_class is not FailureClass.LIMIT:
        return StepFailed(failure.failure_class, failure.message, next_action=failure.next_action)
    waits = await _waits_of_this_attempt(progress)
    if waits >= MOST_WAITS:
        return StepFailed(failure.failure_class, failure.message, next_action=failure.next_action)
    now = utc_now()
    # Not at once, whatever was said: a time that has just passed would burn all the waits in a moment.
    until = max(failure.retry_at, now + FIRST_WAIT) if failure.retry_at else now + FIRST_WAIT * 2**waits
    return MustWait(
        WaitingReason.USAGE_LIMIT,
        failure.message,
        until=until,
        next_action="Nothing: it goes on by itself. Raise the account's limit or use another key to go on sooner.",
    )


async def _waits_of_this_attempt(progress: Progress) -> int:
    told = await patiently(
        lambda: progress.tools.store.events(
            progress.claim.order_id, before_seq=progress.journal.last_seq + 1, kinds=frozenset({OrderWaiting.kind})
        )
    )
    waits = [OrderWaiting.model_validate_json(wait.payload) for wait in told if wait.attempt == progress.order.attempt]
    return sum(wait.reason is WaitingReason.USAGE_LIMIT for wait in waits)
