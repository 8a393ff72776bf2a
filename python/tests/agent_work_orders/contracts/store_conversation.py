"""Clauses 53 to 60: what an order asks a person, and what people write to it."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import anyio
import pytest

from src.agent_work_orders.domain.conversation import (
    AlreadyAnswered,
    Answer,
    Asking,
    Message,
    NewMessage,
    Question,
    Verdict,
    new_message_id,
)
from src.agent_work_orders.domain.errors import (
    FailureClass,
    IdempotencyConflict,
    InvalidInput,
    LostLease,
    NotFound,
    SequenceGap,
    WrongState,
)
from src.agent_work_orders.domain.events import OrderWaiting
from src.agent_work_orders.domain.status import Status, WaitingReason
from src.agent_work_orders.domain.work_order import Claim, Outcome, WorkOrder
from src.agent_work_orders.domain.workflow import Gate
from src.agent_work_orders.ports import Store
from src.agent_work_orders.store.sqlite import SqliteStore

from .store_moves import transfers
from .store_waiting import woken_by
from .store_world import (
    DONE,
    LEASE,
    LONG,
    World,
    claim_next,
    clause,
    drafts,
    failure,
    file_and_claim,
    file_order,
    journal,
    kinds,
    maybe_claim,
    order_in,
    park,
    result,
)

ENDED = [Status.COMPLETED, Status.FAILED, Status.CANCELLED]


def asking(subject: str = "c" * 40, back_to: int = 5) -> Asking:
    question = Question(gate=Gate.PUSH, step_name="commit", summary="1 file, +2 -1", files_changed=1)
    return Asking(question, subject, back_to, "Waits for an approval.", "Approve it.")


def says(verdict: Verdict, seq: int, comment: str | None = None, by: str = "Ana (no token, ::1)") -> Answer:
    return Answer(seq, verdict, by, "Ana", comment, new_message_id())


def words(text: str = "Use tabs.", key: str | None = None, author: str = "Ana") -> NewMessage:
    message_id = new_message_id()
    return NewMessage(message_id, key or message_id, author, f"{author} (no token, ::1)", text, follow_up_step=5)


async def asked(store: Store, **given: Any) -> WorkOrder:
    """An order that waits for an answer, at step 6 of 7; its last event asks."""
    claim = await file_and_claim(store)
    for place in range(1, 6):
        await store.finish_step(claim, result(place))
    return await store.ask(claim, asking(**given))


async def answer_at_once(
    stores: tuple[Store, Store], order_id: str, answers: list[Answer]
) -> tuple[list[WorkOrder], list[AlreadyAnswered]]:
    won: list[WorkOrder] = []
    lost: list[AlreadyAnswered] = []

    async def give(store: Store, answer: Answer) -> None:
        try:
            won.append(await store.answer(order_id, answer))
        except AlreadyAnswered as error:
            lost.append(error)

    async with anyio.create_task_group() as group:
        for number, answer in enumerate(answers):
            group.start_soon(give, stores[number % 2], answer)
    return won, lost


async def unheard(store: Store, order_id: str) -> list[Message]:
    return [message for message in await store.messages(order_id) if message.delivered_at is None]


class Conversation:
    @clause(53)
    async def test_gates_are_kept_as_they_were_filed(self, world: World) -> None:
        both = await file_order(world.store, requires_approval=True)
        assert (await world.store.get(both.agent_work_order_id)).approval_gates == (Gate.PLAN, Gate.PUSH)
        one = await file_order(world.store, requires_approval=["push"])
        assert one.approval_gates == (Gate.PUSH,)
        assert (await file_order(world.store)).approval_gates == ()
        assert [o.approval_gates for o in await world.store.changes(0)] == [(Gate.PLAN, Gate.PUSH), (Gate.PUSH,), ()]

    @clause(53)
    async def test_an_order_that_asks_waits_for_a_person_and_holds_nothing(self, world: World) -> None:
        claim = await file_and_claim(world.store)
        order = await world.store.ask(claim, asking())
        assert order == await world.store.get(claim.order_id)
        assert (order.status, order.waiting_reason, order.waiting_until) == (
            Status.WAITING,
            WaitingReason.APPROVAL,
            None,
        )
        assert (order.worker_id, order.error_message, order.next_action) == (
            None,
            "Waits for an approval.",
            "Approve it.",
        )
        event = (await journal(world.store, claim.order_id))[-1]
        told = OrderWaiting.model_validate_json(event.payload)
        assert (told.reason, told.question) == (WaitingReason.APPROVAL, asking().question)
        (question,) = await world.store.approvals(claim.order_id)
        assert (question.seq, question.attempt, question.gate, question.step_name) == (event.seq, 1, "push", "commit")
        assert (question.summary, question.subject, question.back_to) == ("1 file, +2 -1", "c" * 40, 5)
        assert (question.asked_at, question.answer, question.answered_by) == (event.at, None, None)
        assert await world.store.ask(claim, asking()) == order
        assert len(await world.store.approvals(claim.order_id)) == 1
        assert await maybe_claim(world.store) is None
        with pytest.raises(LostLease):
            await world.store.ask(replace(claim, token=claim.token - 1), asking())

    @clause(53)
    async def test_an_order_that_is_to_be_cancelled_asks_nobody(self, world: World) -> None:
        claim = await file_and_claim(world.store)
        await world.store.cancel(claim.order_id)
        assert (await world.store.ask(claim, asking())).status is Status.CANCELLED
        assert await world.store.approvals(claim.order_id) == []
        assert (await kinds(world.store, claim.order_id))[-1] == "order_finished"

    @clause(54)
    async def test_an_approved_order_goes_on_where_it_was(self, world: World) -> None:
        store, waits = world.store, await asked(world.store)
        order_id = waits.agent_work_order_id
        order = await store.answer(order_id, says(Verdict.APPROVED, waits.last_seq, "Nice."))
        assert order == await store.get(order_id)
        assert (order.status, order.next_step, order.attempt) == (Status.PENDING, 6, 1)
        assert (order.waiting_reason, order.error_message, order.next_action) == (None, None, None)
        (approval,) = await store.approvals(order_id)
        assert (approval.answer, approval.comment, approval.answered_by) == (
            Verdict.APPROVED,
            "Nice.",
            "Ana (no token, ::1)",
        )
        assert approval.answered_at == order.updated_at
        told = (await journal(store, order_id))[-2:]
        assert [event.kind for event in told] == ["approval_answered", "order_resumed"]
        assert json.loads(told[0].payload) == {
            "asked_seq": waits.last_seq,
            "gate": "push",
            "answer": "approved",
            "by": "Ana (no token, ::1)",
            "comment": "Nice.",
        }
        claim = await claim_next(store)
        (comment,) = await store.hear(claim, claim.order.last_seq + 1)
        assert (comment.kind, comment.text, comment.author, comment.seq) == ("comment", "Nice.", "Ana", told[0].seq)
        assert (await store.finish(claim, DONE)).status is Status.COMPLETED, "a comment keeps nobody at work"

    @clause(54)
    async def test_a_rejected_order_ends_and_what_it_made_is_kept(self, world: World) -> None:
        store, waits = world.store, await asked(world.store)
        order = await store.answer(waits.agent_work_order_id, says(Verdict.REJECTED, waits.last_seq))
        assert order == await store.get(waits.agent_work_order_id)
        assert (order.status, order.failure_class, order.next_step) == (Status.FAILED, FailureClass.POLICY, 6)
        assert order.error_message == "Ana (no token, ::1) rejected it at the gate push; nothing more was done."
        assert order.next_action
        assert order.finished_at == order.updated_at
        assert (await kinds(store, order.agent_work_order_id))[-2:] == ["approval_answered", "order_finished"]
        assert await store.messages(order.agent_work_order_id) == []
        assert (await store.retry(order.agent_work_order_id, None)).next_step == 6

    @clause(54)
    async def test_an_order_that_is_sent_back_has_the_comment_as_a_message(self, world: World) -> None:
        store, waits = world.store, await asked(world.store, back_to=3)
        order = await store.answer(waits.agent_work_order_id, says(Verdict.SENT_BACK, waits.last_seq, "Shorter."))
        assert (order.status, order.next_step, order.attempt) == (Status.PENDING, 3, 1)
        claim = await claim_next(store)
        (message,) = await store.hear(claim, claim.order.last_seq + 1)
        assert (message.kind, message.text, message.author) == ("message", "Shorter.", "Ana")
        assert (await kinds(store, order.agent_work_order_id)).count("message_received") == 0, "the answer tells it"

    @clause(54)
    async def test_only_the_first_answer_counts_and_the_second_hears_whose_it_was(self, world: World) -> None:
        store, waits = world.store, await asked(world.store)
        order_id = waits.agent_work_order_id
        first = await store.answer(order_id, says(Verdict.APPROVED, waits.last_seq, "Go."))
        for verdict in Verdict:
            with pytest.raises(AlreadyAnswered) as late:
                await store.answer(order_id, says(verdict, waits.last_seq, "No!", by="Ben"))
            assert [late.value.approval] == await store.approvals(order_id)
            assert "Ana" in late.value.message
            assert "approved" in late.value.message
        assert await store.get(order_id) == first
        assert len(await store.messages(order_id)) == 1

    @clause(54, 10)
    async def test_of_many_who_answer_at_once_one_wins(self, world: World) -> None:
        async with world.server() as other:
            for _ in range(5):
                waits = await asked(world.store)
                order_id = waits.agent_work_order_id
                answers = [
                    says(verdict, waits.last_seq, "So.", by=f"person-{number}")
                    for number, verdict in enumerate([*Verdict] * 2)
                ]
                won, lost = await answer_at_once((world.store, other), order_id, answers)
                assert (len(won), len(lost)) == (1, 5)
                (approval,) = await other.approvals(order_id)
                assert {error.approval for error in lost} == {approval}
                assert (won[0].status is Status.FAILED) == (approval.answer is Verdict.REJECTED)
                assert (await kinds(other, order_id)).count("approval_answered") == 1
                if won[0].status is Status.PENDING:
                    await world.store.cancel(order_id)

    @clause(55)
    async def test_a_question_that_is_not_open_cannot_be_answered(self, world: World) -> None:
        store, waits = world.store, await asked(world.store)
        order_id, seq = waits.agent_work_order_id, waits.last_seq
        for wrong in (1, seq + 1, 2**40):
            with pytest.raises(InvalidInput):
                await store.answer(order_id, says(Verdict.APPROVED, wrong))
        with pytest.raises(NotFound):
            await store.answer("wo-0000000000000000", says(Verdict.APPROVED, seq))
        cancelled = await store.cancel(order_id)
        with pytest.raises(WrongState):
            await store.answer(order_id, says(Verdict.APPROVED, seq))
        assert await store.get(order_id) == cancelled
        await store.retry(order_id, None)
        again = await store.ask(await claim_next(store), asking())
        with pytest.raises(WrongState):
            await store.answer(order_id, says(Verdict.APPROVED, seq))
        assert await store.get(order_id) == again
        assert (await store.answer(order_id, says(Verdict.APPROVED, again.last_seq))).status is Status.PENDING
        assert [one.answer for one in await store.approvals(order_id)] == [None, Verdict.APPROVED]

    @clause(56)
    @pytest.mark.parametrize("status", [Status.SCHEDULED, Status.PENDING, Status.WAITING])
    async def test_a_message_to_an_order_that_nobody_holds_is_told_at_once(self, world: World, status: Status) -> None:
        order = await order_in(world, status)
        sent = await world.store.send_message(order.agent_work_order_id, words())
        assert sent.created
        assert sent.order == await world.store.get(order.agent_work_order_id)
        assert (sent.order.status, sent.order.attempt, sent.order.waiting_reason) == (status, 1, order.waiting_reason)
        assert [sent.message] == await world.store.messages(order.agent_work_order_id)
        event = (await journal(world.store, order.agent_work_order_id))[-1]
        assert (event.kind, event.seq) == ("message_received", sent.message.seq)
        assert json.loads(event.payload) == {
            "message_id": sent.message.message_id,
            "author": "Ana",
            "text": "Use tabs.",
        }
        assert (sent.message.sent_at, sent.message.sent_by) == (event.at, "Ana (no token, ::1)")

    @clause(56)
    async def test_a_message_is_the_reply_that_an_order_waits_for(self, world: World) -> None:
        claim = await file_and_claim(world.store)
        await world.store.wait(claim, WaitingReason.REPLY, None, "It asks.", "Answer.")
        assert await maybe_claim(world.store) is None

        async def reply() -> None:
            assert (await world.store.send_message(claim.order_id, words())).order.status is Status.PENDING

        await woken_by(world.store.wait_for_work(LONG), reply)
        assert (await kinds(world.store, claim.order_id))[-2:] == ["message_received", "order_resumed"]
        assert (await claim_next(world.store)).order.attempt == 1

    @clause(56)
    async def test_a_long_message_is_cut_in_the_journal_and_nowhere_else(self, world: World) -> None:
        order = await file_order(world.store)
        text = "Ünïcödé " * 5_000
        await world.store.send_message(order.agent_work_order_id, words(text))
        (message,) = await world.store.messages(order.agent_work_order_id)
        assert message.text == text
        told = (await journal(world.store, order.agent_work_order_id))[-1].payload
        assert len(told.encode()) < 16_384
        assert json.loads(told)["text"] == text[:2_400] + "\n… the whole stands among the order's messages …"

    @clause(57)
    async def test_a_message_to_a_running_order_is_told_by_its_holder(self, world: World) -> None:
        store, claim = world.store, await file_and_claim(world.store)
        assert not (await store.renew(claim, LEASE)).messages
        first = await store.send_message(claim.order_id, words("one"))
        async with world.server() as other:
            await other.send_message(claim.order_id, words("two", author="Ben"))
        assert (first.message.seq, first.order.status) == (None, Status.RUNNING)
        assert (await store.get(claim.order_id)).last_seq == claim.order.last_seq
        assert (await store.renew(claim, LEASE)).messages
        assert await store.append(claim, 3, drafts(2)) == 4

        heard = await store.hear(claim, 5)
        assert [(message.text, message.author, message.seq) for message in heard] == [
            ("one", "Ana", 5),
            ("two", "Ben", 6),
        ]
        assert heard == await store.messages(claim.order_id)
        assert await store.hear(claim, 5) == heard, "an answer that got lost"
        assert await store.hear(claim, 7) == heard
        assert (await kinds(store, claim.order_id))[-2:] == ["message_received"] * 2
        assert not (await store.renew(claim, LEASE)).messages
        assert await store.append(claim, 7, drafts(1)) == 7
        with pytest.raises(SequenceGap):
            await store.hear(claim, 9)

    @clause(57)
    async def test_what_was_delivered_is_not_heard_again(self, world: World) -> None:
        store, claim = world.store, await file_and_claim(world.store)
        first, second = [(await store.send_message(claim.order_id, words(text))).message for text in ("one", "two")]
        await store.hear(claim, 3)
        for _ in range(2):
            await store.deliver(claim, [first.message_id])
        at = (await store.messages(claim.order_id))[0].delivered_at
        assert at is not None
        assert [message.message_id for message in await store.hear(claim, 5)] == [second.message_id]
        stale = replace(claim, token=claim.token - 1)
        for call in (lambda: store.deliver(stale, [second.message_id]), lambda: store.hear(stale, 5)):
            with pytest.raises(LostLease):
                await call()
        assert await unheard(store, claim.order_id) != []
        await store.release(claim)
        again = await claim_next(store)
        assert [message.text for message in await store.hear(again, again.order.last_seq + 1)] == ["two"]

    @clause(57, 39)
    async def test_a_message_wakes_who_waits_for_a_word_to_a_running_order(self, world: World) -> None:
        claim = await file_and_claim(world.store)
        await woken_by(
            world.store.wait_for_cancel(claim.order_id, LONG),
            lambda: world.store.send_message(claim.order_id, words()),
        )

    @clause(58)
    @pytest.mark.parametrize("status", ENDED)
    async def test_a_message_to_an_order_that_has_ended_begins_a_new_attempt(
        self, world: World, status: Status
    ) -> None:
        store, claim = world.store, await file_and_claim(world.store)
        for place in range(1, 8):
            await store.finish_step(claim, result(place, session_id="s-1"))
        if status is Status.CANCELLED:
            await store.cancel(claim.order_id)
        outcome = failure() if status is Status.FAILED else Outcome(status, "Over.")
        assert (await store.finish(claim, outcome)).next_step == 8
        assert await maybe_claim(store) is None
        sent: list[Any] = []

        async def send() -> None:
            sent.append(await store.send_message(claim.order_id, words()))

        await woken_by(store.wait_for_work(LONG), send)
        order = sent[0].order
        assert order == await store.get(claim.order_id)
        assert (order.status, order.attempt, order.next_step) == (Status.PENDING, 2, 5)
        assert (order.finished_at, order.cancel_requested_at, order.failure_class) == (None, None, None)
        assert (order.agent_session_id, order.error_message, order.next_action) == ("s-1", None, None)
        last = (await journal(store, claim.order_id))[-2:]
        assert [(event.kind, event.attempt) for event in last] == [("message_received", 1), ("order_resumed", 2)]
        again = await claim_next(store)
        assert [message.text for message in await store.hear(again, again.order.last_seq + 1)] == ["Use tabs."]
        assert not (await store.renew(again, LEASE)).cancel_requested

    @clause(58)
    async def test_an_order_that_had_not_come_that_far_goes_on_where_it_stopped(self, world: World) -> None:
        claim = await file_and_claim(world.store)
        await world.store.finish_step(claim, result(1))
        await world.store.finish(claim, failure())
        assert (await world.store.send_message(claim.order_id, words())).order.next_step == 2

    @clause(59)
    @pytest.mark.parametrize("status", [Status.COMPLETED, Status.FAILED])
    async def test_an_end_that_has_not_heard_a_message_is_none(self, world: World, status: Status) -> None:
        store, claim = world.store, await file_and_claim(world.store)
        for place in range(1, 8):
            await store.finish_step(claim, result(place))
        await store.send_message(claim.order_id, words())
        outcome = replace(failure() if status is Status.FAILED else DONE, follow_up_step=5)
        order = await store.finish(claim, outcome)
        assert order == await store.get(claim.order_id)
        assert (order.status, order.attempt, order.next_step, order.worker_id) == (Status.PENDING, 2, 5, None)
        assert (order.failure_class, order.error_message, order.finished_at) == (None, None, None)
        assert (await kinds(store, claim.order_id))[-2:] == ["message_received", "order_resumed"]
        assert await store.finish(claim, outcome) == order, "an answer that got lost"
        again = await claim_next(store)
        assert (again.order_id, len(await store.hear(again, again.order.last_seq + 1))) == (claim.order_id, 1)
        ended = await store.finish(again, outcome)
        assert ended.status is status, "a message that cannot be carried out does not keep its order alive for ever"
        assert len(await unheard(store, claim.order_id)) == 1

    @clause(59)
    async def test_a_cancel_is_an_end_whatever_was_written(self, world: World) -> None:
        store, claim = world.store, await file_and_claim(world.store)
        await store.cancel(claim.order_id)
        await store.send_message(claim.order_id, words())
        assert (await store.finish(claim, Outcome(Status.CANCELLED, "Stopped."))).status is Status.CANCELLED
        assert len(await unheard(store, claim.order_id)) == 1
        await store.retry(claim.order_id, None)
        again = await claim_next(store)
        assert len(await store.hear(again, again.order.last_seq + 1)) == 1

    @clause(59, 40)
    async def test_no_message_is_lost_that_is_sent_while_an_order_finishes(self, world: World) -> None:
        async def finish(claim: Claim) -> None:
            await world.store.finish(claim, replace(DONE, follow_up_step=5))

        async with world.server() as other:
            for number in range(20):
                claim = await file_and_claim(world.store)
                async with anyio.create_task_group() as group:
                    group.start_soon(finish, claim)
                    group.start_soon((world.store, other)[number % 2].send_message, claim.order_id, words())
                order = await other.get(claim.order_id)
                assert (order.status, order.attempt) == (Status.PENDING, 2)
                again = await claim_next(world.store)
                heard = await world.store.hear(again, again.order.last_seq + 1)
                assert [message.text for message in heard] == ["Use tabs."]
                await world.store.deliver(again, [heard[0].message_id])
                assert (await world.store.finish(again, DONE)).status is Status.COMPLETED
                assert (await kinds(other, claim.order_id)).count("message_received") == 1

    @clause(60)
    @pytest.mark.parametrize("status", [Status.RUNNING, Status.PENDING, Status.COMPLETED])
    async def test_the_same_key_is_the_same_message(self, world: World, status: Status) -> None:
        store, order = world.store, await order_in(world, status)
        order_id = order.agent_work_order_id
        first = await store.send_message(order_id, words(key="k"))
        again = await store.send_message(order_id, words(key="k"))
        assert (first.created, again.created, again.message) == (True, False, first.message)
        assert again.order == first.order == await store.get(order_id)
        with pytest.raises(IdempotencyConflict, match="another message"):
            await store.send_message(order_id, words("Use spaces.", key="k"))
        assert len(await store.messages(order_id)) == 1
        other = await file_order(store)
        assert (await store.send_message(other.agent_work_order_id, words(key="k"))).created

    @clause(60)
    async def test_of_an_order_that_does_not_exist_nothing_is_said(self, world: World) -> None:
        with pytest.raises(NotFound):
            await world.store.send_message("wo-0000000000000000", words())
        assert await world.store.messages("wo-0000000000000000") == []
        assert await world.store.approvals("wo-0000000000000000") == []

    @clause(60)
    async def test_an_order_that_is_put_away_cannot_be_written_to(self, world: World) -> None:
        order = await order_in(world, Status.COMPLETED)
        await world.store.archive(order.agent_work_order_id)
        with pytest.raises(WrongState, match="archived"):
            await world.store.send_message(order.agent_work_order_id, words())
        assert await world.store.messages(order.agent_work_order_id) == []

    @clause(60, 31)
    async def test_what_was_said_goes_with_its_order(self, world: World) -> None:
        waits = await asked(world.store)
        order_id = waits.agent_work_order_id
        await world.store.answer(order_id, says(Verdict.REJECTED, waits.last_seq, "No."))
        await world.store.delete(order_id)
        assert (await world.store.messages(order_id), await world.store.approvals(order_id)) == ([], [])

    @clause(60)
    async def test_a_message_does_not_disturb_a_wait_for_time(self, world: World) -> None:
        claim = await file_and_claim(world.store)
        until = await world.now() + LEASE
        await park(world.store, claim, until)
        sent = await world.store.send_message(claim.order_id, words())
        assert (sent.order.status, sent.order.waiting_until) == (Status.WAITING, until)

    @clause(60, 43, 44)
    async def test_what_was_said_goes_to_another_store_with_its_order(self, world: World, tmp_path: Path) -> None:
        waits = await asked(world.store, back_to=3)
        order_id = waits.agent_work_order_id
        await world.store.answer(order_id, says(Verdict.SENT_BACK, waits.last_seq, "Größer 🎉"))
        claim = await claim_next(world.store)
        (message,) = await world.store.hear(claim, claim.order.last_seq + 1)
        await world.store.deliver(claim, [message.message_id])
        await world.store.finish(claim, failure())
        await world.store.send_message(order_id, words(key="k"))
        await world.store.cancel(order_id)
        exported = await transfers(world.store).export_order(order_id)
        async with SqliteStore.open(tmp_path / "other.db") as other:
            assert await other.import_order(exported)
            assert await other.approvals(order_id) == await world.store.approvals(order_id)
            assert await other.messages(order_id) == await world.store.messages(order_id)
            assert not (await other.send_message(order_id, words(key="k"))).created
            back = await other.export_order(order_id)
        assert back.digest() == exported.digest()
        await world.store.delete(order_id)
        assert await transfers(world.store).import_order(back)
        assert (await transfers(world.store).export_order(order_id)).digest() == exported.digest()
        again = await world.store.send_message(order_id, words())
        assert [one.text for one in await world.store.messages(order_id)] == ["Größer 🎉", "Use tabs.", "Use tabs."]
        assert again.order.status is Status.PENDING
