"""What people do to orders: file them, let them go on, stop them, try again, throw them away. Takes no claim."""

import sqlite3

from ..domain.errors import FieldProblem, IdempotencyConflict, InvalidInput, WrongState
from ..domain.events import CancelRequested, OrderEnqueued, OrderFinished, OrderResumed
from ..domain.status import Status
from ..domain.work_order import NewWorkOrder, WorkOrder
from ..ports import Enqueued
from .rows import new_order_columns, order_of
from .transaction import UNTROUBLED, Transaction


def enqueue(tx: Transaction, new: NewWorkOrder) -> Enqueued:
    columns = new_order_columns(new)
    known = tx.find("select * from agent_work_orders where idempotency_key = ?", new.idempotency_key)
    if known is not None:
        if known["request_fingerprint"] != columns["request_fingerprint"]:
            raise IdempotencyConflict("This idempotency key was used before, for another request.")
        return Enqueued(order_of(known), created=False)
    tx.db.execute(
        "insert into agent_work_order_repositories (repository_key, repository_url, created_at) values (?, ?, ?) "
        "on conflict (repository_key) do nothing",
        (new.repository_key, new.repository_url, tx.now),
    )
    later = columns["run_after"] is not None and columns["run_after"] > tx.now
    order = tx.insert({**columns, "status": Status.SCHEDULED if later else Status.PENDING})
    tx.tell(
        order,
        OrderEnqueued(
            repository_url=new.repository_url,
            workflow_type=new.request.workflow_type,
            steps=new.commands,
        ),
    )
    tx.news.work = True
    return Enqueued(order_of(tx.order(new.order_id)), created=True)


def resume(tx: Transaction, order_id: str, reason: str) -> WorkOrder:
    order = tx.order(order_id)
    if order["status"] != Status.WAITING:
        raise _not_from(order, "only a waiting order can be resumed")
    return _go_on(tx, order, reason)


def retry(tx: Transaction, order_id: str, from_step: int | None) -> WorkOrder:
    order = tx.order(order_id)
    if order["status"] not in (Status.FAILED, Status.CANCELLED):
        raise _not_from(order, "only a failed or cancelled order can be retried")
    if order["archived_at"] is not None:
        raise WrongState(f"{order_id} is archived; only a failed or cancelled order can be retried.")
    last_step = len(order_of(order).selected_commands)
    if from_step is not None and not 1 <= from_step <= last_step:
        raise InvalidInput([FieldProblem("from_step", f"must be a number from 1 to {last_step}")])
    attempt = order["attempt"] + 1
    return _go_on(
        tx,
        order,
        "retry",
        attempt=attempt,
        max_attempts=max(order["max_attempts"], attempt + 1),  # one crash must not be the end of it
        next_step=order["next_step"] if from_step is None else from_step,
        finished_at=None,
        cancel_requested_at=None,
    )


def _go_on(tx: Transaction, order: sqlite3.Row, reason: str, **columns: int | None) -> WorkOrder:
    tx.tell(order, OrderResumed(reason=reason), attempt=columns.get("attempt"))
    tx.news.work = True
    return order_of(tx.change(order, status=Status.PENDING, **UNTROUBLED, **columns))


def cancel(tx: Transaction, order_id: str) -> WorkOrder:
    order = tx.order(order_id)
    status = Status(order["status"])
    if status is Status.CANCELLED:
        return order_of(order)
    if status.is_terminal:
        raise _not_from(order, "only an order that has not ended can be cancelled")
    if status is Status.RUNNING:
        if order["cancel_requested_at"] is not None:
            return order_of(order)
        tx.news.cancels.add(order_id)
        return order_of(tx.change(order, cancel_requested_at=tx.now))
    tx.tell(order, CancelRequested())
    tx.tell(order, OrderFinished(status=Status.CANCELLED, summary=f"Cancelled while it was {status}."))
    return order_of(
        tx.change(order, status=Status.CANCELLED, cancel_requested_at=tx.now, finished_at=tx.now, **UNTROUBLED)
    )


def archive(tx: Transaction, order_id: str) -> WorkOrder:
    order = tx.order(order_id)
    if not Status(order["status"]).is_terminal:
        raise _not_from(order, "only an order that has ended can be archived")
    return order_of(order if order["archived_at"] is not None else tx.change(order, archived_at=tx.now))


def unarchive(tx: Transaction, order_id: str) -> WorkOrder:
    order = tx.order(order_id)
    return order_of(order if order["archived_at"] is None else tx.change(order, archived_at=None))


def delete(tx: Transaction, order_id: str) -> None:
    order = tx.order(order_id)
    if not Status(order["status"]).is_terminal:
        raise _not_from(order, "only an order that has ended can be deleted")
    tx.db.execute("delete from agent_work_orders where order_no = ?", (order["order_no"],))
    tx.news.deleted.add(order_id)


def _not_from(order: sqlite3.Row, rule: str) -> WrongState:
    return WrongState(f"{order['agent_work_order_id']} is {order['status']}; {rule}.")
