"""What a diff must not hold if it is to be pushed, whoever wrote it."""

from ..domain.redaction import Redactor
from ..ports import Diff

# GitHub refuses larger files; a patch of this size is no review either.
MAX_FILES = 5_000


def problems_of(diff: Diff, redactor: Redactor) -> list[str]:
    """One sentence for each reason not to push; none if it may be pushed. Never quotes what it found."""
    problems = []
    if len(diff.files) > MAX_FILES:
        problems.append(f"it touches {len(diff.files):,} files (at most {MAX_FILES:,})")
    for file in diff.files:
        added = [line[1:] for line in (file.patch or "").splitlines() if line.startswith("+")]
        if redactor.finds("\n".join(added)):
            problems.append(f"{file.path} adds what looks like a secret")
        if redactor.finds(file.path):
            problems.append("a file's name holds what looks like a secret")
    return problems
