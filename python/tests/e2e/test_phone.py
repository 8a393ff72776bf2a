"""A phone: everything can be reached and done with a thumb, and nothing stands out of the page sideways."""

import re

from playwright.sync_api import ViewportSize, expect

from ..agent_work_orders.story.archon import Archon
from ..agent_work_orders.story.conftest import Play
from ..agent_work_orders.story.remote import Remote
from ..agent_work_orders.story.scripts import WRITES_HELLO
from .conftest import Visit
from .pages import conversation, ends, fits, part, question
from .person import PHONE

# The narrowest that has to do (WCAG 1.4.10): a desk's width at 400 %.
NARROW: ViewportSize = {"width": 320, "height": 640}
PARTS = ("transcript", "evidence", "diff", "conversation")


def test_an_order_is_filed_and_answered_on_a_phone(archon: Archon, play: Play, remote: Remote, visit: Visit) -> None:
    play(WRITES_HELLO)
    page = visit(archon, viewport=PHONE, has_touch=True, is_mobile=True).open("/")
    for name in ("Repositories", "Status", "Settings", "Work orders", "New work order"):
        page.get_by_role("navigation", name="Main").get_by_role("link", name=name).tap()
        expect(page.get_by_role("heading", level=1)).to_have_text(re.compile(name, re.IGNORECASE))
        fits(page)

    page.get_by_role("textbox", name="What should be done?").fill("Write hello.txt on a phone.")
    page.get_by_role("combobox", name="Repository").fill(remote.url)
    page.get_by_role("radio", name=re.compile("^quick fix")).tap()
    page.get_by_text("before the branch is pushed").tap()
    page.get_by_role("button", name="File it").tap()
    expect(page.get_by_role("heading", level=1, name="Write hello.txt on a phone.")).to_be_visible()
    expect(question(page)).to_be_visible()
    fits(page)
    question(page).get_by_role("button", name="Read the diff").tap()
    expect(page.get_by_role("region", name="Changed lines").get_by_text("hello", exact=True)).to_be_visible()
    fits(page)
    question(page).get_by_role("button", name="Answer…").tap()
    question(page).get_by_role("button", name="Approve").tap()
    ends(page, "completed")
    page.get_by_text("Steps and facts").tap()
    expect(page.get_by_role("link", name="#1")).to_be_visible()
    fits(page)
    part(page, "Conversation")
    page.get_by_role("textbox", name="Message to the agent").fill("Thank you.")
    page.get_by_role("button", name="Start a follow-up on this branch").tap()
    expect(conversation(page).get_by_text("Thank you.")).to_be_visible()
    fits(page)


def test_every_page_fits_the_narrowest_screen(archon: Archon, play: Play, remote: Remote, visit: Visit) -> None:
    play(WRITES_HELLO)
    order = archon.file(remote.url, "Write hello.txt, and_one_very_long_name_that_has_no_place_to_break_" + "x" * 80)
    order.completed()
    person = visit(archon, viewport=NARROW)
    for path in ("", "/new", "/repositories", "/status", *(f"/{order.id}?part={one}" for one in PARTS)):
        page = person.open(f"/agent-work-orders{path}")
        expect(page.get_by_role("heading", level=1)).to_be_visible()
        expect(page.get_by_role("tabpanel") if "part" in path else page.get_by_role("main")).to_be_visible()
        fits(page)
        page.close()
    page = person.open("/settings")
    expect(page.get_by_role("tab").first).to_be_visible()
    for tab in page.get_by_role("tab").all():
        tab.click()
        fits(page)
