"""Everything of a server in one file, and back into an empty place. Knows ports and folders, no backend and no git.

The database goes in first and comes out last: a file without its row is rubbish, a row without its file a loss.
"""

import json
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Protocol

from anyio import to_thread

from ..domain.errors import NotFound, WorkOrderError
from ..domain.exported import ExportedOrder, Surroundings
from .move import Movable, all_orders
from .package import DamagedPackage, Member, PackageWriter, check_package, new_package, read_package, write_member

KIND = "backup"
# Raw output of what runs now stays in; caches that come back by themselves do not.
_MARKER = ".awo-restore.json"


class NotEmpty(WorkOrderError):
    """A place that a backup must not be restored into."""

    code = "not_empty"


class Mirrors(Protocol):
    """What orders keep in git, as files."""

    def names(self) -> list[str]: ...
    async def save(self, name: str, folder: Path) -> None: ...
    async def load(self, name: str, folder: Path) -> None: ...


@dataclass(frozen=True)
class Volume:
    """Where a server keeps what is not in its database. `credentials` is None where they are no files, or stay out."""

    home: Path
    work_orders: Path
    config: Path
    credentials: Path | None

    def folders(self) -> dict[str, Path]:
        found = {"files": self.work_orders, "config": self.config}
        return found | ({"credentials": self.credentials} if self.credentials is not None else {})


@dataclass(frozen=True)
class Contents:
    """What is in a backup. `missing` are artifacts whose file was gone when it was made, as `order id/path`."""

    orders: int
    events: int
    files: int
    mirrors: int
    missing: tuple[str, ...] = ()


# --- create ---


async def create_backup(
    store: Movable, mirrors: Mirrors, volume: Volume, path: Path, about: dict[str, Any], aside: Path
) -> Contents:
    """Also while servers work: each order is as it was at one instant, and its files are no older than that.

    `store` should be a copy where there can be one: then all orders are of the same instant. `aside` is a directory of
    the caller's own, on the volume of `path`.
    """
    with new_package(path, KIND, about, aside) as package:
        await to_thread.run_sync(
            package.add_json, "surroundings.json", (await store.export_surroundings()).model_dump(mode="json")
        )
        order_ids = list(dict.fromkeys([order.agent_work_order_id async for order in all_orders(store)]))
        events, wanted = 0, list[str]()
        for order_id in order_ids:
            try:
                exported = await store.export_order(order_id)
            except NotFound:
                continue  # deleted since
            events += len(exported.events)
            if exported.order.get("archived_at") is None:
                wanted += [f"files/{order_id}/{row['path']}" for row in exported.artifacts if row.get("path")]
            await to_thread.run_sync(package.add_bytes, f"orders/{order_id}.json", exported.model_dump_json().encode())
        files = await to_thread.run_sync(_add_folders, package, volume, order_ids)
        for name in (names := await to_thread.run_sync(mirrors.names)):
            await _add_mirror(package, mirrors, name, aside)
        orders = sum(name.startswith("orders/") for name in package.members)
        missing = tuple(name.removeprefix("files/") for name in wanted if name not in package.members)
        return Contents(orders, events, files, len(names), missing)


def _add_folders(package: PackageWriter, volume: Volume, order_ids: list[str]) -> int:
    number = 0
    for order_id in order_ids:
        number += package.add_tree(f"files/{order_id}", volume.work_orders / order_id)
    number += package.add_tree("config", volume.config)
    if volume.credentials is not None:
        number += package.add_tree("credentials", volume.credentials)
    return number


async def _add_mirror(package: PackageWriter, mirrors: Mirrors, name: str, folder: Path) -> None:
    with tempfile.TemporaryDirectory(dir=folder) as inner:
        await mirrors.save(name, Path(inner))
        await to_thread.run_sync(package.add_tree, f"mirrors/{name}", Path(inner))


# --- verify ---


async def verify_backup(path: Path) -> Contents:
    """Reads every byte; DamagedPackage for anything that is not as it was written, or that could not be restored."""
    return await to_thread.run_sync(_verify, path)


def _verify(path: Path) -> Contents:
    check_package(path, KIND)
    orders = events = files = 0
    mirrors: set[str] = set()
    for member, data in read_package(path):
        top, _, rest = member.name.partition("/")
        match top:
            case "orders":
                exported = _order_of(member, data)
                orders, events = orders + 1, events + len(exported.events)
            case "mirrors":
                mirrors.add(rest.partition("/")[0])
            case "files" | "config" | "credentials":
                files += 1
            case _:
                continue
    return Contents(orders, events, files, len(mirrors))


