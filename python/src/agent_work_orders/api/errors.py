"""The one shape of every error, and which status each failure has. Knows no route."""

import errno
import logging
import re
from collections.abc import Iterable, Mapping
from typing import Any

from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import BaseModel, Field
from starlette.exceptions import HTTPException

from ..domain.conversation import AlreadyAnswered
from ..domain.errors import (
    FieldProblem,
    IdempotencyConflict,
    InvalidInput,
    LostLease,
    MustWait,
    NotFound,
    SettingsChanged,
    StepFailed,
    StoreUnavailable,
    WorkOrderError,
    WrongState,
)

log = logging.getLogger(__name__)

MAX_FIELDS = 50
RETRY_AFTER = {"Retry-After": "5"}
STATUSES: dict[type, int] = {
    NotFound: 404,
    WrongState: 409,
    AlreadyAnswered: 409,
    IdempotencyConflict: 409,
    LostLease: 409,
    SettingsChanged: 409,
    InvalidInput: 422,
    StepFailed: 503,
    MustWait: 503,
    StoreUnavailable: 503,
}


class NamedProblem(BaseModel):
    """One field of a request and what is wrong with it."""

    field: str = Field(description="Path of the field, dotted, relative to the body; or the parameter's name.")
    problem: str = Field(description="What is wrong with it; reads as a sentence after the field's name.")


class ErrorDetail(BaseModel):
    """What went wrong and what to do next."""

    error: str = Field(description="What is the case, in one sentence.")
    code: str = Field(description="The same for the same kind of error, now and later; for programs.")
    next_action: str = Field(description="What a person can do next, in one sentence.")
    fields: list[NamedProblem] = Field(description="Every field that is wrong; empty unless the request is invalid.")


class ErrorBody(BaseModel):
    """The body of every error."""

    detail: ErrorDetail = Field(description="What went wrong and what to do next.")


class Refused(Exception):
    """A request turned away before anything was done."""

    def __init__(
        self, status: int, code: str, message: str, next_action: str, *, headers: Mapping[str, str] | None = None
    ) -> None:
        super().__init__(message)
        self.status, self.code, self.message, self.next_action = status, code, message, next_action
        self.headers = dict(headers or {})


DESCRIPTIONS = {
    400: "The request cannot be read.",
    401: "The bearer token is missing or wrong.",
    403: "Refused by the guard: the Host, the Origin, or a server that needs a token and has none.",
    404: "There is no such thing.",
    409: "The state of the work order, or an earlier request, stands against it.",
    413: "The body is over 1 MiB.",
    415: "The body's content type is not application/json.",
    416: "The range lies outside the file.",
    422: "The request is invalid; `fields` names every field that is wrong.",
    503: "Agent Work Orders is off, or its store or disk is unavailable for now; `Retry-After` says when to try again.",
}


def error_responses(*statuses: int, beside_json: bool = True) -> dict[int | str, dict[str, Any]]:
    """OpenAPI's `responses` for these statuses, those that every route can give, and the shape of any other.

    `beside_json` is False for a route whose success is no JSON: FastAPI gives a model the media type of the success.
    """
    by_name = {"application/json": {"schema": {"$ref": f"#/components/schemas/{ErrorBody.__name__}"}}}
    shape: dict[str, Any] = {"model": ErrorBody} if beside_json else {"content": by_name}
    listed: dict[int | str, dict[str, Any]] = {
        status: {"description": DESCRIPTIONS[status], **shape} for status in sorted({401, 403, 503, *statuses})
    }
    return {**listed, "default": {"description": "Any other error; a bug of the server is a 500.", **shape}}


def response_to(error: Exception, more: Iterable[FieldProblem] = ()) -> JSONResponse:
    """The response to a failure; `more` are problems of an invalid request that only this route can see."""
    if isinstance(error, Refused):
        return _response(error.status, error.code, error.message, error.next_action, headers=error.headers)
    if isinstance(error, RequestValidationError):
        return _response_to_invalid(error, more)
    status = _status_of(error)
    if isinstance(error, WorkOrderError) and status is not None:
        fields = error.fields if isinstance(error, InvalidInput) else ()
        headers = RETRY_AFTER if status == 503 else None
        return _response(status, error.code, error.message, error.next_action, fields, headers=headers)
    if isinstance(error, HTTPException):
        if error.status_code == 400:
            return _unreadable()
        return _response(
            error.status_code, "http_error", str(error.detail), "Read the interface's description at /docs."
        )
    if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
        log.error("the disk is full", exc_info=error)
        return _response(503, "disk_full", "The disk is full.", "Free some space and try again.", headers=RETRY_AFTER)
    log.error("a request ended in an error nobody expected", exc_info=error)
    return _response(
        500, "internal", "The server made a mistake; its log has the details.", "Try again; if it lasts, report it."
    )


def _response_to_invalid(error: RequestValidationError, more: Iterable[FieldProblem]) -> JSONResponse:
    problems: list[FieldProblem] = []
    for found in error.errors():
        if found["type"] == "json_invalid":
            return _unreadable()
        problems.append(FieldProblem(_field_name(found["loc"]), _problem_text(found)))
    known = {problem.field for problem in problems}
    problems += [problem for problem in more if problem.field not in known]
    invalid = InvalidInput(problems[:MAX_FIELDS])
    return _response(422, invalid.code, "The request is not valid.", invalid.next_action, invalid.fields)


def _unreadable() -> JSONResponse:
    return _response(400, "unreadable", "The body is not readable JSON.", "Send one JSON object, encoded as UTF-8.")


def _status_of(error: Exception) -> int | None:
    return next((STATUSES[kind] for kind in type(error).__mro__ if kind in STATUSES), None)


def _field_name(location: Iterable[str | int]) -> str:
    source, *path = location
    if not path:
        return str(source)
    # Headers arrive in lower case.
    return "Idempotency-Key" if path == ["idempotency-key"] else ".".join(str(part) for part in path)


def _problem_text(found: Mapping[str, Any]) -> str:
    if found["type"] == "missing":
        return "is required"
    if found["type"] == "extra_forbidden":
        return "is not a known field"
    if found["type"] in ("model_attributes_type", "model_type"):
        return "must be a JSON object"
    text = str(found["msg"]).removeprefix("Value error, ")
    if text.startswith("Input should be "):
        return "must be " + text.removeprefix("Input should be ")
    return text[:1].lower() + text[1:]


def _response(
    status: int,
    code: str,
    error: str,
    next_action: str,
    fields: Iterable[FieldProblem] = (),
    *,
    headers: Mapping[str, str] | None = None,
) -> JSONResponse:
    listed = [{"field": _shown(one.field)[:200], "problem": _shown(one.problem)[:500]} for one in fields]
    detail = {"error": _shown(error), "code": code, "next_action": _shown(next_action), "fields": listed}
    return JSONResponse({"detail": detail}, status_code=status, headers=dict(headers or {}))


def _shown(text: str) -> str:
    """The text without what no JSON client can carry: field names come from the caller."""
    return re.sub(r"[\x00-\x1f\x7f]", "?", text).encode("utf-8", "replace").decode()
