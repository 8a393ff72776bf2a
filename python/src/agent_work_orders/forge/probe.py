"""What a GitHub token is worth, asked of GitHub itself: whose, until when, and what it may do. Changes nothing."""

import re
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta

import anyio
import httpx

from ..domain.redaction import MASK
from ..domain.repository import Repository
from ..domain.setting import Finding
from ..domain.work_order import utc_now
from .answers import NEEDED_RIGHTS, Answer, Unreachable, limited_until, unreachable
from .github import API_VERSION, MAX_ANSWER, open_client

EXPIRES_SOON = timedelta(days=7)
FEW_CALLS = 100
_NEW_TOKEN = f"Make a new token on GitHub ({NEEDED_RIGHTS}) and save it here."


class GitHubProbe:
    """Asks with one token at one address. `repository` is the one whose rights are tried, or None."""

    def __init__(
        self,
        api_url: str,
        token: str | None,
        repository: Repository | None,
        *,
        base_branch: str | None = None,
        now: Callable[[], datetime] = utc_now,
        client: Callable[[], Awaitable[httpx.AsyncClient]] = open_client,
    ) -> None:
        self._base, self._token, self._repository = httpx.URL(api_url), token, repository
        self._base_branch, self._now, self._new_client = base_branch, now, client
        # Of the repository, once it was seen.
        self.default_branch: str | None = None

    async def findings(self) -> list[Finding]:
        """One by one, in the order in which a person would look. Never raises for what GitHub does."""
        if self._token is None:
            return [_bad("token", "There is no GitHub token.", _NEW_TOKEN)]
        if not (self._token.isascii() and self._token.isprintable() and " " not in self._token):
            return [_bad("token", "The token holds characters that no token has.", "Copy it again, alone.")]
        try:
            async with await self._new_client() as client:
                user = await self._ask(client, "GET", "/user")
                found = self._first_findings(user)
                if all(one.ok for one in found if one.required) and self._repository is not None:
                    found += await self._rights(client, self._repository)
        except Unreachable as failed:
            return [_bad("reachable", failed.message, _without_order(failed.next_action))]
        return found

    # --- the token itself ---

    def _first_findings(self, user: Answer) -> list[Finding]:
        host = self._base.host
        if (until := limited_until(user, self._now())) is not None:
            told = f"GitHub's rate limit for this token is used up until {until:%H:%M:%S} UTC."
            return [_good("reachable", f"{host} answers."), _bad("rate_limit", told, "Wait until then and test again.")]
        if not _is_github(user):
            return [
                _bad(
                    "reachable",
                    f"What answers at {host} is not GitHub's API (status {user.status}).",
                    "Check AWO_GITHUB_API_URL: https://api.github.com, or https://your-server/api/v3.",
                )
            ]
        reachable = _good("reachable", f"{host} answers.")
        if user.status == 401:
            told = "GitHub does not accept the token: it is wrong, was revoked, or has expired."
            return [reachable, _bad("token", told, _NEW_TOKEN)]
        if user.status == 403 and _wants_sso(user):
            return [reachable, self._sso(user)]
        if user.status != 200:
            told = f"GitHub refuses to say whose token this is (status {user.status}): {self._words(user)}"
            return [reachable, _bad("token", told, _NEW_TOKEN)]
        login = user.field("login", str, "an unnamed account")
        found = [reachable, _good("token", f"The token is {login}'s."), self._expiry(user), self._scopes(user)]
        if "partial-results" in user.headers.get("x-github-sso", "").lower():
            found.append(self._sso(user))
        found.append(_rate(user))
        return found

    def _expiry(self, answer: Answer) -> Finding:
        expires_at = _moment(answer.headers.get("github-authentication-token-expiration", ""))
        if expires_at is None:
            return _good("expiry", "The token does not expire, or GitHub does not say when.")
        told = f"The token expires on {expires_at:%Y-%m-%d %H:%M} UTC."
        if expires_at <= self._now():
            return _bad("expiry", told.replace("expires", "has expired"), _NEW_TOKEN)
        if expires_at <= self._now() + EXPIRES_SOON:
            return _warn("expiry", told, "Make its successor now.")
        return _good("expiry", told)

    def _scopes(self, answer: Answer) -> Finding:
        raw = answer.headers.get("x-oauth-scopes")
        if raw is None:
            told = "A fine-grained or app token: GitHub shows its permissions on a repository only."
            if self._repository is not None:
                return _good("permissions", told)
            return Finding(
                name="permissions",
                ok=True,
                required=False,
                detail=told,
                next_action="Test again with the address of a repository.",
            )
        scopes = {scope.strip() for scope in raw.split(",") if scope.strip()}
        shown = ", ".join(sorted(one for one in scopes if re.fullmatch(r"[a-z:_]{1,40}", one)))
        if "repo" in scopes:
            return _good("permissions", f"A classic token with the scopes {shown}.")
        if "public_repo" in scopes:
            return _warn(
                "permissions",
                f"A classic token for public repositories only ({shown}).",
                "Give it the scope repo if work orders shall reach private repositories.",
            )
        return _bad(
            "permissions",
            f"A classic token without the scope repo (it has: {shown or 'none'}).",
            "On GitHub: Settings, Developer settings, Tokens (classic), the token; tick repo and save.",
        )

    def _sso(self, answer: Answer) -> Finding:
        header = answer.headers.get("x-github-sso", "")
        asks = "required" in header.lower()
        whose = "The organisation" if asks else "At least one organisation"
        finding = _bad if asks else _warn
        return finding(
            "sso",
            f"{whose} wants this token to be authorised for single sign-on.",
            "On GitHub: Settings, Developer settings, the token, Configure SSO; authorise it.",
        )

    # --- one repository ---

    async def _rights(self, client: httpx.AsyncClient, repository: Repository) -> list[Finding]:
        slug = repository.slug
        seen = await self._ask(client, "GET", f"/repos/{slug}")
        if seen.status == 403 and _wants_sso(seen):
            return [self._sso(seen)]
        if seen.status != 200:
            told = f"GitHub has no repository {slug}, or this token may not see it."
            return [_bad("repository", told, f"Check the address, and give the token access to it ({NEEDED_RIGHTS}).")]
        branch = self.default_branch = seen.field("default_branch", str, "main")
        results: dict[str, Finding] = {}
        # Requests without what they need: who may do it hears that they are incomplete, who may not hears that.
        trials = [
            ("contents", "POST", f"/repos/{slug}/git/refs", "push branches", "Contents: read and write"),
            ("pull_requests", "POST", f"/repos/{slug}/pulls", "open pull requests", "Pull requests: read and write"),
            ("checks", "GET", f"/repos/{slug}/commits/{branch}/check-runs", "read checks", "Checks: read"),
            ("issues", "GET", f"/repos/{slug}/issues/0", "read issues", "Issues: read"),
        ]

        async def try_one(name: str, method: str, path: str, what: str, right: str) -> None:
            try:
                answer = await self._ask(client, method, path)
            except Unreachable as failed:
                results[name] = _bad(name, failed.message, _without_order(failed.next_action))
                return
            results[name] = self._right(name, answer, slug, what, right)

        async with anyio.create_task_group() as group:
            for trial in trials:
                group.start_soon(try_one, *trial)
        found = [_good("repository", f"{slug} can be read."), *(results[name] for name, *_ in trials)]
        if self._base_branch is not None:
            found.append(await self._branch(client, slug, self._base_branch))
        return found

    async def _branch(self, client: httpx.AsyncClient, slug: str, branch: str) -> Finding:
        answer = await self._ask(client, "GET", f"/repos/{slug}/branches/{branch}")
        if answer.status == 200:
            return _good("base_branch", f"{slug} has the branch {branch}.")
        told = f"{slug} has no branch {branch} that can be read."
        return _bad("base_branch", told, "Correct the base branch, or leave it out for the default one.")

    def _right(self, name: str, answer: Answer, slug: str, what: str, right: str) -> Finding:
        required = name in ("contents", "pull_requests")
        if answer.status == 403 and _wants_sso(answer):
            return self._sso(answer)
        refused = answer.status in (401, 403) or (answer.status == 404 and required)
        if not refused:
            return _good(name, f"The token may {what} on {slug}.")
        finding = _bad if required else _warn
        return finding(name, f"The token may not {what} on {slug}.", f"Give it the permission {right} on {slug}.")

    # --- the wire ---

    async def _ask(self, client: httpx.AsyncClient, method: str, path: str) -> Answer:
        """The answer to one request, whatever it is; Unreachable when there is none. The token goes nowhere else."""
        url = self._base.copy_with(path=self._base.path.rstrip("/") + path)
        headers = {
            "Accept": "application/vnd.github+json",
            "Authorization": f"Bearer {self._token}",
            "X-GitHub-Api-Version": API_VERSION,
            "User-Agent": "archon-agent-work-orders",
        }
        content = bytearray()
        body: dict[str, str] | None = {} if method == "POST" else None
        try:
            async with client.stream(method, url, headers=headers, json=body, follow_redirects=False) as response:
                async for chunk in response.aiter_bytes():
                    content += chunk
                    if len(content) > MAX_ANSWER:
                        raise unreachable(self._base.host, "its answer is too long", may_pass=False)
        except httpx.HTTPError as error:
            raise Unreachable.from_error(self._base.host, error) from None
        return Answer(response.status_code, response.headers, bytes(content), self._base.host)

    def _words(self, answer: Answer) -> str:
        words = answer.says() or "nothing more"
        return words.replace(self._token, MASK) if self._token else words


