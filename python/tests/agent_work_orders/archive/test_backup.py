"""All of a server in one file and back into an empty place, as its functions do it."""

import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import pytest

from src.agent_work_orders.archive.backup import NotEmpty, Volume, create_backup, restore_backup, verify_backup
from src.agent_work_orders.archive.move import Movable
from src.agent_work_orders.archive.package import DamagedPackage
from src.agent_work_orders.archive.workplace import Occupied, workplace
from src.agent_work_orders.checkout.bundles import MirrorBundles
from src.agent_work_orders.checkout.git import Git
from src.agent_work_orders.domain.work_order import Artifact
from src.agent_work_orders.store.sqlite import SqliteStore
from src.agent_work_orders.store.supabase import SupabaseStore

from ..contracts.store_moves import rich_order
from ..contracts.store_world import DONE, drafts, file_and_claim, file_order

pytestmark = pytest.mark.anyio


@dataclass
class Place:
    """A server's folders, with git directories that look like its mirrors."""

    home: Path

    @property
    def volume(self) -> Volume:
        return Volume(self.home, self.home / "work-orders", self.home / "config", self.home / "credentials")

    @property
    def mirrors(self) -> MirrorBundles:
        directory = self.home / "repositories" / ".mirrors"
        directory.mkdir(parents=True, exist_ok=True)
        return MirrorBundles(Git(directory / ".server", "git", timedelta(minutes=1), None), directory)

    def mirror(self, order_id: str) -> None:
        """One with a commit that an order keeps."""
        path = self.home / "repositories" / ".mirrors" / "github.com-owner-name-0123.git"
        self._git("init", "-q", "--bare", str(path))
        tree = self._git("-C", str(path), "mktree", stdin=b"")
        commit = self._git("-C", str(path), "commit-tree", tree, "-m", "Work")
        self._git("-C", str(path), "update-ref", f"refs/awo/{order_id}/head", commit)

    def _git(self, *words: str, stdin: bytes = b"") -> str:
        identity = {f"GIT_{who}_{what}": "a" for who in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")}
        done = subprocess.run(
            ["git", *words], input=stdin, capture_output=True, check=True, env={"PATH": "/usr/bin:/bin", **identity}
        )
        return done.stdout.decode().strip()

    def files(self) -> dict[str, bytes]:
        """What is in its folders, by the path below its home."""
        return {
            path.relative_to(self.home).as_posix(): path.read_bytes()
            for folder in self.volume.folders().values()
            for path in folder.rglob("*")
            if path.is_file()
        }


@pytest.fixture
def place(tmp_path: Path) -> Callable[[str], Place]:
    return lambda name: Place(tmp_path / name)


@pytest.fixture
def aside(tmp_path: Path) -> Path:
    folder = tmp_path / "aside"
    folder.mkdir()
    return folder


async def furnish(store: Movable, place: Place) -> list[str]:
    """Orders in several states, with files, settings and a branch."""
    claim = await file_and_claim(store)
    await store.put_artifact(
        claim, Artifact(artifact_id="a", artifact_type="prompt", path="prompts/a.md", size_bytes=5)
    )
    await store.finish(claim, DONE)
    running = await file_and_claim(store)
    await store.append(running, running.order.last_seq + 1, drafts(3))
    order_ids = [
        claim.order_id,
        running.order_id,
        await rich_order(store),
        (await file_order(store)).agent_work_order_id,
    ]
    for order_id in order_ids:
        folder = place.volume.work_orders / order_id / "prompts"
        folder.mkdir(parents=True)
        (folder / "a.md").write_text(f"of {order_id}")
    (place.volume.work_orders / "wo-nobodys").mkdir()
    (place.volume.work_orders / "wo-nobodys" / "left").write_text("rubbish")
    for name, text in {
        "config/agent-settings.yaml": "a: 1\n",
        "credentials/.key": "k",
        "credentials/github.json": "{}",
    }.items():
        (place.home / name).parent.mkdir(exist_ok=True)
        (place.home / name).write_text(text)
        (place.home / name).chmod(0o600)
    place.mirror(claim.order_id)
    return order_ids


async def digests(store: Movable, order_ids: list[str]) -> dict[str, str]:
    return {one: (await store.export_order(one)).digest() for one in order_ids}


async def test_everything_comes_back(
    embedded: SqliteStore, place: Callable[[str], Place], aside: Path, tmp_path: Path
) -> None:
    old, new, path = place("old"), place("new"), tmp_path / "b.tar.gz"
    order_ids = await furnish(embedded, old)
    made = await create_backup(embedded, old.mirrors, old.volume, path, {}, aside)
    assert (made.orders, made.mirrors) == (4, 1)
    assert [missing.partition("/")[2] for missing in made.missing] == ["b", "a"], "of rich_order, which wrote no files"
    assert (await verify_backup(path)).events == made.events
    async with SqliteStore.open(new.home / "awo.db") as store:
        assert (await restore_backup(store, new.mirrors, new.volume, path)).orders == 4
        assert await digests(store, order_ids) == await digests(embedded, order_ids)
        assert (await embedded.export_surroundings()).missing_in(await store.export_surroundings()) == []
        # What ran when the backup was made is taken back like any order of a server that went silent.
        assert [one.order_id for one in await store.reap(10, ["worker-1"])] == [order_ids[1]]
    before = old.files()
    before.pop("work-orders/wo-nobodys/left")
    assert new.files() == before
    assert (new.home / "credentials" / ".key").stat().st_mode & 0o777 == 0o600
    assert new.mirrors.names() == old.mirrors.names()
    assert not list(new.home.glob(".awo-*")), "nothing is left of the restore itself"


async def test_a_backup_of_one_store_goes_into_the_other(
    embedded: SqliteStore, shared: SupabaseStore, place: Callable[[str], Place], aside: Path, tmp_path: Path
) -> None:
    old, new, path = place("old"), place("new"), tmp_path / "b.tar.gz"
    order_ids = await furnish(shared, old)
    await create_backup(shared, old.mirrors, old.volume, path, {}, aside)
    await restore_backup(embedded, new.mirrors, new.volume, path)
    assert await digests(embedded, order_ids) == await digests(shared, order_ids)


async def test_only_an_empty_place_is_restored_into(
    embedded: SqliteStore, place: Callable[[str], Place], aside: Path, tmp_path: Path
) -> None:
    old, new, path = place("old"), place("new"), tmp_path / "b.tar.gz"
    await furnish(embedded, old)
    await create_backup(embedded, old.mirrors, old.volume, path, {}, aside)
    with pytest.raises(NotEmpty, match="database"):
        await restore_backup(embedded, new.mirrors, new.volume, path)
    async with SqliteStore.open(new.home / "awo.db") as store:
        with pytest.raises(NotEmpty, match="github"):
            await restore_backup(store, old.mirrors, new.volume, path)
        (new.volume.config).mkdir()
        (new.volume.config / "agent-settings.yaml").write_text("mine: 1")
        with pytest.raises(NotEmpty, match=r"agent-settings\.yaml"):
            await restore_backup(store, new.mirrors, new.volume, path)
        assert (await store.census()).orders == {}
    assert new.files() == {"config/agent-settings.yaml": b"mine: 1"}


async def test_a_damaged_backup_changes_nothing(
    embedded: SqliteStore, place: Callable[[str], Place], aside: Path, tmp_path: Path
) -> None:
    old, new, path = place("old"), place("new"), tmp_path / "b.tar.gz"
    await furnish(embedded, old)
    await create_backup(embedded, old.mirrors, old.volume, path, {}, aside)
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2] + b"?" + whole[len(whole) // 2 + 1 :])
    async with SqliteStore.open(new.home / "awo.db") as store:
        with pytest.raises(DamagedPackage):
            await restore_backup(store, new.mirrors, new.volume, path)
        assert (await store.census()).orders == {}
    assert new.files() == {}


async def test_a_restore_that_was_cut_off_is_begun_again(
    embedded: SqliteStore, place: Callable[[str], Place], aside: Path, tmp_path: Path
) -> None:
    class CutOff(Exception):
        pass

    def cut(restored: int) -> None:
        if restored == 2:
            raise CutOff

    old, new, path = place("old"), place("new"), tmp_path / "b.tar.gz"
    order_ids = await furnish(embedded, old)
    await create_backup(embedded, old.mirrors, old.volume, path, {"made_at": "now"}, aside)
    async with SqliteStore.open(new.home / "awo.db") as store:
        with pytest.raises(CutOff):
            await restore_backup(store, new.mirrors, new.volume, path, cut)
        await restore_backup(store, new.mirrors, new.volume, path)
        assert await digests(store, order_ids) == await digests(embedded, order_ids)
        with pytest.raises(NotEmpty):
            await restore_backup(store, new.mirrors, new.volume, path)


async def test_credentials_stay_out_when_they_shall(
    embedded: SqliteStore, place: Callable[[str], Place], aside: Path, tmp_path: Path
) -> None:
    old, new, path = place("old"), place("new"), tmp_path / "b.tar.gz"
    await furnish(embedded, old)
    volume = Volume(old.home, old.volume.work_orders, old.volume.config, None)
    await create_backup(embedded, old.mirrors, volume, path, {}, aside)
    async with SqliteStore.open(new.home / "awo.db") as store:
        await restore_backup(store, new.mirrors, new.volume, path)
    assert not [name for name in new.files() if name.startswith("credentials/")]


async def test_nothing_is_left_of_a_backup_that_failed(
    embedded: SqliteStore, place: Callable[[str], Place], aside: Path, tmp_path: Path
) -> None:
    class Broken:
        def names(self) -> list[str]:
            return ["a.git"]

        async def save(self, name: str, folder: Path) -> None:
            raise OSError(28, "No space left on device")

        async def load(self, name: str, folder: Path) -> None: ...

    old = place("old")
    await furnish(embedded, old)
    (tmp_path / "to").mkdir()
    with pytest.raises(OSError, match="No space"):
        await create_backup(embedded, Broken(), old.volume, tmp_path / "to" / "b.tar.gz", {}, aside)
    assert left_in(tmp_path / "to") == left_in(aside) == []


def left_in(folder: Path) -> list[str]:
    return [path.name for path in folder.iterdir()]


def test_what_a_killed_backup_left_goes_with_the_next(tmp_path: Path) -> None:
    with workplace(tmp_path) as place:
        (place / "copy").mkdir()
        (place / "copy" / "awo.db").write_text("half")
        (place / ".b.tar.gz.0123.partial").write_text("half")
        left = {path.relative_to(place): path.is_dir() for path in place.rglob("*")}
        with pytest.raises(Occupied), workplace(tmp_path):
            pass
    for path, is_dir in left.items():
        (place / path).mkdir(exist_ok=True) if is_dir else (place / path).touch()
    with workplace(tmp_path) as again:
        assert [path.name for path in again.iterdir()] == ["lock"]
