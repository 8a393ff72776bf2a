"""What the scripted model says, as data: scripts, turns, failures. Knows no wire format and no server."""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, JsonValue, field_validator, model_validator

PLACEHOLDER = re.compile(r"\{\{(\w+(?:\.\w+)?)\}\}")


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Block(_Part):
    """One content block: exactly one of `text`, `thinking`, `tool`. `repeat` says it N times, with {{index}} from 1."""

    text: str | None = None
    thinking: str | None = None
    tool: str | None = None
    input: dict[str, JsonValue] = Field(default_factory=dict)
    repeat: int = Field(default=1, ge=1)

    @model_validator(mode="after")
    def _says_one_thing(self) -> Self:
        if sum(part is not None for part in (self.text, self.thinking, self.tool)) != 1:
            raise ValueError("a block has exactly one of text, thinking and tool")
        return self


class Usage(_Part):
    """Token counts of a reply; None is estimated from the length."""

    input_tokens: int | None = None
    output_tokens: int | None = None
    cache_creation_input_tokens: int = 0
    cache_read_input_tokens: int = 0


class ApiError(_Part):
    """An error status with the Messages API's body. `type` and `message` have the API's usual values by default."""

    status: int = Field(ge=400, le=599)
    type: str | None = None
    message: str | None = None
    headers: dict[str, str] = Field(default_factory=dict)


class Fault(_Part):
    """A broken line. `after_events` counts the stream events sent before it.

    A `hang` or `disconnect` after 0 events comes before the first byte. The others happen inside a stream (after 3
    events unless told); an `empty` stream has no event at all. Faults in a stream touch streamed requests alone.
    """

    kind: Literal["hang", "disconnect", "truncate", "malformed", "error_event", "empty"]
    after_events: int = Field(default=0, ge=0)

    @property
    def before_the_first_byte(self) -> bool:
        return self.kind in ("hang", "disconnect") and self.after_events == 0


class Turn(_Part):
    """One answer. `thinking`, `text` and `tool` are short for `content`, in this order.

    With `error` or `fault` the first `times` attempts fail (all of them without `times`), later ones are answered.
    """

    thinking: str | None = None
    text: str | None = None
    tool: str | None = None
    input: dict[str, JsonValue] = Field(default_factory=dict)
    content: tuple[Block, ...] = ()
    usage: Usage = Usage()
    stop_reason: str | None = None
    delay_seconds: float = Field(default=0, ge=0)
    gate: str | None = None
    error: ApiError | None = None
    fault: Fault | None = None
    times: int | None = Field(default=None, ge=1)

    @field_validator("error", mode="before")
    @classmethod
    def _status_alone(cls, value: object) -> object:
        return {"status": value} if isinstance(value, int) else value

    @field_validator("fault", mode="before")
    @classmethod
    def _kind_alone(cls, value: object) -> object:
        return {"kind": value} if isinstance(value, str) else value

    @model_validator(mode="after")
    def _says_something(self) -> Self:
        if self.input and self.tool is None:
            raise ValueError("input needs a tool")
        if not self.blocks() and self.error is None and self.fault is None:
            raise ValueError("a turn says something or fails")
        return self

    def blocks(self) -> tuple[Block, ...]:
        """The answer's content in the order it is said."""
        short = []
        if self.thinking is not None:
            short.append(Block(thinking=self.thinking))
        if self.text is not None:
            short.append(Block(text=self.text))
        if self.tool is not None:
            short.append(Block(tool=self.tool, input=self.input))
        return (*short, *self.content)

    def failure(self, *, attempt: int, streamed: bool) -> ApiError | Fault | None:
        """How this attempt (counted from 1) fails, if it does. What breaks in a stream spares an unstreamed request."""
        if self.times is not None and attempt > self.times:
            return None
        if self.fault is not None and (streamed or self.fault.before_the_first_byte):
            return self.fault
        return self.error


