"""A part of a repository on disk: the directory an order works in, and the files beside the way there (git's cone).

What is not on disk is not deleted: the server's index says so. What an order changes outside is noticed all the same.
"""

import os
import re
from pathlib import Path

from . import disk


def cone(subdir: str) -> str:
    """The lines of info/sparse-checkout for one directory."""
    lines = ["/*", "!/*/"]
    way = ""
    parts = subdir.split("/")
    for number, part in enumerate(parts, 1):
        way = f"{way}/{_literal(part)}"
        lines.append(f"{way}/")
        if number < len(parts):
            lines.append(f"!{way}/*/")
    return "\n".join(lines) + "\n"


def is_outside(path: bytes, subdir: str) -> bool:
    """Whether a file is neither in the directory nor directly in one on the way to it."""
    target = os.fsencode(subdir)
    parent = path.rpartition(b"/")[0]
    return bool(parent) and not f"{subdir}/".encode().startswith(parent + b"/") and not path.startswith(target + b"/")


def write_view(view: Path, subdir: str) -> None:
    """A git directory of the server's that shows a mirror through a cone: for use with GIT_COMMON_DIR."""
    disk.make_directory(view / "info")
    disk.write_whole(view / "HEAD", b"ref: refs/heads/none\n")
    disk.write_whole(view / "info" / "sparse-checkout", cone(subdir).encode())


SETTINGS = {"core.sparseCheckout": "true", "core.sparseCheckoutCone": "true"}


def found_outside(root: Path, subdir: str) -> set[bytes]:
    """Files that are on disk outside of the cone, which only the order can have put there. Follows no link."""
    top, target = os.fsencode(root), os.fsencode(subdir)
    found: set[bytes] = set()
    waiting = [b""]
    while waiting:
        directory = waiting.pop()
        with os.scandir(os.path.join(top, directory)) as entries:  # noqa: PTH118 - file names are bytes here
            for entry in entries:
                path = directory + b"/" + entry.name if directory else entry.name
                if entry.is_dir(follow_symlinks=False):
                    if path not in (b".git", target) and os.access(entry.path, os.R_OK | os.X_OK):
                        waiting.append(path)
                elif is_outside(path, subdir):
                    found.add(path)
    return found


def _literal(name: str) -> str:
    return re.sub(r"([*?\[\]\\])", r"\\\1", name)