def _order_of(member: Member, data: IO[bytes]) -> ExportedOrder:
    try:
        exported = ExportedOrder.model_validate_json(data.read())
        problem = exported.problem()
    except (ValueError, KeyError) as error:
        raise DamagedPackage(f"{member.name} in it cannot be read.") from error
    if problem:
        raise DamagedPackage(f"{member.name} in it is not whole: {problem}.")
    return exported


# --- restore ---


async def restore_backup(
    store: Movable, mirrors: Mirrors, volume: Volume, path: Path, tell: Callable[[int], None] = lambda number: None
) -> Contents:
    """Into an empty place only; one that was cut off may be begun again with the same file.

    DamagedPackage and NotEmpty before anything is written. Every order is read back and compared at the end.
    """
    contents = await verify_backup(path)
    await store.check()
    about = await to_thread.run_sync(check_package, path, KIND)
    await _must_be_empty(store, volume, mirrors, about)
    await to_thread.run_sync(_begin, volume, about)
    await _restore_files(mirrors, volume, path)
    restored = 0
    for member, data in read_package(path):
        if member.name == "surroundings.json":
            await store.import_surroundings(Surroundings.model_validate_json(data.read()))
        elif member.name.startswith("orders/"):
            exported = _order_of(member, data)
            await store.import_order(exported)
            if not exported.is_kept_by(await store.export_order(exported.order_id)):
                raise WorkOrderError(
                    f"{exported.order_id} is not as it is in the backup: somebody changed it meanwhile.",
                    next_action="Stop every server that works on this database, empty it, and restore again.",
                )
            restored += 1
            tell(restored)
    await to_thread.run_sync((volume.home / _MARKER).unlink)
    return contents


async def _must_be_empty(store: Movable, volume: Volume, mirrors: Mirrors, about: dict[str, Any]) -> None:
    if await to_thread.run_sync(_begun, volume) == about:
        return
    found = await store.census()
    if found.orders or found.repositories or found.audit:
        raise NotEmpty(
            "The database is not empty.",
            next_action="Restore into a new database: another ARCHON_HOME, or a project with the tables alone.",
        )
    if in_the_way := await to_thread.run_sync(_first_file, volume, mirrors):
        raise NotEmpty(
            f"The volume is not empty: there is {in_the_way}.",
            next_action="Name an empty directory in ARCHON_HOME (and in AWO_REPOSITORY_DIR, AWO_WORK_ORDER_DIR and "
            "AWO_CONFIG_DIR where they are set).",
        )


def _first_file(volume: Volume, mirrors: Mirrors) -> str | None:
    for name in mirrors.names():
        return name
    for folder in volume.folders().values():
        for found in folder.rglob("*"):
            # A server that was started once leaves its own key and locks; without credentials they mean nothing.
            if not found.is_dir() and found.name not in (".key", ".lock"):
                return str(found)
    return None


def _begin(volume: Volume, about: dict[str, Any]) -> None:
    volume.home.mkdir(parents=True, exist_ok=True, mode=0o711)
    (volume.home / _MARKER).write_text(json.dumps(about), encoding="utf-8")


def _begun(volume: Volume) -> Any:
    try:
        return json.loads((volume.home / _MARKER).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None


async def _restore_files(mirrors: Mirrors, volume: Volume, path: Path) -> None:
    with tempfile.TemporaryDirectory(prefix=".awo-restore-", dir=volume.home) as place:
        folder = Path(place)
        await to_thread.run_sync(_extract, volume, path, folder)
        for mirror in sorted((folder / "mirrors").glob("*")):
            await mirrors.load(mirror.name, mirror)


def _extract(volume: Volume, path: Path, aside: Path) -> None:
    folders = {**volume.folders(), "mirrors": aside / "mirrors"}
    for folder in folders.values():
        if not folder.is_dir():
            folder.mkdir(parents=True, mode=0o711)
    for member, data in _of_folders(path, folders):
        top, _, rest = member.name.partition("/")
        write_member(member, data, folders[top] / rest, root=folders[top])


def _of_folders(path: Path, folders: dict[str, Path]) -> Iterator[tuple[Member, IO[bytes]]]:
    return ((member, data) for member, data in read_package(path) if member.name.partition("/")[0] in folders)
