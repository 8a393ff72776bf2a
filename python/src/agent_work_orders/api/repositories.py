"""Configured repositories over HTTP: read, configured, changed against what was read, verified, forgotten."""

import re
from datetime import datetime
from typing import Annotated

from fastapi import APIRouter, Depends, Header, Path, Query, Request, Response
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, JsonValue

from ..domain.errors import FailureClass, FieldProblem, InvalidInput, NotFound, StepFailed, WorkOrderError
from ..domain.registry import RegistryEntry
from ..domain.repository import RepositoryOptions, named_repository
from ..domain.setting import Finding
from ..domain.work_order import clean_text
from ..ports import MirrorView, Registry
from .deps import ApiContext, Context
from .errors import Refused, error_responses
from .route import both
from .settings import User, who

router = APIRouter()

_ID = re.compile(r"[A-Za-z0-9.:\[\]-]{1,300}~[A-Za-z0-9._-]{1,100}~[A-Za-z0-9._-]{1,101}\Z")
_EXAMPLE_OPTIONS: dict[str, JsonValue] = {
    "workflow_type": "quick_fix",
    "verify_command": "make test",
    "max_concurrent": 2,
}
DisplayName = Annotated[
    Annotated[str, AfterValidator(clean_text)] | None,
    Field(max_length=100, description="What people call it; owner and name when unset."),
]


class NewRepository(BaseModel):
    """A repository to configure."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "examples": [{"repository_url": "https://github.com/owner/name", "options": _EXAMPLE_OPTIONS}]
        },
    )

    repository_url: str = Field(description="https address of the repository: https://host/owner/name.")
    display_name: DisplayName = None
    options: RepositoryOptions = Field(default=RepositoryOptions(), description="What holds for its orders.")


class RepositoryChanges(BaseModel):
    """What is to be different; what is not named stays."""

    model_config = ConfigDict(
        extra="forbid", json_schema_extra={"examples": [{"options": {"max_concurrent": 0, "model": None}}]}
    )

    display_name: DisplayName = None
    options: RepositoryOptions = Field(
        default=RepositoryOptions(), description="Only the options that change; null gives one its default."
    )

    def named(self) -> dict[str, object]:
        """The options, and perhaps the name, that the body holds."""
        given: dict[str, object] = self.options.model_dump(mode="json", exclude_unset=True)
        return given | ({"display_name": self.display_name} if "display_name" in self.model_fields_set else {})


class MirrorInfo(BaseModel):
    """The server's own copy of a repository, from which checkouts are made."""

    size_bytes: int = Field(description="What it takes on the disk, in bytes.")
    last_fetched_at: datetime | None = Field(description="When it was last as new as its remote; null if unknown.")
    orders: int = Field(description="Number of work orders that keep something in it.")


class RepositoryVerification(BaseModel):
    """How the last verification went."""

    ok: bool = Field(description="Whether everything required is as it should be.")
    at: datetime | None = Field(description="When it was made.")
    checks: list[Finding] = Field(description="What was looked at, one by one.")


class RepositoryView(BaseModel):
    """A configured repository."""

    repository_id: str = Field(description="Identifier for the addresses of this interface.")
    repository_key: str = Field(description="One for a repository however its address is written.")
    repository_url: str = Field(description="Its address.")
    owner: str = Field(description="Its owner.")
    name: str = Field(description="Its name.")
    display_name: str | None = Field(description="What people call it, or null.")
    options: RepositoryOptions = Field(description="Defaults and limits of its orders; null means the server's own.")
    default_branch: str | None = Field(description="The remote's default branch, as of the last verification.")
    is_verified: bool | None = Field(description="Whether the last verification went well; null if there was none.")
    last_verified_at: datetime | None = Field(description="When that was; null if there was none.")
    verification: RepositoryVerification | None = Field(description="The last verification, or null.")
    mirror: MirrorInfo | None = Field(description="The server's copy; null where there is none yet.")
    version: int = Field(description="What was read; PATCH wants it back in If-Match.")
    changed_by: str | None = Field(description="Who saved it last, as far as that can be known.")
    created_at: datetime = Field(description="When it was first heard of.")
    updated_at: datetime | None = Field(description="When it was last saved.")


