"""Runs a repository's own check as the agent's tools would run it, but without any credential.
Knows no verdict but the exit code."""

from collections.abc import Mapping, Sequence
from datetime import timedelta
from pathlib import Path

import anyio
from anyio import to_thread

from ..ports import CheckResult
from .confinement import Confinement
from .environment import environment as usual_environment
from .environment import prepare_home
from .process import open_child

_TAIL_BYTES = 8 * 1024
_CANNOT_START = 127  # what a shell says of a command it does not find


class CommandChecks:
    """One command, one process group, one file for both streams."""

    def __init__(self, confinement: Confinement) -> None:
        self._confinement = confinement

    async def run(
        self,
        run_id: str,
        command: Sequence[str],
        cwd: Path,
        home: Path,
        run_dir: Path,
        timeout: timedelta,
        *,
        environment: Mapping[str, str] | None = None,
    ) -> CheckResult:
        output = run_dir / "check.log"
        await to_thread.run_sync(self._prepare, run_dir, home, cwd)
        began = anyio.current_time()
        try:
            async with open_child(
                command,
                env={**usual_environment(home), "CI": "true", **(environment or {})},
                cwd=cwd,
                stdout=output,
                stderr=None,
                run_id=run_id,
                confinement=self._confinement,
            ) as child:
                with anyio.move_on_after(timeout.total_seconds()) as clock:
                    await child.wait()
                took = timedelta(seconds=anyio.current_time() - began)
            exit_code = None if clock.cancelled_caught else child.exit_code
        except OSError as problem:
            await anyio.Path(output).write_text(f"{command[0]}: {problem.strerror or problem}\n", encoding="utf-8")
            took, exit_code = timedelta(seconds=anyio.current_time() - began), _CANNOT_START
        return CheckResult(exit_code, took, await to_thread.run_sync(_tail, output), output)

    def _prepare(self, run_dir: Path, home: Path, cwd: Path) -> None:
        run_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
        prepare_home(home)
        self._confinement.hand_over(home, cwd)


def _tail(path: Path) -> str:
    with path.open("rb") as file:
        file.seek(max(0, path.stat().st_size - _TAIL_BYTES))
        end = file.read()
    if len(end) == _TAIL_BYTES:
        end = end.lstrip(bytes(range(0x80, 0xC0)))  # the rest of a character that was cut in two
    return end.decode("utf-8", "replace").replace("\0", "\ufffd")
