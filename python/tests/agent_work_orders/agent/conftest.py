"""The real Claude CLI against a scripted model, and stand-ins for it that print what a test wants."""

import os
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from datetime import timedelta
from pathlib import Path
from typing import Any, TypeVar
from uuid import uuid4

import anyio
import pytest

from src.agent_work_orders.agent.claude_cli import ClaudeCli
from src.agent_work_orders.agent.confinement import SameUser
from src.agent_work_orders.domain.events import Payload
from src.agent_work_orders.ports import AgentTurn
from src.agent_work_orders.rehearsal import Stage, stage_in_thread

P = TypeVar("P", bound=Payload)

CLI = os.environ.get("CLAUDE_CLI_PATH") or str(Path(__file__).parents[4] / ".tools/bin/claude")


@dataclass
class Told:
    """What the agent told, in order."""

    events: list[Payload] = field(default_factory=list)

    def __call__(self, payload: Payload) -> None:
        self.events.append(payload)

    def of(self, kind: type[P]) -> list[P]:
        return [event for event in self.events if isinstance(event, kind)]


@pytest.fixture
def told() -> Told:
    return Told()


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    with stage_in_thread(tmp_path_factory.mktemp("stage")) as opened:
        yield opened


@pytest.fixture
def cli(stage: Stage) -> ClaudeCli:
    return ClaudeCli(lambda: CLI, SameUser(), base_url=lambda: stage.model_url, max_retries=0)


@pytest.fixture
def turn(tmp_path: Path) -> AgentTurn:
    """A turn in an empty directory, without a credential."""
    (tmp_path / "checkout").mkdir()
    return AgentTurn(
        run_id=f"wo-test.{uuid4().hex}",
        prompt="Do it.",
        cwd=tmp_path / "checkout",
        home=tmp_path / "home",
        run_dir=tmp_path / "run",
        session_id=None,
        model="claude-sonnet-5-5",
        read_only=False,
        timeout=timedelta(seconds=60),
        stall_timeout=timedelta(seconds=30),
        max_cost_usd=None,
    )


@pytest.fixture
def real_turn(turn: AgentTurn, stage: Stage) -> AgentTurn:
    """The same with the scripted model's key."""
    return replace(turn, credentials={"ANTHROPIC_API_KEY": stage.anthropic_api_key})


StandIn = Callable[[str], ClaudeCli]


@pytest.fixture
def stand_in(tmp_path: Path) -> StandIn:
    """An agent whose command line is a Python script."""

    def make(script: str) -> ClaudeCli:
        program = tmp_path / "claude"
        program.write_text(f"#!{sys.executable}\n{script}")
        program.chmod(0o755)
        return ClaudeCli(lambda: str(program), SameUser(), base_url=lambda: None)

    return make


def script(*turns: dict[str, Any], after: str = "error") -> dict[str, Any]:
    """A scenario with one script that answers every prompt."""
    return {"scripts": [{"turns": list(turns), "after": after}]}


async def until(fact: Callable[[], bool]) -> None:
    """Returns as soon as it is true, which another process sees to."""
    with anyio.fail_after(30):
        while not fact():  # noqa: ASYNC110 - no event reaches us from another process
            await anyio.sleep(0.01)  # fact: whatever the caller names


def processes_of(run_id: str) -> list[int]:
    """Who carries the marker of the run, as /proc has it."""
    found = []
    for environ in Path("/proc").glob("[0-9]*/environ"):
        try:
            carries = f"AWO_RUN_ID={run_id}".encode() in environ.read_bytes().split(b"\0")
        except OSError:
            continue
        if carries:
            found.append(int(environ.parent.name))
    return found
