import os
import shutil
import signal
import sys
from datetime import timedelta
from pathlib import Path

import anyio
import pytest
from anyio.abc import Process

from src.agent_work_orders.checkout import GitCheckouts
from src.agent_work_orders.domain.errors import FailureClass, StepFailed

from .conftest import SAMPLE, Opener, a_server, an_order, mirror_of
from .git_host import GitHost, git
from .processes import commands_with, until

pytestmark = pytest.mark.anyio


def mirrors(volume: Path) -> list[str]:
    """What a server could take for a mirror or its remains; our own files left out."""
    return sorted(path.name for path in (volume / ".mirrors").iterdir() if path.name not in (".server",))


async def open_in(checkouts: GitCheckouts, host: GitHost, opened: list[str] | None = None) -> None:
    checkout = await checkouts.open(an_order(), host.repository(), "awo/x", None, lambda *_: None)
    if opened is not None:
        opened.append(checkout.base_commit)


async def another_server(volume: Path, host: GitHost) -> Process:
    program = [sys.executable, "-m", "tests.agent_work_orders.checkout.other_server"]
    command = [*program, "open", str(volume), host.name, "git"]
    return await anyio.open_process(command, stdin=None, stderr=None)


async def test_many_orders_at_once_on_an_unknown_repository_make_one_clone(host: GitHost, volume: Path) -> None:
    commit = host.create(files=SAMPLE)
    servers = [a_server(host, volume), a_server(host, volume)]
    opened: list[str] = []
    async with anyio.create_task_group() as orders:
        for number in range(10):
            orders.start_soon(open_in, servers[number % 2], host, opened)
    assert opened == [commit] * 10
    assert host.fetches == 1


async def test_many_orders_at_once_on_a_known_repository_make_one_fetch(host: GitHost, volume: Path) -> None:
    host.create(files=SAMPLE)
    server = a_server(host, volume)
    await open_in(server, host)
    commit = host.commit("sample", {"README.md": "new\n"})
    host.fetches = 0
    opened: list[str] = []
    async with anyio.create_task_group() as orders:
        for _ in range(5):
            orders.start_soon(open_in, server, host, opened)
    assert opened == [commit] * 5
    assert host.fetches == 1


async def test_two_processes_race_for_one_clone_and_both_get_it(host: GitHost, volume: Path) -> None:
    commit = host.create(files=SAMPLE)
    host.gate.clear()
    async with await another_server(volume, host) as one, await another_server(volume, host) as two:
        await until(host.asked.is_set)
        host.gate.set()
        assert one.stdout
        assert two.stdout
        said = [(await one.stdout.receive()).decode().strip(), (await two.stdout.receive()).decode().strip()]
        assert [await one.wait(), await two.wait()] == [0, 0]
    assert said == [commit, commit]
    assert host.fetches == 1
    assert len([name for name in mirrors(volume) if name.endswith(".git")]) == 1


async def test_a_server_killed_in_the_middle_of_a_clone_leaves_nothing_that_is_taken_for_a_mirror(
    host: GitHost, volume: Path
) -> None:
    commit = host.create(files=SAMPLE)
    host.gate.clear()
    async with await another_server(volume, host) as server:
        await until(host.asked.is_set)
        server.send_signal(signal.SIGKILL)
        await server.wait()
    assert [name for name in mirrors(volume) if name.endswith(".git")] == []
    host.gate.set()
    await until(lambda: not commands_with(str(volume)))
    opened: list[str] = []
    await open_in(a_server(host, volume), host, opened)
    assert opened == [commit]
    assert [name for name in mirrors(volume) if name.endswith(".tmp")] == []


async def test_a_server_killed_while_it_holds_the_lock_does_not_keep_others_waiting(
    host: GitHost, volume: Path
) -> None:
    host.create(files=SAMPLE)
    await open_in(a_server(host, volume), host)
    commit = host.commit("sample", {"README.md": "new\n"})
    host.asked.clear()
    host.gate.clear()
    async with await another_server(volume, host) as server:
        await until(host.asked.is_set)
        server.send_signal(signal.SIGKILL)
        await server.wait()
    host.gate.set()
    opened: list[str] = []
    with anyio.fail_after(20):
        await open_in(a_server(host, volume), host, opened)
    assert opened == [commit]


async def test_locks_that_a_killed_git_left_behind_do_not_stop_a_fetch(host: GitHost, volume: Path) -> None:
    host.create(files=SAMPLE)
    await open_in(a_server(host, volume), host)
    mirror = mirror_of(volume)
    (mirror / "packed-refs.lock").touch()
    (mirror / "refs/remotes/origin").mkdir(parents=True, exist_ok=True)
    (mirror / "refs/remotes/origin/main.lock").touch()
    commit = host.commit("sample", {"README.md": "new\n"})
    opened: list[str] = []
    await open_in(a_server(host, volume), host, opened)
    assert opened == [commit]


async def test_a_fresh_mirror_is_not_asked_about_again(host: GitHost, volume: Path) -> None:
    first = host.create(files=SAMPLE)
    server = a_server(host, volume, timedelta(hours=1))
    opened: list[str] = []
    await open_in(server, host, opened)
    host.commit("sample", {"README.md": "new\n"})
    asked = len(host.requests)
    await open_in(server, host, opened)
    assert opened == [first, first]
    assert len(host.requests) == asked


