"""`make install-into ARCHON=<checkout>` puts Agent Work Orders into a checkout of the public Archon v1, or out of it.

Copies the plugin, its migration, its MCP tools and its compose override, and edits two files by four lines. What it did
stands in `.agent-work-orders.json` there, by which it can be done again and undone. Needs nothing but Python.
"""

import argparse
import hashlib
import json
import re
import sys
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
MANIFEST = ".agent-work-orders.json"
# Folders and files of ours, which have the same place there.
COPIED = (
    "python/src/agent_work_orders",
    "python/src/mcp_server/features/agent_work_orders",
    "python/Dockerfile.awo",
    "migration/awo_setup.sql",
    *(str(path.relative_to(ROOT)) for path in sorted((ROOT / "migration").glob("awo-*"))),
    "docker-compose.awo.yml",
)
LEFT_OUT = ("__pycache__", ".pyc")


class Refused(Exception):
    """Why nothing was done, in one sentence for a person."""


@dataclass(frozen=True)
class Edit:
    """Lines that go after the last line of a file which `after` matches, as far indented as that one."""

    path: str
    after: str
    lines: tuple[str, ...]


EDITS = (
    Edit(
        "python/src/server/main.py",
        r"from \.api_routes\.\w+ import router as \w+",
        ("from ..agent_work_orders import router as agent_work_orders_router",),
    ),
    Edit(
        "python/src/server/main.py",
        r"app\.include_router\(\w+\)",
        ("app.include_router(agent_work_orders_router)",),
    ),
    Edit(
        "python/src/mcp_server/mcp_server.py",
        r"register_modules\(\)",
        (
            "from src.mcp_server.features.agent_work_orders import register_work_order_tools",
            "register_work_order_tools(mcp)",
        ),
    ),
)


class Checkout:
    """A checkout of the public Archon, and what of ours is in it."""

    def __init__(self, root: Path) -> None:
        self.root = root
        for needed in {edit.path for edit in EDITS} | {"docker-compose.yml", "migration"}:
            if not (root / needed).exists():
                raise Refused(f"{root} is no checkout of Archon v1: it has no {needed}. Name its top folder.")
        self.files: dict[str, str] = {}
        self.folders: list[str] = []
        with suppress(FileNotFoundError):
            try:
                known = json.loads((root / MANIFEST).read_text(encoding="utf-8"))
                self.files, self.folders = dict(known["files"]), list(known["folders"])
            except (ValueError, KeyError, TypeError):
                raise Refused(
                    f"{root / MANIFEST} cannot be read; restore it, or remove what was installed by hand."
                ) from None

    def install(self) -> Iterator[str]:
        """Says line by line what it does. Nothing is touched unless everything can be."""
        ours = {name: (ROOT / name).read_bytes() for name in _our_files()}
        for name, content in ours.items():
            there = self._digest(name)
            if there not in (None, _digest_of(content), self.files.get(name)):
                raise Refused(f"{name} is there already and is not what was installed; move it away, then try again.")
        edited = self._edited(EDITS)
        gone = [name for name in self.files if name not in ours]
        # First what undoing needs, so that it works from whatever point on.
        self.files.update({name: _digest_of(content) for name, content in ours.items()})
        for name in ours:
            for folder in reversed(Path(name).parents):
                if str(folder) != "." and not (self.root / folder).is_dir() and str(folder) not in self.folders:
                    self.folders.append(str(folder))
        self._keep()
        for name, content in ours.items():
            if self._digest(name) != _digest_of(content):
                (self.root / name).parent.mkdir(parents=True, exist_ok=True)
                _write(self.root / name, content)
                yield f"copied   {name}"
        for name in gone:
            yield from self._remove(name)
        for name, content in edited.items():
            if (self.root / name).read_bytes() != content:
                _write(self.root / name, content)
                yield f"edited   {name}"
        self._keep()

    def undo(self) -> Iterator[str]:
        """Takes everything out again. What somebody changed meanwhile stays, and is named."""
        for name, content in self._unedited(EDITS).items():
            if (self.root / name).read_bytes() != content:
                _write(self.root / name, content)
                yield f"restored {name}"
        for name in sorted(self.files):
            yield from self._remove(name)
        for folder in sorted(self.folders, key=len, reverse=True):
            for cache in (self.root / folder).glob("__pycache__/*.pyc"):
                cache.unlink()
            for path in (self.root / folder / "__pycache__", self.root / folder):
                with suppress(OSError):
                    path.rmdir()
        if self.files:
            self._keep()
        else:
            (self.root / MANIFEST).unlink(missing_ok=True)

    def _remove(self, name: str) -> Iterator[str]:
        there = self._digest(name)
        if there in (None, self.files[name]):
            (self.root / name).unlink(missing_ok=True)
            del self.files[name]
            yield f"removed  {name}"
        else:
            yield f"KEPT     {name}, because it was changed after it was installed"

    def _edited(self, edits: tuple[Edit, ...]) -> dict[str, bytes]:
        result: dict[str, bytes] = {}
        for edit in edits:
            content = result.get(edit.path) or (self.root / edit.path).read_bytes()
            lines = content.splitlines(keepends=True)
            if any(line.strip() == edit.lines[-1].encode() for line in lines):
                result[edit.path] = content
                continue
            pattern = re.compile(rf"^(\s*){edit.after}\s*(#.*)?$")
            places = [n for n, line in enumerate(lines) if pattern.match(line.decode("utf-8").rstrip("\r\n"))]
            if not places:
                raise Refused(f"{edit.path} has no line like `{edit.after}`; this Archon is laid out differently.")
            place = places[-1]
            indent = re.match(rb"\s*", lines[place])
            end = b"\r\n" if lines[place].endswith(b"\r\n") else b"\n"
            if not lines[place].endswith(b"\n"):
                lines[place] += end
            new = [(indent[0] if indent else b"") + line.encode() + end for line in edit.lines]
            result[edit.path] = b"".join([*lines[: place + 1], *new, *lines[place + 1 :]])
        return result

    def _unedited(self, edits: tuple[Edit, ...]) -> dict[str, bytes]:
        result: dict[str, bytes] = {}
        for edit in edits:
            content = result.get(edit.path) or (self.root / edit.path).read_bytes()
            ours = {line.encode() for line in edit.lines}
            kept = [line for line in content.splitlines(keepends=True) if line.strip() not in ours]
            result[edit.path] = b"".join(kept)
        return result

    def _digest(self, name: str) -> str | None:
        path = self.root / name
        if path.is_symlink() or (path.exists() and not path.is_file()):
            raise Refused(f"{name} is there and is no file; move it away, then try again.")
        return _digest_of(path.read_bytes()) if path.exists() else None

    def _keep(self) -> None:
        known = {"installed": "Agent Work Orders", "files": dict(sorted(self.files.items())), "folders": self.folders}
        _write(self.root / MANIFEST, (json.dumps(known, indent=1) + "\n").encode())


