"""Into a public checkout and out of it again: byte for byte, twice, and with somebody's changes respected."""

import hashlib
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
SCRIPT = ROOT / "scripts" / "install_into.py"
MAIN = """\
\"\"\"Archon.\"\"\"
from fastapi import FastAPI

from .api_routes.knowledge_api import router as knowledge_router
from .api_routes.settings_api import router as settings_router

# Import Logfire configuration
app = FastAPI()
app.include_router(settings_router)
app.include_router(knowledge_router)


@app.get("/")
async def root():
    return {}
"""
MCP = """\
mcp = object()


def register_modules():
    return 0


# Register all modules when this file is imported
try:
    register_modules()
except Exception:
    raise
"""


@pytest.fixture(params=["\n", "\r\n"], ids=["unix", "dos"])
def checkout(tmp_path: Path, request: pytest.FixtureRequest) -> Path:
    """A small stand-in of the public layout."""
    end: str = request.param
    root = tmp_path / "archon"
    for name, text in {
        "python/src/__init__.py": "",
        "python/src/server/__init__.py": "",
        "python/src/server/main.py": MAIN,
        "python/src/server/api_routes/__init__.py": "",
        "python/src/server/api_routes/knowledge_api.py": "from fastapi import APIRouter\nrouter = APIRouter()\n",
        "python/src/server/api_routes/settings_api.py": "from fastapi import APIRouter\nrouter = APIRouter()\n",
        "python/src/mcp_server/__init__.py": "",
        "python/src/mcp_server/mcp_server.py": MCP,
        "python/src/mcp_server/features/__init__.py": "",
        "migration/complete_setup.sql": "select 1;\n",
        "docker-compose.yml": "services: {}\n",
    }.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(text.replace("\n", end).encode())
    return root


def tree(root: Path) -> dict[str, str]:
    return {
        str(path.relative_to(root)): hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else "folder"
        for path in root.rglob("*")
    }


def run(root: Path, *options: str) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, str(SCRIPT), str(root), *options]
    return subprocess.run(command, capture_output=True, text=True, stdin=subprocess.DEVNULL, timeout=60)


def test_it_goes_in_twice_and_out_again_byte_for_byte(checkout: Path) -> None:
    before = tree(checkout)
    first = run(checkout)
    assert first.returncode == 0, first.stderr
    assert "edited   python/src/server/main.py" in first.stdout
    installed = tree(checkout)
    assert (checkout / "python/src/agent_work_orders/plugin.py").is_file()
    assert (checkout / "migration/awo_setup.sql").is_file()

    second = run(checkout)
    assert second.returncode == 0
    assert "Nothing to do" in second.stdout
    assert tree(checkout) == installed

    undone = run(checkout, "--undo")
    assert undone.returncode == 0, undone.stderr
    assert tree(checkout) == before


def test_the_edits_are_four_lines_with_the_line_ends_of_their_files(checkout: Path) -> None:
    def lines(name: str) -> list[bytes]:
        return (checkout / name).read_bytes().splitlines(keepends=True)

    names = ("python/src/server/main.py", "python/src/mcp_server/mcp_server.py")
    before = {name: lines(name) for name in names}
    run(checkout)
    added = {name: [line for line in lines(name) if line not in before[name]] for name in names}
    end = before[names[0]][0].removeprefix(before[names[0]][0].rstrip(b"\r\n"))
    assert added[names[0]] == [
        b"from ..agent_work_orders import router as agent_work_orders_router" + end,
        b"app.include_router(agent_work_orders_router)" + end,
    ]
    assert added[names[1]] == [
        b"    from src.mcp_server.features.agent_work_orders import register_work_order_tools" + end,
        b"    register_work_order_tools(mcp)" + end,
    ]
    assert all(line.endswith(end) for name in names for line in lines(name))


def test_what_is_installed_can_be_imported_there_and_says_that_it_is_off(checkout: Path) -> None:
    run(checkout)
    program = (
        "from fastapi.testclient import TestClient\n"
        "from src.server.main import app\n"
        "with TestClient(app, base_url='http://localhost') as client:\n"
        "    answer = client.get('/api/awo/health').json()\n"
        "    assert answer['status'] == 'disabled', answer\n"
    )
    # The host's own services are not in the stand-in; switched off the plugin needs none of them.
    said = subprocess.run(
        [sys.executable, "-c", program],
        cwd=checkout / "python",
        env={"PATH": "", "HOME": str(checkout)},
        capture_output=True,
        text=True,
        timeout=120,
        stdin=subprocess.DEVNULL,
    )
    assert said.returncode == 0, said.stderr


def test_what_somebody_changed_is_kept_and_named(checkout: Path) -> None:
    run(checkout)
    changed = checkout / "python/src/agent_work_orders/commands/planning.md"
    changed.write_text("Mine.")
    again = run(checkout)
    assert again.returncode == 1
    assert "planning.md is there already" in again.stderr
    undone = run(checkout, "--undo")
    assert "KEPT     python/src/agent_work_orders/commands/planning.md" in undone.stdout
    assert changed.read_text() == "Mine."


def test_something_else_under_our_name_is_left_alone(checkout: Path) -> None:
    theirs = checkout / "python/src/agent_work_orders/plugin.py"
    theirs.parent.mkdir()
    theirs.write_text("theirs")
    before = tree(checkout)
    said = run(checkout)
    assert said.returncode == 1
    assert "plugin.py is there already" in said.stderr
    assert tree(checkout) == before


def test_another_layout_is_refused_and_nothing_is_touched(checkout: Path) -> None:
    main = checkout / "python/src/server/main.py"
    main.write_text("app = None\n")
    before = tree(checkout)
    said = run(checkout)
    assert said.returncode == 1
    assert "laid out differently" in said.stderr
    assert tree(checkout) == before


def test_a_folder_that_is_no_archon_is_refused(tmp_path: Path) -> None:
    said = run(tmp_path)
    assert said.returncode == 1
    assert "is no checkout of Archon v1" in said.stderr
    assert list(tmp_path.iterdir()) == []
