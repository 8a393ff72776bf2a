"""Where archives stand: a directory, for one server or a shared disk. Knows names and files, not what is in them."""

import hashlib
import os
import re
import secrets
import shutil
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import Protocol

from anyio import to_thread

from ..domain.errors import FailureClass, NotFound, StepFailed, WorkOrderError
from ..domain.setting import Finding

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,200}\Z")


class Shelf(Protocol):
    """Holds files by name. Failures are StepFailed (disk, network, auth) with the next action."""

    async def put(self, name: str, path: Path) -> None:
        """The whole file, read back and compared before this returns. One of that name is replaced."""
        ...

    async def get(self, name: str, path: Path) -> None:
        """Into a new file; NotFound if there is none of that name."""
        ...

    async def remove(self, name: str) -> None:
        """No error if there is none."""
        ...


async def try_shelf(shelf: Shelf) -> Finding:
    """A small file put there, read back and removed."""
    name = f"awo-probe-{secrets.token_hex(8)}"
    with tempfile.TemporaryDirectory(prefix=".awo-probe-") as folder:
        source, target = Path(folder, "source"), Path(folder, "target")
        await to_thread.run_sync(source.write_text, name)
        try:
            await shelf.put(name, source)
            await shelf.get(name, target)
            await shelf.remove(name)
        except WorkOrderError as error:
            return Finding(
                name="archive", ok=False, detail=error.message, next_action=error.next_action, required=False
            )
    return Finding(name="archive", ok=True, detail="The archive was written, read and cleaned again.")


class DirectoryShelf:
    """Files in a directory, which is made when it is needed."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory

    async def put(self, name: str, path: Path) -> None:
        await to_thread.run_sync(self._put, _checked(name), path)

    async def get(self, name: str, path: Path) -> None:
        await to_thread.run_sync(self._get, _checked(name), path)

    async def remove(self, name: str) -> None:
        try:
            await to_thread.run_sync(lambda: (self.directory / _checked(name)).unlink(missing_ok=True))
        except OSError as error:
            raise self._refused(error) from error

    def _put(self, name: str, path: Path) -> None:
        draft = self.directory / f".{name}.{secrets.token_hex(4)}.partial"
        try:
            self.directory.mkdir(mode=0o700, parents=True, exist_ok=True)
            with path.open("rb") as source, draft.open("xb") as target:
                os.fchmod(target.fileno(), 0o600)
                shutil.copyfileobj(source, target, 1 << 20)
                target.flush()
                os.fsync(target.fileno())
            if sha256_of(draft) != sha256_of(path):
                raise OSError(5, "what was written reads differently")
            draft.rename(self.directory / name)
        except OSError as error:
            with suppress(OSError):
                draft.unlink(missing_ok=True)
            raise self._refused(error) from error

    def _get(self, name: str, path: Path) -> None:
        try:
            with (self.directory / name).open("rb") as source, path.open("xb") as target:
                shutil.copyfileobj(source, target, 1 << 20)
        except FileNotFoundError:
            raise nothing_called(name) from None
        except OSError as error:
            raise self._refused(error) from error

    def _refused(self, error: OSError) -> StepFailed:
        return StepFailed(
            FailureClass.DISK,
            f"The archive directory {self.directory} refused an operation ({error.strerror}).",
            next_action="Make room in AWO_ARCHIVE_DIR or mend its permissions, then try again; nothing was removed.",
        )


def sha256_of(path: Path) -> str:
    """Hex. Blocks: call it in a thread."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def nothing_called(name: str) -> NotFound:
    return NotFound(
        f"The archive has no {name}.", next_action="Check AWO_ARCHIVE_DIR or AWO_ARCHIVE_S3_BUCKET: is it the same one?"
    )


def _checked(name: str) -> str:
    if not NAME.match(name):
        raise ValueError(f"not a name for an archive: {name!r}")
    return name
