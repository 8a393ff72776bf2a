"""The operator's clean-up command, run in a checkout that is about to go. It never keeps one from going."""

import logging
import secrets
import shutil
from collections.abc import Awaitable, Callable
from datetime import timedelta
from pathlib import Path

from anyio.to_thread import run_sync

from ..domain.checkout_options import checked
from ..domain.errors import StepFailed, StoreUnavailable
from ..domain.redaction import Redactor
from ..domain.repository import Repository, RepositoryOptions
from ..ports import Checks
from . import disk

logger = logging.getLogger("archon.awo")

# What of a log is kept.
TAIL = 1 << 20


class CleanUp:
    """Runs it under the agent's confinement and limits; its log is kept in `<order id>/outputs/clean-up.log`."""

    def __init__(
        self,
        checks: Checks,
        options: Callable[[Repository], Awaitable[RepositoryOptions]],
        redactor: Redactor,
        work_orders: Path,
    ) -> None:
        self._checks, self._options, self._redactor, self._work_orders = checks, options, redactor, work_orders

    async def __call__(self, order_id: str, repository: Repository, root: Path) -> None:
        """Nothing is raised but cancellation: whatever goes wrong is said in the log."""
        try:
            options = checked(await self._options(repository))
            if options.cleanup_command is None or not await run_sync(disk.is_directory, root):
                return
            await self._run(order_id, options.cleanup_command, options, root)
        except (StepFailed, StoreUnavailable, OSError) as error:
            logger.warning("%s: its clean-up command was not run to its end: %s", order_id, error)

    async def _run(self, order_id: str, command: str, options: RepositoryOptions, root: Path) -> None:
        run = f"{order_id}.clean-up-{secrets.token_hex(4)}"
        folder = self._work_orders / order_id
        run_dir, home = folder / "run" / "clean-up", folder / "home"
        try:
            result = await self._checks.run(
                run, ("/bin/sh", "-c", command), root, home, run_dir,
                timedelta(seconds=options.setup_timeout), environment=options.environment,
            )  # fmt: skip
            ending = "stopped at its time limit" if result.exit_code is None else f"exit code {result.exit_code}"
            await run_sync(self._keep, result.output, folder / "outputs" / "clean-up.log", ending)
        finally:
            await run_sync(shutil.rmtree, run_dir, True)

    def _keep(self, raw: Path, target: Path, ending: str) -> None:
        with raw.open("rb") as file:
            file.seek(max(0, raw.stat().st_size - TAIL))
            text = file.read().decode("utf-8", "replace")
        target.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        content = self._redactor.redact(f"{text}\n[clean-up command: {ending}]\n").encode("utf-8", "replace")
        disk.write_whole(target, content, 0o600)
