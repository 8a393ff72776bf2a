"""`python -m tests.deploy.contained`: the server under its container's conditions, where there is no engine.

Becomes the server itself (no process of its own stays): an ordinary user without capabilities, a root that is read-only
but for the volumes in CONTAINED_VOLUMES (with commas), and a fresh tmpfs at /mnt. Must be started as root.
"""

import os
import shlex
import sys
from pathlib import Path

USER = 10001
SCRATCH = "/mnt"


def hidden_above(path: Path) -> Path | None:
    """The topmost folder above `path` that an ordinary user may not pass through."""
    for folder in reversed(path.parents):
        if not folder.stat().st_mode & 0o001:
            return folder
    return None


def script() -> str:
    lines = ["set -e"]
    needed = {Path(sys.base_prefix), Path(sys.prefix), Path.cwd().parent}
    for top in sorted({top for path in needed if (top := hidden_above(path)) is not None}):
        # Who owns that folder keeps it closed: the ordinary user gets one with nothing but what is needed in it.
        below = sorted(path for path in needed if top in path.parents)
        lines.append(f"mount -t tmpfs -o mode=755 tmpfs {SCRATCH}")
        for number, path in enumerate(below):
            lines += [f"mkdir {SCRATCH}/{number}", f"mount --rbind {shlex.quote(str(path))} {SCRATCH}/{number}"]
        lines.append(f"mount -t tmpfs -o mode=755 tmpfs {shlex.quote(str(top))}")
        for number, path in enumerate(below):
            quoted = shlex.quote(str(path))
            lines += [f"mkdir -p {quoted}", f"mount --rbind {SCRATCH}/{number} {quoted}"]
        lines.append(f"umount -l {SCRATCH}")
    for volume in os.environ["CONTAINED_VOLUMES"].split(","):
        lines.append(f"mount --bind {shlex.quote(volume)} {shlex.quote(volume)}")
    lines += [
        f"mount -t tmpfs -o mode=1777 tmpfs {SCRATCH}",
        "mount -o remount,bind,ro /",
        f"cd {shlex.quote(str(Path.cwd()))}",
        f"exec setpriv --reuid {USER} --regid {USER} --clear-groups --no-new-privs --inh-caps=-all "
        f"--bounding-set=-all -- {shlex.quote(sys.executable)} -m src.server.main",
    ]
    return "\n".join(lines)


if __name__ == "__main__":
    os.execvp("unshare", ["unshare", "--mount", "--propagation", "private", "sh", "-c", script()])  # noqa: S606 - becomes it
