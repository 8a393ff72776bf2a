"""Where a renamed repository went. A redirect is looked at before it is followed: never to another host, nor down to
plain http, so that neither the token nor a request of ours goes where nobody allowed it."""

import re
from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import timedelta
from typing import TypeVar
from urllib.parse import urljoin, urlsplit

from .failures import Moved, moved
from .git import Git, Remote

T = TypeVar("T")

MAX_HOPS = 3
LIMIT = timedelta(minutes=1)
_LOCATION = re.compile(r"<= Recv header: location: (\S{1,2000})", re.IGNORECASE)
_PATH = re.compile(r"(/[A-Za-z0-9][A-Za-z0-9._-]{0,99}/[A-Za-z0-9._-]{1,104}?)(\.git)?/?\Z")
_ASKED = "/info/refs"


async def following(git: Git, remote: Remote, work: Callable[[Remote], Awaitable[T]], tell: Callable[[str], None]) -> T:
    """Does the work where the repository is now. Whoever is told of a new address can use it at once.

    Moved (a StepFailed) when it went to another host, or in circles.
    """
    for _ in range(MAX_HOPS):
        try:
            return await work(remote)
        except Moved:
            address = await _new_address(git, remote)
            remote = replace(remote, url=address)
            tell(f"The repository has moved to {address}; name that address in new work orders.")
    return await work(remote)


async def _new_address(git: Git, remote: Remote) -> str:
    """Asks once more and reads where the answer points to: git itself would only follow, or not."""
    answer = await git.run(
        "ls-remote", "--", remote.url, "HEAD",
        remote=remote, limit=LIMIT, expect=range(-64, 256),
        environment={"GIT_TRACE_CURL": "1", "GIT_TRACE_CURL_NO_DATA": "1", "GIT_TRACE_REDACT": "1"},
    )  # fmt: skip
    found = _LOCATION.findall(answer.stderr)
    if not found:
        raise moved("another address")
    return checked_address(remote, found[-1])


def checked_address(remote: Remote, location: str) -> str:
    """The repository's address that a redirect means; Moved when we do not go there."""
    try:
        parts = urlsplit(urljoin(f"{remote.url}{_ASKED}", location))
        host = parts.netloc.lower()
    except ValueError:
        raise moved("an address that cannot be read") from None
    path = _PATH.match(parts.path.removesuffix(_ASKED))
    if host != remote.host.lower():
        shown = re.sub(r"[^a-z0-9.:-]", "?", host.rpartition("@")[2])[:100]
        raise moved(f"another host ({shown})")
    if not path or ".." in parts.path or parts.scheme not in ("https", urlsplit(remote.url).scheme):
        raise moved("an address that is not one of a repository")
    return f"{parts.scheme}://{remote.host}{path[1]}"
