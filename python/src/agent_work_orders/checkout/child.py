"""One child process of the git runner: what it said, kept within bounds, and an end that takes its whole group along.

Knows nothing of git beyond the form of its progress lines.
"""

import os
import re
import signal
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from subprocess import DEVNULL, PIPE
from typing import IO

import anyio
from anyio.abc import ByteReceiveStream, Process

from .failures import refused

Progress = Callable[[str, int], None]

MAX_OUTPUT = 256 * 1024 * 1024  # bytes of stdout
KEPT_ERRORS = 16 * 1024  # characters of stderr, its end
GRACE = 2.0  # seconds between SIGTERM and SIGKILL
NICENESS = 10
SWEEP = 5.0  # seconds in which a killed group must be gone

_PROGRESS = re.compile(r"(?:remote: )?([A-Z][A-Za-z ]+): +(\d{1,3})% \(")


class Run:
    """One child and what it said."""

    def __init__(self, progress: Progress | None, hidden: list[str]) -> None:
        self._progress, self._hidden = progress, hidden
        self._last_progress: tuple[str, int] | None = None
        self.exit_code, self.stdout, self.overflow = -1, bytearray(), False
        self._errors = ""

    @property
    def stderr(self) -> str:
        text = self._errors
        for secret in self._hidden:
            text = text.replace(secret, "[redacted]")
        return re.sub(r"://[^/@\s']+@", "://[redacted]@", text)

    async def go(
        self,
        argv: list[str],
        environment: dict[str, str],
        cwd: Path,
        stdin: bytes | IO[bytes] | None,
        stdout: IO[bytes] | None,
        umask: int,
        *,
        behind: bool = False,
    ) -> None:
        """Runs it to its end. `behind` lets everybody else on the machine have the processor first."""
        feed = stdin if isinstance(stdin, bytes) else None
        try:
            # Shielded: a cancellation between fork and return would leave a child that nobody knows.
            with anyio.CancelScope(shield=True):
                process = await anyio.open_process(
                    argv,
                    stdin=PIPE if feed is not None else DEVNULL if isinstance(stdin, bytes) or stdin is None else stdin,
                    stdout=PIPE if stdout is None else stdout,
                    stderr=PIPE,
                    cwd=cwd,
                    env=environment,
                    start_new_session=True,
                    umask=umask,
                )
        except FileNotFoundError as error:
            message = f"{error.filename or argv[0]} cannot be started"
            raise refused(message, "Install git and setpriv on the server, or correct the path.") from error
        if behind:
            _put_behind(process.pid)
        ended = False
        try:
            async with anyio.create_task_group() as readers:
                if process.stderr:
                    readers.start_soon(self._read_errors, process.stderr)
                if feed is not None:
                    readers.start_soon(_feed, process, feed)
                if process.stdout:
                    await self._read_output(process, process.stdout)
            self.exit_code, ended = await process.wait(), True
        finally:
            with anyio.CancelScope(shield=True):
                if not ended:
                    await _stop(process)
                await process.aclose()

    async def _read_output(self, process: Process, stream: ByteReceiveStream) -> None:
        async for chunk in stream:
            if len(self.stdout) + len(chunk) > MAX_OUTPUT:
                self.overflow = True
                await _stop(process)
                return
            self.stdout += chunk

    async def _read_errors(self, stream: ByteReceiveStream) -> None:
        rest = ""
        async for chunk in stream:
            *lines, rest = re.split(r"[\r\n]", rest + chunk.decode("utf-8", "replace"))
            for line in lines:
                self._hear(line)
            rest = rest[-KEPT_ERRORS:]
        self._hear(rest)

    def _hear(self, line: str) -> None:
        if match := _PROGRESS.match(line):
            state = (match[1].lower(), int(match[2]))
            if self._progress and state != self._last_progress:
                self._progress(*state)
            self._last_progress = state
        elif line.strip():
            self._errors = f"{self._errors}{line.strip()}\n"[-KEPT_ERRORS:]


def _put_behind(pid: int) -> None:
    """A session is a scheduling group of its own on most kernels: in there niceness alone says nothing to others."""
    with suppress(OSError):
        os.setpriority(os.PRIO_PGRP, pid, NICENESS)
    with suppress(OSError), Path(f"/proc/{pid}/autogroup").open("w") as group:
        group.write(str(NICENESS))


async def _feed(process: Process, data: bytes) -> None:
    if not process.stdin:
        return
    try:
        await process.stdin.send(data)
    except (anyio.BrokenResourceError, anyio.ClosedResourceError, ConnectionError):
        pass  # it ended without reading all; its exit code says why (anyio 4.9 raises the system's own error)
    finally:
        await process.stdin.aclose()


async def _stop(process: Process) -> None:
    """Ends the child's whole process group; when this returns nothing of it runs, or SWEEP is over."""
    _signal(process.pid, signal.SIGTERM)
    with anyio.move_on_after(GRACE):
        await process.wait()
    _signal(process.pid, signal.SIGKILL)
    with anyio.move_on_after(SWEEP):
        await process.wait()
        while _runs(process.pid):  # noqa: ASYNC110 - the kernel offers no event for the end of a group
            await anyio.sleep(0.01)


def _signal(group: int, number: signal.Signals) -> None:
    with suppress(ProcessLookupError):
        os.killpg(group, number)


def _runs(group: int) -> bool:
    """Whether a process of the group still runs; one that is dead and waits for its parent does not."""
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return False
    proc = Path("/proc")
    if not proc.is_dir():
        return True
    for entry in proc.iterdir():
        if entry.name.isdigit():
            try:
                state, _, pgrp = (entry / "stat").read_text().rpartition(")")[2].split()[:3]
            except (OSError, ValueError):
                continue
            if int(pgrp) == group and state not in "ZX":
                return True
    return False
