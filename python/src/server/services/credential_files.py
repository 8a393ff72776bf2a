"""Credentials as files, for embedded mode: three JSON files and a key file that only the server's user can read.

A file is replaced as a whole or not at all. Knows nothing of caches and of HTTP.
"""

import fcntl
import json
import os
import secrets
import stat
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from ..config.logfire_config import get_logger
from .credential_errors import CredentialStoreUnavailable
from .credential_row import CredentialRow, environment_passphrases, merged

logger = get_logger(__name__)

_KEY_FILE = ".key"
_LOCK_FILE = ".lock"
_FILES = ("github.json", "claude.json", "archon.json")
_FORMAT_VERSION = 1


def file_of(key: str) -> str:
    """The file that a credential lives in, by the beginning of its name."""
    name = key.upper()
    if name.startswith("GITHUB_"):
        return "github.json"
    if name.startswith(("ANTHROPIC_", "CLAUDE_")):
        return "claude.json"
    return "archon.json"


class CredentialFiles:
    """The credential files of one directory. Every method raises CredentialStoreUnavailable, naming the path, when
    the disk says no. Methods that write expect the caller to hold `exclusive()`."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory

    @property
    def identity(self) -> tuple[str, str]:
        """What tells this store from another."""
        return ("files", str(self.directory))

    def load(self) -> dict[str, CredentialRow]:
        """Every row by key; empty when nothing was ever saved."""
        rows: dict[str, CredentialRow] = {}
        for name in _FILES:
            rows.update(self._read(name))
        return rows

    @contextmanager
    def exclusive(self) -> Iterator[None]:
        """One writer at a time among all processes that use this directory. Not reentrant."""
        self._prepare_directory()
        path = self.directory / _LOCK_FILE
        try:
            descriptor = os.open(path, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        except OSError as error:
            raise _unavailable(path, error) from error
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            yield
        finally:
            os.close(descriptor)

    def write(self, row: CredentialRow) -> None:
        """Create or change one row; columns that are not named keep what they hold."""
        key = row["key"]
        rows = self._read(file_of(key))
        rows[key] = merged(rows.get(key), row)
        self._write(file_of(key), rows)

    def write_all(self, rows: list[CredentialRow]) -> None:
        """Create or change several rows; nothing takes its place before everything is safely on disk."""
        names = {file_of(row["key"]): self._read(file_of(row["key"])) for row in rows}
        for row in rows:
            kept = names[file_of(row["key"])]
            kept[row["key"]] = merged(kept.get(row["key"]), row)
        drafts: list[tuple[Path, Path]] = []
        try:
            try:
                for name, kept in names.items():
                    drafts.append((self._draft(_document(kept)), self.directory / name))
                while drafts:
                    drafts[0][0].replace(drafts[0][1])
                    drafts.pop(0)
            finally:
                for draft, _ in drafts:
                    draft.unlink(missing_ok=True)
            _sync_directory(self.directory)
        except OSError as error:
            raise _unavailable(self.directory, error) from error

    def delete(self, key: str) -> None:
        """Remove one row, if it is there."""
        rows = self._read(file_of(key))
        if rows.pop(key, None) is not None:
            self._write(file_of(key), rows)

    def replace_secret(self, key: str, old: str, new: str) -> bool:
        """Change the stored form only if it is still `old`; says whether it was."""
        row = self._read(file_of(key)).get(key)
        if row is None or row.get("encrypted_value") != old:
            return False
        self.write({"key": key, "encrypted_value": new})
        return True

    def passphrases(self, *, create: bool = False) -> list[str]:
        """The one that writes first. Without ARCHON_ENCRYPTION_KEY that is the key file's; `create` makes the file."""
        named = environment_passphrases()
        kept = self.key_file_passphrases()
        if not named.current and not kept and create:
            self._create_key_file()
            kept = self.key_file_passphrases()
        return [*named.current, *kept, *named.former]

    def key_file_passphrases(self) -> list[str]:
        """One a line, the newest first: a rotation that was cut off leaves two."""
        path = self.directory / _KEY_FILE
        try:
            return _read_private(path).split()
        except FileNotFoundError:
            return []
        except OSError as error:
            raise _unavailable(path, error) from error

    def write_key_file(self, passphrases: list[str]) -> None:
        """Replace the key file as a whole."""
        self._replace(self.directory / _KEY_FILE, "\n".join(passphrases) + "\n")

    def _create_key_file(self) -> None:
        """A new random key under its final name in one step, and never over another process's."""
        self._prepare_directory()
        path = self.directory / _KEY_FILE
        try:
            draft = self._draft(new_passphrase() + "\n")
            try:
                os.link(draft, path)
                _sync_directory(self.directory)
            except FileExistsError:
                pass
            finally:
                draft.unlink()
        except OSError as error:
            raise _unavailable(path, error) from error

    def _prepare_directory(self) -> None:
        try:
            self.directory.mkdir(mode=0o700, parents=True, exist_ok=True)
            _tighten(self.directory, 0o700)
        except OSError as error:
            raise _unavailable(self.directory, error) from error

    def _read(self, name: str) -> dict[str, CredentialRow]:
        path = self.directory / name
        try:
            text = _read_private(path)
        except FileNotFoundError:
            return {}
        except (OSError, UnicodeDecodeError) as error:
            raise _unavailable(path, error) from error
        try:
            return _parse(text)
        except ValueError as error:
            raise CredentialStoreUnavailable(
                f"{path} is not a credentials file (line {getattr(error, 'lineno', 1)}).",
                next_action="Restore the file from a backup, or move it away and save its credentials again.",
            ) from None

    def _write(self, name: str, rows: Mapping[str, CredentialRow]) -> None:
        self._replace(self.directory / name, _document(rows))

    def _replace(self, path: Path, text: str) -> None:
        try:
            draft = self._draft(text)
            try:
                draft.replace(path)
            except OSError:
                draft.unlink()
                raise
            _sync_directory(self.directory)
        except OSError as error:
            raise _unavailable(path, error) from error

    def _draft(self, text: str) -> Path:
        """`text` in a new file beside the others (mode 0600), safely on disk."""
        descriptor, name = tempfile.mkstemp(dir=self.directory, prefix=".draft-")  # mkstemp: exclusive, mode 0600
        try:
            with os.fdopen(descriptor, "w", encoding="utf-8") as file:
                file.write(text)
                file.flush()
                os.fsync(file.fileno())
        except BaseException:
            with suppress(OSError):
                Path(name).unlink()
            raise
        return Path(name)


