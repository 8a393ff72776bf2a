"""Keeps mirrors fast and small to read: few packs, and a commit-graph. Seldom, behind everything else, and never at the
cost of an object: checkouts borrow from mirrors, and no mirror knows what from it."""

import json
import logging
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from shutil import rmtree

import anyio
from anyio import Event as Signal
from anyio.to_thread import run_sync

from ..domain.errors import StepFailed
from ..ports import MirrorView
from . import disk, removal
from .findings import orders_in
from .git import Git
from .repair import BROUGHT_OVER

logger = logging.getLogger("archon.awo")

LOOK_EVERY = timedelta(minutes=20)
AT_MOST_EVERY = timedelta(days=1)
# Above either, reading is slower than it need be.
MAX_PACKS = 20
MAX_LOOSE = 2000
# A command that wrote them has long been ended by its time limit.
DRAFTS_FOR = timedelta(days=1)
# So long what was read from a damaged mirror may be checked by hand.
BROKEN_FOR = timedelta(days=7)

# Bytes of each mirror, and the state of its objects when they were counted. Whoever asks gets what is known.
_sizes: dict[Path, tuple[tuple[int, ...], int]] = {}


async def keep_up(git: Git, directory: Path, limit: timedelta, stopping: Signal) -> None:
    """Looks after the mirrors in `directory` from time to time, until the server stops."""
    while True:
        with anyio.move_on_after(LOOK_EVERY.total_seconds()):
            await stopping.wait()
            return
        try:
            await run_sync(_clear_broken, directory)
            await run_sync(_forget_sizes, directory)
            for mirror in await run_sync(mirrors_in, directory):
                await maintain(git, mirror, limit)
                await run_sync(measure, mirror, abandon_on_cancel=True)
        except OSError as error:
            logger.warning("The mirrors cannot be looked after: %s", error)


async def maintain(git: Git, mirror: Path, limit: timedelta) -> bool:
    """Packs a mirror if it is worth it and has not been done for a day; whether it was done.

    Fetches, checkouts and agents go on meanwhile: what they read is there all the time, in one pack or in another.
    """
    if not await run_sync(_is_worth_it, mirror):
        return False
    name = mirror.name.removesuffix(".git")
    in_use, packing = mirror.with_name(f"{name}.use.lock"), mirror.with_name(f"{name}.pack.lock")
    # Shared with all who lean on it, so that nobody exchanges the mirror meanwhile; and one packs at a time.
    shared = disk.held(in_use, lambda: False, shared=True)
    async with shared, disk.held(packing, lambda: not _is_due(mirror)) as ours:
        return ours and await _packed(git, mirror, limit)


async def _packed(git: Git, mirror: Path, limit: timedelta) -> bool:
    began = time.monotonic()
    try:
        await run_sync(_clear_drafts, mirror)
        await _pack(git, mirror, limit)
    except StepFailed as failure:
        # Whoever stumbles over damage for an order mends it: that one has the credential for a new clone.
        logger.warning("%s could not be packed: %s", mirror.name, failure.message)
        return False
    finally:
        disk.make_directory(mirror / "awo")
        (mirror / "awo" / "maintained").touch()
    logger.info("%s was packed in %.1f s.", mirror.name, time.monotonic() - began)
    return True


async def _pack(git: Git, mirror: Path, limit: timedelta) -> None:
    thrifty = {"pack.threads": "1", "pack.windowMemory": "128m", "core.commitGraph": "true"}
    if not any((mirror / "objects" / "pack").glob("*.promisor")):
        # Joins small packs and loose objects, needed by a ref or not; a large pack is left alone.
        repack = ("repack", "--geometric=2", "-d", "-l", "-q", "--no-write-bitmap-index")
        await git.run(*repack, git_dir=mirror, limit=limit, behind=True, settings=thrifty)
    if not (mirror / "shallow").exists():
        graph = ("commit-graph", "write", "--reachable", "--split", "--no-progress")
        await git.run(*graph, git_dir=mirror, limit=limit, behind=True, settings=thrifty)


def mirrors_in(directory: Path) -> list[Path]:
    return [path for path in sorted(directory.glob("[!.]*.git")) if disk.is_directory(path)]


def views_of(directory: Path) -> list[MirrorView]:
    """See ports.Checkouts.mirrors. Mirrors that do not say whose they are, because they are half made, are left out."""
    found = []
    for path in mirrors_in(directory):
        key = disk.read_inside(path, ["awo", "key"], 4096)
        if key is not None:
            name, orders = key.decode("utf-8", "replace"), len(orders_in(path))
            found.append(MirrorView(name, size_of(path), _fetched_at(path), orders))
    return found


def size_of(mirror: Path) -> int:
    """Bytes on the disk, as last measured: with every look at the mirrors, and when nobody has measured it yet."""
    known = _sizes.get(mirror)
    return measure(mirror) if known is None else known[1]


def measure(mirror: Path) -> int:
    """Bytes on the disk now; counted anew only if objects have come or gone."""
    stamp = tuple(_changed_at(mirror / "objects" / name) for name in ("", "pack"))
    known = _sizes.get(mirror)
    if known is None or known[0] != stamp:
        known = _sizes[mirror] = (stamp, removal.size_of(mirror))
    return known[1]


def _forget_sizes(directory: Path) -> None:
    for gone in [mirror for mirror in _sizes if mirror.parent == directory and not mirror.exists()]:
        del _sizes[gone]


def _fetched_at(mirror: Path) -> datetime | None:
    data = disk.read_inside(mirror, ["awo", "fetched.json"], 4096)
    try:
        return datetime.fromtimestamp(json.loads(data)["at"], UTC) if data else None
    except (ValueError, TypeError, KeyError, OverflowError):
        return None


def _is_worth_it(mirror: Path) -> bool:
    if not _is_due(mirror):
        return False
    packs = sum(1 for _ in (mirror / "objects" / "pack").glob("*.pack"))
    # As git estimates it: ids are spread evenly, so one directory of 256 tells of all.
    loose = 256 * max(sum(1 for _ in (mirror / "objects" / name).glob("*")) for name in ("17", "8e"))
    return packs > MAX_PACKS or loose > MAX_LOOSE or not (mirror / "objects" / "info" / "commit-graphs").is_dir()


def _is_due(mirror: Path) -> bool:
    return time.time() - _changed_at(mirror / "awo" / "maintained") / 1e9 > AT_MOST_EVERY.total_seconds()


def _changed_at(path: Path) -> int:
    try:
        return path.lstat().st_mtime_ns
    except OSError:
        return 0


def _clear_drafts(mirror: Path) -> None:
    """What gits that were killed left behind: nobody reads it, and nobody else would take it away."""
    folders = [mirror / "objects" / "pack", mirror / "objects" / "info" / "commit-graphs", mirror / "awo"]
    folders += (mirror / "objects").glob("[0-9a-f][0-9a-f]")
    for folder in folders:
        for path in (*folder.glob("tmp_*"), *folder.glob(".tmp-*"), *folder.glob("*.lock")):
            if path.is_file() and time.time() - _changed_at(path) / 1e9 > DRAFTS_FOR.total_seconds():
                path.unlink(missing_ok=True)


def _clear_broken(directory: Path) -> None:
    """Damaged mirrors of which all that could be read was read long ago."""
    for aside in directory.glob("*.broken-*"):
        done = _changed_at(aside / "awo" / BROUGHT_OVER)
        if done and time.time() - done / 1e9 > BROKEN_FOR.total_seconds():
            rmtree(aside, ignore_errors=True)
