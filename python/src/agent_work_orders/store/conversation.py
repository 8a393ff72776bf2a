"""Questions and their answers, messages and when the agent had them: the embedded store's side of it."""

import sqlite3
from collections.abc import Sequence
from typing import Any

from ..domain.conversation import AlreadyAnswered, Answer, Approval, Asking, Message, NewMessage, Verdict, told
from ..domain.errors import (
    FailureClass,
    FieldProblem,
    IdempotencyConflict,
    InvalidInput,
    SequenceGap,
    WrongState,
)
from ..domain.events import ApprovalAnswered, MessageReceived, OrderFinished, OrderResumed, OrderWaiting
from ..domain.status import Status, StepStatus, WaitingReason
from ..domain.work_order import Claim, WorkOrder
from ..ports import Sent
from .rows import moment, order_of, storable
from .transaction import UNHELD, UNTROUBLED, Transaction

_APPROVAL = "agent_work_order_id = ? and seq = ?"
# What an order still has to be taken up for: comments only go with whatever comes next.
_UNHEARD = "kind = 'message' and delivered_at is null and followed_up_at is null"


# --- questions ---


def ask(tx: Transaction, claim: Claim, asking: Asking) -> WorkOrder:
    settled = {"settled_token": claim.token, "settled_by": "wait"}
    done = tx.find(
        "select * from agent_work_orders where agent_work_order_id = ? and settled_token = ? and settled_by = ?",
        claim.order_id,
        *settled.values(),
    )
    if done is not None:
        return order_of(done)
    order = tx.held(claim)
    tx.news.work = True
    tx.end_open_steps(order, StepStatus.CANCELLED, asking.message)
    if order["cancel_requested_at"] is not None:
        tx.tell(order, OrderFinished(status=Status.CANCELLED, summary="Cancelled; nothing of it runs any more."))
        return order_of(tx.change(order, status=Status.CANCELLED, finished_at=tx.now, **settled, **UNHELD))
    tell_messages(tx, order)
    message, next_action, question = storable(asking.message), storable(asking.next_action), asking.question
    tx.tell(
        order,
        OrderWaiting(
            reason=WaitingReason.APPROVAL, until=None, message=message, next_action=next_action, question=question
        ),
    )
    waiting = tx.change(
        order,
        status=Status.WAITING,
        waiting_reason=WaitingReason.APPROVAL,
        error_message=message,
        next_action=next_action,
        **settled,
        **UNHELD,
    )
    tx.db.execute(
        "insert into agent_work_order_approvals "
        "(agent_work_order_id, seq, attempt, gate, step_name, subject, back_to, summary, asked_at) "
        "values (?, ?, ?, ?, ?, ?, ?, ?, ?)",
        (
            claim.order_id,
            waiting["last_seq"],
            waiting["attempt"],
            question.gate,
            question.step_name,
            asking.subject,
            asking.back_to,
            storable(question.summary),
            tx.now,
        ),
    )
    return order_of(waiting)


