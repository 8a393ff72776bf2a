"""`python -m src.agent_work_orders.backup create|restore|verify`: all of a server in one file, and back.

Composition, as plugin.py: it knows which store this server has and where its folders are; the rest is in `archive/`.
"""

import argparse
import os
import sys
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path

import anyio
from anyio import to_thread

from .archive.backup import Contents, Volume, create_backup, restore_backup, verify_backup
from .archive.move import Movable
from .archive.workplace import workplace
from .checkout.bundles import MirrorBundles
from .checkout.git import Git
from .desk.live import LiveSettings
from .domain.errors import WorkOrderError
from .domain.work_order import utc_now
from .host import HostSettings, supabase_project
from .settings import InvalidSettings, Settings
from .store.sqlite import SqliteStore
from .store.supabase import SupabaseStore

_GIT_LIMIT = timedelta(hours=2)
_SECRETS_INSIDE = """\
WARNING: the backup holds the encrypted credentials and the key file that opens them. Whoever has the file has your
tokens: keep it as you keep those. (--without-credentials leaves both out.)"""
_ARCHONS_OWN = """\
Settings and secrets are in the Supabase project (archon_settings), not in this file: its own backup holds them."""


def main(arguments: Sequence[str] | None = None) -> int:
    options = _options(arguments)
    commands = {"create": _create, "restore": _restore, "verify": _verify}
    try:
        anyio.run(commands[options.command], options, os.environ)
    except (WorkOrderError, InvalidSettings) as refused:
        say(f"{refused} {getattr(refused, 'next_action', '')}".rstrip())
        return 1
    except OSError as error:
        say(f"{error.strerror or error}: {error.filename or options.file or options.to}.")
        return 1
    return 0


async def _create(options: argparse.Namespace, environ: Mapping[str, str]) -> None:
    settings = await _settings(environ)
    at = utc_now()
    path = _target(options.to or settings.home / "backups", f"awo-{at:%Y%m%dT%H%M%SZ}.tar.gz")
    volume = _volume(settings, with_credentials=not options.without_credentials)
    mode = "supabase" if supabase_project() else "embedded"
    about = {"made_at": at.isoformat(), "mode": mode, "from": str(settings.home)}
    with workplace(path.parent) as aside:
        async with _store_to_read(settings, aside) as store:
            contents = await create_backup(store, _mirrors(settings), volume, path, about, aside)
    say(f"{path} holds {_words(contents)}.")
    for missing in contents.missing[:20]:
        say(f"  missing on the volume, so not in it: {missing}")
    if len(contents.missing) > 20:
        say(f"  … and {len(contents.missing) - 20} more")
    if mode == "supabase":
        say(_ARCHONS_OWN)
    elif volume.credentials is not None and volume.credentials.is_dir():
        say(_SECRETS_INSIDE)


def _target(wanted: Path, name: str) -> Path:
    """The file to write: `wanted`, or one in it."""
    path = wanted.absolute()
    if path.is_dir() or not path.suffix:
        path = path / name
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    if path.exists():
        raise WorkOrderError(f"{path} is there already.", next_action="Name another file.")
    return path


async def _restore(options: argparse.Namespace, environ: Mapping[str, str]) -> None:
    settings = await _settings(environ)
    volume = _volume(settings, with_credentials=True)
    async with _store(settings) as store:
        contents = await restore_backup(store, _mirrors(settings), volume, options.file)
    say(f"Restored {_words(contents)} into {settings.home}; every order was read back and is the same.")
    say("Orders that ran when the backup was made go on from their last checkpoint once a server starts.")


async def _verify(options: argparse.Namespace, environ: Mapping[str, str]) -> None:
    contents = await verify_backup(options.file)
    say(f"{options.file} is whole: {_words(contents)}.")


async def _settings(environ: Mapping[str, str]) -> Settings:
    """As the server has them: folders may be named in files and in Archon's own settings too."""
    live = LiveSettings(environ, HostSettings())
    await live.open()
    return live.current()


@asynccontextmanager
async def _store_to_read(settings: Settings, aside: Path) -> AsyncIterator[Movable]:
    """A copy of the embedded database, so that all orders are of one instant; the shared one as it is."""
    if supabase_project() is not None:
        async with _store(settings) as store:
            yield store
        return
    path = settings.home / "awo.db"
    if not path.exists():
        raise WorkOrderError(f"There is no {path}.", next_action="Set ARCHON_HOME to the server's home directory.")
    copy = aside / "copy" / "awo.db"
    await to_thread.run_sync(lambda: copy.parent.mkdir(mode=0o700))
    async with SqliteStore.open(path) as live:
        await live.save_copy(copy)
    async with SqliteStore.open(copy) as store:
        yield store


@asynccontextmanager
async def _store(settings: Settings) -> AsyncIterator[Movable]:
    project = supabase_project()
    if project is None:
        async with SqliteStore.open(settings.home / "awo.db") as embedded:
            yield embedded
    else:
        async with SupabaseStore.open(*project) as shared:
            yield shared


def _volume(settings: Settings, *, with_credentials: bool) -> Volume:
    in_files = with_credentials and supabase_project() is None
    credentials = settings.home / "credentials" if in_files else None
    return Volume(settings.home, settings.work_orders, settings.config, credentials)


def _mirrors(settings: Settings) -> MirrorBundles:
    directory = settings.repositories.absolute() / ".mirrors"
    return MirrorBundles(Git(directory / ".server", "git", _GIT_LIMIT, None), directory)


def _words(contents: Contents) -> str:
    return (
        f"{contents.orders} work orders with {contents.events} events, {contents.files} files and the branches of "
        f"{contents.mirrors} repositories"
    )


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="backup", description="All work orders of a server in one file, and back.")
    parser.set_defaults(file=None, to=None)
    commands = parser.add_subparsers(dest="command", required=True)
    create = commands.add_parser("create", help="write a backup, also while the server runs")
    create.add_argument("--to", type=Path, help="a directory or a file.tar.gz (default: backups in ARCHON_HOME)")
    create.add_argument("--without-credentials", action="store_true", help="leave encrypted secrets and key file out")
    for name, what in (
        ("restore", "put a backup into an empty home and database"),
        ("verify", "read every byte of it"),
    ):
        commands.add_parser(name, help=what).add_argument("file", type=Path)
    return parser.parse_args(arguments)


def say(line: str) -> None:
    """For a person at a terminal: this is a program of its own."""
    sys.stdout.write(line + "\n")


if __name__ == "__main__":
    sys.exit(main())
