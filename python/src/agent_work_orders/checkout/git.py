"""The only way git runs on the server's behalf: argv only, our environment and configuration only, bounded in time.

Knows no orders. It never runs with a configuration, a hook or a current directory that an agent could have written.
"""

import os
import shutil
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from functools import cache
from pathlib import Path
from typing import IO
from urllib.parse import quote

import anyio

from ..tracing import span
from . import disk
from .child import MAX_OUTPUT, Progress, Run
from .failures import failure, refused, timed_out

USER = "x-access-token"  # what GitHub and its kin take as the user name beside a token
EXCLUDED = (
    "__pycache__/", "*.pyc", "node_modules/", ".venv/", "venv/", ".pytest_cache/", ".mypy_cache/", ".ruff_cache/",
    ".tox/", ".coverage", ".claude/settings.local.json", ".DS_Store",
)  # fmt: skip

# What curl needs on closed networks. Nothing else of the server's environment reaches git.
_PROXIES = ("http_proxy", "https_proxy", "all_proxy", "no_proxy")
_NETWORK = {*_PROXIES, *map(str.upper, _PROXIES), "SSL_CERT_FILE", "SSL_CERT_DIR", "GIT_SSL_CAINFO", "GIT_SSL_CAPATH"}
_ASKPASS = """\
#!/bin/sh
# Answers git's two questions for one origin, from the environment of that git alone; any other origin gets no answer.
[ -n "$AWO_GIT_TOKEN" ] || exit 1
case "$1" in
"Username for '$AWO_GIT_ORIGIN'"*) printf '%s\\n' "$AWO_GIT_USER" ;;
"Password for '$AWO_GIT_USER_ORIGIN'"*) printf '%s\\n' "$AWO_GIT_TOKEN" ;;
# As git-lfs asks, which names the path as well.
"Username for \\"$AWO_GIT_ORIGIN\\""*|"Username for \\"$AWO_GIT_ORIGIN/"*) printf '%s\\n' "$AWO_GIT_USER" ;;
"Password for \\"$AWO_GIT_USER_ORIGIN\\""*|"Password for \\"$AWO_GIT_USER_ORIGIN/"*) printf '%s\\n' "$AWO_GIT_TOKEN" ;;
*) exit 1 ;;
esac
"""
_SETTINGS = {
    "core.hooksPath": "/dev/null",
    "core.fsmonitor": "false",
    "core.attributesFile": "/dev/null",
    "core.commitGraph": "false",  # one in a borrowed object store could forge ancestry
    "core.multiPackIndex": "false",
    "core.logAllRefUpdates": "false",
    "core.quotePath": "false",
    "core.autocrlf": "false",
    # Files are mostly waited for: several writers halve the time of a large checkout, even on two cores. Small ones
    # would only wait for the writers to start.
    "checkout.workers": "4",
    "checkout.thresholdForParallelism": "1000",
    "credential.helper": "",
    "gc.auto": "0",
    "maintenance.auto": "false",
    "submodule.recurse": "false",
    "fetch.recurseSubmodules": "false",
    "protocol.version": "2",
    "http.followRedirects": "false",  # a redirect could lead to a private address
    "http.lowSpeedLimit": "500",
    "http.lowSpeedTime": "60",
    "http.sslVerify": "true",
}


@dataclass(frozen=True)
class Remote:
    """Where a command may go, and with which token. Plain http is the operator's exception for the host."""

    url: str
    host: str
    plain_http: bool = False
    token: str | None = field(default=None, repr=False)


@dataclass(frozen=True)
class Output:
    """What a finished git left. `stderr` is cut to its end, without progress lines and secrets."""

    exit_code: int
    stdout: bytes
    stderr: str


