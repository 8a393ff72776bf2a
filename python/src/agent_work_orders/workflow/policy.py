"""What a diff must not hold if it is to be pushed, whoever wrote it."""

from collections.abc import Collection

from ..domain.redaction import Redactor
from ..ports import Diff

# GitHub refuses larger files; a patch of this size is no review either.
MAX_FILES = 5_000


def problems_of(diff: Diff, redactor: Redactor, placed: Collection[str] = ()) -> list[str]:
    """One sentence for each reason not to push; none if it may be pushed. Never quotes what it found.

    `placed` are paths of the operator's own files, which only the agent itself can have committed.
    """
    problems = []
    if len(diff.files) > MAX_FILES:
        problems.append(f"it touches {len(diff.files):,} files (at most {MAX_FILES:,})")
    for file in diff.files:
        added = [line[1:] for line in (file.patch or "").splitlines() if line.startswith("+")]
        if redactor.finds("\n".join(added)):
            problems.append(f"{file.path} adds what looks like a secret")
        if file.path in placed:
            problems.append(f"{file.path} was placed by the operator and belongs in no commit")
        if redactor.finds(file.path):
            problems.append("a file's name holds what looks like a secret")
    return problems
