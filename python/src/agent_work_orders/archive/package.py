"""One file that holds many, with a checksum for each: what archives and backups are made of. Knows no order.

A gzipped tar of regular files. Its last member, `manifest.json`, names all others with size and SHA-256; a package
without it, or with one byte that differs, is damaged and nothing of it is used.
"""

import hashlib
import io
import json
import os
import re
import secrets
import stat
import tarfile
import tempfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from ..domain.errors import WrongState

MANIFEST, ABOUT = "manifest.json", "about.json"
VERSION = 1
_IN_MEMORY, _CHUNK = 8 << 20, 1 << 20
_NAME = re.compile(r"[^\x00-\x1f\x7f]{1,1000}\Z")


class DamagedPackage(WrongState):
    """An archive or backup that is not what was written; nothing of it was used."""

    code = "damaged_package"
    next_action = "Take another copy of the file; this one must not be used."


@dataclass(frozen=True)
class Member:
    """A file in a package. `owner` is (uid, gid) as it had them."""

    name: str
    size: int
    mode: int
    owner: tuple[int, int]


class PackageWriter:
    """Adds files to a package that is being written. Files that change meanwhile are taken as they are read."""

    def __init__(self, tar: tarfile.TarFile) -> None:
        self._tar = tar
        self.members: dict[str, dict[str, Any]] = {}

    def add_bytes(self, name: str, data: bytes) -> None:
        self._add(name, io.BytesIO(data), len(data), hashlib.sha256(data).hexdigest(), None)

    def add_json(self, name: str, value: Any) -> None:
        self.add_bytes(name, json.dumps(value, ensure_ascii=False, sort_keys=True).encode("utf-8", "surrogatepass"))

    def add_file(self, name: str, path: Path) -> bool:
        """False if there is no regular file of that name (any more); links are not followed."""
        try:
            descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        except OSError:
            if path.is_symlink() or not path.exists():
                return False
            raise
        with os.fdopen(descriptor, "rb") as source, tempfile.SpooledTemporaryFile(_IN_MEMORY) as copy:
            found = os.fstat(source.fileno())
            if not stat.S_ISREG(found.st_mode):
                return False
            digest, size = hashlib.sha256(), 0
            while chunk := source.read(_CHUNK):
                digest.update(chunk)
                copy.write(chunk)
                size += len(chunk)
            copy.seek(0)
            self._add(name, copy, size, digest.hexdigest(), found)
        return True

    def add_tree(self, prefix: str, folder: Path, *, without: frozenset[str] = frozenset()) -> int:
        """All regular files below a folder, but for entries `without` at its top; how many there were."""
        number = 0
        for directory, names, files in os.walk(folder):
            if Path(directory) == folder:
                names[:] = [name for name in names if name not in without]
                files = [name for name in files if name not in without]
            names.sort()
            for file in sorted(files):
                path = Path(directory, file)
                number += self.add_file(f"{prefix}/{path.relative_to(folder).as_posix()}", path)
        return number

    def _add(self, name: str, data: IO[bytes], size: int, digest: str, found: os.stat_result | None) -> None:
        if name in self.members or not _is_safe(name):
            raise ValueError(f"not a name for a package: {name!r}")
        member = tarfile.TarInfo(name)
        member.size, member.mode = size, 0o600
        if found is not None:
            member.mode, member.uid, member.gid = stat.S_IMODE(found.st_mode) & 0o777, found.st_uid, found.st_gid
            member.mtime = int(found.st_mtime)
        self._tar.addfile(member, data)
        self.members[name] = {"size": size, "sha256": digest}


