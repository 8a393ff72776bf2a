"""Mends a mirror that a power cut, a full disk or a failing one has damaged; what orders keep in it is never given up.

Puts back what is the server's own, finds out whether objects are gone, and carries readable work into a new clone.
"""

import logging
import re
import time
from collections.abc import Sequence
from contextlib import suppress
from datetime import timedelta
from pathlib import Path
from secrets import token_hex
from shutil import copytree
from tempfile import TemporaryFile

from anyio.to_thread import run_sync

from ..domain.errors import StepFailed
from . import disk, refs
from .git import Git

logger = logging.getLogger("archon.awo")

HEAD = b"ref: refs/heads/none\n"
KEPT = "refs/awo/"
REMOTE = "refs/remotes/"
BROUGHT_OVER = "brought-over"
# What a newer file of ours replaces, and git makes again from the objects.
_DERIVED = ("info/commit-graph", "info/commit-graphs", "pack/multi-pack-index")
# `git fsck` says in this bit alone that an old commit is not formed as it should be; that is no damage of ours.
_ILL_FORMED = 1
_TELLING = re.compile(
    r"^(missing|broken link|fatal:|error: (?!in )|.*(corrupt|hash mismatch|unable to|does not match|is empty))", re.I
)


def put_back(mirror: Path, configs: Sequence[bytes]) -> list[str]:
    """What can be mended on the spot, under the mirror's lock: words for what was. Blocks.

    `configs` are those that a mirror of ours may have, a plain one first and a partial one last.

    Refs of the remote that cannot be read are taken away, so that the next fetch brings them; refs of orders too, since
    one that cannot be read says nothing any more.
    """
    found = []
    for directory in ("objects/info", "objects/pack", "refs/heads"):
        disk.make_directory(mirror / directory)
    if disk.read_inside(mirror, ["HEAD"], refs.MAX_LOOSE) != HEAD:
        disk.write_whole(mirror / "HEAD", HEAD)
        found.append("HEAD")
    if disk.read_inside(mirror, ["config"], refs.MAX_PACKED) not in configs:
        partial = any((mirror / "objects" / "pack").glob("*.promisor"))
        disk.write_whole(mirror / "config", configs[-1] if partial else configs[0])
        found.append("config")
    packed = disk.read_inside(mirror, ["packed-refs"], refs.MAX_PACKED)
    if packed is not None and (whole := refs.readable_part(packed)) != packed:
        disk.write_whole(mirror / "packed-refs", whole)
        found.append("packed-refs")
    for path in [path for top in (KEPT, REMOTE) for path in (mirror / top).rglob("*")]:
        name = path.relative_to(mirror).as_posix()
        if path.is_file() and not path.name.endswith(".lock") and refs.read_loose(mirror, name) is None:
            path.unlink()
            found.append(name)
    for path in mirror.glob("objects/[0-9a-f][0-9a-f]/*"):
        if path.is_file() and path.stat().st_size == 0:
            path.unlink()  # left by a power cut; there may be a whole one in a pack
            found.append("empty objects")
    if found:
        (mirror / "awo" / "fetched.json").unlink(missing_ok=True)
    return list(dict.fromkeys(found))


def forget_derived(mirror: Path) -> None:
    """Takes away what git reads faster by and can make again: it may itself be what is damaged."""
    for name in _DERIVED:
        path = mirror / "objects" / name
        for one in [path, *path.glob("*")] if path.is_dir() else [path]:
            if one.is_file():
                one.unlink()


async def damage(git: Git, mirror: Path, limit: timedelta) -> str | None:
    """What is damaged in a mirror, in git's own words; None when every object is there and as it was written."""
    checked = await git.run(
        "fsck", "--full", "--no-dangling", "--no-progress", "--no-reflogs",
        git_dir=mirror, limit=limit, behind=True, expect=range(-64, 256),
    )  # fmt: skip
    if checked.exit_code in (0, _ILL_FORMED) and not _telling(checked.stderr):
        return None
    said = _telling(checked.stderr) or _telling(checked.stdout.decode("utf-8", "replace"))
    return said or f"git fsck ended with {checked.exit_code}"


def _telling(text: str) -> str | None:
    return next((line.strip()[:200] for line in text.splitlines() if _TELLING.match(line.strip())), None)


