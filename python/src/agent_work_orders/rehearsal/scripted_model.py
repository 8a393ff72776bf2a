"""A model server that says what a scenario wants, over the Messages API and to any client.
Knows no work order and no git."""

import json
import secrets
import threading
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from starlette.types import Receive, Scope, Send

from .gates import Gates
from .messages_api import Conversation, Json, error_body, estimated_tokens, read_conversation, reply
from .model_line import ModelLine
from .scenario import ApiError, Fault, Scenario, Turn, Words

MODELS = ("claude-opus-5-5", "claude-sonnet-5-5", "claude-haiku-5-5")
HIDDEN_HEADERS = frozenset({"x-api-key", "authorization", "cookie"})


@dataclass(frozen=True)
class ModelRequest:
    """What a client asked and how it was answered. Keys are hidden; `body` is kept only where the model was told to."""

    number: int
    session: str
    model: str
    prompt: str
    step: int
    attempt: int
    streamed: bool
    headers: Mapping[str, str]
    script: str
    status: int
    fault: str
    body: Mapping[str, Any] | None


class ScriptedModel:
    """An ASGI application for `/v1/messages`, `/v1/messages/count_tokens`, `/v1/models` and a health check at `/`.

    A reply depends on the conversation in the request alone: a repeated request gets the same turn, a resumed session
    goes on where it was, any number of clients can share one model. Only failures with `times` are counted.
    """

    def __init__(
        self,
        scenario: Scenario | Mapping[str, Any] | Path | None = None,
        *,
        api_key: str | None = None,
        keep_bodies: bool = False,
    ) -> None:
        self.scenario = Scenario.default() if scenario is None else Scenario.read(scenario)
        self.api_key = api_key
        self.keep_bodies = keep_bodies
        self._gates = Gates()
        self._changed = threading.Condition()
        self._requests: deque[ModelRequest] = deque(maxlen=2000)
        self._count = 0
        self._attempts: dict[str, int] = {}

    # What a test or a demo does, from any thread.

    def play(self, scenario: Scenario | Mapping[str, Any] | Path) -> None:
        """Another scenario from the next request on."""
        self.scenario = Scenario.read(scenario)

    def release(self, gate: str) -> None:
        """Lets every turn with this `gate` go on, now and later."""
        self._gates.release(gate)

    def wait_for_gate(self, gate: str, *, count: int = 1, seconds: float = 30) -> None:
        """Blocks the calling thread until `count` requests have come to `gate`. Raises `TimeoutError`."""
        self._gates.wait_for_arrival(gate, count=count, seconds=seconds)

    def wait_for_requests(self, count: int, *, seconds: float = 30) -> None:
        """Blocks the calling thread until `count` requests for a message have come. Raises `TimeoutError`."""
        with self._changed:
            if not self._changed.wait_for(lambda: self._count >= count, seconds):
                raise TimeoutError(f"{self._count} of {count} requests came")

    @property
    def requests(self) -> tuple[ModelRequest, ...]:
        """The latest requests for a message, oldest first."""
        with self._changed:
            return tuple(self._requests)

    def close(self) -> None:
        """Lets every waiting answer end, so that the server can."""
        self._gates.release_all()

    # What a client sees.

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        request = Request(scope, receive)
        try:
            body = await self._read(request)
        except ClientDisconnect:
            return
        if isinstance(body, Response):
            await body(scope, receive, send)
        else:
            await self._message(request, send, body)

    async def _read(self, request: Request) -> Json | Response:
        """The body of a request for a message; for any other request, its answer."""
        path = request.scope["path"]
        if path in ("", "/", "/health") and request.method in ("GET", "HEAD"):
            return JSONResponse({"status": "ok", "rehearsal": True})
        if not self._key_is_right(request):
            return _refused(401, "invalid x-api-key")
        if path == "/v1/models" and request.method == "GET":
            return JSONResponse({"data": [{"type": "model", "id": name} for name in MODELS], "has_more": False})
        if request.method != "POST" or path not in ("/v1/messages", "/v1/messages/count_tokens"):
            return _refused(404, f"The scripted model has no {request.method} {path}.")
        try:
            body = json.loads(await request.body())
            read_conversation(body)
        except (ValueError, AttributeError) as problem:
            return _refused(400, f"The request cannot be read: {problem}")
        if path.endswith("/count_tokens"):
            return JSONResponse({"input_tokens": estimated_tokens([body.get("system"), body["messages"]])})
        return dict(body)

    def _key_is_right(self, request: Request) -> bool:
        if self.api_key is None:
            return True
        offered = request.headers.get("x-api-key") or request.headers.get("authorization", "").removeprefix("Bearer ")
        return secrets.compare_digest(offered.encode(), self.api_key.encode())

    async def _message(self, request: Request, send: Send, body: Json) -> None:
        conversation = read_conversation(body, session=request.headers.get("x-claude-code-session-id", ""))
        script, turn, words = self._choose(conversation)
        attempt = self._count_attempt(conversation, turn)
        failure = turn.failure(attempt=attempt, streamed=conversation.streamed)
        self._record(request, conversation, body, script=script, attempt=attempt, failure=failure)
        async with ModelLine(request, send).while_the_client_listens() as line:
            await line.pause(turn.delay_seconds)
            if turn.gate is not None:
                await self._gates.passed(turn.gate)
            if isinstance(failure, ApiError):
                await line.fail(failure)
                return
            message = reply(
                turn, words, model=conversation.asked.model, prompt_tokens=estimated_tokens(body["messages"])
            )
            if failure is not None:
                await line.break_off(message, failure, until=self._gates.closing)
            elif conversation.streamed:
                await line.stream(message)
            else:
                await line.say(message)

    def _choose(self, conversation: Conversation) -> tuple[str, Turn, Words]:
        """Which script answers and with which turn; without one the turn is a refusal that names the prompt."""
        asked = conversation.asked
        words = Words(asked.prompt, asked.cwd, conversation.last_tool_result)
        found = self.scenario.choose(asked)
        if found is None and not conversation.offers_tools:
            return "side reply", Turn(text=self.scenario.side_reply), words
        if found is None:
            return "", _refusal(f"No script answers this prompt: {asked.prompt[:300]!r}"), words
        script, match = found
        turn = script.turn(conversation.step)
        if turn is None:
            said = f"The script {script.name!r} has no turn {conversation.step + 1} and no word on what comes after."
            return script.name, _refusal(said), words
        return script.name, turn, replace(words, match=match)

    def _count_attempt(self, conversation: Conversation, turn: Turn) -> int:
        """How often this very question was asked; counted only where a failure depends on it."""
        if turn.times is None:
            return 1
        with self._changed:
            self._attempts[conversation.place] = attempt = self._attempts.get(conversation.place, 0) + 1
        return attempt

    def _record(
        self,
        request: Request,
        conversation: Conversation,
        body: Json,
        *,
        script: str,
        attempt: int,
        failure: ApiError | Fault | None,
    ) -> None:
        shown = {name: "(hidden)" if name in HIDDEN_HEADERS else text for name, text in request.headers.items()}
        with self._changed:
            self._count += 1
            self._requests.append(
                ModelRequest(
                    number=self._count,
                    session=conversation.session,
                    model=conversation.asked.model,
                    prompt=conversation.asked.prompt,
                    step=conversation.step,
                    attempt=attempt,
                    streamed=conversation.streamed,
                    headers=shown,
                    script=script,
                    status=failure.status if isinstance(failure, ApiError) else 200,
                    fault=failure.kind if isinstance(failure, Fault) else "",
                    body=body if self.keep_bodies else None,
                )
            )
            self._changed.notify_all()


def _refusal(message: str) -> Turn:
    return Turn(error=ApiError(status=400, message=message))


def _refused(status: int, message: str) -> Response:
    return JSONResponse(error_body(ApiError(status=status, message=message)), status_code=status)
