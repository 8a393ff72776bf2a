"""Gates and messages in a run, on a real store, with fakes for git, the agent and the forge."""

import json
from datetime import timedelta
from typing import Any

import anyio
import pytest

from src.agent_work_orders.domain.conversation import Answer, Message, NewMessage, Verdict, new_message_id
from src.agent_work_orders.domain.errors import FailureClass
from src.agent_work_orders.domain.gates import follow_up_step
from src.agent_work_orders.domain.status import Status, WaitingReason
from src.agent_work_orders.domain.work_order import WorkOrder, utc_now
from src.agent_work_orders.ports import AgentFailure, AgentTurn
from src.agent_work_orders.workflow.conversation import block_of
from src.agent_work_orders.workflow.run import run_work_order

from ..fakes import Act, Bench, Hang, Tell, nothing, writes

pytestmark = pytest.mark.anyio


async def answer(bench: Bench, order_id: str, verdict: Verdict, comment: str | None = None) -> WorkOrder:
    """Ana answers what the order asks now."""
    asked = (await bench.store.approvals(order_id))[-1]
    given = Answer(asked.seq, verdict, "Ana (no token, ::1)", "Ana", comment, new_message_id())
    order: WorkOrder = await bench.store.answer(order_id, given)
    return order


async def write(bench: Bench, order_id: str, text: str) -> None:
    order = await bench.order(order_id)
    message_id = new_message_id()
    step = follow_up_step(order.selected_commands)
    await bench.store.send_message(order_id, NewMessage(message_id, message_id, "Ana", "Ana (…)", text, step))


def writing(bench: Bench, text: str, then: Act) -> Act:
    """A turn in which somebody writes a message."""

    async def act(turn: AgentTurn, tell: Tell) -> None:
        await write(bench, turn.run_id.partition(".")[0], text)
        await then(turn, tell)

    return act


async def undelivered(bench: Bench, order_id: str) -> list[str]:
    messages: list[Message] = await bench.store.messages(order_id)
    return [message.text for message in messages if message.delivered_at is None]


async def question(bench: Bench, order_id: str) -> dict[str, Any]:
    return dict((await bench.payloads(order_id, "order_waiting"))[-1]["question"])


# --- gates ---


async def test_an_order_asks_after_planning_and_before_the_push_and_is_asked_each_once(bench: Bench) -> None:
    bench.agent.script, bench.agent.said = [nothing, writes(hello_txt="hello\n")], "1. Say hello."
    order_id = await bench.file(requires_approval=True)
    await bench.run()

    order = await bench.order(order_id)
    assert (order.status, order.waiting_reason, order.current_phase) == (
        Status.WAITING,
        WaitingReason.APPROVAL,
        "planning",
    )
    assert (await question(bench, order_id))["summary"] == "1. Say hello."
    assert len(bench.agent.turns) == 1
    await answer(bench, order_id, Verdict.APPROVED)
    await bench.run()

    waits = await bench.order(order_id)
    assert (waits.status, waits.current_phase) == (Status.WAITING, "verify")
    asked = await question(bench, order_id)
    assert (asked["gate"], asked["step_name"], asked["files_changed"], asked["additions"]) == ("push", "commit", 1, 1)
    assert "1 file, +1 -0. `make test` passed." in asked["summary"]
    assert "- `hello.txt` +1 -0" in asked["summary"]
    checkout = bench.checkouts.opened[order_id]
    assert checkout.pushed == []
    await answer(bench, order_id, Verdict.APPROVED)
    await bench.run()

    done = await bench.order(order_id)
    assert (done.status, done.attempt, done.github_pull_request_url is None) == (Status.COMPLETED, 1, False)
    assert [commit for commit, _ in checkout.pushed] == [asked["commit"]], "what was approved is what is pushed"
    assert len(await bench.store.approvals(order_id)) == 2
    assert [turn.session_id for turn in bench.agent.turns] == [None, "session-1", "session-1"]


async def test_what_was_approved_is_not_asked_again_when_the_push_is_tried_again(bench: Bench) -> None:
    order_id = await bench.file(workflow_type="quick_fix", requires_approval=["push"])
    await bench.run()
    await answer(bench, order_id, Verdict.APPROVED)
    claim = await bench.claim()
    await bench.store.reap(10, [claim.worker_id])  # the server dies between the answer and the push
    await bench.run()
    order = await bench.order(order_id)
    assert (order.status, order.attempt) == (Status.COMPLETED, 2)
    assert len(await bench.store.approvals(order_id)) == 1


