"""Who runs on behalf of a run, seen in /proc by the marker that every child inherits, and how they are made to end.
Knows no agent and no order. Without /proc (macOS) it sees nothing, and the process group is all there is."""

import os
import signal
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from functools import cache
from pathlib import Path

RUN_MARKER = "AWO_RUN_ID"
OWNER_MARKER = "AWO_OWNER"

_PROC = Path("/proc")
_SWEEP_SECONDS = 10.0


def process_identity(pid: int | None = None) -> str:
    """`<pid>-<start time>` of a process, by default this one: unlike a pid alone, never true of another."""
    pid = os.getpid() if pid is None else pid
    return f"{pid}-{_start_time(pid) or 0}"


def owner_mark() -> str:
    """What children carry as their owner: this process, and in which space of process ids it has its own."""
    return _owner_mark(os.getpid())


@cache
def _owner_mark(pid: int) -> str:
    return f"{process_identity(pid)}@{pid_space()}"


@cache
def pid_space() -> str:
    """Names this process's space of process ids, as this kernel does; empty where there is only one."""
    try:
        return str(_PROC.joinpath("self/ns/pid").stat().st_ino)
    except OSError:
        return ""


def is_alive(identity: str) -> bool:
    """Whether the process of that identity still runs; a zombie does not."""
    pid, _, started = identity.partition("-")
    if not (pid.isdigit() and started.isdigit()):
        return False
    if _PROC.joinpath("self/stat").exists():
        return _start_time(int(pid)) == int(started)
    try:
        os.kill(int(pid), 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def sweep_strays() -> list[int]:
    """Ends what servers left behind that were killed themselves; the pids it ended. Runs of living servers stay.

    Blocks for milliseconds, or for seconds where something will not die.
    """
    ended: dict[int, None] = {}

    def strays() -> list[int]:
        found = [pid for pid, environ in _environments() if _is_orphaned(environ)]
        ended.update(dict.fromkeys(found))
        return found

    _end_all(strays)
    return list(ended)


def sweep_run(run_id: str, suspects: Iterable[str] = ()) -> list[int]:
    """Ends every process that carries the run's marker, and the `suspects` (identities) whatever they carry.

    Repeats until none is left, since one may have forked meanwhile. Returns what would not die within seconds. Blocks.
    """
    marker = f"\0{RUN_MARKER}={run_id}\0".encode()
    known = tuple(suspects)

    def carriers() -> list[int]:
        found = [pid for pid, environ in _environments() if marker in environ]
        found += [pid for one in known if is_alive(one) and (pid := int(one.split("-")[0])) not in found]
        return found

    return _end_all(carriers)


def descendants(pid: int) -> list[str]:
    """Identities of all processes below `pid`: a child may have thrown its environment away."""
    children: dict[int, list[int]] = {}
    for other in _pids():
        if (stat := _stat(other)) is not None:
            children.setdefault(int(stat[1]), []).append(other)
    found: list[int] = []
    waiting = [pid]
    while waiting:
        below = children.get(waiting.pop(), [])
        found += below
        waiting += below
    return [process_identity(one) for one in found]


def _end_all(find: Callable[[], list[int]]) -> list[int]:
    deadline = time.monotonic() + _SWEEP_SECONDS
    while left := find():
        for pid in left:
            with suppress(ProcessLookupError, PermissionError):
                os.kill(pid, signal.SIGKILL)
        if time.monotonic() > deadline:
            return left
        time.sleep(0.005)
    return []


def _is_orphaned(environ: bytes) -> bool:
    if f"\0{RUN_MARKER}=".encode() not in environ:
        return False
    _, found, rest = environ.partition(f"\0{OWNER_MARKER}=".encode())
    owner, _, space = rest.partition(b"\0")[0].decode("ascii", "replace").partition("@")
    if space and space != pid_space():
        return False  # a container's: what its server's number means is not to be told from out here
    return bool(found) and owner.replace("-", "").isdigit() and not is_alive(owner)


def _environments() -> Iterator[tuple[int, bytes]]:
    """Environments of the others, each variable between two NULs. A zombie has none; other users' may be unreadable."""
    own = os.getpid()
    for pid in _pids():
        if pid == own:
            continue
        with suppress(OSError):
            environ = _read(f"/proc/{pid}/environ")
            if environ:
                yield pid, b"\0" + environ + b"\0"


def _read(path: str) -> bytes:
    """By descriptor: it is done for every process of the machine when a run ends, and a Path costs as much again."""
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        parts = []
        while part := os.read(descriptor, 1 << 16):
            parts.append(part)
        return b"".join(parts)
    finally:
        os.close(descriptor)


def _pids() -> list[int]:
    try:
        return [int(name) for name in os.listdir(_PROC) if name.isdigit()]  # noqa: PTH208 - a Path per process costs
    except FileNotFoundError:
        return []


def _start_time(pid: int) -> int | None:
    """In clock ticks since boot; None for what is gone or only a zombie."""
    stat = _stat(pid)
    return None if stat is None or stat[0] in "ZX" else int(stat[19])


def _stat(pid: int) -> list[str] | None:
    """/proc/<pid>/stat from its third field on (state, parent, …): the second may hold spaces and brackets."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return None
    return text.rpartition(")")[2].split()
