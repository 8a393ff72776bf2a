"""Where the bench works: `bench/scratch/` of the repository, with the repositories it generates once and keeps.

`AWO_BENCH_DIR` names another folder: on a disk that is slow or shared the disk is all that is measured.
"""

import os
import random
import shutil
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from tempfile import mkdtemp
from time import perf_counter, sleep, time

from .scale import Tree

ROOT = Path(__file__).resolve().parents[2]
SCRATCH = Path(os.environ.get("AWO_BENCH_DIR") or ROOT / "bench" / "scratch").absolute()
STAGE = SCRATCH / "stage"
OWNER = "bench"
FILES_PER_FOLDER = 50
# ext4 looks so long, in seconds, for inodes that were not deleted lately, and then every new file costs many times what
# it should: warm starts of 5,000 files took four times as long in a run that followed another one at once.
SETTLING = 40.0
_CLEARED = SCRATCH / "cleared"


def git_environment() -> dict[str, str]:
    """For the yardsticks: git as it comes, without anybody's configuration."""
    return {
        "PATH": os.environ["PATH"],
        "HOME": os.devnull,
        "GIT_CONFIG_NOSYSTEM": "1",
        "GIT_CONFIG_GLOBAL": os.devnull,
        "GIT_TERMINAL_PROMPT": "0",
    }


def git(*arguments: str | Path) -> float:
    """Runs git to its end; the seconds that it took."""
    began = perf_counter()
    subprocess.run(
        ["git", *arguments], env=git_environment(), stdin=subprocess.DEVNULL, capture_output=True, check=True
    )
    return perf_counter() - began


def repository(tree: Tree, alias: str = "") -> Path:
    """The bare repository of a tree, below the stage's folder; an alias is the same one under another name."""
    path = STAGE / "repositories" / OWNER / f"{tree.name}.git"
    if not path.is_dir():
        _generate(tree, path)
    if not alias:
        return path
    link = path.with_name(f"{alias}.git")
    if not link.is_symlink():
        link.symlink_to(path.name)
    return link


def _generate(tree: Tree, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f".{path.name}.draft")
    shutil.rmtree(draft, ignore_errors=True)
    git("init", "--quiet", "--bare", "--initial-branch=main", draft)
    options = ("-c", "core.compression=1", "-c", "fastimport.unpackLimit=0")
    with subprocess.Popen(  # noqa: TID251 - fed and waited for right here
        ["git", "-C", draft, *options, "fast-import", "--quiet"], env=git_environment(), stdin=subprocess.PIPE
    ) as importer:
        assert importer.stdin is not None
        importer.stdin.write(
            b"commit refs/heads/main\ncommitter Bench <bench@localhost> 1700000000 +0000\ndata 6\nBegin\n"
        )
        randomness = random.Random(tree.name)
        for number in range(tree.files):
            name = f"src/package_{number // FILES_PER_FOLDER:04}/module_{number % FILES_PER_FOLDER:02}.txt"
            content = randomness.randbytes(tree.file_bytes)
            importer.stdin.write(b"M 100644 inline %s\ndata %d\n%s\n" % (name.encode(), len(content), content))
    if importer.returncode:
        raise RuntimeError(f"git fast-import failed for {tree.name}")
    draft.rename(path)


def folder() -> Path:
    """A fresh folder on the same disk as the repositories. It stays until `clear`: see `SETTLING`."""
    SCRATCH.mkdir(parents=True, exist_ok=True)
    return Path(mkdtemp(prefix=f"run-{os.getpid()}-", dir=SCRATCH))


def settle() -> None:
    """Waits until the disk has got over what the run before this one deleted."""
    with suppress(FileNotFoundError):
        left = SETTLING - (time() - _CLEARED.stat().st_mtime)
        if 0 < left <= SETTLING:
            print(f"waiting {left:.0f} s for the disk to settle after the last run", file=sys.stderr, flush=True)
            sleep(left)


def clear() -> None:
    """Deletes what was measured in, also by benches that were killed; the generated repositories stay."""
    for path in SCRATCH.glob("run-*"):
        owner = path.name.split("-")[1]
        if owner == str(os.getpid()) or not Path("/proc", owner).exists():
            shutil.rmtree(path, ignore_errors=True)
    if SCRATCH.is_dir():
        _CLEARED.touch()
