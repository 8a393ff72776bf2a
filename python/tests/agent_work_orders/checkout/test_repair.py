"""Damage that disks and power cuts do to a mirror: found by who stumbles over it, mended, and nobody's work lost."""

import shutil
from collections.abc import Callable
from pathlib import Path

import anyio
import pytest

from src.agent_work_orders.checkout import GitCheckout
from src.agent_work_orders.checkout.failures import damaged
from src.agent_work_orders.domain.errors import FailureClass, StepFailed
from src.agent_work_orders.domain.repository import RepositoryOptions
from src.agent_work_orders.domain.work_order import WorkOrder

from .conftest import SAMPLE, Opener, an_order, mirror_of
from .git_host import GitHost, git

pytestmark = pytest.mark.anyio


def packs(mirror: Path, kind: str = "pack") -> list[Path]:
    found = list(mirror.glob(f"objects/pack/*.{kind}"))
    assert found
    return found


def loose(mirror: Path, commit: str) -> Path:
    path = mirror / "objects" / commit[:2] / commit[2:]
    assert path.is_file()
    path.chmod(0o644)
    return path


def scribble_over_packs(mirror: Path) -> None:
    for pack in packs(mirror):
        pack.chmod(0o644)
        content = bytearray(pack.read_bytes())
        content[12:-20] = b"\xff" * (len(content) - 32)
        pack.write_bytes(content)


def lose_packs(mirror: Path) -> None:
    for path in packs(mirror, "*"):
        path.unlink()


def cut_packs(mirror: Path) -> None:
    for pack in packs(mirror):
        pack.chmod(0o644)
        pack.write_bytes(pack.read_bytes()[:40])


def lose_pack_indexes(mirror: Path) -> None:
    for index in packs(mirror, "idx"):
        index.unlink()


def empty_pack_indexes(mirror: Path) -> None:
    for index in packs(mirror, "idx"):
        index.chmod(0o644)
        index.write_bytes(b"")


def lose_objects(mirror: Path) -> None:
    shutil.rmtree(mirror / "objects")


@pytest.fixture
async def begun(host: GitHost, open_checkout: Opener) -> tuple[WorkOrder, GitCheckout, str]:
    """An order with a checkpoint that nobody else has, on a mirror that is about to be damaged."""
    host.create(files=SAMPLE)
    order = an_order()
    checkout = await open_checkout(order)
    (checkout.root / "work.txt").write_text("worth a lot")
    saved = await checkout.checkpoint("execute", "Work")
    return order, checkout, saved.commit


def sound(mirror: Path) -> None:
    git(mirror, "fsck", "--full", "--strict")


def asides(volume: Path) -> list[Path]:
    return sorted(volume.glob(".mirrors/*.broken-*"))


@pytest.mark.parametrize(
    "damage", [scribble_over_packs, lose_packs, cut_packs, lose_pack_indexes, empty_pack_indexes],
    ids=lambda damage: damage.__name__,
)  # fmt: skip
async def test_a_mirror_whose_packs_are_gone_is_cloned_anew_and_keeps_the_work_of_its_orders(
    begun: tuple[WorkOrder, GitCheckout, str],
    host: GitHost,
    open_checkout: Opener,
    volume: Path,
    damage: Callable[[Path], None],
) -> None:
    order, checkout, saved = begun
    damage(mirror_of(volume))
    other = await open_checkout()
    assert (other.root / "README.md").read_text() == SAMPLE["README.md"]
    assert "damaged" in " ".join(other.notes)
    assert "cloned anew" in " ".join(other.notes)
    mirror = mirror_of(volume)
    sound(mirror)
    assert git(mirror, "rev-parse", f"refs/awo/{order.agent_work_order_id}/head") == saved
    assert git(mirror, "show", f"{saved}:work.txt") == "worth a lot"
    # What is open goes on by the path that it borrows from, the agent's git as well as the server's.
    git(checkout.root, "fsck")
    (checkout.root / "more.txt").write_text("more")
    later = await checkout.checkpoint("later", "More")
    await checkout.push(later.commit, None)
    assert git(host.bare(), "show", "awo/work:work.txt") == "worth a lot"
    assert len(asides(volume)) == 1


async def test_damage_that_a_checkpoint_stumbles_over_is_mended_there_and_then(
    begun: tuple[WorkOrder, GitCheckout, str], volume: Path
) -> None:
    _, checkout, saved = begun
    lose_packs(mirror_of(volume))
    (checkout.root / "README.md").write_text("changed\n")
    later = await checkout.checkpoint("later", "More")
    assert git(mirror_of(volume), "show", f"{saved}:work.txt") == "worth a lot"
    assert "cloned anew" in " ".join(checkout.notes)
    assert [file.path for file in (await checkout.diff(later.commit)).files] == ["README.md", "work.txt"]
    sound(mirror_of(volume))


