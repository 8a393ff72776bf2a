"""What is on the pages by the names that a person, or a screen reader, knows it by. Knows no order and no server."""

import re

from playwright.sync_api import Locator, Page, expect

from ..agent_work_orders.story.archon import eventually


def header(page: Page) -> Locator:
    """Where an order stands, above everything else."""
    return page.get_by_role("heading", level=1).locator("xpath=..")


def question(page: Page) -> Locator:
    return page.get_by_role("region", name="A question for you")


def transcript(page: Page) -> Locator:
    return page.get_by_role("log", name="Transcript")


def conversation(page: Page) -> Locator:
    return page.get_by_role("list", name="Conversation")


def part(page: Page, name: str) -> Locator:
    """Opens one part of an order's page."""
    page.get_by_role("tab", name=re.compile(f"^{name}")).click()
    return page.get_by_role("tabpanel", name=re.compile(f"^{name}"))


def says_message(page: Page, text: str) -> None:
    """Writes to the agent, up to the button."""
    part(page, "Conversation")
    page.get_by_role("textbox", name="Message to the agent").fill(text)


def fits(page: Page) -> None:
    """Nothing stands out of the page sideways."""
    eventually(lambda: page.evaluate("document.documentElement.scrollWidth <= document.documentElement.clientWidth"))


def ends(page: Page, status: str) -> None:
    """The badge says so; other words beside it may only tell what is to come."""
    expect(header(page).get_by_text(status, exact=True)).to_be_visible()
