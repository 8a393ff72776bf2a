"""`make install-into ARCHON=<checkout>` puts Agent Work Orders into a checkout of the public Archon v1, or out of it.

Copies the plugin, its migration, its MCP tools, its pages and its compose override, adds ten lines to five files, and
to `package.json` the packages that it lacks. What it did stands in `.agent-work-orders.json` there, by which it can be
done again and undone. Needs nothing but Python.
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

import public_ui

ROOT = Path(__file__).resolve().parents[1]
MANIFEST = ".agent-work-orders.json"
PACKAGES = f"{public_ui.UI}/package.json"
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
    """Lines that go into a file, as far indented as the line beside which they stand: after the last line that `after`
    matches (with `until`: after the first from there on that `until` matches), or before the first that `before` does.
    """

    path: str
    lines: tuple[str, ...]
    after: str = ""
    until: str = ""
    before: str = ""


SERVER = (
    Edit(
        "python/src/server/main.py",
        ("from ..agent_work_orders import router as agent_work_orders_router",),
        after=r"from \.api_routes\.\w+ import router as \w+",
    ),
    Edit(
        "python/src/server/main.py",
        ("app.include_router(agent_work_orders_router)",),
        after=r"app\.include_router\(\w+\)",
    ),
    Edit(
        "python/src/mcp_server/mcp_server.py",
        (
            "from src.mcp_server.features.agent_work_orders import register_work_order_tools",
            "register_work_order_tools(mcp)",
        ),
        after=r"register_modules\(\)",
    ),
)
_IMPORT = r"""import .* from ['"]\.[^'"]*['"];?"""
PAGES = (
    Edit(
        f"{public_ui.UI}/src/App.tsx",
        ('import { AgentWorkOrdersPages } from "./features/agent-work-orders/archon";',),
        after=_IMPORT,
    ),
    Edit(
        f"{public_ui.UI}/src/App.tsx",
        ('<Route path="/agent-work-orders/*" element={<AgentWorkOrdersPages />} />',),
        after=r"""<Route path=['"]/settings['"] .*/>""",
    ),
    Edit(
        f"{public_ui.UI}/src/components/layout/Navigation.tsx",
        ('import { agentWorkOrdersEntry } from "../../features/agent-work-orders/archon";',),
        after=_IMPORT,
    ),
    Edit(
        f"{public_ui.UI}/src/components/layout/Navigation.tsx",
        ("agentWorkOrdersEntry,",),
        after=r"""label: ['"]Knowledge Base['"],""",
        until=r"\},",
    ),
    Edit(
        f"{public_ui.UI}/src/pages/SettingsPage.tsx",
        ('import { AgentWorkOrdersSection } from "../features/agent-work-orders/archon";',),
        after=_IMPORT,
    ),
    Edit(
        f"{public_ui.UI}/src/pages/SettingsPage.tsx",
        ("<AgentWorkOrdersSection />",),
        before=r"\{/\* (Button Playground|Error Display)\b.*\*/\}",
    ),
)