def answer(tx: Transaction, order_id: str, given: Answer) -> WorkOrder:
    order = tx.order(order_id)
    asked = tx.find(f"select * from agent_work_order_approvals where {_APPROVAL}", order_id, given.seq)  # noqa: S608 - our own words
    if asked is None:
        raise unknown_question()
    if asked["answer"] is not None:
        raise AlreadyAnswered(approval_of(dict(asked)))
    newest = tx.one("select max(seq) as seq from agent_work_order_approvals where agent_work_order_id = ?", order_id)
    if order["waiting_reason"] != WaitingReason.APPROVAL or newest["seq"] != given.seq:
        raise no_longer_asked(order_id, order["status"])
    by, comment = storable(given.by), storable(given.comment)
    tx.db.execute(
        "update agent_work_order_approvals set answer = ?, comment = ?, answered_by = ?, answered_at = ? "  # noqa: S608 - our own words
        f"where {_APPROVAL}",
        (given.verdict, comment, by, tx.now, order_id, given.seq),
    )
    tx.tell(
        order,
        ApprovalAnswered(
            asked_seq=given.seq,
            gate=asked["gate"],
            answer=given.verdict,
            by=by,
            comment=None if comment is None else told(comment),
        ),
    )
    if comment is not None:
        seq = tx.order(order_id)["last_seq"]
        kind = "message" if given.verdict is Verdict.SENT_BACK else "comment"
        _insert(tx, order_id, given.message_id, given.message_id, kind, storable(given.author), by, comment, seq)
    tx.news.work = True
    if given.verdict is Verdict.REJECTED:
        ended = OrderFinished(
            status=Status.FAILED,
            summary=f"Rejected at the gate {asked['gate']}.",
            failure_class=FailureClass.POLICY,
            error_message=f"{by} rejected it at the gate {asked['gate']}; nothing more was done.",
            next_action="Send a message to have it done otherwise, or retry the order to be asked again.",
        )
        tx.tell(order, ended)
        columns = {**UNTROUBLED, **ended.model_dump(exclude={"summary"})}
        return order_of(tx.change(order, finished_at=tx.now, **columns))
    tx.tell(order, OrderResumed(reason=given.verdict))
    back = min(order["next_step"], asked["back_to"]) if given.verdict is Verdict.SENT_BACK else order["next_step"]
    return order_of(tx.change(order, status=Status.PENDING, next_step=back, **UNTROUBLED))


def unknown_question() -> InvalidInput:
    return InvalidInput([FieldProblem("seq", "is not the `seq` of an event that asked for an approval")])


def no_longer_asked(order_id: str, status: str) -> WrongState:
    return WrongState(f"{order_id} is {status}; what this event asked is no longer open.")


# --- messages ---


def send_message(tx: Transaction, order_id: str, new: NewMessage) -> Sent:
    order = tx.order(order_id)
    known = tx.find(
        "select * from agent_work_order_messages where agent_work_order_id = ? and idempotency_key = ?",
        order_id,
        new.idempotency_key,
    )
    author, text = storable(new.author), storable(new.text)
    if known is not None:
        if (known["author"], known["text"]) != (author, text):
            raise IdempotencyConflict("This idempotency key was used before, for another message.")
        return Sent(order_of(order), message_of(known), created=False)
    ended = Status(order["status"]).is_terminal
    if ended and order["archived_at"] is not None:
        raise WrongState(f"{order_id} is archived; only an order that is in the lists can be written to.")
    row = _insert(
        tx, order_id, new.message_id, new.idempotency_key, "message", author, storable(new.by), text, seq=None
    )
    if order["status"] == Status.RUNNING:
        tx.news.cancels.add(order_id)  # wakes whoever renews the lease, who tells the run
        return Sent(order_of(order), message_of(row), created=True)
    tell_messages(tx, order)
    if ended:
        order = _follow_up(tx, order, new.follow_up_step)
    elif order["waiting_reason"] == WaitingReason.REPLY:
        tx.tell(order, OrderResumed(reason="reply"))
        tx.news.work = True
        order = tx.change(order, status=Status.PENDING, **UNTROUBLED)
    else:
        order = tx.change(order)
    row = tx.one("select * from agent_work_order_messages where id = ?", row["id"])
    return Sent(order_of(order), message_of(row), created=True)


def follow_up_instead(tx: Transaction, order: sqlite3.Row, follow_up_step: int, **settled: Any) -> sqlite3.Row | None:
    """The order as its next attempt, where somebody wrote what no turn of the agent was given before this end.

    Once for each message: one that cannot be carried out does not keep its order alive for ever.
    """
    tell_messages(tx, order)
    waiting = f"select 1 from agent_work_order_messages where agent_work_order_id = ? and {_UNHEARD}"  # noqa: S608 - our own words
    if order["cancel_requested_at"] is not None or tx.find(waiting, order["agent_work_order_id"]) is None:
        return None
    tx.end_open_steps(order, StepStatus.FAILED, "The order goes on with a message.")
    return _follow_up(tx, order, follow_up_step, **settled)


