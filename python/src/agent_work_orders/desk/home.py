"""The home directory: made with the right modes, tried for real, and never replaced by another place in silence."""

import errno
import os
import pwd
import secrets
import shlex
import shutil
import stat
from collections.abc import Iterable
from pathlib import Path

from ..domain.errors import WorkOrderError
from ..domain.setting import Finding
from ..settings import Settings

# Below this the storage test warns; a checkout of a large repository needs more.
LITTLE_SPACE = 1024**3
_FULL = frozenset({errno.ENOSPC, errno.EDQUOT})
_PROBE = 8192


class UnusableHome(WorkOrderError):
    """A folder that must last cannot be used; names the path and the command that mends it."""

    code = "unusable_home"


def folders_of(settings: Settings) -> dict[Path, int]:
    """Every folder AWO keeps something in, with the mode it is made with.

    Repositories and orders can be walked through, so that agents of another user reach their own checkout; what is
    private in them has its own mode.
    """
    home = settings.home
    found = {home: 0o711, settings.repositories: 0o711, settings.work_orders: 0o711, home / "logs": 0o700}
    found[home / "credentials"] = 0o700
    if settings.config_dir is None:
        names = ("", "claude", "github", "commands", "workflows")
        found |= {settings.config / name: 0o700 for name in names}
    return found


def prepare_home(settings: Settings) -> None:
    """Makes what is missing and writes to what is there. UnusableHome for the first folder that cannot be used."""
    for folder, mode in folders_of(settings).items():
        try:
            _make(folder, mode)
            _try_writing(folder)
        except OSError as error:
            raise _unusable(folder, error) from error


def look_at_storage(settings: Settings) -> list[Finding]:
    """Each folder tried for real: written, renamed, read and removed; modes, free space, and where it lies."""
    findings = []
    places = {"home": settings.home, "repositories": settings.repositories, "work_orders": settings.work_orders}
    for name, folder in places.items():
        findings.append(_writable(name, folder))
    findings += [_free_space(folder) for folder in _one_per_volume(places.values())]
    findings.append(_modes(settings))
    findings += _whereabouts(list(places.values()))
    return findings


def writing_problem(folder: Path) -> str | None:
    """Why a folder cannot be written, as the end of a sentence that begins with its name; None if it can."""
    try:
        if not folder.is_dir():
            return "must be a folder that exists" if not folder.exists() else "is a file and no folder"
        _try_writing(folder)
    except OSError as error:
        return f"cannot be written ({error.strerror})"
    return None


def _make(folder: Path, mode: int) -> None:
    if folder.is_dir():
        return
    if folder.is_symlink() and not folder.exists():
        raise OSError(errno.ELOOP, "its link leads nowhere")
    missing = [one for one in (folder, *folder.parents) if not one.exists()]
    folder.mkdir(parents=True, exist_ok=True, mode=mode)
    for one in missing:  # the process's umask has its say in mkdir
        one.chmod(mode if one == folder else 0o711)


