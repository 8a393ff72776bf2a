"""What orders keep in a mirror goes through files to another volume and is the same there."""

import subprocess
from datetime import timedelta
from pathlib import Path

import pytest

from src.agent_work_orders.checkout.bundles import ABOUT, OBJECTS, MirrorBundles
from src.agent_work_orders.checkout.git import Git
from src.agent_work_orders.checkout.refs import refs_below
from src.agent_work_orders.domain.errors import StepFailed

from .conftest import SAMPLE, Opener, a_server, an_order, mirror_of
from .git_host import GitHost

pytestmark = pytest.mark.anyio


@pytest.fixture(autouse=True)
def sample(host: GitHost) -> None:
    host.create(files=SAMPLE)


def bundles(volume: Path) -> MirrorBundles:
    directory = volume / ".mirrors"
    return MirrorBundles(Git(directory / ".server", "git", timedelta(minutes=1), None), directory)


def kept(volume: Path) -> dict[str, str]:
    return refs_below(mirror_of(volume), "refs/awo/")


def fsck(volume: Path) -> None:
    subprocess.run(["git", "fsck", "--strict"], cwd=mirror_of(volume), check=True, capture_output=True)


async def test_a_whole_mirror_goes_to_an_empty_volume(
    open_checkout: Opener, host: GitHost, volume: Path, tmp_path: Path
) -> None:
    orders = [an_order(), an_order()]
    for number, order in enumerate(orders):
        checkout = await open_checkout(order)
        (checkout.root / f"new-{number}").write_text("work\n")
        await checkout.checkpoint("execute", "Work")
    (name,) = bundles(volume).names()
    folder, other = tmp_path / "folder", tmp_path / "other"
    folder.mkdir()
    (other / ".mirrors").mkdir(parents=True)
    await bundles(volume).save(name, folder)
    await bundles(other).load(name, folder)
    assert kept(other) == kept(volume)
    assert mirror_of(other).name == mirror_of(volume).name
    fsck(other)
    await bundles(other).load(name, folder)
    assert kept(other) == kept(volume)

    server = a_server(host, other)
    again = await server.open(orders[0], host.repository(), "awo/work", None, lambda *said: None)
    assert (again.root / "new-0").read_text() == "work\n"
    assert [file.path for file in (await server.diff(orders[1], host.repository())).files] == ["new-1"]


async def test_an_order_goes_to_another_volume_and_comes_back(
    open_checkout: Opener, host: GitHost, volume: Path, tmp_path: Path
) -> None:
    order = an_order()
    checkout = await open_checkout(order)
    (checkout.root / "new").write_text("work\n")
    await checkout.checkpoint("execute", "Work")
    before, folder = kept(volume), tmp_path / "folder"
    folder.mkdir()
    assert await open_checkout.checkouts.bundle(order, host.repository(), folder)
    await open_checkout.checkouts.remove(order, host.repository())
    assert kept(volume) == {}

    for place in (volume, tmp_path / "other"):
        server = a_server(host, place)
        await server.unbundle(order, host.repository(), None, folder)
        assert kept(place) == before
        fsck(place)
        again = await server.open(order, host.repository(), "awo/work", None, lambda *said: None)
        assert (again.root / "new").read_text() == "work\n"


async def test_an_order_that_changed_nothing_has_refs_and_no_objects(
    open_checkout: Opener, host: GitHost, volume: Path, tmp_path: Path
) -> None:
    order = an_order()
    await open_checkout(order)
    before = kept(volume)
    assert await open_checkout.checkouts.bundle(order, host.repository(), tmp_path)
    assert (tmp_path / ABOUT).exists()
    assert not (tmp_path / OBJECTS).exists()
    await open_checkout.checkouts.remove(order, host.repository())
    await open_checkout.checkouts.unbundle(order, host.repository(), None, tmp_path)
    assert kept(volume) == before


async def test_an_order_that_never_had_a_checkout_keeps_nothing(
    open_checkout: Opener, host: GitHost, tmp_path: Path
) -> None:
    assert not await open_checkout.checkouts.bundle(an_order(), host.repository(), tmp_path)
    await open_checkout()
    assert not await open_checkout.checkouts.bundle(an_order(), host.repository(), tmp_path)


async def test_a_base_that_the_remote_lost_is_named(
    open_checkout: Opener, host: GitHost, volume: Path, tmp_path: Path
) -> None:
    order = an_order()
    checkout = await open_checkout(order)
    (checkout.root / "new").write_text("work\n")
    await checkout.checkpoint("execute", "Work")
    folder = tmp_path / "folder"
    folder.mkdir()
    await open_checkout.checkouts.bundle(order, host.repository(), folder)
    about = (folder / ABOUT).read_text()
    (folder / ABOUT).write_text(about.replace(checkout.base_commit, "0" * 39 + "1"))
    with pytest.raises(StepFailed, match="no longer has the commit"):
        await a_server(host, tmp_path / "other").unbundle(order, host.repository(), None, folder)