@contextmanager
def new_package(path: Path, kind: str, about: dict[str, Any], aside: Path | None = None) -> Iterator[PackageWriter]:
    """The file appears whole, readable by its owner alone, when the block ends well; else nothing is left of it.

    Until then it is written `aside`, a directory of the same volume; beside its own place when that is not given.
    """
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    draft = (aside or path.parent) / f".{path.name}.{secrets.token_hex(4)}.partial"
    descriptor = os.open(draft, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        with os.fdopen(descriptor, "wb") as file:
            with tarfile.open(fileobj=file, mode="w:gz", format=tarfile.PAX_FORMAT, compresslevel=1) as tar:
                writer = PackageWriter(tar)
                writer.add_json(ABOUT, {**about, "kind": kind, "version": VERSION})
                yield writer
                writer.add_json(MANIFEST, {"members": dict(writer.members)})
            file.flush()
            os.fsync(file.fileno())
        draft.rename(path)
    finally:
        draft.unlink(missing_ok=True)


def check_package(path: Path, kind: str) -> dict[str, Any]:
    """What the package says about itself, after every byte of it was read; DamagedPackage for anything wrong."""
    about, manifest, found = _read_through(path)
    if manifest is None:
        raise _damaged(path, "it ends before its manifest")
    if manifest.get("members") != found:
        listed = manifest.get("members") or {}
        differing = sorted(name for name in {*listed, *found} if listed.get(name) != found.get(name))
        raise _damaged(path, f"{differing[0]} is not as it was written" if differing else "its manifest is empty")
    if about.get("kind") != kind:
        raise DamagedPackage(f"{path} is not {_article(kind)}.", next_action="Name the right file.")
    if about.get("version") != VERSION:
        raise DamagedPackage(f"{path} was written by a newer version.", next_action="Use that version to read it.")
    return about


def _read_through(path: Path) -> tuple[dict[str, Any], dict[str, Any] | None, dict[str, dict[str, Any]]]:
    """What the package says of itself, its manifest, and what is really there."""
    about: dict[str, Any] = {}
    found: dict[str, dict[str, Any]] = {}
    manifest: dict[str, Any] | None = None
    with _naming_damage(path):
        for member, data in _members(path):
            if manifest is not None:
                raise _damaged(path, "something comes after its manifest")
            if member.name == MANIFEST:
                manifest = _json(path, data.read())
                continue
            if member.name == ABOUT:
                about = _json(path, data.read())
                data.seek(0)
            if member.name in found:
                raise _damaged(path, f"{member.name} is in it twice")
            digest = hashlib.sha256()
            while chunk := data.read(_CHUNK):
                digest.update(chunk)
            found[member.name] = {"size": member.size, "sha256": digest.hexdigest()}
    return about, manifest, found


def read_package(path: Path) -> Iterator[tuple[Member, IO[bytes]]]:
    """Members in the order of their writing, without the two that speak of the package; check it before."""
    for member, data in _members(path):
        if member.name not in (ABOUT, MANIFEST):
            yield member, data


def write_member(member: Member, data: IO[bytes], target: Path, *, root: Path) -> None:
    """A member as a file below `root`: whole or not at all, never through a link, with its mode and, as root, owner."""
    missing = [one for one in (target.parent, *target.parent.parents) if one.is_relative_to(root) and not one.exists()]
    for one in reversed(missing):
        one.mkdir(mode=0o711)
        one.chmod(0o711)
        _give(one, member)
    if not target.parent.resolve().is_relative_to(root.resolve()):
        raise DamagedPackage(f"{member.name} would lead out of {root} by a link.", next_action=f"Empty {root} first.")
    draft = target.with_name(f".{target.name[:100]}.{secrets.token_hex(4)}.partial")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    try:
        with os.fdopen(descriptor, "wb") as file:
            while chunk := data.read(_CHUNK):
                file.write(chunk)
            os.fchmod(file.fileno(), member.mode)
        _give(draft, member)
        draft.rename(target)
    finally:
        draft.unlink(missing_ok=True)


def _give(path: Path, member: Member) -> None:
    if os.geteuid() == 0:
        with suppress(PermissionError):  # a volume that knows no owners
            os.chown(path, *member.owner, follow_symlinks=False)


def _members(path: Path) -> Iterator[tuple[Member, IO[bytes]]]:
    with _naming_damage(path), tarfile.open(path, mode="r:gz") as tar:
        for info in tar:
            data = tar.extractfile(info) if info.isreg() else None
            if data is None or not _is_safe(info.name):
                raise _damaged(path, "it holds something that is no plain file")
            yield Member(info.name, info.size, info.mode & 0o777, (info.uid, info.gid)), data
            tar.members = []  # type: ignore[attr-defined]  # tarfile would remember every member of a large file
        while tar.fileobj.read(_CHUNK):
            pass  # to the end, where gzip has its own checksum


@contextmanager
def _naming_damage(path: Path) -> Iterator[None]:
    """What the readers of tar and gzip raise where a file is not what they expect."""
    try:
        yield
    except (tarfile.TarError, EOFError, zlib.error, UnicodeDecodeError) as error:
        raise _damaged(path, "it cannot be read to its end") from error
    except OSError as error:
        if error.errno is None:  # gzip's own: a bad header or checksum
            raise _damaged(path, "it cannot be read to its end") from error
        raise


def _is_safe(name: str) -> bool:
    """A relative path without steps back, that means the same on every disk."""
    return bool(_NAME.match(name)) and not any(part in ("", ".", "..") for part in name.split("/"))


def _json(path: Path, data: bytes) -> dict[str, Any]:
    try:
        content = json.loads(data)
    except ValueError as error:
        raise _damaged(path, "what it says about itself cannot be read") from error
    if not isinstance(content, dict):
        raise _damaged(path, "what it says about itself cannot be read")
    return content


def _damaged(path: Path, why: str) -> DamagedPackage:
    return DamagedPackage(f"{path} is damaged: {why}.")


def _article(kind: str) -> str:
    return f"an {kind}" if kind[0] in "aeiou" else f"a {kind}"
