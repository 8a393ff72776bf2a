"""Every page in every state, and how a visitor gets there: addresses, clicks, and what has to be seen before the shot.
Knows the pages' words; knows no server's inside."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from playwright.sync_api import Page, expect

from .camera import Size
from .story import RETRY, Told

LIST = "/agent-work-orders"
NEW, REPOSITORIES, STATUS, SETTINGS = f"{LIST}/new", f"{LIST}/repositories", f"{LIST}/status", "/settings"
BOTH: tuple[Size, ...] = ("desktop", "phone")


@dataclass(frozen=True)
class State:
    """One state of a page. `kept` are the variants ("desktop-light") that the documents show."""

    name: str
    address: str
    reach: Callable[[Page], None]
    whole: bool = False
    kept: tuple[str, ...] = ()
    sizes: tuple[Size, ...] = BOTH


def heading(text: str) -> Callable[[Page], None]:
    """The page has this heading, and nothing on it still loads."""

    def reach(page: Page) -> None:
        page.get_by_role("heading", name=text).first.wait_for()
        settled(page)

    return reach


def settled(page: Page) -> None:
    """What was asked for has come, and the page says that it is connected."""
    expect(page.get_by_role("status", name="Loading")).to_have_count(0)
    expect(page.locator("[aria-busy=true]")).to_have_count(0)
    page.evaluate("document.fonts.ready.then(() => true)")


def then(*acts: Callable[[Page], None]) -> Callable[[Page], None]:
    def reach(page: Page) -> None:
        for act in acts:
            act(page)
        settled(page)

    return reach


def press(name: str, role: str = "button", *, exact: bool = False) -> Callable[[Page], None]:
    return lambda page: page.get_by_role(role, name=name, exact=exact).first.click()  # type: ignore[arg-type]  # a role


def sees(text: str) -> Callable[[Page], None]:
    return lambda page: page.get_by_text(text).first.wait_for()


def types(label: str, text: str) -> Callable[[Page], None]:
    return lambda page: page.get_by_label(label, exact=True).first.fill(text)


def key(name: str) -> Callable[[Page], None]:
    return lambda page: page.keyboard.press(name)


def types_keys(text: str) -> Callable[[Page], None]:
    return lambda page: page.keyboard.type(text)


def cut_off(path: str) -> Callable[[Page], None]:
    """From now on requests to these addresses fail, as without a network; the page is loaded anew."""

    def act(page: Page) -> None:
        page.route(path, lambda route: route.abort())
        page.reload()

    return act


def section(name: str) -> str:
    return f"{SETTINGS}?section={name}"


def of_an_empty_server() -> Iterable[State]:
    """A rehearsal that nobody has used yet."""
    yield State("list-empty", LIST, then(heading("Work orders"), sees("No work orders yet")))
    yield State("repositories-empty", REPOSITORIES, then(heading("Repositories"), sees("No repositories configured")))
    yield State("status-rehearsal", STATUS, then(heading("Status"), sees("This is a rehearsal")), whole=True)
    yield State("settings-rehearsal", SETTINGS, then(heading("Settings"), sees("GitHub token")), whole=True)
    yield State("no-such-page", f"{LIST}/no/such", heading("No such page"))


def of_a_locked_server() -> Iterable[State]:
    """A server that wants its token."""
    yield State("sign-in", LIST, then(lambda page: page.get_by_role("dialog", name="Sign in").wait_for()))


def of_a_busy_server(told: Told) -> Iterable[State]:
    """Everything else, once the story is told."""
    yield from _lists(told)
    yield from _new(told)
    yield from _orders(told)
    yield from _repositories()
    yield from _settings()
    yield State("status", STATUS, then(heading("Status"), sees("Slots")), whole=True)
    yield State("keys", STATUS, then(heading("Status"), key("?"), sees("Single keys")), sizes=("desktop",))
    yield State("you", STATUS, then(heading("Status"), press("You and your colours"), sees("Say who you are")))


def _lists(told: Told) -> Iterable[State]:
    rows = then(heading("Work orders"), sees("need you"), sees("Translate the command"))
    yield State("list", LIST, rows, kept=("desktop-light", "desktop-dark"))
    yield State("list-nothing", f"{LIST}?q=unicorn", then(heading("Work orders"), sees("Nothing matches")))
    yield State("list-error", LIST, then(cut_off("**/api/awo/work-orders?*"), sees("cannot be reached")))
    yield State("list-lost", LIST, then(rows, cut_off("**/api/awo/events/stream*"), rows, sees("Not live")))
    yield State("list-archived", f"{LIST}?archived=1", then(heading("Work orders"), sees("Correct the spelling")))
    yield State(
        "palette", LIST, then(rows, key("Control+k"), sees("Newest work orders"), types_keys("pay"), sees("with these"))
    )
    yield State(
        "list-selected",
        LIST,
        then(rows, lambda page: page.get_by_role("checkbox", name="Select Translate").click(), sees("selected")),
    )


def _new(told: Told) -> Iterable[State]:
    yield State("new", NEW, then(heading("New work order"), sees("Workflow")), whole=True)
    filled = then(
        heading("New work order"),
        lambda page: page.locator("textarea").first.fill(
            f"{RETRY}\n\n- keep the time-out of five seconds\n- add a test"
        ),
        lambda page: page.locator("[name=repository_url]").first.fill(told.repositories["storefront"]),
        lambda page: page.locator("[name=github_issue_number]").first.fill("1"),
        sees("Checkout hangs"),
        lambda page: page.get_by_label("before the branch is pushed").click(),
    )
    yield State("new-filled", NEW, filled, kept=("desktop-light",), whole=True)
    yield State("new-problems", NEW, then(heading("New work order"), press("File it"), sees("Must")), whole=True)


def _orders(told: Told) -> Iterable[State]:
    def at(order: str, part: str = "") -> str:
        return f"{LIST}/{order}{f'?part={part}' if part else ''}"

    done = then(heading("Add a --language option"), sees("Steps"))
    log = then(done, lambda page: page.get_by_role("log").wait_for())
    yield State("order-completed", at(told.completed), log)
    yield State("order-evidence", at(told.completed, "evidence"), then(done, sees("exit 0")), kept=("desktop-light",))
    yield State("order-diff", at(told.completed, "diff"), then(done, sees("HELLO")))
    commented = then(
        done,
        sees("HELLO"),
        lambda page: page.get_by_role("button", name="Comment on added line 4").first.click(),
        lambda page: page.get_by_label("Comment on this line").fill("Please add Italian, too."),
        press("Add the comment"),
        sees("Please add Italian"),
    )
    yield State("order-diff-comment", at(told.completed, "diff"), commented)
    side_by_side = then(done, sees("HELLO"), lambda page: page.get_by_label("Side by side").click())
    yield State(
        "order-diff-split", at(told.completed, "diff"), side_by_side, kept=("desktop-light",), sizes=("desktop",)
    )
    yield State("order-conversation", at(told.completed, "conversation"), then(done, sees("Just what I wanted")))
    yield State("order-more", at(told.completed), then(log, press("More", exact=True), sees("Delete…")))
    yield State(
        "order-delete",
        at(told.completed),
        then(log, press("More", exact=True), press("Delete…", "menuitem"), sees("Delete this work order?")),
    )
    failed = then(heading("Round the tax"), sees("Jump to where"))
    yield State("order-failed", at(told.failed), failed, kept=("desktop-light",))
    yield State("order-failed-evidence", at(told.failed, "evidence"), then(failed, sees("exit 2")))
    yield State("order-retry", at(told.failed), then(failed, press("Retry…"), sees("From which step")))
    running = then(heading("Greet by the time"), sees("make test 2"))
    yield State("order-running", at(told.running), running, kept=("desktop-light",))
    yield State(
        "order-running-conversation",
        at(told.running, "conversation"),
        then(heading("Greet by the time"), sees("Send at the next turn")),
    )
    yield State("order-cancel", at(told.running), then(running, press("Cancel…"), sees("Cancel this work order?")))
    yield State(
        "order-approve-push",
        at(told.asks_push),
        then(heading("Retry the payment"), sees("Approve the push?")),
        kept=("desktop-light", "phone-dark"),
    )
    yield State("order-approve-plan", at(told.asks_plan), then(heading("Add a CSV"), sees("Approve the plan?")))
    yield State("order-pending", at(told.pending), then(heading("Translate"), sees("in the queue")))
    yield State("order-cancelled", at(told.cancelled), then(heading("Remove the functions"), sees("Retry…")))
    palette = then(
        heading("Round the tax"),
        sees("Jump to where"),
        key("Control+k"),
        lambda page: page.get_by_role("option", name="Retry this order").wait_for(),
    )
    yield State("order-palette", at(told.failed), palette, kept=("desktop-dark",))
    yield State("order-archived", at(told.archived), then(heading("Correct the spelling"), sees("archived")))
    yield State("order-none", at("wo-0000000000000000"), sees("There is no such work order"))
    yield State(
        "order-facts",
        at(told.running),
        then(running, lambda page: page.get_by_text("Steps and facts").click()),
        sizes=("phone",),
    )


def _repositories() -> Iterable[State]:
    cards = then(heading("Repositories"), sees("billing-api"))
    yield State("repositories", REPOSITORIES, cards, whole=True)
    yield State(
        "repositories-options",
        REPOSITORIES,
        then(cards, lambda page: page.get_by_role("button", name="Options").first.click(), sees("Base branch")),
        whole=True,
    )
    yield State(
        "repositories-add",
        REPOSITORIES,
        then(cards, press("Add", exact=True), types("Address", "http://github.com/acme"), key("Enter")),
    )


def _settings() -> Iterable[State]:
    page_is = then(heading("Agent Work Orders settings"), lambda page: page.get_by_role("tabpanel").wait_for())
    yield State("settings-credentials", SETTINGS, then(page_is, sees("ends in")), whole=True, kept=("desktop-light",))
    for name in ("claude", "limits", "retention", "storage", "network", "advanced", "changes"):
        yield State(
            f"settings-{name}", section(name), page_is, whole=True, kept=("desktop-light",) * (name == "limits")
        )
    yield State(
        "settings-unsaved",
        section("limits"),
        then(page_is, lambda page: page.locator("[name=max_concurrent]").fill("9999"), sees("unsaved change")),
    )
    yield State(
        "settings-leave",
        section("limits"),
        then(
            page_is,
            lambda page: page.locator("[name=max_concurrent]").fill("8"),
            sees("unsaved change"),
            lambda page: page.get_by_role("link", name="Status").click(),
            sees("Leave with"),
        ),
    )
    wrong = "ghp_" + "wrong" * 7 + "x"
    yield State(
        "settings-replace",
        SETTINGS,
        then(
            page_is,
            press("Replace GitHub token"),
            lambda page: page.get_by_role("dialog").locator("input").fill(wrong),
            press("Test it"),
            sees("fails"),
        ),
    )
    yield State(
        "settings-repository-token",
        SETTINGS,
        then(page_is, press("Add a token for one repository"), sees("in place of the general one")),
    )
    yield State("settings-remove", SETTINGS, then(page_is, press("Remove GitHub token"), sees("Remove the GitHub")))
    yield State(
        "settings-cleanup",
        section("retention"),
        then(page_is, press("Preview clean-up"), sees("Would remove")),
        whole=True,
    )
