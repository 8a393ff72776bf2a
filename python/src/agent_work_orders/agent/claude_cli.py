"""Claude Code as a child process: which command, with which environment, and how its output is followed.
What the output means is told by stream_json.py and outcome.py; it knows no work order."""

import json
import os
import re
import shutil
import tempfile
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import uuid4

import anyio
from anyio import to_thread

from ..domain.errors import FailureClass, StepFailed
from ..domain.events import AgentSpoke, Payload, UsageCounted
from ..ports import AgentFailure, AgentResult, AgentTurn
from .confinement import Confinement
from .environment import environment, prepare_home, temporary
from .follow import TOOL_LIMIT, drain_to_the_end, follow
from .line_tail import LineTail
from .outcome import failure_of, is_unknown_session, timed_out
from .process import Child, open_child
from .rounds import Rounds
from .stream_json import Reading, clean

# Names that a version does not know are passed over. Left out: whatever starts other agents, timers or the web.
_READ_TOOLS = "Glob,Grep,Read"
_WRITE_TOOLS = "Bash,Edit,Glob,Grep,NotebookEdit,Read,TaskCreate,TaskGet,TaskList,TaskUpdate,TodoWrite,Write"

_MCP_NAME = "archon"

# The command line opens files named as @path, and runs /commands, in the last block of a message only. So the prompt
# stands in a block before it, untouched, and the last one is ours. Newer versions also know a mark for the same.
_CLOSING_WORDS = "This is the whole request; begin."

_OLDEST = (2, 1, 197)  # the oldest that was tried
_STDERR_TAIL = 4096


