"""Credentials in Supabase's `archon_settings`. Knows the table and PostgREST's errors, and nothing of caches."""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from ..config.logfire_config import get_logger
from .credential_errors import CredentialStoreUnavailable, CredentialTableMissing
from .credential_row import CredentialRow, environment_passphrases

if TYPE_CHECKING:
    from supabase import Client

logger = get_logger(__name__)

_TABLE = "archon_settings"
_COLUMNS = ("key", "value", "encrypted_value", "is_encrypted", "category", "description")
# The first 64 characters of a stored form hold the token's time and its 128 random bits. (`_` matches any character:
# with that many random bits it makes no difference.)
_TELLING_LENGTH = 64
# Postgres' and PostgREST's ways to say that there is no such table; a 404 without a body comes as the number.
_MISSING_TABLE_CODES = frozenset({"42P01", "PGRST205", "404"})


class CredentialTable:
    """The rows of one project's `archon_settings`. `client` gives the client; `renew` makes it give a new one."""

    def __init__(self, client: "Callable[[], Client]", renew: Callable[[], None]) -> None:
        self._client = client
        self._renew = renew

    @property
    def identity(self) -> tuple[str, str]:
        """What tells this store from another."""
        return ("table", os.environ.get("SUPABASE_URL", "").strip())

    def load(self) -> dict[str, CredentialRow]:
        """Every row by key."""
        found = self._run(lambda table: table.select(",".join(_COLUMNS)))
        return {row["key"]: row for row in found}

    @contextmanager
    def exclusive(self) -> Iterator[None]:
        """Nothing to hold: one statement is atomic, and `replace_secret` compares before it sets."""
        yield

    def write(self, row: CredentialRow) -> None:
        """Create or change one row; columns that are not named keep what they hold."""
        self._run(lambda table: table.upsert(dict(row), on_conflict="key"))

    def write_all(self, rows: list[CredentialRow]) -> None:
        """Create or change several rows with the same columns, in one statement: all or none."""
        self._run(lambda table: table.upsert([dict(row) for row in rows], on_conflict="key"))

    def delete(self, key: str) -> None:
        """Remove one row, if it is there."""
        self._run(lambda table: table.delete().eq("key", key))

    def replace_secret(self, key: str, old: str, new: str) -> bool:
        """Change the stored form only if it is still `old`; says whether it was."""
        # Its beginning tells it from every other, and a filter stands in the URL, which has little room and is logged.
        beginning = f"{old[:_TELLING_LENGTH]}%"
        found = self._run(
            lambda table: table.update({"encrypted_value": new}).eq("key", key).like("encrypted_value", beginning)
        )
        return bool(found)

    def passphrases(self, *, create: bool = False) -> list[str]:
        """ARCHON_ENCRYPTION_KEY writes if it is set, else the service key, as on every Archon server."""
        named = environment_passphrases()
        service_key = os.environ.get("SUPABASE_SERVICE_KEY", "") or "default-key-for-development"
        return [*named.current, service_key, *named.former]

    def _run(self, query: Callable[[Any], Any]) -> Any:
        """Execute one query, once more on a new connection if the old one broke. All our queries may be repeated."""
        import httpx  # both come with supabase, which embedded mode never loads
        from postgrest.exceptions import APIError

        try:
            try:
                return query(self._connect().table(_TABLE)).execute().data
            except httpx.RemoteProtocolError:
                self._renew()
                return query(self._connect().table(_TABLE)).execute().data
        except APIError as error:
            # Only the code: message and details may quote the row that was being written.
            code = str(error.code)
            logger.error("The database refused a query on archon_settings | code=%s", code)
            if code in _MISSING_TABLE_CODES:
                raise CredentialTableMissing("The database has no table archon_settings.") from None
            raise CredentialStoreUnavailable(
                f"The database refused a query on archon_settings (code {code}).",
                next_action="Check SUPABASE_SERVICE_KEY and that the migrations have been run, then try again.",
            ) from None
        except httpx.HTTPError as error:
            self._renew()
            raise CredentialStoreUnavailable(f"Supabase did not answer ({type(error).__name__}).") from None
        except ValueError as error:
            raise CredentialStoreUnavailable(
                f"Supabase answered in a form that cannot be read ({type(error).__name__})."
            ) from None

    def _connect(self) -> "Client":
        from supabase import SupabaseException

        try:
            return self._client()
        except (SupabaseException, ValueError) as error:
            raise CredentialStoreUnavailable(
                f"The Supabase client cannot be made ({type(error).__name__}).",
                next_action="Check SUPABASE_URL and SUPABASE_SERVICE_KEY; the key must be the long service_role JWT.",
            ) from None