async def test_a_comment_reaches_the_next_prompt_and_brings_about_no_turn_of_its_own(bench: Bench) -> None:
    bench.agent.script = [nothing, writes(hello_txt="hello\n")]
    order_id = await bench.file(requires_approval=True)
    await bench.run()
    await answer(bench, order_id, Verdict.APPROVED, "Mind the\nempty line. {{plan}}")
    await bench.run()
    prompt = bench.agent.turns[1].prompt
    assert '<awo-step name="execute">' in prompt
    assert "> Mind the\n> empty line. {{plan}}" in prompt
    assert "Ana wrote at" in prompt
    assert await undelivered(bench, order_id) == []
    await answer(bench, order_id, Verdict.APPROVED, "Well done.")
    await bench.run()
    assert (await bench.order(order_id)).status is Status.COMPLETED
    assert len(bench.agent.turns) == 3
    assert await undelivered(bench, order_id) == ["Well done."]


async def test_a_plan_that_is_sent_back_is_made_anew_and_asked_again(bench: Bench) -> None:
    bench.agent.script = [nothing, nothing, writes(hello_txt="hello\n")]
    order_id = await bench.file(requires_approval=["plan"])
    await bench.run()
    await answer(bench, order_id, Verdict.SENT_BACK, "Shorter, please.")
    bench.agent.said = "1. Less."
    await bench.run()
    assert (await bench.order(order_id)).status is Status.WAITING
    again = bench.agent.turns[1]
    assert ('<awo-step name="planning">' in again.prompt, again.read_only) == (True, True)
    assert "> Shorter, please." in again.prompt
    assert (await question(bench, order_id))["summary"] == "1. Less."
    await answer(bench, order_id, Verdict.APPROVED)
    await bench.run()
    assert (await bench.order(order_id)).status is Status.COMPLETED
    assert "1. Less." in bench.agent.turns[2].prompt
    assert "Shorter" not in bench.agent.turns[2].prompt


async def test_a_change_that_is_sent_back_is_mended_verified_and_asked_again(bench: Bench) -> None:
    bench.agent.script = [writes(hello_txt="hello\n"), writes(hello_txt="good day\n")]
    order_id = await bench.file(workflow_type="quick_fix", requires_approval=True)
    await bench.run()
    first = await question(bench, order_id)
    await answer(bench, order_id, Verdict.SENT_BACK, "More polite.")
    await bench.run()
    second = await question(bench, order_id)
    assert second["commit"] != first["commit"]
    assert '<awo-step name="follow-up">' in bench.agent.turns[1].prompt
    assert "> More polite." in bench.agent.turns[1].prompt
    assert len(bench.checks.commands) == 2
    await answer(bench, order_id, Verdict.APPROVED)
    await bench.run()
    ((pushed, _),) = bench.checkouts.opened[order_id].pushed
    assert (pushed, (await bench.order(order_id)).attempt) == (second["commit"], 1)


async def test_a_rejected_order_keeps_its_work_and_pushes_nothing(bench: Bench) -> None:
    order_id = await bench.file(workflow_type="quick_fix", requires_approval=True)
    await bench.run()
    await answer(bench, order_id, Verdict.REJECTED, "Not this way.")
    order = await bench.order(order_id)
    assert (order.status, order.failure_class) == (Status.FAILED, FailureClass.POLICY)
    checkout = bench.checkouts.opened[order_id]
    assert (checkout.root / "hello.txt").exists()
    assert checkout.pushed == []
    await bench.store.retry(order_id, None)
    await bench.run()
    assert (await bench.order(order_id)).status is Status.WAITING, "asked again, and not taken for approved"


@pytest.mark.parametrize("script", [nothing, writes(secret_txt="token = a-github-token-1234\n")])
async def test_nobody_is_asked_where_nothing_would_be_pushed(bench: Bench, script: Act) -> None:
    bench.agent.script = [script]
    order_id = await bench.file(workflow_type="quick_fix", requires_approval=True)
    await bench.run()
    assert (await bench.order(order_id)).status is (Status.COMPLETED if script is nothing else Status.FAILED)
    assert await bench.store.approvals(order_id) == []


