"""What the server remembers of an order's checkout beyond its commits; an agent cannot reach it."""

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path

from . import disk
from .lfs import Stamp

_FILE = "extras.json"
_MAX = 16 << 20


@dataclass(frozen=True)
class Extras:
    """`sparse` is the directory that alone is on disk, `set_up` names the set-up whose work is in the checkout, and
    `due` says that one has still to run: before the agent does, never after it.

    `hidden` are lines that keep what it made out of commits, `placed` are paths of files that never belong in one,
    `submodules` are the names of their mirrors' directories by path, `large` the Git LFS files as they were fetched;
    None where they were not to be.
    """

    sparse: str = ""
    set_up: str = ""
    due: bool = False
    hidden: tuple[str, ...] = ()
    placed: tuple[str, ...] = ()
    submodules: dict[str, str] = field(default_factory=dict)
    large: dict[str, Stamp] | None = None

    def save(self, order_directory: Path) -> None:
        disk.make_directory(order_directory)
        disk.write_whole(order_directory / _FILE, json.dumps(asdict(self)).encode())
        disk.write_whole(order_directory / "exclude", "".join(f"{line}\n" for line in self.hidden).encode())


def load(order_directory: Path) -> Extras:
    """What was saved; nothing extra if that cannot be read."""
    data = disk.read_inside(order_directory, [_FILE], _MAX)
    try:
        said = json.loads(data) if data else {}
        return Extras(
            said.get("sparse", ""),
            said.get("set_up", ""),
            said.get("due", False),
            tuple(said.get("hidden", ())),
            tuple(said.get("placed", ())),
            said.get("submodules", {}),
            None if said.get("large") is None else {path: Stamp(**one) for path, one in said["large"].items()},
        )
    except (ValueError, TypeError, AttributeError):
        return Extras()
