"""Two people at two screens answer the same question."""

import re

from playwright.sync_api import Route, expect

from ..agent_work_orders.story.archon import Archon
from ..agent_work_orders.story.conftest import Play
from ..agent_work_orders.story.remote import Remote
from ..agent_work_orders.story.scripts import WRITES_HELLO
from .conftest import Visit
from .pages import ends, part, question


def test_of_two_people_who_answer_at_once_one_wins_and_the_other_sees_who_and_keeps_the_words(
    archon: Archon, play: Play, remote: Remote, visit: Visit
) -> None:
    play(WRITES_HELLO)
    order = archon.file(remote.url, requires_approval=["push"])
    ana, ben = visit(archon, name="Ana"), visit(archon, name="Ben")
    ben.expects("status of 409")
    hers = ana.open(f"/agent-work-orders/{order.id}")
    his = ben.open(f"/agent-work-orders/{order.id}")
    expect(question(hers)).to_be_visible()
    question(his).get_by_role("textbox", name="A word with your answer").fill("Not like this.")

    def just_too_late(route: Route) -> None:
        """His answer is on its way while hers arrives."""
        question(hers).get_by_role("button", name="Approve").click()
        order.until("approval_answered")
        route.continue_()

    his.route("**/reject", just_too_late, times=1)
    question(his).get_by_role("button", name="Reject and end it").click()

    told = his.get_by_role("alert").filter(has_text=re.compile("^Ana .*approved it before you"))
    expect(told).to_be_visible()
    ends(hers, "completed")
    ends(his, "completed")
    expect(told).to_be_visible()
    part(his, "Conversation")
    expect(his.get_by_role("textbox", name="Message to the agent")).to_have_value("Not like this.")
    [approval] = order.now()["approvals"]
    assert (approval["answer"], approval["answered_by"][:3]) == ("approved", "Ana")


def test_an_answer_that_somebody_else_gave_is_seen_by_all_who_look(
    archon: Archon, play: Play, remote: Remote, visit: Visit
) -> None:
    play(WRITES_HELLO)
    order = archon.file(remote.url, requires_approval=["push"])
    hers = visit(archon, name="Ana").open(f"/agent-work-orders/{order.id}")
    his = visit(archon, name="Ben").open("/agent-work-orders")
    needed = his.get_by_role("region", name="Orders that need you")
    link = needed.get_by_role("link", name="Write hello.txt.").first
    expect(link).to_be_visible()
    link.click()
    expect(question(his)).to_be_visible()
    question(hers).get_by_role("button", name="Reject and end it").click()
    expect(question(his)).to_be_hidden()
    ends(his, "failed")
    expect(his.get_by_role("alert").filter(has_text="Ana")).to_be_visible()
    assert remote.branches() == ["main"]