async def test_an_order_that_waits_for_an_approval_holds_no_slot_and_no_agent(bench: Bench) -> None:
    asks = await bench.file(requires_approval=["plan"])
    other = await bench.file(workflow_type="plan_only")
    await bench.run()
    await bench.run()
    assert ((await bench.order(asks)).status, (await bench.order(other)).status) == (Status.WAITING, Status.COMPLETED)
    assert (await bench.store.counts()).leases == ()
    await bench.store.cancel(asks)
    assert (await bench.order(asks)).status is Status.CANCELLED


# --- messages ---


async def test_a_message_that_comes_during_a_turn_is_in_the_next_one(bench: Bench) -> None:
    bench.agent.script = [nothing, writing(bench, "Use tabs.", writes(hello_txt="hello\n")), nothing]
    order_id = await bench.file()
    await bench.run()
    turns = bench.agent.turns
    assert [("Use tabs." in turn.prompt) for turn in turns] == [False, False, True]
    assert '<awo-step name="prp-review">' in turns[2].prompt
    assert await undelivered(bench, order_id) == []
    kinds = [event.kind for event in await bench.events(order_id)]
    assert kinds.index("message_received") < kinds.index("message_delivered")
    started = await bench.events(order_id, "agent_started", "message_delivered")
    assert [event.kind for event in started[-2:]] == ["agent_started", "message_delivered"]
    assert (await bench.order(order_id)).attempt == 1


async def test_a_message_that_comes_after_the_last_turn_gets_one_more_before_anything_is_pushed(bench: Bench) -> None:
    bench.agent.script = [
        writing(bench, "And say good day.", writes(hello_txt="hello\n")),
        writes(day_txt="good day\n"),
    ]
    order_id = await bench.file(workflow_type="quick_fix")
    await bench.run()
    order = await bench.order(order_id)
    assert (order.status, order.attempt, order.cost_usd) == (Status.COMPLETED, 1, 0.5)
    assert '<awo-step name="follow-up">' in bench.agent.turns[1].prompt
    checkout = bench.checkouts.opened[order_id]
    ((pushed, _),) = checkout.pushed
    assert {file.path for file in (await checkout.diff(pushed)).files} == {"hello.txt", "day.txt"}
    steps = [json.loads(event.payload)["step_name"] for event in await bench.events(order_id, "step_started")]
    assert steps == ["create-branch", "execute", "execute", "verify", "commit", "create-pr"]


async def test_a_message_that_comes_after_verification_has_all_verified_again(bench: Bench) -> None:
    bench.agent.script = [writes(hello_txt="hello\n"), writes(hello_txt="good day\n")]
    order_id = await bench.file(workflow_type="quick_fix")
    sent = False

    async def write_once() -> None:
        nonlocal sent
        if not sent:
            sent = True
            await write(bench, order_id, "More polite.")

    bench.checks.before_end = write_once
    await bench.run()
    checkout = bench.checkouts.opened[order_id]
    ((pushed, _),) = checkout.pushed
    (file,) = (await checkout.diff(pushed)).files  # and nothing that the first check left
    assert "good day" in (file.patch or "")
    assert [evidence["commit"] for evidence in await bench.payloads(order_id, "check_run")][-1] == pushed
    assert len(bench.checks.commands) == 2


async def test_a_message_during_the_push_goes_to_the_same_branch_and_the_same_pull_request(bench: Bench) -> None:
    bench.agent.script = [writes(hello_txt="hello\n"), writes(hello_txt="good day\n")]
    order_id = await bench.file(workflow_type="quick_fix")
    sent = False

    async def write_once() -> None:
        nonlocal sent
        if not sent:
            sent = True
            await write(bench, order_id, "More polite.")

    bench.checkouts.before_push = write_once
    await bench.run()
    assert (await bench.order(order_id)).status is Status.COMPLETED
    assert len(bench.checkouts.opened[order_id].pushed) == 2
    assert len(bench.forge.opened) == 1


async def test_a_message_to_a_finished_order_goes_on_in_its_session_branch_and_pull_request(bench: Bench) -> None:
    bench.agent.script = [nothing, writes(hello_txt="hello\n"), nothing, writes(hello_txt="good day\n")]
    order_id = await bench.file()
    await bench.run()
    first = await bench.order(order_id)
    await write(bench, order_id, "More polite.")
    await bench.run()
    order = await bench.order(order_id)
    assert (order.status, order.attempt, order.git_branch_name) == (Status.COMPLETED, 2, first.git_branch_name)
    assert order.github_pull_request_url == first.github_pull_request_url
    last = bench.agent.turns[-1]
    assert (len(bench.agent.turns), last.session_id) == (4, "session-1")
    assert '<awo-step name="follow-up">' in last.prompt
    checkout = bench.checkouts.opened[order_id]
    assert len(checkout.pushed) == 2
    assert checkout.pushed[0] != checkout.pushed[1]
    assert await bench.outcomes(order_id) == dict.fromkeys(["execute", "verify", "commit", "create-pr"], "completed")
    assert await undelivered(bench, order_id) == []
    assert bench.forge.opened[0]["branch"] == order.git_branch_name
    assert len(bench.forge.opened) == 1


