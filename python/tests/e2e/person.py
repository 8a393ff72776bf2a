"""A person at a browser of their own: opens pages of a server, and remembers everything that went wrong in them.
Knows no page by heart; the tests do."""

import json
import re
from typing import Any

from playwright.sync_api import BrowserContext, ConsoleMessage, Page, ViewportSize

DESKTOP: ViewportSize = {"width": 1280, "height": 800}
PHONE: ViewportSize = {"width": 390, "height": 844}

# What the policy kept out, said where the test can read it.
TELL_VIOLATIONS = """
document.addEventListener("securitypolicyviolation", (event) =>
  console.error(`policy: ${event.violatedDirective} kept ${event.blockedURI || "inline"} out`));
"""
# Everything that a page keeps on this machine.
KEPT = """async () => {
  if ((await indexedDB.databases()).length > 0 || (await caches.keys()).length > 0) throw new Error("look there too");
  return JSON.stringify([{ ...localStorage }, { ...sessionStorage }, document.cookie, location.href]);
}"""


class Person:
    """One browser context. What its pages complain about is a fault unless the test expects it."""

    def __init__(self, context: BrowserContext, address: str, secrets: tuple[str, ...]) -> None:
        self.context, self.address, self._secrets = context, address, secrets
        self.said: list[str] = []
        self._faults: list[str] = []
        self._expected: list[str] = []
        context.set_default_timeout(20_000)
        context.add_init_script(TELL_VIOLATIONS)
        context.on("page", self._watch)

    def open(self, path: str = "/") -> Page:
        """A tab of its own at this path of the server."""
        page = self.context.new_page()
        page.goto(f"{self.address}{path}")
        return page

    def expects(self, *complaints: str) -> None:
        """Complaints (regular expressions) that belong to what the test does."""
        self._expected += complaints

    def faults(self) -> list[str]:
        """What went wrong in any of the pages, and whatever of a secret is still to be found in one."""
        unexpected = [fault for fault in self._faults if not any(re.search(one, fault) for one in self._expected)]
        return unexpected + self.leaks(*self._secrets)

    def leaks(self, *secrets: str) -> list[str]:
        """Where one of the secrets is to be found: every page still open is looked at, and all that was ever said."""
        places = {"the console": "\n".join(self.said)}
        for page in self.context.pages:
            places[f"the page at {page.url}"] = page.content()
            places[f"the storage of {page.url}"] = str(page.evaluate(KEPT))
        return [
            f"a secret is in {place}"
            for place, text in places.items()
            if any(secret in text or json.dumps(secret)[1:-1] in text for secret in secrets)
        ]

    def _watch(self, page: Page) -> None:
        page.on("console", self._listen)
        page.on("pageerror", lambda error: self._faults.append(f"{page.url}: {error}"))
        page.on("requestfailed", lambda request: self.said.append(f"{request.method} {request.url}: {request.failure}"))

    def _listen(self, message: ConsoleMessage) -> None:
        self.said.append(message.text)
        if message.type in ("error", "warning"):
            self._faults.append(f"{message.type} of the console: {message.text} {_place(message.location)}")


def _place(location: Any) -> str:
    return f"({location.get('url', '')})" if location else ""