def new_passphrase() -> str:
    """256 random bits in one word."""
    return secrets.token_urlsafe(32)


def _document(rows: Mapping[str, CredentialRow]) -> str:
    return json.dumps({"version": _FORMAT_VERSION, "credentials": rows}, indent=2, sort_keys=True) + "\n"


def _parse(text: str) -> dict[str, CredentialRow]:
    document: Any = json.loads(text)
    rows = document.get("credentials") if isinstance(document, dict) else None
    if not isinstance(rows, dict) or not all(isinstance(row, dict) for row in rows.values()):
        raise ValueError("no credentials")
    if document.get("version") != _FORMAT_VERSION:
        raise ValueError("another version")
    found: dict[str, CredentialRow] = {}
    for key, row in rows.items():
        row["key"] = key
        found[key] = row
    return found


def _read_private(path: Path) -> str:
    """The text of a file that is no link; if others could read it, they no longer can."""
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
    with os.fdopen(descriptor, encoding="utf-8") as file:
        _tighten(path, 0o600, os.fstat(descriptor))
        return file.read()


def _tighten(path: Path, mode: int, status: os.stat_result | None = None) -> None:
    status = status or path.stat()
    if status.st_uid == os.geteuid() and stat.S_IMODE(status.st_mode) & ~mode:
        path.chmod(mode)
        logger.warning("Permissions were too wide and are closed now | path=%s | mode=%o", path, mode)


def _sync_directory(directory: Path) -> None:
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _unavailable(path: Path, error: Exception) -> CredentialStoreUnavailable:
    reason = error.strerror if isinstance(error, OSError) and error.strerror else "it is not text"
    return CredentialStoreUnavailable(
        f"{path} cannot be used: {reason}.",
        next_action=f"See `ls -ld {path}` and `df {path.parent}`: the server's user must own the path, "
        "it must be no link, and the disk must have room.",
    )
