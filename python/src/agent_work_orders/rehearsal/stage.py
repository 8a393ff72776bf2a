"""The rehearsal's stage: a scripted model, a pretend GitHub and a git server on one loopback port. Knows no work order:
whoever rehearses gives the stage's addresses and credentials to the settings that an operator would set."""

import secrets
import socket
import string
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from ipaddress import ip_address
from pathlib import Path

import anyio
from anyio.from_thread import start_blocking_portal
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from . import sample
from .git_server import GitServer
from .github_book import Book
from .github_shapes import Addresses
from .pages import Pages
from .pretend_github import PretendGitHub
from .scripted_model import ScriptedModel
from .stage_server import StageServer

MODEL_PATH = "/model"
API_PATH = "/api/v3"  # where GitHub Enterprise has it
LABEL = (b"x-awo-rehearsal", b"true")


@dataclass(frozen=True)
class Stage:
    """Where everything is, and the means to control it from any thread. Nothing in it is a secret of anybody's."""

    base_url: str
    model_url: str
    github_api_url: str
    repository_url: str
    git_host: str
    github_token: str
    anthropic_api_key: str
    model: ScriptedModel
    github: PretendGitHub
    repositories: GitServer

    def add_repository(
        self,
        owner: str,
        name: str,
        files: Mapping[str, str | bytes],
        default_branch: str = "main",
        *,
        private: bool = False,
    ) -> str:
        """The address of a repository with these files, or of an empty one without files. Blocks while git makes it."""
        self.repositories.create(owner, name, files, default_branch=default_branch, private=private)
        return f"{self.base_url}/{owner}/{name}"

    def environment(self) -> dict[str, str]:
        """What an operator would set to point a server at this stage."""
        return {
            "ANTHROPIC_BASE_URL": self.model_url,
            "ANTHROPIC_API_KEY": self.anthropic_api_key,
            "AWO_GITHUB_API_URL": self.github_api_url,
            "GITHUB_TOKEN": self.github_token,
            "AWO_ALLOWED_REPOSITORY_HOSTS": self.git_host,
            "AWO_INSECURE_REPOSITORY_HOSTS": self.git_host,
        }


@asynccontextmanager
async def open_stage(
    directory: Path, *, host: str = "127.0.0.1", port: int = 0, keep_bodies: bool = False
) -> AsyncIterator[Stage]:
    """Serves until the block ends. Repositories and pull requests are kept in `directory` and found again next time.

    Port 0 is the port this directory had last, so that addresses stay good through a restart, or else any free one.
    `keep_bodies` records whole requests to the model. Raises `OSError` when the port is taken.
    """
    if not ip_address(host).is_loopback:
        raise ValueError(f"the rehearsal listens on loopback addresses only, not on {host}")
    await anyio.Path(directory).mkdir(parents=True, exist_ok=True)
    listener = await anyio.to_thread.run_sync(_listen, directory, host, port)
    with listener:
        stage, application = await anyio.to_thread.run_sync(_build, directory, listener, keep_bodies)
        server = StageServer(application)
        try:
            async with anyio.create_task_group() as tasks:
                try:
                    await tasks.start(server.serve_until_stopped, listener)
                    yield stage
                finally:
                    stage.model.close()
                    server.stop()
        except BaseExceptionGroup as group:
            if len(group.exceptions) > 1:
                raise
            only = group.exceptions[0]  # what the block raised, as if there were no task group here
            raise only from only.__cause__


@contextmanager
def stage_in_thread(directory: Path) -> Iterator[Stage]:
    """A stage in an event loop and a thread of its own, which keeps whole requests to the model: for tests."""
    with (
        start_blocking_portal() as portal,
        portal.wrap_async_context_manager(open_stage(directory, keep_bodies=True)) as stage,
    ):
        yield stage


def _listen(directory: Path, host: str, port: int) -> socket.socket:
    remembered = directory / "port"
    last = int(remembered.read_text()) if port == 0 and remembered.exists() else 0
    try:
        listener = listen_at(host, port or last)
    except OSError:
        if port:
            raise
        listener = listen_at(host, 0)
    remembered.write_text(str(listener.getsockname()[1]))
    return listener


def listen_at(host: str, port: int) -> socket.socket:
    """A listening socket; port 0 is any free one. Raises `OSError` when the port is taken."""
    listener = socket.create_server(
        (host, port), family=socket.AF_INET6 if ":" in host else socket.AF_INET, backlog=512
    )
    # Inherited by its connections. Else the end of a short answer waits 40 ms for the client's word that it has the
    # beginning: asyncio sees to that only where the socket was made with the protocol's number.
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return listener


def _build(directory: Path, listener: socket.socket, keep_bodies: bool) -> tuple[Stage, "_Application"]:
    """The three parts, and the sample repository if it is not there yet."""
    host, port = listener.getsockname()[:2]
    git_host = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
    base = f"http://{git_host}"
    token, key = f"ghp_{_random(36)}", f"sk-ant-rehearsal-{_random(32)}"
    repositories = GitServer(directory / "repositories", token=token)
    book = Book(directory / "github.json")
    model = ScriptedModel(api_key=key, keep_bodies=keep_bodies)
    github = PretendGitHub(repositories, book, Addresses(people=base, api=base + API_PATH), token=token)
    repositories.create(sample.OWNER, sample.NAME, sample.FILES)
    stage = Stage(
        base_url=base,
        model_url=base + MODEL_PATH,
        github_api_url=base + API_PATH,
        repository_url=f"{base}/{sample.OWNER}/{sample.NAME}",
        git_host=git_host,
        github_token=token,
        anthropic_api_key=key,
        model=model,
        github=github,
        repositories=repositories,
    )
    return stage, _Application(model, github, repositories, Pages(repositories, book))


class _Application:
    """Sends each request to its part, and labels every answer as a rehearsal's."""

    def __init__(self, model: ASGIApp, github: ASGIApp, repositories: GitServer, pages: ASGIApp) -> None:
        self._model, self._github, self._repositories, self._pages = model, github, repositories, pages

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return

        async def send_labelled(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message["headers"], LABEL]
            await send(message)

        part, path = self._part(scope["path"])
        await part({**scope, "path": path, "raw_path": path.encode()}, receive, send_labelled)

    def _part(self, path: str) -> tuple[ASGIApp, str]:
        for prefix, part in ((MODEL_PATH, self._model), (API_PATH, self._github)):
            if path == prefix or path.startswith(f"{prefix}/"):
                return part, path.removeprefix(prefix) or "/"
        return (self._repositories if self._repositories.serves(path) else self._pages), path


def _random(length: int) -> str:
    return "".join(secrets.choice(string.ascii_letters + string.digits) for _ in range(length))
