"""Archon's migration page over HTTP: what is applied, what is pending, and the SQL to run by hand."""

import hashlib
import json
from dataclasses import asdict
from typing import Any

from fastapi import APIRouter, Request, Response
from fastapi.responses import JSONResponse

from ..config.version import ARCHON_VERSION
from ..services.migration_service import MigrationsUnavailable, migration_service
from .guarded_route import GuardedRoute, refusal

router = APIRouter(prefix="/api/migrations", tags=["migrations"], route_class=GuardedRoute)


@router.get("/status")
async def migration_status(request: Request) -> Response:
    """Applied and pending migrations, with the pending ones' SQL."""
    try:
        status = await migration_service.get_migration_status()
    except MigrationsUnavailable as error:
        raise refusal(503, "store_unavailable", str(error), error.next_action) from None
    listed = {
        key: [asdict(row) for row in value] if isinstance(value, list) else value for key, value in status.items()
    }
    return _cached(request, listed)


@router.get("/history")
async def migration_history(request: Request) -> Response:
    """What the database recorded, newest first."""
    try:
        applied = await migration_service.get_applied_migrations()
    except MigrationsUnavailable as error:
        raise refusal(503, "store_unavailable", str(error), error.next_action) from None
    rows = [asdict(row) for row in applied]
    return _cached(request, {"migrations": rows, "total_count": len(rows), "current_version": ARCHON_VERSION})


@router.get("/pending")
async def pending_migrations() -> list[dict[str, Any]]:
    """What is still to be run, in order."""
    try:
        return [asdict(migration) for migration in await migration_service.get_pending_migrations()]
    except MigrationsUnavailable as error:
        raise refusal(503, "store_unavailable", str(error), error.next_action) from None


def _cached(request: Request, body: dict[str, Any]) -> Response:
    """200 with an ETag, or 304 if the caller has it."""
    digest = hashlib.md5(json.dumps(body, sort_keys=True).encode(), usedforsecurity=False).hexdigest()
    headers = {"ETag": f'"{digest}"', "Cache-Control": "no-cache, must-revalidate"}
    if request.headers.get("if-none-match") == headers["ETag"]:
        return Response(status_code=304, headers=headers)
    return JSONResponse(body, headers=headers)
