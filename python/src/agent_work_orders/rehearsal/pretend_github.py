"""The part of GitHub's REST API that a work order needs: its routes, checks and refusals.
Knows git repositories; knows no work order."""

import json
import secrets
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from starlette.types import Message, Receive, Scope, Send

from . import github_shapes as shapes
from .bare_repository import read
from .git_server import GitServer, Repository
from .github_book import Book, Issue, PullRequest
from .github_shapes import DOCUMENTATION, Addresses, Json, Refused, Size
from .prepared_answers import PreparedAnswers
from .token_rights import TokenRights

LOGIN = "rehearsal-bot"
LONGEST_TEXT = 65536


@dataclass(frozen=True)
class GitHubRequest:
    """What a client asked. `body` is decoded JSON; of the credential only whether it was right is kept."""

    method: str
    path: str
    query: Mapping[str, str]
    body: Any
    authorized: bool
    status: int


class PretendGitHub:
    """An ASGI application with the API at its root. Commits come from `repositories`, everything else from `book`."""

    def __init__(self, repositories: GitServer, book: Book, addresses: Addresses, *, token: str) -> None:
        self.repositories = repositories
        self.token = token
        self.rights = TokenRights()
        self._book = book
        self._at = addresses
        self._prepared = PreparedAnswers()
        self._requests: deque[GitHubRequest] = deque(maxlen=2000)
        self._spent = 0
        self._api = Starlette(
            routes=[
                Route("/user", self._user),
                Route("/repositories/{identifier:int}", self._repository),
                Route("/repositories/{identifier:int}/pulls", self._list, methods=["GET"]),
                Route("/repositories/{identifier:int}/pulls", self._open, methods=["POST"]),
                Route("/repos/{owner}/{name}", self._repository),
                Route("/repos/{owner}/{name}/issues/{number:int}", self._issue),
                Route("/repos/{owner}/{name}/git/refs", self._make_branch, methods=["POST"]),
                Route("/repos/{owner}/{name}/commits/{ref:path}/check-runs", self._check_runs),
                Route("/repos/{owner}/{name}/branches/{branch:path}", self._branch),
                Route("/repos/{owner}/{name}/pulls", self._list, methods=["GET"]),
                Route("/repos/{owner}/{name}/pulls", self._open, methods=["POST"]),
                Route("/repos/{owner}/{name}/pulls/{number:int}", self._pull_request, methods=["GET"]),
                Route("/repos/{owner}/{name}/pulls/{number:int}", self._change, methods=["PATCH"]),
            ],
            exception_handlers={Refused: _refusal, HTTPException: _not_found, _Moved: _redirection},
        )

    # What a test or a demo does, from any thread.

    def answer(
        self,
        method: str,
        path: str,
        status: int,
        *,
        message: str = "",
        headers: Mapping[str, str] | None = None,
        times: int = 1,
    ) -> None:
        """The next `times` requests with this method whose whole path matches the expression `path` get this answer."""
        body = {"message": message or f"The rehearsal says {status}.", "documentation_url": DOCUMENTATION}
        body["status"] = str(status)
        self._prepared.add(method, path, status, body=body, headers=headers or {}, times=times)

    def limit_secondarily(self, method: str, path: str, *, retry_after: int = 60, times: int = 1) -> None:
        """The secondary rate limit: 403 and `retry-after` in seconds."""
        message = "You have exceeded a secondary rate limit. Please wait a few minutes before you try again."
        self.answer(method, path, 403, message=message, headers={"retry-after": str(retry_after)}, times=times)

    def exhaust_limit(self, method: str, path: str, *, reset_at: int, times: int = 1) -> None:
        """The primary rate limit: 403 and nothing left until `reset_at`, in seconds since 1970."""
        headers = {"x-ratelimit-remaining": "0", "x-ratelimit-reset": str(reset_at)}
        self.answer(method, path, 403, message="API rate limit exceeded.", headers=headers, times=times)

    def add_issue(self, owner: str, name: str, title: str, body: str | None = None) -> int:
        """Returns the issue's number."""
        home = self._named(owner, name)
        return self._book.open_issue(home.identifier, title=title, body=body, author="a-person").number

    def pull_requests(self, owner: str, name: str) -> list[PullRequest]:
        """All of a repository, oldest first."""
        return self._book.pull_requests(self._named(owner, name).identifier)

    @property
    def requests(self) -> tuple[GitHubRequest, ...]:
        """The latest requests, oldest first."""
        return tuple(self._requests)

    # What a client sees.

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        request = Request(scope, receive)
        body = await request.body()
        self._spent += 1

        async def receive_again() -> Message:
            return {"type": "http.request", "body": body, "more_body": False}

        async def send_with_limits(message: Message) -> None:
            if message["type"] == "http.response.start":
                self._record(request, body, message["status"])
                present = {name for name, _ in message["headers"]}
                if self._knows(request):
                    told = [(name.encode(), value.encode()) for name, value in self.rights.headers().items()]
                    message["headers"] = [*message["headers"], *told]
                limits = [limit for limit in shapes.limit_headers(self._spent) if limit[0] not in present]
                message["headers"] = [*message["headers"], *limits]
            await send(message)

        answer = (
            self._prepared.take(request.method, scope["path"])
            or self._bad_credentials(request)
            or self._not_permitted(request)
            or self._api
        )
        await answer(scope, receive_again, send_with_limits)

    def _record(self, request: Request, body: bytes, status: int) -> None:
        path, query = request.scope["path"], dict(request.query_params)
        seen = GitHubRequest(request.method, path, query, _decoded(body), self._knows(request), status)
        self._requests.append(seen)

    def _bad_credentials(self, request: Request) -> Response | None:
        """GitHub refuses a wrong token even where it would serve a stranger."""
        if "authorization" in request.headers and not self._knows(request):
            return _refusal(request, Refused(401, "Bad credentials"))
        if request.method not in ("GET", "HEAD") and not self._knows(request):
            return _refusal(request, Refused(401, "Requires authentication"))
        return None

    def _not_permitted(self, request: Request) -> Response | None:
        """What the token's rights do not reach."""
        path = request.scope["path"]
        if not path.startswith("/repos/") or not self._knows(request):
            return None
        access = "read" if request.method in ("GET", "HEAD") else "write"
        kinds = {"/pulls": "pull_requests", "/git/": "contents", "/check-runs": "checks", "/issues": "issues"}
        kind = next((kind for part, kind in kinds.items() if part in path), "metadata")
        if kind == "pull_requests" and access == "read":
            kind = "metadata"
        return self.rights.refusal(f"{kind}:{access}")

    def _knows(self, request: Request) -> bool:
        kind, _, offered = request.headers.get("authorization", "").partition(" ")
        right = secrets.compare_digest(offered.strip().encode(), self.token.encode())
        return right and kind.lower() in ("bearer", "token")

    async def _user(self, request: Request) -> Response:
        if not self._knows(request):
            raise Refused(401, "Requires authentication")
        return JSONResponse(shapes.user(LOGIN, self._at))

    async def _repository(self, request: Request) -> Response:
        home = self._home(request)
        return JSONResponse(shapes.repository(home, self._at, may_push=self._knows(request)))

    async def _issue(self, request: Request) -> Response:
        home = self._home(request)
        return JSONResponse(shapes.issue(self._entry(home, request), home, self._at))

    async def _make_branch(self, request: Request) -> Response:
        """Only what is wrong with a request that names nothing: nobody here makes branches this way."""
        self._home(request)
        raise shapes.invalid("Reference", "ref", "missing_field")

    async def _branch(self, request: Request) -> Response:
        home, name = self._home(request), request.path_params["branch"]
        commits = await self._commits(home, name)
        if name not in commits:
            raise Refused(404, "Branch not found")
        return JSONResponse({"name": name, "commit": {"sha": commits[name]}, "protected": False})

    async def _check_runs(self, request: Request) -> Response:
        self._home(request)
        return JSONResponse({"total_count": 0, "check_runs": []})

    async def _list(self, request: Request) -> Response:
        home = self._home(request)
        wanted = request.query_params
        state, head, base = wanted.get("state", "open"), wanted.get("head"), wanted.get("base")
        found = [
            one
            for one in reversed(self._book.pull_requests(home.identifier))
            if state in ("all", one.state) and head in (None, f"{home.owner}:{one.head}") and base in (None, one.base)
        ]
        size, page = int(wanted.get("per_page", "30")), int(wanted.get("page", "1"))
        shown = [await self._seen_now(home, one) for one in found[(page - 1) * size : page * size]]
        return JSONResponse([shapes.pull_request(one, home, self._at) for one in shown])

    async def _open(self, request: Request) -> Response:
        home = self._home(request)
        wanted = _wanted(await request.body())
        for name in ("title", "head", "base"):
            if not isinstance(wanted.get(name), str) or not wanted[name]:
                raise shapes.invalid("PullRequest", name, "missing_field")
        if len(wanted.get("body") or "") > LONGEST_TEXT:
            raise shapes.invalid_because("PullRequest", f"body is too long (maximum is {LONGEST_TEXT} characters)")
        head, base = wanted["head"].removeprefix(f"{home.owner}:"), wanted["base"]
        commits = await self._commits(home, head, base)
        for side, branch in (("base", base), ("head", head)):
            if branch not in commits:
                raise shapes.invalid("PullRequest", side)
        if await read(home.path, "rev-list", "--count", f"{commits[base]}..{commits[head]}") in ("", "0\n"):
            raise shapes.invalid_because("PullRequest", f"No commits between {base} and {head}")
        opened = self._book.open_pull_request(
            home.identifier,
            title=wanted["title"],
            body=wanted.get("body"),
            author=LOGIN,
            draft=wanted.get("draft") is True,
            head=(head, commits[head]),
            base=(base, commits[base]),
        )
        if opened is None:
            raise shapes.invalid_because("PullRequest", f"A pull request already exists for {home.owner}:{head}.")
        shape = await self._whole(home, opened)
        return JSONResponse(shape, status_code=201, headers={"location": shape["url"]})

    async def _pull_request(self, request: Request) -> Response:
        home = self._home(request)
        return JSONResponse(await self._whole(home, self._pull_request_entry(home, request)))

    async def _change(self, request: Request) -> Response:
        home = self._home(request)
        entry = self._pull_request_entry(home, request)
        wanted = _wanted(await request.body())
        if wanted.get("state", "open") not in ("open", "closed"):
            raise shapes.invalid("PullRequest", "state")
        changes = {name: value for name, value in wanted.items() if name in ("title", "body", "state", "base")}
        return JSONResponse(await self._whole(home, self._book.change(entry, changes)))

    def _home(self, request: Request) -> Repository:
        """The repository of the address; a private one does not exist for strangers."""
        wanted = request.path_params
        if "identifier" in wanted:
            home = self.repositories.find_identifier(wanted["identifier"])
        else:
            home = self.repositories.find(wanted["owner"], wanted["name"])
            moved = self.repositories.moved_to(wanted["owner"], wanted["name"])
            if home is None and moved is not None:
                _, _, rest = request.url.path.partition(f"/repos/{wanted['owner']}/{wanted['name']}")
                query = f"?{request.url.query}" if request.url.query else ""
                raise _Moved(f"{self._at.api}/repositories/{moved.identifier}{rest}{query}")
        if home is None or (home.private and not self._knows(request)):
            raise Refused(404, "Not Found")
        return home

    def _named(self, owner: str, name: str) -> Repository:
        found = self.repositories.find(owner, name) or self.repositories.moved_to(owner, name)
        if found is None:
            raise LookupError(f"no repository {owner}/{name}")
        return found

    def _entry(self, home: Repository, request: Request) -> Issue:
        found = self._book.find(home.identifier, request.path_params["number"])
        if found is None:
            raise Refused(404, "Not Found")
        return found

    def _pull_request_entry(self, home: Repository, request: Request) -> PullRequest:
        found = self._entry(home, request)
        if not isinstance(found, PullRequest):
            raise Refused(404, "Not Found")
        return found

    async def _whole(self, home: Repository, entry: PullRequest) -> Json:
        entry = await self._seen_now(home, entry)
        span = f"{entry.base_sha}..{entry.head_sha}"
        commits = await read(home.path, "rev-list", "--count", span)
        lines = (await read(home.path, "diff", "--numstat", span.replace("..", "..."))).splitlines()
        counts = [[int(number) if number.isdigit() else 0 for number in line.split("\t")[:2]] for line in lines]
        size = Size(int(commits or 0), sum(a for a, _ in counts), sum(d for _, d in counts), len(counts))
        return shapes.pull_request(entry, home, self._at, size)

    async def _seen_now(self, home: Repository, entry: PullRequest) -> PullRequest:
        """With its branch where it is now; a deleted branch stays where it was last seen."""
        commits = await self._commits(home, entry.head)
        if entry.state == "closed" or commits.get(entry.head, entry.head_sha) == entry.head_sha:
            return entry
        return self._book.change(entry, {"head_sha": commits[entry.head]})

    async def _commits(self, home: Repository, *branches: str) -> dict[str, str]:
        """The commit of each branch that exists."""
        names = [f"refs/heads/{branch}" for branch in branches]
        said = await read(home.path, "for-each-ref", "--format=%(objectname) %(refname:lstrip=2)", "--", *names)
        commits = {branch: commit for commit, branch in (line.split(" ", 1) for line in said.splitlines())}
        return {branch: commits[branch] for branch in branches if branch in commits}


class _Moved(Exception):
    def __init__(self, address: str) -> None:
        super().__init__(address)
        self.address = address


def _redirection(request: Request, moved: Exception) -> Response:
    assert isinstance(moved, _Moved)  # noqa: S101 - registered for nothing else
    body = {"message": "Moved Permanently", "url": moved.address, "documentation_url": DOCUMENTATION}
    return JSONResponse(body, status_code=301, headers={"location": moved.address})


def _refusal(request: Request, refused: Exception) -> Response:
    assert isinstance(refused, Refused)  # noqa: S101 - registered for nothing else
    return JSONResponse(refused.body, status_code=refused.status)


def _not_found(request: Request, problem: Exception) -> Response:
    """GitHub says 404 also to a method that a path does not have."""
    return _refusal(request, Refused(404, "Not Found"))


def _wanted(body: bytes) -> Json:
    decoded = _decoded(body)
    if not isinstance(decoded, dict):
        raise Refused(400, "Problems parsing JSON")
    return decoded


def _decoded(body: bytes) -> Any:
    try:
        return json.loads(body)
    except ValueError:
        return None
