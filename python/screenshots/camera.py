"""A browser that takes pictures: two sizes, light and dark, no motion. Knows no page of ours."""

import base64
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from playwright.sync_api import Browser, Page, expect, sync_playwright

from .server import Broken

NAMES = ("chromium", "chromium-browser", "google-chrome-stable", "google-chrome")
Size = Literal["desktop", "phone"]
SIZES: dict[Size, tuple[int, int]] = {"desktop": (1280, 800), "phone": (390, 844)}
COLOURS: tuple[Literal["light", "dark"], ...] = ("light", "dark")
WITHIN_MS = 15_000
# A picture takes the place of an older one only when more than this part of it looks different: identifiers, seconds
# and commits are others each time, and are no news.
NEWS = 0.004

# What two pictures have in common, and the picture as WebP: the browser can do both.
DEVELOP = """
async ([fresh, old, quality]) => {
  const load = async (base64, kind) => {
    const image = new Image();
    image.src = `data:image/${kind};base64,${base64}`;
    await image.decode();
    const canvas = document.createElement("canvas");
    [canvas.width, canvas.height] = [image.width, image.height];
    const context = canvas.getContext("2d", { willReadFrequently: true });
    context.drawImage(image, 0, 0);
    return { canvas, width: image.width, height: image.height,
             data: context.getImageData(0, 0, image.width, image.height).data };
  };
  const now = await load(fresh, "png");
  const webp = now.canvas.toDataURL("image/webp", quality).split(",")[1];
  if (!old) return { webp, differs: 1 };
  const before = await load(old, "webp");
  if (now.width !== before.width || now.height !== before.height) return { webp, differs: 1 };
  let count = 0;
  for (let at = 0; at < now.data.length; at += 4) {
    const far = Math.max(...[0, 1, 2].map((part) => Math.abs(now.data[at + part] - before.data[at + part])));
    if (far > 64) count += 1;
  }
  return { webp, differs: count / (now.width * now.height) };
}
"""


@dataclass(frozen=True)
class Shot:
    """One picture that was taken."""

    name: str
    size: Size
    colours: str
    png: bytes

    @property
    def file_name(self) -> str:
        return f"{self.name}-{self.size}-{self.colours}"


class Camera:
    """Takes the same state in both colours. `scale` is device pixels for each one of the page's."""

    def __init__(self, browser: Browser) -> None:
        self._browser = browser

    @contextmanager
    def page(self, size: Size, *, scale: float = 1) -> Iterator[Page]:
        """A fresh visitor, whose page has to be without errors."""
        width, height = SIZES[size]
        phone = size == "phone"
        context = self._browser.new_context(
            viewport={"width": width, "height": height},
            device_scale_factor=scale,
            has_touch=phone,
            is_mobile=phone,
            reduced_motion="reduce",
            color_scheme="light",
            locale="en-GB",
            timezone_id="UTC",
        )
        context.set_default_timeout(WITHIN_MS)
        with context:
            yield context.new_page()

    def take(self, page: Page, name: str, size: Size, *, whole: bool) -> Iterator[Shot]:
        """The page as it stands, light and then dark."""
        if whole:  # by a higher window, so that what stands at its edges stays there
            height = page.evaluate("document.documentElement.scrollHeight")
            page.set_viewport_size({"width": SIZES[size][0], "height": max(SIZES[size][1], height)})
        for colours in COLOURS:
            page.emulate_media(color_scheme=colours, reduced_motion="reduce")
            expect(page.locator("html.dark")).to_have_count(int(colours == "dark"))
            png = page.screenshot(animations="disabled", caret="hide")
            yield Shot(name, size, colours, png)

    def keep(self, shot: Shot, path: Path, *, quality: float = 0.82, always: bool = False) -> bool:
        """Writes the picture as WebP if it is news; whether it was."""
        old = base64.b64encode(path.read_bytes()).decode() if path.exists() else None
        with self.page("desktop") as page:
            told = page.evaluate(DEVELOP, [base64.b64encode(shot.png).decode(), old, quality])
        if not always and told["differs"] < NEWS:
            return False
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(base64.b64decode(told["webp"]))
        return True


@contextmanager
def open_camera() -> Iterator[Camera]:
    """The system's own Chromium; nothing is downloaded. Raises Broken where there is none."""
    program = os.environ.get("AWO_TEST_CHROMIUM") or next(filter(None, map(shutil.which, NAMES)), None)
    if program is None:
        raise Broken(f"none of {', '.join(NAMES)} is on the PATH; install Chromium (Debian: apt-get install chromium).")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=["--font-render-hinting=none"])
        try:
            yield Camera(browser)
        finally:
            browser.close()
