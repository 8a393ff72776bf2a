"""Archon's settings and credentials over HTTP. Secrets go in and never come out."""

from datetime import UTC, datetime
from typing import Annotated, Any

from fastapi import APIRouter, HTTPException, Path
from pydantic import AfterValidator, BaseModel, BeforeValidator, Field

from ..services.credential_service import (
    MASK,
    CredentialError,
    CredentialItem,
    credential_service,
    is_always_secret,
)
from .guarded_route import GuardedRoute, refusal

router = APIRouter(prefix="/api", tags=["settings"], route_class=GuardedRoute)

OPTIONAL_SETTINGS_WITH_DEFAULTS = {
    "DISCONNECT_SCREEN_ENABLED": "true",
    "PROJECTS_ENABLED": "false",
    "LOGFIRE_ENABLED": "false",
}
_MAXIMUM_VALUE_LENGTH = 65_536


def _storable(text: str) -> str:
    if "\x00" in text:
        raise ValueError("must not contain NUL characters")
    try:
        text.encode()
    except UnicodeEncodeError:
        raise ValueError("must be valid Unicode, without lone surrogates") from None
    return text


def _storable_value(text: str) -> str:
    _storable(text)
    if text.strip() == MASK:
        raise ValueError("is the mask that stands for a stored secret, not a value")
    return text


def _from_json(value: object) -> object:
    """Archon's UI sends switches and numbers as they are; the column is text."""
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value) if isinstance(value, int | float) else value


def _printable(key: str) -> str:
    if not key.isprintable() or key != key.strip():
        raise ValueError("must be printable, without spaces around it")
    return key


Key = Annotated[str, Field(min_length=1, max_length=255), AfterValidator(_printable)]
Value = Annotated[
    str,
    Field(max_length=_MAXIMUM_VALUE_LENGTH),
    BeforeValidator(_from_json),
    AfterValidator(_storable_value),  # one alone: pydantic 2.11 keeps only the last of several where Fields are merged
]
Words = Annotated[str, Field(max_length=2_000), AfterValidator(_storable)]
Category = Annotated[str, Field(max_length=100), AfterValidator(_storable)]
KeyInPath = Annotated[str, Path(min_length=1, max_length=255), AfterValidator(_printable)]


class CredentialRequest(BaseModel):
    """A credential to create or change. What is left out keeps what is stored."""

    key: Key = Field(description="Name, unique.")
    value: Value = Field(description="The value in clear; it is encrypted before it is stored if it is a secret.")
    is_encrypted: bool = Field(default=False, description="Whether it is a secret; left out, it stays what it was.")
    category: Category | None = Field(default=None, description="A group for the UI.")
    description: Words | None = Field(default=None, description="A sentence for the UI.")


class CredentialChange(BaseModel):
    """Changes to one credential; without `value` only the rest changes."""

    value: Value | None = Field(default=None, description="The new value in clear.")
    is_encrypted: bool | None = Field(default=None, description="Whether it is a secret.")
    category: Category | None = Field(default=None, description="A group for the UI.")
    description: Words | None = Field(default=None, description="A sentence for the UI.")


class StatusCheckRequest(BaseModel):
    """Names to look up."""

    keys: list[Key] = Field(max_length=200, description="At most 200 names.")


@router.get("/credentials")
async def list_credentials(category: str | None = None) -> list[dict[str, Any]]:
    """All credentials, or those of one category, by name. Secrets are masked."""
    items = await credential_service.list_all_credentials()
    return [_shown(item) for item in items if category is None or item.category == category]


@router.get("/credentials/categories/{category}")
async def get_credentials_by_category(category: str) -> dict[str, Any]:
    """One category as a mapping from name to value. Secrets are masked."""
    return {"credentials": await credential_service.get_credentials_by_category(category)}


@router.post("/credentials")
async def create_credential(request: CredentialRequest) -> dict[str, Any]:
    """Create or change a credential."""
    is_encrypted = request.is_encrypted
    if "is_encrypted" not in request.model_fields_set:
        existing = await _find(request.key)
        is_encrypted = existing is not None and existing.is_encrypted
    await _save(request.key, request.value, is_encrypted, request.category, request.description)
    return _done(request.key, "saved")


# Before the routes with {key} in the path, so that their words are not taken for names.
@router.post("/credentials/initialize")
async def initialize_credentials() -> dict[str, Any]:
    """Read all credentials anew."""
    await credential_service.load_all_credentials()
    return {"success": True, "message": "Credentials read again"}


@router.post("/credentials/status-check")
async def check_credential_status(request: StatusCheckRequest) -> dict[str, dict[str, Any]]:
    """Which names have a usable value. A secret is opened to find out, and shown as the mask."""
    # Listing reads everything anew, and the lookups below use what it read.
    secret = {item.key for item in await credential_service.list_all_credentials() if item.is_encrypted}
    return {key: await _status(key, key in secret) for key in request.keys}


