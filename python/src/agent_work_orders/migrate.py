"""`python -m src.agent_work_orders.migrate --to supabase|sqlite`: every work order from one store to the other; with
`--old-folder`, the orders of an old stand-alone installation into the store of this server.

Composition, as plugin.py: it knows which stores there are and where; what a move is, `archive/move.py` knows.
"""

import argparse
import sys
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from os import environ
from pathlib import Path

import anyio
from anyio import to_thread

from .archive.move import Inventory, Movable, move, refuse_conflicts, take_inventory
from .archive.old_layout import bring_in, find_old_orders
from .desk.live import LiveSettings
from .domain.errors import WorkOrderError
from .domain.exported import Census
from .host import HostSettings, supabase_project
from .settings import InvalidSettings, load_settings
from .store.sqlite import SqliteStore
from .store.supabase import SupabaseStore

_NOT_MOVED = """\
Not moved: settings and secrets, which are Archon's own (enter them again in its settings, or in the environment), and
files (checkouts, prompts, outputs), which stay on this volume. A server on another volume needs them: see `backup`."""


def main(arguments: Sequence[str] | None = None) -> int:
    options = _options(arguments)
    try:
        if options.old_folder is not None:
            return anyio.run(_bring_in, options.old_folder, options.old_state, options.dry_run, environ)
        return anyio.run(_run, options.to, options.dry_run, environ)
    except (WorkOrderError, InvalidSettings) as refused:
        say(f"Not moved: {refused} {getattr(refused, 'next_action', '')}".rstrip())
        return 1
    except KeyboardInterrupt:
        say("Stopped. What has arrived is whole; run the same command again to go on.")
        return 130


async def _run(to: str, dry_run: bool, variables: Mapping[str, str]) -> int:
    async with AsyncExitStack() as stack:
        source, target = await _open(stack, to, variables)
        inventory = await take_inventory(source, target)
        _show(inventory, to)
        if dry_run:
            refuse_conflicts(inventory)
            say("\nNothing was written: this was a dry run. All of it can go.")
            return 0
        moved = await move(source, target, _tell)
        say(f"\nMoved {moved.created} work orders with {moved.events} events; {moved.there} were there already.")
        say("Every one was read back from both sides: their hashes are equal.")
        say(_NOT_MOVED)
        say(_next_steps(to))
        return 0


async def _bring_in(folder: Path, state: Path | None, dry_run: bool, variables: Mapping[str, str]) -> int:
    live = LiveSettings(variables, HostSettings())
    await live.open()
    settings = live.current()
    found = await to_thread.run_sync(lambda: list(find_old_orders(folder, state)))
    for old in found:
        say(f"  {old.old_id} → {old.exported.order_id}  {old.exported.status}, {len(old.files)} files")
    if dry_run:
        say(f"\nNothing was written: this was a dry run. {len(found)} orders were found.")
        return 0
    async with AsyncExitStack() as stack:
        store = await stack.enter_async_context(_own_store(settings.home))
        done = await bring_in(store, settings.work_orders, found)
    say(f"\nImported {done.created} work orders; {done.there} were there already; {done.files} files were copied.")
    for old_id, why in done.refused.items():
        say(f"Not imported: {old_id}: {why}")
    say("Their clones and branches stay where they are. Keep the old folder until you need nothing of it any more.")
    return 1 if done.refused else 0


@asynccontextmanager
async def _own_store(home: Path) -> AsyncIterator[Movable]:
    """The store that this server has."""
    project = supabase_project()
    if project is None:
        async with SqliteStore.open(home / "awo.db") as embedded:
            yield embedded
    else:
        async with SupabaseStore.open(*project) as shared:
            yield shared


async def _open(stack: AsyncExitStack, to: str, variables: Mapping[str, str]) -> tuple[Movable, Movable]:
    url, key = (variables.get(name, "").strip() for name in ("SUPABASE_URL", "SUPABASE_SERVICE_KEY"))
    if not url or not key:
        raise WorkOrderError(
            "The Supabase project is not named.", next_action="Set SUPABASE_URL and SUPABASE_SERVICE_KEY."
        )
    path = load_settings(variables).home / "awo.db"
    if to == "supabase" and not path.exists():
        raise WorkOrderError(f"There is no {path}.", next_action="Set ARCHON_HOME to the server's home directory.")
    embedded: Movable = await stack.enter_async_context(SqliteStore.open(path))
    shared: Movable = await stack.enter_async_context(SupabaseStore.open(url, key))
    return (embedded, shared) if to == "supabase" else (shared, embedded)


def _show(inventory: Inventory, to: str) -> None:
    say(f"To go to {to}:")
    _show_census(inventory.source)
    if inventory.target.orders:
        say(f"The target has {sum(inventory.target.orders.values())} orders; {inventory.there} of these are there.")


def _show_census(census: Census) -> None:
    for status, number in sorted(census.orders.items()):
        say(f"  {number:>8}  orders {status}")
    for name in ("steps", "events", "artifacts", "repositories", "audit"):
        say(f"  {getattr(census, name):>8}  {name}{' entries' if name == 'audit' else ''}")


def _tell(arrived: int) -> None:
    if arrived % 100 == 0:
        say(f"  {arrived} orders …")


def _next_steps(to: str) -> str:
    if to == "supabase":
        return (
            "Next: start the servers with SUPABASE_URL set. Keep awo.db as a backup, but start no server on it: what "
            "waits in it would run twice."
        )
    return "Next: start one server without SUPABASE_URL. Start none on the project: what waits in it would run twice."


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="migrate", description="Moves all work orders between SQLite and Supabase.")
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("--to", choices=["supabase", "sqlite"], help="where everything goes")
    what.add_argument("--old-folder", type=Path, help="import an old stand-alone installation (/tmp/agent-work-orders)")
    parser.add_argument("--old-state", type=Path, help="where that one kept its state files, if it did so elsewhere")
    parser.add_argument("--dry-run", action="store_true", help="only say what would go and whether it can")
    return parser.parse_args(arguments)


def say(line: str) -> None:
    """For a person at a terminal: this is a program of its own."""
    sys.stdout.write(line + "\n")


if __name__ == "__main__":
    sys.exit(main())
