"""How a turn of Claude Code ended, pure: its last result, its exit code and the end of stderr become a failure class,
one sentence and a next action. Exit codes and `subtype` alone say next to nothing, so neither decides here."""

import re
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from ..domain.errors import FailureClass
from ..ports import AgentFailure
from .stream_json import Reading, moment

_EPOCH = re.compile(r"\|(\d{10})\b")
_RESETS = re.compile(
    r"\bresets(?: at)? (?:(\w{3} \d{1,2}),? (?:at )?)?(\d{1,2})(?::(\d{2}))? ?([ap]m)(?: \(([\w/+-]+)\))?", re.I
)
_OFFLINE = re.compile(
    r"unable to connect|connection|timed out|network|socket|fetch failed|ECONN|ENOTFOUND|EAI_AGAIN", re.I
)
_LOGGED_OUT = re.compile(r"not logged in|invalid api key|please run /login|OAuth token", re.I)
_LIMIT = re.compile(r"usage limit|hit your .*limit|rate limit|rejected \(429\)", re.I)
_BILLING = re.compile(r"credit balance|billing", re.I)
_MOST_WORDS = 400


def is_unknown_session(reading: Reading, stderr: str) -> bool:
    """The session to resume is not on this disk; nothing was asked and nothing was spent."""
    said = " ".join([*_errors(reading.result or {}), stderr])
    return not reading.answered and ("No conversation found" in said or "--resume requires a valid session" in said)


def failure_of(reading: Reading, exit_code: int | None, stderr: str, now: datetime) -> AgentFailure | None:
    """None when the turn ended well."""
    result = reading.result
    if result is None:
        return _no_result(exit_code, stderr)
    said = _said(result, stderr)
    if result.get("is_error") is True:
        return _error(reading, result, said, now)
    if not said and not reading.answered:
        return AgentFailure(
            FailureClass.NETWORK, "The model's answer never arrived.", "Check the way to the model's API, then retry."
        )
    return None


def timed_out(limit: timedelta) -> AgentFailure:
    return AgentFailure(
        FailureClass.TIMEOUT,
        f"The agent did not finish within {_duration(limit)} and was stopped.",
        "Retry to go on in the same session, raise the time limit, or ask for less in one order.",
    )


def stalled(limit: timedelta) -> AgentFailure:
    return AgentFailure(
        FailureClass.STALLED,
        f"The agent said nothing for {_duration(limit)} and was stopped.",
        "Check that the model's API answers, then retry to go on in the same session.",
    )


def _error(reading: Reading, result: dict[str, Any], said: str, now: datetime) -> AgentFailure:
    status, error = result.get("api_error_status"), reading.api_error
    if status in (401, 403) or error == "authentication_failed" or (status is None and _LOGGED_OUT.search(said)):
        return AgentFailure(
            FailureClass.AUTH,
            f"The model's API refused the credential: {said}",
            "Save a valid Anthropic API key or Claude Code token in the settings, then retry.",
        )
    if error == "billing_error" or _BILLING.search(said):
        return AgentFailure(
            FailureClass.BUDGET,
            f"The account cannot pay for this turn: {said}",
            "Add credit to the Anthropic account or use another key, then retry.",
        )
    if result.get("subtype") == "error_max_budget_usd":
        return AgentFailure(
            FailureClass.BUDGET,
            f"The turn reached its cost limit: {said}",
            "Raise the cost limit, then retry to go on in the same session.",
        )
    if status in (429, 529) or error == "rate_limit" or _LIMIT.search(said):
        return AgentFailure(
            FailureClass.LIMIT,
            f"The model's API is overloaded: {said}" if status == 529 else f"The account's limit is reached: {said}",
            "Wait until the limit resets, or use another key, then retry.",
            retry_at=_retry_at(reading, said, now),
        )
    if (isinstance(status, int) and status >= 500) or error == "server_error" or _is_offline(status, said):
        return AgentFailure(
            FailureClass.NETWORK,
            f"The model's API could not be reached or did not answer: {said}",
            "Check the network, the proxy and the base URL of the model's API, then retry.",
        )
    return _agent_error(result, error, said)


