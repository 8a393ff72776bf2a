"""Bare repositories on disk: made from files, read by git, told to reject pushes. Knows no HTTP and no GitHub."""

import os
import shutil
import subprocess
import time
from collections.abc import Mapping
from pathlib import Path

import anyio

GIT_SECONDS = 120
IDENTITY = "Rehearsal <rehearsal@localhost>"
PRE_RECEIVE = """#!/bin/sh
cat "$(dirname "$0")/rejection" >&2
exit 1
"""


def git_environment() -> dict[str, str]:
    """What git may see: no configuration of the machine or the user, no prompt, any owner of the directories."""
    settings = {
        "safe.directory": "*",
        "http.receivepack": "true",
        "http.getanyfile": "false",
        "uploadpack.allowFilter": "true",
        "uploadpack.allowAnySHA1InWant": "true",
        "gc.auto": "0",
        "receive.autogc": "false",
        "core.quotePath": "false",
    }
    return {
        "PATH": os.environ.get("PATH", os.defpath),
        "HOME": os.devnull,
        "LC_ALL": "C",
        "GIT_CONFIG_NOSYSTEM": "1",
        "GIT_CONFIG_GLOBAL": os.devnull,
        "GIT_TERMINAL_PROMPT": "0",
        "GIT_CONFIG_COUNT": str(len(settings)),
        **{f"GIT_CONFIG_KEY_{index}": key for index, key in enumerate(settings)},
        **{f"GIT_CONFIG_VALUE_{index}": value for index, value in enumerate(settings.values())},
    }


def create(path: Path, files: Mapping[str, str | bytes], *, default_branch: str = "main") -> None:
    """A bare repository with one commit that holds `files` (path to content), or with none. Blocks.

    Appears at `path` whole or not at all. A file that begins with `#!` is executable.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_name(f".{path.name}.unfinished")
    shutil.rmtree(unfinished, ignore_errors=True)
    _run("init", "--quiet", "--bare", f"--initial-branch={default_branch}", "--", str(unfinished))
    if files:
        stream = _fast_import(files, default_branch)
        _run("-C", str(unfinished), "-c", "fastimport.unpackLimit=0", "fast-import", "--quiet", stdin=stream)
    unfinished.rename(path)


async def read(path: Path, *arguments: str) -> str:
    """What git says about the repository; '' if it fails."""
    command = ["git", "-C", str(path), "--no-pager", *arguments]
    with anyio.fail_after(GIT_SECONDS):
        done = await anyio.run_process(
            command, stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=False, env=git_environment()
        )
    return done.stdout.decode(errors="replace") if done.returncode == 0 else ""


def default_branch(path: Path) -> str:
    """Where HEAD points, also in an empty repository."""
    head = (path / "HEAD").read_text(encoding="utf-8").strip()
    return head.removeprefix("ref: refs/heads/")


def reject_pushes(path: Path, message: str) -> None:
    """Every push is refused by a real pre-receive hook that says `message`."""
    hooks = path / "hooks"
    hooks.mkdir(exist_ok=True)
    (hooks / "rejection").write_text(f"{message}\n", encoding="utf-8")
    hook = hooks / "pre-receive"
    hook.write_text(PRE_RECEIVE, encoding="utf-8")
    hook.chmod(0o755)


def accept_pushes(path: Path) -> None:
    (path / "hooks" / "pre-receive").unlink(missing_ok=True)


def _run(*arguments: str, stdin: bytes = b"") -> None:
    subprocess.run(
        ["git", *arguments], input=stdin, env=git_environment(), check=True, capture_output=True, timeout=GIT_SECONDS
    )


def _fast_import(files: Mapping[str, str | bytes], branch: str) -> bytes:
    """The language of `git fast-import`: one commit, its files inline."""
    parts = [f"commit refs/heads/{branch}\ncommitter {IDENTITY} {int(time.time())} +0000\n".encode()]
    parts.append(_data(b"Begin\n"))
    for name, content in files.items():
        raw = content.encode() if isinstance(content, str) else content
        mode = "100755" if raw.startswith(b"#!") else "100644"
        quoted = name.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
        parts += [f'M {mode} inline "{quoted}"\n'.encode(), _data(raw)]
    return b"".join(parts)


def _data(content: bytes) -> bytes:
    return b"data %d\n%s\n" % (len(content), content)