class Script(_Part):
    """Answers to one prompt. The conditions are regular expressions, searched without regard to case or lines.

    `match` is searched in the latest prompt, `conversation` in all that the person said so far.
    """

    name: str = ""
    comment: str = ""
    match: str = ""
    conversation: str = ""
    cwd: str = ""
    model: str = ""
    turns: tuple[Turn, ...] = Field(min_length=1)
    after: Literal["error", "repeat", "stop"] = "error"

    @field_validator("match", "conversation", "cwd", "model")
    @classmethod
    def _compiles(cls, value: str) -> str:
        try:
            re.compile(value)
        except re.error as problem:
            raise ValueError(f"not a regular expression: {problem}") from problem
        return value

    def matched(self, asked: "Asked") -> re.Match[str] | None:
        """The match in the prompt, if this script answers it."""
        elsewhere = ((self.conversation, asked.said), (self.cwd, asked.cwd), (self.model, asked.model))
        if not all(_search(expression, text) for expression, text in elsewhere):
            return None
        return _search(self.match, asked.prompt)

    def turn(self, step: int) -> Turn | None:
        """The answer after `step` answers; None where the script has nothing to say any more."""
        if step < len(self.turns):
            return self.turns[step]
        if self.after == "repeat":
            return self.turns[-1]
        return Turn(text="Done.") if self.after == "stop" else None


class Scenario(_Part):
    """Scripts, tried in order. `side_reply` answers what offers no tools and matches nothing (titles and the like)."""

    name: str = ""
    comment: str = ""
    scripts: tuple[Script, ...] = Field(min_length=1)
    side_reply: str = "A work order"

    @classmethod
    def read(cls, source: "Scenario | Mapping[str, Any] | Path") -> "Scenario":
        """From a JSON file, from its decoded content, or as it is. Raises `ValueError` that names what is wrong."""
        if isinstance(source, Scenario):
            return source
        if isinstance(source, Path):
            source = json.loads(source.read_text(encoding="utf-8"))
        return cls.model_validate(source)

    @classmethod
    def default(cls) -> "Scenario":
        """The story of the sample work order, with an answer for any other request."""
        return cls.read(Path(__file__).with_name("scenario.json"))

    def choose(self, asked: "Asked") -> tuple[Script, re.Match[str]] | None:
        """The first script that answers this prompt."""
        for script in self.scripts:
            match = script.matched(asked)
            if match is not None:
                return script, match
        return None


@dataclass(frozen=True)
class Asked:
    """What a request says that a script can depend on. `said` is all that the person said, the latest words last."""

    prompt: str
    said: str
    cwd: str
    model: str


@dataclass(frozen=True)
class Words:
    """What placeholders stand for in one request."""

    prompt: str
    cwd: str
    last_tool_result: str
    match: re.Match[str] | None = None

    def fill(self, value: JsonValue, *, index: int = 1) -> JsonValue:
        """`value` with the placeholders in its strings filled once; what is filled in is never read again."""
        if isinstance(value, str):
            return PLACEHOLDER.sub(lambda found: self._word(found, index), value)
        if isinstance(value, list):
            return [self.fill(item, index=index) for item in value]
        if isinstance(value, dict):
            return {key: self.fill(item, index=index) for key, item in value.items()}
        return value

    def _word(self, found: re.Match[str], index: int) -> str:
        name = found.group(1)
        if name.startswith("group."):
            return self._group(name.removeprefix("group."))
        known = {"prompt": self.prompt, "cwd": self.cwd, "last_tool_result": self.last_tool_result, "index": str(index)}
        return known.get(name, found.group(0))

    def _group(self, name: str) -> str:
        if self.match is None:
            return ""
        try:
            return self.match.group(int(name) if name.isdigit() else name) or ""
        except IndexError:
            return ""


def _search(expression: str, text: str) -> re.Match[str] | None:
    return re.search(expression, text, re.IGNORECASE | re.DOTALL)