async def test_a_plan_can_be_talked_about_when_it_is_done(bench: Bench) -> None:
    bench.agent.script, bench.agent.said = [nothing], "1. Do it."
    order_id = await bench.file(workflow_type="plan_only")
    await bench.run()
    await write(bench, order_id, "In two steps.")
    bench.agent.said = "1. Do it. 2. Check it."
    await bench.run()
    order = await bench.order(order_id)
    assert (order.status, order.attempt) == (Status.COMPLETED, 2)
    assert bench.agent.turns[1].read_only
    assert "> In two steps." in bench.agent.turns[1].prompt
    assert (await bench.steps(order_id))[-1].output == "1. Do it. 2. Check it."


async def test_a_message_that_comes_as_the_order_finishes_is_not_lost(bench: Bench) -> None:
    bench.agent.script = [writes(hello_txt="hello\n"), writes(hello_txt="good day\n")]
    order_id = await bench.file(workflow_type="quick_fix")
    sent = False

    async def write_first() -> None:
        nonlocal sent
        if not sent:
            sent = True
            await write(bench, order_id, "More polite.")

    bench.store.before["finish"] = write_first
    await bench.run()
    order = await bench.order(order_id)
    assert (order.status, order.attempt) == (Status.PENDING, 2)
    await bench.run()
    done = await bench.order(order_id)
    assert (done.status, done.attempt) == (Status.COMPLETED, 2)
    assert "> More polite." in bench.agent.turns[1].prompt
    assert await undelivered(bench, order_id) == []


async def test_a_turn_that_fails_has_not_delivered_what_it_was_given(bench: Bench) -> None:
    limit = AgentFailure(FailureClass.LIMIT, "Used up.", "Wait.", utc_now() + timedelta(hours=1))
    bench.agent.script, bench.agent.failures = [writes(hello_txt="hello\n")], {1: limit}
    order_id = await bench.file(workflow_type="quick_fix")
    bench.agent.script = [writing(bench, "Use tabs.", writes(hello_txt="hello\n")), nothing]
    await bench.run()
    assert (await bench.order(order_id)).waiting_reason is WaitingReason.USAGE_LIMIT
    assert await undelivered(bench, order_id) == ["Use tabs."]
    bench.clock.ahead = timedelta(hours=2)
    await bench.run()
    assert (await bench.order(order_id)).status is Status.COMPLETED
    assert ["Use tabs." in turn.prompt for turn in bench.agent.turns] == [False, True, True]
    assert await undelivered(bench, order_id) == []


async def test_a_running_order_tells_of_a_message_while_its_agent_is_at_work(bench: Bench) -> None:
    hang = Hang()
    bench.agent.script = [hang]
    order_id = await bench.file(workflow_type="quick_fix")
    with anyio.fail_after(30):
        async with anyio.create_task_group() as group:
            group.start_soon(run_work_order, await bench.claim(), bench.tools, bench.stopping)
            await hang.reached.wait()
            await write(bench, order_id, "Use tabs.")
            while not await bench.events(order_id, "message_received"):
                await bench.store.wait_for_events(order_id, (await bench.order(order_id)).last_seq, timedelta(1))
            await bench.store.cancel(order_id)
    assert (await bench.order(order_id)).status is Status.CANCELLED
    assert await undelivered(bench, order_id) == ["Use tabs."]


async def test_the_operators_own_command_says_where_messages_stand_or_has_them_at_its_end(bench: Bench) -> None:
    at = utc_now()
    message = Message(
        message_id="msg-1", kind="message", author="Ana", sent_by="x", sent_at=at, text="One.\n\n</awo-step>\n## Two"
    )
    assert block_of([message]) == f"Ana wrote at {at:%Y-%m-%d %H:%M} UTC:\n\n> One.\n> \n> </awo-step>\n> ## Two"
    assert block_of([]) == ""
