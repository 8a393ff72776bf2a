import secrets
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from src.agent_work_orders.checkout import GitCheckout, GitCheckouts
from src.agent_work_orders.domain.status import Status
from src.agent_work_orders.domain.work_order import WorkOrder

from .git_host import GitHost

SAMPLE = {"README.md": "# Sample\n", "src/app.py": "print('hello')\n", "docs/guide.md": "Read me.\n"}


@pytest.fixture
def host(tmp_path: Path) -> Iterator[GitHost]:
    server = GitHost(tmp_path / "host")
    yield server
    server.close()


@pytest.fixture
def volume(tmp_path: Path) -> Path:
    return tmp_path / "repositories"


@pytest.fixture
def checkouts(host: GitHost, volume: Path) -> GitCheckouts:
    return a_server(host, volume)


def a_server(host: GitHost, volume: Path, freshness: timedelta = timedelta(0), **more: Any) -> GitCheckouts:
    """One of the servers that may share a volume."""
    return GitCheckouts(volume, freshness=lambda: freshness, insecure_hosts=lambda: frozenset({host.name}), **more)


def an_order(**more: Any) -> WorkOrder:
    now = datetime.now(UTC)
    order_id = f"wo-{secrets.token_hex(8)}"
    known: dict[str, Any] = {
        "agent_work_order_id": order_id,
        "repository_url": "http://host/team/sample",
        "repository_key": "host/team/sample",
        "sandbox_identifier": order_id,
        "sandbox_type": "git_branch",
        "workflow_type": "quick_fix",
        "selected_commands": ("execute",),
        "user_request": "Do it",
        "status": Status.RUNNING,
        "attempt": 1,
        "max_attempts": 3,
        "priority": 5,
        "last_seq": 1,
        "created_at": now,
        "updated_at": now,
    }
    return WorkOrder(**{**known, **more})


def mirror_of(volume: Path, name: str = "sample") -> Path:
    (mirror,) = volume.glob(f".mirrors/*-{name}-*.git")
    return mirror


class Opener:
    """Opens checkouts of the sample repository, a new order each time unless one is given."""

    def __init__(self, host: GitHost, checkouts: GitCheckouts) -> None:
        self.host, self.checkouts = host, checkouts
        self.progress: list[tuple[str, int]] = []

    async def __call__(
        self,
        order: WorkOrder | None = None,
        *,
        name: str = "sample",
        token: str | None = None,
        branch: str = "awo/work",
    ) -> GitCheckout:
        return await self.checkouts.open(
            order or an_order(), self.host.repository(name), branch, token, lambda *said: self.progress.append(said)
        )


@pytest.fixture
def open_checkout(host: GitHost, checkouts: GitCheckouts) -> Opener:
    return Opener(host, checkouts)


@pytest.fixture
def leave_trace(tmp_path: Path) -> Callable[[str], str]:
    """A program that leaves a file behind when it runs, by name: nothing of an agent's may ever be run."""
    traces = tmp_path / "traces"
    traces.mkdir()
    traces.chmod(0o777)

    def program(name: str) -> str:
        path = tmp_path / f"run-{name}"
        path.write_text(f"#!/bin/sh\ntouch {traces}/{name}\ncat\n")
        path.chmod(0o755)
        return str(path)

    return program
