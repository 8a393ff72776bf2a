"""Every page and its main states, as axe-core sees them: in light and dark, at a desk and on a phone, no violation.
At the same time nothing stands out of a page sideways. The stories say the rest: these pages are only looked at."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import pytest
from playwright.sync_api import Page, expect

from src.agent_work_orders.rehearsal import Stage

from ..agent_work_orders.story.archon import Archon, Order
from ..agent_work_orders.story.conftest import StartArchon
from ..agent_work_orders.story.scripts import FILES, bash, executing, in_step, says
from .axe import violations
from .conftest import Visit
from .pages import ends, fits, part, question, transcript
from .person import DESKTOP, PHONE

PROSE = """I look first.

```python
print("hello")
```

| a | b |
| - | - |
| 1 | [2](https://example.org) |

> Said.
"""


@dataclass(frozen=True)
class Orders:
    """One order in each state."""

    running: Order
    asking: Order
    failed: Order
    completed: Order


@pytest.fixture(scope="module")
def orders(archon: Archon, stage: Stage) -> Orders:
    gate = "accessible"
    url = stage.add_repository("accessible", "states", FILES)
    write = bash("printf 'def hello():\\n    return \"hello\"\\n' > hello.py; echo '# More words' >> README.md")
    stage.model.play(
        {
            "scripts": [
                executing(bash("touch broken"), says("Done."), request="Break it"),
                in_step("repair", says("I do not see it.")),
                executing(write, says("Never.", gate=gate), request="Run for long"),
                executing(bash("ls -l; false", text=PROSE), write, says("I wrote it.")),
            ]
        }
    )
    failed = archon.file(url, "Break it.")
    asking = archon.file(url, "Ask before the push.", requires_approval=["push"])
    completed = archon.file(url, "Write hello.py.")
    failed.ended()
    completed.completed()
    asking.until("order_waiting", reason="approval")
    running = archon.file(url, "Run for long.")
    running.until("tool_returned")
    return Orders(running, asking, failed, completed)


@contextmanager
def all_looks(page: Page, what: str) -> Iterator[None]:
    """After the block the state has to be clean in every look, and to fit a phone."""
    yield
    found = violations(page)
    assert not found, "\n".join([what, *found])
    page.set_viewport_size(PHONE)
    fits(page)
    page.set_viewport_size(DESKTOP)


def test_the_pages_of_a_server_without_orders_are_clean(start_archon: StartArchon, visit: Visit) -> None:
    archon = start_archon(GITHUB_TOKEN="", ANTHROPIC_API_KEY="")
    page = visit(archon).open("/agent-work-orders")
    with all_looks(page, "the empty list"):
        expect(page.get_by_role("link", name="File the first work order")).to_be_visible()
    page.goto(f"{archon.address}/agent-work-orders/repositories")
    with all_looks(page, "no repositories"):
        expect(page.get_by_role("button", name="Add the first repository")).to_be_visible()
    page.get_by_role("button", name="Add the first repository").click()
    with all_looks(page, "adding a repository"):
        page.get_by_role("dialog").get_by_label("Address").fill("not an address")
        expect(page.get_by_role("dialog").get_by_role("alert")).to_be_visible()
    page.goto(f"{archon.address}/agent-work-orders/status")
    with all_looks(page, "the status of a server without credentials"):
        expect(page.get_by_role("heading", level=1, name="Status")).to_be_visible()
        expect(page.get_by_text(re.compile("slots?", re.IGNORECASE)).first).to_be_visible()
    page.goto(f"{archon.address}/agent-work-orders/a/b")
    with all_looks(page, "an address that leads nowhere"):
        expect(page.get_by_text("There is nothing at this address")).to_be_visible()


def test_the_list_and_its_menus_are_clean(archon: Archon, orders: Orders, visit: Visit) -> None:
    page = visit(archon).open("/agent-work-orders")
    with all_looks(page, "the list"):
        expect(page.get_by_role("region", name="Orders that need you")).to_be_visible()
        expect(page.get_by_role("link", name="Run for long.")).to_be_visible()
    with all_looks(page, "a selection"):
        page.get_by_role("checkbox", name="Select Run for long.").click()
        expect(page.get_by_role("toolbar")).to_be_visible()
    page.get_by_role("toolbar").get_by_role("button", name="Cancel…").click()
    with all_looks(page, "asking before a cancel"):
        expect(page.get_by_role("alertdialog")).to_be_visible()
    page.keyboard.press("Escape")
    page.get_by_role("button", name="Any status").click()
    with all_looks(page, "the menu of statuses"):
        expect(page.get_by_role("menu")).to_be_visible()
    page.keyboard.press("Escape")
    page.get_by_role("button", name="You and your colours").click()
    page.get_by_role("menuitem", name="Say who you are…").click()
    with all_looks(page, "saying who one is"):
        expect(page.get_by_role("dialog", name="Who are you?")).to_be_visible()
    page.keyboard.press("Escape")
    page.keyboard.press("?")
    with all_looks(page, "the keys"):
        expect(page.get_by_role("dialog", name="Keys")).to_be_visible()
    page.keyboard.press("Escape")
    page.keyboard.press("Control+k")
    with all_looks(page, "the palette"):
        expect(page.get_by_role("dialog", name="Find anything")).to_be_visible()
    page.goto(f"{archon.address}/agent-work-orders?q=no-such-words")
    with all_looks(page, "a list in which nothing matches"):
        expect(page.get_by_text("Nothing matches")).to_be_visible()


def test_the_form_of_a_new_order_is_clean(archon: Archon, visit: Visit) -> None:
    page = visit(archon).open("/agent-work-orders/new")
    with all_looks(page, "the form"):
        expect(page.get_by_role("radio").first).to_be_visible()
    with all_looks(page, "the form with everything open and wrong"):
        for summary in page.locator("summary").all():
            summary.click()
        page.get_by_role("combobox", name="Repository").fill("not an address")
        page.get_by_label("Most it may cost").fill("much")
        page.get_by_role("button", name="File it").click()
        expect(page.get_by_role("alert").first).to_be_visible()


def test_an_order_that_runs_is_clean(archon: Archon, orders: Orders, visit: Visit) -> None:
    page = visit(archon).open(f"/agent-work-orders/{orders.running.id}")
    with all_looks(page, "a running order"):
        expect(transcript(page).get_by_text("README.md").first).to_be_visible()
    with all_looks(page, "finding in the transcript"):
        page.get_by_role("searchbox", name="Find in the transcript").fill("hello")
        expect(page.get_by_role("button", name="Next match")).to_be_visible()
    page.get_by_role("button", name="Cancel…").click()
    with all_looks(page, "asking before a cancel"):
        expect(page.get_by_role("alertdialog")).to_be_visible()


def test_an_order_that_asks_is_clean(archon: Archon, orders: Orders, visit: Visit) -> None:
    page = visit(archon).open(f"/agent-work-orders/{orders.asking.id}")
    with all_looks(page, "a question"):
        expect(question(page).get_by_role("button", name="Approve")).to_be_visible()
        expect(transcript(page).get_by_text("I wrote it.")).to_be_visible()


def test_an_order_that_failed_is_clean(archon: Archon, orders: Orders, visit: Visit) -> None:
    page = visit(archon).open(f"/agent-work-orders/{orders.failed.id}")
    with all_looks(page, "a failed order"):
        ends(page, "failed")
        expect(page.get_by_role("alert").first).to_be_visible()
    with all_looks(page, "its evidence"):
        expect(part(page, "Evidence").get_by_role("region", name="Checks")).to_contain_text("make test")
    page.get_by_role("button", name="Retry…").click()
    with all_looks(page, "asking from where to retry"):
        expect(page.get_by_role("alertdialog")).to_be_visible()


def test_an_order_that_is_done_is_clean(archon: Archon, orders: Orders, visit: Visit) -> None:
    page = visit(archon).open(f"/agent-work-orders/{orders.completed.id}")
    with all_looks(page, "a completed order"):
        ends(page, "completed")
        expect(transcript(page).get_by_text("I wrote it.")).to_be_visible()
    diff = part(page, "Diff")
    with all_looks(page, "its diff, with a comment"):
        diff.get_by_role("button", name="Comment on added line 1").first.click()
        page.get_by_label("Comment on this line").fill("Why?")
        page.get_by_role("button", name="Add the comment").click()
        expect(page.get_by_text("1 comment not sent")).to_be_visible()
    with all_looks(page, "its conversation"):
        expect(part(page, "Conversation").get_by_text("The order is completed")).to_be_visible()
    page.get_by_role("button", name="More", exact=True).click()
    page.get_by_role("menuitem", name="Delete…").click()
    with all_looks(page, "asking before it is deleted"):
        expect(page.get_by_role("alertdialog")).to_be_visible()


def test_repositories_and_status_are_clean(archon: Archon, orders: Orders, stage: Stage, visit: Visit) -> None:
    url = stage.add_repository("accessible", "configured", FILES)
    archon.client.post("/repositories", json={"repository_url": url}).raise_for_status()
    page = visit(archon).open("/agent-work-orders/repositories")
    card = page.get_by_role("article", name="accessible/configured")
    with all_looks(page, "a repository that was verified"):
        card.get_by_role("button", name="Verify").click()
        expect(card.get_by_text("Verified")).to_be_visible()
    with all_looks(page, "its options"):
        card.get_by_role("button", name="Options").click()
        expect(card.get_by_role("form")).to_be_visible()
        for summary in card.locator("summary").all():
            summary.click()
    page.goto(f"{archon.address}/agent-work-orders/status")
    with all_looks(page, "the status"):
        expect(page.get_by_role("link", name=re.compile(orders.running.id[-4:])).first).to_be_visible()


def test_the_settings_are_clean(archon: Archon, visit: Visit) -> None:
    page = visit(archon).open("/settings")
    tabs = page.get_by_role("tab")
    expect(tabs.first).to_be_visible()
    for tab in tabs.all():
        tab.click()
        with all_looks(page, f"the section {tab.text_content()}"):
            expect(page.get_by_role("tabpanel")).to_be_visible()


def test_settings_that_are_being_changed_are_clean(start_archon: StartArchon, visit: Visit) -> None:
    archon = start_archon(GITHUB_TOKEN="", ANTHROPIC_API_KEY="")
    page = visit(archon).open("/settings")
    page.get_by_role("button", name="Set GitHub token").click()
    dialog = page.get_by_role("dialog")
    with all_looks(page, "a secret that does not work"):
        dialog.get_by_label("GitHub token").fill("ghp_000000000000000000000000000000000000")
        dialog.get_by_role("button", name="Test it").click()
        expect(dialog.get_by_text("Something that is needed does not work")).to_be_visible()
    page.keyboard.press("Escape")
    page.get_by_role("tab", name="Limits").click()
    with all_looks(page, "changes that are not saved, one of them wrong"):
        field = page.get_by_role("tabpanel").get_by_role("textbox").first
        field.fill("-7")
        expect(page.get_by_role("tabpanel").get_by_role("alert").first).to_be_visible()
    page.get_by_role("navigation").get_by_role("link", name="Status").click()
    with all_looks(page, "asking before one leaves"):
        expect(page.get_by_role("alertdialog")).to_be_visible()
