"""The first visit: what has to come before a person can do something, and how much of it."""

from collections.abc import Callable

from ..agent_work_orders.story.archon import Archon
from .conftest import Visit

# When the list first stands there with its buttons, seen from within the page.
STANDS_AT = """
new MutationObserver((_, observer) => {
  if (window.standsAt || !document.querySelector("main h1")) return;
  window.standsAt = performance.now();
  observer.disconnect();
}).observe(document, { childList: true, subtree: true });"""
LOADED = """() => performance.getEntriesByType("resource").concat(performance.getEntriesByType("navigation"))
  .filter((one) => !one.name.includes("/api/"))
  .map((one) => [one.name, one.encodedBodySize])"""
TIMES = "() => [window.standsAt, performance.getEntriesByType('navigation')[0].domContentLoadedEventEnd]"
MOST_BYTES = 250_000
MOST_TIMES_SLOWER = 5.0


def test_the_first_page_is_small_and_can_be_used_soon_after_its_scripts_are_there(
    archon: Archon, visit: Visit, record_property: Callable[[str, object], None]
) -> None:
    person = visit(archon)
    person.context.add_init_script(STANDS_AT)
    page = person.open("/agent-work-orders")
    page.get_by_role("link", name="New", exact=True).click(trial=True)
    loaded = page.evaluate(LOADED)
    assert loaded
    assert sum(size for _, size in loaded) < MOST_BYTES, loaded
    stands, scripts = page.evaluate(TIMES)
    record_property("first page stands after, in ms", round(stands))
    assert stands < MOST_TIMES_SLOWER * scripts
