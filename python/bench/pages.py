"""The pages in a real browser on the real server: how soon they can be used, how smoothly they move, what they hold."""

import gzip
import json
import math
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from statistics import median
from time import perf_counter

from playwright.sync_api import Browser

from src.server.pages import DIST

from . import agents, journals, scratch
from .browser import FLUNG, READING, Frames, Screen, open_browser, open_screen
from .figures import Figure
from .scale import Scale
from .server import Broken, Client, Server, open_server, open_stage

FEW = 200
PAGE_OF_EVENTS = 1_000
LINES_A_SECOND = 100
LIST = "/agent-work-orders"
ROW, LINE = "[data-row-link]", "[role=log] [data-index]"
LOG, ROWS = "[role=log]", "[role=list][aria-label='Work orders']"


@dataclass(frozen=True)
class Heap:
    """What the page's scripts hold once it shows the event `seq`, and how much of that is compiled code; megabytes."""

    seq: int
    megabytes: float
    compiled: float

    @classmethod
    def of(cls, screen: Screen, seq: int) -> "Heap":
        return cls(seq, screen.heap_megabytes(), screen.compiled_megabytes())


def measure(scale: Scale) -> list[Figure]:
    if not (DIST / "index.html").is_file():
        raise Broken("the pages are not built; run `make ui`.")
    folder = scratch.folder()
    home = folder / "server"
    seeded = journals.seed(home / "archon", (FEW, scale.events), scale.listed)
    scratch.repository(scale.small)
    agent = agents.talking(folder, scale.hour_lines, 1 / LINES_A_SECOND, _stops(scale))
    with open_stage() as stage, open_server(home, stage, agent) as server, open_browser() as browser:
        site = f"http://127.0.0.1:{server.port}"
        return [
            *_first_page(browser, site, scale),
            *_opening(browser, site, seeded, scale),
            *_transcript(browser, f"{site}{LIST}/{seeded.journals[scale.events]}", scale),
            *_list(browser, site, scale),
            *_hour(browser, server, folder, stage.address(scale.small.name), scale),
        ]


def _first_page(browser: Browser, site: str, scale: Scale) -> list[Figure]:
    """The list, in a browser that has never been here."""
    taken, loaded = [], 0
    for _ in range(scale.repeats):
        with open_screen(browser) as screen:
            taken.append(screen.visit(site + LIST, ROW))
            loaded = _compressed(screen)
    return [
        Figure(f"list of {scale.listed:,} orders: can be used after", round(median(taken)), "ms", 1_000),
        Figure("  its scripts and styles, compressed", round(loaded / 1000, 1), "kB", 250),
    ]


def _compressed(screen: Screen) -> int:
    """Bytes of all scripts and styles that the page has loaded so far."""
    names: list[str] = screen.page.evaluate(
        "() => performance.getEntriesByType('resource').map((entry) => new URL(entry.name).pathname)"
    )
    assets = {name for name in names if name.startswith("/assets/")}
    return sum(len(gzip.compress((DIST / name.lstrip("/")).read_bytes())) for name in assets)


def _opening(browser: Browser, site: str, seeded: journals.Seeded, scale: Scale) -> list[Figure]:
    """From the click in the list to the painted end of the transcript, of a short journal and a long one in turns."""
    taken: dict[int, list[float]] = {FEW: [], scale.events: []}
    for _ in range(scale.repeats):
        for events, order_id in seeded.journals.items():
            with open_screen(browser) as screen:
                screen.visit(site + LIST, ROW)
                link = f"{ROW}[href$='{order_id}']"
                screen.page.hover(link)  # as everybody does who clicks; it fetches the page's own script
                screen.until("the script of the order's page", lambda: _has_loaded(screen, "/Markdown-"))
                taken[events].append(screen.click(link, LINE))
    few, many = (median(taken[events]) for events in (FEW, scale.events))
    return [
        Figure(f"transcript of {scale.events:,} events: click → painted", round(many), "ms", 500),
        Figure(f"  over one of {FEW} events", round(many / few, 2), "ratio", 5),
    ]


def _has_loaded(screen: Screen, name: str) -> bool:
    return bool(_loaded(screen, name))


