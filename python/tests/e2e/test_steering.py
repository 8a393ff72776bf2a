"""People who change their minds, and orders that fail: what the page says meanwhile, and what one can do next."""

from playwright.sync_api import expect

from ..agent_work_orders.story.archon import Archon
from ..agent_work_orders.story.conftest import Play
from ..agent_work_orders.story.processes import processes_of
from ..agent_work_orders.story.remote import Remote
from ..agent_work_orders.story.scripts import WRITES_HELLO, bash, executing, in_step, says
from .conftest import Visit
from .pages import ends, header, part, transcript


def test_an_order_is_shown_as_cancelled_once_nothing_of_it_runs_and_can_be_retried(
    archon: Archon, play: Play, remote: Remote, visit: Visit
) -> None:
    play(executing(bash("echo hello > hello.txt; sleep 4741"), says("Never said.")))
    order = archon.file(remote.url)
    page = visit(archon).open(f"/agent-work-orders/{order.id}")
    order.runs("sleep 4741")

    page.get_by_role("button", name="Cancel…").click()
    page.get_by_role("alertdialog").get_by_role("button", name="Cancel the order").click()
    ends(page, "cancelled")
    assert processes_of(order.id) == {}
    expect(page.get_by_role("button", name="Cancel…")).to_be_hidden()

    play(WRITES_HELLO)
    page.get_by_role("button", name="Retry…").click()
    dialog = page.get_by_role("alertdialog")
    expect(dialog).to_contain_text("Kept: create-branch. Runs again: execute, verify, commit, create-pr.")
    dialog.get_by_role("button", name="Retry from execute").click()
    expect(dialog).to_be_hidden()
    ends(page, "completed")
    expect(page.get_by_role("link", name="#1")).to_be_visible()


def test_a_failed_order_says_why_and_what_to_do_and_shows_where(
    archon: Archon, play: Play, remote: Remote, visit: Visit
) -> None:
    play(executing(bash("touch broken"), says("Done.")), in_step("repair", says("I do not see it.")))
    order = archon.file(remote.url)
    page = visit(archon).open(f"/agent-work-orders/{order.id}")
    ends(page, "failed")
    told = order.failed("verification")
    alert = page.get_by_role("alert").filter(has_text=told["error_message"])
    expect(alert).to_contain_text(told["next_action"])
    expect(alert).to_contain_text("verification")

    alert.get_by_role("button", name="Jump to where").click()
    expect(transcript(page).get_by_text("make test").last).to_be_visible()
    evidence = part(page, "Evidence")
    expect(evidence.get_by_role("region", name="Checks")).to_contain_text("make test")

    play(executing(bash("rm broken; echo hello > hello.txt"), says("Now it is right.")))
    alert.get_by_role("button", name="Retry…").click()
    dialog = page.get_by_role("alertdialog")
    dialog.get_by_role("combobox").click()
    page.get_by_role("option", name="2. execute").click()
    dialog.get_by_role("button", name="Retry from execute").click()
    ends(page, "completed")
    expect(alert).to_be_hidden()
    assert order.now()["attempt"] == 2


def test_several_orders_are_cancelled_from_the_list_and_each_says_when_it_is(
    archon: Archon, play: Play, remote: Remote, visit: Visit
) -> None:
    play(executing(bash("sleep 4742"), says("Never said.")))
    words = f"Sleep in {remote.name}"
    orders = [archon.file(remote.url, f"{words}, number {number}.") for number in (1, 2)]
    page = visit(archon).open(f"/agent-work-orders?q={remote.name}")
    for order in orders:
        order.runs("sleep 4742")
    for number in (1, 2):
        page.get_by_role("checkbox", name=f"Select {words}, number {number}").click()
    expect(page.get_by_role("toolbar")).to_contain_text("2 selected")
    page.get_by_role("toolbar").get_by_role("button", name="Cancel…").click()
    page.get_by_role("alertdialog").get_by_role("button", name="Cancel 2 work orders").click()
    expect(page.get_by_text("cancelled", exact=True)).to_have_count(2)
    assert [processes_of(order.id) for order in orders] == [{}, {}]


def test_a_finished_order_leaves_the_list_comes_back_and_is_deleted_for_good(
    archon: Archon, play: Play, remote: Remote, visit: Visit
) -> None:
    play(WRITES_HELLO)
    order = archon.file(remote.url)
    order.completed()
    page = visit(archon).open(f"/agent-work-orders/{order.id}")
    page.get_by_role("button", name="More", exact=True).click()
    page.get_by_role("menuitem", name="Archive").click()
    page.get_by_role("button", name="Undo").click()
    expect(page.get_by_text("It is back in the lists.").first).to_be_visible()

    page.get_by_role("button", name="More", exact=True).click()
    page.get_by_role("menuitem", name="Delete…").click()
    dialog = page.get_by_role("alertdialog")
    expect(dialog.get_by_role("button", name="Delete for good")).to_be_disabled()
    dialog.get_by_role("textbox").fill(order.id[-4:])
    dialog.get_by_role("button", name="Delete for good").click()
    expect(page.get_by_role("heading", level=1, name="Work orders")).to_be_visible()
    assert archon.client.get(f"/work-orders/{order.id}").status_code == 404
    expect(header(page)).not_to_contain_text(order.id)
