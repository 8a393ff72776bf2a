"""`metadata.json` in an order's folder: enough to understand the order without the database. Knows no run."""

import json
import logging
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from anyio import to_thread

from ..domain.errors import StoreUnavailable
from ..domain.redaction import Redactor
from ..domain.work_order import Step, WorkOrder
from ..ports import Tools
from .artifacts import write_atomically

logger = logging.getLogger("archon.awo")

NAME = "metadata.json"


async def write_metadata(tools: Tools, order: WorkOrder) -> None:
    """The order as it is now. Without the file it is the same order, so that a failure is only logged."""
    order_id = order.agent_work_order_id
    try:
        steps = await tools.store.steps(order_id)
        artifacts = [artifact.model_dump(mode="json") for artifact in await tools.store.artifacts(order_id)]
    except StoreUnavailable as error:
        logger.warning("%s: %s could not be written: %s", order_id, NAME, error)
        return
    await to_thread.run_sync(write_now, tools.work_orders_dir / order_id, order, steps, artifacts, tools.redactor)


def write_start(folder: Path, order: WorkOrder, steps: Sequence[Step], redactor: Redactor) -> None:
    """The order as a run takes it up, without asking anybody: what its folder held before is taken over. Blocks."""
    known = _read(folder).get("artifacts")
    write_now(folder, order, steps, known if isinstance(known, list) else [], redactor, settled=False)


def write_now(
    folder: Path,
    order: WorkOrder,
    steps: Sequence[Step],
    artifacts: Sequence[Any],
    redactor: Redactor,
    *,
    settled: bool = True,
) -> None:
    """Whole or not at all, and never over a newer one: the file's time is that of the order's last change. Blocks."""
    stamp = _stamp(order)
    if (written_at(folder) or 0) > stamp:
        return
    body = {
        "work_order": order.model_dump(mode="json"),
        "steps": [step.model_dump(mode="json") for step in steps],
        "artifacts": list(artifacts),
    }
    text = json.dumps(redactor.redact_value(body), indent=2, ensure_ascii=False)
    try:
        write_atomically(folder / NAME, text.encode("utf-8", "replace"), settled=settled)
        os.utime(folder / NAME, ns=(stamp, stamp))
    except OSError as error:
        logger.warning("%s: %s could not be written: %s", order.agent_work_order_id, NAME, error)


def is_stale(folder: Path, order: WorkOrder) -> bool:
    """Whether the folder tells of an earlier state of the order, or of none. Blocks."""
    at = written_at(folder)
    return at is None or at < _stamp(order)


def written_at(folder: Path) -> int | None:
    try:
        return (folder / NAME).stat(follow_symlinks=False).st_mtime_ns
    except OSError:
        return None


def _stamp(order: WorkOrder) -> int:
    # Whole milliseconds: not every file system keeps more.
    return int(order.updated_at.timestamp() * 1000) * 1_000_000


def _read(folder: Path) -> dict[str, Any]:
    try:
        found = json.loads((folder / NAME).read_bytes())
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}