async def test_a_diff_that_cannot_be_read_mends_the_mirror(
    begun: tuple[WorkOrder, GitCheckout, str], volume: Path
) -> None:
    _, checkout, saved = begun
    lose_packs(mirror_of(volume))
    assert [file.path for file in (await checkout.diff(saved)).files] == ["work.txt"]


async def test_a_mirror_without_any_object_keeps_what_the_checkout_still_holds(
    begun: tuple[WorkOrder, GitCheckout, str], open_checkout: Opener, volume: Path
) -> None:
    order, checkout, _ = begun
    lose_objects(mirror_of(volume))
    (checkout.root / "later.txt").write_text("later")
    await checkout.checkpoint("later", "More")
    mirror = mirror_of(volume)
    sound(mirror)
    head = f"refs/awo/{order.agent_work_order_id}/head"
    assert git(mirror, "show", f"{head}:work.txt") == "worth a lot"
    assert git(mirror, "show", f"{head}:later.txt") == "later"
    again = await open_checkout(order)
    assert (again.root / "work.txt").read_text() == "worth a lot"


@pytest.mark.parametrize("content", [b"", b"\x78\x01garbage"], ids=["emptied", "garbled"])
@pytest.mark.parametrize("which", ["commit", "tree", "blob"])
async def test_a_checkpoint_that_a_power_cut_took_leaves_the_files_and_the_earlier_ones(
    begun: tuple[WorkOrder, GitCheckout, str], open_checkout: Opener, volume: Path, which: str, content: bytes
) -> None:
    order, checkout, first = begun
    mirror = mirror_of(volume)
    (checkout.root / "second.txt").write_text("second")
    second = (await checkout.checkpoint("second", "More")).commit
    names = {"commit": second, "tree": f"{second}^{{tree}}", "blob": f"{second}:second.txt"}
    loose(mirror, git(mirror, "rev-parse", names[which])).write_bytes(content)
    (checkout.root / "third.txt").write_text("third")
    later = await checkout.checkpoint("third", "More")
    if which == "blob":
        # Nothing reads the content of a file that did not change again; whoever does in the end finds it gone.
        with pytest.raises(StepFailed) as caught:
            await checkout.diff(later.commit)
        assert "Retry" in caught.value.next_action
        later = await (await open_checkout(order)).checkpoint("again", "More")
        sound(mirror_of(volume))
    await checkout.diff(later.commit)
    mirror = mirror_of(volume)
    assert git(mirror, "show", f"{later.commit}:work.txt") == "worth a lot"
    assert git(mirror, "show", f"{later.commit}:third.txt") == "third"
    assert git(mirror, "show", f"{later.commit}:second.txt") == "second"
    assert git(mirror, "show", f"{first}:work.txt") == "worth a lot"
    git(mirror, "rev-list", "--objects", f"refs/awo/{order.agent_work_order_id}/head")


async def test_an_orders_head_that_a_power_cut_emptied_is_its_newest_checkpoint(
    begun: tuple[WorkOrder, GitCheckout, str], open_checkout: Opener, volume: Path
) -> None:
    order, checkout, _ = begun
    (checkout.root / "second.txt").write_text("second")
    second = (await checkout.checkpoint("second", "More")).commit
    (mirror_of(volume) / "refs/awo" / order.agent_work_order_id / "head").write_bytes(b"")
    shutil.rmtree(checkout.root)
    again = await open_checkout(order)
    assert (again.root / "second.txt").read_text() == "second"
    assert (await again.checkpoint("again", "Nothing new")).commit == second


@pytest.mark.parametrize("name", ["refs/remotes/origin/main", "packed-refs", "HEAD", "config"])
@pytest.mark.parametrize("content", [None, b"", b"\0garbage\n"], ids=["gone", "emptied", "garbled"])
async def test_files_of_the_mirror_itself_are_put_back(
    begun: tuple[WorkOrder, GitCheckout, str],
    host: GitHost,
    open_checkout: Opener,
    volume: Path,
    name: str,
    content: bytes | None,
) -> None:
    order, _, saved = begun
    path = mirror_of(volume) / name
    if content is None:
        path.unlink(missing_ok=True)
    else:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    commit = host.commit("sample", {"new.txt": "new"})
    assert (await open_checkout()).base_commit == commit
    mirror = mirror_of(volume)
    sound(mirror)
    assert git(mirror, "rev-parse", f"refs/awo/{order.agent_work_order_id}/head") == saved
    assert asides(volume) == []


