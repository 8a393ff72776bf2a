"""The Messages API's shapes, pure: reads a conversation out of a request, writes a reply and its stream events.
Knows no scenario file and no server."""

import hashlib
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

from pydantic import JsonValue

from .scenario import ApiError, Asked, Block, Turn, Words

REMINDER = re.compile(r"<system-reminder>.*?</system-reminder>", re.DOTALL)
WORKING_DIRECTORY = re.compile(r"working directory:\s*([^\n<]+)", re.IGNORECASE)
ERROR_TYPES = {
    400: "invalid_request_error",
    401: "authentication_error",
    403: "permission_error",
    404: "not_found_error",
    413: "request_too_large",
    429: "rate_limit_error",
    500: "api_error",
    529: "overloaded_error",
}

Json = dict[str, Any]


@dataclass(frozen=True)
class Conversation:
    """One request, read. `step` counts the answers since the prompt: a retry and a resumed run find their place."""

    session: str
    asked: Asked
    step: int
    last_tool_result: str
    streamed: bool
    offers_tools: bool
    length: int

    @property
    def place(self) -> str:
        """The same for a request and its repetition, another for everything else."""
        return hashlib.sha256(f"{self.session}\0{self.length}\0{self.step}\0{self.asked.prompt}".encode()).hexdigest()


def read_conversation(body: Mapping[str, Any], *, session: str = "") -> Conversation:
    """Raises `ValueError` for what is no Messages API request."""
    messages = body.get("messages")
    if not isinstance(messages, list) or not messages or not all(isinstance(message, dict) for message in messages):
        raise ValueError("messages: a list with at least one message is required")
    said = _said_by_the_person(messages)
    return Conversation(
        session=session,
        asked=Asked(
            prompt=said[-1][1] if said else "",
            said="\n".join(text for _, text in said),
            cwd=_working_directory(body, messages),
            model=str(body.get("model", "")),
        ),
        step=_answers(messages[said[-1][0] :] if said else messages),
        last_tool_result=_last_tool_result(messages),
        streamed=body.get("stream") is True,
        offers_tools=bool(body.get("tools")),
        length=len(messages),
    )


def estimated_tokens(value: object) -> int:
    """A plausible count: four characters a token."""
    return max(1, len(json.dumps(value, ensure_ascii=False, default=str)) // 4)


def reply(turn: Turn, words: Words, *, model: str, prompt_tokens: int) -> Json:
    """The whole answer as an unstreamed request gets it."""
    content = [_block(block, words, index) for block in turn.blocks() for index in range(1, block.repeat + 1)]
    calls_a_tool = any(block["type"] == "tool_use" for block in content)
    usage = turn.usage.model_dump()
    if usage["input_tokens"] is None:
        usage["input_tokens"] = prompt_tokens
    if usage["output_tokens"] is None:
        usage["output_tokens"] = estimated_tokens(content)
    return {
        "id": f"msg_{uuid4().hex[:24]}",
        "type": "message",
        "role": "assistant",
        "model": model,
        "content": content,
        "stop_reason": turn.stop_reason or ("tool_use" if calls_a_tool else "end_turn"),
        "stop_sequence": None,
        "usage": usage,
    }


def stream_events(message: Json) -> Iterator[Json]:
    """The same answer as the events of a stream."""
    opening = message["usage"] | {"output_tokens": 1}
    yield {"type": "message_start", "message": message | {"content": [], "stop_reason": None, "usage": opening}}
    for index, block in enumerate(message["content"]):
        yield {"type": "content_block_start", "index": index, "content_block": _opened(block)}
        for delta in _deltas(block):
            yield {"type": "content_block_delta", "index": index, "delta": delta}
        yield {"type": "content_block_stop", "index": index}
    ending = {"stop_reason": message["stop_reason"], "stop_sequence": None}
    yield {"type": "message_delta", "delta": ending, "usage": {"output_tokens": message["usage"]["output_tokens"]}}
    yield {"type": "message_stop"}


def error_body(error: ApiError) -> Json:
    """The body of an error status, and the data of an `error` event."""
    kind = error.type or ERROR_TYPES.get(error.status, "api_error")
    return {"type": "error", "error": {"type": kind, "message": error.message or f"The script says {error.status}."}}


def frame(event: Json) -> bytes:
    """One event as server-sent text."""
    return f"event: {event['type']}\ndata: {json.dumps(event)}\n\n".encode()


def _said_by_the_person(messages: Sequence[Json]) -> list[tuple[int, str]]:
    """The person's words with the index of their message; a tool's result and a reminder are no words of a person."""
    said = []
    for index, message in enumerate(messages):
        if message.get("role") == "user":
            texts = [REMINDER.sub("", text).strip() for text in _texts(message.get("content"))]
            words = "\n".join(text for text in texts if text)
            if words:
                said.append((index, words))
    return said


def _answers(messages: Sequence[Json]) -> int:
    """Runs of assistant messages, since a client may send one answer back in several pieces."""
    roles = [message.get("role") for message in messages]
    return sum(role == "assistant" and (i == 0 or roles[i - 1] != "assistant") for i, role in enumerate(roles))


def _working_directory(body: Mapping[str, Any], messages: Sequence[Json]) -> str:
    for content in (body.get("system"), *(message.get("content") for message in messages)):
        for text in _texts(content):
            found = WORKING_DIRECTORY.search(text)
            if found:
                return found.group(1).strip()
    return ""


def _last_tool_result(messages: Sequence[Json]) -> str:
    for message in reversed(messages):
        content = message.get("content")
        for block in reversed(content if isinstance(content, list) else []):
            if isinstance(block, dict) and block.get("type") == "tool_result":
                return "\n".join(_texts(block.get("content")))
    return ""


def _texts(content: object) -> list[str]:
    if isinstance(content, str):
        return [content]
    blocks = content if isinstance(content, list) else []
    return [str(block.get("text", "")) for block in blocks if isinstance(block, dict) and block.get("type") == "text"]


def _block(block: Block, words: Words, index: int) -> Json:
    if block.tool is not None:
        filled = words.fill(dict(block.input), index=index)
        return {"type": "tool_use", "id": f"toolu_{uuid4().hex[:24]}", "name": block.tool, "input": filled}
    if block.thinking is not None:
        return {"type": "thinking", "thinking": _said(words, block.thinking, index), "signature": "rehearsal"}
    return {"type": "text", "text": _said(words, block.text or "", index)}


def _said(words: Words, text: JsonValue, index: int) -> str:
    return str(words.fill(text, index=index))


def _opened(block: Json) -> Json:
    empty: dict[str, Json] = {
        "text": {"text": ""},
        "thinking": {"thinking": "", "signature": ""},
        "tool_use": {"input": {}},
    }
    return block | empty[block["type"]]


def _deltas(block: Json) -> Iterator[Json]:
    if block["type"] == "tool_use":
        yield {"type": "input_json_delta", "partial_json": json.dumps(block["input"])}
    elif block["type"] == "thinking":
        yield {"type": "thinking_delta", "thinking": block["thinking"]}
        yield {"type": "signature_delta", "signature": block["signature"]}
    else:
        yield {"type": "text_delta", "text": block["text"]}
