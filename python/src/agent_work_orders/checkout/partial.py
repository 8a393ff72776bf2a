"""Mirrors without the content of files: what a checkout needs of it is fetched by the server before git asks for it.

An agent has no credential, so what is missing from older commits stays missing for it.
"""

from datetime import timedelta

from . import sparse
from .child import Progress
from .git import Git, Remote
from .mirror import Mirror

NOTE = "The mirror is a partial one: the contents of files in older commits are not there, and git says so when asked."


async def fetch_contents(
    git: Git, mirror: Mirror, remote: Remote, commit: str, subdir: str, progress: Progress, limit: timedelta
) -> None:
    """Fetches what is missing for a checkout of `commit`, or of one directory of it and the files on the way there."""
    words = ("rev-list", "--objects", "--no-object-names", "--missing=print", f"{commit}^{{tree}}")
    listing = (await git.run(*words, git_dir=mirror.path)).stdout
    missing = {line[1:] for line in listing.split(b"\n") if line.startswith(b"?")}
    if missing and subdir:
        missing &= await _within(git, mirror, commit, subdir)
    if missing:
        # By the name of the remote that promised them: git then knows that what they lead to may be missing too.
        await git.run(
            "fetch", "--no-tags", "--no-write-fetch-head", "--no-recurse-submodules", "--filter=blob:none",
            "--progress", "--stdin", "origin",
            git_dir=mirror.path, remote=remote, progress=progress, limit=limit,
            stdin=b"".join(name + b"\n" for name in sorted(missing)),
            settings={"remote.origin.url": remote.url, "fetch.negotiationAlgorithm": "noop"},
        )  # fmt: skip


async def _within(git: Git, mirror: Mirror, commit: str, subdir: str) -> set[bytes]:
    """Ids of the files that a sparse checkout of one directory has."""
    listing = await git.run("ls-tree", "-r", "-z", "--full-tree", commit, git_dir=mirror.path)
    entries = (entry.partition(b"\t") for entry in listing.stdout.split(b"\0") if entry)
    return {facts.split(b" ")[2] for facts, _, path in entries if not sparse.is_outside(path, subdir)}
