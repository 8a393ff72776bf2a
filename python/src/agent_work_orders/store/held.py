"""What the holder of a claim may write. Each of these presents the token; a stale one raises LostLease."""

from collections.abc import Sequence
from datetime import datetime, timedelta

from ..domain.errors import FailureClass, LostLease, SequenceGap, WrongState
from ..domain.events import Draft, Event, OrderFinished, OrderWaiting
from ..domain.status import Status, StepStatus, WaitingReason
from ..domain.work_order import Artifact, Claim, OrderChanges, Outcome, Renewal, StepResult, WorkOrder
from ..ports import Batch, Written
from .conversation import follow_up_instead, has_untold
from .rows import micros, moment, order_of, storable
from .transaction import UNHELD, Transaction


def renew(tx: Transaction, claim: Claim, lease: timedelta) -> Renewal:
    order = tx.held(claim)
    expires_at = tx.now + lease // timedelta(microseconds=1)
    tx.db.execute(
        "update agent_work_orders set lease_expires_at = ? where order_no = ?", (expires_at, order["order_no"])
    )
    return Renewal(moment(expires_at), order["cancel_requested_at"] is not None, has_untold(tx, claim.order_id))


def append(tx: Transaction, claim: Claim, first_seq: int, drafts: Sequence[Draft]) -> int:
    order = tx.held(claim)
    last_seq: int = order["last_seq"]
    if first_seq > last_seq + 1:
        raise SequenceGap(last_seq)
    new = drafts[last_seq + 1 - first_seq :]
    if not new:
        return last_seq
    at, attempt = moment(tx.now), order["attempt"]
    events = [
        Event(seq, at, draft.kind, draft.step_order, attempt, storable(draft.payload))
        for seq, draft in enumerate(new, last_seq + 1)
    ]
    tx.write_events(claim.order_id, events)
    last_seq += len(events)
    tx.db.execute("update agent_work_orders set last_seq = ? where order_no = ?", (last_seq, order["order_no"]))
    return last_seq


def write(tx: Transaction, claim: Claim, batch: Batch, lease: timedelta) -> Written:
    last_seq: int = tx.held(claim)["last_seq"]
    if not batch.drafts or batch.first_seq > last_seq:
        if (step := batch.started) is not None:
            start_step(tx, claim, step.step_order, step.step_name, step.agent_name)
        if batch.changes is not None:
            record(tx, claim, batch.changes)
        for artifact in batch.artifacts:
            put_artifact(tx, claim, artifact)
        if batch.drafts:
            last_seq = append(tx, claim, batch.first_seq, batch.drafts)
        if batch.finished is not None:
            finish_step(tx, claim, batch.finished)
    return Written(last_seq, renew(tx, claim, lease))


def record(tx: Transaction, claim: Claim, changes: OrderChanges) -> None:
    order = tx.held(claim)
    given = changes.given()
    if any(order[name] != value for name, value in given.items()):
        tx.change(order, **given)


def start_step(tx: Transaction, claim: Claim, step_order: int, step_name: str, agent_name: str) -> None:
    order = tx.held(claim)
    # Started again within the attempt (after a wait or a release): a fresh run, but what it cost so far stays.
    tx.db.execute(
        """
        insert into agent_work_order_steps
            (agent_work_order_id, attempt, step_order, step_name, agent_name, status, started_at, created_at)
        values (?, ?, ?, ?, ?, 'running', ?, ?)
        on conflict (agent_work_order_id, attempt, step_order) do update set
            step_name = excluded.step_name, agent_name = excluded.agent_name, status = 'running', success = null,
            output = null, error_message = null, duration_seconds = null, finished_at = null,
            started_at = case status when 'running' then started_at else excluded.started_at end
        """,
        (claim.order_id, order["attempt"], step_order, step_name, agent_name, tx.now, tx.now),
    )
    tx.change(order, current_phase=step_name)


def finish_step(tx: Transaction, claim: Claim, result: StepResult) -> None:
    order = tx.held(claim)
    success = result.status in (StepStatus.COMPLETED, StepStatus.SKIPPED)
    written = tx.db.execute(
        """
        insert into agent_work_order_steps
            (agent_work_order_id, attempt, step_order, step_name, agent_name, status, success, output, error_message,
             duration_seconds, session_id, cost_usd, input_tokens, output_tokens, started_at, finished_at, created_at)
        values (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
        on conflict (agent_work_order_id, attempt, step_order) do update set
            status = excluded.status, success = excluded.success, output = excluded.output,
            error_message = excluded.error_message, duration_seconds = excluded.duration_seconds,
            session_id = coalesce(excluded.session_id, session_id), cost_usd = cost_usd + excluded.cost_usd,
            input_tokens = input_tokens + excluded.input_tokens,
            output_tokens = output_tokens + excluded.output_tokens, finished_at = excluded.finished_at
        where status = 'running'
        """,
        (
            claim.order_id,
            order["attempt"],
            result.step_order,
            result.step_name,
            result.agent_name,
            result.status,
            success,
            storable(result.output),
            storable(result.error_message),
            result.duration_seconds,
            result.session_id,
            result.cost_usd,
            result.input_tokens,
            result.output_tokens,
            tx.now - round(result.duration_seconds * 1e6),
            tx.now,
            tx.now,
        ),
    )
    if written.rowcount == 0:
        return  # a repeated call: the first result stands
    tx.change(
        order,
        cost_usd=round(order["cost_usd"] + result.cost_usd, 6),
        input_tokens=order["input_tokens"] + result.input_tokens,
        output_tokens=order["output_tokens"] + result.output_tokens,
        next_step=result.step_order + 1 if success else order["next_step"],
        agent_session_id=result.session_id or order["agent_session_id"],
    )


