"""Rows and the domain's words for them. Knows shapes only: no connection, no query."""

import json
import sqlite3
from datetime import UTC, datetime, timedelta
from typing import Any, overload

from ..domain.events import Event
from ..domain.work_order import Artifact, NewWorkOrder, Step, WorkOrder

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_ORDER_TIMES = (
    "waiting_until",
    "cancel_requested_at",
    "run_after",
    "created_at",
    "started_at",
    "finished_at",
    "updated_at",
    "archived_at",
)


@overload
def micros(at: datetime) -> int: ...
@overload
def micros(at: None) -> None: ...
def micros(at: datetime | None) -> int | None:
    """A time as whole microseconds since 1970 in UTC."""
    return None if at is None else (at - _EPOCH) // _MICROSECOND


@overload
def moment(value: int) -> datetime: ...
@overload
def moment(value: None) -> None: ...
def moment(value: int | None) -> datetime | None:
    """The time that `micros` made `value` of."""
    return None if value is None else _EPOCH + timedelta(microseconds=value)


@overload
def storable(text: str) -> str: ...
@overload
def storable(text: None) -> None: ...
def storable(text: str | None) -> str | None:
    """Text with everything that some store cannot hold (NUL, lone surrogates) replaced by U+FFFD."""
    if text is None or (text.isascii() and "\0" not in text):
        return text
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace").replace("\0", "\ufffd")


def new_order_columns(new: NewWorkOrder) -> dict[str, Any]:
    """The columns of `agent_work_orders` that a request decides."""
    request = new.request
    return {
        "agent_work_order_id": new.order_id,
        "idempotency_key": new.idempotency_key,
        "request_fingerprint": new.fingerprint,
        "repository_key": new.repository_key,
        "repository_url": new.repository_url,
        "sandbox_identifier": new.order_id,
        "sandbox_type": request.sandbox_type,
        "base_branch": request.base_branch,
        "working_subdir": request.working_subdir or None,
        "workflow_type": request.workflow_type,
        "selected_commands": json.dumps(new.commands),
        "user_request": request.user_request,
        "github_issue_number": request.github_issue_number,
        "max_attempts": new.max_attempts,
        "priority": request.priority,
        "model": request.model,
        "timeout_seconds": request.timeout_seconds,
        "max_cost_usd": request.max_cost_usd,
        "approval_gates": json.dumps(new.approval_gates),
        "run_after": micros(request.run_after),
    }


def _values(row: sqlite3.Row) -> dict[str, Any]:
    # `dict(row)` looks every name up again, by walking all of them.
    return dict(zip(row.keys(), row, strict=True))


def order_of(row: sqlite3.Row) -> WorkOrder:
    """A row of `agent_work_orders`."""
    values = _values(row)
    for name in _ORDER_TIMES:
        values[name] = moment(values[name])
    values["selected_commands"] = json.loads(values["selected_commands"])
    values["approval_gates"] = json.loads(values["approval_gates"])
    return WorkOrder.model_validate(values)


def step_of(row: sqlite3.Row) -> Step:
    """A row of `agent_work_order_steps`."""
    values = _values(row)
    values["started_at"] = moment(values["started_at"])
    values["finished_at"] = moment(values["finished_at"])
    values["success"] = None if values["success"] is None else bool(values["success"])
    return Step.model_validate(values)


def artifact_of(row: sqlite3.Row) -> Artifact:
    """A row of `agent_work_order_artifacts`."""
    values = _values(row)
    values["created_at"] = moment(values["created_at"])
    return Artifact.model_validate(values)


def event_of(row: sqlite3.Row) -> Event:
    """A row of `agent_work_order_events`."""
    return Event(row["seq"], moment(row["at"]), row["kind"], row["step_order"], row["attempt"], row["payload"])
