"""The cookie of a person who signed in. It says until when it holds and proves it with the token; nothing is kept.

Another token ends all cookies, on every server alike.
"""

import hashlib
import hmac
import re
from http.cookies import CookieError, SimpleCookie

from starlette.datastructures import Headers

NAME = "awo_session"
LIFETIME = 7 * 24 * 3600
_VALUE = re.compile(r"([0-9]{1,12})\.([0-9a-f]{64})\Z")


def signed(token: str, now: float) -> str:
    """A value that holds for LIFETIME seconds from `now` (seconds since 1970)."""
    until = int(now) + LIFETIME
    return f"{until}.{_proof(token, until)}"


def is_signed_in(token: str, headers: Headers, now: float) -> bool:
    """Whether the request carries a cookie that was given for this token and still holds."""
    try:
        found = SimpleCookie(headers.get("cookie", "")).get(NAME)
    except CookieError:
        return False
    parts = _VALUE.match(found.value) if found is not None else None
    if parts is None or int(parts[1]) <= now:
        return False
    return hmac.compare_digest(parts[2], _proof(token, int(parts[1])))


def _proof(token: str, until: int) -> str:
    return hmac.new(token.encode(), f"awo-session {until}".encode(), hashlib.sha256).hexdigest()
