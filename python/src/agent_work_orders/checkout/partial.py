"""Mirrors without the content of files: what a checkout needs of it is fetched by the server before git asks for it.

An agent has no credential, so what is missing from older commits stays missing for it.
"""

from datetime import timedelta

from .child import Progress
from .git import Git, Remote
from .mirror import Mirror

NOTE = "The mirror is a partial one: the contents of files in older commits are not there, and git says so when asked."


async def fetch_contents(
    git: Git, mirror: Mirror, remote: Remote, commit: str, subdir: str, progress: Progress, limit: timedelta
) -> None:
    """Fetches what is missing for a checkout of `commit`, or of one directory of it and the files on the way there."""
    names = await _wanted(git, mirror, commit, subdir)
    words = ("rev-list", "--objects", "--no-object-names", "--missing=print", "--stdin")
    listing = (await git.run(*words, git_dir=mirror.path, stdin=names)).stdout
    missing = [line[1:] for line in listing.split(b"\n") if line.startswith(b"?")]
    if missing:
        # By the name of the remote that promised them: git then knows that what they lead to may be missing too.
        await git.run(
            "fetch", "--no-tags", "--no-write-fetch-head", "--no-recurse-submodules", "--filter=blob:none",
            "--progress", "--stdin", "origin",
            git_dir=mirror.path, remote=remote, progress=progress, limit=limit, stdin=b"\n".join(missing) + b"\n",
            settings={"remote.origin.url": remote.url, "fetch.negotiationAlgorithm": "noop"},
        )  # fmt: skip


async def _wanted(git: Git, mirror: Mirror, commit: str, subdir: str) -> bytes:
    """Ids that lead to all of it: the tree, or one directory's tree and the files beside the way there; one a line."""
    if not subdir:
        return f"{commit}^{{tree}}\n".encode()
    names: list[bytes] = []
    way = f"{commit}:"
    for part in subdir.split("/"):
        listing = await git.run("ls-tree", "-z", way, git_dir=mirror.path, expect=(0, 128))
        entries = [entry.partition(b"\t") for entry in listing.stdout.split(b"\0")]
        names += [facts.split(b" ")[2] for facts, _, _ in entries if b" blob " in facts]
        way = f"{way}{part}" if way.endswith(":") else f"{way}/{part}"
    found = await git.run("rev-parse", "--verify", "--quiet", way, git_dir=mirror.path, expect=(0, 1, 128))
    return b"".join(name + b"\n" for name in [*names, found.stdout.strip()] if name)
