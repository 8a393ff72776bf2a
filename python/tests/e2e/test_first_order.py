"""The whole way in one browser: from a server that was just started to a pull request that a follow-up changes."""

import re

from playwright.sync_api import Page, expect

from src.agent_work_orders.rehearsal import Stage

from ..agent_work_orders.story.conftest import Play, StartArchon
from ..agent_work_orders.story.remote import Remote
from ..agent_work_orders.story.scripts import bash, executing, in_step, says
from .conftest import Visit
from .pages import ends

REQUEST = "# Write hello.txt\n\nWith **one** friendly word in it."


def set_secret(page: Page, title: str, value: str) -> None:
    """Pastes a secret, tests it, and saves it."""
    page.get_by_role("button", name=f"Set {title}").click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_label(title).fill(value)
    dialog.get_by_role("button", name="Test it").click()
    expect(dialog.get_by_text("All that is needed works, with the value that is not saved yet")).to_be_visible()
    dialog.get_by_role("button", name="Save it").click()
    expect(dialog).to_be_hidden()
    expect(page.get_by_role("region", name=title, exact=True)).to_contain_text(f"ends in …{value[-4:]} · by Ana")


def test_from_the_first_start_over_the_settings_to_a_pull_request_and_its_follow_up(
    start_archon: StartArchon, stage: Stage, play: Play, remote: Remote, visit: Visit
) -> None:
    gate = f"live-{remote.name}"
    play(
        in_step("planning", says("1. Write `hello.txt`.\n2. Nothing else.")),
        executing(bash("echo hello > hello.txt"), says("I wrote hello.txt.", gate=gate)),
        in_step("prp-review", says("- Nothing to mend.")),
        in_step("follow-up", bash("echo good day > hello.txt"), says("More polite now.")),
    )
    archon = start_archon(GITHUB_TOKEN="", ANTHROPIC_API_KEY="")
    page = visit(archon, name="Ana").open("/")

    # First start: nothing is there, and it says what one can do.
    expect(page).to_have_url(re.compile("/agent-work-orders$"))
    expect(page.get_by_role("link", name="File the first work order")).to_be_visible()

    # Settings: each credential is tested before it is kept; then what is kept is tested.
    page.get_by_role("navigation").get_by_role("link", name="Settings").click()
    set_secret(page, "GitHub token", stage.github_token)
    set_secret(page, "Anthropic API key", stage.anthropic_api_key)
    for subject in ("GitHub", "Claude", "Database", "Storage"):
        test = page.get_by_role("region", name=f"Test of {subject}")
        test.get_by_role("button", name=f"Test {subject}").click()
        expect(test.get_by_text("All that is needed works")).to_be_visible()

    # A new order.
    page.get_by_role("navigation").get_by_role("link", name="New work order").click()
    page.get_by_label("What should be done?").fill(REQUEST)
    page.get_by_role("combobox", name="Repository").fill(remote.url)
    page.get_by_role("radio", name=re.compile("^agent workflow plan")).check()
    page.get_by_label("after planning, before anything is changed").check()
    page.get_by_label("before the branch is pushed").check()
    expect(page.get_by_text("asks you after planning and before the push")).to_be_visible()
    page.get_by_role("button", name="File it").click()
    expect(page.get_by_role("heading", level=1, name="Write hello.txt")).to_be_visible()
    [filed] = archon.orders()
    order = archon.order(filed["agent_work_order_id"])

    # The first question, answered in the page.
    question = page.get_by_role("region", name="A question for you")
    expect(question.get_by_role("heading", name="Approve the plan?")).to_be_visible()
    expect(question.get_by_text("Nothing else.")).to_be_visible()
    question.get_by_role("button", name="Approve").click()

    # Live: while the model still thinks, what its tools did stands in the transcript.
    order.at_gate(gate)
    transcript = page.get_by_role("log")
    expect(transcript.get_by_text("echo hello > hello.txt").first).to_be_visible()
    expect(transcript.get_by_text("I wrote hello.txt.")).to_be_hidden()
    stage.model.release(gate)
    expect(transcript.get_by_text("I wrote hello.txt.")).to_be_visible()

    # The second question; the diff is read before it is answered, and a line of it is commented on.
    expect(question.get_by_role("heading", name="Approve the push?")).to_be_visible()
    expect(question).to_contain_text("1 file")
    question.get_by_role("button", name="Read the diff").click()
    diff = page.get_by_role("region", name="Changed lines")
    expect(diff.get_by_text("hello", exact=True)).to_be_visible()
    expect(diff.get_by_text("hello.txt").first).to_be_visible()
    question.get_by_role("button", name="Answer…").click()
    question.get_by_role("button", name="Approve").click()
    expect(question).to_be_hidden()
    pull_request = page.get_by_role("region", name="Facts").get_by_role("link", name="#1")
    expect(pull_request).to_have_attribute("href", f"{remote.url}/pull/1")
    order.completed()
    branch = order.now()["git_branch_name"]
    assert remote.read(branch, "hello.txt") == "hello"

    # A comment becomes a message, and the message a follow-up on the same branch and pull request.
    diff.get_by_role("button", name="Comment on added line 1").click()
    page.get_by_label("Comment on this line").fill("Please be more polite.")
    page.get_by_role("button", name="Add the comment").click()
    expect(page.get_by_text("1 comment not sent")).to_be_visible()
    page.get_by_role("button", name="Send as one message").click()
    conversation = page.get_by_role("list", name="Conversation")
    expect(conversation.get_by_text("Please be more polite.")).to_be_visible()
    expect(conversation.get_by_text("· the agent had it")).to_be_visible()
    approve = question.get_by_role("button", name="Approve")
    expect(approve).to_be_visible()
    approve.click()
    ends(page, "completed")
    order.completed()
    assert remote.read(branch, "hello.txt") == "good day"
    assert len(remote.pull_requests()) == 1
