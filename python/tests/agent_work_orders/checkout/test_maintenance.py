import hashlib
import os
import shutil
import time
from datetime import UTC, datetime, timedelta
from itertools import count, islice
from pathlib import Path

import anyio
import pytest

from src.agent_work_orders.checkout import maintenance, removal
from src.agent_work_orders.checkout.git import Git
from src.agent_work_orders.checkout.maintenance import maintain, views_of

from .conftest import SAMPLE, Opener, an_order, mirror_of
from .git_host import GitHost, git
from .processes import until

pytestmark = pytest.mark.anyio
LIMIT = timedelta(minutes=5)


@pytest.fixture
def runner(volume: Path) -> Git:
    return Git(volume / ".mirrors/.server", "git", LIMIT, None)


def packs(mirror: Path) -> list[Path]:
    return list(mirror.glob("objects/pack/*.pack"))


def loose(mirror: Path) -> list[Path]:
    return list(mirror.glob("objects/[0-9a-f][0-9a-f]/*"))


def long_ago(path: Path, **ago: float) -> None:
    then = time.time() - timedelta(**ago).total_seconds()
    os.utime(path, (then, then))


def blob_id(text: str) -> str:
    return hashlib.sha1(f"blob {len(text)}\0{text}".encode(), usedforsecurity=False).hexdigest()


async def test_packs_become_few_and_nothing_that_anybody_borrows_goes(
    host: GitHost, open_checkout: Opener, volume: Path, runner: Git
) -> None:
    host.create(files=SAMPLE)
    order = an_order()
    checkout = await open_checkout(order)
    mirror = mirror_of(volume)
    for number in range(8):
        host.commit("sample", {f"{number}.txt": f"{number}\n"})
        await open_checkout()
        git(mirror, "repack", "-d", "-q")
    # The branch is rewritten: its old commits are needed by checkouts alone, which no ref of the mirror tells of.
    git(host.bare(), "update-ref", "-d", "refs/heads/main")
    host.commit("sample", {"README.md": "another history\n"})
    await open_checkout()
    (checkout.root / "work.txt").write_text("worth a lot")
    saved = await checkout.checkpoint("execute", "Work")
    (checkout.root / "work.txt").write_text("not yet saved")
    git(mirror, "hash-object", "-w", "--stdin", stdin=b"nobody's yet")
    objects = set(git(mirror, "cat-file", "--batch-all-objects", "--batch-check=%(objectname)").split())
    assert len(packs(mirror)) >= 5

    assert await maintain(runner, mirror, LIMIT)

    assert len(packs(mirror)) <= 3
    assert loose(mirror) == []
    assert set(git(mirror, "cat-file", "--batch-all-objects", "--batch-check=%(objectname)").split()) == objects
    git(mirror, "fsck", "--full", "--strict")
    git(mirror, "commit-graph", "verify")
    git(checkout.root, "fsck")
    assert git(mirror, "rev-parse", f"refs/awo/{order.agent_work_order_id}/head") == saved.commit
    assert (await checkout.checkpoint("later", "More")).commit_count == 1


async def test_it_is_done_when_it_is_worth_it_and_once_a_day(
    host: GitHost, open_checkout: Opener, volume: Path, runner: Git
) -> None:
    host.create(files=SAMPLE)
    await open_checkout()
    mirror = mirror_of(volume)
    assert await maintain(runner, mirror, LIMIT), "the first time makes the commit-graph"
    assert not await maintain(runner, mirror, LIMIT)
    long_ago(mirror / "awo/maintained", hours=25)
    assert not await maintain(runner, mirror, LIMIT), "nothing has piled up"
    for text in islice((text for text in map(str, count()) if blob_id(text).startswith("17")), 9):
        git(mirror, "hash-object", "-w", "--stdin", stdin=text.encode())
    assert await maintain(runner, mirror, LIMIT), "one directory of 256 tells of two thousand loose objects"
    assert loose(mirror) == []


