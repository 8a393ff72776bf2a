"""Keeps secrets out of everything that is stored, streamed or logged: exact values in their encodings, and patterns."""

import base64
import json
import re
import shlex
from urllib.parse import quote, quote_plus

MASK = "[REDACTED]"
# Shorter values would mask ordinary words.
MIN_SECRET = 8

# Anchored by a literal prefix, so that the scan is cheap and ordinary text is never touched.
_PATTERNS = re.compile(
    r"""(?x)
      \bgh[pousr]_[A-Za-z0-9]{30,255}
    | \bgithub_pat_[A-Za-z0-9_]{40,255}
    | \bglpat-[A-Za-z0-9_-]{20,64}
    | \bsk-ant-[A-Za-z0-9_-]{20,255}
    | \bsk-(?:proj-)?[A-Za-z0-9_-]{40,255}
    | \bsb_secret_[A-Za-z0-9_-]{20,255}
    | \b(?:AKIA|ASIA)[0-9A-Z]{16}\b
    | \bxox[abprs]-[A-Za-z0-9-]{10,255}
    | \bnpm_[A-Za-z0-9]{36}\b
    | \bpypi-AgE[A-Za-z0-9_-]{50,255}
    | \bAIza[0-9A-Za-z_-]{35}\b
    | \beyJ[A-Za-z0-9_-]{10,}\.eyJ[A-Za-z0-9_-]{10,}\.[A-Za-z0-9_-]{10,}
    | -----BEGIN\ (?:[A-Z]+\ )*PRIVATE\ KEY-----(?:(?!-----END).){0,8000}-----END\ (?:[A-Z]+\ )*PRIVATE\ KEY-----
    """,
    re.DOTALL,
)
_PREFIXES = (
    "gh", "glpat-", "sk-", "sb_secret_", "AKIA", "ASIA", "xox", "npm_", "pypi-", "AIza", "eyJ", "PRIVATE KEY-----",
)  # fmt: skip
_URL_CREDENTIALS = re.compile(r"(\b[a-z][a-z0-9+.-]{1,20}://)[^\s/@\"'\\]{1,400}@")


class Redactor:
    """Replaces registered values (plain, URL-, base64-, JSON- and shell-encoded) and known token shapes by a mask.

    Values are registered while the server runs: every secret it reads goes in before it is used.
    """

    def __init__(self) -> None:
        self._values: set[str] = set()
        self._needles: tuple[str, ...] = ()
        self.count = 0

    def register(self, value: str | None) -> None:
        """From now on this value is never shown. Values under 8 characters are left alone."""
        if value is None or len(value) < MIN_SECRET or value in self._values:
            return
        self._values.add(value)
        self._needles = tuple(sorted({n for v in self._values for n in _encodings(v)}, key=len, reverse=True))

    @property
    def longest(self) -> int:
        """Length of the longest needle: what a reader of chunks must keep back between two of them."""
        return len(self._needles[0]) if self._needles else 0

    def redact(self, text: str) -> str:
        """The text without secrets. Idempotent; JSON stays JSON, one line stays one line."""
        clean = text
        for needle in self._needles:
            if needle in clean:
                clean = clean.replace(needle, MASK)
        if any(prefix in clean for prefix in _PREFIXES):
            clean = _PATTERNS.sub(MASK, clean)
        if "://" in clean and "@" in clean:
            clean = _URL_CREDENTIALS.sub(rf"\1{MASK}@", clean)
        if clean != text:
            self.count += 1
        return clean

    def finds(self, text: str) -> bool:
        """Whether the text holds a secret."""
        return self.redact(text) != text


def _encodings(value: str) -> set[str]:
    raw = value.encode()
    forms = {
        value,
        quote(value, safe=""),
        quote_plus(value),
        json.dumps(value)[1:-1],
        json.dumps(value, ensure_ascii=False)[1:-1],
        shlex.quote(value),
        base64.b64encode(raw).decode(),
        base64.urlsafe_b64encode(raw).decode(),
        base64.b64encode(raw).decode().rstrip("="),
    }
    # A token inside a longer base64 text (Basic auth, a file) starts at any of three offsets.
    for lead in (b"x-access-token:", b"x", b"xx"):
        encoded = base64.b64encode(lead + raw).decode()
        start = (len(lead) * 8 + 5) // 6
        forms.add(encoded[start + 1 : -4])
    return {form for form in forms if len(form) >= MIN_SECRET}
