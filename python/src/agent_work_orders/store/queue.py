"""Who works on what: claims go out in the queue's order, and come back from workers that went silent."""

import json
import sqlite3
from collections.abc import Sequence
from datetime import timedelta

from ..domain.errors import FailureClass
from ..domain.events import LeaseLostEvent, OrderClaimed, OrderFinished, OrderResumed
from ..domain.status import Status, StepStatus
from ..domain.work_order import Claim
from ..ports import Reaped
from .rows import moment, order_of, step_of
from .transaction import UNHELD, UNTROUBLED, Transaction

# Of those whose time has come, at most so many become pending in one claim: a claim stays short whatever has piled up.
WAKE_AT_ONCE = 100

# Every statement here names its index: the planner would rather walk all orders of a status, and a claim must not.
# This one jumps from repository to repository through the index, so that it costs repositories and not orders.
_LANE = """
with recursive lane (repository_key) as (
    select min(repository_key) from agent_work_orders indexed by agent_work_orders_pending
    where status = 'pending' and priority = :priority
    union all
    select (
        select min(repository_key) from agent_work_orders indexed by agent_work_orders_pending
        where status = 'pending' and priority = :priority and repository_key > lane.repository_key
    )
    from lane where lane.repository_key is not null
)
select repository_key
from lane join agent_work_order_repositories r using (repository_key)
where coalesce(r.max_concurrent, :limit) > (
    select count(*) from agent_work_orders o indexed by agent_work_orders_running
    where o.status = 'running' and o.repository_key = lane.repository_key
)
order by r.last_claim_token, repository_key
limit 1
"""


def claim(
    tx: Transaction, worker_id: str, request_id: str, lease: timedelta, limit_per_repository: int
) -> Claim | None:
    held = tx.find(
        "select * from agent_work_orders indexed by agent_work_orders_running "
        "where status = 'running' and worker_id = ? and claim_request_id = ?",
        worker_id,
        request_id,
    )
    if held is None:
        _wake_due(tx)
        order_no = _next_in_line(tx, limit_per_repository)
        if order_no is None:
            return None
        order = tx.one("select * from agent_work_orders where order_no = ?", order_no)
        token = tx.next("fence")
        tx.db.execute(
            "update agent_work_order_repositories set last_claim_token = ? where repository_key = ?",
            (token, order["repository_key"]),
        )
        tx.news.claims.add(order["agent_work_order_id"])
        tx.tell(order, OrderClaimed(worker_id=worker_id))
        held = tx.change(
            order,
            status=Status.RUNNING,
            worker_id=worker_id,
            claim_request_id=request_id,
            lease_token=token,
            lease_expires_at=tx.now + lease // timedelta(microseconds=1),
            started_at=order["started_at"] or tx.now,
        )
    steps = tx.db.execute(
        "select * from agent_work_order_steps where agent_work_order_id = ? order by attempt, step_order",
        (held["agent_work_order_id"],),
    )
    pending = tx.find(
        "select 1 from agent_work_orders indexed by agent_work_orders_pending "
        "where status = 'pending' and priority >= 0 limit 1"
    )
    return Claim(
        order=order_of(held),
        worker_id=worker_id,
        token=held["lease_token"],
        lease_expires_at=moment(held["lease_expires_at"]),
        steps=tuple(step_of(step) for step in steps.fetchall()),
        was_last=pending is None,
    )


def _wake_due(tx: Transaction) -> None:
    scheduled = tx.db.execute(
        "select * from agent_work_orders indexed by agent_work_orders_scheduled "
        "where status = 'scheduled' and run_after <= ? order by run_after limit ?",
        (tx.now, WAKE_AT_ONCE),
    )
    for order in scheduled.fetchall():
        tx.change(order, status=Status.PENDING)
    waiting = tx.db.execute(
        "select * from agent_work_orders indexed by agent_work_orders_waiting "
        "where status = 'waiting' and waiting_until <= ? order by waiting_until limit ?",
        (tx.now, WAKE_AT_ONCE),
    )
    for order in waiting.fetchall():
        tx.tell(order, OrderResumed(reason="due"))
        tx.change(order, status=Status.PENDING, **UNTROUBLED)


def _next_in_line(tx: Transaction, limit_per_repository: int) -> int | None:
    """Best priority, then the repository served least recently, then the oldest; full repositories are passed over."""
    priority = -1
    while True:
        best = tx.one(
            "select min(priority) as priority from agent_work_orders indexed by agent_work_orders_pending "
            "where status = 'pending' and priority > ?",
            priority,
        )
        if best["priority"] is None:
            return None
        priority = best["priority"]
        lane = tx.db.execute(_LANE, {"priority": priority, "limit": limit_per_repository}).fetchone()
        if lane is not None:
            break
    head = tx.one(
        "select order_no from agent_work_orders indexed by agent_work_orders_pending "
        "where status = 'pending' and priority = ? and repository_key = ? order by created_at, order_no limit 1",
        priority,
        lane["repository_key"],
    )
    order_no: int = head["order_no"]
    return order_no


def reap(tx: Transaction, limit: int, dead_workers: Sequence[str]) -> list[Reaped]:
    silent = tx.db.execute(
        "select * from agent_work_orders indexed by agent_work_orders_running where status = 'running' "
        "and (lease_expires_at <= ? or worker_id in (select value from json_each(?))) "
        "order by lease_expires_at limit ?",
        (tx.now, json.dumps(list(dead_workers)), limit),
    )
    reaped = []
    for order in silent.fetchall():
        worker_id = order["worker_id"]
        tx.tell(order, LeaseLostEvent(worker_id=worker_id))
        if order["cancel_requested_at"] is not None:
            tx.end_open_steps(order, StepStatus.CANCELLED, "The order was cancelled.")
            tx.tell(order, OrderFinished(status=Status.CANCELLED, summary="Cancelled; its server had gone silent."))
            order = tx.change(order, status=Status.CANCELLED, finished_at=tx.now, **UNHELD)
        else:
            tx.end_open_steps(order, StepStatus.FAILED, "The server that ran this step went silent.")
            if order["attempt"] >= order["max_attempts"]:
                order = _give_up(tx, order)
            else:
                order = tx.change(order, status=Status.PENDING, attempt=order["attempt"] + 1, **UNHELD)
        tx.news.work = True
        reaped.append(Reaped(order["agent_work_order_id"], worker_id, Status(order["status"])))
    return reaped


def _give_up(tx: Transaction, order: sqlite3.Row) -> sqlite3.Row:
    failure = OrderFinished(
        status=Status.FAILED,
        summary=f"Its server went silent in the last of {order['attempt']} attempts.",
        failure_class=FailureClass.INTERNAL,
        error_message=f"The server that ran this order went silent; that was attempt {order['attempt']}.",
        next_action="Look in the server's log for why it stops, then retry the order.",
    )
    tx.tell(order, failure)
    return tx.change(
        order,
        status=failure.status,
        failure_class=failure.failure_class,
        error_message=failure.error_message,
        next_action=failure.next_action,
        finished_at=tx.now,
        **UNHELD,
    )
