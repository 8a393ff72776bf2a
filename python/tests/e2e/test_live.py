"""What is shown is what is: through lost connections and restarts, in several tabs, and at the last moment."""

import re
from urllib.parse import urlsplit

from playwright.sync_api import Route, expect

from src.agent_work_orders.rehearsal import Stage

from ..agent_work_orders.story.archon import Archon, eventually
from ..agent_work_orders.story.conftest import Play, StartArchon
from ..agent_work_orders.story.remote import Remote
from ..agent_work_orders.story.scripts import WRITES_HELLO, bash, executing, in_step, says
from ..agent_work_orders.story.test_conversation import carried_out
from .conftest import Visit
from .pages import conversation, ends, header, part, says_message, transcript

# What a browser itself writes when there is no server.
UNREACHABLE = r"ERR_CONNECTION_REFUSED|ERR_INCOMPLETE_CHUNKED|ERR_CONNECTION_RESET|ERR_EMPTY_RESPONSE"


def streams(archon: Archon) -> int:
    """Connections on which the server sends events now."""
    found = re.search(r"^awo_streams (\d+)", archon.client.get("/metrics").text, re.MULTILINE)
    assert found is not None
    return int(found[1])


def same_port(archon: Archon) -> str:
    return str(urlsplit(archon.address).port)


def test_a_lost_connection_is_seen_and_heals_when_the_server_is_back(
    start_archon: StartArchon, stage: Stage, play: Play, remote: Remote, visit: Visit
) -> None:
    gate = f"lost-{remote.name}"
    play(executing(bash("echo hello > hello.txt"), says("I wrote hello.txt.", gate=gate)))
    archon = start_archon()
    order = archon.file(remote.url)
    person = visit(archon)
    person.expects(UNREACHABLE)
    page = person.open(f"/agent-work-orders/{order.id}")
    order.at_gate(gate)
    expect(transcript(page).get_by_text("echo hello > hello.txt").first).to_be_visible()

    archon.kill()
    lost = page.get_by_role("status").filter(has_text="Not live: reconnecting, last update")
    expect(lost).to_be_visible()
    expect(transcript(page).get_by_text("echo hello > hello.txt").first).to_be_visible()
    ends(page, "running")

    stage.model.release(gate)
    again = start_archon(archon.home, ARCHON_SERVER_PORT=same_port(archon))
    expect(lost).to_be_hidden()
    ends(page, "completed")
    again.order(order.id).completed()
    expect(transcript(page).get_by_text(f"{remote.url}/pull/1").last).to_be_visible()


def test_the_tabs_of_a_browser_share_one_connection_and_all_of_them_follow(
    start_archon: StartArchon, stage: Stage, play: Play, remote: Remote, visit: Visit
) -> None:
    gate = f"tabs-{remote.name}"
    play(executing(bash("echo hello > hello.txt"), says("I wrote hello.txt.", gate=gate)))
    archon = start_archon()
    person = visit(archon)
    tabs = [person.open("/agent-work-orders") for _ in range(4)]
    for tab in tabs:
        expect(tab.get_by_role("link", name="File the first work order")).to_be_visible()
    eventually(lambda: streams(archon) == 1)

    order = archon.file(remote.url)
    for tab in tabs:
        expect(tab.get_by_text("running", exact=True)).to_be_visible()
    for tab in tabs[:2]:
        tab.get_by_role("link", name="Write hello.txt.").click()
        expect(transcript(tab).get_by_text("echo hello > hello.txt").first).to_be_visible()
    eventually(lambda: streams(archon) == 2)

    # The tab that holds the connections goes; another one takes over, and nobody misses a word.
    tabs[0].close()
    order.at_gate(gate)
    stage.model.release(gate)
    expect(transcript(tabs[1]).get_by_text("I wrote hello.txt.")).to_be_visible()
    ends(tabs[1], "completed")
    for tab in tabs[2:]:
        expect(tab.get_by_text("completed", exact=True)).to_be_visible()
    eventually(lambda: streams(archon) == 1)


def test_a_link_to_a_part_and_a_line_of_an_order_is_good_after_a_restart(
    start_archon: StartArchon, play: Play, remote: Remote, visit: Visit
) -> None:
    play(WRITES_HELLO)
    archon = start_archon()
    order = archon.file(remote.url)
    order.completed()
    spoke = order.events("agent_spoke")[-1]
    archon.terminate()
    archon = start_archon(archon.home, ARCHON_SERVER_PORT=same_port(archon))
    person = visit(archon)

    page = person.open(f"/agent-work-orders/{order.id}?part=diff")
    expect(page.get_by_role("tab", name="Diff")).to_have_attribute("aria-selected", "true")
    expect(page.get_by_role("region", name="Changed lines").get_by_text("hello.txt").first).to_be_visible()
    page = person.open(f"/agent-work-orders/{order.id}#seq={spoke.seq}")
    expect(transcript(page).get_by_text("I wrote hello.txt.")).to_be_visible()
    page = person.open(f"/agent-work-orders/{order.id[:-1]}")
    expect(page.get_by_text("There is no such work order")).to_be_visible()
    person.expects("status of 404")


def test_a_message_that_arrives_as_the_order_finishes_is_not_lost(
    archon: Archon, stage: Stage, play: Play, remote: Remote, visit: Visit
) -> None:
    gate = f"late-{remote.name}"
    play(
        executing(WRITES_HELLO["turns"][0], says("I wrote hello.txt.", gate=gate)),
        in_step("follow-up", bash("echo more > more.txt"), says("Added.")),
    )
    order = archon.file(remote.url)
    page = visit(archon, name="Ana").open(f"/agent-work-orders/{order.id}")
    order.at_gate(gate)
    says_message(page, "And more, please.")
    send = page.get_by_role("button", name="Send at the next turn")
    expect(send).to_be_enabled()

    def on_the_way(route: Route) -> None:
        """The words are on the way while the order comes to its end."""
        stage.model.release(gate)
        order.completed()
        route.continue_()

    page.route("**/messages", on_the_way, times=1)
    send.click()
    expect(conversation(page).get_by_text("And more, please.")).to_be_visible()
    expect(conversation(page).get_by_text("· the agent had it")).to_be_visible()
    done = carried_out(order)
    ends(page, "completed")
    assert remote.read(done["git_branch_name"], "more.txt") == "more"
    expect(page.get_by_role("textbox", name="Message to the agent")).to_have_value("")


def test_words_that_could_not_be_sent_are_kept_through_a_reload(
    archon: Archon, play: Play, remote: Remote, visit: Visit
) -> None:
    play(WRITES_HELLO)
    order = archon.file(remote.url)
    order.completed()
    person = visit(archon)
    person.expects("ERR_FAILED")
    page = person.open(f"/agent-work-orders/{order.id}")
    says_message(page, "Words that matter.")
    page.route("**/messages", lambda route: route.abort() if route.request.method == "POST" else route.continue_())
    page.get_by_role("button", name="Start a follow-up on this branch").click()
    expect(page.get_by_role("alert")).to_contain_text("Your words are kept.")
    page.reload()
    part(page, "Conversation")
    expect(page.get_by_role("textbox", name="Message to the agent")).to_have_value("Words that matter.")
    expect(header(page)).to_contain_text("completed")
