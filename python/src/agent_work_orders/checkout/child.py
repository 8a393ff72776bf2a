"""One child process of the git runner: what it said, kept within bounds, and an end that takes its whole group along.

Knows nothing of git beyond the form of its progress lines.
"""

import os
import re
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from subprocess import DEVNULL, PIPE
from typing import IO, NamedTuple

import anyio
from anyio.abc import ByteReceiveStream, Process

from .failures import refused

Progress = Callable[[str, int], None]

MAX_OUTPUT = 256 * 1024 * 1024  # bytes of stdout
KEPT_ERRORS = 16 * 1024  # characters of stderr, its end
GRACE = 2.0  # seconds between SIGTERM and SIGKILL
NICENESS = 10
SWEEP = 5.0  # seconds in which a killed group must be gone
# Seconds between two looks at what git complains of. A clone writes hundreds of tiny progress lines: to be woken by
# each of them would take the processor from the git that writes them. Sooner when the pipe was full: then git waits.
PACE, SOON = 0.1, 0.005
CAPACITY = 1 << 16  # bytes of a pipe, at most

_PROGRESS = re.compile(rb"(?:remote: )?([A-Z][A-Za-z ]+): +(\d{1,3})% \(.*")


class _Taken(NamedTuple):
    """Whether the pipe was about full, and whether nobody has it open any more."""

    is_much: bool
    is_last: bool


class Run:
    """One child and what it said."""

    def __init__(self, progress: Progress | None, hidden: list[str]) -> None:
        self._progress, self._hidden = progress, hidden
        self._last_progress: tuple[str, int] | None = None
        self.exit_code, self.stdout, self.overflow = -1, bytearray(), False
        self._errors, self._rest = "", b""

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
        stdout: IO[bytes] | int | None,
        umask: int,
        *,
        behind: bool = False,
    ) -> None:
        """Runs it to its end. `behind` lets everybody else on the machine have the processor first.

        What it writes is kept where `stdout` is None; DEVNULL, for one that writes nothing, costs less.
        """
        feed = stdin if isinstance(stdin, bytes) else None
        with _pipe() as (complaints, writing):
            try:
                # Shielded: a cancellation between fork and return would leave a child that nobody knows.
                with anyio.CancelScope(shield=True):
                    process = await anyio.open_process(
                        argv,
                        stdin=PIPE if isinstance(stdin, bytes) else stdin or DEVNULL,
                        stdout=PIPE if stdout is None else stdout,
                        stderr=writing,
                        cwd=cwd,
                        env=environment,
                        start_new_session=True,
                        umask=umask,
                    )
            except FileNotFoundError as error:
                message = f"{error.filename or argv[0]} cannot be started"
                raise refused(message, "Install git and setpriv on the server, or correct the path.") from error
            finally:
                os.close(writing)
            if behind:
                _put_behind(process.pid)
            await self._follow(process, complaints, feed)

    async def _follow(self, process: Process, complaints: int, feed: bytes | None) -> None:
        """To its end, and to that of everybody who holds what it wrote to."""
        ended = False
        try:
            if feed is None and process.stdout is None:
                await self._listen(process, complaints)
            else:
                async with anyio.create_task_group() as helpers:
                    if feed is not None:
                        helpers.start_soon(_feed, process, feed)
                    if process.stdout:
                        helpers.start_soon(self._listen, process, complaints)
                        await self._read_output(process, process.stdout)
                    await self._listen(process, complaints)
                    helpers.cancel_scope.cancel()
            ended = True
            self._hear([self._rest])
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

    async def _listen(self, process: Process, complaints: int) -> None:
        """Until it has ended, and nobody whom it left holds the pipe any more."""
        pause = PACE
        while True:
            with anyio.move_on_after(pause) as waiting:
                self.exit_code = await process.wait()
            taken = self._take(complaints)
            if taken.is_last and not waiting.cancelled_caught:
                return
            pause = SOON if taken.is_much else PACE
            if not waiting.cancelled_caught:
                await anyio.sleep(SOON)

    def _take(self, complaints: int) -> _Taken:
        """Hears what is in the pipe, about a pipe full at most."""
        said, is_last = b"", False
        with suppress(BlockingIOError):
            while len(said) < CAPACITY and not is_last:
                chunk = os.read(complaints, CAPACITY)
                said, is_last = said + chunk, not chunk
        *whole, self._rest = (self._rest + said).replace(b"\r", b"\n").split(b"\n")
        self._rest = self._rest[-KEPT_ERRORS:]
        self._hear(whole)
        return _Taken(len(said) > CAPACITY // 2, is_last)

    def _hear(self, lines: list[bytes]) -> None:
        """Tells the newest progress, and keeps what is none."""
        newest, kept = b"", []
        phases = set()  # hundreds of lines are of a few phases: the first of each is looked at closely
        for line in lines:
            phase, _, rest = line.partition(b":")
            if b"% (" in rest and (phase in phases or _PROGRESS.fullmatch(line)):
                phases.add(phase)
                newest = line
            elif words := line.strip():
                kept.append(words.decode("utf-8", "replace"))
        if found := _PROGRESS.fullmatch(newest):
            state = (found[1].decode().lower(), int(found[2]))
            if self._progress and state != self._last_progress:
                self._progress(*state)
            self._last_progress = state
        self._errors = (self._errors + "".join(f"{words}\n" for words in kept))[-KEPT_ERRORS:]


@contextmanager
def _pipe() -> Iterator[tuple[int, int]]:
    """The end that never blocks its reader, and the one to write to, which the block has to close."""
    reading, writing = os.pipe()
    try:
        os.set_blocking(reading, False)
        yield reading, writing
    finally:
        os.close(reading)


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
