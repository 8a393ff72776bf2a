"""Settings and secrets over HTTP: read, changed as a whole, tested. Secrets go in and never come out."""

import json
import re
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Body, Header, Path, Query, Request, Response
from fastapi.responses import JSONResponse
from pydantic import BaseModel, ConfigDict, Field, JsonValue

from ..domain.errors import FieldProblem, InvalidInput, SettingsChanged
from ..domain.setting import AuditEntry, Offer, SecretView, SettingsPage, Subject, TestResult
from ..ports import SettingsDesk
from .deps import ApiContext, Context
from .errors import Refused, error_responses, response_to
from .route import both

router = APIRouter()

MAX_CHANGES = 100
_NAME = re.compile(r"[\w .@+-]{1,80}", re.ASCII)
SecretName = Annotated[
    Literal["github_token", "anthropic_api_key", "claude_code_oauth_token"], Path(description="Which secret.")
]
RepositoryUrl = Annotated[
    str | None,
    Query(max_length=500, description="Only for this repository, where it comes before the one for all (GitHub)."),
]
User = Annotated[
    str | None,
    Header(alias="X-Archon-User", max_length=80, description="Who is at the screen, for the audit; taken on trust."),
]


class SecretValue(BaseModel):
    """A secret to save."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [{"value": "github_pat_…"}]})

    value: str = Field(max_length=4096, repr=False, description="The secret itself; it is never shown again.")


class AuditPage(BaseModel):
    """Changes of settings and secrets."""

    entries: list[AuditEntry] = Field(description="Newest first. Secrets appear by name alone.")
    next_before: int | None = Field(description="Give it as `before` for the next page; null on the last one.")


@both(
    router,
    "GET",
    "/settings",
    response_model=SettingsPage,
    summary="Read all settings",
    responses=error_responses(),
)
async def read_settings(context: Context, response: Response) -> SettingsPage:
    """Every setting with its value and where that comes from; of secrets only that they are set, and who set them."""
    page = await _desk(context).read()
    response.headers["ETag"] = f'"{page.version}"'
    return page


@both(
    router,
    "PATCH",
    "/settings",
    response_model=SettingsPage,
    summary="Change settings",
    responses={
        **error_responses(400, 409, 413, 415, 422),
        428: {**error_responses(409)[409], "description": "The header If-Match is missing."},
    },
)
async def change_settings(
    context: Context,
    request: Request,
    response: Response,
    changes: Annotated[
        dict[str, JsonValue],
        Body(
            description="New values by setting; null puts one back to what the other sources say.",
            examples=[{"max_concurrent": 8, "max_cost_usd": None}],
        ),
    ],
    if_match: Annotated[
        str | None,
        Header(max_length=100, description="The version that was read, or `*` to overwrite whatever is there."),
    ] = None,
    user: User = None,
) -> Any:
    """All or nothing, and only if nobody changed anything since; a 409 carries the newer values as `current`."""
    if not if_match:
        raise Refused(
            428,
            "version_missing",
            "The request does not say which version of the settings it changes.",
            "Read the settings and send their version in the header If-Match.",
        )
    if len(changes) > MAX_CHANGES:
        raise InvalidInput([FieldProblem("body", f"must not change more than {MAX_CHANGES} settings")])
    desk = _desk(context)
    version = if_match.strip().removeprefix("W/").strip('"')
    try:
        page = await desk.change(changes, version, who(context, request, user))
    except SettingsChanged as error:
        newer = await desk.read()
        told: dict[str, Any] = {**_body_of(response_to(error)), "current": newer.model_dump(mode="json")}
        return JSONResponse(told, status_code=409, headers={"ETag": f'"{newer.version}"'})
    response.headers["ETag"] = f'"{page.version}"'
    return page


@both(
    router,
    "GET",
    "/settings/audit",
    response_model=AuditPage,
    summary="Read who changed what",
    responses=error_responses(422),
)
async def read_audit(
    context: Context,
    limit: Annotated[int, Query(ge=1, le=200, description="Most entries of a page.")] = 50,
    before: Annotated[int | None, Query(ge=1, description="`next_before` of the page before.")] = None,
) -> AuditPage:
    """Newest first. Old and new values of plain settings; never a secret's."""
    entries = await _desk(context).audit(limit + 1, before)
    more = len(entries) > limit
    entries = entries[:limit]
    return AuditPage(entries=entries, next_before=entries[-1].entry_id if more else None)


@both(
    router,
    "PUT",
    "/settings/secrets/{name}",
    response_model=SecretView,
    summary="Save a secret",
    responses=error_responses(400, 409, 413, 415, 422),
)
async def save_secret(
    context: Context,
    request: Request,
    name: SecretName,
    body: SecretValue,
    repository_url: RepositoryUrl = None,
    user: User = None,
) -> SecretView:
    """Encrypted before it is stored; used from the next call on. 409 where the environment sets it."""
    return await _desk(context).save_secret(name, body.value, who(context, request, user), repository_url)


@both(
    router,
    "DELETE",
    "/settings/secrets/{name}",
    response_model=SecretView,
    summary="Remove a secret",
    responses=error_responses(409, 415, 422),
)
async def remove_secret(
    context: Context,
    request: Request,
    name: SecretName,
    repository_url: RepositoryUrl = None,
    user: User = None,
) -> SecretView:
    """No error if there is none. 409 where the environment sets it."""
    return await _desk(context).remove_secret(name, who(context, request, user), repository_url)


@both(
    router,
    "POST",
    "/settings/test/{subject}",
    response_model=TestResult,
    summary="Test GitHub, Claude, the database or the storage",
    responses=error_responses(400, 413, 415, 422),
)
async def run_test(
    context: Context,
    subject: Annotated[Subject, Path(description="What to test.")],
    body: Offer | None = None,
) -> TestResult:
    """Does the real thing, with what is saved or with what is offered, and keeps the result."""
    return await _desk(context).test(subject, body or Offer())


def _desk(context: ApiContext) -> SettingsDesk:
    if context.desk is None:
        raise Refused(503, "no_settings", "This server keeps no settings.", "Set environment variables instead.")
    return context.desk


def who(context: ApiContext, request: Request, user: str | None) -> str:
    """As far as it can be known: what the page says, and how the caller was let in."""
    way = "bearer token" if context.guard_policy().token is not None else "no token"
    address = request.client.host if request.client else "unknown address"
    named = user.strip() if user and _NAME.fullmatch(user.strip()) else "somebody"
    return f"{named} ({way}, {address})"


def _body_of(answer: JSONResponse) -> dict[str, Any]:
    body: dict[str, Any] = json.loads(bytes(answer.body))
    return body
