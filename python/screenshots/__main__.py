"""`python -m screenshots`: takes all pictures, keeps the chosen ones for the documents. Knows no page."""

import argparse
import re
import secrets
import shutil
import sys
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from html import escape
from pathlib import Path
from time import perf_counter

from playwright.sync_api import Error as BrowserError

from src.agent_work_orders.rehearsal import Stage, stage_in_thread

from . import states
from .camera import Camera, Shot, Size, open_camera
from .server import Archon, Broken, running
from .states import State
from .story import tell

ROOT = Path(__file__).resolve().parents[2]
KEPT = ROOT / "docs" / "images"
ALL = ROOT / "docs" / "images" / "all"
STAGE_PORT = 4519  # always the same, so that the addresses in the pictures are


class Album:
    """Takes states, and remembers what it took and what it could not."""

    def __init__(self, camera: Camera, only: re.Pattern[str], fresh: bool) -> None:
        self._camera, self._only, self._fresh = camera, only, fresh
        self.taken: list[Shot] = []
        self.kept: list[Path] = []
        self.missed: list[str] = []

    def wants(self, wanted: Iterable[State]) -> list[State]:
        return [state for state in wanted if self._only.search(state.name)]

    def take(self, archon: Archon, wanted: Iterable[State]) -> None:
        for state in self.wants(wanted):
            for size in state.sizes:
                try:
                    self._one(archon, state, size)
                except (BrowserError, AssertionError) as problem:
                    self.missed.append(f"{state.name} ({size}): {str(problem).splitlines()[0]}")
                    print(f"missed {self.missed[-1]}", file=sys.stderr, flush=True)

    def _one(self, archon: Archon, state: State, size: Size) -> None:
        for_documents = any(variant.startswith(size) for variant in state.kept)
        with self._camera.page(size) as page:
            page.goto(archon.address + state.address)
            state.reach(page)
            for shot in self._camera.take(page, state.name, size, whole=state.whole):
                self._file(shot)
        if not for_documents:
            return
        with self._camera.page(size, scale=2) as page:
            page.goto(archon.address + state.address)
            state.reach(page)
            for shot in self._camera.take(page, state.name, size, whole=False):
                if f"{size}-{shot.colours}" in state.kept:
                    path = KEPT / f"{shot.file_name}.webp"
                    if self._camera.keep(shot, path, always=self._fresh):
                        self.kept.append(path)

    def _file(self, shot: Shot) -> None:
        ALL.mkdir(parents=True, exist_ok=True)
        (ALL / f"{shot.file_name}.png").write_bytes(shot.png)
        self.taken.append(shot)


def main() -> int:
    options = _options()
    began = perf_counter()
    try:
        with open_camera() as camera:
            album = Album(camera, re.compile(options.only), options.fresh)
            _take_all(album)
    except Broken as broken:
        print(f"The pictures could not be taken: {broken}", file=sys.stderr)
        return 2
    _write_index()
    for path in album.kept:
        print(f"new: {path.relative_to(ROOT)}")
    print(f"{len(album.taken)} pictures in {perf_counter() - began:.0f} s; look at {ALL.relative_to(ROOT)}/index.html")
    return 1 if album.missed else 0


def _take_all(album: Album) -> None:
    with _folder() as home:
        if album.wants(states.of_an_empty_server()):
            with running(home / "empty") as archon:
                album.take(archon, states.of_an_empty_server())
        if album.wants(states.of_a_locked_server()):
            with running(home / "locked", AWO_API_TOKEN=secrets.token_hex(16)) as archon:
                album.take(archon, states.of_a_locked_server())
        with _stage(home / "stage") as stage, running(home / "busy", stage) as archon:
            told = tell(archon, stage)
            print("The story is told.", flush=True)
            album.take(archon, states.of_a_busy_server(told))


@contextmanager
def _folder() -> Iterator[Path]:
    """An empty folder, always the same one: paths are in the pictures, too."""
    home = Path(tempfile.gettempdir()) / "archon"
    if home.exists():
        raise Broken(f"{home} is in the way; is another run at work? Remove it if not.")
    home.mkdir()
    try:
        yield home
    finally:
        shutil.rmtree(home, ignore_errors=True)


@contextmanager
def _stage(directory: Path) -> Iterator[Stage]:
    """A stage on the usual port, or on another one if that is taken."""
    directory.mkdir(parents=True)
    (directory / "port").write_text(str(STAGE_PORT))
    with stage_in_thread(directory) as stage:
        yield stage


def _write_index() -> None:
    """All pictures on one page."""
    pictures = sorted(path.name for path in ALL.glob("*.png"))
    body = "".join(
        f'<figure><a href="{escape(name)}"><img src="{escape(name)}" loading="lazy" alt=""></a>'
        f"<figcaption>{escape(name)}</figcaption></figure>"
        for name in pictures
    )
    style = "body{display:flex;flex-wrap:wrap;gap:1rem;font:14px sans-serif}img{max-height:32rem;max-width:40rem}"
    (ALL / "index.html").write_text(f"<!doctype html><title>Pictures</title><style>{style}</style>{body}")


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="screenshots", description="Takes pictures of every page and state.")
    parser.add_argument("--only", default="", metavar="PATTERN", help="only states whose name holds this expression")
    parser.add_argument(
        "--fresh", action="store_true", help="replace the documents' pictures even where nothing is new"
    )
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