def put_artifact(tx: Transaction, claim: Claim, artifact: Artifact) -> None:
    order = tx.held(claim)
    tx.db.execute(
        """
        insert into agent_work_order_artifacts
            (agent_work_order_id, artifact_id, artifact_type, step_name, attempt, path, media_type, size_bytes,
             created_at)
        values (?, ?, ?, ?, ?, ?, ?, ?, ?)
        on conflict (agent_work_order_id, artifact_id) do update set
            artifact_type = excluded.artifact_type, step_name = excluded.step_name, attempt = excluded.attempt,
            path = excluded.path, media_type = excluded.media_type, size_bytes = excluded.size_bytes
        """,
        (
            order["agent_work_order_id"],
            artifact.artifact_id,
            artifact.artifact_type,
            artifact.step_name,
            artifact.attempt,
            artifact.path,
            artifact.media_type,
            artifact.size_bytes,
            tx.now if artifact.created_at is None else micros(artifact.created_at),
        ),
    )


def finish(tx: Transaction, claim: Claim, outcome: Outcome) -> WorkOrder:
    if not outcome.status.is_terminal:
        raise WrongState(f"An order cannot end as {outcome.status}.")
    ended = OrderFinished(
        status=outcome.status,
        summary=storable(outcome.summary),
        failure_class=(outcome.failure_class or FailureClass.INTERNAL) if outcome.status is Status.FAILED else None,
        error_message=storable(outcome.error_message),
        next_action=storable(outcome.next_action),
    )
    columns = ended.model_dump(exclude={"summary"})
    if (done := _settled(tx, claim, "finish")) is not None:
        if done.status.is_terminal and any(getattr(done, name) != value for name, value in columns.items()):
            raise LostLease(f"{claim.order_id} has ended in another way.")
        return done
    order = tx.held(claim)
    settled = {"settled_token": claim.token, "settled_by": "finish", **UNHELD}
    if outcome.status is not Status.CANCELLED:
        goes_on = follow_up_instead(tx, order, outcome.follow_up_step or order["next_step"], **settled)
        if goes_on is not None:
            return order_of(goes_on)
    tx.end_open_steps(
        order,
        StepStatus.CANCELLED if outcome.status is Status.CANCELLED else StepStatus.FAILED,
        f"The order ended as {outcome.status} while this step ran.",
    )
    tx.tell(order, ended)
    tx.news.work = True  # its repository has a place free
    return order_of(tx.change(order, finished_at=tx.now, **columns, **settled))


def wait(
    tx: Transaction, claim: Claim, reason: WaitingReason, until: datetime | None, message: str, next_action: str
) -> WorkOrder:
    if (done := _settled(tx, claim, "wait")) is not None:
        return done
    order = tx.held(claim)
    message, next_action = storable(message), storable(next_action)
    tx.news.work = True
    settled = {"settled_token": claim.token, "settled_by": "wait", **UNHELD}
    tx.end_open_steps(order, StepStatus.CANCELLED, message)
    if order["cancel_requested_at"] is not None:
        tx.tell(order, OrderFinished(status=Status.CANCELLED, summary="Cancelled; nothing of it runs any more."))
        return order_of(tx.change(order, status=Status.CANCELLED, finished_at=tx.now, **settled))
    tx.tell(order, OrderWaiting(reason=reason, until=until, message=message, next_action=next_action))
    return order_of(
        tx.change(
            order,
            status=Status.WAITING,
            waiting_reason=reason,
            waiting_until=micros(until),
            error_message=message,
            next_action=next_action,
            **settled,
        )
    )


def release(tx: Transaction, claim: Claim) -> None:
    if _settled(tx, claim, "release") is not None:
        return
    order = tx.held(claim)
    tx.news.work = True
    settled = {"settled_token": claim.token, "settled_by": "release", **UNHELD}
    if order["cancel_requested_at"] is not None:
        tx.end_open_steps(order, StepStatus.CANCELLED, "The order was cancelled.")
        tx.tell(order, OrderFinished(status=Status.CANCELLED, summary="Cancelled; nothing of it runs any more."))
        tx.change(order, status=Status.CANCELLED, finished_at=tx.now, **settled)
    else:
        tx.end_open_steps(order, StepStatus.CANCELLED, "The step was interrupted; it will run again.")
        tx.change(order, status=Status.PENDING, **settled)


def _settled(tx: Transaction, claim: Claim, verb: str) -> WorkOrder | None:
    """The order as it is now, if this claim ended by this very verb: the call is a repetition."""
    row = tx.find(
        "select * from agent_work_orders where agent_work_order_id = ? and settled_token = ? and settled_by = ?",
        claim.order_id,
        claim.token,
        verb,
    )
    return None if row is None else order_of(row)
