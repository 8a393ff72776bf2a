"""Every failure the plugin can name, each with what a person can do next. Anything else is a bug."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from .status import WaitingReason


class FailureClass(StrEnum):
    """Why an order failed, in one word that metrics and people can group by."""

    AUTH = "auth"
    LIMIT = "limit"
    BUDGET = "budget"
    TIMEOUT = "timeout"
    STALLED = "stalled"
    DISK = "disk"
    NETWORK = "network"
    GIT = "git"
    CONFLICT = "conflict"
    POLICY = "policy"
    VERIFICATION = "verification"
    AGENT = "agent"
    INTERNAL = "internal"


@dataclass(frozen=True)
class FieldProblem:
    """One field of a request and what is wrong with it."""

    field: str
    problem: str


class WorkOrderError(Exception):
    """Root of all expected failures. `code` is stable and public; the text is one sentence."""

    code = "error"
    next_action = ""

    def __init__(self, message: str, *, next_action: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        if next_action is not None:
            self.next_action = next_action


class NotFound(WorkOrderError):
    """No such work order, artifact or repository."""

    code = "not_found"
    next_action = "Check the identifier; the list of work orders shows what exists."


class InvalidInput(WorkOrderError):
    """A request that cannot be accepted; names every field that is wrong."""

    code = "invalid_input"
    next_action = "Correct the named fields and send the request again."

    def __init__(self, fields: Sequence[FieldProblem], *, next_action: str | None = None) -> None:
        named = ", ".join(dict.fromkeys(problem.field for problem in fields))
        super().__init__(f"The request is not valid: {named}.", next_action=next_action)
        self.fields = tuple(fields)


class WrongState(WorkOrderError):
    """The move is not in TRANSITIONS."""

    code = "wrong_state"
    next_action = "Read the work order again; it has moved on."


class IdempotencyConflict(WorkOrderError):
    """The idempotency key was used before, for another request."""

    code = "idempotency_conflict"
    next_action = "Use a new Idempotency-Key for a new request."


class StoreUnavailable(WorkOrderError):
    """The state cannot be reached; the caller may repeat the same call."""

    code = "store_unavailable"
    next_action = "Try again in a few seconds; AWO's health names the cause if it lasts."


class SettingsChanged(WorkOrderError):
    """Somebody else changed the settings since they were read."""

    code = "settings_changed"
    next_action = "Look at the newer values, then save again what you still want to change."


class LostLease(WorkOrderError):
    """Another worker owns this order now, or nobody does; stop touching it and write nothing."""

    code = "lease_lost"


class SequenceGap(WorkOrderError):
    """Events were offered that do not join the journal's end."""

    code = "sequence_gap"

    def __init__(self, last_seq: int) -> None:
        super().__init__(f"The journal ends at {last_seq}.")
        self.last_seq = last_seq


class StepFailed(WorkOrderError):
    """A step ended badly; the order fails, and says why and what to do next."""

    code = "step_failed"

    def __init__(self, failure_class: FailureClass, message: str, *, next_action: str) -> None:
        super().__init__(message, next_action=next_action)
        self.failure_class = failure_class


class DiskFull(StepFailed):
    """Nothing more can be written; a run waits until there is room, and loses nothing."""

    code = "disk_full"
    next_action = "Make room on the volume of the repositories; the order then goes on by itself."

    def __init__(self, message: str = "The disk is full.") -> None:
        super().__init__(FailureClass.DISK, message, next_action=type(self).next_action)


class MustWait(WorkOrderError):
    """The order can go on later by itself (`until`) or after a person acted (`until` is None)."""

    code = "must_wait"

    def __init__(self, reason: WaitingReason, message: str, *, until: datetime | None, next_action: str) -> None:
        super().__init__(message, next_action=next_action)
        self.reason, self.until = reason, until