def _our_files() -> Iterator[str]:
    for name in COPIED:
        path = ROOT / name
        found = [path] if path.is_file() else sorted(one for one in path.rglob("*") if one.is_file())
        for one in found:
            relative = one.relative_to(ROOT)
            if not any(part in LEFT_OUT for part in (*relative.parts, relative.suffix)):
                yield relative.as_posix()


def _digest_of(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def _write(path: Path, content: bytes) -> None:
    """Whole or not at all."""
    draft = path.with_name(f".{path.name}.awo-draft")
    try:
        draft.write_bytes(content)
        if path.exists():
            draft.chmod(path.stat().st_mode & 0o777)
        draft.replace(path)
    finally:
        draft.unlink(missing_ok=True)


NEXT = """
What is left to do there:
  1. Run migration/awo_setup.sql in Supabase's SQL editor (or Archon's migration page).
  2. Put ARCHON_AWO_ENABLED=true and an AWO_API_TOKEN of at least 16 characters into .env.
  3. docker compose build archon-server
     docker compose -f docker-compose.yml -f docker-compose.awo.yml up -d --build
     (without Docker: install gitpython, prometheus-client and pyyaml beside the server, and git and claude on its PATH)
Undo it all with: make uninstall-from ARCHON=<checkout>
"""


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="install_into", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("checkout", type=Path, help="top folder of an Archon v1 checkout")
    parser.add_argument("--undo", action="store_true", help="take it out again")
    options = parser.parse_args(arguments)
    say = sys.stdout.write
    try:
        checkout = Checkout(options.checkout.resolve())
        done = 0
        for line in checkout.undo() if options.undo else checkout.install():
            say(f"{line}\n")
            done += 1
    except Refused as refused:
        sys.stderr.write(f"{refused}\n")
        return 1
    except OSError as error:
        sys.stderr.write(f"{error.filename}: {error.strerror}; what was done so far can be done again or undone.\n")
        return 1
    if not done:
        say("Nothing to do: it is as it should be.\n")
    elif not options.undo:
        say(NEXT)
    return 0


if __name__ == "__main__":
    sys.exit(main())
