"""Claude Code's `stream-json`, pure: lines in, events out, and what the lines add up to.
Unknown types and keys mean nothing here. Knows no process and no file."""

import json
from datetime import UTC, datetime
from typing import Any

from pydantic_core import from_json

from ..domain.events import AgentSpoke, AgentStarted, Payload, ToolReturned, ToolUsed

Json = dict[str, Any]

_PARTIAL = b'{"type":"stream_event"'
_REPLACEMENT = "\ufffd"
_DENIAL_LENGTH = 160


class Reading:
    """What a turn said so far. `result` is the last one; it counts only if no new round began after it."""

    def __init__(self, *, resumed: bool) -> None:
        self._resumed = resumed
        self.session_id: str | None = None
        self.result: Json | None = None
        self.last_text = ""
        self.answered = False
        self.api_error: str | None = None
        self.limit_resets_at: datetime | None = None
        self.open_tools: set[str] = set()
        self.denials: dict[str, str] = {}
        self.usage = Usage()

    def feed(self, line: bytes) -> list[Payload]:
        """The events of one line. What is no JSON object is something the command line said."""
        if line.startswith(_PARTIAL):
            # Pieces of what comes again as a whole: they show that the model still talks, and count for nothing else.
            return []
        entry = decoded(line)
        if not isinstance(entry, dict):
            text = clean(line.decode("utf-8", "replace")).strip()
            return [AgentSpoke(text=text)] if text else []
        match entry.get("type"):
            case "assistant":
                return self._assistant(entry)
            case "user":
                return self._tool_results(entry)
            case "result":
                return self._result(entry)
            case "system" if entry.get("subtype") == "init":
                return self._init(entry)
            case "rate_limit_event":
                self._rate_limit(_object(entry.get("rate_limit_info")))
        return []

    def _init(self, entry: Json) -> list[Payload]:
        """Said again at every round."""
        self.result = None
        first = self.session_id is None
        self.session_id = _text(entry.get("session_id")) or self.session_id
        if not first or self.session_id is None:
            return []
        return [
            AgentStarted(
                session_id=self.session_id,
                model=_text(entry.get("model")),
                version=_text(entry.get("claude_code_version")),
                resumed=self._resumed,
            )
        ]

    def _assistant(self, entry: Json) -> list[Payload]:
        if entry.get("error"):
            # The command line's own words about an error; the result says them again.
            self.api_error = _text(entry["error"])
            return []
        self.api_error = None
        events: list[Payload] = []
        for block in _blocks(_object(entry.get("message")).get("content")):
            kind = block.get("type")
            if kind == "text" and (text := _text(block.get("text"))).strip():
                self.last_text = text
                events.append(AgentSpoke(text=text))
            elif kind == "tool_use":
                use_id = _text(block.get("id"))
                self.open_tools.add(use_id)
                events.append(ToolUsed(tool_use_id=use_id, tool=_text(block.get("name")), input=block.get("input")))
        self.answered = self.answered or bool(events)
        return events

    def _tool_results(self, entry: Json) -> list[Payload]:
        events: list[Payload] = []
        for block in _blocks(_object(entry.get("message")).get("content")):
            if block.get("type") != "tool_result":
                continue
            use_id = _text(block.get("tool_use_id"))
            self.open_tools.discard(use_id)
            output = "\n".join(_spoken(part) for part in _blocks(block.get("content")))
            events.append(ToolReturned(tool_use_id=use_id, output=output, is_error=block.get("is_error") is True))
        return events

    def _result(self, entry: Json) -> list[Payload]:
        self.result = entry
        self.session_id = self.session_id or _text(entry.get("session_id")) or None
        self.open_tools.clear()
        for denial in _blocks(entry.get("permission_denials")):
            said = denied(denial)
            self.denials[_text(denial.get("tool_use_id")) or said] = said
        self.usage.count(entry)
        return []

    def _rate_limit(self, info: Json) -> None:
        resets_at = info.get("resetsAt")
        if info.get("status") == "rejected" and isinstance(resets_at, int | float):
            self.limit_resets_at = moment(resets_at)


class Usage:
    """Tokens and cost of one process, added up over its results. Input counts cached tokens too."""

    def __init__(self) -> None:
        self.input_tokens = 0
        self.output_tokens = 0
        self.cost_usd = 0.0

    def count(self, result: Json) -> None:
        """2.1.330 adds up over the session and names each result's share; 2.1.197 adds up over the process alone."""
        own = result.get("model_usage_since_last_result")
        if isinstance(own, dict):
            self._add(own)
            return
        self.input_tokens, self.output_tokens, self.cost_usd = 0, 0, 0.0
        self._add(_object(result.get("modelUsage")))
        self.cost_usd = max(self.cost_usd, _number(result.get("total_cost_usd")))

    def _add(self, models: Json) -> None:
        for model in map(_object, models.values()):
            self.input_tokens += int(
                _number(model.get("inputTokens"))
                + _number(model.get("cacheReadInputTokens"))
                + _number(model.get("cacheCreationInputTokens"))
            )
            self.output_tokens += int(_number(model.get("outputTokens")))
            self.cost_usd += _number(model.get("costUSD"))


def decoded(line: bytes) -> object:
    """The JSON of a line, with text that any store can hold; None for what is no JSON."""
    value: object
    try:
        value = from_json(line)
    except ValueError:  # also lone surrogates, bytes that are no UTF-8, and deep nesting
        try:
            return _cleaned(json.loads(line.decode("utf-8", "replace")))
        except (ValueError, RecursionError):
            return None
    return _cleaned(value) if b"\\u0000" in line else value


def clean(text: str) -> str:
    """Without NUL and lone surrogates, which neither UTF-8 nor a database takes."""
    whole = text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return whole.replace("\0", _REPLACEMENT)


def denied(denial: Json) -> str:
    """A refused tool call on one short line, such as `Bash(git push origin main)`."""
    inputs = _object(denial.get("tool_input"))
    said = next((inputs[key] for key in ("command", "file_path", "path", "pattern", "url") if inputs.get(key)), inputs)
    detail = " ".join(said.split()) if isinstance(said, str) else json.dumps(said, ensure_ascii=False)
    if len(detail) > _DENIAL_LENGTH:
        detail = detail[:_DENIAL_LENGTH] + "…"
    return f"{_text(denial.get('tool_name'))}({detail})"


def moment(epoch: float) -> datetime | None:
    """A time from seconds since 1970; None for what is no time."""
    try:
        return datetime.fromtimestamp(epoch, UTC)
    except (ValueError, OverflowError, OSError):
        return None


def _cleaned(value: object) -> object:
    if isinstance(value, str):
        return clean(value)
    if isinstance(value, list):
        return [_cleaned(item) for item in value]
    if isinstance(value, dict):
        return {clean(key): _cleaned(item) for key, item in value.items()}
    return value


def _blocks(content: object) -> list[Json]:
    if isinstance(content, str):
        return [{"type": "text", "text": content}]
    return [block for block in content if isinstance(block, dict)] if isinstance(content, list) else []


def _spoken(block: Json) -> str:
    return _text(block.get("text")) if block.get("type") == "text" else f"[{_text(block.get('type'))}]"


def _object(value: object) -> Json:
    return value if isinstance(value, dict) else {}


def _text(value: object) -> str:
    return value if isinstance(value, str) else ""


def _number(value: object) -> float:
    return float(value) if isinstance(value, int | float) else 0.0