async def test_a_server_that_died_between_the_two_renames_of_a_repair_loses_nothing(
    begun: tuple[WorkOrder, GitCheckout, str], open_checkout: Opener, volume: Path
) -> None:
    order, checkout, saved = begun
    mirror = mirror_of(volume)
    mirror.rename(mirror.with_name(mirror.name.removesuffix(".git") + ".broken-1"))
    shutil.rmtree(checkout.root)
    await open_checkout()  # anybody's
    again = await open_checkout(order)
    assert (again.root / "work.txt").read_text() == "worth a lot"
    assert (await again.checkpoint("again", "Nothing new")).commit == saved
    sound(mirror_of(volume))


async def test_a_mirror_that_cannot_be_cloned_anew_stays_as_it_is_until_it_can(
    begun: tuple[WorkOrder, GitCheckout, str], host: GitHost, open_checkout: Opener, volume: Path
) -> None:
    _, checkout, saved = begun
    lose_packs(mirror_of(volume))
    host.status = 503
    (checkout.root / "more.txt").write_text("more")
    with pytest.raises(StepFailed) as caught:
        await checkout.checkpoint("later", "More")
    assert caught.value.failure_class is FailureClass.NETWORK
    assert (checkout.root / "more.txt").read_text() == "more"
    assert asides(volume) == []
    host.status = None
    later = await checkout.checkpoint("later", "More")
    mirror = mirror_of(volume)
    assert [git(mirror, "show", f"{commit}:work.txt") for commit in (saved, later.commit)] == ["worth a lot"] * 2
    sound(mirror)


async def test_many_orders_that_stumble_at_once_mend_it_once(
    begun: tuple[WorkOrder, GitCheckout, str], host: GitHost, open_checkout: Opener, volume: Path
) -> None:
    lose_packs(mirror_of(volume))
    host.fetches = 0
    opened: list[str] = []

    async def open_one() -> None:
        opened.append((await open_checkout()).base_commit)

    async with anyio.create_task_group() as orders:
        for _ in range(4):
            orders.start_soon(open_one)
    assert len(opened) == 4
    assert host.fetches == 1
    assert len(asides(volume)) == 1


async def test_an_agent_that_breaks_its_own_objects_costs_the_mirror_nothing(
    begun: tuple[WorkOrder, GitCheckout, str], host: GitHost, volume: Path
) -> None:
    _, checkout, _ = begun
    host.fetches = 0
    (checkout.root / "mine.txt").write_text("mine")
    git(checkout.root, "add", "--all")
    git(checkout.root, "commit", "--message", "By the agent")
    for path in (checkout.root / ".git/objects").glob("??/*"):
        path.chmod(0o644)
        path.write_bytes(b"garbage")
    saved = await checkout.checkpoint("later", "More")
    assert git(mirror_of(volume), "show", f"{saved.commit}:mine.txt") == "mine"
    assert host.fetches == 0
    assert asides(volume) == []


async def test_a_shallow_mirror_is_mended_with_the_ends_that_its_orders_stand_on(
    host: GitHost, open_checkout: Opener, volume: Path
) -> None:
    options, repository = RepositoryOptions(depth=1), host.repository()
    host.create(files=SAMPLE)
    host.commit("sample", {"second.txt": "second"})

    async def opened(order: WorkOrder) -> GitCheckout:
        return await open_checkout.checkouts.open(order, repository, "awo/x", None, lambda *_: None, options=options)

    checkout = await opened(order := an_order())
    (checkout.root / "work.txt").write_text("worth a lot")
    saved = (await checkout.checkpoint("execute", "Work")).commit
    host.commit("sample", {"third.txt": "third"})
    # One object that nobody needs is enough to have it cloned anew; all that the order needs can be read.
    broken = mirror_of(volume) / "objects/17" / ("0" * 38)
    broken.parent.mkdir(exist_ok=True)
    broken.write_bytes(b"garbage")
    stumbled: list[bool] = []

    async def stumble() -> None:
        if not stumbled:
            stumbled.append(True)
            raise damaged("an object")

    await checkout._mirror.using(stumble)
    mirror = mirror_of(volume)
    assert len(asides(volume)) == 1
    assert git(mirror, "show", f"refs/awo/{order.agent_work_order_id}/head:work.txt") == "worth a lot"
    assert (await checkout.diff(saved)).files[0].path == "work.txt"
    assert ((await opened(an_order())).root / "third.txt").exists()
    await checkout.push(saved, None)
    assert host.tip("awo/x") == saved
    git(mirror, "fsck", "--full")