def _loaded(screen: Screen, name: str) -> int:
    count: int = screen.page.evaluate(
        "(name) => performance.getEntriesByType('resource').filter((entry) => entry.name.includes(name)).length", name
    )
    return count


def _transcript(browser: Browser, address: str, scale: Scale) -> list[Figure]:
    """Through all of it with the wheel, from its end to its beginning, and flung back."""
    what = f"transcript of {scale.events:,} events"
    pages = 1 + math.ceil((scale.events - FEW) / PAGE_OF_EVENTS)
    with open_screen(browser) as screen:
        screen.page.goto("about:blank")
        clock = screen.rest(2)
        cold = screen.visit(address, LINE)
        began = perf_counter()
        screen.until("the whole journal", lambda: _loaded(screen, "before_seq") >= pages and _is_calm(screen))
        whole = perf_counter() - began
        reading = screen.frames(lambda: _to_the_beginning(screen))
        height = screen.page.evaluate("(log) => document.querySelector(log).scrollHeight", LOG)
        flung = screen.frames(lambda: screen.wheel(LOG, height, FLUNG))
        found = _find(screen, "empty line")
        heap = screen.heap_megabytes()
    return [
        *_smooth(f"{what}: read through with the wheel", reading, clock),
        Figure("  flung through", flung.rate, "frames/s"),
        Figure(f"{what}: elements on the page at most", max(reading.elements, flung.elements), "elements", 3_000),
        Figure("  by its address, in a browser that has never been here: can be used after", round(cold), "ms"),
        Figure("  all of it is there for the search after", round(whole * 1000), "ms"),
        Figure("  a text found in all of it, 120 ms of waiting for the next letter included", found, "ms"),
        Figure("  memory that the page holds", round(heap, 1), "MB"),
    ]


def _to_the_beginning(screen: Screen) -> None:
    """How far that is shows on the way: rows are guessed until they are drawn."""
    while (left := screen.page.evaluate("(log) => document.querySelector(log).scrollTop", LOG)) > 1:
        screen.wheel(LOG, -left, READING)


def _smooth(what: str, moving: Frames, clock: Frames) -> list[Figure]:
    return [
        Figure(what, moving.rate, "frames/s", 50, at_least=True),
        Figure("  the median frame", moving.median_rate, "frames/s"),
        Figure("  the slowest frame", moving.slowest, "ms"),
        Figure("  an empty page that rests", clock.rate, "frames/s"),
    ]


def _is_calm(screen: Screen) -> bool:
    """Whether the page found time for something without any hurry."""
    return bool(
        screen.page.evaluate("() => new Promise((tell) => requestIdleCallback(({ didTimeout }) => tell(!didTimeout)))")
    )


def _find(screen: Screen, text: str) -> float:
    """Milliseconds until the number of hits is told."""
    taken: float = screen.page.evaluate(
        """(text) => new Promise((tell) => {
          const field = document.querySelector("[data-find]");
          const began = performance.now();
          const told = () => field.parentElement.querySelector("[role=status]")?.textContent ?? "none";
          const watch = new MutationObserver(() => {
            if (!/ of /.test(told())) return;
            watch.disconnect();
            tell(performance.now() - began);
          });
          watch.observe(field.parentElement, { childList: true, subtree: true, characterData: true });
          Object.getOwnPropertyDescriptor(HTMLInputElement.prototype, "value").set.call(field, text);
          field.dispatchEvent(new Event("input", { bubbles: true }));
        })""",
        text,
    )
    return round(taken)


def _list(browser: Browser, site: str, scale: Scale) -> list[Figure]:
    """The list with every order in it that there is, loaded page by page as one who scrolls to the very end."""
    with open_screen(browser) as screen:
        screen.visit(site + LIST, ROW)
        clock, heap = screen.rest(2), screen.heap_megabytes()
        began = perf_counter()
        screen.until("the end of the list", lambda: _is_whole(screen))
        loading = perf_counter() - began
        held = screen.heap_megabytes() - heap
        moving = screen.frames(lambda: screen.wheel(ROWS, -READING * scale.scroll_seconds, READING))
    return [
        *_smooth(f"list with {scale.listed:,} orders loaded: moved with the wheel", moving, clock),
        Figure("  elements on the page at most", moving.elements, "elements", 3_000),
        Figure("  memory that they take", round(held, 1), "MB"),
        Figure("  loading all of them took", round(loading, 1), "s"),
    ]


