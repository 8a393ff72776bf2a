"""`python -m src.agent_work_orders.utils.cleanup`: the specification's name for `..cleanup`, and nothing of its own."""

import sys

from ..cleanup import clean_up, main
from ..domain.retention import CleanupReport


async def cleanup_old_repositories() -> dict[str, int]:
    """The specification's function: how many things were removed, and how many that a rule wanted were kept."""
    report: CleanupReport = await clean_up(dry_run=False)
    return {"removed": report.removed_count, "kept": len(report.protected)}


if __name__ == "__main__":
    sys.exit(main())