async def test_a_fetch_with_nothing_new_is_one_question(host: GitHost, volume: Path) -> None:
    host.create(files=SAMPLE)
    server = a_server(host, volume)
    await open_in(server, host)
    host.requests.clear()
    await open_in(server, host)
    assert host.fetches == 1
    assert host.requests == [
        "GET /team/sample/info/refs?service=git-upload-pack",
        "POST /team/sample/git-upload-pack",
    ]


async def test_branches_that_move_are_forced_or_go_away_are_followed(
    host: GitHost, volume: Path, open_checkout: Opener
) -> None:
    host.create(files=SAMPLE)
    host.commit("sample", {"a": "a"}, "topic")
    await open_checkout()
    git(host.bare(), "branch", "--delete", "--force", "topic")
    host.commit("sample", {"b": "b"}, "topic/deeper")
    git(host.bare(), "update-ref", "-d", "refs/heads/main")
    rewritten = host.commit("sample", {"README.md": "rewritten\n"})
    assert (await open_checkout()).base_commit == rewritten
    assert (await open_checkout(an_order(base_branch="topic/deeper"))).base_branch == "topic/deeper"
    with pytest.raises(StepFailed, match="no branch topic"):
        await open_checkout(an_order(base_branch="topic"))


async def test_the_default_branch_is_the_remotes_own_also_when_it_changes(host: GitHost, open_checkout: Opener) -> None:
    host.create(files=SAMPLE, branch="trunk")
    assert (await open_checkout()).base_branch == "trunk"
    host.commit("sample", {"x": "x"}, "main")
    assert (await open_checkout()).base_branch == "trunk"
    git(host.bare(), "symbolic-ref", "HEAD", "refs/heads/main")
    assert (await open_checkout()).base_branch == "main"
    git(host.bare(), "symbolic-ref", "HEAD", "refs/heads/unborn")
    with pytest.raises(StepFailed, match="default branch") as caught:
        await open_checkout()
    assert "base_branch" in caught.value.next_action


async def test_a_repository_that_was_made_anew_under_its_name_is_fetched_like_any_other(
    host: GitHost, open_checkout: Opener
) -> None:
    host.create(files=SAMPLE)
    await open_checkout()
    shutil.rmtree(host.bare())
    commit = host.create(files={"other.txt": "another history\n"}, branch="trunk")
    checkout = await open_checkout()
    assert (checkout.base_branch, checkout.base_commit) == ("trunk", commit)


async def test_a_redirect_to_another_host_is_not_followed(host: GitHost, open_checkout: Opener, tmp_path: Path) -> None:
    host.create(files=SAMPLE)
    other = GitHost(tmp_path / "other")
    try:
        location = f"http://{other.name}/team/sample/info/refs?service=git-upload-pack"
        host.status, host.location = 301, location
        with pytest.raises(StepFailed, match="moved to another host") as caught:
            await open_checkout(token="ghp_secretsecretsecret")
        assert caught.value.failure_class is FailureClass.GIT
        assert "new address" in caught.value.next_action
        assert other.requests == []
    finally:
        other.close()


async def test_redirects_in_a_circle_come_to_an_end(host: GitHost, open_checkout: Opener) -> None:
    host.create(files=SAMPLE)
    host.status, host.location = 301, f"http://{host.name}/team/elsewhere/info/refs?service=git-upload-pack"
    with pytest.raises(StepFailed, match="has moved"):
        await open_checkout()
    assert len(host.requests) < 10


async def test_a_cancelled_clone_leaves_no_process_and_no_file(host: GitHost, volume: Path) -> None:
    host.create(files=SAMPLE)
    host.gate.clear()
    async with anyio.create_task_group() as orders:
        orders.start_soon(open_in, a_server(host, volume), host)
        await until(host.asked.is_set)
        assert commands_with(str(volume))
        orders.cancel_scope.cancel()
    assert commands_with(str(volume)) == []
    assert commands_with(f"http://{host.name}") == []
    assert [name for name in mirrors(volume) if not name.endswith(".lock")] == []


async def test_a_clone_that_takes_too_long_is_ended_and_said(host: GitHost, volume: Path) -> None:
    host.create(files=SAMPLE)
    host.gate.clear()
    with pytest.raises(StepFailed, match="did not end within") as caught:
        await open_in(a_server(host, volume, clone_timeout=timedelta(seconds=1)), host)
    assert caught.value.failure_class is FailureClass.NETWORK
    assert commands_with(f"http://{host.name}") == []


async def test_a_full_or_closed_volume_is_a_disk_failure(host: GitHost, tmp_path: Path) -> None:
    host.create(files=SAMPLE)
    (tmp_path / "file").write_text("not a directory")
    with pytest.raises(StepFailed) as caught:
        await open_in(a_server(host, tmp_path / "file" / "volume"), host)
    assert caught.value.failure_class is FailureClass.DISK


def test_building_the_object_changes_nothing_on_disk(host: GitHost, volume: Path) -> None:
    a_server(host, volume)
    assert not os.path.lexists(volume)
