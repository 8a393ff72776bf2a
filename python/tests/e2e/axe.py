"""axe-core in the page: all its rules, in light and dark, at a desk's width and a phone's. Knows no page of ours."""

from functools import cache, partial
from pathlib import Path

from playwright.sync_api import Page

from src.server.pages import DIST

from ..agent_work_orders.story.archon import eventually
from .person import DESKTOP, PHONE

AXE = DIST.parent / "node_modules" / "axe-core" / "axe.min.js"
# Colours fade when a state changes; they are looked at when they have settled.
SETTLED = """dark => document.documentElement.classList.contains("dark") === dark &&
  document.getAnimations().every(({ playState, effect }) =>
    playState !== "running" || effect.getTiming().iterations === Infinity)"""
# One finding is none: where an open menu stands in the document is no landmark's affair, it belongs to its button.
VIOLATIONS = """async () => (await axe.run(document, {
    resultTypes: ["violations"],
    preload: false,
    rules: { "target-size": { enabled: true } },
  })).violations.flatMap(({ id, nodes }) => nodes
    .filter(({ target }) => id !== "region" || !target.join().startsWith("div[data-radix-popper"))
    .map(({ target, failureSummary }) => `${id}: ${target.join(" ")}: ${failureSummary}`))"""


@cache
def source() -> str:
    """Raises OSError when the pages' packages are not installed (`make setup`)."""
    return Path(AXE).read_text(encoding="utf-8")


def violations(page: Page) -> list[str]:
    """What axe finds in the page as it stands, in each look; empty is clean. Leaves a light page of a desk's width."""
    if not page.evaluate("() => 'axe' in window"):
        page.evaluate(source())  # by the debugger's door: the policy keeps scripts of others out
    found = []
    for size in (PHONE, DESKTOP):
        page.set_viewport_size(size)
        for dark in (True, False):
            page.emulate_media(color_scheme="dark" if dark else "light")
            eventually(partial(page.evaluate, SETTLED, dark))
            look = f"{'dark' if dark else 'light'}, {size['width']} px"
            found += [f"{look}: {one}" for one in page.evaluate(VIOLATIONS)]
    return found
