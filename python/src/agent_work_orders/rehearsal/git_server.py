"""Repositories over smart HTTP, served by git's own `http-backend`. Knows who may push; knows no pull request."""

import base64
import binascii
import re
import secrets
import shutil
import threading
import zlib
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import anyio
from starlette.requests import Request
from starlette.responses import PlainTextResponse, RedirectResponse, Response
from starlette.types import Receive, Scope, Send

from . import bare_repository, http_backend

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")
ADDRESS = re.compile(r"/([^/]+)/([^/]+?)(?:\.git)?/(info/refs|git-upload-pack|git-receive-pack)")


@dataclass(frozen=True)
class Repository:
    """One repository as the server sees it. `identifier` stays through a rename."""

    owner: str
    name: str
    path: Path
    identifier: int
    private: bool = False

    @property
    def full_name(self) -> str:
        return f"{self.owner}/{self.name}"

    @property
    def default_branch(self) -> str:
        return bare_repository.default_branch(self.path)


@dataclass(frozen=True)
class GitRequest:
    """What a git client asked: `service` is git-upload-pack (fetch) or git-receive-pack (push)."""

    method: str
    repository: str
    service: str
    status: int


class GitServer:
    """The repositories below `directory` and an ASGI application that serves them at `/{owner}/{name}[.git]`.

    Anyone reads a public repository; a push, and any access to a private one, takes `token` as the password of Basic
    authentication, whatever the user's name. As on GitHub, a stranger is asked for a password where nothing exists.

    `latency` is how long an answer is on its way, in seconds: a host elsewhere is never as near as this one.
    """

    def __init__(self, directory: Path, *, token: str) -> None:
        self.directory = directory
        self.token = token
        self.latency = 0.0
        self._lock = threading.Lock()
        self._moved: dict[str, str] = {}
        self._requests: deque[GitRequest] = deque(maxlen=2000)
        self._log = directory.parent / "git-http-backend.log"
        directory.mkdir(parents=True, exist_ok=True)
        self._known = {
            f"{path.parent.name}/{path.stem}".lower(): _described(path.parent.name, path.stem, path)
            for path in directory.glob("[!.]*/[!.]*.git")
        }

    # What a test or a demo does, from any thread.

    def create(
        self,
        owner: str,
        name: str,
        files: Mapping[str, str | bytes],
        *,
        default_branch: str = "main",
        private: bool = False,
    ) -> Repository:
        """A repository with one commit, or an empty one without `files`; one that exists is left as it is. Blocks."""
        if not (NAME.fullmatch(owner) and NAME.fullmatch(name)) or name.endswith(".git"):
            raise ValueError(f"not the name of a repository: {owner}/{name}")
        found = self.find(owner, name)
        if found is not None:
            return found
        path = self.directory / owner / f"{name}.git"
        bare_repository.create(path, files, default_branch=default_branch)
        return self._register(_described(owner, name, path, private=private))

    def find(self, owner: str, name: str) -> Repository | None:
        with self._lock:
            return self._known.get(f"{owner}/{name}".lower())

    def find_identifier(self, identifier: int) -> Repository | None:
        return next((repository for repository in self.all() if repository.identifier == identifier), None)

    def all(self) -> list[Repository]:
        with self._lock:
            return list(self._known.values())

    def moved_to(self, owner: str, name: str) -> Repository | None:
        """What a renamed repository is called now."""
        with self._lock:
            return self._known.get(self._moved.get(f"{owner}/{name}".lower(), ""))

    def rename(self, owner: str, name: str, new_name: str) -> Repository:
        """The old address redirects from now on."""
        old = self._existing(owner, name)
        path = old.path.with_name(f"{new_name}.git")
        old.path.rename(path)
        new = Repository(owner, new_name, path, old.identifier, old.private)
        with self._lock:
            del self._known[old.full_name.lower()]
            self._moved[old.full_name.lower()] = new.full_name.lower()
        return self._register(new)

    def vanish(self, owner: str, name: str) -> None:
        """The repository is deleted, its files too."""
        repository = self._existing(owner, name)
        with self._lock:
            del self._known[repository.full_name.lower()]
        shutil.rmtree(repository.path)

    def reject_pushes(
        self, owner: str, name: str, message: str = "error: GH006: Protected branch update failed."
    ) -> None:
        """A real pre-receive hook refuses every push with `message`."""
        bare_repository.reject_pushes(self._existing(owner, name).path, message)

    def accept_pushes(self, owner: str, name: str) -> None:
        bare_repository.accept_pushes(self._existing(owner, name).path)

    @property
    def requests(self) -> tuple[GitRequest, ...]:
        """The latest requests, oldest first."""
        return tuple(self._requests)

    def _existing(self, owner: str, name: str) -> Repository:
        found = self.find(owner, name)
        if found is None:
            raise LookupError(f"no repository {owner}/{name}")
        return found

    def _register(self, repository: Repository) -> Repository:
        with self._lock:
            self._known[repository.full_name.lower()] = repository
            self._moved.pop(repository.full_name.lower(), None)
        return repository

    # What a git client sees.

    @staticmethod
    def serves(path: str) -> bool:
        """Whether a request path is one of git's."""
        return ADDRESS.fullmatch(path) is not None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if self.latency:
            await anyio.sleep(self.latency)
        request = Request(scope, receive)
        address = ADDRESS.fullmatch(scope["path"])
        if address is None:
            await PlainTextResponse("Not Found", status_code=404)(scope, receive, send)
            return
        owner, name, action = address.groups()
        service = request.query_params.get("service", "") if action == "info/refs" else action
        repository = self.find(owner, name)
        refusal = self._refusal(request, owner, name, action, service)
        status = refusal.status_code if refusal else 200
        self._requests.append(GitRequest(request.method, f"{owner}/{name}", service, status))
        if refusal is not None or repository is None:
            await (refusal or _missing())(scope, receive, send)
            return
        await self._backend(request, send, repository, action)

    def _refusal(self, request: Request, owner: str, name: str, action: str, service: str) -> Response | None:
        """The answer to who may not, or asks for what is not there; None where git itself shall answer."""
        if service not in ("git-upload-pack", "git-receive-pack"):
            return PlainTextResponse("Please upgrade your git client.", status_code=403)
        offered = _password(request.headers.get("authorization", ""))
        known = offered is not None and secrets.compare_digest(offered.encode(), self.token.encode())
        repository = self.find(owner, name)
        public = repository is not None and not repository.private and service == "git-upload-pack"
        moved = self.moved_to(owner, name)
        if moved is not None:
            query = f"?{request.url.query}" if request.url.query else ""
            return RedirectResponse(f"/{moved.full_name}.git/{action}{query}", status_code=301)
        if not known and (offered is not None or not public):
            challenge = {"www-authenticate": 'Basic realm="GitHub"'}
            return PlainTextResponse("Invalid username or token.", status_code=401, headers=challenge)
        return None if repository is not None else _missing()

    async def _backend(self, request: Request, send: Send, repository: Repository, action: str) -> None:
        environment = self._cgi_environment(request, repository, action)
        await http_backend.answer(request, send, environment, log=self._log)

    def _cgi_environment(self, request: Request, repository: Repository, action: str) -> dict[str, str]:
        """RFC 3875's variables; git wants the length and the encoding of the body as the client gave them."""
        from_headers = {
            "CONTENT_TYPE": "content-type",
            "CONTENT_LENGTH": "content-length",
            "HTTP_CONTENT_ENCODING": "content-encoding",
            "GIT_PROTOCOL": "git-protocol",
        }
        given = {name: request.headers[header] for name, header in from_headers.items() if header in request.headers}
        return (
            bare_repository.git_environment()
            | given
            | {
                "GIT_PROJECT_ROOT": str(self.directory),
                "GIT_HTTP_EXPORT_ALL": "1",
                "PATH_INFO": f"/{repository.path.relative_to(self.directory)}/{action}",
                "REQUEST_METHOD": request.method,
                "QUERY_STRING": request.url.query,
                "REMOTE_USER": "rehearsal",
                "REMOTE_ADDR": "127.0.0.1",
                "SERVER_PROTOCOL": "HTTP/1.1",
            }
        )


def _password(authorization: str) -> str | None:
    """The password of Basic authentication; '' for anything unreadable, None where nothing is offered."""
    if not authorization:
        return None
    kind, _, encoded = authorization.partition(" ")
    try:
        decoded = base64.b64decode(encoded, validate=True).decode()
    except (binascii.Error, UnicodeDecodeError):
        return ""
    return decoded.partition(":")[2] if kind.lower() == "basic" else ""


def _described(owner: str, name: str, path: Path, *, private: bool = False) -> Repository:
    return Repository(owner, name, path, zlib.crc32(f"{owner}/{name}".encode()), private)


def _missing() -> Response:
    return PlainTextResponse("Repository not found.", status_code=404)
