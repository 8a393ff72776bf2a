"""GitHub over httpx: a repository's facts, an issue's text, a branch's pull request. Knows no work order and no git."""

from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import anyio
import httpx
from anyio import to_thread

from ..domain.errors import FailureClass, StepFailed
from ..domain.repository import Repository
from ..domain.work_order import utc_now
from ..ports import Issue, PullRequest
from ..tracing import span
from .answers import Answer, Unreachable, already_exists, refusal, unreachable

API_VERSION = "2022-11-28"
MAX_ANSWER = 8 * 1024 * 1024
MAX_HOPS = 3
MAX_TITLE = 250
CALL_TIMEOUT = httpx.Timeout(20, connect=10)


@dataclass(frozen=True)
class RepositoryInfo:
    """A repository as the token sees it. `can_push` is None where GitHub does not say (no token)."""

    default_branch: str
    private: bool
    can_push: bool | None


class GitHubForge:
    """The Forge on GitHub's REST API. `api_url` ends in `/api/v3` on an Enterprise server.

    Address and token are asked for at every call, so that new settings take effect at once. Failures are StepFailed
    with class and next action, or MustWait for a rate limit; no message holds the token.
    """

    def __init__(
        self,
        api_url: Callable[[], str],
        token: Callable[[Repository], Awaitable[str | None]],
        *,
        now: Callable[[], datetime] = utc_now,
        backoff: tuple[timedelta, ...] = (timedelta(seconds=0.3), timedelta(seconds=1)),
        time_limit: timedelta = timedelta(seconds=60),
        new_client: Callable[[], Awaitable[httpx.AsyncClient]] | None = None,
    ) -> None:
        self._api_url, self._token, self._now = api_url, token, now
        self._backoff, self._time_limit = backoff, time_limit
        self._new_client = new_client or open_client

    async def repository(self, repository: Repository) -> RepositoryInfo:
        """Default branch and rights; StepFailed (auth) when the token does not see it."""
        async with self._session(repository) as github:
            found = await github.get(f"/repos/{repository.slug}")
            rights = found.field("permissions", dict, None)
            return RepositoryInfo(
                default_branch=found.field("default_branch", str),
                private=found.field("private", bool, False),
                can_push=bool(rights.get("push")) if rights is not None else None,
            )

    async def issue(self, repository: Repository, number: int) -> Issue:
        """The text of an issue; StepFailed (conflict) when the repository has none with this number."""
        async with self._session(repository) as github:
            try:
                found = await github.get(f"/repos/{repository.slug}/issues/{number}")
            except StepFailed as failed:
                if failed.failure_class is not FailureClass.AUTH or github.last_status not in (404, 410):
                    raise
                # Either the issue or the whole repository is missing: the repository itself tells.
                await github.get(f"/repos/{repository.slug}")
                raise StepFailed(
                    FailureClass.CONFLICT,
                    f"{repository.slug} has no issue {number} that can be read.",
                    next_action="Correct the issue's number, or file the order without it.",
                ) from None
            return Issue(
                number=found.field("number", int),
                title=found.field("title", str),
                body=found.field("body", str, None) or "",
                url=found.field("html_url", str),
            )

    async def open_pull_request(
        self, repository: Repository, *, branch: str, base: str, title: str, body: str
    ) -> PullRequest:
        """The open pull request of `branch`, whatever its base; made if there is none."""
        async with self._session(repository, needs_token=True) as github:
            for repeat in github.attempts():
                if found := await _find(github, repository, repository.owner, branch):
                    return found
                try:
                    made = await github.once(
                        "POST",
                        f"/repos/{repository.slug}/pulls",
                        json={"title": title[:MAX_TITLE], "head": branch, "base": base, "body": body},
                    )
                except Unreachable as failed:
                    # GitHub may have done it all the same, so the next round looks first.
                    await repeat(failed)
                    continue
                if made.status == 201:
                    return _pull_request(made, created=True)
                if already_exists(made):
                    # Not found before: somebody was faster, or the owner has another name by now.
                    owner = (await github.get(f"/repos/{repository.slug}")).field("owner", dict).get("login")
                    if found := await _find(github, repository, str(owner), branch):
                        return found
                raise github.refused(made)
        raise AssertionError("unreachable: the last attempt returns or raises")

    @asynccontextmanager
    async def _session(self, repository: Repository, *, needs_token: bool = False) -> AsyncGenerator["_Session"]:
        token = (await self._token(repository) or "").strip() or None
        if token is None and needs_token:
            raise StepFailed(
                FailureClass.AUTH,
                "There is no GitHub token, and a pull request cannot be opened without one.",
                next_action="Set GITHUB_TOKEN to a token with write access to contents and pull requests, and retry.",
            )
        # httpx would repeat such a value in its error.
        if token is not None and not (token.isascii() and token.isprintable() and " " not in token):
            raise StepFailed(
                FailureClass.AUTH,
                "The GitHub token holds characters that no token has.",
                next_action="Enter the token again, without line breaks or spaces.",
            )
        base = httpx.URL(self._api_url())
        host = base.host
        try:
            async with await self._new_client() as client:
                with anyio.fail_after(self._time_limit.total_seconds()):
                    yield _Session(client, base, token, repository, self._now, self._backoff)
        except TimeoutError:
            raise unreachable(host, "it did not answer in time").as_failure() from None
        except Unreachable as failed:
            raise failed.as_failure() from None


