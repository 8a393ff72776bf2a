"""What an agent left, as objects of the server's mirror: its commits, and its working tree as a tree.

Everything runs with the mirror as git directory and an index of the server's own; the agent's .git only lends objects.
"""

import os
import stat
import tempfile
from dataclasses import dataclass, field
from pathlib import Path

from anyio.to_thread import run_sync

from ..domain.errors import FailureClass, StepFailed
from . import disk, refs, sparse
from .extras import Extras
from .failures import refused
from .git import Git
from .lfs import Stamp
from .placed import hiding
from .submodules import index_of

GITLINK = b"160000"
# Names of files in one command line, which has an end.
PATHS_AT_ONCE = 200


@dataclass
class Snapshotter:
    """Reads one working tree into one mirror. `notes` collects what was left out, a sentence each."""

    git: Git
    mirror: Path
    root: Path
    index: Path
    alternates: bytes
    extras: Extras = field(default_factory=Extras)
    notes: dict[str, None] = field(default_factory=dict)
    # The commit whose tree the index holds, where that is known: then it need not be read again.
    at: str | None = None

    def note(self, sentence: str) -> None:
        self.notes[sentence] = None

    async def agents_head(self, known: frozenset[str], base: str) -> str | None:
        """The commit that the agent stands on, in the mirror with all that belongs to it; None if it cannot be had."""
        head = await run_sync(refs.read_head, self.root)
        if head is None:
            self.note("The checkout's HEAD could not be read; its files were saved on top of the last known commit.")
            return None
        if head in known or await self._is_whole(head, base):
            return head
        problem = await run_sync(refs.foreign_objects_problem, self.root, self.alternates)
        if problem is None and not await self._import(head, known):
            problem = "they are not valid"
        if problem is None and not await self._is_whole(head, base):
            problem = "they are not complete"
        if problem:
            self.note(f"The agent's commits were not taken over ({problem}); its files were saved all the same.")
            return None
        return head

    async def tree(self, parent: str) -> str | None:
        """The working tree as a tree object, on the ground of `parent`'s; None when it does not differ from that.

        Untracked files are in, ignored ones are not; links stay links; repositories inside are left out and noted.
        """
        if not disk.is_directory(self.root):  # a look costs less than the way to a thread
            raise refused(
                "The checkout is gone or is not a directory any more", "Retry the order from its last checkpoint."
            )
        if parent != self.at or self.extras.sparse:
            await run_sync(self._prepare_index)
            await self._git("read-tree", "-i", "-m", parent)
        self.at = None
        if self.extras.sparse:
            await self._notice_outside()
        await self._notice_submodules()
        if self.extras.large:
            await run_sync(self._notice_large)
        words = ("ls-files", "-z", "--modified", "--deleted", "--others", "--exclude-standard")
        listing = await self._git(*words, *self._hidden())
        if not listing:
            return None
        changed, gone, directories = await run_sync(self._sort, listing)
        if directories:
            links = await self._gitlinks(directories)
            for path in directories & links:
                self._note_submodule(path)
            gone |= directories - links
        if gone:
            await self._git("update-index", "-z", "--force-remove", "--stdin", stdin=b"\0".join(sorted(gone)) + b"\0")
        if changed:
            words = ("update-index", "-z", "--add", "--remove", "--replace", "--stdin")
            await self._git(*words, stdin=b"\0".join(sorted(changed)) + b"\0")
        if not (gone or changed):
            return None
        return (await self._git("write-tree")).decode().strip()

    async def put_back(self, commit: str) -> None:
        """The working tree as it is in `commit`: what came since goes. Ignored files and repositories inside stay."""
        await run_sync(self._prepare_index)
        self.at = None
        await self._git("read-tree", "-i", "-m", commit)
        changed = await self._git("ls-files", "-z", "--modified", "--deleted")
        words = ("ls-files", "-z", "--others", "--exclude-standard")
        others = (await self._git(*words, *self._hidden())).split(b"\0")
        added = [os.fsdecode(path) for path in others if path and not path.endswith(b"/")]
        # As the agent's user: these are files that anybody may have put there, also to lead elsewhere.
        for start in range(0, len(added), PATHS_AT_ONCE):
            await self.git.run(
                "--literal-pathspecs", "clean", "-f", "-q", "--", *added[start : start + PATHS_AT_ONCE],
                git_dir=self.mirror, work_tree=self.root, index=self.index, as_agent=True, expect=(0, 1),
            )  # fmt: skip
        if changed:
            await self.git.run(
                "checkout-index", "--force", "-z", "--stdin", git_dir=self.mirror, work_tree=self.root,
                index=self.index, stdin=changed, as_agent=True, expect=(0, 1),
            )  # fmt: skip

    async def made_by_set_up(self) -> tuple[bytes, list[str]]:
        """What a set-up command left, in a checkout in which only it has run: all paths that git does not track (NUL
        after each), and the topmost of those that would be in a commit. What it changed of tracked files is put back.
        """
        await run_sync(self._prepare_index)
        changed = [path for path in (await self._git("ls-files", "-z", "--modified")).split(b"\0") if path]
        if changed:
            self.note(f"The set-up command changed {len(changed)} files of the repository; they were put back.")
            await self.git.run(
                "checkout-index", "--force", "-z", "--stdin", git_dir=self.mirror, work_tree=self.root,
                index=self.index, stdin=b"".join(path + b"\0" for path in changed), as_agent=True,
            )  # fmt: skip
        placed = {os.fsencode(path) for path in self.extras.placed}
        made = [path for path in (await self._git("ls-files", "-z", "--others")).split(b"\0") if path]
        words = ("ls-files", "-z", "--others", "--exclude-standard", "--directory", "--no-empty-directory")
        left = [path for path in (await self._git(*words)).split(b"\0") if path and path not in placed]
        listing = b"".join(path + b"\0" for path in made if path not in placed)
        return listing, [path.decode("utf-8", "replace") for path in left]

    def _hidden(self) -> list[str]:
        """What keeps files of ours out; those on the command line no .gitignore of the repository can bring back."""
        words = [f"--exclude={line}" for line in hiding(self.extras.placed)]
        return [*words, f"--exclude-from={self.index.with_name('exclude')}"] if self.extras.hidden else words

    async def _notice_submodules(self) -> None:
        """What was changed within them is no part of a checkpoint; that is said."""
        for path, mirror in self.extras.submodules.items():
            index = index_of(self.index.parent, path)
            if index.is_file() and await run_sync(self._is_plain_directory, path):
                words = ("ls-files", "-z", "--modified", "--deleted", "--others", "--exclude-standard")
                found = await self.git.run(
                    *words, git_dir=self.mirror.parent / mirror, work_tree=self.root / path, index=index
                )
                if found.stdout:
                    self._note_submodule(path.encode("utf-8", "surrogateescape"))

    def _is_plain_directory(self, path: str) -> bool:
        ways = [self.root / path, *(self.root / path).parents]
        return all(disk.is_directory(way) for way in ways if way.is_relative_to(self.root))

    def _note_submodule(self, path: bytes) -> None:
        self.note(f"The submodule {_shown(path)} was changed; submodules are left as they are.")

    def _notice_large(self) -> None:
        for path, known in (self.extras.large or {}).items():
            if Stamp.of(self.root / path) not in (known, None):
                name = _shown(os.fsencode(path))
                self.note(f"The large file {name} was changed; Git LFS files are left as they are.")

    async def _notice_outside(self) -> None:
        """Looks again at files outside of a sparse checkout that are on disk all the same."""
        found = await run_sync(sparse.found_outside, self.root, self.extras.sparse)
        if found:
            entries = (await self._git("ls-files", "-z", "-t")).split(b"\0")
            passed_over = found & {entry[2:] for entry in entries if entry.startswith(b"S ")}
            if passed_over:
                listing = b"".join(path + b"\0" for path in sorted(passed_over))
                await self._git("update-index", "-z", "--no-skip-worktree", "--stdin", stdin=listing)

    def _prepare_index(self) -> None:
        """The order has one runner at a time, so a lock that is there was left by a git that was killed."""
        disk.make_directory(self.index.parent)
        self.index.with_name(f"{self.index.name}.lock").unlink(missing_ok=True)

    def _sort(self, listing: bytes) -> tuple[set[bytes], set[bytes], set[bytes]]:
        """Listed paths: those for git to read, those that are no files any more, those that became directories."""
        changed: set[bytes] = set()
        gone: set[bytes] = set()
        directories: set[bytes] = set()
        top = os.fsencode(self.root)
        plain: dict[bytes, bool] = {b"": True}

        def reached_plainly(parent: bytes) -> bool:
            """False where a link stands in the way: git would refuse, and reading on would leave the checkout."""
            way = b""
            for part in parent.split(b"/"):
                above, way = plain[way], os.path.join(way, part)  # noqa: PTH118 - file names are bytes here
                if way not in plain:
                    plain[way] = above and not _is_link(os.path.join(top, way))  # noqa: PTH118 - file names are bytes here
            return plain[way]

        for path in filter(None, set(listing.split(b"\0"))):
            if path.endswith(b"/"):
                self.note(f"{_shown(path)} is a repository of its own; it was left out.")
                continue
            if not reached_plainly(path.rpartition(b"/")[0]):
                gone.add(path)
                continue
            full = os.path.join(top, path)  # noqa: PTH118 - file names are bytes here
            if self.extras.sparse and sparse.is_outside(path, self.extras.sparse) and not os.path.lexists(full):
                continue  # it was never put on disk
            try:
                mode = os.lstat(full).st_mode
            except OSError:
                changed.add(path)  # `--remove` takes it out
                continue
            if stat.S_ISDIR(mode):
                directories.add(path)
            elif stat.S_ISLNK(mode) or (stat.S_ISREG(mode) and os.access(full, os.R_OK)):
                changed.add(path)
            elif stat.S_ISREG(mode):
                self.note(f"{_shown(path)} could not be read; it was left as it was before.")
            else:
                self.note(f"{_shown(path)} is not a file; it was left out.")
                gone.add(path)
        return changed, gone, directories

    async def _gitlinks(self, paths: set[bytes]) -> set[bytes]:
        entries = (await self._git("ls-files", "-z", "--stage")).split(b"\0")
        links = {entry.partition(b"\t")[2] for entry in entries if entry.startswith(GITLINK)}
        return paths & links

    async def _is_whole(self, head: str, base: str) -> bool:
        """Whether the mirror has it, it is a commit, and nothing is missing that it needs beyond the base."""
        for words in (("cat-file", "-t", head), ("rev-list", "--objects", "--quiet", head, f"^{base}")):
            output = await self.git.run(*words, git_dir=self.mirror, expect=range(-64, 256))
            if output.exit_code or output.stdout.strip() not in (b"commit", b""):
                return False
        return True

    async def _import(self, head: str, known: frozenset[str]) -> bool:
        """Copies the agent's commits through a strict reader that recomputes every object id."""
        wanted = "".join(f"{commit}\n" for commit in [head, *(f"^{commit}" for commit in sorted(known))])
        objects = str(self.root / ".git" / "objects")
        borrowed = {"GIT_ALTERNATE_OBJECT_DIRECTORIES": '"' + objects.replace("\\", "\\\\").replace('"', '\\"') + '"'}
        with tempfile.TemporaryFile(dir=self.index.parent) as pack:
            try:
                await self.git.run(
                    "pack-objects", "--revs", "--stdout", "--delta-base-offset", "--no-use-bitmap-index", "-q",
                    git_dir=self.mirror, environment=borrowed, stdin=wanted.encode(), stdout=pack,
                )  # fmt: skip
                pack.seek(0)
                await self.git.run("index-pack", "--stdin", "--strict", git_dir=self.mirror, stdin=pack)
            except StepFailed as refusal:
                if refusal.failure_class is not FailureClass.GIT:
                    raise
                return False
        return True

    async def _git(self, *arguments: str, stdin: bytes | None = None) -> bytes:
        output = await self.git.run(*arguments, git_dir=self.mirror, work_tree=self.root, index=self.index, stdin=stdin)
        return output.stdout


def _is_link(path: bytes) -> bool:
    try:
        return stat.S_ISLNK(os.lstat(path).st_mode)
    except OSError:
        return False


def _shown(path: bytes) -> str:
    text = path.decode("utf-8", "replace").rstrip("/")
    return "".join(char if char.isprintable() else "?" for char in text)[:200]
