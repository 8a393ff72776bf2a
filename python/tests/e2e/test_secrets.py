"""Secrets go in and never come out: not to the page, what it keeps, its address or its console; nor by signing in."""

from playwright.sync_api import Request, expect

from src.agent_work_orders.rehearsal import Stage

from ..agent_work_orders.story.archon import Archon, eventually
from ..agent_work_orders.story.conftest import StartArchon
from .conftest import Visit
from .person import Person

WRONG = "ghp_" + "wrongtoken" * 3 + "wrongt"


def test_a_secret_is_nowhere_once_its_dialog_is_closed(start_archon: StartArchon, stage: Stage, visit: Visit) -> None:
    archon = start_archon(GITHUB_TOKEN="", ANTHROPIC_API_KEY="")
    person = visit(archon)
    page = person.open("/settings")
    sent: list[Request] = []
    page.on("request", lambda request: sent.append(request))

    page.get_by_role("button", name="Set GitHub token").click()
    dialog = page.get_by_role("dialog")
    field = dialog.get_by_label("GitHub token")
    expect(field).to_have_attribute("type", "password")
    field.fill(WRONG)
    dialog.get_by_role("button", name="Test it").click()
    expect(dialog.get_by_text("Something that is needed does not work")).to_be_visible()
    assert WRONG not in page.content()
    field.fill(stage.github_token)
    dialog.get_by_role("button", name="Test it").click()
    expect(dialog.get_by_text("All that is needed works")).to_be_visible()
    assert person.leaks(WRONG, stage.github_token) == []

    # Closed without saving, it is forgotten.
    page.keyboard.press("Escape")
    page.get_by_role("button", name="Set GitHub token").click()
    expect(field).to_have_value("")
    field.fill(stage.github_token)
    dialog.get_by_role("button", name="Save it").click()
    expect(page.get_by_text(f"ends in …{stage.github_token[-4:]}")).to_be_visible()
    page.reload()
    expect(page.get_by_text(f"ends in …{stage.github_token[-4:]}")).to_be_visible()
    page.get_by_role("tab", name="Changes").click()
    expect(page.get_by_text("secret saved")).to_be_visible()

    assert person.leaks(WRONG, stage.github_token) == []
    assert not [one.url for one in sent if stage.github_token in one.url or WRONG in one.url]
    assert stage.github_token not in archon.client.get("/settings").text


def test_the_servers_own_token_is_traded_for_a_cookie_that_no_script_reads(
    start_archon: StartArchon, visit: Visit
) -> None:
    token = "a-token-of-the-servers-own-0123456789"
    archon = start_archon(AWO_API_TOKEN=token)
    person = visit(archon)
    person.expects("status of 401")
    page = person.open("/agent-work-orders")
    dialog = page.get_by_role("dialog", name="Sign in")
    dialog.get_by_label("Token").fill("not-the-token-at-all-0123456789")
    dialog.get_by_role("button", name="Sign in").click()
    expect(dialog.get_by_role("alert")).to_be_visible()
    dialog.get_by_label("Token").fill(token)
    dialog.get_by_role("button", name="Sign in").click()
    expect(page.get_by_role("link", name="File the first work order")).to_be_visible()
    assert person.leaks(token) == []
    [cookie] = person.context.cookies()
    assert (cookie.get("httpOnly"), cookie.get("sameSite")) == (True, "Strict")
    assert token not in str(cookie)
    assert page.evaluate("document.cookie") == ""


def test_a_page_that_breaks_the_rules_is_noticed(archon: Archon, stage: Stage, visit: Visit) -> None:
    """The other tests rely on this: a fault of any kind fails them."""
    person = visit(archon)
    page = person.open("/agent-work-orders/new")
    assert person.faults() == []
    for breaks, noticed in BROKEN:
        page.evaluate(breaks, stage.github_token)
        assert is_noticed(person, noticed)
    page.evaluate("sessionStorage.clear()")
    page.reload()
    person.expects(*(noticed for _, noticed in BROKEN))


BROKEN = (
    ("() => console.error('something broke')", "something broke"),
    ("() => setTimeout(() => { throw new Error('thrown by the page') })", "thrown by the page"),
    ("() => document.head.append(Object.assign(document.createElement('script'), { text: '1' }))", "script-src"),
    ("() => document.body.append(Object.assign(new Image(), { src: 'https://example.org/x.png' }))", "img-src"),
    ("() => document.body.setAttribute('style', 'color: red')", "style-src"),
    ("(secret) => sessionStorage.setItem('draft', secret)", "a secret is in the storage"),
)


def is_noticed(person: Person, what: str) -> bool:
    """Whether it is among the faults, once the page has had its say."""
    return eventually(lambda: any(what in fault for fault in person.faults()))
