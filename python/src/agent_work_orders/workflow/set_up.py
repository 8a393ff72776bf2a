"""The operator's set-up command, run in a new checkout before its agent's first step. A failure of it ends the run."""

import re
from datetime import timedelta
from typing import TYPE_CHECKING

from ..domain.checkout_options import checked
from ..domain.errors import FailureClass, StepFailed
from ..domain.events import SetupRun
from ..domain.repository import RepositoryOptions
from ..ports import Checkout

if TYPE_CHECKING:
    from .progress import Progress

# Beside the turns of an agent (from 1) and the checks (from 100).
_RUN = 90
_SECRET_NAME = re.compile(r"TOKEN|SECRET|PASSW|KEY|CREDENTIAL", re.IGNORECASE)


def admitted(progress: "Progress") -> RepositoryOptions:
    """What the operator wants in the checkout, once it passed; what is secret by its name is kept out of all words."""
    options = checked(progress.options)
    for name, value in options.environment.items():
        if _SECRET_NAME.search(name) and len(value) >= 8:
            progress.tools.redactor.register(value)
    return options


async def set_up(progress: "Progress", checkout: Checkout) -> None:
    """Runs the command if its work is not there yet. StepFailed (verification, timeout) with the end of its output."""
    options = progress.options
    if options.setup_command is None or checkout.set_up:
        return
    artifacts, order = progress.artifacts, progress.order
    result = await progress.tools.checks.run(
        f"{progress.claim.order_id}.{progress.claim.token}",
        ("/bin/sh", "-c", options.setup_command),
        checkout.root,
        artifacts.home,
        artifacts.run_dir(progress.step_order or 0, _RUN),
        timedelta(seconds=options.setup_timeout),
        environment=options.environment,
    )
    artifact_id = await artifacts.keep_output(
        result.output, f"{order.attempt}-set-up.log", progress.step_name or None, "text/plain; charset=utf-8"
    )
    ran = SetupRun(
        command=progress.tools.redactor.redact(options.setup_command),
        exit_code=result.exit_code,
        passed=result.exit_code == 0,
        duration_seconds=round(result.duration.total_seconds(), 3),
        output_tail=progress.tools.redactor.redact(result.output_tail),
        artifact_id=artifact_id,
    )
    progress.tell(ran)
    if not ran.passed:
        raise _failed(ran, options)
    await checkout.keep_set_up()


def _failed(ran: SetupRun, options: RepositoryOptions) -> StepFailed:
    if ran.exit_code is None:
        return StepFailed(
            FailureClass.TIMEOUT,
            f"The repository's set-up command did not end within {options.setup_timeout} s.",
            next_action="Read its log, raise setup_timeout or mend the command in the repository's settings, then retry.",
        )
    return StepFailed(
        FailureClass.VERIFICATION,
        f"The repository's set-up command ended with exit code {ran.exit_code}.",
        next_action="Read its log, mend the command in the repository's settings or the repository, then retry.",
    )