class _Session:
    """The calls of one question, over one client and with one token."""

    def __init__(
        self,
        client: httpx.AsyncClient,
        base: httpx.URL,
        token: str | None,
        repository: Repository,
        now: Callable[[], datetime],
        backoff: tuple[timedelta, ...],
    ) -> None:
        self._client, self._base, self._token, self._repository = client, base, token, repository
        self._now, self._backoff = now, backoff
        self.last_status = 0

    async def get(self, path: str, params: dict[str, str] | None = None) -> Answer:
        """A successful answer, after up to two repetitions; StepFailed or MustWait otherwise."""
        for repeat in self.attempts():
            try:
                answer = await self.once("GET", path, params=params)
            except Unreachable as failed:
                await repeat(failed)
                continue
            self.last_status = answer.status
            if answer.status == 200:
                return answer
            raise self.refused(answer)
        raise AssertionError("unreachable: the last attempt returns or raises")

    def attempts(self) -> list[Callable[[Unreachable], Awaitable[None]]]:
        """One function per attempt, to call when it failed: it waits, or raises where another one makes no sense."""

        def attempt(pause: timedelta | None) -> Callable[[Unreachable], Awaitable[None]]:
            async def repeat(failed: Unreachable) -> None:
                if pause is None or not failed.may_pass:
                    raise failed
                await anyio.sleep(pause.total_seconds())

            return repeat

        return [*map(attempt, self._backoff), attempt(None)]

    def refused(self, answer: Answer) -> Exception:
        """What a 4xx means for the order."""
        return refusal(answer, self._repository.slug, self._now(), self._token)

    async def once(
        self, method: str, path: str, *, params: dict[str, str] | None = None, json: dict[str, str] | None = None
    ) -> Answer:
        """One request, redirects on the same host included; Unreachable when there is no answer below 500."""
        url = self._base.copy_with(path=self._base.path.rstrip("/") + path)
        if params:
            url = url.copy_merge_params(params)
        for _ in range(MAX_HOPS):
            with span(f"GitHub {method}", outside=True, host=self._base.host):
                answer, target = await self._send(method, url, json)
            if target is None:
                if answer.status >= 500:
                    raise unreachable(self._base.host, f"it answered {answer.status}")
                return answer
            if (target.scheme, target.host, target.port) != (self._base.scheme, self._base.host, self._base.port):
                # The token goes nowhere else.
                raise unreachable(self._base.host, "it redirects to another host", may_pass=False)
            url = target
        raise unreachable(self._base.host, "it redirects without end", may_pass=False)

    async def _send(self, method: str, url: httpx.URL, json: dict[str, str] | None) -> tuple[Answer, httpx.URL | None]:
        headers = {
            "Accept": "application/vnd.github+json",
            "X-GitHub-Api-Version": API_VERSION,
            "User-Agent": "archon-agent-work-orders",
        }
        if self._token is not None:
            headers["Authorization"] = f"Bearer {self._token}"
        content = bytearray()
        try:
            async with self._client.stream(method, url, headers=headers, json=json, follow_redirects=False) as response:
                async for chunk in response.aiter_bytes():
                    content += chunk
                    if len(content) > MAX_ANSWER:
                        raise unreachable(self._base.host, "its answer is too long", may_pass=False)
        except httpx.HTTPError as error:
            # The error's own text is left out: it can hold what was sent.
            raise Unreachable.from_error(self._base.host, error) from None
        answer = Answer(response.status_code, response.headers, bytes(content), self._base.host)
        location = response.headers.get("location")
        if response.status_code not in (301, 302, 307, 308) or not location:
            return answer, None
        try:
            return answer, url.join(location)
        except httpx.InvalidURL:
            raise unreachable(self._base.host, "it redirects to something unreadable", may_pass=False) from None


async def _find(github: _Session, repository: Repository, owner: str, branch: str) -> PullRequest | None:
    found = await github.get(
        f"/repos/{repository.slug}/pulls",
        {"state": "open", "head": f"{owner}:{branch}", "per_page": "10"},
    )
    # A filter that GitHub does not understand is dropped by it: only the branch itself counts.
    matching = [one for one in found.items() if one.field("head", dict).get("ref") == branch]
    return _pull_request(matching[0], created=False) if matching else None


def _pull_request(answer: Answer, *, created: bool) -> PullRequest:
    return PullRequest(url=answer.field("html_url", str), number=answer.field("number", int), created=created)


async def open_client() -> httpx.AsyncClient:
    # Reading the certificates takes tens of milliseconds, which the event loop does not have.
    context: Any = await to_thread.run_sync(httpx.create_ssl_context)
    return httpx.AsyncClient(verify=context, timeout=CALL_TIMEOUT)
