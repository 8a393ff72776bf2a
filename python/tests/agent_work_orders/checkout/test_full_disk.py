"""A disk that really is full, read-only or in pieces: small volumes that each test mounts for itself, where it may."""

import os
import subprocess
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import IO

import pytest

from src.agent_work_orders.checkout import Room
from src.agent_work_orders.checkout.space import space_of
from src.agent_work_orders.domain.errors import DiskFull, FailureClass, MustWait, StepFailed
from src.agent_work_orders.domain.retention import Marks
from src.agent_work_orders.domain.status import WaitingReason
from src.agent_work_orders.workflow.artifacts import write_atomically

from .conftest import SAMPLE, Opener, a_server, an_order, mirror_of
from .git_host import GitHost, git

pytestmark = pytest.mark.anyio
MB = 1_000_000


class Volume:
    """A file system of its own, of a few megabytes."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def remount(self, options: str) -> None:
        subprocess.run(["mount", "-o", f"remount,{options}", str(self.path)], check=True)

    def fill(self) -> Path:
        """Takes all the room there is, to the last byte."""
        filler = self.path / "filler"
        with filler.open("ab", buffering=0) as file:
            for size in (65536, 4096, 1):
                with pytest.raises(OSError, match="No space left"):
                    write_for_ever(file, size)
        return filler


def write_for_ever(file: IO[bytes], size: int) -> None:
    while True:
        file.write(os.urandom(size))


@pytest.fixture
def mounted(tmp_path: Path) -> Iterator[Callable[[str], Volume]]:
    volumes: list[Path] = []

    def mount(options: str) -> Volume:
        path = tmp_path / f"volume-{len(volumes)}"
        path.mkdir()
        done = subprocess.run(["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(path)], check=False)
        if done.returncode:
            pytest.skip("NO FULL DISK WAS TESTED: nothing can be mounted here; run the tests as root")
        volumes.append(path)
        return Volume(path)

    yield mount
    for path in volumes:
        subprocess.run(["umount", "--lazy", str(path)], check=True)


def big(megabytes: int) -> bytes:
    return os.urandom(megabytes * MB)


def opener(host: GitHost, volume: Volume, marks: Marks | None = None, freshness: timedelta = timedelta(0)) -> Opener:
    repositories = volume.path / "repositories"
    room = Room(repositories, lambda: marks or Marks(0, 0))
    return Opener(host, a_server(host, repositories, freshness, room=room))


def assert_sound(mirror: Path) -> None:
    git(mirror, "fsck", "--full", "--no-dangling")


def half_written(volume: Volume) -> list[str]:
    """What a writer left that did not come to its end."""
    names = [path for path in volume.path.rglob("*") if path.name.endswith((".tmp", ".lock", ".git.lock"))]
    return [path.name for path in [*names, *volume.path.rglob("tmp_*")] if path.stat().st_size or path.is_dir()]


async def test_a_disk_that_fills_up_in_the_middle_of_a_clone(host: GitHost, mounted: Callable[[str], Volume]) -> None:
    host.create("sample", {**SAMPLE, "data.bin": big(8)})
    volume = mounted("size=5m")
    open_checkout, order = opener(host, volume), an_order()
    with pytest.raises(DiskFull) as full:
        await open_checkout(order)
    assert "goes on by itself" in full.value.next_action
    assert list((volume.path / "repositories").glob(".mirrors/*.git")) == []
    assert half_written(volume) == []
    assert space_of(volume.path).free_bytes > 4 * MB, "what was begun takes no room"
    volume.remount("size=64m")
    checkout = await open_checkout(order)
    assert (checkout.root / "data.bin").stat().st_size == 8 * MB
    assert_sound(mirror_of(volume.path / "repositories"))


async def test_a_disk_that_fills_up_while_the_files_are_written(
    host: GitHost, mounted: Callable[[str], Volume]
) -> None:
    host.create("sample", {**SAMPLE, "data.bin": big(6)})
    volume = mounted("size=10m")
    open_checkout, order = opener(host, volume), an_order()
    with pytest.raises((DiskFull, MustWait)):
        await open_checkout(order)
    assert_sound(mirror_of(volume.path / "repositories"))
    volume.remount("size=64m")
    checkout = await open_checkout(order)
    assert (checkout.root / "data.bin").stat().st_size == 6 * MB
    assert git(checkout.root, "status", "--porcelain") == ""


async def test_a_checkpoint_on_a_full_disk_loses_nothing(host: GitHost, mounted: Callable[[str], Volume]) -> None:
    host.create("sample", SAMPLE)
    volume = mounted("size=16m")
    checkout = await opener(host, volume)()
    (checkout.root / "first.txt").write_text("first\n")
    first = await checkout.checkpoint("first", "First")
    (checkout.root / "second.bin").write_bytes(big(2))
    filler = volume.fill()
    with pytest.raises(DiskFull):
        await checkout.checkpoint("second", "Second")
    mirror = mirror_of(volume.path / "repositories")
    assert_sound(mirror)
    assert (await checkout.diff(first.commit)).head_commit == first.commit
    filler.unlink()
    second = await checkout.checkpoint("second", "Second")
    assert [file.path for file in (await checkout.diff(second.commit)).files] == ["first.txt", "second.bin"]
    assert_sound(mirror)


async def test_a_fetch_on_a_full_disk_leaves_the_mirror_as_it_was(
    host: GitHost, mounted: Callable[[str], Volume]
) -> None:
    before = host.create("sample", SAMPLE)
    volume = mounted("size=8m")
    open_checkout = opener(host, volume)
    await open_checkout()
    after = host.commit("sample", {"data.bin": big(10)})
    with pytest.raises(DiskFull):
        await open_checkout()
    mirror = mirror_of(volume.path / "repositories")
    assert_sound(mirror)
    assert git(mirror, "rev-parse", "refs/remotes/origin/main") == before
    volume.remount("size=64m")
    assert (await open_checkout()).base_commit == after
    assert_sound(mirror)


async def test_files_of_orders_are_whole_or_not_there_on_a_full_disk(mounted: Callable[[str], Volume]) -> None:
    volume = mounted("size=2m")
    write_atomically(volume.path / "outputs" / "metadata.json", b"before")
    volume.fill()
    for name in ("metadata.json", "new.json"):
        with pytest.raises(OSError, match="No space left"):
            write_atomically(volume.path / "outputs" / name, big(1))
    assert [path.name for path in (volume.path / "outputs").iterdir()] == ["metadata.json"]
    assert (volume.path / "outputs" / "metadata.json").read_bytes() == b"before"


async def test_room_is_looked_for_before_anything_is_asked_of_the_remote(
    host: GitHost, mounted: Callable[[str], Volume]
) -> None:
    host.create("sample", SAMPLE)
    volume = mounted("size=8m")
    open_checkout = opener(host, volume, Marks(low_bytes=20 * MB, min_free_bytes=10 * MB))
    with pytest.raises(MustWait) as wait:
        await open_checkout()
    assert wait.value.reason is WaitingReason.DISK
    assert wait.value.until is not None
    assert "8 MB are free" in wait.value.message
    assert "10 MB have to stay free" in wait.value.message
    assert "cleanup" in wait.value.next_action
    assert host.requests == []


async def test_a_checkout_waits_that_would_not_fit_beside_what_others_were_promised(
    host: GitHost, mounted: Callable[[str], Volume]
) -> None:
    host.create("sample", {**SAMPLE, "data.bin": big(6)})
    volume = mounted("size=40m")
    repositories = volume.path / "repositories"
    room = Room(repositories, lambda: Marks(8 * MB, 8 * MB))
    open_checkout = Opener(host, a_server(host, repositories, timedelta(hours=1), room=room))
    await open_checkout()
    with room.promised("another", 18 * MB, room.space()), pytest.raises(MustWait, match="a checkout needs about"):
        await open_checkout()
    assert room.wanted
    await open_checkout()


async def test_a_first_checkout_that_would_not_fit_beside_its_own_mirror_waits_and_the_mirror_stays(
    host: GitHost, mounted: Callable[[str], Volume]
) -> None:
    host.create("sample", {**SAMPLE, "data.bin": big(6)})
    repositories = mounted("size=20m").path / "repositories"
    marks = [Marks(10 * MB, 10 * MB)]
    room = Room(repositories, lambda: marks[-1])
    open_checkout = Opener(host, a_server(host, repositories, timedelta(hours=1), room=room))
    with pytest.raises(MustWait, match="a checkout needs about 6 MB"):
        await open_checkout()
    assert [path.name for path in repositories.iterdir()] == [".mirrors"]
    marks.append(Marks(4 * MB, 4 * MB))
    assert (await open_checkout()).root.is_dir()
    assert host.fetches == 1


async def test_too_few_files_are_left_is_a_full_disk_too(host: GitHost, mounted: Callable[[str], Volume]) -> None:
    host.create("sample", SAMPLE)
    volume = mounted("size=64m,nr_inodes=2000")
    open_checkout = opener(host, volume, Marks(0, 0))
    for number in range(1985):
        (volume.path / f"{number}").touch()
    with pytest.raises(MustWait, match="more files"):
        await open_checkout()


async def test_a_volume_that_is_mounted_read_only_is_said_to_be(
    host: GitHost, mounted: Callable[[str], Volume]
) -> None:
    host.create("sample", SAMPLE)
    volume = mounted("size=32m")
    open_checkout = opener(host, volume)
    checkout = await open_checkout()
    (checkout.root / "work.txt").write_text("work\n")
    volume.remount("ro")
    for call in (lambda: open_checkout(), lambda: checkout.checkpoint("work", "Work")):
        with pytest.raises(StepFailed) as refused:
            await call()
        assert refused.value.failure_class in (FailureClass.DISK, FailureClass.GIT)
    volume.remount("rw")
    assert (await checkout.checkpoint("work", "Work")).changed
    assert_sound(mirror_of(volume.path / "repositories"))
