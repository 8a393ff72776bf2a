"""One stage and one server for a whole worker, and repositories of each test's own."""

import socket
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Protocol
from uuid import uuid4

import pytest

from src.agent_work_orders.rehearsal import Stage, stage_in_thread

from ..archive.s3_server import s3_endpoint
from .archon import Archon, running_archon
from .remote import Remote
from .scripts import FILES, Json

__all__ = ["s3_endpoint"]


TRACED_HOST = ("-m", "tests.agent_work_orders.story.traced_host")


class MakeRepository(Protocol):
    def __call__(
        self, files: Mapping[str, str | bytes] = ..., *, default_branch: str = ..., private: bool = ...
    ) -> Remote: ...


class StartArchon(Protocol):
    def __call__(self, home: Path | None = ..., /, **settings: str) -> Archon: ...


class Play(Protocol):
    def __call__(self, *scripts: Json) -> None: ...


@pytest.fixture(scope="session")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    with stage_in_thread(tmp_path_factory.mktemp("stage")) as stage:
        yield stage


@pytest.fixture(scope="session")
def archon(stage: Stage, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Archon]:
    """The server of all tests that need no other settings and leave it running."""
    with running_archon(tmp_path_factory.mktemp("archon") / "home", stage) as archon:
        yield archon


@pytest.fixture
def start_archon(stage: Stage, tmp_path: Path) -> Iterator[StartArchon]:
    """Starts servers of the test's own; a second one on the same home follows a first that has ended."""
    with ExitStack() as stack:

        def start(home: Path | None = None, /, **settings: str) -> Archon:
            return stack.enter_context(running_archon(home or tmp_path / "home", stage, settings))

        yield start


@pytest.fixture
def start_traced_archon(stage: Stage, tmp_path: Path) -> Iterator[StartArchon]:
    """The same with an exporter, whose spans are in `spans.jsonl` of the home directory."""
    with ExitStack() as stack:

        def start(home: Path | None = None, /, **settings: str) -> Archon:
            home = home or tmp_path / "home"
            exported = {**settings, "SPANS_FILE": str(home / "spans.jsonl")}
            return stack.enter_context(running_archon(home, stage, exported, TRACED_HOST))

        yield start


@pytest.fixture
def play(stage: Stage) -> Play:
    """From now on the model says what these scripts say."""

    def play(*scripts: Json) -> None:
        stage.model.play({"scripts": list(scripts)})

    return play


@pytest.fixture
def make_repository(stage: Stage) -> MakeRepository:
    """Repositories that no other test has."""

    def make(
        files: Mapping[str, str | bytes] = FILES, *, default_branch: str = "main", private: bool = False
    ) -> Remote:
        owner, name = "story", uuid4().hex[:12]
        url = stage.add_repository(owner, name, files, default_branch, private=private)
        made = stage.repositories.find(owner, name)
        assert made is not None
        return Remote(stage, owner, name, url, made.path)

    return make


@pytest.fixture
def remote(make_repository: MakeRepository) -> Remote:
    return make_repository()


@pytest.fixture
def silent_host() -> Iterator[str]:
    """A host that takes every connection and never says a word."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield f"127.0.0.1:{listener.getsockname()[1]}"
