"""With keys alone: an order is filed, watched, answered and written to, and the focus is always seen."""

import re

from playwright.sync_api import Locator, Page, expect

from ..agent_work_orders.story.archon import Archon
from ..agent_work_orders.story.conftest import Play
from ..agent_work_orders.story.remote import Remote
from ..agent_work_orders.story.scripts import WRITES_HELLO
from .conftest import Visit
from .pages import conversation, ends, question

# A person who has to press a key more often than this has been forgotten.
MOST_PRESSES = 40
IS_FOCUSED = "element => element === document.activeElement"
# What has the focus can be told from what has not: an outline, or a ground of its own in menus.
IS_SEEN = """() => {
  const element = document.activeElement;
  const look = getComputedStyle(element);
  const place = element.getBoundingClientRect();
  const inside = place.bottom > 0 && place.top < innerHeight && place.right > 0 && place.left < innerWidth;
  const outlined = look.outlineStyle !== "none" && look.outlineWidth !== "0px";
  return inside && (outlined || element.matches("[data-highlighted]"));
}"""


def go_to(page: Page, wanted: Locator, key: str = "Tab") -> None:
    """Presses the key until the focus is there; on the way and at the end it is seen where it is."""
    expect(wanted).to_be_visible()
    for _ in range(MOST_PRESSES):
        if wanted.evaluate(IS_FOCUSED):
            assert page.evaluate(IS_SEEN), f"the focus on {wanted} is not seen"
            return
        page.keyboard.press(key)
    raise AssertionError(f"{wanted} is not reached with {MOST_PRESSES} presses of {key}")


def test_an_order_is_filed_and_approved_with_keys_alone(
    archon: Archon, play: Play, remote: Remote, visit: Visit
) -> None:
    play(WRITES_HELLO)
    page = visit(archon, name="Ana").open("/agent-work-orders")
    expect(page.get_by_role("heading", level=1, name="Work orders")).to_be_visible()

    page.keyboard.press("c")
    expect(page.get_by_role("textbox", name="What should be done?")).to_be_focused()
    page.keyboard.type("Write hello.txt with keys alone.")
    go_to(page, page.get_by_role("combobox", name="Repository"))
    page.keyboard.type(remote.url)
    go_to(page, page.get_by_role("radio", checked=True))
    quick = page.get_by_role("radio", name=re.compile("^quick fix"))
    go_to(page, quick, "ArrowDown")
    go_to(page, page.get_by_role("checkbox", name="before the branch is pushed"))
    page.keyboard.press("Space")
    page.keyboard.press("Control+Enter")

    expect(page.get_by_role("heading", level=1, name="Write hello.txt with keys alone.")).to_be_visible()
    expect(question(page)).to_be_visible()
    page.keyboard.press("3")
    expect(page.get_by_role("region", name="Changed lines").get_by_text("hello", exact=True)).to_be_visible()
    go_to(page, question(page).get_by_role("button", name="Approve"), "Shift+Tab")
    page.keyboard.press("Enter")
    ends(page, "completed")

    # A word to the agent, and back to the list and into the order again.
    page.keyboard.press("m")
    expect(page.get_by_role("textbox", name="Message to the agent")).to_be_focused()
    page.keyboard.type("Thank you.")
    page.keyboard.press("Control+Enter")
    expect(conversation(page).get_by_text("Thank you.")).to_be_visible()
    page.evaluate("document.activeElement.blur()")
    page.keyboard.press("g")
    page.keyboard.press("l")
    expect(page.get_by_role("heading", level=1, name="Work orders")).to_be_visible()
    page.keyboard.press("/")
    expect(page.get_by_role("searchbox", name="Find in requests")).to_be_focused()
    page.keyboard.type("keys alone")
    expect(page).to_have_url(re.compile(r"q=keys"))
    page.keyboard.press("Escape")
    link = page.get_by_role("list").get_by_role("link", name="Write hello.txt with keys alone.").last
    go_to(page, link)
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", level=1, name="Write hello.txt with keys alone.")).to_be_visible()


def test_a_dialog_keeps_the_focus_and_gives_it_back_to_what_opened_it(
    archon: Archon, play: Play, remote: Remote, visit: Visit
) -> None:
    play(WRITES_HELLO)
    order = archon.file(remote.url, requires_approval=["push"])
    page = visit(archon).open(f"/agent-work-orders/{order.id}")
    cancel = page.get_by_role("button", name="Cancel…")
    go_to(page, cancel)
    page.keyboard.press("Enter")
    dialog = page.get_by_role("alertdialog")
    expect(dialog.get_by_role("button", name="Keep it")).to_be_focused()
    for _ in range(5):
        page.keyboard.press("Tab")
        assert page.evaluate("document.activeElement.closest('[role=alertdialog]') !== null")
    page.keyboard.press("Escape")
    expect(dialog).to_be_hidden()
    expect(cancel).to_be_focused()
    assert order.now()["cancel_requested_at"] is None

    # From a menu: its entry is gone by then, its button is not.
    you = page.get_by_role("button", name="You and your colours")
    you.focus()
    page.keyboard.press("Enter")
    expect(page.get_by_role("menu")).to_be_visible()
    page.keyboard.press("Enter")
    expect(page.get_by_role("dialog").get_by_role("textbox")).to_be_focused()
    page.keyboard.press("Escape")
    expect(you).to_be_focused()