class Checkout:
    """A checkout of the public Archon, and what of ours is in it."""

    def __init__(self, root: Path, *, pages: bool = True) -> None:
        self.root, self.pages = root, pages
        self.edits = SERVER + PAGES if pages else SERVER
        for needed in [*(edit.path for edit in self.edits), *([PACKAGES] if pages else []), "docker-compose.yml"]:
            if not (root / needed).is_file():
                hint = " Leave the pages out with PAGES=no." if needed.startswith(public_ui.UI) else ""
                raise Refused(f"{root} is no checkout of Archon v1: it has no {needed}. Name its top folder.{hint}")
        self.files: dict[str, str] = {}
        # What stood where something newer was about to be put: an update that broke off can be done again, or undone.
        self.replaced: dict[str, str] = {}
        self.lines: dict[str, list[str]] = {}
        self.folders: list[str] = []
        with suppress(FileNotFoundError):
            try:
                known = json.loads((root / MANIFEST).read_text(encoding="utf-8"))
                self.files, self.lines = dict(known["files"]), dict(known["lines"])
                self.folders, self.replaced = list(known["folders"]), dict(known.get("replaced", {}))
            except (ValueError, KeyError, TypeError):
                raise Refused(
                    f"{root / MANIFEST} cannot be read; restore it, or remove what was installed by hand."
                ) from None

    def install(self) -> Iterator[str]:
        """Says line by line what it does. Nothing is touched unless everything can be."""
        ours = {name: (ROOT / name).read_bytes() for name in _our_files()}
        if self.pages:
            ours |= public_ui.files()
        for name, content in ours.items():
            there = self._digest(name)
            if there not in (None, _digest_of(content), self.files.get(name), self.replaced.get(name)):
                raise Refused(f"{name} is there already and is not what was installed; move it away, then try again.")
            if there is not None:
                self.replaced[name] = there
        edited, lines = self._edited(ours)
        gone = [name for name in self.files if name not in ours]
        # First what undoing needs, so that it works from whatever point on.
        self.files.update({name: _digest_of(content) for name, content in ours.items()})
        self.lines = lines
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
        yield from self._rewrite(edited, "edited")
        self.replaced = {}
        self._keep()

    def undo(self) -> Iterator[str]:
        """Takes everything out again. What somebody changed meanwhile stays, and is named."""
        there = [name for name in self.lines if (self.root / name).is_file()]
        yield from self._rewrite({name: self._unedited(name) for name in there}, "restored")
        self.lines = {}
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
        if there in (None, self.files[name], self.replaced.get(name)):
            (self.root / name).unlink(missing_ok=True)
            del self.files[name]
            yield f"removed  {name}"
        else:
            yield f"KEPT     {name}, because it was changed after it was installed"

    def _rewrite(self, contents: dict[str, bytes], done: str) -> Iterator[str]:
        for name, content in contents.items():
            if (self.root / name).read_bytes() != content:
                _write(self.root / name, content)
                yield f"{done.ljust(8)} {name}"

    def _edited(self, ours: dict[str, bytes]) -> tuple[dict[str, bytes], dict[str, list[str]]]:
        """What the edited files will hold, and which of their lines are ours. Begins at what they are without us."""
        contents = {name: self._unedited(name) for name in {*self.lines, *(edit.path for edit in self.edits)}}
        lines: dict[str, list[str]] = {}
        for edit in self.edits:
            if not _has(contents[edit.path], edit.lines[-1]):
                contents[edit.path] = _with(contents[edit.path], edit)
                lines.setdefault(edit.path, []).extend(edit.lines)
        if self.pages:
            contents[PACKAGES] = contents.get(PACKAGES) or self._unedited(PACKAGES)
            for edit in _package_edits(contents[PACKAGES], public_ui.packages(ours)):
                contents[PACKAGES] = _with(contents[PACKAGES], edit)
                lines.setdefault(PACKAGES, []).extend(edit.lines)
        return contents, lines

    def _unedited(self, name: str) -> bytes:
        kept = (self.root / name).read_bytes().splitlines(keepends=True)
        for ours in self.lines.get(name, []):
            at = next((n for n, line in enumerate(kept) if line.strip() == ours.encode()), None)
            if at is not None:
                removed = kept.pop(at)
                if at == len(kept) and kept and not removed.endswith(b"\n"):
                    # Ours had become the last line of a file without a last line end.
                    kept[-1] = kept[-1].rstrip(b"\r\n")
        return b"".join(kept)

    def _digest(self, name: str) -> str | None:
        path = self.root / name
        if path.is_symlink() or (path.exists() and not path.is_file()):
            raise Refused(f"{name} is there and is no file; move it away, then try again.")
        return _digest_of(path.read_bytes()) if path.exists() else None

    def _keep(self) -> None:
        known = {
            "installed": "Agent Work Orders",
            "files": dict(sorted(self.files.items())),
            "replaced": self.replaced,
            "lines": self.lines,
            "folders": self.folders,
        }
        _write(self.root / MANIFEST, (json.dumps(known, indent=1) + "\n").encode())


