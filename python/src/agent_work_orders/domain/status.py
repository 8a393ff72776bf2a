"""The life of a work order: seven words and the moves between them. SQL, Python, HTTP and UI take them from here."""

from enum import StrEnum


class Status(StrEnum):
    """Where an order stands. `waiting` holds no slot; the last three leave only when a person says so."""

    SCHEDULED = "scheduled"
    PENDING = "pending"
    RUNNING = "running"
    WAITING = "waiting"
    COMPLETED = "completed"
    FAILED = "failed"
    CANCELLED = "cancelled"

    @property
    def is_terminal(self) -> bool:
        return self in TERMINAL


class WaitingReason(StrEnum):
    """Why an order holds no slot although it is not done."""

    APPROVAL = "approval"
    REPLY = "reply"
    USAGE_LIMIT = "usage_limit"
    BUDGET = "budget"
    DISK = "disk"
    CHECKS = "checks"


class StepStatus(StrEnum):
    """How a step of one attempt stands."""

    RUNNING = "running"
    COMPLETED = "completed"
    SKIPPED = "skipped"
    FAILED = "failed"
    CANCELLED = "cancelled"


TERMINAL: frozenset[Status] = frozenset({Status.COMPLETED, Status.FAILED, Status.CANCELLED})

# What has ended reaches `pending` as a new attempt alone: what failed or was cancelled by a retry, all by a message.
TRANSITIONS: dict[Status, frozenset[Status]] = {
    Status.SCHEDULED: frozenset({Status.PENDING, Status.CANCELLED}),
    Status.PENDING: frozenset({Status.RUNNING, Status.CANCELLED}),
    Status.RUNNING: frozenset({Status.PENDING, Status.WAITING, *TERMINAL}),
    Status.WAITING: frozenset({Status.PENDING, Status.FAILED, Status.CANCELLED}),
    Status.COMPLETED: frozenset({Status.PENDING}),
    Status.FAILED: frozenset({Status.PENDING}),
    Status.CANCELLED: frozenset({Status.PENDING}),
}