def _follow_up(tx: Transaction, order: sqlite3.Row, follow_up_step: int, **columns: Any) -> sqlite3.Row:
    attempt = order["attempt"] + 1
    tx.db.execute(
        f"update agent_work_order_messages set followed_up_at = ? where agent_work_order_id = ? and {_UNHEARD}",  # noqa: S608 - our own words
        (tx.now, order["agent_work_order_id"]),
    )
    tx.tell(order, OrderResumed(reason="message"), attempt=attempt)
    tx.news.work = True
    return tx.change(
        order,
        status=Status.PENDING,
        attempt=attempt,
        max_attempts=max(order["max_attempts"], attempt + 1),
        next_step=min(order["next_step"], follow_up_step),
        finished_at=None,
        cancel_requested_at=None,
        **UNTROUBLED,
        **columns,
    )


def hear(tx: Transaction, claim: Claim, first_seq: int) -> list[Message]:
    order = tx.held(claim)
    if first_seq > order["last_seq"] + 1:
        raise SequenceGap(order["last_seq"])
    tell_messages(tx, order)
    rows = tx.db.execute(
        "select * from agent_work_order_messages where agent_work_order_id = ? and delivered_at is null order by id",
        (claim.order_id,),
    )
    return [message_of(row) for row in rows.fetchall()]


def deliver(tx: Transaction, claim: Claim, message_ids: Sequence[str]) -> None:
    tx.held(claim)
    tx.db.executemany(
        "update agent_work_order_messages set delivered_at = ? "
        "where agent_work_order_id = ? and message_id = ? and delivered_at is null",
        [(tx.now, claim.order_id, message_id) for message_id in message_ids],
    )


def tell_messages(tx: Transaction, order: sqlite3.Row) -> None:
    """Events for messages that have none yet."""
    untold = tx.db.execute(
        "select * from agent_work_order_messages where agent_work_order_id = ? and seq is null order by id",
        (order["agent_work_order_id"],),
    )
    for row in untold.fetchall():
        tx.tell(order, MessageReceived(message_id=row["message_id"], author=row["author"], text=told(row["text"])))
        tx.db.execute(
            "update agent_work_order_messages set seq = "
            "(select last_seq from agent_work_orders where order_no = ?) where id = ?",
            (order["order_no"], row["id"]),
        )


def has_untold(tx: Transaction, order_id: str) -> bool:
    sql = "select 1 from agent_work_order_messages where agent_work_order_id = ? and seq is null"
    return tx.find(sql, order_id) is not None


def _insert(
    tx: Transaction,
    order_id: str,
    message_id: str,
    key: str,
    kind: str,
    author: str,
    by: str,
    text: str,
    seq: int | None,
) -> sqlite3.Row:
    return tx.one(
        "insert into agent_work_order_messages "
        "(agent_work_order_id, message_id, idempotency_key, kind, author, sent_by, text, seq, sent_at) "
        "values (?, ?, ?, ?, ?, ?, ?, ?, ?) returning *",
        *(order_id, message_id, key, kind, author, by, text, seq, tx.now),
    )


# --- reading ---


def approvals(db: sqlite3.Connection, order_id: str) -> list[Approval]:
    rows = db.execute(
        "select * from agent_work_order_approvals where agent_work_order_id = ? order by seq", (order_id,)
    )
    return [approval_of(dict(row)) for row in rows.fetchall()]


def messages(db: sqlite3.Connection, order_id: str) -> list[Message]:
    rows = db.execute("select * from agent_work_order_messages where agent_work_order_id = ? order by id", (order_id,))
    return [message_of(row) for row in rows.fetchall()]


def approval_of(row: dict[str, Any]) -> Approval:
    return Approval.model_validate(
        {**row, "asked_at": moment(row["asked_at"]), "answered_at": moment(row["answered_at"])}
    )


def message_of(row: sqlite3.Row) -> Message:
    values = dict(row)
    return Message.model_validate(
        {**values, "sent_at": moment(values["sent_at"]), "delivered_at": moment(values["delivered_at"])}
    )