def _has(content: bytes, line: str) -> bool:
    return any(one.strip() == line.encode() for one in content.splitlines())


def _with(content: bytes, edit: Edit) -> bytes:
    lines = content.splitlines(keepends=True)

    def places(pattern: str, start: int = 0) -> list[int]:
        whole = re.compile(rf"^\s*(?:{pattern})\s*(#.*)?$")
        return [n for n in range(start, len(lines)) if whole.match(lines[n].decode("utf-8").rstrip("\r\n"))]

    found = places(edit.before)[:1] if edit.before else places(edit.after)[-1:]
    if found and edit.until:
        found = places(edit.until, found[0])[:1]
    if not found:
        looked_for = edit.before or edit.after
        raise Refused(f"{edit.path} has no line like `{looked_for}`; this Archon is laid out differently.")
    place = found[0]
    indent = lines[place][: len(lines[place]) - len(lines[place].lstrip())]
    end = b"\r\n" if b"\r\n" in (lines[place] if lines[place].endswith(b"\n") else content) else b"\n"
    new = [indent + line.encode() + end for line in edit.lines]
    if edit.before:
        return b"".join([*lines[:place], *new, *lines[place:]])
    if not lines[place].endswith(b"\n"):
        lines[place], new[-1] = lines[place] + end, new[-1].removesuffix(end)
    return b"".join([*lines[: place + 1], *new, *lines[place + 1 :]])


def _package_edits(content: bytes, wanted: dict[str, str]) -> Iterator[Edit]:
    """A line for each package that is not there, before the next one by name; the last has no comma and stays last."""
    try:
        there = list(json.loads(content)["dependencies"])
    except (ValueError, KeyError, TypeError):
        there = []
    if not there:
        raise Refused(f"{PACKAGES} has no dependencies; this Archon is laid out differently.")
    last = there[-1]
    for name, version in sorted(wanted.items()):
        if name not in there:
            following = min((one for one in there if one > name), default=last)
            there.append(name)
            yield Edit(PACKAGES, (f'"{name}": "{version}",',), before=rf'"{re.escape(following)}":\s.*')


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
  2. Put ARCHON_AWO_ENABLED=true and an AWO_API_TOKEN of at least 16 characters into .env, and AWO_ALLOWED_ORIGINS with
     the address under which people open Archon's pages, where that is not http://localhost:3737.
  3. npm install, in archon-ui-main: it writes the new packages into package-lock.json (after an undo once more).
  4. docker compose build archon-server
     docker compose -f docker-compose.yml -f docker-compose.awo.yml up -d --build
     (without Docker: install gitpython, prometheus-client and pyyaml beside the server, and git and claude on its PATH)
Undo it all with: make uninstall-from ARCHON=<checkout>
"""


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="install_into", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("checkout", type=Path, help="top folder of an Archon v1 checkout")
    parser.add_argument("--undo", action="store_true", help="take it out again")
    parser.add_argument("--without-pages", action="store_true", help="leave Archon's user interface as it is")
    options = parser.parse_args(arguments)
    say = sys.stdout.write
    try:
        checkout = Checkout(options.checkout.resolve(), pages=not (options.undo or options.without_pages))
        done = 0
        for line in checkout.undo() if options.undo else checkout.install():
            say(f"{line}\n")
            done += 1
    except (Refused, public_ui.Unlike) as refused:
        sys.stderr.write(f"{refused}\n")
        return 1
    except OSError as error:
        sys.stderr.write(
            f"{error.filename or 'The output'}: {error.strerror}; what was done so far can be done again or undone.\n"
        )
        return 1
    if not done:
        say("Nothing to do: it is as it should be.\n")
    elif not options.undo:
        say(NEXT)
    return 0


if __name__ == "__main__":
    sys.exit(main())
