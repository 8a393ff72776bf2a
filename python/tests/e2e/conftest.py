"""The system's Chromium, and people who use it on the stories' server: the real one, on a rehearsal's stage."""

from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any, Protocol

import pytest
from playwright.sync_api import Browser, ViewportSize, expect, sync_playwright

from src.agent_work_orders.rehearsal import Stage
from src.server.pages import DIST

from ..agent_work_orders.story.archon import Archon
from ..agent_work_orders.story.conftest import archon, make_repository, play, remote, stage, start_archon
from .chromium import ChromiumMissing, chromium, must_be_there
from .person import DESKTOP, Person

__all__ = ["archon", "make_repository", "play", "remote", "stage", "start_archon"]

PATIENCE = 20_000  # milliseconds until a fact has to be there; two workers and their servers share few cores


class Visit(Protocol):
    def __call__(
        self, archon: Archon, *, name: str = ..., viewport: ViewportSize = ..., address: str = ..., **context: Any
    ) -> Person: ...


@pytest.fixture(scope="package")
def browser() -> Iterator[Browser]:
    """One browser for all tests here. Not for the whole session: while it is open, no event loop can be started."""
    try:
        program = chromium()
    except ChromiumMissing as missing:
        if must_be_there():
            pytest.fail(f"NO PAGE IS TESTED: {missing}", pytrace=False)
        pytest.skip(f"NO PAGE IS TESTED: {missing}")
    if not (DIST / "index.html").is_file():
        pytest.fail("NO PAGE IS TESTED: the pages are not built; run `make ui`.", pytrace=False)
    expect.set_options(timeout=PATIENCE)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program)
        yield browser
        browser.close()


@pytest.fixture
def visit(browser: Browser, stage: Stage) -> Iterator[Visit]:
    """People with a browser profile each. None of them may have seen an error, or hold a secret at the end."""
    people: list[Person] = []
    with ExitStack() as stack:

        def visit(
            archon: Archon,
            *,
            name: str = "",
            viewport: ViewportSize = DESKTOP,
            address: str = "",
            **context: Any,
        ) -> Person:
            made = stack.enter_context(browser.new_context(viewport=viewport, reduced_motion="reduce", **context))
            if name:
                made.add_init_script(f"if (location.host) localStorage.setItem('archon-user', {name!r})")
            person = Person(made, address or archon.address, (stage.github_token, stage.anthropic_api_key))
            people.append(person)
            return person

        yield visit
        faults = {f"person {number}": found for number, person in enumerate(people) if (found := person.faults())}
    assert not faults
