"""The journal's words: every kind has its payload, and an event is one line of JSON."""

import json
import re
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from src.agent_work_orders.domain import events
from src.agent_work_orders.domain.events import PAYLOADS, AgentSpoke, Event, Payload, StepFinished, draft
from src.agent_work_orders.domain.status import StepStatus

# The kinds that the HTTP contract names, and the progress of a first clone.
KINDS = [
    "order_enqueued", "order_claimed", "checkout_progressed", "checkout_opened", "step_started", "agent_started",
    "agent_spoke", "tool_used", "tool_returned", "usage_counted", "checkpoint_saved", "checkpoint_shared",
    "step_finished", "check_run", "setup_run", "policy_checked", "branch_pushed", "pull_request_opened",
    "order_waiting", "approval_answered", "order_resumed", "message_received", "message_delivered",
    "cancel_requested", "lease_lost", "order_finished", "files_removed",
]  # fmt: skip
IRREGULAR = {"spoke", "run", "lost"}


def test_the_kinds_are_these() -> None:
    assert sorted(PAYLOADS) == sorted(KINDS)
    declared = {kind for kind in vars(events).values() if isinstance(kind, type) and issubclass(kind, Payload)}
    assert set(PAYLOADS.values()) == declared - {Payload}


@pytest.mark.parametrize("kind", KINDS)
def test_a_kind_is_a_noun_and_a_past_participle(kind: str) -> None:
    assert re.fullmatch(r"[a-z]+(_[a-z]+)+", kind)
    last = kind.rsplit("_", 1)[-1]
    assert last.endswith("ed") or last in IRREGULAR or kind == "order_waiting"


@given(st.text(), st.one_of(st.none(), st.integers(1, 20)))
def test_an_event_is_one_line_of_json(text: str, step_order: int | None) -> None:
    drafted = draft(AgentSpoke(text=text), step_order)
    at = datetime(2030, 1, 31, 8, 0, 0, 123_456, tzinfo=UTC)
    line = Event(7, at, drafted.kind, drafted.step_order, 2, drafted.payload).to_json()
    assert "\n" not in line
    assert "\r" not in line
    assert json.loads(line) == {
        "seq": 7,
        "at": "2030-01-31T08:00:00.123Z",
        "kind": "agent_spoke",
        "step_order": step_order,
        "attempt": 2,
        "payload": {"text": text, "artifact_id": None},
    }


def test_a_payload_reads_back_from_its_own_json() -> None:
    told = StepFinished(step_name="verify", status=StepStatus.SKIPPED, duration_seconds=1.5)
    assert PAYLOADS["step_finished"].model_validate_json(draft(told).payload) == told