def _agent_error(result: dict[str, Any], error: str | None, said: str) -> AgentFailure:
    next_action = "Read the agent's output, then retry or say more in a new order."
    reason = result.get("terminal_reason")
    if error == "model_not_found" or result.get("api_error_status") == 404:
        next_action = "Choose a model that exists and that this credential may use, then retry."
    elif reason == "prompt_too_long":
        next_action = "Ask for less in one order, or file a new one so that the conversation starts afresh."
    elif result.get("stop_reason") == "refusal":
        next_action = "Rephrase the request in a new order, or choose another model."
    elif result.get("subtype") == "error_max_turns":
        next_action = "Retry to go on in the same session, or ask for less in one order."
    return AgentFailure(FailureClass.AGENT, f"The agent gave up: {said}", next_action)


def _no_result(exit_code: int | None, stderr: str) -> AgentFailure:
    lines = [line.strip() for line in stderr.splitlines() if line.strip()]
    how = f"was ended by signal {-exit_code}" if exit_code and exit_code < 0 else f"ended with exit code {exit_code}"
    return AgentFailure(
        FailureClass.AGENT,
        f"Claude Code {how} without a result{': ' + _short(lines[-1]) if lines else '.'}",
        "Read the agent's output; if it refuses the options, CLAUDE_CLI_PATH names a version that does not fit.",
    )


def _said(result: dict[str, Any], stderr: str) -> str:
    words = " ".join(_errors(result)) or result.get("result")
    if not isinstance(words, str) or not words.strip():
        words = stderr if result.get("is_error") is True else ""
    return _short(words)


def _errors(result: dict[str, Any]) -> list[str]:
    errors = result.get("errors")
    return [error for error in errors if isinstance(error, str)] if isinstance(errors, list) else []


def _is_offline(status: object, said: str) -> bool:
    return status is None and _OFFLINE.search(said) is not None


def _retry_at(reading: Reading, said: str, now: datetime) -> datetime | None:
    """The header `retry-after` never leaves the command line; what does are an event, an epoch, or words."""
    if reading.limit_resets_at is not None:
        return reading.limit_resets_at
    if epoch := _EPOCH.search(said):
        return moment(int(epoch.group(1)))
    return _resets_at(said, now)


def _resets_at(said: str, now: datetime) -> datetime | None:
    """From words such as `resets 5:24pm (UTC)` or `resets Nov 25, 3am (Europe/Berlin)`."""
    found = _RESETS.search(said)
    if found is None:
        return None
    day, hour, minute, half, zone = found.groups()
    try:
        local = now.astimezone(ZoneInfo(zone) if zone else UTC)
        at = local.replace(
            hour=int(hour) % 12 + (12 if half.lower() == "pm" else 0), minute=int(minute or 0), second=0, microsecond=0
        )
        if day:
            # In a leap year, so that February 29th can be read at all.
            date = datetime.strptime(f"2000 {day}", "%Y %b %d")  # noqa: DTZ007 - a day of the year, not a time
            at = at.replace(month=date.month, day=date.day)
    except (ValueError, ZoneInfoNotFoundError):
        return None
    if at <= now:
        at = at.replace(year=at.year + 1) if day else at + timedelta(days=1)
    return at.astimezone(UTC)


def _duration(limit: timedelta) -> str:
    seconds = limit.total_seconds()
    return f"{seconds:g} s" if seconds < 120 else f"{seconds / 60:g} min"


def _short(words: str) -> str:
    """On one line, and no longer than a person reads."""
    line = " ".join(words.split())
    return line if len(line) <= _MOST_WORDS else line[:_MOST_WORDS] + "…"
