"""What a set-up command made, kept for the next checkout with the same inputs. It never runs a command itself.

A cache file is a tar of all that git does not track, written and unpacked as the agent's user, in a directory of the
server's. Which set-up it is of is told by a hash of the command and of the files that it was said to depend on.
"""

import hashlib
import json
import secrets
import shutil
from contextlib import suppress
from datetime import timedelta
from pathlib import Path

from anyio.to_thread import run_sync

from ..domain.errors import StepFailed
from ..domain.repository import RepositoryOptions
from . import disk
from .git import Git
from .mirror import Mirror

KEPT = 3  # of each mirror, the last that were used
LIMIT = timedelta(minutes=10)
NO_KEY = ""  # where there is no set-up command


class SetUps:
    """The cache files of a volume, in `.setup/<mirror>/<hash>.tar`; anybody may delete any of them."""

    def __init__(self, git: Git, directory: Path) -> None:
        self._git, self._directory = git, directory

    async def key(self, mirror: Mirror, commit: str, options: RepositoryOptions) -> str:
        """Names the set-up of a commit; empty where there is no command. One that names no inputs is not cached."""
        if options.setup_command is None:
            return NO_KEY
        inputs = b""
        if options.setup_inputs:
            words = ("ls-tree", "-r", "-z", "--full-tree", commit, "--", *options.setup_inputs)
            inputs = (await self._git.run(*words, git_dir=mirror.path)).stdout
        said = [options.setup_command, sorted(options.environment.items()), sorted(options.files.items())]
        name = hashlib.sha256(json.dumps(said).encode() + b"\0" + inputs).hexdigest()[:40]
        return name if options.setup_inputs else f"always-{name}"

    def has(self, mirror: Mirror, key: str) -> bool:
        return (self._directory / mirror.name / f"{key}.tar").is_file()

    async def restore(self, mirror: Mirror, key: str, root: Path) -> tuple[str, ...] | None:
        """Unpacks what the set-up made into a new checkout; the lines that hide it, or None if it is not here."""
        if not is_cached(key):
            return None
        kept = self._directory / mirror.name / f"{key}.tar"
        try:
            with kept.open("rb") as tar:
                await self._git.tar("--extract", "--file=-", "--no-same-owner", cwd=root, limit=LIMIT, stdin=tar)
            await run_sync(kept.touch)
        except FileNotFoundError:
            return None
        hidden = await run_sync(disk.read_inside, kept.parent, [f"{key}.hidden"], 1 << 20)
        return tuple((hidden or b"").decode("utf-8", "replace").splitlines())

    async def keep(self, mirror: Mirror, key: str, root: Path, paths: bytes, hidden: tuple[str, ...]) -> None:
        """Packs `paths` (NUL after each) of a checkout in which nothing runs. What cannot be packed is not cached."""
        if not is_cached(key) or shutil.which("tar") is None:
            return
        place = self._directory / mirror.name
        await run_sync(disk.make_directory, self._directory, 0o700)
        await run_sync(disk.make_directory, place, 0o700)
        draft = place / f".{secrets.token_hex(8)}"
        try:
            with draft.open("xb") as tar:
                words = ("--create", "--file=-", "--null", "--verbatim-files-from", "--files-from=-")
                await self._git.tar(*words, cwd=root, limit=LIMIT, stdin=paths, stdout=tar)
            await run_sync(disk.write_whole, place / f"{key}.hidden", "\n".join(hidden).encode())
            await run_sync(draft.rename, place / f"{key}.tar")
        except StepFailed:
            pass  # a file that nobody may read, say: the next checkout runs the command itself
        finally:
            draft.unlink(missing_ok=True)
        await run_sync(self._forget_old, place)

    def _forget_old(self, place: Path) -> None:
        kept = sorted(place.glob("*.tar"), key=lambda path: path.stat().st_mtime, reverse=True)
        for path in kept[KEPT:]:
            with suppress(FileNotFoundError):
                path.unlink()
                path.with_suffix(".hidden").unlink()


def is_cached(key: str) -> bool:
    return bool(key) and not key.startswith("always-")
