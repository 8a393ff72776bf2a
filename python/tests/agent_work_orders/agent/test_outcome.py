"""Results as the command line wrote them, and the failures they are."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from src.agent_work_orders.agent.outcome import failure_of, is_unknown_session, stalled, timed_out
from src.agent_work_orders.agent.stream_json import Reading
from src.agent_work_orders.domain.errors import FailureClass
from src.agent_work_orders.ports import AgentFailure

NOW = datetime(2026, 11, 22, 16, 0, tzinfo=UTC)


def reading_of(error: str | None = None, **result: Any) -> Reading:
    reading = Reading(resumed=False)
    if error:
        reading.feed(json.dumps({"type": "assistant", "error": error, "message": {"content": []}}).encode())
    reading.feed(json.dumps({"type": "result", "is_error": True, "subtype": "success", **result}).encode())
    return reading


def failure(error: str | None = None, **result: Any) -> AgentFailure:
    found = failure_of(reading_of(error, **result), 1, "", NOW)
    assert found is not None
    return found


@pytest.mark.parametrize(
    ("failure_class", "error", "result"),
    [
        (
            "auth",
            "authentication_failed",
            {"api_error_status": 401, "result": "Invalid API key · Fix external API key"},
        ),
        ("auth", None, {"api_error_status": None, "result": "Not logged in · Please run /login"}),
        ("auth", "authentication_failed", {"api_error_status": 403, "result": "Failed to authenticate."}),
        ("limit", "rate_limit", {"api_error_status": 429, "result": "API Error: Request rejected (429)"}),
        ("limit", "server_error", {"api_error_status": 529, "result": "API Error: 529 Overloaded."}),
        ("network", "server_error", {"api_error_status": 500, "result": "API Error: 500 Internal server error."}),
        ("network", "server_error", {"result": "API Error: Unable to connect to API (ECONNRESET)"}),
        ("network", None, {"result": "Request timed out"}),
        ("budget", "billing_error", {"api_error_status": 400, "result": "Credit balance is too low"}),
        ("budget", None, {"subtype": "error_max_budget_usd", "errors": ["Reached maximum budget ($0.5)"]}),
        ("agent", None, {"subtype": "error_max_turns", "errors": ["Reached maximum number of turns (2)"]}),
        ("agent", "invalid_request", {"terminal_reason": "prompt_too_long", "result": "Prompt is too long"}),
        ("agent", "model_not_found", {"api_error_status": 404, "result": "There's an issue with the selected model."}),
        ("agent", "invalid_request", {"stop_reason": "refusal", "result": "API Error: unable to respond."}),
        ("agent", "max_output_tokens", {"result": "The response was cut."}),
    ],
)
def test_an_error_has_its_class_its_words_and_a_next_action(
    failure_class: str, error: str | None, result: dict[str, Any]
) -> None:
    found = failure(error, **result)
    assert found.failure_class == failure_class
    assert (result.get("result") or result["errors"][0]) in found.message
    assert "\n" not in found.message
    assert found.next_action.endswith(".")


def test_next_actions_fit_what_happened() -> None:
    assert "Choose a model" in failure(api_error_status=404, result="x").next_action
    assert "Rephrase" in failure(stop_reason="refusal", result="x").next_action
    assert "same session" in failure(subtype="error_max_turns", errors=["x"]).next_action
    assert "less in one order" in failure(terminal_reason="prompt_too_long", result="x").next_action


def test_a_good_result_is_no_failure_whatever_the_exit_code() -> None:
    assert failure_of(reading_of(is_error=False, result="Done."), 143, "noise", NOW) is None


def test_a_good_result_without_any_answer_is_a_network_failure() -> None:
    found = failure_of(reading_of(is_error=False, result=""), 0, "", NOW)
    assert found is not None
    assert found.failure_class == FailureClass.NETWORK


@pytest.mark.parametrize(
    ("exit_code", "words"),
    [(1, "exit code 1 without a result: error: unknown option"), (-9, "signal 9"), (0, "code 0")],
)
def test_no_result_is_a_failure_whatever_the_exit_code(exit_code: int, words: str) -> None:
    found = failure_of(Reading(resumed=False), exit_code, "first\nerror: unknown option\n\n", NOW)
    assert found is not None
    assert words in found.message


@pytest.mark.parametrize(
    ("words", "at"),
    [
        ("You've hit your session limit · resets 5:24pm (UTC)", datetime(2026, 11, 22, 17, 24, tzinfo=UTC)),
        ("You've hit your limit · resets 3am (Europe/Berlin)", datetime(2026, 11, 23, 2, 0, tzinfo=UTC)),
        ("You've hit your weekly limit · resets Nov 25, 12pm (UTC)", datetime(2026, 11, 25, 12, 0, tzinfo=UTC)),
        ("You've hit your limit · resets Jan 2 at 9:05am", datetime(2027, 1, 2, 9, 5, tzinfo=UTC)),
        ("Claude AI usage limit reached|1795368249", datetime.fromtimestamp(1_795_368_249, UTC)),
        ("You've hit your limit · resets 3pm (Moon/Base)", None),
        ("You've hit your limit · resets 31:99pm (UTC)", None),
        ("API Error: Request rejected (429)", None),
    ],
)
def test_a_limit_is_read_from_words(words: str, at: datetime | None) -> None:
    found = failure("rate_limit", api_error_status=429, result=words)
    assert found.failure_class == FailureClass.LIMIT
    assert found.retry_at == at


def test_a_long_message_is_cut() -> None:
    assert len(failure(result="word " * 1000).message) < 500


def test_an_unknown_session_is_told_from_other_errors() -> None:
    unknown = reading_of(subtype="error_during_execution", errors=["No conversation found with session ID: x"])
    assert is_unknown_session(unknown, "")
    assert is_unknown_session(Reading(resumed=True), "No conversation found with session ID: x")
    assert not is_unknown_session(reading_of(result="Credit balance is too low"), "")


def test_limits_of_time_are_said_in_words() -> None:
    assert "45 s" in stalled(timedelta(seconds=45)).message
    assert "60 min" in timed_out(timedelta(hours=1)).message