def left_behind(mirror: Path, around: Sequence[str]) -> list[Path]:
    """Damaged mirrors of a repository, aside or in place, from which nobody has brought over what orders keep.

    `around` are the names in its directory.
    """
    start = f"{mirror.name.removesuffix('.git')}.broken-"
    asides = [mirror.parent / name for name in sorted(around) if name.startswith(start)]
    waiting = [one for one in asides if not (one / "awo" / BROUGHT_OVER).exists()]
    return [*waiting, *([mirror] if disk.is_directory(mirror) else [])]


def put_in_place(git_dir: Path, mirror: Path, left: list[Path]) -> None:
    """Gives a new mirror its name; what had it is kept aside, in case more can be read of it than we could."""
    if mirror in left:
        aside = mirror.with_name(f"{mirror.name.removesuffix('.git')}.broken-{int(time.time())}-{token_hex(2)}")
        mirror.rename(aside)
        left = [aside if old == mirror else old for old in left]
    with suppress(OSError):  # another server was faster; its mirror is as good, and ours goes with the draft
        git_dir.rename(mirror)
    for old in left:
        disk.make_directory(old / "awo")
        (old / "awo" / BROUGHT_OVER).touch()


async def bring_over(git: Git, old: Path, new: Path, limit: timedelta) -> list[str]:
    """Carries what orders keep in `old` into `new`, object by object where they are readable; what could not come.

    `new` is whole and has no work of orders yet. Every object's id is computed anew on the way.
    """
    await run_sync(_join_shallow, old, new)
    kept = await run_sync(refs.refs_below, old, KEPT)
    known = set((await run_sync(refs.refs_below, new, REMOTE)).values())
    orders: dict[str, dict[str, str]] = {}
    for name, commit in kept.items():
        orders.setdefault(name.split("/")[2], {})[name] = commit
    lost: list[str] = []
    for order_id, names in orders.items():
        if await _carry(git, old, new, set(names.values()), known, limit):
            await run_sync(_keep, new, names)
            continue
        # One bad object must not cost the rest: the base first, then whatever stands on it.
        in_turn = sorted(names, key=_base_first)
        ours = [name for name in in_turn if await _carry(git, old, new, {names[name]}, known, limit)]
        await run_sync(_keep, new, {name: names[name] for name in ours})
        lost += [name for name in names if name not in ours]
        logger.warning("Of %s only %s could be read in the damaged mirror %s.", order_id, ours or "nothing", old.name)
    await run_sync(_copy_notes, old, new)
    return lost


def _join_shallow(old: Path, new: Path) -> None:
    """History that was never fetched ends where either says: commits of orders may stand on an older end."""
    ends = {line for one in (old, new) for line in (disk.read_inside(one, ["shallow"], 1 << 24) or b"").splitlines()}
    ends = {line for line in ends if refs.COMMIT.match(line.decode("ascii", "replace"))}
    if ends and disk.read_inside(old, ["shallow"], 1 << 24):
        disk.write_whole(new / "shallow", b"".join(line + b"\n" for line in sorted(ends)))


def _base_first(name: str) -> tuple[bool, str]:
    return (not name.endswith("/base"), name)


def _keep(mirror: Path, names: dict[str, str]) -> None:
    for name, commit in names.items():
        refs.write_ref(mirror, name, commit)


def _copy_notes(old: Path, new: Path) -> None:
    """The server's own notes and indexes, by order."""
    for path in sorted((old / "awo").glob("*")):
        if disk.is_directory(path):
            copytree(path, new / "awo" / path.name, symlinks=True, dirs_exist_ok=True)


async def _carry(git: Git, old: Path, new: Path, commits: set[str], known: set[str], limit: timedelta) -> bool:
    """Whether the commits and all that belongs to them is in `new` now."""
    wanted = "".join(f"{commit}\n" for commit in [*sorted(commits), *(f"^{commit}" for commit in sorted(known))])
    objects = str(old / "objects").replace("\\", "\\\\").replace('"', '\\"')
    with TemporaryFile(dir=new) as pack:
        try:
            await git.run(
                "pack-objects", "--revs", "--stdout", "--delta-base-offset", "--no-use-bitmap-index", "-q",
                git_dir=new, environment={"GIT_ALTERNATE_OBJECT_DIRECTORIES": f'"{objects}"'},
                stdin=wanted.encode(), stdout=pack, limit=limit,
            )  # fmt: skip
            pack.seek(0)
            await git.run("index-pack", "--stdin", git_dir=new, stdin=pack, limit=limit)
        except StepFailed as failure:
            logger.warning("Not readable in the damaged mirror %s: %s", old.name, failure.message)
            return False
    return True
