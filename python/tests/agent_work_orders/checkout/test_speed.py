import shutil
import time
from datetime import timedelta
from pathlib import Path

import anyio
import pytest

from src.agent_work_orders.checkout import GitCheckouts

from .conftest import a_server, an_order
from .git_host import GitHost, git

pytestmark = pytest.mark.anyio


def counting_git(tmp_path: Path) -> tuple[str, Path]:
    """Real git behind a script that notes each command."""
    log, program = tmp_path / "git.log", tmp_path / "counting-git"
    program.write_text(f'#!/bin/sh\necho "$1" >> {log}\nexec {shutil.which("git")} "$@"\n')
    program.chmod(0o755)
    return str(program), log


async def test_a_checkout_takes_one_git_and_a_checkpoint_few(host: GitHost, volume: Path, tmp_path: Path) -> None:
    host.create(files={"a.txt": "a", "b/c.txt": "c"})
    program, log = counting_git(tmp_path)
    checkouts = a_server(host, volume, timedelta(hours=1), git=program)

    def commands() -> list[str]:
        done = log.read_text().split() if log.exists() else []
        log.unlink(missing_ok=True)
        return done

    checkout = await checkouts.open(an_order(), host.repository(), "awo/x", None, lambda *_: None)
    assert commands() == ["clone"]
    checkout = await checkouts.open(an_order(), host.repository(), "awo/x", None, lambda *_: None)
    assert commands() == ["read-tree"]
    await checkout.checkpoint("one", "One")
    assert commands() == ["ls-files", "rev-parse"]
    (checkout.root / "a.txt").write_text("changed")
    await checkout.checkpoint("two", "Two")
    assert commands() == ["ls-files", "update-index", "write-tree", "commit-tree", "rev-list", "diff-tree"]


async def test_a_checkout_of_5000_files_is_made_without_holding_up_the_loop(
    host: GitHost, volume: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    host.create(files={f"d{number % 50}/f{number}.txt": f"{number}\n" * 20 for number in range(5000)})
    checkouts = a_server(host, volume, timedelta(hours=1))
    worst = 0.0

    async def watch() -> None:
        nonlocal worst
        while True:
            before = time.perf_counter()
            await anyio.sleep(0.005)  # fact: how late the loop wakes is what is measured
            worst = max(worst, time.perf_counter() - before - 0.005)

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(watch)
        cold = await timed(checkouts, host)
        tasks.cancel_scope.cancel()
    warm, bare = cold, float("inf")
    for number in range(4):  # in turns, so that a busy disk is unjust to both
        warm = min(warm, await timed(checkouts, host))
        bare = min(bare, shared_clone(host, tmp_path / f"shared-{number}"))
    with capsys.disabled():
        print(  # noqa: T201 - the numbers are for whoever reads the run
            f"\n5,000 files: cold {cold * 1000:.0f} ms, warm {warm * 1000:.0f} ms, clone --shared {bare * 1000:.0f} ms,"
            f" ratio {warm / bare:.2f}; loop stalled at most {worst * 1000:.0f} ms"
        )
    assert warm < 5 * bare, "the bench has the real target; this is for the day when it became slow by a mistake"


async def timed(checkouts: GitCheckouts, host: GitHost) -> float:
    started = time.perf_counter()
    await checkouts.open(an_order(), host.repository(), "awo/x", None, lambda *_: None)
    return time.perf_counter() - started


def shared_clone(host: GitHost, target: Path) -> float:
    started = time.perf_counter()
    git(target.parent, "clone", "--quiet", "--shared", str(host.bare()), str(target))
    return time.perf_counter() - started