class Git:
    """Runs git. `directory` is the server's own: it holds the credential script, the excludes and an empty home.

    `marks` go into the environment of every git: its helpers outlive a server that is killed, and are found by them.
    """

    def __init__(
        self,
        directory: Path,
        binary: str,
        limit: timedelta,
        agent_user: tuple[int, int] | None,
        marks: Mapping[str, str] | None = None,
    ) -> None:
        self._home, self._askpass, self._excludes = directory / "home", directory / "askpass", directory / "exclude"
        self._binary, self._limit, self._agent_user, self._marks = binary, limit, agent_user, marks or {}
        self._prepared = False

    @property
    def is_prepared(self) -> bool:
        """Whether what every run needs is there; a look only."""
        return self._prepared and self._home.is_dir() and self._askpass.is_file() and self._excludes.is_file()

    def prepare(self) -> None:
        """Writes what every run needs, if it is not there already."""
        disk.make_directory(self._home)
        for path, text, mode in ((self._askpass, _ASKPASS, 0o700), (self._excludes, "\n".join(EXCLUDED) + "\n", 0o644)):
            if not path.is_file() or path.read_text() != text:
                disk.write_whole(path, text.encode(), mode)
        self._prepared = True

    async def run(
        self,
        *arguments: str,
        git_dir: Path | None = None,
        work_tree: Path | None = None,
        index: Path | None = None,
        environment: Mapping[str, str] | None = None,
        stdin: bytes | IO[bytes] | None = None,
        stdout: IO[bytes] | int | None = None,
        remote: Remote | None = None,
        progress: Progress | None = None,
        limit: timedelta | None = None,
        as_agent: bool = False,
        behind: bool = False,
        settings: Mapping[str, str] | None = None,
        expect: Collection[int] = (0,),
    ) -> Output:
        """Runs `git *arguments` to its end; the first argument is the command.

        StepFailed when the exit code is not in `expect`, when `limit` is over, or when git cannot be started. Nothing
        of it runs on when this returns or raises, also on cancellation. Without `remote` no transport is allowed.
        `behind` lets whoever else wants the processor go first; `settings` are added to ours.
        """
        if git_dir and "GIT_ALTERNATE_OBJECT_DIRECTORIES" not in (environment or {}):
            settings = {"core.commitGraph": "true", **(settings or {})}  # nobody but the server writes there
        environment = {
            **self._environment(remote, settings or {}),
            **({"GIT_DIR": str(git_dir)} if git_dir else {}),
            **({"GIT_WORK_TREE": str(work_tree)} if work_tree else {}),
            **({"GIT_INDEX_FILE": str(index)} if index else {}),
            **(environment or {}),
        }
        seconds = (limit or self._limit).total_seconds()
        # Who tells how far it is dies of its broken pipe with the next word: within the low-speed limit at the latest.
        is_quiet = remote is not None and "--progress" not in arguments
        argv = [*self._launcher(as_agent, dies_with_server=is_quiet), self._binary, *arguments]
        run = Run(progress, _secrets(remote))
        with span(f"git {arguments[0]}", outside=remote is not None), anyio.move_on_after(seconds) as scope:
            umask = 0o022 if self._agent_user else -1
            # Unpacking a large clone takes every core there is; whoever asks the server meanwhile goes before it.
            await run.go(argv, environment, self._home, stdin, stdout, umask, behind=behind or remote is not None)
        host = remote.host if remote else ""
        if scope.cancelled_caught:
            raise timed_out(arguments[0], seconds, host)
        if run.overflow:
            message = f"git {arguments[0]} wrote more than {MAX_OUTPUT >> 20} MB"
            raise refused(message, "The repository has more files or branches than the server can take.")
        if run.exit_code not in expect:
            raise failure(arguments[0], run.exit_code, run.stderr, host)
        return Output(run.exit_code, bytes(run.stdout), run.stderr)

    async def tar(
        self,
        *arguments: str,
        cwd: Path,
        limit: timedelta,
        stdin: bytes | IO[bytes] | None = None,
        stdout: IO[bytes] | None = None,
    ) -> Output:
        """Runs `tar *arguments` in an order's directory, as the agent's user; else as `run`."""
        argv = [*self._launcher(as_agent=True), "tar", "-C", str(cwd), *arguments]
        environment = {"PATH": os.environ.get("PATH", os.defpath), "LC_ALL": "C", **self._marks}
        run = Run(None, [])
        with anyio.move_on_after(limit.total_seconds()) as scope:
            umask = 0o022 if self._agent_user else -1
            await run.go(argv, environment, self._home, stdin, stdout, umask)
        if scope.cancelled_caught:
            raise timed_out("tar", limit.total_seconds(), "")
        if run.exit_code:
            raise failure("tar", run.exit_code, run.stderr, "")
        return Output(run.exit_code, bytes(run.stdout), run.stderr)

    def _environment(self, remote: Remote | None, more: Mapping[str, str]) -> dict[str, str]:
        settings = {**_SETTINGS, "core.excludesFile": str(self._excludes), **more}
        environment = {
            "PATH": os.environ.get("PATH", os.defpath),
            "HOME": str(self._home),
            "LC_ALL": "C",
            "GIT_CONFIG_NOSYSTEM": "1",
            "GIT_CONFIG_GLOBAL": "/dev/null",
            "GIT_ATTR_NOSYSTEM": "1",
            "GIT_TERMINAL_PROMPT": "0",
            "GIT_NO_REPLACE_OBJECTS": "1",
            "GIT_NO_LAZY_FETCH": "1",
            "GIT_OPTIONAL_LOCKS": "0",
            "GIT_LITERAL_PATHSPECS": "1",
            "GIT_DEFAULT_HASH": "sha1",
            "GIT_DEFAULT_REF_FORMAT": "files",
            "GIT_PROTOCOL_FROM_USER": "0",
            "GIT_ALLOW_PROTOCOL": "none",
            "GIT_PAGER": "cat",
            "GIT_EDITOR": "false",
            "GIT_ASKPASS": str(self._askpass),
            "GIT_CONFIG_COUNT": str(len(settings)),
            **self._marks,
        }
        for number, (key, value) in enumerate(settings.items()):
            environment[f"GIT_CONFIG_KEY_{number}"], environment[f"GIT_CONFIG_VALUE_{number}"] = key, value
        if remote:
            environment |= {name: value for name, value in os.environ.items() if name in _NETWORK}
            environment["GIT_ALLOW_PROTOCOL"] = "https:http" if remote.plain_http else "https"
            scheme = remote.url.partition("://")[0]
            if remote.token:
                environment["AWO_GIT_ORIGIN"] = f"{scheme}://{remote.host}"
                environment["AWO_GIT_USER_ORIGIN"] = f"{scheme}://{USER}@{remote.host}"
                environment["AWO_GIT_USER"], environment["AWO_GIT_TOKEN"] = USER, remote.token
        return environment

    def _launcher(self, as_agent: bool, dies_with_server: bool = False) -> list[str]:
        """What git is started by: the agent's user, and an end together with the server."""
        words: list[str] = []
        if as_agent and self._agent_user:
            user, group = self._agent_user
            words += [f"--reuid={user}", f"--regid={group}", "--clear-groups", "--no-new-privs", "--inh-caps=-all"]
        if dies_with_server and _setpriv():
            words += ["--pdeathsig", "KILL"]
        return [_setpriv() or "setpriv", *words, "--"] if words else []


def _secrets(remote: Remote | None) -> list[str]:
    token = remote.token if remote else None
    return sorted({token, quote(token, safe="")}, key=len, reverse=True) if token else []


@cache
def _setpriv() -> str | None:
    return shutil.which("setpriv")
