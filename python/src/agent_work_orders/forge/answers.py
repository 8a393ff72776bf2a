"""What GitHub's answers mean for an order: failure classes, waits and next actions. Pure; sends nothing."""

import json
import re
import ssl
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any, TypeVar, overload

import httpx

from ..domain.errors import FailureClass, MustWait, StepFailed
from ..domain.redaction import MASK
from ..domain.status import WaitingReason

T = TypeVar("T")
D = TypeVar("D")
_MISSING: Any = object()

MIN_WAIT, MAX_WAIT = timedelta(seconds=1), timedelta(hours=24)
UNKNOWN_WAIT = timedelta(seconds=60)
MAX_WORDS = 400
NEEDED_RIGHTS = "Contents and Pull requests: read and write; Issues: read"


class Unreachable(Exception):
    """GitHub gave no usable answer. `may_pass` says whether trying again can help."""

    def __init__(self, message: str, next_action: str, *, may_pass: bool) -> None:
        super().__init__(message)
        self.message, self.next_action, self.may_pass = message, next_action, may_pass

    @classmethod
    def from_error(cls, host: str, error: httpx.HTTPError) -> "Unreachable":
        """From what httpx raised; of its texts only those are used that cannot hold what was sent."""
        causes = _causes_of(error)
        if verify := next((cause for cause in causes if isinstance(cause, ssl.SSLCertVerificationError)), None):
            return cls(
                f"The certificate of {host} is not trusted: {verify.verify_message or 'it could not be verified'}.",
                "Let SSL_CERT_FILE name a file with the certificate of the authority that issued it, and restart.",
                may_pass=False,
            )
        if any(isinstance(cause, ssl.SSLError) for cause in causes) or "SSL" in type(error).__name__:
            return cls(
                f"No TLS connection to {host} could be made.",
                "Check that AWO_GITHUB_API_URL names an https server, and any proxy on the way.",
                may_pass=False,
            )
        if isinstance(error, httpx.TimeoutException):
            return unreachable(host, "it did not answer in time")
        if isinstance(error, httpx.ConnectError):
            return unreachable(host, "no connection could be made")
        return unreachable(host, "the connection broke")

    def as_failure(self) -> StepFailed:
        return StepFailed(FailureClass.NETWORK, self.message, next_action=self.next_action)


def unreachable(host: str, why: str, *, may_pass: bool = True) -> Unreachable:
    """GitHub at `host` cannot be used now, because `why`."""
    action = "Check the network, AWO_GITHUB_API_URL and GitHub's status page, then retry the order."
    return Unreachable(f"GitHub at {host} cannot be used: {why}.", action, may_pass=may_pass)


class Answer:
    """A status, its headers, and a JSON body of which nothing is believed."""

    def __init__(
        self, status: int, headers: Mapping[str, str], content: bytes, host: str, value: Any = _MISSING
    ) -> None:
        self.status, self.headers, self._host = status, headers, host
        self._value = _decoded(content) if value is _MISSING else value

    @overload
    def field(self, name: str, kind: type[T]) -> T: ...
    @overload
    def field(self, name: str, kind: type[T], otherwise: D) -> T | D: ...
    def field(self, name: str, kind: type[T], otherwise: Any = _MISSING) -> Any:
        """A field of the object; StepFailed when it is not of its kind and `otherwise` is not given."""
        value = self._value.get(name) if isinstance(self._value, dict) else None
        if isinstance(value, str) and kind is str:
            return value.encode("utf-8", "replace").decode()  # JSON can spell what no store can hold
        if isinstance(value, kind) and not (kind is int and isinstance(value, bool)):
            return value
        if otherwise is not _MISSING:
            return otherwise
        raise unreachable(self._host, f"its answer has no {name}").as_failure()

    def items(self) -> "list[Answer]":
        """The objects of a list."""
        if not isinstance(self._value, list):
            raise unreachable(self._host, "its answer is no list").as_failure()
        return [Answer(self.status, self.headers, b"", self._host, value) for value in self._value]

    def says(self) -> str:
        """GitHub's own words, field errors spelled out, on one line."""
        parts = [self.field("message", str, "")]
        for problem in self.field("errors", list, None) or []:
            if isinstance(problem, str):
                parts.append(problem)
            elif isinstance(problem, dict):
                words = problem.get("message") or f"{problem.get('field')}: {problem.get('code')}"
                parts.append(str(words))
        line = re.sub(r"[\x00-\x20\x7f]+", " ", "; ".join(part for part in parts if part))
        return line.encode("utf-8", "replace").decode().strip()[:MAX_WORDS]