def _try_writing(folder: Path) -> None:
    """Writes, syncs, renames, reads and removes a file."""
    name = f".awo-probe-{secrets.token_hex(8)}"
    first, second = folder / name, folder / f"{name}.renamed"
    try:
        descriptor = os.open(first, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(bytes(_PROBE))
            file.flush()
            os.fsync(file.fileno())
        first.rename(second)
        if len(second.read_bytes()) != _PROBE:
            raise OSError(errno.EIO, "what was written cannot be read")
    finally:
        first.unlink(missing_ok=True)
        second.unlink(missing_ok=True)


def _unusable(folder: Path, error: OSError) -> UnusableHome:
    at = _culprit(folder)
    return UnusableHome(
        f"{folder} cannot be used: {_reason(at, error)}.", next_action=f"Run: {_mending_command(at, error)}"
    )


def _culprit(folder: Path) -> Path:
    """The folder itself, or what stands in the way of making it."""
    for one in (folder, *folder.parents):
        if one.exists() or one.is_symlink():
            return one
    return folder


def _reason(at: Path, error: OSError) -> str:
    if at.exists() and not at.is_dir():
        return f"{at} is a file"
    if error.errno in _FULL:
        return "the disk is full"
    if error.errno == errno.EROFS:
        return "the volume is mounted read-only"
    return error.strerror or "the system gives no reason"


def _mending_command(at: Path, error: OSError) -> str:
    path = shlex.quote(str(at))
    if at.exists() and not at.is_dir():
        return f"mv {path} {shlex.quote(str(at) + '.old')}"
    if error.errno == errno.ELOOP:
        return f"rm {path}   (a link that leads nowhere)"
    if error.errno in _FULL:
        return f"df -h {path}; du -xsh {path}/*   and free some space, or set ARCHON_HOME to another volume"
    if error.errno == errno.EROFS:
        return f"mount -o remount,rw {shlex.quote(str(_mount_point(at)))}   or set ARCHON_HOME to another volume"
    return f"sudo chown -R {_user()} {path} && chmod u+rwx {path}"


def _user() -> str:
    try:
        return shlex.quote(pwd.getpwuid(os.geteuid()).pw_name)
    except KeyError:
        return str(os.geteuid())


def _writable(name: str, folder: Path) -> Finding:
    try:
        if not folder.is_dir():
            raise OSError(errno.ENOTDIR if folder.exists() else errno.ENOENT, "it is no folder")
        _try_writing(folder)
    except OSError as error:
        unusable = _unusable(folder, error)
        return Finding(name=name, ok=False, detail=unusable.message, next_action=unusable.next_action)
    return Finding(name=name, ok=True, detail=f"{folder} was written, renamed in and read.")


def _one_per_volume(folders: Iterable[Path]) -> list[Path]:
    seen: dict[int, Path] = {}
    for folder in folders:
        if folder.is_dir():
            seen.setdefault(folder.stat().st_dev, folder)
    return list(seen.values())


def _free_space(folder: Path) -> Finding:
    usage = shutil.disk_usage(folder)
    free = f"{usage.free / 1024**3:.1f} of {usage.total / 1024**3:.1f} GiB are free on the volume of {folder}"
    if usage.free >= LITTLE_SPACE:
        return Finding(name="free_space", ok=True, detail=f"{free}.")
    return Finding(
        name="free_space",
        ok=False,
        required=False,
        detail=f"Only {free}.",
        next_action=f"Free some space; this shows where it went: du -xsh {shlex.quote(str(folder))}/*",
    )


def _modes(settings: Settings) -> Finding:
    wide = []
    for folder, mode in folders_of(settings).items():
        if folder.is_dir():
            found = stat.S_IMODE(folder.stat().st_mode)
            if found & 0o022 or (mode == 0o700 and found & 0o077):
                wide.append((folder, mode))
    if not wide:
        return Finding(name="modes", ok=True, detail="Nobody else can write here, and what is private is closed.")
    return Finding(
        name="modes",
        ok=False,
        required=False,
        detail=f"Others can reach too much: {', '.join(str(folder) for folder, _ in wide)}.",
        next_action="Run: " + "; ".join(f"chmod {mode:o} {shlex.quote(str(folder))}" for folder, mode in wide),
    )


def _whereabouts(folders: Iterable[Path]) -> list[Finding]:
    """Warnings about places that lose or leak what is put there."""
    findings = [
        _warning("memory", f"{folder} lies in memory and is lost at a restart.", "Set ARCHON_HOME to a disk.")
        for folder in _one_per_volume(folders)
        if _file_system(folder) in ("tmpfs", "ramfs")
    ]
    for folder in folders:
        if repository := next((one for one in folder.parents if (one / ".git").exists()), None):
            findings.append(
                _warning(
                    "inside_repository",
                    f"{folder} lies inside the repository {repository}.",
                    "Set ARCHON_HOME to a folder outside of it, or its contents may be committed.",
                )
            )
        if folder.is_symlink():
            findings.append(
                _warning(
                    "link",
                    f"{folder} is a link to {folder.resolve()}.",
                    "Name the real folder, so that nobody can bend the link.",
                )
            )
    return findings or [Finding(name="place", ok=True, detail="The folders lie on a disk, outside any repository.")]


def _warning(name: str, detail: str, next_action: str) -> Finding:
    return Finding(name=name, ok=False, required=False, detail=detail, next_action=next_action)


def _mounts() -> list[tuple[str, str]]:
    """Mount points and file systems, the latest last."""
    try:
        lines = Path("/proc/self/mounts").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return []
    return [(fields[1].replace("\\040", " "), fields[2]) for line in lines if len(fields := line.split(" ")) > 2]


def _mount_point(path: Path) -> Path:
    real = path.resolve()
    return next((one for one in (real, *real.parents) if os.path.ismount(one)), Path("/"))


def _file_system(path: Path) -> str:
    point = str(_mount_point(path))
    return next((kind for where, kind in reversed(_mounts()) if where == point), "")
