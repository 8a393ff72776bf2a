"""What the host's tests share: a clean environment, the application in-process, and a database one can break."""

import base64
import json
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import httpx
import pytest

from .pretend_database import PretendDatabase

# Everything of the environment that the host reads; a test sets what it means to test.
ENVIRONMENT = (
    "SUPABASE_URL",
    "SUPABASE_SERVICE_KEY",
    "ARCHON_ENCRYPTION_KEY",
    "ARCHON_ENCRYPTION_KEY_PREVIOUS",
    "HOST",
    "ARCHON_SERVER_PORT",
    "ARCHON_UI_PORT",
    "ARCHON_RELOAD",
    "AWO_ALLOWED_HOSTS",
    "AWO_ALLOWED_ORIGINS",
    "AWO_API_TOKEN",
    "LOGFIRE_ENABLED",
    "LOGFIRE_TOKEN",
    "LOG_LEVEL",
)


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Embedded mode in an empty home, whatever the machine's own environment says."""
    for name in ENVIRONMENT:
        monkeypatch.delenv(name, raising=False)
    path = tmp_path / "archon"
    monkeypatch.setenv("ARCHON_HOME", str(path))
    return path


def service_key(role: str = "service_role") -> str:
    """A key in the form that Supabase's client accepts."""

    def part(claims: dict[str, str]) -> str:
        return base64.urlsafe_b64encode(json.dumps(claims).encode()).decode().rstrip("=")

    return f"{part({'alg': 'HS256'})}.{part({'role': role})}.c2lnbmF0dXJl"


def is_made(home: Path) -> bool:
    """Whether anything was written where state is kept."""
    return home.exists()


def make_unusable(home: Path) -> None:
    """A home in which nothing can be kept, for root as well."""
    home.write_text("a file where the home should be")


@pytest.fixture
def database(monkeypatch: pytest.MonkeyPatch) -> Iterator[PretendDatabase]:
    """Supabase mode against a pretend PostgREST on loopback."""
    pytest.importorskip("supabase")
    with PretendDatabase() as pretend:
        monkeypatch.setenv("SUPABASE_URL", pretend.url)
        monkeypatch.setenv("SUPABASE_SERVICE_KEY", service_key())
        yield pretend


@pytest.fixture
async def client() -> AsyncIterator[httpx.AsyncClient]:
    """The host's own routes, as a program on this machine calls them; without the plugin and without a lifespan."""
    from fastapi import FastAPI

    from src.server.api_routes.migration_api import router as migration_router
    from src.server.api_routes.settings_api import router as settings_router

    app = FastAPI()
    app.include_router(settings_router)
    app.include_router(migration_router)
    transport = httpx.ASGITransport(app=app, client=("127.0.0.1", 50_000))
    async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1:8181") as caller:
        yield caller
