"""What a tool answers: small JSON texts in Archon's manner. Pure: knows shapes, not where they come from."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

LONG_TEXT = 1_000
SHORT_TEXT = 160

_IN_A_LIST = (
    "agent_work_order_id", "repository_url", "status", "waiting_reason", "current_phase", "attempt", "workflow_type",
    "github_pull_request_url", "cost_usd", "failure_class", "created_at", "finished_at",
)  # fmt: skip
_ALONE = (
    *_IN_A_LIST, "waiting_until", "git_branch_name", "base_branch", "git_commit_count", "git_files_changed",
    "error_message", "next_action", "priority", "model", "max_cost_usd", "last_seq", "approval",
)  # fmt: skip
_OF_A_STEP = ("step_order", "step_name", "attempt", "status", "duration_seconds", "cost_usd", "error_message", "output")


class Refused(Exception):
    """Why a tool could not do what it was asked; told to the agent as it is."""

    def __init__(
        self, kind: str, message: str, *, suggestion: str | None = None, details: Any = None, status: int | None = None
    ) -> None:
        super().__init__(message)
        self.kind, self.message, self.suggestion, self.details, self.status = kind, message, suggestion, details, status


def success(**fields: Any) -> str:
    """`{"success": true, …}`, without what is None."""
    return json.dumps({"success": True, **{name: value for name, value in fields.items() if value is not None}})


def failure(refused: Refused) -> str:
    """`{"success": false, "error": {"type", "message", …}}`."""
    error = {
        "type": refused.kind,
        "message": refused.message,
        "details": refused.details,
        "suggestion": refused.suggestion,
        "http_status": refused.status,
    }
    return json.dumps({"success": False, "error": {name: value for name, value in error.items() if value is not None}})


def order_in_list(order: Mapping[str, Any]) -> dict[str, Any]:
    """A line of a list: where the order stands, and the beginning of its request."""
    return {**_some(order, _IN_A_LIST, SHORT_TEXT), "request": _cut(order.get("user_request", ""), SHORT_TEXT)}


def order_alone(order: Mapping[str, Any]) -> dict[str, Any]:
    """One order, with the last attempt of each step."""
    steps: Sequence[Mapping[str, Any]] = order.get("steps") or ()
    newest = {step["step_order"]: step for step in steps}
    return {
        **_some(order, _ALONE, LONG_TEXT),
        "request": _cut(order.get("user_request", ""), LONG_TEXT),
        "steps": [_some(step, _OF_A_STEP, LONG_TEXT) for step in newest.values()],
    }


def event_in_list(event: Mapping[str, Any]) -> dict[str, Any]:
    """One event of the journal, its texts cut."""
    return {name: _cut(value, LONG_TEXT) for name, value in event.items() if value is not None}


def repository_in_list(repository: Mapping[str, Any]) -> dict[str, Any]:
    """A configured repository, without what only administrators need."""
    return {name: _cut(value, SHORT_TEXT) for name, value in repository.items() if value not in (None, [], {})}


def _some(source: Mapping[str, Any], names: Sequence[str], longest: int) -> dict[str, Any]:
    return {name: _cut(source[name], longest) for name in names if source.get(name) is not None}


def _cut(value: Any, longest: int) -> Any:
    if isinstance(value, str) and len(value) > longest:
        return f"{value[:longest]}… ({len(value) - longest} more characters)"
    if isinstance(value, dict):
        return {name: _cut(inner, longest) for name, inner in value.items()}
    if isinstance(value, list):
        return [_cut(inner, longest) for inner in value]
    return value
