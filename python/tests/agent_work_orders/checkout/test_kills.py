"""A real SIGKILL at every phase of clone, fetch, checkpoint and packing: the next server goes on, git finds no harm."""

import shutil
import signal
import sys
from pathlib import Path

import anyio
import pytest

from src.agent_work_orders.checkout.disk import held

from .conftest import SAMPLE, a_server, an_order, mirror_of
from .git_host import GitHost, git
from .processes import commands_with, until

pytestmark = pytest.mark.anyio
HERE = "tests.agent_work_orders.checkout"


@pytest.mark.timeout(180)
@pytest.mark.parametrize(("what", "stride"), [("clone", 7), ("fetch", 5), ("checkpoint", 5)])
async def test_a_server_killed_at_any_step_of_its_own_is_followed_by_one_that_goes_on(
    host: GitHost, tmp_path: Path, what: str, stride: int
) -> None:
    host.create(files=SAMPLE)
    volumes = tmp_path / "volumes"
    volumes.mkdir()
    if what != "clone":
        known = a_server(host, volumes / "template")
        await known.open(an_order(), host.repository(), "awo/x", None, lambda *_: None)
        host.commit("sample", {"README.md": "# Newer\n", "new.txt": "new\n"})
    command = [sys.executable, "-m", f"{HERE}.dying_servers", str(volumes), host.name, what, str(stride)]
    done = await anyio.run_process(command, stderr=None, check=False)
    assert done.returncode == 0, done.stdout.decode()
    assert int(done.stdout) >= 5, "it has that many steps"


PHASES = [
    ("clone", "before", "remote-http"), ("clone", "before", "index-pack"), ("clone", "after", "index-pack"),
    ("clone", "after", "rev-list"),
    ("fetch", "before", "remote-http"), ("fetch", "before", "unpack-objects"), ("fetch", "after", "unpack-objects"),
    ("fetch", "after", "rev-list"),
    ("pack", "before", "repack"), ("pack", "before", "pack-objects"), ("pack", "after", "pack-objects"),
    ("pack", "after", "repack"), ("pack", "before", "commit-graph"), ("pack", "after", "commit-graph"),
]  # fmt: skip


@pytest.mark.parametrize(("what", "when", "command"), PHASES, ids=["-".join(phase) for phase in PHASES])
async def test_a_server_and_its_git_killed_at_any_phase_of_git_are_followed_by_one_that_goes_on(
    host: GitHost, volume: Path, tmp_path: Path, what: str, when: str, command: str
) -> None:
    host.create(files=SAMPLE)
    order = an_order()
    saved = None
    if what != "clone":
        server = a_server(host, volume)
        checkout = await server.open(order, host.repository(), "awo/x", None, lambda *_: None)
        (checkout.root / "work.txt").write_text("worth a lot")
        saved = (await checkout.checkpoint("execute", "Work")).commit
        host.commit("sample", {"README.md": "# Newer\n", "new.txt": "new\n"})
    program, arrived = killing_git(tmp_path, when, command), tmp_path / "arrived"
    words = ["maintain" if what == "pack" else "open", str(volume), host.name, str(program)]
    async with await anyio.open_process([sys.executable, "-m", f"{HERE}.other_server", *words]) as server_process:
        code = await server_process.wait()
    assert await anyio.Path(arrived).exists(), "git came to this phase"
    assert code == -signal.SIGKILL
    await until(lambda: not commands_with(str(volume)))

    server = a_server(host, volume)
    newest = host.tip("main")
    other = await server.open(an_order(), host.repository(), "awo/x", None, lambda *_: None)
    assert other.base_commit == newest
    mirror = mirror_of(volume)
    git(mirror, "fsck", "--full", "--strict")
    if saved:
        assert git(mirror, "show", f"refs/awo/{order.agent_work_order_id}/head:work.txt") == "worth a lot"
        again = await server.open(order, host.repository(), "awo/x", None, lambda *_: None)
        assert (await again.checkpoint("later", "Nothing new")).commit_count == 1
    assert list((volume / ".mirrors").glob(".*.tmp")) == []


def killing_git(directory: Path, when: str, command: str) -> Path:
    """git that kills the server and its own whole group before or after one of the gits that it starts itself."""
    real, inner = shutil.which("git"), directory / "exec"
    inner.mkdir()
    for program in Path(git(directory, "--exec-path")).iterdir():
        if program.name not in ("git", f"git-{command}"):
            (inner / program.name).symlink_to(program)
    script = f"""\
#!/bin/sh
case "$0" in */git-{command}) set -- {command} "$@" ;; esac
die() {{ touch {directory}/arrived; kill -9 "$SERVER"; kill -9 0; }}
if [ "$1" != {command} ]; then exec {real} "$@"; fi
[ {when} = before ] && die
GIT_EXEC_PATH= {real} "$@"
[ {when} = after ] && die
"""
    for name in ("git", f"git-{command}"):
        (inner / name).write_text(script)
        (inner / name).chmod(0o755)
    outer = directory / "killing-git"
    # The server starts it in a session of its own, by the program that ends it together with the server.
    outer.write_text(f'#!/bin/sh\nexport SERVER=$PPID GIT_EXEC_PATH={inner}\nexec {inner}/git "$@"\n')
    outer.chmod(0o755)
    return outer


@pytest.mark.timeout(120)
async def test_two_servers_that_clone_and_fetch_one_volume_at_once_leave_it_sound(host: GitHost, volume: Path) -> None:
    host.create(files=SAMPLE)
    command = [sys.executable, "-m", f"{HERE}.other_server", "open-many", str(volume), host.name, "git"]
    async with await anyio.open_process(command, stderr=None) as one, await anyio.open_process(command) as two:
        for number in range(6):
            host.commit("sample", {f"{number}.txt": f"{number}\n"})
        assert [await one.wait(), await two.wait()] == [0, 0]
    (mirror,) = (volume / ".mirrors").glob("*.git")
    git(mirror, "fsck", "--full", "--strict")
    assert git(mirror, "for-each-ref", "--format=%(objectname)", "refs/awo/*/base").count("\n") == 7


async def test_a_lock_does_not_outlive_the_process_that_held_it(tmp_path: Path) -> None:
    command = [sys.executable, "-m", f"{HERE}.other_server", "hold", str(tmp_path), "", "git"]
    async with await anyio.open_process(command) as holder:
        assert holder.stdout is not None
        assert await holder.stdout.receive() == b"held\n"
        with anyio.move_on_after(0.3) as waited:
            async with held(tmp_path / "lock", lambda: False):
                pytest.fail("two hold it at once")
        assert waited.cancelled_caught
        holder.kill()
        await holder.wait()
    with anyio.fail_after(10):
        async with held(tmp_path / "lock", lambda: False) as ours:
            assert ours


async def test_a_child_of_the_holder_does_not_keep_the_lock(tmp_path: Path) -> None:
    async with held(tmp_path / "lock", lambda: False):
        child = await anyio.open_process(["sleep", "600"])
    async with child:
        with anyio.fail_after(10):
            async with held(tmp_path / "lock", lambda: False) as ours:
                assert ours
        child.kill()


async def test_many_share_a_lock_and_one_has_it_alone(tmp_path: Path) -> None:
    async with held(tmp_path / "lock", lambda: False, shared=True), held(tmp_path / "lock", lambda: False, shared=True):
        with anyio.move_on_after(0.3) as waited:
            async with held(tmp_path / "lock", lambda: False):
                pytest.fail("it was shared")
        assert waited.cancelled_caught
