"""Everything of ours on a server's disk, as clean-up sees it: what there is, how large, and whether work is in it that
nobody else has. Decides nothing; looks at nothing that is not ours."""

import time
from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from shutil import rmtree

from anyio import CancelScope
from anyio.to_thread import run_sync

from ..domain.errors import StepFailed
from ..domain.retention import Aside, Kept, Kind, Marks, Reason, Space
from ..ports import PutAside, Survey
from . import disk, refs, removal
from .findings import Finder, Place, orders_in
from .git import Git
from .space import Room

# Sizes are asked for often and change seldom.
MEASURED_FOR = 3600.0
SLICE = 0.1
# Nobody begins with a mirror without fetching it first if the last fetch is this old, whatever the settings say.
MIRROR_IDLE = timedelta(hours=2)
# These take a mirror's lock; the rest is renamed and that is that.
_ALONE = (Kind.ORDER, Kind.MIRROR)


class DiskVolume:
    """ports.Volume of the mirrors and checkouts in one directory and the orders' files in another."""

    def __init__(
        self,
        repositories: Path,
        work_orders: Path,
        marks: Callable[[], Marks],
        room: Room,
        *,
        git: str = "git",
        process_marks: Mapping[str, str] | None = None,
    ) -> None:
        self._repositories, self._work_orders = repositories.absolute(), work_orders.absolute()
        self._mirrors = self._repositories / ".mirrors"
        self._marks, self._room = marks, room
        self._server = self._mirrors / ".server"
        self._git = Git(self._server, git, timedelta(minutes=2), None, process_marks)
        # By path: when it was measured, the directory's own stamp then, and bytes.
        self._sizes: dict[Path, tuple[float, int, int]] = {}
        # Mirrors that hold something of an order, as the last look around found them.
        self._remembering: dict[str, list[Path]] | None = None

    def alone(self) -> AbstractContextManager[bool]:
        """See ports.Volume."""
        return removal.alone(self._server / "clean-up.lock")

    def space(self) -> tuple[Space, Marks]:
        """See ports.Volume."""
        return self._room.space(), self._marks()

    def has_room_for(self, order_id: str) -> bool:
        """See ports.Volume."""
        return self._room.has_room_for(order_id)

    def turned_away(self, still_waiting: Collection[str] | None = None) -> bool:
        """See ports.Volume."""
        if still_waiting is not None:
            self._room.wanted = {name: size for name, size in self._room.wanted.items() if name in still_waiting}
        return bool(self._room.wanted)

    async def size_of(self, paths: Sequence[Path]) -> int:
        """See ports.Volume."""
        return await run_sync(lambda: sum(map(removal.size_of, paths)), abandon_on_cancel=True)

    # --- What there is

    async def survey(self) -> Survey:
        """See ports.Volume. Measures in slices: nothing else on the server waits for it."""
        finder = Finder(self._repositories, self._work_orders)
        places = await run_sync(finder.places)
        self._remembering = finder.remembering
        left = iter(places)
        sizes: dict[Path, int] = {}
        while await run_sync(self._measure_some, left, sizes, abandon_on_cancel=True):
            pass
        for gone in self._sizes.keys() - sizes.keys():
            del self._sizes[gone]
        self._room.learned = await run_sync(_learned, places, sizes)
        kept = await run_sync(lambda: tuple(self._kept(place, sizes.get(place.path, 0)) for place in places))
        return Survey(kept, tuple(finder.problems))

    def _measure_some(self, left: Iterable[Place], sizes: dict[Path, int]) -> bool:
        """For about a tenth of a second; whether there is more."""
        give_up_at = time.monotonic() + SLICE
        for place in left:
            sizes[place.path] = self._size_of(place.path)
            if time.monotonic() > give_up_at:
                return True
        return False

    def _size_of(self, path: Path) -> int:
        try:
            stamp = path.lstat().st_mtime_ns
        except OSError:
            return 0
        known = self._sizes.get(path)
        if known and known[1] == stamp and time.monotonic() - known[0] < MEASURED_FOR:
            return known[2]
        size = removal.size_of(path)
        self._sizes[path] = (time.monotonic(), stamp, size)
        return size

    def _kept(self, place: Place, size: int) -> Kept:
        used_at = datetime.fromtimestamp(place.used_at, UTC)
        in_use = place.in_use
        if place.kind is Kind.MIRROR and in_use is None and time.time() - place.used_at < MIRROR_IDLE.total_seconds():
            in_use = "it was used within the last two hours"
        return Kept(place.kind, place.name, size, used_at, in_use)

    # --- What must stay

    async def unsaved(self, order_id: str, *, changed: bool) -> str | None:
        """See ports.Volume."""
        mirrors = await self._looked_up(order_id)
        for mirror in mirrors:
            try:
                reason = await self._unsaved_in(mirror, order_id)
            except (StepFailed, OSError):
                reason = "its commits cannot be compared with the remote's: the mirror is damaged"
            if reason:
                return reason
        return None if mirrors or not changed else "its work is in no mirror on this disk, and may be nowhere else"

    async def spare_refs(self, order_id: str) -> list[str]:
        """See ports.Volume."""
        spare = []
        for mirror in await self._looked_up(order_id):
            if await run_sync(refs.read_ref, mirror, f"refs/awo/{order_id}/shared") is None:
                continue
            with suppress(StepFailed, OSError):  # nobody knows: it stays
                if await self._unsaved_in(mirror, order_id, elsewhere=("base", "pushed")) is None:
                    key = await run_sync(disk.read_inside, mirror, ["awo", "key"], 4096)
                    spare += [key.decode("utf-8", "replace")] if key else []
        return spare

    async def _unsaved_in(
        self, mirror: Path, order_id: str, elsewhere: Sequence[str] = ("base", "pushed", "shared")
    ) -> str | None:
        own = await run_sync(refs.refs_below, mirror, f"refs/awo/{order_id}/")
        said = {name.removeprefix(f"refs/awo/{order_id}/"): commit for name, commit in own.items()}
        known = {said[name] for name in elsewhere if name in said}
        # Checkpoints that a later one replaced are part of the way and not of the result.
        tips = {said[name] for name in ("head", "agent") if name in said} - known
        if not tips:
            return None
        remote = await run_sync(refs.refs_below, mirror, "refs/remotes/origin/")
        if tips <= set(remote.values()):
            return None
        words = [*sorted(tips), "--not", *sorted(known), "--glob=refs/remotes/origin/*"]
        await run_sync(self._git.prepare)
        found = await self._git.run("rev-list", "--max-count=1", *words, git_dir=mirror)
        return "it has commits that no remote has" if found.stdout.strip() else None

    async def _looked_up(self, order_id: str) -> list[Path]:
        """`_mirrors_of` without a thread where nothing has to be read for it."""
        if self._remembering is not None:
            return self._mirrors_of(order_id)
        return await run_sync(self._mirrors_of, order_id)

    def _mirrors_of(self, order_id: str) -> list[Path]:
        """Those that had something of the order's at the last look around, or have it now if there was none."""
        if self._remembering is not None:
            return self._remembering.get(order_id, [])
        mirrors = [mirror for mirror in sorted(self._mirrors.glob("*.git")) if disk.is_directory(mirror)]
        return [mirror for mirror in mirrors if order_id in orders_in(mirror)]

    # --- Removing

    async def put_aside(self, reason: Reason, still: Callable[[], Awaitable[Sequence[Kept]]]) -> PutAside:
        """See ports.Volume."""
        async with disk.opening(self._repositories):
            going = await still()
            with CancelScope(shield=True):  # bounded: renames, and at most the lock of a mirror for each
                done = await run_sync(self._rename_all, [one for one in going if one.kind not in _ALONE], reason)
                for kept in going:
                    if kept.kind in _ALONE:
                        done = _with(done, await self._put_alone(kept, reason))
        return done

    def _rename_all(self, these: Sequence[Kept], reason: Reason) -> PutAside:
        done = PutAside()
        for kept in these:
            try:
                aside = self._rename(kept, reason)
            except OSError as error:
                done = _with(done, PutAside(refused=((kept, _why(error)),)))
            else:
                done = _with(done, PutAside((kept,), (aside,)) if aside else PutAside())
        return done

    async def _put_alone(self, kept: Kept, reason: Reason) -> PutAside:
        """What takes the lock of a mirror."""
        try:
            if kept.kind is Kind.ORDER:
                await self._forget(kept.name)
                return PutAside(gone=(kept,))
            aside = await self._put_mirror_aside(kept, reason)
        except (OSError, StepFailed) as error:
            return PutAside(refused=((kept, _why(error)),))
        return PutAside((kept,), (aside,)) if aside else PutAside()

    async def _put_mirror_aside(self, kept: Kept, reason: Reason) -> Aside | None:
        # Under its own locks, so that nobody leans on it, fetches it or clones it meanwhile.
        name = kept.name.removesuffix(".git")
        with (
            removal.alone(self._mirrors / f"{name}.use.lock") as unused,
            removal.alone(self._mirrors / f"{name}.lock") as ours,
        ):
            if not (unused and ours) or await run_sync(lambda: bool(orders_in(self._mirrors / kept.name))):
                return None
            return await run_sync(self._rename, kept, reason)

    def _rename(self, kept: Kept, reason: Reason) -> Aside | None:
        path = self._path_of(kept)
        trash = (self._work_orders if kept.kind is Kind.ARTIFACTS else self._repositories) / ".trash"
        if kept.kind is Kind.MIRROR:
            name = kept.name.removesuffix(".git")
            for borrowing in (self._repositories / ".ready" / name, self._repositories / ".setup" / name):
                disk.set_aside(borrowing, trash)
        elif kept.of_an_order and not disk.is_directory(path):
            return None
        name = kept.name.replace("/", "--")
        return removal.put_aside(path, trash, kept.kind, name, kept.size_bytes, reason)

    def _path_of(self, kept: Kept) -> Path:
        match kept.kind:
            case Kind.CHECKOUT:
                return self._repositories / kept.name
            case Kind.ARTIFACTS:
                return self._work_orders / kept.name
            case Kind.MIRROR | Kind.LEFTOVER:
                return self._mirrors / kept.name
            case Kind.PREPARED:
                return self._repositories / ".ready" / kept.name
            case Kind.CACHE:
                return self._repositories / ".setup" / kept.name
            case Kind.ORDER:
                raise ValueError("what mirrors remember of an order has no place of its own")

    async def _forget(self, order_id: str) -> None:
        """What the mirrors hold of an order: refs and the server's own notes. Objects stay until they are packed."""
        for mirror in await self._looked_up(order_id):
            async with disk.held(self._mirrors / f"{mirror.name.removesuffix('.git')}.lock", lambda: False):
                await run_sync(_forget_in, mirror, order_id)
                packed = await run_sync(refs.refs_below, mirror, f"refs/awo/{order_id}/")
                lines = "".join(f"delete {name}\n" for name in packed)
                if lines:
                    await self._git.run("update-ref", "--stdin", git_dir=mirror, stdin=lines.encode())

    async def untold(self) -> list[Aside]:
        """See ports.Volume."""
        return await run_sync(lambda: [aside for trash in self._trashes() for aside in removal.untold(trash)])

    async def told(self, asides: Sequence[Aside]) -> None:
        """See ports.Volume."""

        def tell() -> None:
            for trash in self._trashes():
                for aside in asides:
                    removal.told(trash, aside)

        await run_sync(tell)

    async def sweep(self, at_most: timedelta) -> tuple[bool, list[str]]:
        """See ports.Volume."""
        problems: list[str] = []
        all_gone = True
        give_up_at = time.monotonic() + at_most.total_seconds()
        for trash in self._trashes():
            while True:
                gone, found = await run_sync(removal.sweep, trash, SLICE)
                if gone or time.monotonic() > give_up_at:
                    break
            all_gone = all_gone and gone
            problems += found
        return all_gone, problems

    def _trashes(self) -> tuple[Path, Path]:
        return self._repositories / ".trash", self._work_orders / ".trash"


def _with(done: PutAside, more: PutAside) -> PutAside:
    return PutAside(done.gone + more.gone, done.asides + more.asides, done.refused + more.refused)


def _why(error: OSError | StepFailed) -> str:
    return error.message.rstrip(".") if isinstance(error, StepFailed) else error.strerror or type(error).__name__


def _learned(places: Iterable[Place], sizes: Mapping[Path, int]) -> dict[str, int]:
    """How large a checkout of each mirror is, for those who want to make another one."""
    learned: dict[str, int] = {}
    for place in places:
        mirror = f"{place.name.split('/')[0]}.git" if place.kind is Kind.PREPARED else place.mirror
        if mirror and (size := sizes.get(place.path)):
            learned[mirror] = max(size, learned.get(mirror, 0))
    return learned


def _forget_in(mirror: Path, order_id: str) -> None:
    for folder in (mirror / "refs" / "awo" / order_id, mirror / "awo" / order_id):
        if disk.is_directory(folder):
            rmtree(folder, ignore_errors=True)
    # Only ever locked under the lock that we hold: whoever left it is gone.
    (mirror / "packed-refs.lock").unlink(missing_ok=True)
