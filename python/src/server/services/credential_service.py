"""Archon's credentials and settings: one class over the database table or, in embedded mode, over encrypted files.

Names, signatures and the format at rest are Archon's. Nothing here blocks the event loop, and no secret is logged.
"""

import os
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

from anyio import to_thread

from ..config.config import archon_home, is_embedded
from ..config.logfire_config import get_logger
from . import credential_cipher as cipher
from .client_manager import get_supabase_client
from .credential_errors import (
    CredentialError,
    CredentialStoreUnavailable,
    CredentialTableMissing,
    CredentialUndecryptable,
)
from .credential_files import CredentialFiles
from .credential_row import MASK, CredentialRow, CredentialStore, merged
from .credential_table import CredentialTable

if TYPE_CHECKING:
    from supabase import Client

__all__ = [
    "MASK",
    "CredentialError",
    "CredentialItem",
    "CredentialService",
    "CredentialStoreUnavailable",
    "CredentialTableMissing",
    "CredentialUndecryptable",
    "credential_service",
    "get_credential",
    "initialize_credentials",
    "is_always_secret",
    "set_credential",
]

logger = get_logger(__name__)

T = TypeVar("T")

# Another server's change is obeyed within 5 s; one second of that is left for the request itself.
CACHE_TTL_SECONDS = 4.0
# Copied from the table into the environment at start, where a variable is not set already. No secret belongs here:
# the environment is inherited.
_EXPORTED_TO_ENVIRONMENT = ("LOGFIRE_ENABLED",)
_ALWAYS_SECRET = frozenset({"ANTHROPIC_API_KEY", "ANTHROPIC_AUTH_TOKEN", "CLAUDE_CODE_OAUTH_TOKEN", "AWO_API_TOKEN"})


@dataclass
class CredentialItem:
    """A credential as lists show it: a secret's value is the mask, and None where nothing is stored."""

    key: str
    value: str | None = None
    encrypted_value: str | None = None
    is_encrypted: bool = False
    category: str | None = None
    description: str | None = None


def is_always_secret(key: str) -> bool:
    """Names that are stored encrypted whatever the caller says."""
    name = key.upper()
    return name in _ALWAYS_SECRET or name.startswith("GITHUB_TOKEN")


