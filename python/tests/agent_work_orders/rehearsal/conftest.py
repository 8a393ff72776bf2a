"""A stage in a thread of its own, a git client that reads no configuration but ours, and a client of the model."""

import base64
import os
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Protocol

import httpx
import pytest

from src.agent_work_orders.rehearsal import Stage, stage_in_thread


class Git(Protocol):
    def __call__(self, *arguments: str, token: str = "", check: bool = True) -> subprocess.CompletedProcess[str]: ...


@pytest.fixture
def stage(tmp_path: Path) -> Iterator[Stage]:
    with stage_in_thread(tmp_path / "stage") as opened:
        yield opened


@pytest.fixture
def git(tmp_path: Path) -> Git:
    """Runs git in `tmp_path`, with `token` as the password of every request if it is given."""

    def run(*arguments: str, token: str = "", check: bool = True) -> subprocess.CompletedProcess[str]:
        basic = base64.b64encode(f"x-access-token:{token}".encode()).decode()
        header = {"http.extraHeader": f"Authorization: Basic {basic}"} if token else {}
        settings = {"user.name": "A Tester", "user.email": "tester@localhost", **header}
        environment = {
            "PATH": os.environ["PATH"],
            "HOME": str(tmp_path),
            "GIT_CONFIG_NOSYSTEM": "1",
            "GIT_TERMINAL_PROMPT": "0",
            "GIT_CONFIG_COUNT": str(len(settings)),
        }
        for index, (key, value) in enumerate(settings.items()):
            environment |= {f"GIT_CONFIG_KEY_{index}": key, f"GIT_CONFIG_VALUE_{index}": value}
        return subprocess.run(
            ["git", *arguments], cwd=tmp_path, env=environment, check=check, capture_output=True, text=True, timeout=60
        )

    return run


@pytest.fixture
def push_branch(git: Git, tmp_path: Path) -> Callable[[Stage, str], str]:
    """Pushes a branch with one more commit to the sample repository; gives the commit."""

    def push(stage: Stage, branch: str) -> str:
        checkout = tmp_path / f"checkout-{branch.replace('/', '-')}"
        git("clone", "--quiet", stage.repository_url, str(checkout))
        (checkout / "new.txt").write_text("one\ntwo\n")
        git("-C", str(checkout), "add", "new.txt")
        git("-C", str(checkout), "commit", "--quiet", "-m", "Add <new> words")
        git("-C", str(checkout), "push", "--quiet", "origin", f"HEAD:refs/heads/{branch}", token=stage.github_token)
        return git("-C", str(checkout), "rev-parse", "HEAD").stdout.strip()

    return push


@pytest.fixture
def github(stage: Stage) -> Iterator[httpx.Client]:
    """A client with the right token."""
    headers = {"authorization": f"Bearer {stage.github_token}", "accept": "application/vnd.github+json"}
    with httpx.Client(base_url=stage.github_api_url, headers=headers) as client:
        yield client


@pytest.fixture
def model(stage: Stage) -> Iterator[httpx.Client]:
    """A client with the right key."""
    with httpx.Client(base_url=stage.model_url, headers={"x-api-key": stage.anthropic_api_key}, timeout=20) as client:
        yield client


def asking(prompt: str, *turns: dict[str, Any], **more: Any) -> dict[str, Any]:
    """The body of a request for a message: a prompt, and what was said since."""
    return {
        "model": "claude-sonnet-5-5",
        "max_tokens": 100,
        "system": [{"type": "text", "text": "Environment\n - Primary working directory: /somewhere/greeter\n"}],
        "tools": [{"name": "Bash", "input_schema": {"type": "object"}}],
        "messages": [{"role": "user", "content": prompt}, *turns],
        **more,
    }
