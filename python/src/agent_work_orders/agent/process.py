"""A child process that cannot outlive its scope: nor can anything it started, in whatever session that hides.
Knows no agent; what the child may see and as whom it runs is said by the caller and its confinement."""

import errno
import os
import shutil
import signal
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import ExitStack, asynccontextmanager, suppress
from functools import cache
from pathlib import Path
from subprocess import DEVNULL, PIPE
from typing import IO

import anyio
from anyio import to_thread
from anyio.abc import Process

from ..domain.errors import FailureClass, StepFailed
from ..tracing import span
from .confinement import Confinement
from .strays import OWNER_MARKER, RUN_MARKER, descendants, owner_mark, sweep_run

# SIGTERM gives the child this long to put its own house in order.
_GRACE_SECONDS = 5.0


class Child:
    """A running child. Its output is in the files it was given; it never waits for a reader."""

    def __init__(self, process: Process) -> None:
        self._process = process
        self.pid = process.pid

    @property
    def exit_code(self) -> int | None:
        """None while it runs; negative for the signal that ended it."""
        return self._process.returncode

    async def feed(self, text: bytes) -> None:
        """Gives the child all its input and closes it. A child that has ended, or closed it, does not hear."""
        stdin = self._process.stdin
        if stdin is None:
            raise ValueError("a child that is not fed has no input")
        # anyio 4.9 raises the system's own error.
        with suppress(anyio.BrokenResourceError, ConnectionError):
            await stdin.send(text)
        await stdin.aclose()

    async def wait(self) -> int:
        """The exit code. Not for polling: every call that is given up leaves a waiter behind until the child ends."""
        return await self._process.wait()


@asynccontextmanager
async def open_child(
    argv: Sequence[str],
    *,
    env: Mapping[str, str],
    cwd: Path,
    fed: bool = False,
    stdout: Path,
    stderr: Path | None,
    run_id: str,
    confinement: Confinement,
) -> AsyncIterator[Child]:
    """Starts `argv` in a session of its own, with `env` and our two markers as its whole environment.

    The output files are made anew, readable by their owner alone; without `stderr` both streams share one.
    A child that is `fed` waits for `Child.feed`, any other finds its input closed.
    However the block is left, no process of the run is left behind. OSError when the program cannot be started,
    StepFailed (internal) when something of it would not die.
    """
    _find_program(argv[0], env, cwd)
    marked = {**env, RUN_MARKER: run_id, OWNER_MARKER: owner_mark()}
    # The inner wrapper must be ours: a change of user would clear the parent-death signal again.
    command, environment = confinement.wrap([*_dies_with_parent(), *argv], marked)
    with ExitStack() as files, anyio.CancelScope(shield=True):  # a start that is given up half-way would leave a child
        out = files.enter_context(_fresh(stdout))
        process = await anyio.open_process(
            command,
            stdin=PIPE if fed else DEVNULL,
            stdout=out,
            stderr=out if stderr is None else files.enter_context(_fresh(stderr)),
            cwd=cwd,
            env=environment,
            start_new_session=True,
        )
    with span(f"run {Path(argv[0]).name}", outside=True):
        try:
            yield Child(process)
        finally:
            with anyio.CancelScope(shield=True):
                await _stop(process, run_id)


async def _stop(process: Process, run_id: str) -> None:
    """Bounded: SIGTERM, SIGKILL, then everything that carries the marker."""
    if process.stdin is not None:
        await process.stdin.aclose()
    below: list[str] = []
    if process.returncode is None:
        below = await to_thread.run_sync(descendants, process.pid)
        for how in (signal.SIGTERM, signal.SIGKILL):
            _signal_group(process, how)
            with anyio.move_on_after(_GRACE_SECONDS):
                await process.wait()
                break
    left = await to_thread.run_sync(sweep_run, run_id, below)
    if process.returncode is None:
        left = [process.pid, *left]
    if left:
        raise StepFailed(
            FailureClass.INTERNAL,
            f"Processes of the run could not be stopped: {', '.join(map(str, left))}.",
            next_action="End them by hand on the server (they wait for a device, or are another user's), then retry.",
        )


def _signal_group(process: Process, how: signal.Signals) -> None:
    if process.returncode is None:  # else the number may be another's by now
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, how)


@cache
def _dies_with_parent() -> list[str]:
    """setpriv executes the program in its own place: same pid, same streams."""
    setpriv = shutil.which("setpriv")
    return [setpriv, "--pdeathsig", "TERM", "--no-new-privs", "--"] if setpriv else []


def _find_program(name: str, env: Mapping[str, str], cwd: Path) -> None:
    """Says at once what a wrapper would only say in the child's own output."""
    if "/" not in name:
        if shutil.which(name, path=env.get("PATH", os.defpath)) is None:
            raise FileNotFoundError(errno.ENOENT, "No such program", name)
    elif not (cwd / name).is_file():
        raise FileNotFoundError(errno.ENOENT, "No such file", name)
    elif not os.access(cwd / name, os.X_OK):
        raise PermissionError(errno.EACCES, "Not executable", name)


def _fresh(path: Path) -> IO[bytes]:
    path.unlink(missing_ok=True)
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND
    return os.fdopen(os.open(path, flags, 0o600), "wb", buffering=0)
