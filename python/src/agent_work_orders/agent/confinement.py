"""What stands between the agent and the machine: a wrapper around whatever runs on a repository's behalf.
Here are the two lowest rungs; it knows neither what runs nor why."""

import os
import pwd
import shutil
import stat
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Protocol

from ..domain.errors import FailureClass, StepFailed


class Confinement(Protocol):
    """Wraps the agent (its tools inherit it) and the checks."""

    name: str
    # Whether `hand_over` has anything to do.
    is_another_user: bool

    def wrap(self, argv: Sequence[str], env: Mapping[str, str]) -> tuple[list[str], dict[str, str]]:
        """The command and the environment to start instead. It must execute `argv` in its own place or wait for it."""
        ...

    def hand_over(self, *directories: Path) -> None:
        """Makes what the server put there writable from inside. Blocks; nothing confined may be running there."""
        ...


class SameUser:
    """The server's own user: no confinement but the environment that the caller chose."""

    name = "same-user"
    is_another_user = False

    def wrap(self, argv: Sequence[str], env: Mapping[str, str]) -> tuple[list[str], dict[str, str]]:
        return list(argv), dict(env)

    def hand_over(self, *directories: Path) -> None:
        """They are ours already."""


class SeparateUser:
    """Another user, for a server that runs as root: the server's memory, files and processes are out of reach."""

    is_another_user = True

    def __init__(self, uid: int, gid: int) -> None:
        setpriv = shutil.which("setpriv")
        if setpriv is None:
            raise _unavailable("setpriv is not installed.", "Install util-linux, or do without a separate user.")
        self.name = f"separate-user:{uid}"
        self._uid, self._gid = uid, gid
        self._wrapper = [setpriv, "--reuid", str(uid), "--regid", str(gid), "--clear-groups", "--no-new-privs", "--"]

    def wrap(self, argv: Sequence[str], env: Mapping[str, str]) -> tuple[list[str], dict[str, str]]:
        return [*self._wrapper, *argv], dict(env)

    def hand_over(self, *directories: Path) -> None:
        for directory in directories:
            os.chown(directory, self._uid, self._gid)
            # By directory handles: a path could be bent by a link that an earlier turn left behind.
            for _, names, files, handle in os.fwalk(directory, follow_symlinks=False):
                for name in (*names, *files):
                    self._hand_over_one(name, handle)

    def _hand_over_one(self, name: str, handle: int) -> None:
        found = os.stat(name, dir_fd=handle, follow_symlinks=False)
        if found.st_uid == self._uid and found.st_gid == self._gid:
            return
        if found.st_nlink > 1 and not stat.S_ISDIR(found.st_mode):
            return  # the same file has a name elsewhere, and it may be nobody's business here
        os.chown(name, self._uid, self._gid, dir_fd=handle, follow_symlinks=False)


def choose_confinement(agent_user: str | None) -> Confinement:
    """`agent_user` is a name, a uid or `uid:gid`; None is the server's own user. Else StepFailed (policy)."""
    if not agent_user:
        return SameUser()
    uid, gid = ids_of(agent_user)
    if uid == 0:
        raise _unavailable("The agent's user must not be root.", "Name an ordinary user for the agent.")
    if os.geteuid() == uid and os.getegid() == gid:
        return SameUser()
    if os.geteuid() != 0:
        raise _unavailable(
            f"Only a server that runs as root can run the agent as {agent_user!r}.",
            "Start the server as root, or leave the agent's user unset.",
        )
    return SeparateUser(uid, gid)


def ids_of(name: str) -> tuple[int, int]:
    """User and group of a name, a uid or `uid:gid`; StepFailed (policy) when this machine does not know it."""
    uid, _, gid = name.partition(":")
    try:
        entry = pwd.getpwuid(int(uid)) if uid.isdigit() else pwd.getpwnam(uid)
    except KeyError:
        if uid.isdigit() and gid.isdigit():
            return int(uid), int(gid)
        raise _unavailable(
            f"There is no user {name!r} on this machine.", "Create it, or name the agent's user as uid:gid."
        ) from None
    if gid and not gid.isdigit():
        raise _unavailable(f"{name!r} names no user.", "Write the agent's user as a name, a uid or uid:gid.")
    return entry.pw_uid, int(gid) if gid else entry.pw_gid


def _unavailable(message: str, next_action: str) -> StepFailed:
    return StepFailed(FailureClass.POLICY, message, next_action=next_action)
