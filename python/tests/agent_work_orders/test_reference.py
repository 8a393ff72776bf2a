"""The reference pages are what the code says, word for word."""

import importlib.util
import re
from functools import cache
from pathlib import Path

import pytest
from fastapi import FastAPI
from prometheus_client import generate_latest

from src.agent_work_orders.api import router
from src.agent_work_orders.domain.errors import FailureClass
from src.agent_work_orders.domain.events import PAYLOADS
from src.agent_work_orders.metrics import Catalogue
from src.agent_work_orders.reference import FAILURES, MADE_BY, documents, main

ROOT = Path(__file__).parents[3]


@pytest.mark.parametrize("path", list(documents()))
def test_a_page_is_what_the_code_says(path: str) -> None:
    assert (ROOT / path).read_text(encoding="utf-8") == documents()[path], f"run `{MADE_BY}` in python/"


def test_the_program_writes_all(tmp_path: Path) -> None:
    assert main(tmp_path) == 0
    assert {path: (tmp_path / path).read_text(encoding="utf-8") for path in documents()} == documents()


@cache
def known_routes() -> list[str]:
    """A pattern for every path."""
    application = FastAPI()
    application.include_router(router)
    return [re.sub(r"\\{[^}]*\\}", "[^/]+", re.escape(path)) for path in application.openapi()["paths"]]


def documents_of_people() -> list[Path]:
    return [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]


@pytest.mark.parametrize("document", documents_of_people(), ids=lambda path: path.name)
def test_every_route_in_a_document_is_one(document: Path) -> None:
    routes = known_routes()
    named = re.findall(r"(/api/awo/[^\s`'\"?)*|]+)", document.read_text(encoding="utf-8"))
    unknown = [path for path in named if not any(re.fullmatch(route, path.rstrip("/.,")) for route in routes)]
    assert not unknown


@pytest.mark.parametrize("document", documents_of_people(), ids=lambda path: path.name)
def test_every_program_in_a_document_is_one(document: Path) -> None:
    for name in re.findall(r"python -m (src[a-z_.]+[a-z_])", document.read_text(encoding="utf-8")):
        assert importlib.util.find_spec(name) is not None, name


def test_troubleshooting_is_keyed_by_what_the_software_says() -> None:
    page = (ROOT / "docs" / "agent-work-orders-deployment.md").read_text(encoding="utf-8")
    table = page.partition("## Troubleshooting")[2].partition("##")[0]
    messages = re.findall(r"^\| `([^`]+)` \|", table, re.MULTILINE)
    assert len(messages) > 5
    sources = "\n".join(path.read_text(encoding="utf-8") for path in (ROOT / "python" / "src").rglob("*.py"))
    assert not [message for message in messages if message not in sources]


def test_the_defaults_that_the_readme_shows_are_in_force() -> None:
    row = re.compile(r"^\|(?: `\w+` \|)? `([A-Z_]+)` \| ([^|]+) \|", re.MULTILINE)
    shown = dict(row.findall((ROOT / "README.md").read_text(encoding="utf-8")))
    in_force = dict(row.findall((ROOT / "docs" / "reference" / "settings.md").read_text(encoding="utf-8")))
    assert len(shown) > 5
    for name, default in shown.items():
        # What is found out is no default.
        assert default.strip("`") == in_force[name].strip("`") or (default, in_force[name]) == ("found out", "none"), (
            name
        )


def test_nothing_is_left_out() -> None:
    """Settings have a test of their own, beside the desk that writes their page."""
    pages = documents()
    assert set(FAILURES) == set(FailureClass)
    assert all(f"## `{kind}`" in pages["docs/reference/events.md"] for kind in PAYLOADS)
    assert all(f"| `{one}` |" in pages["docs/reference/failures.md"] for one in FailureClass)
    application = FastAPI()
    application.include_router(router)
    for path, methods in application.openapi()["paths"].items():
        assert all(f"| {method.upper()} | `{path}` |" in pages["docs/reference/api.md"] for method in methods), path
    # As the library tells them, whatever the page is made from; the times at which counters were born are left out.
    told = re.findall(r"^# HELP (\w+?)(?<!_created) ", generate_latest(Catalogue().registry).decode(), re.MULTILINE)
    assert len(told) > 15
    assert not [name for name in told if f"`{name}`" not in pages["docs/reference/metrics.md"]]
