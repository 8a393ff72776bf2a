"""An order is put away whole, comes back whole, here and on a server that never knew it."""

from collections.abc import AsyncIterator, Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from src.agent_work_orders.archive.move import Movable
from src.agent_work_orders.archive.orders import OrderArchive
from src.agent_work_orders.archive.package import DamagedPackage, read_package
from src.agent_work_orders.archive.shelf import DirectoryShelf
from src.agent_work_orders.checkout import GitCheckouts
from src.agent_work_orders.checkout.refs import refs_below
from src.agent_work_orders.domain.errors import FailureClass, NotFound, StepFailed, WrongState
from src.agent_work_orders.domain.status import Status
from src.agent_work_orders.domain.work_order import (
    Artifact,
    NewWorkOrder,
    OrderChanges,
    WorkOrder,
    WorkOrderRequest,
    new_order_id,
)
from src.agent_work_orders.ports import ListQuery
from src.agent_work_orders.store.sqlite import SqliteStore

from ..checkout.git_host import GitHost
from ..contracts.store_world import claim_next, drafts, failure, file_and_claim

pytestmark = pytest.mark.anyio


class NoSecrets:
    async def get(self, name: str, repository: object = None) -> str | None:
        return None


class Server:
    """One with a home of its own; the shelf and the git host are everybody's."""

    def __init__(self, home: Path, store: Movable, host: GitHost, shelf: DirectoryShelf) -> None:
        self.home, self.store, self.host = home, store, host
        self.checkouts = GitCheckouts(
            home / "repositories",
            freshness=lambda: timedelta(0),
            insecure_hosts=lambda: frozenset({host.name}),
        )

        async def the_shelf() -> DirectoryShelf:
            return shelf

        self.orders = home / "work-orders"
        self.archive = OrderArchive(
            store, self.checkouts, the_shelf, lambda url: host.repository(), NoSecrets(), self.orders
        )

    async def order(self) -> WorkOrder:
        """A failed one with files, an artifact, events and work on its branch."""
        repository = self.host.repository()
        request = WorkOrderRequest(repository_url=repository.url, user_request="Mend it.")
        order_id = new_order_id()
        await self.store.enqueue(NewWorkOrder(order_id, request, repository.url, repository.key, order_id))
        claim = await claim_next(self.store)
        await self.store.append(claim, claim.order.last_seq + 1, drafts(5))
        order = claim.order
        checkout = await self.checkouts.open(order, self.host.repository(), "awo/work", None, lambda *said: None)
        (checkout.root / "new").write_text("work\n")
        await checkout.checkpoint("execute", "Work")
        await self.store.record(claim, OrderChanges(git_branch_name="awo/work", base_commit=checkout.base_commit))
        folder = self.orders / claim.order_id
        for name in ("prompts/a.md", "outputs/b.jsonl", "metadata.json", "home/.claude/secret", "run/raw"):
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_text(f"{name} of {claim.order_id}")
        await self.store.put_artifact(
            claim, Artifact(artifact_id="a", artifact_type="prompt", path="prompts/a.md", size_bytes=3)
        )
        return await self.store.finish(claim, failure())

    def files(self, order_id: str) -> dict[str, str]:
        folder = self.orders / order_id
        return {one.relative_to(folder).as_posix(): one.read_text() for one in folder.rglob("*") if one.is_file()}

    def refs(self) -> dict[str, str]:
        return {
            name: commit
            for mirror in (self.home / "repositories").glob(".mirrors/*.git")
            for name, commit in refs_below(mirror, "refs/awo/").items()
        }


@pytest.fixture
def host(tmp_path: Path) -> Iterator[GitHost]:
    server = GitHost(tmp_path / "host")
    server.create(files={"README.md": "# Sample\n"})
    yield server
    server.close()


@pytest.fixture
def shelf(tmp_path: Path) -> DirectoryShelf:
    return DirectoryShelf(tmp_path / "shelf")


@pytest.fixture
def here(embedded: SqliteStore, host: GitHost, shelf: DirectoryShelf, tmp_path: Path) -> Server:
    return Server(tmp_path / "here", embedded, host, shelf)


@pytest.fixture
async def there(host: GitHost, shelf: DirectoryShelf, tmp_path: Path) -> AsyncIterator[Server]:
    """Another server, with another database and another volume."""
    async with SqliteStore.open(tmp_path / "there" / "awo.db") as store:
        yield Server(tmp_path / "there", store, host, shelf)


KEPT = {"prompts/a.md", "outputs/b.jsonl", "metadata.json"}


async def test_an_archived_order_leaves_and_comes_back(here: Server, shelf: DirectoryShelf) -> None:
    order = await here.order()
    order_id = order.agent_work_order_id
    files, refs = here.files(order_id), here.refs()
    exported = await here.store.export_order(order_id)

    archived = await here.archive.archive(order_id)
    assert archived.archived_at is not None
    assert here.files(order_id) == {}
    assert here.refs() == {}
    assert not (here.home / "repositories" / order_id).exists()
    assert [path.name for path in shelf.directory.iterdir()] == [f"{order_id}.tar.gz"]
    assert await here.store.list_orders(ListQuery()) == []

    back = await here.archive.unarchive(order_id)
    assert (back.status, back.archived_at) == (Status.FAILED, None)
    assert here.files(order_id) == {name: text for name, text in files.items() if name in KEPT}
    assert here.refs() == refs
    again = await here.store.export_order(order_id)
    assert again.events == exported.events
    assert again.tables == exported.tables
    resumed = await here.checkouts.open(back, here.host.repository(), "awo/work", None, lambda *said: None)
    assert (resumed.root / "new").read_text() == "work\n"
    assert (await here.store.retry(order_id, None)).status is Status.PENDING


