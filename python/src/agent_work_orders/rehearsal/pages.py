"""The pretend GitHub's web pages, for a person who follows a link. Read only, no script, everything escaped."""

from html import escape

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import HTMLResponse, PlainTextResponse, Response
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from .bare_repository import read
from .git_server import GitServer, Repository
from .github_book import Book, PullRequest

LONGEST_DIFF = 200_000
POLICY = {"content-security-policy": "default-src 'none'; style-src 'unsafe-inline'"}
STYLE = """
body { font: 16px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem; color: #1c2330; }
header { background: #fff3c4; border: 1px solid #e0c050; padding: .5rem 1rem; border-radius: .4rem; }
pre { background: #f5f6f8; padding: 1rem; overflow: auto; border-radius: .4rem; white-space: pre-wrap; }
"""


class Pages:
    """An ASGI application: an index, a page per repository and one per pull request. Private ones are not shown."""

    def __init__(self, repositories: GitServer, book: Book) -> None:
        self._repositories = repositories
        self._book = book
        self._site = Starlette(
            routes=[
                Route("/", self._index),
                Route("/{owner}/{name}", self._home),
                Route("/{owner}/{name}/pull/{number:int}", self._pull_request),
                Route("/{owner}/{name}/pull/{number:int}.diff", self._diff),
            ]
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self._site(scope, receive, send)

    async def _index(self, request: Request) -> Response:
        names = sorted(one.full_name for one in self._repositories.all() if not one.private)
        items = "".join(f'<li><a href="/{escape(name)}">{escape(name)}</a></li>' for name in names)
        return _page("Repositories", f"<ul>{items}</ul>")

    async def _home(self, request: Request) -> Response:
        home = self._find(request)
        branches = await read(home.path, "for-each-ref", "--format=%(refname:lstrip=2)  %(subject)", "refs/heads")
        items = "".join(
            f'<li><a href="/{escape(home.full_name)}/pull/{one.number}">#{one.number} {escape(one.title)}</a></li>'
            for one in self._book.pull_requests(home.identifier)
        )
        parts = f"<h2>Pull requests</h2><ul>{items or '<li>none yet</li>'}</ul><h2>Branches</h2>"
        return _page(home.full_name, parts + f"<pre>{escape(branches)}</pre>")

    async def _pull_request(self, request: Request) -> Response:
        home = self._find(request)
        one = self._find_pull_request(home, request)
        span = f"{one.base_sha}..{one.head_sha}"
        commits = await read(home.path, "log", "--no-color", "--format=%h %s", span)
        diff = await self._difference(home, one)
        cut = "\n(cut)" if len(diff) > LONGEST_DIFF else ""
        return _page(
            f"{one.title} #{one.number}",
            f"<p>{escape(one.state)}: {escape(one.author)} wants to merge <b>{escape(one.head)}</b> into "
            f"<b>{escape(one.base)}</b> of <a href='/{escape(home.full_name)}'>{escape(home.full_name)}</a></p>"
            f"<pre>{escape(one.body or 'No description.')}</pre>"
            f"<h2>Commits</h2><pre>{escape(commits)}</pre>"
            f"<h2>Changes</h2><pre>{escape(diff[:LONGEST_DIFF])}{cut}</pre>",
        )

    async def _diff(self, request: Request) -> Response:
        home = self._find(request)
        return PlainTextResponse(await self._difference(home, self._find_pull_request(home, request)))

    async def _difference(self, home: Repository, one: PullRequest) -> str:
        return await read(home.path, "diff", "--no-color", "--no-ext-diff", f"{one.base_sha}...{one.head_sha}")

    def _find(self, request: Request) -> Repository:
        found = self._repositories.find(request.path_params["owner"], request.path_params["name"])
        if found is None or found.private:
            raise HTTPException(404)
        return found

    def _find_pull_request(self, home: Repository, request: Request) -> PullRequest:
        found = self._book.find(home.identifier, request.path_params["number"])
        if not isinstance(found, PullRequest):
            raise HTTPException(404)
        return found


def _page(title: str, content: str) -> Response:
    notice = "<header>Rehearsal: this is not GitHub, and no real repository was touched.</header>"
    head = f"<!doctype html><html lang='en'><meta charset='utf-8'><title>{escape(title)}</title><style>{STYLE}</style>"
    return HTMLResponse(f"{head}{notice}<h1>{escape(title)}</h1>{content}</html>", headers=POLICY)
