"""kill -9 at every phase of a clean-up, and directories that will not go: the next one ends it, and nothing is lost."""

import os
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from src.agent_work_orders.domain.errors import NotFound
from src.agent_work_orders.domain.retention import Kind
from src.agent_work_orders.domain.status import WaitingReason

from ..checkout.conftest import SAMPLE
from ..checkout.git_host import GitHost, git
from .yard import Yard, gone, open_yard

pytestmark = pytest.mark.anyio
PYTHON_ROOT = Path(__file__).parents[3]


@pytest.fixture
def host(tmp_path: Path) -> Iterator[GitHost]:
    server = GitHost(tmp_path / "host")
    server.create("sample", {**SAMPLE, **{f"many/{n}/{m}.txt": "x\n" for n in range(5) for m in range(5)}})
    yield server
    server.close()


@pytest.fixture
async def yard(tmp_path: Path, host: GitHost) -> AsyncIterator[Yard]:
    async with open_yard(tmp_path / "home", host) as yard:
        yield yard


def clean_until_killed(yard: Yard, days: float, phase: str, time: int) -> None:
    words = [str(yard.repositories.parent), yard.host.name, str(days), phase, str(time)]
    done = subprocess.run(
        [sys.executable, "-m", "tests.agent_work_orders.worker.scripts.cleaner", *words],
        cwd=PYTHON_ROOT, capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip
    assert (done.returncode, done.stdout) == (-9, "begun\n"), done.stderr


def tool(*words: str) -> bool:
    """Whether a program of the system's did what it was asked."""
    return subprocess.run(words, check=False, capture_output=True).returncode == 0


def unmount_below(folder: Path) -> None:
    for line in Path("/proc/mounts").read_text().splitlines():
        if (mount := line.split(" ")[1]).startswith(str(folder)):
            assert tool("umount", "--lazy", mount)


@pytest.mark.parametrize(
    ("phase", "time"),
    [("renamed", 1), ("renamed", 2), ("told", 1), ("told", 3), ("marked", 1), ("marked", 2), ("deleting", 1),
     ("deleting", 7), ("unlinking", 1), ("unlinking", 20), ("forgetting", 1)],
)  # fmt: skip
async def test_a_cleaning_that_is_killed_is_ended_by_the_next(yard: Yard, phase: str, time: int) -> None:
    doomed = [await yard.completed(), await yard.completed()]
    unsaved, waiting = await yard.failed(), await yard.waiting(WaitingReason.APPROVAL)
    days = 91 if phase == "forgetting" else 31
    clean_until_killed(yard, days, phase, time)
    for order in doomed:
        checkout = yard.checkout(order) / "sample"
        assert not checkout.exists() or len(list(checkout.glob("many/*/*.txt"))) == 25, "half of it is there"
        folder = yard.artifacts(order)
        assert not folder.exists() or (folder / "outputs/1.jsonl").is_file(), "half of it is there"
    yard.pass_days(days)
    report = await yard.clean()
    assert report.problems == []
    assert yard.trash() == []
    for order in doomed:
        assert not yard.checkout(order).exists()
        assert not yard.artifacts(order).exists()
        if days > 90:
            with pytest.raises(NotFound):
                await yard.store.get(order.agent_work_order_id)
        else:
            told = [one.what for one in await yard.removals(order)]
            assert sorted(told) == [Kind.ARTIFACTS, Kind.CHECKOUT], "each removal is told of once"
    for order in (unsaved, waiting):
        assert (yard.checkout(order) / "sample/work.txt").read_text() == "changed\n"
        assert (yard.artifacts(order) / "outputs/1.jsonl").is_file()
        assert (await yard.checkouts.diff(order, yard.repository())).files
    git(yard.mirror(), "fsck", "--full", "--no-dangling")


async def test_what_will_not_go_is_named_and_the_rest_goes(yard: Yard) -> None:
    stuck, free = await yard.completed(), await yard.completed()
    keeper = yard.checkout(stuck) / "sample" / "many" / "1" / "1.txt"
    if not tool("chattr", "+i", str(keeper)):
        pytest.skip("NO STUBBORN FILE WAS TESTED: chattr +i does not work here; run the tests as root on a disk")
    trash = yard.repositories / ".trash"
    try:
        yard.pass_days(8)
        report = await yard.clean()
        assert len(gone(report)) == 2
        assert any(problem.startswith("1.txt: Operation not permitted") for problem in report.problems)
        left = [path for path in trash.rglob("*") if path.is_file()]
        assert [path.name for path in left] == ["1.txt"]
        assert not yard.checkout(stuck).exists()
        assert not yard.checkout(free).exists()
    finally:
        tool("chattr", "-R", "-i", str(trash))
    assert (await yard.clean()).problems == []
    assert yard.trash() == []


async def test_a_checkout_that_cannot_be_renamed_stays_whole_and_is_named(yard: Yard) -> None:
    stuck, free = await yard.completed(), await yard.completed()
    if not tool("chattr", "+i", str(yard.checkout(stuck))):
        pytest.skip("NO STUBBORN DIRECTORY WAS TESTED: chattr +i does not work here; run the tests as root on a disk")
    try:
        yard.pass_days(8)
        report = await yard.clean()
        assert gone(report) == {(Kind.CHECKOUT, free.agent_work_order_id)}
        assert [problem for problem in report.problems if stuck.agent_work_order_id in problem]
        assert len(list(yard.checkout(stuck).glob("sample/many/*/*.txt"))) == 25
        assert await yard.removals(stuck) == []
    finally:
        tool("chattr", "-i", str(yard.checkout(stuck)))
    assert gone(await yard.clean()) == {(Kind.CHECKOUT, stuck.agent_work_order_id)}


async def test_another_file_system_inside_is_neither_entered_nor_measured(yard: Yard) -> None:
    order = await yard.completed()
    inside = yard.checkout(order) / "sample" / "mounted"
    inside.mkdir()
    if not tool("mount", "-t", "tmpfs", "tmpfs", str(inside)):
        pytest.skip("NO FOREIGN FILE SYSTEM WAS TESTED: nothing can be mounted here; run the tests as root")
    try:
        (inside / "theirs.bin").write_bytes(os.urandom(5_000_000))
        yard.pass_days(8)
        report = await yard.clean()
        assert report.freed_bytes < 5_000_000
        assert [problem for problem in report.problems if "another file system" in problem]
        (theirs,) = (yard.repositories / ".trash").rglob("theirs.bin")
        assert theirs.stat().st_size == 5_000_000
    finally:
        unmount_below(yard.repositories)
    assert (await yard.clean()).problems == []
    assert yard.trash() == []