async def test_a_fetch_and_new_checkouts_do_not_wait_for_it(
    host: GitHost, open_checkout: Opener, volume: Path, tmp_path: Path
) -> None:
    host.create(files=SAMPLE)
    await open_checkout()
    mirror, begun = mirror_of(volume), tmp_path / "begun"
    slow = tmp_path / "slow-git"
    slow.write_text(f"#!/bin/sh\ntouch {begun}\nexec sleep 600\n")
    slow.chmod(0o755)
    packing = Git(volume / ".mirrors/.server", str(slow), LIMIT, None)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(maintain, packing, mirror, LIMIT)
        with anyio.fail_after(20):
            await until(begun.exists)
            commit = host.commit("sample", {"new.txt": "new"})
            assert (await open_checkout()).base_commit == commit
        tasks.cancel_scope.cancel()
    git(mirror, "fsck", "--full")


async def test_drafts_of_gits_that_were_killed_go_after_a_day(
    host: GitHost, open_checkout: Opener, volume: Path, runner: Git
) -> None:
    host.create(files=SAMPLE)
    await open_checkout()
    mirror = mirror_of(volume)
    old, new = mirror / "objects/pack/tmp_pack_aaaaaa", mirror / "objects/pack/tmp_pack_bbbbbb"
    for path in (old, new):
        path.touch()
    long_ago(old, hours=25)
    await maintain(runner, mirror, LIMIT)
    assert not old.exists()
    assert new.exists()


async def test_what_was_read_from_a_damaged_mirror_stays_a_week(volume: Path) -> None:
    mirrors = volume / ".mirrors"
    kept = {name: mirrors / f"{name}.broken-1" for name in ("unread", "lately", "long-ago")}
    for path in kept.values():
        (path / "awo").mkdir(parents=True)
    (kept["lately"] / "awo/brought-over").touch()
    (kept["long-ago"] / "awo/brought-over").touch()
    long_ago(kept["long-ago"] / "awo/brought-over", days=8)
    long_ago(kept["unread"], days=80)
    maintenance._clear_broken(mirrors)
    assert sorted(path.name for path in mirrors.iterdir()) == ["lately.broken-1", "unread.broken-1"]


async def test_mirrors_are_listed_with_their_size_and_their_last_fetch(
    host: GitHost, open_checkout: Opener, volume: Path
) -> None:
    host.create(files=SAMPLE)
    host.create("other", files={"big.bin": os.urandom(300_000)})
    before = datetime.now(UTC)
    order = an_order()
    await open_checkout(order)
    await open_checkout(name="other")
    other, sample = sorted(await open_checkout.checkouts.mirrors(), key=lambda view: view.repository_key)
    assert other.repository_key == host.repository("other").key
    assert sample.repository_key == host.repository().key
    assert other.size_bytes > 300_000 > sample.size_bytes > 1000
    assert other.last_fetched_at is not None
    assert before - timedelta(seconds=5) < other.last_fetched_at <= datetime.now(UTC)
    assert sample.orders == 1
    await open_checkout.checkouts.remove(order, host.repository())
    assert {view.repository_key: view.orders for view in views_of(volume / ".mirrors")}[sample.repository_key] == 0
    shutil.rmtree(volume / ".mirrors")
    assert await open_checkout.checkouts.mirrors() == []


async def test_nothing_is_measured_for_whoever_asks_again(
    host: GitHost, open_checkout: Opener, volume: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    host.create(files=SAMPLE)
    await open_checkout()
    measured: list[Path] = []
    size_of = removal.size_of

    def counted(path: Path) -> int:
        measured.append(path)
        return size_of(path)

    monkeypatch.setattr(removal, "size_of", counted)
    (first,) = await open_checkout.checkouts.mirrors()
    for number in range(3):
        host.commit("sample", {f"{number}.bin": os.urandom(100_000).hex()})
        await open_checkout()
        assert [view.size_bytes for view in await open_checkout.checkouts.mirrors()] == [first.size_bytes]
    assert measured == [mirror_of(volume)]
    for _ in range(2):  # as the look at the mirrors does, now and then
        assert maintenance.measure(mirror_of(volume)) > first.size_bytes + 100_000
    assert len(measured) == 2
    assert (await open_checkout.checkouts.mirrors())[0].size_bytes > first.size_bytes
    assert len(measured) == 2
