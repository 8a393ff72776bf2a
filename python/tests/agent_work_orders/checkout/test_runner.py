import os
from datetime import timedelta
from pathlib import Path

import anyio
import pytest

from src.agent_work_orders.checkout.failures import failure, rejected
from src.agent_work_orders.checkout.git import Git, Remote
from src.agent_work_orders.domain.errors import FailureClass, StepFailed

from .processes import commands_with, until

pytestmark = pytest.mark.anyio


@pytest.fixture
def runner(tmp_path: Path) -> Git:
    git = Git(tmp_path / "server", "git", timedelta(seconds=20), None)
    git.prepare()
    return git


def scripted(tmp_path: Path, script: str, limit: float = 20) -> Git:
    """A runner whose git is a shell script of ours, for what real git does only on bad days."""
    program = tmp_path / "git-of-bad-days"
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(0o755)
    git = Git(tmp_path / "server", str(program), timedelta(seconds=limit), None)
    git.prepare()
    return git


async def test_nothing_of_the_servers_environment_reaches_git(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SUPABASE_SERVICE_KEY", "secret")
    monkeypatch.setenv("GIT_SSH_COMMAND", "evil")
    monkeypatch.setenv("GIT_DIR", "/nowhere")
    monkeypatch.setenv("https_proxy", "http://proxy.example:3128")
    git = scripted(tmp_path, "env; pwd; cat")
    local = (await git.run("status")).stdout.decode()
    for word in ("SUPABASE", "GIT_SSH_COMMAND", "GIT_DIR=", "proxy.example", "AWO_GIT_TOKEN"):
        assert word not in local
    assert f"HOME={tmp_path}/server/home" in local
    assert "GIT_ALLOW_PROTOCOL=none" in local
    remote = (await git.run("fetch", remote=Remote("https://h.example/a/b", "h.example"))).stdout.decode()
    assert "https_proxy=http://proxy.example:3128" in remote
    assert "GIT_ALLOW_PROTOCOL=https\n" in remote


async def test_real_git_is_hermetic(runner: Git, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "home").mkdir()
    (tmp_path / "home/.gitconfig").write_text("[user]\n\tname = From the home\n")
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    listed = (await runner.run("config", "--list", "--show-origin")).stdout.decode()
    assert "From the home" not in listed
    assert {line.split("\t")[0] for line in listed.splitlines()} == {"command line:"}
    assert "core.hookspath=/dev/null" in listed


@pytest.mark.parametrize("url", ["ext::sh -c id", "file:///etc", "/etc", "ssh://host/x", "git://host/x"])
async def test_other_protocols_are_refused(runner: Git, url: str) -> None:
    with pytest.raises(StepFailed):
        await runner.run("ls-remote", "--", url, remote=Remote(url, "host", plain_http=True))


async def test_an_address_that_looks_like_an_option_is_an_address(runner: Git, tmp_path: Path) -> None:
    url = f"--upload-pack=touch {tmp_path}/trace"
    with pytest.raises(StepFailed):
        await runner.run("ls-remote", "--", url, remote=Remote(url, "host"))
    assert not (tmp_path / "trace").exists()


async def test_a_cancelled_git_is_gone_with_all_its_children_when_the_cancellation_returns(tmp_path: Path) -> None:
    mark = f"mark-{os.getpid()}-{tmp_path.name}"
    git = scripted(tmp_path, f"trap '' TERM\nsh -c 'trap \"\" TERM; sleep 300; : {mark}' &\nsleep 300; : {mark}")
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(git.run, "hang")
        await until(lambda: commands_with(mark))
        tasks.cancel_scope.cancel()
    assert commands_with(mark) == []


async def test_a_git_over_its_time_is_ended_and_said(tmp_path: Path) -> None:
    git = scripted(tmp_path, "sleep 300", limit=0.3)
    with pytest.raises(StepFailed, match="did not end within"):
        await git.run("hang")
    assert commands_with(str(tmp_path)) == []


@pytest.mark.parametrize("closed", ["", ">&-", "2>&-"])
async def test_a_child_that_outlives_git_and_keeps_its_output_open_is_ended_too(tmp_path: Path, closed: str) -> None:
    mark = f"mark-{os.getpid()}-{tmp_path.name}-left"
    git = scripted(tmp_path, f"sh -c 'sleep 300; : {mark}' {closed} &\nexit 0", limit=0.5)
    with pytest.raises(StepFailed, match="did not end within"):
        await git.run("leave")
    assert commands_with(mark) == []


async def test_the_newest_progress_is_told_once_and_errors_keep_their_end(tmp_path: Path) -> None:
    lines = (
        "printf 'remote: Counting objects:  90%% (9/10)\\rremote: Counting objects: 100%% (10/10)\\r' >&2; heard 1;"
        "printf 'Receiving objects:  50%% (1/2)\\rReceiving objects:  50%% (1/2), 1 KiB\\r' >&2; heard 2;"
        "printf 'Receiving objects: 100%% (2/2)\\n' >&2; heard 3;"
        "i=0; while [ $i -lt 3000 ]; do echo 'remote: noise noise noise' >&2; i=$((i+1)); done;"
        "echo 'fatal: the end' >&2; exit 3"
    )
    told: list[tuple[str, int]] = []

    def tell(phase: str, percent: int) -> None:
        told.append((phase, percent))
        (tmp_path / f"heard-{len(told)}").touch()

    wait = f"heard() {{ until [ -e {tmp_path}/heard-$1 ]; do sleep 0.01; done; }}\n"
    with pytest.raises(StepFailed, match="git clone failed: the end"):
        await scripted(tmp_path, wait + lines).run("clone", progress=tell)
    assert told == [("counting objects", 100), ("receiving objects", 50), ("receiving objects", 100)]


async def test_a_git_that_complains_without_end_is_heard_to_its_end(tmp_path: Path) -> None:
    lines = (
        "i=0; while [ $i -lt 20000 ]; do echo 'remote: noise noise noise'; i=$((i+1)); done >&2;"
        "printf 'fatal: at last' >&2; exit 3"
    )
    with pytest.raises(StepFailed, match="git clone failed: at last"):
        await scripted(tmp_path, lines).run("clone")


async def test_a_secret_that_git_repeats_is_taken_out(tmp_path: Path) -> None:
    token = "ghp_a/secret+token"
    git = scripted(tmp_path, 'echo "fatal: $AWO_GIT_TOKEN ghp_a%2Fsecret%2Btoken http://u:p@h/x" >&2; exit 1')
    with pytest.raises(StepFailed) as caught:
        await git.run("fetch", remote=Remote("https://h.example/a/b", "h.example", token=token))
    assert "ghp_" not in caught.value.message
    assert "u:p" not in caught.value.message
    assert token not in repr(Remote("https://h.example/a/b", "h.example", token=token))


async def test_input_and_output_of_any_size_go_through(tmp_path: Path) -> None:
    data = os.urandom(3_000_000)
    assert (await scripted(tmp_path, "cat").run("cat", stdin=data)).stdout == data
    assert (await scripted(tmp_path, "exit 0").run("deaf", stdin=data)).stdout == b""
    assert (await scripted(tmp_path, "cat").run("closed")).stdout == b""


async def test_a_git_that_is_not_there_is_said(tmp_path: Path) -> None:
    git = Git(tmp_path / "server", str(tmp_path / "no-git"), timedelta(seconds=5), None)
    git.prepare()
    with pytest.raises(StepFailed, match="cannot be started") as caught:
        await git.run("version")
    assert "Install" in caught.value.next_action


@pytest.mark.parametrize(
    ("stderr", "expected"),
    [
        ("fatal: write error: No space left on device", FailureClass.DISK),
        ("fatal: Authentication failed for 'https://h/a/b/'", FailureClass.AUTH),
        ("fatal: could not read Username for 'https://h': terminal prompts disabled", FailureClass.AUTH),
        ("remote: Permission to a/b.git denied to c.\nfatal: unable to access: error: 403", FailureClass.AUTH),
        ("remote: Repository not found.\nfatal: repository 'https://h/a/b/' not found", FailureClass.GIT),
        ("fatal: unable to access 'https://h/': Could not resolve host: h", FailureClass.NETWORK),
        ("error: RPC failed; HTTP 502 curl 22\nfatal: early EOF", FailureClass.NETWORK),
        ("fatal: unable to access: SSL certificate problem: self-signed certificate", FailureClass.NETWORK),
        ("fatal: transport 'ssh' not allowed", FailureClass.POLICY),
        ("fatal: something \x1b[31mnobody\x1b[0m knows", FailureClass.GIT),
        ("", FailureClass.GIT),
    ],
)
def test_what_git_says_becomes_one_clean_sentence(stderr: str, expected: FailureClass) -> None:
    found = failure("fetch", 128, stderr, "h.example")
    assert found.failure_class is expected
    assert found.next_action
    assert found.message.isprintable()
    assert found.message.endswith((".", "…"))


def test_a_token_without_the_workflow_scope_is_an_auth_failure() -> None:
    reason = "[remote rejected] (refusing to allow a PAT to create workflow `x` without `workflow` scope)"
    assert rejected(reason, "").failure_class is FailureClass.AUTH
    assert rejected("[rejected] (fetch first)", "").failure_class is FailureClass.CONFLICT
