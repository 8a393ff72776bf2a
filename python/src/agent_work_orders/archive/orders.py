"""An order that has ended, out of the lists and its files onto a shelf, and back: here or on another server.

What goes: the order as its store has it, its prompts, outputs and evidence, and its branch. What stays out: the agent's
own home (a retry then begins a new session) and raw output, which nobody has redacted.
"""

import logging
import os
import re
import shutil
import tempfile
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from pathlib import Path
from typing import Protocol

import anyio
from anyio import CancelScope, to_thread

from ..domain.errors import FailureClass, NotFound, StepFailed, WorkOrderError, WrongState
from ..domain.exported import ExportedOrder
from ..domain.repository import Repository, named_repository
from ..domain.work_order import WorkOrder
from ..ports import Branches, Secrets
from .move import Movable
from .package import DamagedPackage, check_package, new_package, read_package, write_member
from .shelf import Shelf

logger = logging.getLogger(__name__)

KIND = "archive"
CLEAN_UP_SECONDS = 60.0
_ASIDE, _A_DAY = ".awo-archive-", 86_400.0
_LEFT_OUT = frozenset({"home", "run"})
_ORDER_ID = re.compile(r"wo-[0-9a-f]{16}\Z")


class Keeper(Branches, Protocol):
    """Checkouts whose branches can be carried, and that go when their order goes."""

    async def remove(self, order: WorkOrder, repository: Repository) -> None: ...


class OrderArchive:
    """Puts orders away and brings them back. Each half may be repeated after a crash and goes on."""

    def __init__(
        self,
        store: Movable,
        checkouts: Keeper,
        shelf: Callable[[], Awaitable[Shelf]],
        repository: Callable[[str], Repository],
        secrets: Secrets,
        work_orders_dir: Path,
    ) -> None:
        self._store, self._checkouts, self._shelf, self._repository = store, checkouts, shelf, repository
        self._secrets, self._work_orders_dir = secrets, work_orders_dir

    async def archive(self, order_id: str) -> WorkOrder:
        """See ports.Archive. Nothing is removed before the shelf has given back what it was given."""
        order = await self._store.get(order_id)
        if not order.status.is_terminal:
            raise WrongState(f"{order_id} is {order.status}; only an order that has ended can be archived.")
        if order.archived_at is None:
            shelf = await self._shelf()
            with self._aside() as place:
                exported = await self._store.export_order(order_id)
                package = await self._pack(order, exported, Path(place))
                await shelf.put(_name(order_id), package)
            order = await self._store.archive(order_id)
            if (order.last_seq, order.attempt) != (exported.order["last_seq"], exported.order["attempt"]):
                await self._store.unarchive(order_id)
                raise WrongState(f"{order_id} moved on while it was archived; nothing was removed.")
        with CancelScope(shield=True), anyio.move_on_after(CLEAN_UP_SECONDS):
            await self._remove_files(order)
        return order

    async def unarchive(self, order_id: str) -> WorkOrder:
        """See ports.Archive. The order is back in the lists only once its files are there."""
        try:
            known: WorkOrder | None = await self._store.get(order_id)
        except NotFound:
            known = None
        if known is not None and known.archived_at is None:
            return known
        shelf = await self._shelf()
        with self._aside() as place:
            folder, package = Path(place), Path(place, "package")
            await shelf.get(_name(order_id), package)
            await to_thread.run_sync(check_package, package, KIND)
            exported = await to_thread.run_sync(self._unpack, package, folder, order_id)
            if (folder / "branch").is_dir():
                await self._bring_branch(known, exported, folder / "branch")
        if known is not None:
            return await self._store.unarchive(order_id)
        await self._store.import_order(exported)
        return await self._store.get(order_id)

    async def forget(self, order_id: str) -> None:
        """See ports.Archive."""
        await (await self._shelf()).remove(_name(order_id))

    def _aside(self) -> tempfile.TemporaryDirectory[str]:
        """On the volume, because orders may be larger than what a machine has for temporary files.

        What a server left that was killed a day ago or longer goes now.
        """
        self._work_orders_dir.mkdir(parents=True, exist_ok=True)
        for left in self._work_orders_dir.glob(f"{_ASIDE}*"):
            with suppress(OSError):
                if left.lstat().st_mtime < time.time() - _A_DAY:
                    shutil.rmtree(left)
        return tempfile.TemporaryDirectory(prefix=_ASIDE, dir=self._work_orders_dir)

    async def _pack(self, order: WorkOrder, exported: ExportedOrder, place: Path) -> Path:
        branch, path = place / "branch", place / "package"
        branch.mkdir()
        await self._checkouts.bundle(order, named_repository(order.repository_url), branch)

        def write() -> None:
            about = {"agent_work_order_id": exported.order_id, "digest": exported.digest()}
            with new_package(path, KIND, about) as package:
                package.add_bytes("order.json", exported.model_dump_json().encode())
                package.add_tree("files", self._work_orders_dir / exported.order_id, without=_LEFT_OUT)
                package.add_tree("branch", branch)

        await to_thread.run_sync(write)
        return path

    def _unpack(self, package: Path, folder: Path, order_id: str) -> ExportedOrder:
        """Files of the order go to their place, those of its branch into `folder`."""
        exported: ExportedOrder | None = None
        root = self._work_orders_dir
        for member, data in read_package(package):
            top, _, rest = member.name.partition("/")
            if member.name == "order.json":
                exported = ExportedOrder.model_validate_json(data.read())
                if exported.order_id != order_id or exported.problem():
                    raise DamagedPackage(f"The archive of {order_id} holds something else.")
            elif top == "files":
                write_member(member, data, root / order_id / rest, root=root)
            elif top == "branch":
                write_member(member, data, folder / member.name, root=folder)
        if exported is None:
            raise DamagedPackage(f"The archive of {order_id} holds no order.")
        return exported

    async def _bring_branch(self, known: WorkOrder | None, exported: ExportedOrder, folder: Path) -> None:
        order = known or WorkOrder.model_validate({**exported.order, "rev": 0})
        repository = self._repository(order.repository_url)
        token = await self._secrets.get("GITHUB_TOKEN", repository)
        await self._checkouts.unbundle(order, repository, token, folder)

    async def _remove_files(self, order: WorkOrder) -> None:
        order_id = order.agent_work_order_id
        try:
            await self._checkouts.remove(order, named_repository(order.repository_url))
            await to_thread.run_sync(_remove_tree, self._work_orders_dir / order_id)
        except (WorkOrderError, OSError) as error:
            logger.warning("%s is archived, but its files here could not all be removed: %s", order_id, error)
            raise StepFailed(
                FailureClass.DISK,
                f"{order_id} is archived, but its files here could not all be removed.",
                next_action="Mend the permissions of the volume, then archive it again: that goes on where it stopped.",
            ) from error


def _remove_tree(folder: Path) -> None:
    # An agent may have closed a directory to its owner; links are not followed, neither here nor by rmtree.
    for parent, names, _ in os.walk(folder):
        for name in names:
            directory = Path(parent, name)
            if not directory.is_symlink():
                directory.chmod(0o700)
    with suppress(FileNotFoundError):
        shutil.rmtree(folder)


def _name(order_id: str) -> str:
    if not _ORDER_ID.match(order_id):
        raise NotFound(f"There is no work order {order_id}.")
    return f"{order_id}.tar.gz"
