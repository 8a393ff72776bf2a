"""What a branch changed, read by GitPython from server-owned mirrors only; never from a checkout."""

from pathlib import Path
from typing import TYPE_CHECKING

from ..ports import FileDiff
from .failures import damaged

if TYPE_CHECKING:
    from git import Diff

MAX_PATCH = 1024 * 1024  # bytes of one file's patch


def file_diffs(mirror: Path, base: str, head: str) -> tuple[FileDiff, ...]:
    """The files that differ between two commits (full ids); Damaged if they cannot be read. Blocks."""
    from git import Repo  # importing it starts `git version`, so not before it is needed
    from git.exc import GitError, ODBError

    try:
        with Repo(mirror) as repository:
            changes = repository.commit(base).diff(repository.commit(head), create_patch=True)
            return tuple(_file(diff) for diff in changes)
    except (GitError, ODBError, ValueError) as error:  # ValueError: a commit that is none, or is not there
        raise damaged(f"its commits cannot be compared ({type(error).__name__})") from error


def _file(diff: "Diff") -> FileDiff:
    raw = diff.diff or b""
    patch = raw if isinstance(raw, bytes) else raw.encode()
    additions, deletions = _counts(patch)
    old, new = diff.a_path, diff.b_path
    path = (old if diff.deleted_file else new) or old or ""
    if diff.new_file:
        status = "added"
    elif diff.deleted_file:
        status = "deleted"
    else:
        status = "renamed" if diff.renamed_file else "modified"
    return FileDiff(path, old if diff.renamed_file else None, status, additions, deletions, _text(patch))


def _counts(patch: bytes) -> tuple[int, int]:
    lines = patch.split(b"\n")
    return sum(line.startswith(b"+") for line in lines), sum(line.startswith(b"-") for line in lines)


def _text(patch: bytes) -> str | None:
    if patch.lstrip(b"\n").startswith(b"Binary files "):
        return None
    if len(patch) <= MAX_PATCH:
        return patch.decode("utf-8", "replace")
    return patch[:MAX_PATCH].decode("utf-8", "replace") + f"\n[cut: the patch of this file has {len(patch)} bytes]\n"
