"""A real Chromium and what can be told of a page from outside: time, frames, elements, memory. Knows no page of ours.

It draws in software where there is no graphics card, and that counts too.
"""

import json
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from statistics import median
from typing import Any

from playwright.sync_api import Browser, CDPSession, Page, ViewportSize, sync_playwright

from tests.e2e.chromium import ChromiumMissing, chromium

from .server import Broken

WINDOW = ViewportSize(width=1280, height=900)
# Pixels a second: two notches of a wheel in every frame, which is faster than anybody reads; and thrown.
READING, FLUNG = 7_200, 180_000
PATIENCE = 60_000

# Each frame's length, and now and then how many elements there are.
_COUNT_FRAMES = """() => {
  const seen = { lengths: [], elements: 0, on: true };
  let last = 0;
  const frame = (now) => {
    if (last > 0) seen.lengths.push(now - last);
    last = now;
    if (seen.lengths.length % 30 === 0) {
      seen.elements = Math.max(seen.elements, document.getElementsByTagName("*").length);
    }
    if (seen.on) requestAnimationFrame(frame);
  };
  requestAnimationFrame(frame);
  window.benchFrames = seen;
}"""
_FRAMES_SO_FAR = """() => {
  window.benchFrames.on = false;
  return window.benchFrames;
}"""
# When what is waited for has been painted and the page has nothing else to do: then it can be used.
_WATCH = """(selector) => {
  window.benchSeen = undefined;
  const look = () => {
    if (!document.querySelector(selector)) return false;
    requestAnimationFrame(() => setTimeout(() => {
      const painted = performance.now();
      requestIdleCallback(() => { window.benchSeen = { painted, idle: performance.now() }; });
    }));
    return true;
  };
  const watch = new MutationObserver(() => look() && watch.disconnect());
  if (!look()) watch.observe(document, { childList: true, subtree: true });
}"""

_MARK_CLICK = """() => {
  addEventListener("click", () => { window.benchClick = performance.now(); }, { capture: true, once: true });
}"""


@dataclass(frozen=True)
class Frames:
    """What was drawn while something went on. `slowest` in milliseconds, rates in frames a second."""

    rate: float
    median_rate: float
    slowest: float
    elements: int


class Screen:
    """One page in a profile of its own, with nothing in its cache."""

    def __init__(self, page: Page) -> None:
        self.page = page
        self._devtools: CDPSession = page.context.new_cdp_session(page)

    def visit(self, address: str, wanted: str) -> float:
        """Milliseconds from the navigation until `wanted` is painted and the page can be used."""
        self.page.add_init_script(f"({_WATCH})({wanted!r})")
        self.page.goto(address, wait_until="commit")
        return float(self._seen()["idle"])

    def click(self, what: str, wanted: str) -> float:
        """Milliseconds from the click until `wanted` is painted."""
        self.page.evaluate(_MARK_CLICK)
        self.page.evaluate(_WATCH, wanted)
        self.page.click(what)
        return float(self._seen()["painted"] - self.page.evaluate("window.benchClick"))

    def _seen(self) -> Any:
        return self.page.wait_for_function("() => window.benchSeen", timeout=PATIENCE).json_value()

    def frames(self, act: Callable[[], Any]) -> Frames:
        """What is drawn while `act` runs."""
        self.page.evaluate(_COUNT_FRAMES)
        act()
        seen = self.page.evaluate(_FRAMES_SO_FAR)
        lengths = seen["lengths"]
        if len(lengths) < 2:
            raise Broken("the browser drew nothing")
        return Frames(
            rate=round(1000 * len(lengths) / sum(lengths), 1),
            median_rate=round(1000 / median(lengths), 1),
            slowest=round(max(lengths), 1),
            elements=seen["elements"],
        )

    def rest(self, seconds: float) -> Frames:
        """What is drawn while nothing happens: how fast this machine's clock of frames is at all."""
        return self.frames(lambda: time.sleep(seconds))

    def wheel(self, selector: str, pixels: float, speed: int) -> None:
        """Turns the wheel over an element; downwards where `pixels` are more than none."""
        box = self.page.locator(selector).bounding_box()
        if box is None:
            raise Broken(f"{selector} is not on the page")
        # What is higher than the window is met in the window's middle.
        middle = WINDOW["height"] / 2
        y = box["y"] + box["height"] / 2 if box["height"] < WINDOW["height"] else middle
        x = box["x"] + box["width"] / 2
        self.page.mouse.move(x, y)
        gesture = {"x": x, "y": y, "yDistance": -pixels, "speed": speed, "gestureSourceType": "mouse"}
        self._devtools.send("Input.synthesizeScrollGesture", {**gesture, "preventFling": True})

    def heap_megabytes(self) -> float:
        """What the page's scripts hold, once everything that nobody needs is gone.

        The least of a few looks: what is just under way while something streams is not held.
        """
        looks = []
        for _ in range(4):
            self._devtools.send("HeapProfiler.collectGarbage")
            looks.append(self._devtools.send("Runtime.getHeapUsage")["usedSize"])
            self.page.wait_for_timeout(100)
        return float(min(looks)) / 1e6

    def compiled_megabytes(self) -> float:
        """How much of that is scripts as the browser has compiled them, which is more the longer they have run."""
        pieces: list[str] = []
        self._devtools.on("HeapProfiler.addHeapSnapshotChunk", lambda told: pieces.append(told["chunk"]))
        self._devtools.send("HeapProfiler.takeHeapSnapshot")
        taken = json.loads("".join(pieces))
        nodes, fields = taken["nodes"], taken["snapshot"]["meta"]["node_fields"]
        code = taken["snapshot"]["meta"]["node_types"][0].index("code")
        kinds, sizes = (nodes[fields.index(name) :: len(fields)] for name in ("type", "self_size"))
        return sum(size for kind, size in zip(kinds, sizes, strict=True) if kind == code) / 1e6

    def until(self, what: str, fact: Callable[[], bool]) -> None:
        """Waits for a fact; Broken if it does not come true."""
        deadline = time.monotonic() + 300
        while not fact():
            if time.monotonic() > deadline:
                raise Broken(f"the page did not get there: {what}")
            self.page.wait_for_timeout(100)

    def close(self) -> None:
        self.page.context.close()


@contextmanager
def open_browser() -> Iterator[Browser]:
    """The system's Chromium. While it is open, nobody in this thread can run an event loop."""
    try:
        program = chromium()
    except ChromiumMissing as missing:
        raise Broken(str(missing)) from missing
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program)
        try:
            yield browser
        finally:
            browser.close()


@contextmanager
def open_screen(browser: Browser) -> Iterator[Screen]:
    screen = Screen(browser.new_context(viewport=WINDOW).new_page())
    try:
        yield screen
    finally:
        screen.close()
