"""Where this machine's Chromium is. The browser is the system's own: nothing is downloaded for these tests."""

import os
import shutil

NAMES = ("chromium", "chromium-browser", "google-chrome-stable", "google-chrome")
CHOICE = "AWO_TEST_CHROMIUM"
MISSING = (
    f"none of {', '.join(NAMES)} is on the PATH; install Chromium (Debian: apt-get install chromium) "
    f"or set {CHOICE} to the program."
)


class ChromiumMissing(Exception):
    """There is no browser to test with; the text says what to do."""


def chromium() -> str:
    """Path of the program. Raises ChromiumMissing."""
    chosen = os.environ.get(CHOICE)
    if chosen:
        if not os.access(chosen, os.X_OK):
            raise ChromiumMissing(f"{CHOICE} is {chosen}, which is no program; correct or unset it.")
        return chosen
    found = next(filter(None, map(shutil.which, NAMES)), None)
    if found is None:
        raise ChromiumMissing(MISSING)
    return found


def must_be_there() -> bool:
    """Whether tests may not be left out for want of a browser: in CI."""
    return any(os.environ.get(name, "").lower() in ("1", "true", "yes") for name in ("AWO_REQUIRE_CHROMIUM", "CI"))