@router.get("/credentials/{key}")
async def get_credential(key: KeyInPath) -> dict[str, Any]:
    """One credential; a secret's value is masked."""
    item = await _find(key)
    if item is not None and item.is_encrypted and item.value is not None:
        return {
            "key": key,
            "value": MASK,
            "is_encrypted": True,
            "category": item.category,
            "description": item.description,
            "has_value": True,
        }
    if item is not None and item.value is not None:
        return {"key": key, "value": item.value, "is_encrypted": False}
    if key in OPTIONAL_SETTINGS_WITH_DEFAULTS:
        return {
            "key": key,
            "value": OPTIONAL_SETTINGS_WITH_DEFAULTS[key],
            "is_default": True,
            "category": "features",
            "description": "Not set; this is the default.",
        }
    raise _not_found(key)


@router.put("/credentials/{key}")
async def update_credential(key: KeyInPath, change: CredentialChange) -> dict[str, Any]:
    """Change a credential, or create it. Without a value, the stored one stays as it is."""
    existing = await _find(key)
    was_encrypted = existing is not None and existing.is_encrypted
    is_encrypted = was_encrypted if change.is_encrypted is None else change.is_encrypted
    has_value = existing is not None and existing.value is not None
    if change.value is not None:
        await _save(key, change.value, is_encrypted, change.category, change.description)
    elif not has_value:
        await _save(key, "", is_encrypted, change.category, change.description)
    elif was_encrypted and not is_encrypted:
        raise refusal(
            422,
            "invalid_input",
            "A stored secret cannot be turned into a plain value.",
            "Send the value again along with is_encrypted=false.",
            [("is_encrypted", "needs a value when a secret becomes plain")],
        )
    elif is_encrypted and not was_encrypted and existing is not None and existing.value is not None:
        await _save(key, existing.value, True, change.category, change.description)
    elif not await credential_service.update_metadata(key, change.category, change.description):
        raise _not_saved()
    return _done(key, "saved")


@router.delete("/credentials/{key}")
async def delete_credential(key: KeyInPath) -> dict[str, Any]:
    """Remove a credential; it is no error if there is none."""
    if not await credential_service.delete_credential(key):
        raise _not_saved()
    return _done(key, "deleted")


@router.get("/database/metrics")
async def database_metrics() -> dict[str, Any]:
    """How many settings are stored; this host keeps no other table of Archon's."""
    settings = len(await credential_service.list_all_credentials())
    return {
        "status": "healthy",
        "tables": {"settings": settings},
        "total_records": settings,
        "timestamp": datetime.now(UTC).isoformat(),
    }


@router.get("/settings/health")
async def settings_health() -> dict[str, str]:
    """That these routes are there."""
    return {"status": "healthy", "service": "settings"}


async def _find(key: str) -> CredentialItem | None:
    items = await credential_service.list_all_credentials()
    return next((item for item in items if item.key == key), None)


async def _save(key: str, value: str, is_encrypted: bool, category: str | None, description: str | None) -> None:
    if is_always_secret(key) and not value.isprintable():
        raise refusal(
            422,
            "invalid_input",
            "A token has no line breaks or control characters.",
            "Copy the token again, alone and on one line.",
            [("value", "must be one printable line")],
        )
    if not await credential_service.set_credential(key, value, is_encrypted, category, description):
        raise _not_saved()


async def _status(key: str, is_secret: bool) -> dict[str, Any]:
    try:
        value = await credential_service.get_credential(key)
    except CredentialError as error:
        return {"key": key, "value": None, "has_value": False, "error": f"{error.message} {error.next_action}"}
    if not isinstance(value, str) or not value.strip():
        return {"key": key, "value": None, "has_value": False}
    return {"key": key, "value": MASK if is_secret else value, "has_value": True}


def _shown(item: CredentialItem) -> dict[str, Any]:
    return {
        "key": item.key,
        "value": item.value,
        "encrypted_value": None,
        "is_encrypted": item.is_encrypted,
        "category": item.category,
        "description": item.description,
    }


def _done(key: str, what: str) -> dict[str, Any]:
    return {"success": True, "message": f"Credential {key} {what}"}


def _not_found(key: str) -> HTTPException:
    return refusal(404, "not_found", f"Credential {key} not found", "Look at GET /api/credentials for the names.")


def _not_saved() -> HTTPException:
    return refusal(
        503,
        "store_unavailable",
        "The change was not saved; what was stored before is unchanged.",
        "Look at the server's log for the cause, then try again.",
    )