def _is_whole(screen: Screen) -> bool:
    """Goes on to the end of what is there; true where there is no more."""
    more: bool = screen.page.evaluate(
        """() => new Promise((tell) => {
          window.scrollTo(0, document.documentElement.scrollHeight);
          requestAnimationFrame(() => tell([...document.querySelectorAll("main button, button")].some(
            (button) => /Load more|Loading/.test(button.textContent))));
        })"""
    )
    return not more


def _hour(browser: Browser, server: Server, folder: Path, address: str, scale: Scale) -> list[Figure]:
    """A page that follows an order whose agent says a line a second for an hour; the hour goes by a hundred times as
    fast. What the page holds, without the events themselves, is what it held at the beginning.

    Compared is the most at any stop with the first stop, without what the browser has compiled of the page's scripts:
    that comes once and is the browser's, but much of it only after a thousand lines. So with it, all that there is in
    the heap is compared with the second stop. At a stop the agent is silent, so that nothing counts that is only under
    way.
    """
    client = server.client()
    order_id, _ = client.file(address)
    heaps: list[Heap] = []
    with open_screen(browser) as screen:
        screen.visit(f"http://127.0.0.1:{server.port}{LIST}/{order_id}", LINE)
        following = Frames(0, 0, 0, 0)
        for stop in _stops(scale):
            screen.until("the agent's lines", partial(_shows, screen, f"{stop - 1} It reads"))
            heaps.append(Heap.of(screen, _last_seq(client, order_id)))
            agents.go_on(folder, stop)
            if stop == scale.hour_lines // 2:
                following = screen.rest(3)
        client.wait(order_id)
        screen.until("the last line", partial(_shows, screen, f"{scale.hour_lines - 1} It reads"))
        heaps.append(Heap.of(screen, _last_seq(client, order_id)))
    sizes = _sizes(client, order_id)
    whole = [heap.megabytes - sum(sizes[: heap.seq]) / 1e6 for heap in heaps]
    own = [megabytes - heap.compiled for megabytes, heap in zip(whole, heaps, strict=True)]
    said = f"{scale.hour_lines:,} lines in an hour's stream"
    return [
        Figure(f"{said}: the page's own memory, without the events, over before", _growth(own), "ratio", 1.2),
        Figure(
            "  with what the browser compiles of its scripts, over after a quarter", _growth(whole[1:]), "ratio", 1.2
        ),
        *(Figure(f"  memory after {heap.seq:,} events", round(heap.megabytes, 1), "MB") for heap in heaps),
        Figure("  of that at first compiled", round(heaps[0].compiled, 1), "MB"),
        Figure("  of that at last compiled", round(heaps[-1].compiled, 1), "MB"),
        Figure("  the events themselves", round(sum(sizes) / 1e6, 1), "MB"),
        Figure(f"  followed at {LINES_A_SECOND} lines a second", following.rate, "frames/s", 50, at_least=True),
    ]


def _growth(megabytes: list[float]) -> float:
    """The most over the first."""
    return round(max(megabytes) / megabytes[0], 2)


def _stops(scale: Scale) -> tuple[int, ...]:
    """After a twentieth of the hour, when the page has become what it is, and after each quarter but the last."""
    return tuple(scale.hour_lines * part // 20 for part in (1, 5, 10, 15))


def _shows(screen: Screen, text: str) -> bool:
    shown: bool = screen.page.evaluate(
        "([log, text]) => document.querySelector(log).textContent.includes(text)", [LOG, text]
    )
    return shown


def _last_seq(client: Client, order_id: str) -> int:
    last: int = client.ask("GET", f"/work-orders/{order_id}")[1]["last_seq"]
    return last


def _sizes(client: Client, order_id: str) -> list[int]:
    """Characters of each event, as the stream has told them."""
    sizes: list[int] = []
    while page := client.ask("GET", f"/work-orders/{order_id}/events?after_seq={len(sizes)}&limit=1000")[1]["events"]:
        sizes += [len(json.dumps(event, ensure_ascii=False, separators=(",", ":"))) for event in page]
    return sizes