class CredentialService:
    """Reads through a short-lived cache of the whole table; writes go to the store first and then to the cache.

    While the store is away, what was read last is served on; a first read raises CredentialStoreUnavailable.
    """

    def __init__(self, *, clock: Callable[[], float] = time.monotonic, ttl: float = CACHE_TTL_SECONDS) -> None:
        self._supabase: Client | None = None
        self._supabase_made_for: tuple[str | None, str | None] | None = None
        self._cache: dict[str, CredentialRow] = {}
        self._cache_initialized = False
        self._cache_loaded_at = 0.0
        self._cache_of: tuple[str, str] | None = None
        self._clock, self._ttl = clock, ttl
        # Taken in worker threads only, also while the store is asked: one question at a time.
        self._lock = threading.RLock()

    # Reading

    async def get_credential(self, key: str, default: Any = None, decrypt: bool = True) -> Any:
        """A setting's or secret's value as text, or `default` where nothing is stored.

        With `decrypt=False` a secret comes as `{encrypted_value, is_encrypted, category, description}`.

        Raises:
            CredentialUndecryptable: a secret is stored and cannot be opened.
            CredentialStoreUnavailable: nothing was read before, and the store does not answer.
        """
        row = (await self._rows()).get(key)
        if row is None:
            return default
        if not row.get("is_encrypted"):
            value = row.get("value")
            return default if value is None else value
        stored = row.get("encrypted_value")
        if not stored:
            return default
        if not decrypt:
            return {
                "encrypted_value": stored,
                "is_encrypted": True,
                "category": row.get("category"),
                "description": row.get("description"),
            }
        return await to_thread.run_sync(self._open, key, stored)

    async def get_encrypted_credential_raw(self, key: str) -> str | None:
        """A secret as it is stored, or None."""
        row = (await self._rows()).get(key)
        return (row.get("encrypted_value") or None) if row and row.get("is_encrypted") else None

    async def load_all_credentials(self) -> dict[str, Any]:
        """Read everything anew. Plain values by key; secrets as `{encrypted_value, is_encrypted, …}`."""
        rows = await self._rows(fresh=True)
        return {key: (dict(row) if row.get("is_encrypted") else row.get("value")) for key, row in rows.items()}

    async def get_credentials_by_category(self, category: str) -> dict[str, Any]:
        """A category, read anew: plain values, and `{value: mask, is_encrypted, description}` for secrets."""
        return {
            key: (
                {"value": MASK, "is_encrypted": True, "description": row.get("description")}
                if row.get("is_encrypted")
                else row.get("value")
            )
            for key, row in (await self._rows(fresh=True)).items()
            if row.get("category") == category
        }

    async def list_all_credentials(self) -> list[CredentialItem]:
        """Everything, read anew, by name, with secrets masked."""
        return [
            CredentialItem(
                key=key,
                value=(MASK if row.get("encrypted_value") else None) if row.get("is_encrypted") else row.get("value"),
                is_encrypted=bool(row.get("is_encrypted")),
                category=row.get("category"),
                description=row.get("description"),
            )
            for key, row in sorted((await self._rows(fresh=True)).items())
        ]

    def get_config_as_env_dict(self) -> dict[str, str]:
        """The plain values that were read last."""
        return {
            key: value
            for key, row in self._cache.items()
            if not row.get("is_encrypted") and (value := row.get("value")) is not None
        }

    # Writing

    async def set_credential(
        self,
        key: str,
        value: str,
        is_encrypted: bool = False,
        category: str | None = None,
        description: str | None = None,
    ) -> bool:
        """Create or change one. None for category or description keeps what is stored. GitHub's and Claude's tokens
        are encrypted whatever `is_encrypted` says.

        Returns:
            False if it could not be saved; then nothing has changed, here or in the store.
        """
        return await to_thread.run_sync(
            partial(self._save, key, value, is_encrypted or is_always_secret(key), category, description)
        )

    async def set_settings(self, values: Mapping[str, str | None], category: str | None = None) -> bool:
        """Create, change or (None) empty several plain settings: all or none.

        Returns:
            False if they could not be saved; then nothing has changed, here or in the store.
        """
        return await to_thread.run_sync(self._save_all, dict(values), category)

    async def update_metadata(self, key: str, category: str | None = None, description: str | None = None) -> bool:
        """Change category or description of a credential and leave its value alone; False as in `set_credential`."""
        row: CredentialRow = {"key": key}
        _add_metadata(row, category, description)
        return await to_thread.run_sync(self._write, lambda store: row)

    async def delete_credential(self, key: str) -> bool:
        """Remove one. True also if there was none; False if the store did not do it, and nothing has changed."""
        return await to_thread.run_sync(self._delete, key)

    # In worker threads

    async def _rows(self, *, fresh: bool = False) -> dict[str, CredentialRow]:
        if not fresh and self._is_cache_fresh():
            return self._cache
        return await to_thread.run_sync(partial(self._read, fresh=fresh))

    def _is_cache_fresh(self) -> bool:
        return (
            self._cache_initialized
            and self._clock() - self._cache_loaded_at < self._ttl
            and self._cache_of == self._store().identity
        )

    def _read(self, *, fresh: bool) -> dict[str, CredentialRow]:
        store = self._store()
        usable = self._cache_initialized and self._cache_of == store.identity
        # While one thread waits for a slow store, the others do not queue up behind it: they use what is known.
        if not self._lock.acquire(blocking=fresh or not usable):
            return self._cache
        try:
            if not fresh and self._is_cache_fresh():
                return self._cache
            try:
                rows = store.load()
            except CredentialStoreUnavailable as error:
                if fresh or not usable:
                    raise
                logger.warning("Credentials cannot be read, the last known ones stay in use | %s", error.message)
                rows = self._cache
            self._cache, self._cache_of = rows, store.identity
            self._cache_initialized, self._cache_loaded_at = True, self._clock()
            return rows
        finally:
            self._lock.release()

    def _save(self, key: str, value: object, encrypted: bool, category: str | None, description: str | None) -> bool:
        text = _as_text(value)
        if text == MASK:
            logger.error("The mask was offered as a value and refused | key=%s", key)
            return False

        def row_for(store: CredentialStore) -> CredentialRow:
            row: CredentialRow = {"key": key, "is_encrypted": encrypted, "value": None, "encrypted_value": None}
            if encrypted:
                row["encrypted_value"] = cipher.encrypt(text, store.passphrases(create=True)) if text else ""
            else:
                row["value"] = text
            _add_metadata(row, category, description)
            return row

        return self._write(row_for)

    def _write(self, row_for: Callable[[CredentialStore], CredentialRow]) -> bool:
        try:
            with self._lock:
                store = self._store()
                with store.exclusive():
                    row = row_for(store)
                    store.write(row)
                if self._cache_of == store.identity:
                    self._cache = {**self._cache, row["key"]: merged(self._cache.get(row["key"]), row)}
        except CredentialError as error:
            logger.error("A credential was not saved | %s", error.message)
            return False
        return True

    def _save_all(self, values: Mapping[str, str | None], category: str | None) -> bool:
        if any(value == MASK or is_always_secret(key) for key, value in values.items()):
            logger.error("A mask or a secret was offered as a plain setting and refused")
            return False
        rows: list[CredentialRow] = []
        for key, value in values.items():
            row: CredentialRow = {"key": key, "is_encrypted": False, "value": value, "encrypted_value": None}
            _add_metadata(row, category, None)
            rows.append(row)
        try:
            with self._lock:
                store = self._store()
                with store.exclusive():
                    store.write_all(rows)
                if self._cache_of == store.identity:
                    self._cache |= {row["key"]: merged(self._cache.get(row["key"]), row) for row in rows}
        except CredentialError as error:
            logger.error("Settings were not saved | %s", error.message)
            return False
        return True

    def _delete(self, key: str) -> bool:
        try:
            with self._lock:
                store = self._store()
                with store.exclusive():
                    store.delete(key)
                self._cache = {name: row for name, row in self._cache.items() if name != key}
        except CredentialError as error:
            logger.error("A credential was not deleted | %s", error.message)
            return False
        return True

    def _open(self, key: str, stored: str) -> str:
        """Decrypt; if that fails, once more with what the store holds now: a rotation may have come between."""
        with suppress(CredentialUndecryptable):
            return self._decrypt_value(stored)
        row = self._read(fresh=True).get(key)
        newer = row.get("encrypted_value") if row else None
        with suppress(CredentialUndecryptable):
            return self._decrypt_value(newer or stored)
        raise CredentialUndecryptable(f"The stored secret {key} cannot be decrypted with any key of this server.")

    # The store and its keys

    def _store(self) -> CredentialStore:
        if is_embedded():
            return CredentialFiles(archon_home() / "credentials")
        return CredentialTable(self._get_supabase_client, self._drop_supabase_client)

    def _get_supabase_client(self) -> "Client":
        made_for = (os.environ.get("SUPABASE_URL"), os.environ.get("SUPABASE_SERVICE_KEY"))
        if self._supabase is None or self._supabase_made_for != made_for:
            self._supabase, self._supabase_made_for = get_supabase_client(), made_for
        return self._supabase

    def _drop_supabase_client(self) -> None:
        self._supabase = None

    def _get_encryption_key(self) -> bytes:
        """The Fernet key that new secrets are written with."""
        return cipher.derive_key(self._store().passphrases(create=True)[0])

    def _encrypt_value(self, value: str) -> str:
        return cipher.encrypt(value, self._store().passphrases(create=True)) if value else ""

    def _decrypt_value(self, encrypted_value: str) -> str:
        return cipher.decrypt(encrypted_value, self._store().passphrases()) if encrypted_value else ""


def _as_text(value: object) -> str:
    """The column is text, and Archon writes booleans in small letters."""
    if isinstance(value, bool):
        return "true" if value else "false"
    return value if isinstance(value, str) else str(value)


def _add_metadata(row: CredentialRow, category: str | None, description: str | None) -> None:
    if category is not None:
        row["category"] = category
    if description is not None:
        row["description"] = description


# Archon's callers import this name; it opens nothing until it is used.
credential_service = CredentialService()


async def get_credential(key: str, default: Any = None) -> Any:
    """`CredentialService.get_credential` of the process's own service."""
    return await credential_service.get_credential(key, default)


async def set_credential(
    key: str,
    value: str,
    is_encrypted: bool = False,
    category: str | None = None,
    description: str | None = None,
) -> bool:
    """`CredentialService.set_credential` of the process's own service."""
    return await credential_service.set_credential(key, value, is_encrypted, category, description)


async def initialize_credentials() -> None:
    """Read everything, and copy the few settings that libraries take from the environment; what is set there wins."""
    await credential_service.load_all_credentials()
    for name, value in credential_service.get_config_as_env_dict().items():
        if name in _EXPORTED_TO_ENVIRONMENT and value:
            os.environ.setdefault(name, value)