def _is_github(answer: Answer) -> bool:
    """Its own headers tell, or that a user has a login; a server of somebody else's has neither."""
    marks = ("x-github-request-id", "x-github-media-type", "x-ratelimit-limit")
    named = any(mark in answer.headers for mark in marks)
    return named and (answer.status != 200 or bool(answer.field("login", str, "")))


def _wants_sso(answer: Answer) -> bool:
    return "required" in answer.headers.get("x-github-sso", "").lower()


def _rate(answer: Answer) -> Finding:
    left, most = answer.headers.get("x-ratelimit-remaining", ""), answer.headers.get("x-ratelimit-limit", "")
    if not (re.fullmatch("[0-9]{1,9}", left) and re.fullmatch("[0-9]{1,9}", most)):
        return _good("rate_limit", "GitHub names no rate limit.")
    told = f"{left} of {most} calls are left in this hour."
    if int(left) < FEW_CALLS:
        return _warn("rate_limit", told, "Wait for the next hour, or see what else uses this token.")
    return _good("rate_limit", told)


def _moment(text: str) -> datetime | None:
    """From GitHub's `2026-12-31 10:00:00 UTC` or `2026-12-31 10:00:00 +0200`."""
    if not text:
        return None
    try:
        at = datetime.strptime(text.replace("UTC", "+0000").strip(), "%Y-%m-%d %H:%M:%S %z")
    except ValueError:
        return None
    return at.astimezone(UTC)


def _without_order(next_action: str) -> str:
    return next_action.replace(", then retry the order", ", then test again")


def _good(name: str, detail: str) -> Finding:
    return Finding(name=name, ok=True, detail=detail)


def _warn(name: str, detail: str, next_action: str) -> Finding:
    return Finding(name=name, ok=False, required=False, detail=detail, next_action=next_action)


def _bad(name: str, detail: str, next_action: str) -> Finding:
    return Finding(name=name, ok=False, detail=detail, next_action=next_action)