class RepositoryPage(BaseModel):
    """A page of configured repositories."""

    repositories: list[RepositoryView] = Field(description="By key.")
    next_cursor: str | None = Field(description="Give it as `cursor` for the next page; null on the last one.")


class IssueView(BaseModel):
    """An issue, for whoever is about to name it in a request."""

    number: int = Field(description="Its number.")
    title: str = Field(description="Its title, as its author wrote it.")
    url: str = Field(description="Its page.")


def known_key(
    repository_id: Annotated[str, Path(max_length=600, description="Identifier of the repository: host~owner~name.")],
) -> str:
    """The key that an identifier stands for; NotFound for anything else."""
    if not _ID.match(repository_id):
        raise NotFound(
            "There is no repository with this identifier.", next_action="Look at the list of configured repositories."
        )
    return repository_id.replace("~", "/").lower()


RepositoryKey = Annotated[str, Depends(known_key)]
IfMatch = Annotated[
    str | None, Header(max_length=100, description="The version that was read, or `*` for whatever is there.")
]


@both(
    router,
    "GET",
    "/repositories",
    response_model=RepositoryPage,
    summary="List configured repositories",
    responses=error_responses(422),
)
async def list_repositories(
    context: Context,
    limit: Annotated[int, Query(ge=1, le=200, description="Most repositories of a page.")] = 50,
    cursor: Annotated[str | None, Query(max_length=600, description="`next_cursor` of the page before.")] = None,
) -> RepositoryPage:
    """What is configured, with the last verification and the server's copy of each."""
    entries = await _registry(context).page(limit + 1, known_key(cursor) if cursor else None)
    page = entries[:limit]
    mirrors = await _mirrors(context)
    return RepositoryPage(
        repositories=[_view(entry, mirrors) for entry in page],
        next_cursor=_id_of(page[-1].key) if len(entries) > limit else None,
    )


@both(
    router,
    "POST",
    "/repositories",
    status_code=201,
    response_model=RepositoryView,
    summary="Configure a repository",
    responses={
        201: {
            "description": "The repository, configured.",
            "headers": {"Location": {"description": "Address of the repository.", "schema": {"type": "string"}}},
        },
        **error_responses(400, 409, 413, 415, 422),
    },
)
async def configure_repository(
    context: Context, request: Request, response: Response, body: NewRepository, user: User = None
) -> RepositoryView:
    """Nothing is fetched yet: `verify` tries whether it can be. 409 for one that is configured already."""
    repository = context.tools.repository(body.repository_url)
    by = who(context, request, user)
    entry = await _registry(context).configure(repository, body.options, body.display_name, by)
    response.headers["Location"] = f"{request.url.path.rstrip('/')}/{_id_of(entry.key)}"
    return await _answer(context, response, entry)


@both(
    router,
    "GET",
    "/repositories/{repository_id}",
    response_model=RepositoryView,
    summary="Read a configured repository",
    responses=error_responses(404),
)
async def read_repository(context: Context, response: Response, key: RepositoryKey) -> RepositoryView:
    """One repository, with its last verification and the server's copy."""
    return await _answer(context, response, await _registry(context).read(key))


@both(
    router,
    "PATCH",
    "/repositories/{repository_id}",
    response_model=RepositoryView,
    summary="Change a configured repository",
    responses={
        **error_responses(400, 404, 409, 413, 415, 422),
        428: {**error_responses(409)[409], "description": "The header If-Match is missing."},
    },
)
async def change_repository(
    context: Context,
    request: Request,
    response: Response,
    key: RepositoryKey,
    body: RepositoryChanges,
    if_match: IfMatch = None,
    user: User = None,
) -> RepositoryView:
    """Only what is named, all or nothing, and only if nobody changed it since it was read. Holds for the next order
    that is filed or started; a new limit at once.
    """
    version = _version(if_match, required=True)
    entry = await _registry(context).change(key, body.named(), version, who(context, request, user))
    return await _answer(context, response, entry)