async def test_another_server_takes_all_of_it_from_the_shelf(here: Server, there: Server) -> None:
    order = await here.order()
    order_id = order.agent_work_order_id
    files, refs, exported = here.files(order_id), here.refs(), await here.store.export_order(order_id)
    await here.archive.archive(order_id)
    with pytest.raises(NotFound):
        await there.store.get(order_id)

    brought = await there.archive.unarchive(order_id)
    assert brought.model_dump(exclude={"rev"}) == order.model_dump(exclude={"rev"})
    assert (await there.store.export_order(order_id)).digest() == exported.digest()
    assert there.files(order_id) == {name: text for name, text in files.items() if name in KEPT}
    assert there.refs() == refs
    assert [file.path for file in (await there.checkouts.diff(brought, there.host.repository())).files] == ["new"]


async def test_neither_the_agents_home_nor_raw_output_is_archived(here: Server, shelf: DirectoryShelf) -> None:
    order = await here.order()
    await here.archive.archive(order.agent_work_order_id)
    (package,) = shelf.directory.iterdir()
    names = {member.name for member, _ in read_package(package)}
    assert names == {"order.json", "branch/objects.bundle", "branch/refs.json", *(f"files/{name}" for name in KEPT)}


async def test_both_again_change_nothing(here: Server) -> None:
    order = await here.order()
    order_id = order.agent_work_order_id
    assert await here.archive.unarchive(order_id) == order
    archived = await here.archive.archive(order_id)
    assert await here.archive.archive(order_id) == archived
    back = await here.archive.unarchive(order_id)
    assert await here.archive.unarchive(order_id) == back


async def test_an_order_that_has_not_ended_stays(here: Server, shelf: DirectoryShelf) -> None:
    claim = await file_and_claim(here.store)
    with pytest.raises(WrongState):
        await here.archive.archive(claim.order_id)
    assert not shelf.directory.exists()


async def test_nothing_is_removed_while_the_shelf_refuses(here: Server, shelf: DirectoryShelf) -> None:
    order = await here.order()
    files, refs = here.files(order.agent_work_order_id), here.refs()
    shelf.directory.write_text("in the way")
    with pytest.raises(StepFailed) as refused:
        await here.archive.archive(order.agent_work_order_id)
    assert refused.value.failure_class is FailureClass.DISK
    assert (here.files(order.agent_work_order_id), here.refs()) == (files, refs)
    assert await here.store.get(order.agent_work_order_id) == order


async def test_an_order_that_moves_on_meanwhile_is_not_put_away(here: Server, shelf: DirectoryShelf) -> None:
    order = await here.order()
    order_id = order.agent_work_order_id
    put = shelf.put

    async def put_and_retry(name: str, path: Path) -> None:
        await put(name, path)
        await here.store.retry(order_id, None)
        await here.store.cancel(order_id)

    shelf.put = put_and_retry  # type: ignore[method-assign]  # somebody who retries at the worst moment
    files = here.files(order_id)
    with pytest.raises(WrongState, match="moved on"):
        await here.archive.archive(order_id)
    assert here.files(order_id) == files
    assert (await here.store.get(order_id)).archived_at is None


async def test_a_server_that_died_before_it_removed_the_files_does_so_the_next_time(here: Server) -> None:
    order = await here.order()
    order_id = order.agent_work_order_id
    folder, files = here.orders / order_id, here.files(order_id)
    await here.archive.archive(order_id)
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    await here.archive.archive(order_id)
    assert not folder.exists()


@pytest.mark.parametrize("damage", ["cut off", "of another order"])
async def test_a_damaged_archive_brings_nothing_back(here: Server, shelf: DirectoryShelf, damage: str) -> None:
    first, second = await here.order(), await here.order()
    for order in (first, second):
        await here.archive.archive(order.agent_work_order_id)
    path = shelf.directory / f"{first.agent_work_order_id}.tar.gz"
    whole = path.read_bytes()
    other = (shelf.directory / f"{second.agent_work_order_id}.tar.gz").read_bytes()
    path.write_bytes(whole[:-100] if damage == "cut off" else other)
    with pytest.raises(DamagedPackage):
        await here.archive.unarchive(first.agent_work_order_id)
    assert here.files(first.agent_work_order_id) == {}
    assert (await here.store.get(first.agent_work_order_id)).archived_at is not None


async def test_an_order_that_nobody_has_is_not_found(here: Server) -> None:
    with pytest.raises(NotFound):
        await here.archive.unarchive(new_order_id())


async def test_what_is_forgotten_is_off_the_shelf(here: Server, shelf: DirectoryShelf) -> None:
    order = await here.order()
    await here.archive.archive(order.agent_work_order_id)
    await here.archive.forget(order.agent_work_order_id)
    assert list(shelf.directory.iterdir()) == []
