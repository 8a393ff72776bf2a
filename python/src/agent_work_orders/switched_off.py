"""Stands in for the plugin where nobody has switched it on: loads nothing, starts nothing, and says so.

The plugin takes as long to load as the rest of the server. Answers as it would while it is off, word for word; a test
compares them. Refuses to know settings: what looks like one is for the plugin to judge.
"""

import logging
import os
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from fastapi import APIRouter, FastAPI
from fastapi.responses import JSONResponse

VARIABLE = "ARCHON_AWO_ENABLED"
# As settings.py reads a flag.
NO = frozenset({"0", "false", "no", "off"})
REASON = "Agent Work Orders is switched off on this server."
NEXT_ACTION = "Set ARCHON_AWO_ENABLED=true and restart the server."
HEADERS = {
    "Cache-Control": "no-store",
    "X-Content-Type-Options": "nosniff",
    "Cross-Origin-Resource-Policy": "same-origin",
}

logger = logging.getLogger("archon.awo")


def nobody_switched_it_on(environ: Mapping[str, str]) -> bool:
    """By the variable alone, or, where it is not set, because there is no file in which it could stand."""
    told = environ.get(VARIABLE, "").strip().lower()
    if told:
        return told in NO
    try:
        home = Path(environ.get("ARCHON_HOME", "").strip() or "~/.archon").expanduser()
        named = environ.get("AWO_CONFIG_DIR", "").strip() or environ.get("ARCHON_CONFIG_DIR", "").strip()
        config = Path(named or home / "config").expanduser()
        return not (config / "agent-settings.yaml").exists() and not (home / "config.yaml").exists()
    except (OSError, RuntimeError):  # a folder that is closed to us, a user without a home: the plugin says which
        return False


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncGenerator[None]:
    """Says what is the case when a host read its settings after it had loaded us."""
    if not nobody_switched_it_on(os.environ):
        logger.error(
            "Agent Work Orders stays off: %s was set after the server had loaded its modules. "
            "Put it into the environment that the server is started with.",
            VARIABLE,
        )
    yield


router = APIRouter(prefix="/api/awo", tags=["agent-work-orders"], lifespan=lifespan)


@router.get("/health/", include_in_schema=False)
@router.get("/health", summary="Ask whether Agent Work Orders can work")
async def read_health() -> JSONResponse:
    """It is off, and how to switch it on."""
    check = {"name": "switched_on", "ok": False, "required": True, "detail": REASON, "next_action": NEXT_ACTION}
    return JSONResponse({"status": "disabled", "checks": [check]}, headers=HEADERS)


@router.api_route("/{path:path}", methods=["GET", "POST", "PUT", "PATCH", "DELETE"], include_in_schema=False)
async def refuse(path: str) -> JSONResponse:
    """Every other route."""
    said: dict[str, Any] = {"error": REASON, "code": "disabled", "next_action": NEXT_ACTION, "fields": []}
    return JSONResponse({"detail": said}, 503, headers=HEADERS)