@both(
    router,
    "DELETE",
    "/repositories/{repository_id}",
    status_code=204,
    summary="Forget a configured repository",
    responses={204: {"description": "Nothing is configured any more."}, **error_responses(404, 409, 415, 422)},
)
async def forget_repository(
    context: Context, request: Request, key: RepositoryKey, if_match: IfMatch = None, user: User = None
) -> None:
    """What was configured, and nothing else: its work orders stay, and so does its token in the settings."""
    await _registry(context).forget(key, _version(if_match, required=False), who(context, request, user))


@both(
    router,
    "POST",
    "/repositories/{repository_id}/verify",
    response_model=RepositoryView,
    summary="Verify a configured repository",
    responses=error_responses(404, 415),
)
async def verify_repository(context: Context, response: Response, key: RepositoryKey) -> RepositoryView:
    """Does the real thing with the saved token, and keeps what came of it. A verification that goes badly is a 200."""
    return await _answer(context, response, await _registry(context).verify(key))


@both(
    router,
    "GET",
    "/issues",
    response_model=IssueView,
    summary="Read an issue's title",
    responses={**error_responses(422), 404: {**error_responses(404)[404], "description": "There is no such issue."}},
)
async def read_issue(
    context: Context,
    repository_url: Annotated[str, Query(max_length=500, description="Address of the repository.")],
    number: Annotated[int, Query(ge=1, le=2**31 - 1, description="Number of the issue.")],
) -> IssueView:
    """What a form shows beside the number that somebody is typing. Asks the forge, changes nothing."""
    repository = context.tools.repository(repository_url)
    try:
        issue = await context.tools.forge.issue(repository, number)
    except StepFailed as error:
        if error.failure_class not in (FailureClass.CONFLICT, FailureClass.AUTH):
            raise
        raise NotFound(error.message, next_action=error.next_action.replace(", then retry the order", "")) from error
    return IssueView(number=issue.number, title=issue.title[:500], url=issue.url)


def _registry(context: ApiContext) -> Registry:
    if context.registry is None:
        raise Refused(503, "no_registry", "This server keeps no repositories.", "Use one with a store of its own.")
    return context.registry


async def _mirrors(context: ApiContext) -> dict[str, MirrorView]:
    try:
        return {view.repository_key: view for view in await context.tools.checkouts.mirrors()}
    except (WorkOrderError, OSError):
        return {}  # what is wrong with the disk is health's to say


def _view(entry: RegistryEntry, mirrors: dict[str, MirrorView]) -> RepositoryView:
    known, verified = named_repository(entry.url), entry.verification
    mirror = mirrors.get(entry.key)
    return RepositoryView(
        repository_id=_id_of(entry.key),
        repository_key=entry.key,
        repository_url=entry.url,
        owner=known.owner,
        name=known.name,
        display_name=entry.display_name,
        options=entry.options,
        default_branch=verified.default_branch if verified else None,
        is_verified=verified.ok if verified else None,
        last_verified_at=verified.at if verified else None,
        verification=RepositoryVerification(ok=verified.ok, at=verified.at, checks=list(verified.checks))
        if verified
        else None,
        mirror=MirrorInfo(size_bytes=mirror.size_bytes, last_fetched_at=mirror.last_fetched_at, orders=mirror.orders)
        if mirror
        else None,
        version=entry.version,
        changed_by=entry.changed_by,
        created_at=entry.created_at,
        updated_at=entry.updated_at,
    )


def _id_of(key: str) -> str:
    return key.replace("/", "~")


async def _answer(context: ApiContext, response: Response, entry: RegistryEntry) -> RepositoryView:
    response.headers["ETag"] = f'"{entry.version}"'
    return _view(entry, await _mirrors(context))


def _version(if_match: str | None, *, required: bool) -> int | None:
    """None for `*`."""
    text = (if_match or "").strip().removeprefix("W/").strip('"')
    if not text and required:
        raise Refused(
            428,
            "version_missing",
            "The request does not say which version of the repository it changes.",
            "Read the repository and send its version in the header If-Match.",
        )
    if text in ("", "*"):
        return None
    if not re.fullmatch(r"[1-9][0-9]{0,15}", text):
        raise InvalidInput([FieldProblem("If-Match", "holds no version of a repository")])
    return int(text)