class ClaudeCli:
    """The `claude` command line, unmodified, one process a turn. Callables are asked anew for every turn."""

    def __init__(
        self,
        path: Callable[[], str],
        confinement: Confinement,
        *,
        base_url: Callable[[], str | None],
        permission_mode: Callable[[], str] = lambda: "acceptEdits",
        mcp_url: Callable[[], str | None] = lambda: None,
        max_retries: int = 4,
    ) -> None:
        self._path = path
        self._confinement = confinement
        self._base_url = base_url
        self._permission_mode = permission_mode
        self._mcp_url = mcp_url
        self._max_retries = max_retries
        self._versions: dict[tuple[str, int, int], str] = {}
        self._rounds = Rounds()

    async def run(self, turn: AgentTurn, tell: Callable[[Payload], None]) -> AgentResult:
        program = self._program()
        _make_places(turn)
        if self._confinement.is_another_user:
            await to_thread.run_sync(self._confinement.hand_over, turn.home, turn.cwd)
        result = await self._attempt(program, turn, tell)
        if result is None:
            tell(
                AgentSpoke(text="The earlier session is gone; the agent starts a new one and remembers nothing of it.")
            )
            result = await self._attempt(program, replace(turn, session_id=None), tell)
        if result is None:
            raise AssertionError("a new session cannot be unknown")
        return result

    async def describe(self) -> str:
        program = self._program()
        found = os.stat(program)  # noqa: PTH116 - a look costs less than the way to a thread
        key = (program, found.st_mtime_ns, found.st_size)
        if key not in self._versions:
            self._versions[key] = await self._ask_version(program)
        return f"claude {self._versions[key]}"

    def options(self) -> frozenset[str]:
        """Every option that a turn may give to the command line."""
        turn = AgentTurn(
            run_id="",
            prompt="",
            cwd=Path(),
            home=Path(),
            run_dir=Path(),
            session_id="a",
            model="a",
            read_only=False,
            timeout=timedelta(),
            stall_timeout=timedelta(),
            max_cost_usd=1.0,
        )
        given = self._command("claude", turn)
        return frozenset(word.partition("=")[0] for word in given if word.startswith("-"))

    def _program(self) -> str:
        path = self._path()
        program = shutil.which(path)
        if program is None:
            raise _cannot_start(f"{path!r} is not there or not executable")
        return str(Path(program).absolute())

    async def _attempt(self, program: str, turn: AgentTurn, tell: Callable[[Payload], None]) -> AgentResult | None:
        """None when the session to resume does not exist."""
        reading = Reading(resumed=turn.session_id is not None)
        stdout, stderr = turn.run_dir / "stdout.jsonl", turn.run_dir / "stderr.txt"
        with ExitStack() as files:
            try:
                async with open_child(
                    self._command(program, turn),
                    env=self._environment(turn),
                    cwd=turn.cwd,
                    fed=True,
                    stdout=stdout,
                    stderr=stderr,
                    run_id=turn.run_id,
                    confinement=self._confinement,
                ) as child:
                    tail = files.enter_context(LineTail(stdout))
                    stopped = await _watch(child, turn, tail, reading, tell, self._rounds)
            except OSError as problem:
                raise _cannot_start(f"{problem.strerror or problem}") from problem
            # Nothing of it runs any more; what it wrote while it was being stopped counts too.
            await drain_to_the_end(tail, reading, tell, turn.give_way)
        # A look costs less than the way to a thread, and mostly there is nothing to read.
        said = await to_thread.run_sync(_end_of, stderr) if stderr.stat().st_size else ""
        if turn.session_id is not None and is_unknown_session(reading, said):
            return None
        failure = failure_of(reading, child.exit_code, said, datetime.now(UTC))
        # A turn that was stopped after a good result had its result all the same.
        return _result(turn, reading, stdout, stopped if failure and stopped else failure, tell)

    def _command(self, program: str, turn: AgentTurn) -> list[str]:
        # Archon's own tools, where the operator offers them; named in full, as rules want it.
        mcp_url = self._mcp_url()
        offered = [f"mcp__{_MCP_NAME}"] if mcp_url else []
        servers = {"mcpServers": {_MCP_NAME: {"type": "http", "url": mcp_url}}}
        reading = ["--tools", _READ_TOOLS, *(["--allowedTools", *offered] if offered else [])]
        writing = ["--tools", _WRITE_TOOLS, "--allowedTools", ",".join(["Bash", *offered])]
        writing += ["--permission-mode", self._permission_mode()]
        choices = {
            "--model": turn.model,
            "--resume": turn.session_id,
            "--max-budget-usd": None if turn.max_cost_usd is None else f"{turn.max_cost_usd:.4f}",
        }
        return [
            program,
            "-p",
            *("--input-format", "stream-json"),
            *("--output-format", "stream-json"),
            "--verbose",
            "--include-partial-messages",
            *(reading if turn.read_only else writing),
            # The repository's own settings, hooks and commands are a stranger's, unless the operator says otherwise;
            # its servers are in any case.
            *("--setting-sources", "user,project" if turn.trusted else "user"),
            "--strict-mcp-config",
            *(["--mcp-config", json.dumps(servers)] if mcp_url else []),
            *("--settings", json.dumps({"includeCoAuthoredBy": False})),
            *(f"{option}={value}" for option, value in choices.items() if value is not None),
        ]

    def _environment(self, turn: AgentTurn) -> dict[str, str]:
        base_url = self._base_url()
        patience = turn.stall_timeout.total_seconds()
        return {
            **environment(turn.home),
            **turn.environment,
            "CLAUDE_CONFIG_DIR": str(turn.home / ".claude"),
            "CLAUDE_CODE_TMPDIR": str(temporary(turn.home)),
            "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC": "1",
            "CLAUDE_CODE_DISABLE_BACKGROUND_TASKS": "1",
            "DISABLE_AUTOUPDATER": "1",
            "DISABLE_TELEMETRY": "1",
            "DISABLE_ERROR_REPORTING": "1",
            "CLAUDE_CODE_MAX_RETRIES": str(self._max_retries),
            # A silent line is given up and asked again by the command line itself before we take the turn for stalled.
            "API_TIMEOUT_MS": str(int(max(60, min(600, 0.8 * patience)) * 1000)),
            "CLAUDE_BYTE_STREAM_IDLE_TIMEOUT_MS": str(int(max(60, min(120, 0.4 * patience)) * 1000)),
            "BASH_MAX_TIMEOUT_MS": str(int(TOOL_LIMIT.total_seconds() * 1000)),
            **({"ANTHROPIC_BASE_URL": base_url} if base_url else {}),
            **turn.credentials,
        }

    async def _ask_version(self, program: str) -> str:
        with tempfile.TemporaryDirectory(prefix="awo-claude-") as scratch:
            home = Path(scratch)
            prepare_home(home)
            self._confinement.hand_over(home)
            try:
                async with open_child(
                    [program, "--version"],
                    env={**environment(home), "CLAUDE_CONFIG_DIR": str(home / ".claude"), "DISABLE_AUTOUPDATER": "1"},
                    cwd=home,
                    stdout=home / "version.txt",
                    stderr=None,
                    run_id=f"version-{uuid4().hex}",
                    confinement=self._confinement,
                ) as child:
                    with anyio.move_on_after(20):
                        await child.wait()
            except OSError as problem:
                raise _cannot_start(f"{problem.strerror or problem}") from problem
            said = _end_of(home / "version.txt")
        return _version(said, child.exit_code)


