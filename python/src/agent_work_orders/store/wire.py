"""Rows as the database's functions give them, in JSON, and the domain's words for them. Knows shapes only."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from ..domain.events import Draft, Event
from ..domain.registry import RegistryEntry, stored_options, verification_of
from ..domain.status import Status
from ..domain.work_order import Artifact, Claim, NewWorkOrder, Step, StepResult, WorkOrder
from ..ports import Batch, Counts, Reaped
from .rows import new_order_columns

Json = dict[str, Any]


def moment(text: str) -> datetime:
    """A time of the database's, which its functions give in UTC."""
    return datetime.fromisoformat(text)


def new_order_json(new: NewWorkOrder) -> Json:
    """The columns of `agent_work_orders` that a request decides."""
    run_after = new.request.run_after
    return {
        **new_order_columns(new),
        "selected_commands": new.commands,
        "approval_gates": new.approval_gates,
        "run_after": None if run_after is None else run_after.isoformat(),
    }


def result_json(result: StepResult) -> Json:
    return dict(vars(result))


def artifact_json(artifact: Artifact) -> Json:
    return artifact.model_dump(mode="json")


def drafts_json(drafts: Sequence[Draft]) -> list[Any]:
    return [[draft.kind, draft.step_order, draft.payload] for draft in drafts]


def batch_json(batch: Batch) -> Json:
    """The arguments of `awo_write_v1` that are the batch."""
    return {
        "p_first_seq": batch.first_seq,
        "p_started": None if batch.started is None else dict(vars(batch.started)),
        "p_changes": None if batch.changes is None else dict(batch.changes.given()),
        "p_artifacts": [artifact_json(artifact) for artifact in batch.artifacts],
        "p_events": drafts_json(batch.drafts),
        "p_finished": None if batch.finished is None else result_json(batch.finished),
    }


def order_of(row: Json) -> WorkOrder:
    return WorkOrder.model_validate(row)


def steps_of(rows: list[Json]) -> list[Step]:
    return [Step.model_validate(row) for row in rows]


def artifacts_of(rows: list[Json]) -> list[Artifact]:
    return [Artifact.model_validate(row) for row in rows]


def claim_of(row: Json, worker_id: str) -> Claim:
    return Claim(
        order=order_of(row["order"]),
        worker_id=worker_id,
        token=row["token"],
        lease_expires_at=moment(row["lease_expires_at"]),
        steps=tuple(steps_of(row["steps"])),
    )


def event_of(row: list[Any]) -> Event:
    seq, at, kind, step_order, attempt, payload = row
    return Event(seq, moment(at), kind, step_order, attempt, payload)


def entry_of(row: Json) -> RegistryEntry:
    at = row["last_verified_at"]
    return RegistryEntry(
        key=row["repository_key"],
        url=row["repository_url"],
        display_name=row["display_name"],
        options=stored_options(row["repository_key"], row["options"], row["max_concurrent"]),
        configured=row["configured_at"] is not None,
        version=row["version"],
        changed_by=row["changed_by"],
        verification=verification_of(row["verification"], None if at is None else moment(at)),
        created_at=moment(row["created_at"]),
        updated_at=None if row["updated_at"] is None else moment(row["updated_at"]),
    )


def reaped_of(row: Json) -> Reaped:
    return Reaped(row["order_id"], row["worker_id"], Status(row["status"]))


def counts_of(row: Json) -> Counts:
    oldest = row["oldest_pending_at"]
    return Counts(
        by_status={Status(status): orders for status, orders in row["by_status"].items()},
        oldest_pending_at=None if oldest is None else moment(oldest),
        leases=tuple((order_id, worker_id, moment(at)) for order_id, worker_id, at in row["leases"]),
    )