def already_exists(answer: Answer) -> bool:
    """Whether a pull request was refused because the branch has one."""
    return answer.status == 422 and "already exists" in answer.says().lower()


def refusal(answer: Answer, slug: str, now: datetime, token: str | None) -> Exception:
    """What an answer that is no success means: StepFailed, or MustWait for a rate limit."""
    if (until := limited_until(answer, now)) is not None:
        return MustWait(
            WaitingReason.USAGE_LIMIT,
            "GitHub's rate limit for this token is reached.",
            until=until,
            next_action="Nothing: the order goes on by itself once GitHub allows it.",
        )
    words = answer.says()
    if token:
        words = words.replace(token, MASK)
    failure, message, next_action = _meaning(answer, slug, words)
    return StepFailed(failure, message, next_action=next_action)


def _meaning(answer: Answer, slug: str, words: str) -> tuple[FailureClass, str, str]:
    quoted = f" GitHub says: {words}" if words else ""
    match answer.status:
        case 401:
            return (
                FailureClass.AUTH,
                "GitHub does not accept the token: it is wrong, revoked or has expired.",
                "Set GITHUB_TOKEN to a valid token and retry the order.",
            )
        case 403 if "required" in answer.headers.get("x-github-sso", "").lower():
            return (
                FailureClass.AUTH,
                f"The organisation of {slug} wants this token to be authorised for single sign-on.",
                "On GitHub: Settings, Developer settings, the token, Configure SSO; authorise it and retry the order.",
            )
        case 403:
            needed = answer.headers.get("x-accepted-github-permissions", "")
            rights = needed if re.fullmatch(r"[a-z_=;, ]{1,200}", needed) else NEEDED_RIGHTS
            return (
                FailureClass.AUTH,
                f"The token may not do this on {slug}.{quoted}",
                f"Give the token these rights on {slug} and retry the order: {rights}.",
            )
        case 404 | 410:
            return (
                FailureClass.AUTH,
                f"GitHub has no repository {slug}, or this token may not see it.",
                f"Check the address; if {slug} is private, give the token access to it ({NEEDED_RIGHTS}).",
            )
        case 422:
            return (
                FailureClass.CONFLICT,
                f"GitHub refused the request for {slug}.{quoted}",
                "Correct what GitHub names (often the base branch), then retry the order.",
            )
        case _:
            return (
                FailureClass.CONFLICT,
                f"GitHub answered {answer.status} for {slug}.{quoted}",
                f"Look at {slug} on GitHub, then retry the order.",
            )


def limited_until(answer: Answer, now: datetime) -> datetime | None:
    """When a rate limit ends; None when this is none."""
    if answer.status not in (403, 429):
        return None
    retry_after = answer.headers.get("retry-after", "")
    if re.fullmatch(r"[0-9]{1,9}", retry_after):
        wait = timedelta(seconds=int(retry_after))
    elif answer.headers.get("x-ratelimit-remaining") == "0":
        reset = answer.headers.get("x-ratelimit-reset", "")
        wait = timedelta(seconds=int(reset) - now.timestamp()) if re.fullmatch(r"[0-9]{1,11}", reset) else UNKNOWN_WAIT
    elif answer.status == 429 or "rate limit" in answer.says().lower():
        wait = UNKNOWN_WAIT
    else:
        return None
    return now + min(max(wait, MIN_WAIT), MAX_WAIT)


def _causes_of(error: BaseException) -> list[BaseException]:
    causes: list[BaseException] = []
    current: BaseException | None = error
    while current is not None and current not in causes:
        causes.append(current)
        current = current.__cause__ or current.__context__
    return causes


def _decoded(content: bytes) -> Any:
    try:
        return json.loads(content)
    except (ValueError, RecursionError):
        return None