def _make_places(turn: AgentTurn) -> None:
    """A few directories of ours: no more than the files that its output goes to, and less than the way to a thread."""
    turn.run_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    prepare_home(turn.home)
    (turn.home / ".claude").mkdir(mode=0o700, exist_ok=True)


async def _watch(
    child: Child,
    turn: AgentTurn,
    tail: LineTail,
    reading: Reading,
    tell: Callable[[Payload], None],
    rounds: Rounds,
) -> AgentFailure | None:
    """Until the child has ended (None), or was too slow or too silent."""
    stopped = None
    with anyio.move_on_after(turn.timeout.total_seconds()) as wall_clock:
        await child.feed(_message(turn.prompt))
        stopped = await follow(child, tail, reading, tell, turn.stall_timeout, rounds, turn.give_way)
    return timed_out(turn.timeout) if wall_clock.cancelled_caught else stopped


def _result(
    turn: AgentTurn,
    reading: Reading,
    stdout: Path,
    failure: AgentFailure | None,
    tell: Callable[[Payload], None],
) -> AgentResult:
    usage, text = reading.usage, (reading.result or {}).get("result")
    cost_usd = round(usage.cost_usd, 6)
    if usage.input_tokens or usage.output_tokens or cost_usd:
        tell(UsageCounted(input_tokens=usage.input_tokens, output_tokens=usage.output_tokens, cost_usd=cost_usd))
    return AgentResult(
        text=text if isinstance(text, str) and text.strip() else reading.last_text,
        session_id=reading.session_id or turn.session_id,
        input_tokens=usage.input_tokens,
        output_tokens=usage.output_tokens,
        cost_usd=cost_usd,
        permission_denials=tuple(reading.denials.values()),
        stdout=stdout,
        failure=failure,
    )


def _message(prompt: str) -> bytes:
    blocks = [{"type": "text", "text": text} for text in (clean(prompt), _CLOSING_WORDS)]
    message = {"type": "user", "message": {"role": "user", "content": blocks}, "client_composed": True}
    return json.dumps(message).encode() + b"\n"


def _end_of(path: Path) -> str:
    with path.open("rb") as file:
        file.seek(max(0, path.stat().st_size - _STDERR_TAIL))
        return clean(file.read().decode("utf-8", "replace"))


def _version(said: str, exit_code: int | None) -> str:
    found = re.search(r"\b(\d+)\.(\d+)\.(\d+)\b", said)
    if exit_code != 0 or found is None:
        words = " ".join(said.split())[:200]
        raise _cannot_start(f"`--version` ended with exit code {exit_code}{': ' + words if words else ''}")
    if tuple(map(int, found.groups())) < _OLDEST:
        raise _cannot_start(f"version {found.group()} is older than {'.'.join(map(str, _OLDEST))}")
    return found.group()


def _cannot_start(why: str) -> StepFailed:
    return StepFailed(
        FailureClass.AGENT,
        f"Claude Code cannot be started: {why}.",
        next_action="Install Claude Code, or set CLAUDE_CLI_PATH to a `claude` that runs on this machine, then retry.",
    )
