"""A checkout that nobody works in takes little room beyond its files, and goes on as if it never had."""

import os
from pathlib import Path

import pytest

from src.agent_work_orders.checkout import GitCheckout, GitCheckouts, resting
from src.agent_work_orders.domain.repository import RepositoryOptions
from src.agent_work_orders.domain.work_order import WorkOrder

from .conftest import SAMPLE, Opener, a_server, an_order, mirror_of
from .git_host import GitHost, git

pytestmark = pytest.mark.anyio
MANY = {f"src/package_{number // 50:03}/module_{number % 50:02}.txt": f"{number}\n" for number in range(8000)}


@pytest.fixture
def always(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resting, "WORTH_IT", 1)


def ours_of(volume: Path, order: WorkOrder) -> Path:
    return mirror_of(volume) / "awo" / order.agent_work_order_id / "index"


def allocated(*paths: Path) -> int:
    return sum(path.lstat().st_blocks * 512 for path in paths if path.exists())


async def test_indexes_of_a_large_checkout_take_little_room_and_are_back_byte_for_byte(
    host: GitHost, volume: Path, open_checkout: Opener
) -> None:
    host.create(files=MANY)
    checkout = await open_checkout(order := an_order())
    (checkout.root / "new.txt").write_text("new\n")
    git(checkout.root, "add", "new.txt")
    saved = await checkout.checkpoint("work", "Work")
    ours, theirs = ours_of(volume, order), checkout.root / ".git" / "index"
    before, taken = (ours.read_bytes(), theirs.read_bytes()), allocated(ours, theirs)
    await checkout.rest()
    assert not ours.exists()
    assert not theirs.exists()
    assert allocated(ours.with_name("indexes.z")) < taken / 5
    again = await open_checkout(order)
    assert again.resumed
    assert (ours.read_bytes(), theirs.read_bytes()) == before
    assert not ours.with_name("indexes.z").exists()
    assert git(again.root, "status", "--porcelain").splitlines() == ["A  new.txt"]
    (again.root / "new.txt").write_text("newer\n")
    assert (await again.checkpoint("more", "More")).commit != saved.commit


async def test_a_small_checkout_is_left_as_it_is(host: GitHost, volume: Path, open_checkout: Opener) -> None:
    host.create(files=SAMPLE)
    checkout = await open_checkout(order := an_order())
    await checkout.checkpoint("work", "Work")
    await checkout.rest()
    assert ours_of(volume, order).is_file()
    assert git(checkout.root, "status", "--porcelain") == ""


@pytest.mark.usefixtures("always")
async def test_what_an_agent_hides_from_its_own_git_is_still_seen_after_a_rest(
    host: GitHost, open_checkout: Opener
) -> None:
    host.create(files=SAMPLE)
    checkout = await open_checkout(order := an_order())
    app = checkout.root / "src/app.py"
    before = app.stat()
    git(checkout.root, "update-index", "--assume-unchanged", "src/app.py")
    await checkout.checkpoint("work", "Work")
    await checkout.rest()
    app.write_text(app.read_text()[::-1])  # as long as before, and
    os.utime(app, ns=(before.st_atime_ns, before.st_mtime_ns))  # as old
    again = await open_checkout(order)
    assert git(again.root, "status", "--porcelain") == ""
    saved = await again.checkpoint("again", "Again")
    assert [file.path for file in (await again.diff(saved.commit)).files] == ["src/app.py"]


@pytest.mark.usefixtures("always")
@pytest.mark.parametrize("damage", [b"", b"AWO1", b"rubbish" * 100], ids=["empty", "cut", "other"])
async def test_a_power_cut_that_took_the_indexes_loses_no_work(
    host: GitHost, volume: Path, open_checkout: Opener, damage: bytes
) -> None:
    host.create(files=SAMPLE)
    checkout = await open_checkout(order := an_order())
    await checkout.rest()
    (checkout.root / "README.md").write_text("changed\n")
    ours_of(volume, order).with_name("indexes.z").write_bytes(damage)
    again = await open_checkout(order)
    saved = await again.checkpoint("work", "Work")
    assert [file.path for file in (await again.diff(saved.commit)).files] == ["README.md"]


@pytest.mark.usefixtures("always")
async def test_links_that_an_agent_left_lead_nobody_outside(
    host: GitHost, volume: Path, open_checkout: Opener, tmp_path: Path
) -> None:
    host.create(files=SAMPLE)
    precious = tmp_path / "precious"
    (precious / ".git").mkdir(parents=True)
    (precious / ".git" / "index").write_text("precious")
    checkout = await open_checkout(order := an_order())
    (checkout.root / ".git" / "index").unlink()
    (checkout.root / ".git" / "index").symlink_to(precious / ".git" / "index")
    await checkout.rest()
    assert ours_of(volume, order).is_file(), "nothing of its own could be put by"
    (checkout.root / ".git" / "index").unlink()
    git(checkout.root, "reset", "--quiet")
    await checkout.rest()
    (checkout.root / ".git").rename(checkout.root / "moved")
    (checkout.root / ".git").symlink_to(precious / ".git")
    await open_checkout(order)
    assert (precious / ".git" / "index").read_text() == "precious"


@pytest.mark.usefixtures("always")
async def test_work_that_clean_up_saves_first_is_judged_by_what_was_put_by(
    host: GitHost, volume: Path, checkouts: GitCheckouts, open_checkout: Opener
) -> None:
    host.create(files=SAMPLE)
    checkout = await open_checkout(order := an_order())
    (checkout.root / "left.txt").write_text("left\n")
    await checkout.rest()
    await checkouts.save(order, host.repository())
    assert "left.txt" in git(mirror_of(volume), "ls-tree", "--name-only", f"refs/awo/{checkout.root.parent.name}/head")


@pytest.mark.usefixtures("always")
async def test_a_part_of_a_repository_rests_without_losing_what_is_not_on_disk(host: GitHost, volume: Path) -> None:
    host.create(files=SAMPLE)
    server, order = a_server(host, volume), an_order(working_subdir="src")

    async def opened() -> GitCheckout:
        part = RepositoryOptions(sparse=True)
        return await server.open(order, host.repository(), "awo/x", None, lambda *_: None, options=part)

    await (await opened()).rest()
    again = await opened()
    assert not (again.root / "docs").exists()
    (again.root / "src/app.py").write_text("changed\n")
    saved = await again.checkpoint("work", "Work")
    assert [file.path for file in (await again.diff(saved.commit)).files] == ["src/app.py"]
