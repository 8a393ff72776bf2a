"""Which database migrations ship with this server and which the database has. Reads both; runs nothing.

A person runs the SQL in Supabase's editor, and each file records itself in `archon_migrations`.
"""

import hashlib
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from anyio import to_thread

from ..config.config import is_embedded
from ..config.version import ARCHON_VERSION
from .client_manager import get_supabase_client

_IN_CONTAINER = Path("/app/migration")
_IN_REPOSITORY = Path(__file__).resolve().parents[4] / "migration"
_MISSING_TABLE_CODES = frozenset({"42P01", "PGRST205", "404"})


class MigrationsUnavailable(Exception):
    """The database could not be asked which migrations it has; the text is one sentence."""

    next_action = "Check that Supabase is reachable and that SUPABASE_SERVICE_KEY is right, then try again."


@dataclass(frozen=True)
class Migration:
    """One SQL file. `version` is its directory's name, `name` its file's stem, `checksum` the MD5 of the text."""

    version: str
    name: str
    sql_content: str
    file_path: str
    checksum: str


@dataclass(frozen=True)
class AppliedMigration:
    """One row of `archon_migrations`; `applied_at` is the database's own text."""

    version: str
    migration_name: str
    applied_at: str | None
    checksum: str | None


class MigrationService:
    """Reads `directory`, by default where the container or the repository has it. Embedded mode needs no migrations."""

    def __init__(self, directory: Path | None = None) -> None:
        self._directory = directory

    async def check_migrations_table_exists(self) -> bool:
        """Whether the database has `archon_migrations`; True in embedded mode, where nobody misses it."""
        return is_embedded() or await to_thread.run_sync(_select_applied) is not None

    async def get_applied_migrations(self) -> list[AppliedMigration]:
        """What the database recorded, newest first; empty without the table and in embedded mode."""
        rows = None if is_embedded() else await to_thread.run_sync(_select_applied)
        return [
            AppliedMigration(row["version"], row["migration_name"], row.get("applied_at"), row.get("checksum"))
            for row in rows or []
        ]

    async def scan_migration_directory(self) -> list[Migration]:
        """Every migration that ships, in the order to run them."""
        return await to_thread.run_sync(partial(_scan, self._directory or _default_directory()))

    async def get_pending_migrations(self) -> list[Migration]:
        """Those that the database has not recorded; none in embedded mode."""
        return (await self._compare())[0]

    async def get_migration_status(self) -> dict[str, Any]:
        """Archon's status document; the migrations in it are dataclasses.

        Raises:
            MigrationsUnavailable: the database does not answer.
        """
        pending, applied, bootstrap_required = await self._compare()
        return {
            "pending_migrations": pending,
            "applied_migrations": applied,
            "has_pending": bool(pending),
            "bootstrap_required": bootstrap_required,
            "current_version": ARCHON_VERSION,
            "pending_count": len(pending),
            "applied_count": len(applied),
        }

    async def _compare(self) -> tuple[list[Migration], list[AppliedMigration], bool]:
        if is_embedded():
            return [], [], False
        table_exists = await self.check_migrations_table_exists()
        applied = await self.get_applied_migrations() if table_exists else []
        done = {(migration.version, migration.migration_name) for migration in applied}
        shipped = await self.scan_migration_directory()
        pending = [migration for migration in shipped if (migration.version, migration.name) not in done]
        return pending, applied, not table_exists


def _default_directory() -> Path:
    return _IN_CONTAINER if _IN_CONTAINER.is_dir() else _IN_REPOSITORY


def _scan(directory: Path) -> list[Migration]:
    found = []
    for path in sorted(directory.glob("*/*.sql")):
        text = path.read_text(encoding="utf-8")
        found.append(
            Migration(
                version=path.parent.name,
                name=path.stem,
                sql_content=text,
                file_path=f"{directory.name}/{path.parent.name}/{path.name}",
                checksum=hashlib.md5(text.encode(), usedforsecurity=False).hexdigest(),
            )
        )
    return found


def _select_applied() -> list[dict[str, Any]] | None:
    """The rows, or None if there is no such table."""
    import httpx  # both come with supabase, which embedded mode never loads
    from postgrest.exceptions import APIError
    from supabase import SupabaseException

    try:
        query = get_supabase_client().table("archon_migrations").select("version,migration_name,applied_at,checksum")
        rows: list[dict[str, Any]] = query.order("applied_at", desc=True).execute().data  # type: ignore[assignment] # PostgREST's JSON
        return rows
    except APIError as error:
        if str(error.code) in _MISSING_TABLE_CODES:
            return None
        raise MigrationsUnavailable(f"The database refused to list its migrations (code {error.code}).") from None
    except (httpx.HTTPError, SupabaseException, ValueError) as error:
        raise MigrationsUnavailable(f"The database could not be asked ({type(error).__name__}).") from None


migration_service = MigrationService()
