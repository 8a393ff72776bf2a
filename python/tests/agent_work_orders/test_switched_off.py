"""What stands in for the plugin: when it does, what it loads, and that it answers word for word as the plugin would."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient

from src.agent_work_orders import plugin, switched_off
from src.agent_work_orders.switched_off import nobody_switched_it_on

PYTHON_ROOT = Path(__file__).parents[2]
# What the plugin brings with it that takes time to load.
HEAVY = ("git", "prometheus_client", "yaml", "httpx", "sqlite3", "cryptography", "supabase")


@pytest.fixture(params=[{}, {"ARCHON_AWO_ENABLED": "false"}], ids=["unset", "false"])
def environment(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.delenv("ARCHON_AWO_ENABLED", raising=False)
    for name, value in {**request.param, "ARCHON_HOME": str(tmp_path / "home")}.items():
        monkeypatch.setenv(name, value)
    yield
    assert list(tmp_path.iterdir()) == []


def client_of(router: object) -> TestClient:
    app = FastAPI()
    app.include_router(router)  # type: ignore[arg-type]  # both are routers
    return TestClient(app, base_url="http://localhost")


@pytest.mark.usefixtures("environment")
def test_it_answers_as_the_plugin_does_while_it_is_off() -> None:
    app = FastAPI()
    app.include_router(plugin.router)
    routes = [
        (method.upper(), path.replace("{", "").replace("}", ""))
        for path, methods in app.openapi()["paths"].items()
        for method in methods
    ]
    assert len(routes) > 20
    with client_of(plugin.router) as off, client_of(switched_off.router) as stand_in:
        for method, path in [*routes, ("GET", "/api/awo/health/")]:
            theirs, ours = (client.request(method, path) for client in (off, stand_in))
            assert (ours.status_code, ours.json()) == (theirs.status_code, theirs.json()), (method, path)
            assert dict(ours.headers) == dict(theirs.headers), (method, path)


def test_a_server_without_awo_loads_nothing_of_it_and_starts_no_task(tmp_path: Path) -> None:
    program = f"""
import asyncio, sys, threading
from src.agent_work_orders import router
loaded = [name for name in sys.modules if name.startswith("src.agent_work_orders.")]
assert loaded == ["src.agent_work_orders.switched_off"], loaded
assert not {set(HEAVY)!r} & set(sys.modules), {set(HEAVY)!r} & set(sys.modules)

async def main():
    from fastapi import FastAPI
    async with router.lifespan_context(FastAPI()):
        assert asyncio.all_tasks() == {{asyncio.current_task()}}
        assert threading.enumerate() == [threading.main_thread()]
asyncio.run(main())
"""
    said = subprocess.run(
        [sys.executable, "-c", program],
        cwd=PYTHON_ROOT,
        env={"HOME": str(tmp_path)},
        capture_output=True,
        text=True,
        stdin=subprocess.DEVNULL,
        timeout=60,
    )
    assert said.returncode == 0, said.stderr
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("told", ["0", "false", " No ", "OFF"])
def test_it_is_off_where_the_variable_says_so_whatever_a_file_says(told: str, tmp_path: Path) -> None:
    (tmp_path / "config.yaml").write_text("agent_work_orders: {enabled: true}")
    assert nobody_switched_it_on({"ARCHON_AWO_ENABLED": told, "ARCHON_HOME": str(tmp_path)})


@pytest.mark.parametrize("told", ["1", "true", "Yes", "on", "perhaps"])
def test_whatever_else_the_variable_says_is_for_the_plugin_to_judge(told: str, tmp_path: Path) -> None:
    assert not nobody_switched_it_on({"ARCHON_AWO_ENABLED": told, "ARCHON_HOME": str(tmp_path)})


@pytest.mark.parametrize(
    ("name", "variable"),
    [
        ("config/agent-settings.yaml", None),
        ("config.yaml", None),
        ("elsewhere/agent-settings.yaml", "AWO_CONFIG_DIR"),
        ("elsewhere/agent-settings.yaml", "ARCHON_CONFIG_DIR"),
    ],
)
def test_a_file_in_which_it_could_stand_is_for_the_plugin_to_read(
    name: str, variable: str | None, tmp_path: Path
) -> None:
    environ = {"ARCHON_HOME": str(tmp_path), "ARCHON_AWO_ENABLED": ""}
    if variable is not None:
        environ[variable] = str(tmp_path / "elsewhere")
    assert nobody_switched_it_on(environ)
    (tmp_path / name).parent.mkdir(exist_ok=True)
    (tmp_path / name).touch()
    assert not nobody_switched_it_on(environ)


def test_a_home_that_cannot_be_named_is_for_the_plugin_to_tell_of() -> None:
    assert not nobody_switched_it_on({"ARCHON_HOME": "~nobody-of-that-name/archon"})


def test_a_host_that_read_its_settings_too_late_is_told(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("ARCHON_AWO_ENABLED", "true")
    with client_of(switched_off.router):
        assert "ARCHON_AWO_ENABLED was set after the server had loaded its modules" in caplog.text
