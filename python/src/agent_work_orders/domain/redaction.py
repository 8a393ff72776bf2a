"""Keeps secrets out of everything that is stored, streamed or logged: exact values in their encodings, and patterns."""

import base64
import json
import re
import shlex
from threading import Lock
from typing import Any
from urllib.parse import quote, quote_plus

MASK = "[REDACTED]"
# Shorter values would mask ordinary words.
MIN_SECRET = 8


def _token(literal: str, rest: str, *, own_word: bool = False) -> tuple[str, re.Pattern[str]]:
    """A token's shape behind the literal it begins with: a search for a literal is fast, one for choices is not.

    `own_word` is for a literal that could also end a word ("task-…"): before it stands no letter or digit, or what only
    looks like one, which is an escape of JSON (\\n, \\u001b) or the end of a terminal's colour (ESC[31m).
    """
    if own_word:
        looks = (r"\\[bfnrt]", r"\\u[0-9a-fA-F]{4}", r"\[[0-9]m", r"[0-9;][0-9]m")
        before = "|".join([f"(?<![A-Za-z0-9_]{literal})", *(f"(?<={form}{literal})" for form in looks)])
        rest = f"(?:{before}){rest}"
    return literal, re.compile(literal + rest, re.DOTALL)


_PRIVATE_KEY = r"(?:[A-Z]{1,20} ){0,4}PRIVATE KEY-----"
# No run of characters is scanned twice, so that no text makes the scan slow.
_TOKENS = (
    *(_token(f"gh{kind}_", "[A-Za-z0-9]{30,255}") for kind in "pousr"),
    _token("ghs_", r"[0-9]{1,20}_eyJ[A-Za-z0-9_-]{10,2000}(?:\.[A-Za-z0-9_-]{1,2000}){0,2}"),
    _token("github_pat_", "[A-Za-z0-9_]{40,255}"),
    _token("glpat-", "[A-Za-z0-9_-]{20,64}"),
    _token("sk-ant-", "[A-Za-z0-9_-]{20,255}"),
    _token("sk-", "(?:proj-)?[A-Za-z0-9_-]{40,255}", own_word=True),
    _token("sb_secret_", "[A-Za-z0-9_-]{20,255}"),
    _token("AKIA", "[0-9A-Z]{16}(?![0-9A-Za-z_])", own_word=True),
    _token("ASIA", "[0-9A-Z]{16}(?![0-9A-Za-z_])", own_word=True),
    _token("xox", "[abprs]-[A-Za-z0-9-]{10,255}"),
    _token("npm_", "[A-Za-z0-9]{36}(?![0-9A-Za-z_])"),
    _token("pypi-AgE", "[A-Za-z0-9_-]{50,255}"),
    _token("AIza", "[0-9A-Za-z_-]{35}(?![0-9A-Za-z_-])", own_word=True),
    _token("eyJ", r"(?<!-eyJ)[A-Za-z0-9_-]{10,4000}\.eyJ[A-Za-z0-9_-]{10,4000}\.[A-Za-z0-9_-]{10,4000}", own_word=True),
    _token("-----BEGIN ", rf"{_PRIVATE_KEY}(?:(?!-----(?:BEGIN|END)).){{0,16000}}-----END {_PRIVATE_KEY}"),
)
_URL_CREDENTIALS = re.compile(r"://(?<=[A-Za-z0-9+.-]://)[^\s/\"'\\]{1,400}@")


class Redactor:
    """Replaces registered values (plain, URL-, base64-, JSON- and shell-encoded) and known token shapes by a mask.

    Values are registered while the server runs: every secret it reads goes in before it is used. Any thread may call.
    """

    def __init__(self) -> None:
        self._lock = Lock()
        self._values: frozenset[str] = frozenset()
        self._needles: tuple[str, ...] = ()
        self.count = 0

    def register(self, value: str | None) -> None:
        """From now on this value is never shown. Values under 8 characters are left alone."""
        if value is None or len(value) < MIN_SECRET or value in self._values or value in MASK:
            return
        with self._lock:
            self._values |= {value}
            self._needles = tuple(sorted({n for v in self._values for n in _encodings(v)}, key=len, reverse=True))

    @property
    def longest(self) -> int:
        """Length of the longest needle: what a reader of chunks must keep back between two of them."""
        return len(self._needles[0]) if self._needles else 0

    def redact(self, text: str) -> str:
        """The text without secrets. Idempotent; one line stays one line."""
        clean = self._without_tokens(text)
        if "://" in clean and "@" in clean:
            clean = _URL_CREDENTIALS.sub(f"://{MASK}@", clean)
        if clean != text:
            self.count += 1
        return clean

    def redact_json(self, text: str) -> str:
        """JSON text without secrets, and still JSON: what is masked are whole strings' parts, never their borders."""
        if self.redact(text) == text:
            return text
        return json.dumps(self.redact_value(json.loads(text)), ensure_ascii=False, separators=(",", ":"))

    def redact_value(self, value: Any) -> Any:
        """What JSON can hold, without secrets: keys and texts are masked in part, other values as a whole."""
        if isinstance(value, str):
            return self.redact(value)
        if isinstance(value, dict):
            return {self.redact(key): self.redact_value(inner) for key, inner in value.items()}
        if isinstance(value, list | tuple):
            return [self.redact_value(inner) for inner in value]
        return MASK if self.finds(str(value)) else value

    def finds(self, text: str) -> bool:
        """Whether the text holds a registered value or a token. User info in an address counts as neither."""
        return self._without_tokens(text) != text

    def _without_tokens(self, text: str) -> str:
        for needle in self._needles:
            if needle in text:
                text = text.replace(needle, MASK)
        for literal, pattern in _TOKENS:
            if literal in text:
                text = pattern.sub(MASK, text)
        return text


def _encodings(value: str) -> set[str]:
    """How a value may look: plain, in an address, in a shell's or JSON's quotes, or inside a base64 text."""
    raw = value.encode("utf-8", "surrogatepass")
    forms = {value, shlex.quote(value)}
    for safe in ("", "/", "!*'()"):  # the last is what JavaScript leaves alone
        forms.add(quote(raw, safe=safe))
    forms.add(quote_plus(raw))
    forms |= {re.sub("%[0-9A-F]{2}", lambda code: code.group().lower(), form) for form in forms}
    # Twice: a tool's JSON inside our own.
    for _ in range(2):
        forms |= {json.dumps(form, ensure_ascii=ascii_only)[1:-1] for form in forms for ascii_only in (True, False)}
    forms |= _inside_base64(raw)
    return {form for form in forms if len(form) >= MIN_SECRET}


def _inside_base64(raw: bytes) -> set[str]:
    """The characters of a base64 text that this value alone decides, for each of the three places it may begin at."""
    forms = set()
    for lead in range(3):
        encoded = base64.b64encode(bytes(lead) + raw).decode()
        sure = encoded[(lead * 8 + 5) // 6 : (lead + len(raw)) * 8 // 6]
        forms |= {sure, sure.translate(str.maketrans("+/", "-_"))}
    return forms
