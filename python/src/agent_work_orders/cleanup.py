"""`python -m src.agent_work_orders.cleanup [--dry-run] [--json]`: cleans this machine's disk by the settings in force.

For people and for cron; a running server does the same by itself. Prints, because it is a program for a terminal.
"""

import argparse
import os
import sys
from collections.abc import Sequence
from contextlib import AsyncExitStack
from datetime import timedelta

import anyio

from .domain.errors import WorkOrderError
from .domain.retention import MB, CleanupReport
from .settings import InvalidSettings
from .toolbox import open_janitor

# Nobody waits for an answer here: what is put aside is deleted before this ends.
SWEEP_WITHIN = timedelta(hours=6)


async def clean_up(*, dry_run: bool) -> CleanupReport:
    """One clean-up by the environment's settings; WorkOrderError or InvalidSettings, with the next action."""
    async with AsyncExitStack() as stack:
        janitor = await open_janitor(stack, os.environ)
        return await janitor.clean(dry_run=dry_run, sweep_within=SWEEP_WITHIN)


def main(words: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="cleanup", description="Removes what the retention settings say.")
    parser.add_argument("--dry-run", action="store_true", help="only say what would go, why, and how large it is")
    parser.add_argument("--json", action="store_true", help="the whole report, for programs")
    given = parser.parse_args(words)
    try:
        report = anyio.run(lambda: clean_up(dry_run=given.dry_run))
    except InvalidSettings as error:
        print(f"The settings cannot be used: {error}.", file=sys.stderr)
        return 2
    except WorkOrderError as error:
        print(f"{error.message} {error.next_action}".strip(), file=sys.stderr)
        return 1
    print(report.model_dump_json(indent=2) if given.json else "\n".join(lines_of(report)))
    return 1 if report.problems and not report.dry_run else 0


def lines_of(report: CleanupReport) -> list[str]:
    """The report for people."""
    verb = "would go" if report.dry_run else "removed"
    lines = [
        f"{verb}: {one.kind} {one.name}, {one.size_bytes / MB:,.1f} MB, last used {one.used_at:%Y-%m-%d} ({one.reason})"
        for one in report.removed
    ]
    lines += [f"stays: {one.kind} {one.name}, {one.size_bytes / MB:,.1f} MB ({one.reason})" for one in report.protected]
    lines += [f"problem: {problem}" for problem in report.problems]
    kept = ", ".join(f"{kind} {size / MB:,.1f} MB" for kind, size in report.used_bytes.items() if size)
    return [
        *lines,
        f"{report.removed_count} things, {report.freed_bytes / MB:,.1f} MB {verb}; the disk is {report.pressure}.",
        f"Kept: {kept or 'nothing'}.",
    ]


if __name__ == "__main__":
    sys.exit(main())
