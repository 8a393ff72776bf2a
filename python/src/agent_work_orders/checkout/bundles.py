"""What orders keep in mirrors, as files that can be carried: git bundles, with the refs and states beside them.

A bundle of a whole mirror stands alone; that of one order builds on its base commit, which its remote has.
"""

import json
import secrets
from pathlib import Path
from shutil import rmtree
from typing import Any

from anyio import CancelScope
from anyio.to_thread import run_sync

from ..domain.errors import NotFound
from . import disk, refs
from .failures import refused
from .git import Git
from .mirror import CONFIG, ORDER_ID, Mirror

ABOUT, OBJECTS = "refs.json", "objects.bundle"
_KEPT = "refs/awo/"
_MAX_ABOUT = 64 * 1024 * 1024


class MirrorBundles:
    """All that the orders of each mirror keep, for a backup. `mirrors` is the directory of the mirrors."""

    def __init__(self, git: Git, mirrors: Path) -> None:
        self._git, self._mirrors = git, mirrors

    def names(self) -> list[str]:
        """Mirrors in which orders keep something."""
        found = sorted(self._mirrors.glob("*.git"))
        return [path.name for path in found if not path.name.startswith(".") and refs.refs_below(path, _KEPT)]

    async def save(self, name: str, folder: Path) -> None:
        """Into an empty folder. Also while orders work: the refs are those that the bundle holds."""
        path = self._path(name)
        await run_sync(self._git.prepare)
        bundle = folder / OBJECTS
        await self._git.run("bundle", "create", "-q", str(bundle), f"--glob={_KEPT}", git_dir=path)
        listing = await self._git.run("bundle", "list-heads", str(bundle), git_dir=path)
        lines = [line.partition(" ") for line in listing.stdout.decode().splitlines()]
        held = {name: commit for commit, _, name in lines}
        orders = sorted({ref.removeprefix(_KEPT).partition("/")[0] for ref in held})
        states = {order_id: state for order_id in orders if (state := _state_text(path, order_id)) is not None}
        await run_sync(_write_about, folder, held, states)

    async def load(self, name: str, folder: Path) -> None:
        """What `save` wrote, into a mirror that may not be there yet; a fetch makes it as new as the remote later."""
        path = self._path(name)
        await run_sync(self._git.prepare)
        if await run_sync(path.is_dir):
            await _take_in(self._git, path, folder)
            return
        draft = self._mirrors / f".{name}.{secrets.token_hex(4)}.tmp"
        try:
            await self._git.run("init", "-q", "--bare", "--template=", "--", str(draft))
            await run_sync(_make_ours, draft)
            await _take_in(self._git, draft, folder)
            await run_sync(draft.rename, path)
        finally:
            with CancelScope(shield=True):
                await run_sync(rmtree, draft, True)

    def _path(self, name: str) -> Path:
        if "/" in name or name.startswith(".") or not name.endswith(".git"):
            raise ValueError(f"not the name of a mirror: {name!r}")
        return self._mirrors / name


async def save_order(git: Git, mirror: Mirror, order_id: str, folder: Path) -> bool:
    """What one order keeps, into an empty folder; False if it keeps nothing."""
    held = await run_sync(refs.refs_below, mirror.path, f"{_KEPT}{order_id}/")
    base = held.get(f"{_KEPT}{order_id}/base")
    if base is None:
        return False
    if set(held.values()) != {base}:
        words = ("bundle", "create", "-q", str(folder / OBJECTS), f"--glob={_KEPT}{order_id}/", f"^{base}")
        await git.run(*words, git_dir=mirror.path)
    state = _state_text(mirror.path, order_id)
    await run_sync(_write_about, folder, held, {} if state is None else {order_id: state})
    return True


async def load_order(git: Git, mirror: Mirror, order_id: str, folder: Path) -> None:
    """What `save_order` wrote. StepFailed (git) where the mirror lacks the commit that it builds on."""
    about = await run_sync(_read_about, folder)
    base = about["refs"].get(f"{_KEPT}{order_id}/base", "")
    if any(not name.startswith(f"{_KEPT}{order_id}/") for name in about["refs"]):
        raise refused("The archive holds refs of another order", "Take another copy of the archive.")
    known = await git.run("cat-file", "-e", f"{base}^{{commit}}", git_dir=mirror.path, expect=(0, 1, 128))
    if known.exit_code:
        raise refused(
            f"The repository no longer has the commit {base[:12]} that this order started from",
            "Push that commit to a branch of the repository again, then unarchive the order.",
        )
    await _take_in(git, mirror.path, folder)


async def _take_in(git: Git, path: Path, folder: Path) -> None:
    """Objects first, then what leads to them."""
    about = await run_sync(_read_about, folder)
    if await run_sync((folder / OBJECTS).is_file):
        await git.run("bundle", "unbundle", str(folder / OBJECTS), git_dir=path)
    lines = "".join(f"update {name} {commit}\n" for name, commit in about["refs"].items())
    await git.run("update-ref", "--stdin", git_dir=path, stdin=lines.encode())
    await run_sync(_write_states, path, about["states"])


def _make_ours(git_dir: Path) -> None:
    disk.write_whole(git_dir / "HEAD", b"ref: refs/heads/none\n")
    disk.write_whole(git_dir / "config", CONFIG)
    disk.make_directory(git_dir / "awo")


def _state_text(path: Path, order_id: str) -> str | None:
    data = disk.read_inside(path, ["awo", order_id, "state.json"], 4096)
    return None if data is None else data.decode()


def _write_states(path: Path, states: dict[str, str]) -> None:
    for order_id, text in states.items():
        if not ORDER_ID.match(order_id):
            raise ValueError(f"not an order id: {order_id!r}")
        disk.make_directory(path / "awo" / order_id)
        disk.write_whole(path / "awo" / order_id / "state.json", text.encode())


def _write_about(folder: Path, held: dict[str, str], states: dict[str, str]) -> None:
    disk.write_whole(folder / ABOUT, json.dumps({"refs": held, "states": states}, sort_keys=True).encode(), 0o600)


def _read_about(folder: Path) -> dict[str, Any]:
    data = disk.read_inside(folder, [ABOUT], _MAX_ABOUT)
    if data is None:
        raise NotFound(f"There is no {ABOUT} in {folder}.")
    about: dict[str, Any] = json.loads(data)
    for name, commit in about["refs"].items():
        if not name.startswith(_KEPT) or not refs.COMMIT.match(commit) or any(sign in name for sign in " \n"):
            raise refused("The archive holds a ref that is none of ours", "Take another copy of the archive.")
    return about
