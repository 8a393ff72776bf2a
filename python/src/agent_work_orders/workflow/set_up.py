"""The operator's set-up command, run in a new checkout before its agent's first step. A failure of it ends the run."""

import re
from datetime import timedelta

from ..domain.checkout_options import checked
from ..domain.errors import FailureClass, StepFailed
from ..domain.events import SetupRun
from ..domain.repository import RepositoryOptions
from ..domain.work_order import Claim
from ..ports import Checkout, Tools
from .artifacts import Artifacts
from .journal import Journal

# Beside the turns of an agent (from 1) and the checks (from 100).
_RUN = 90
_SECRET_NAME = re.compile(r"TOKEN|SECRET|PASSW|KEY|CREDENTIAL", re.IGNORECASE)


class SettingUp:
    """What one run of an order does with its operator's wishes for the checkout."""

    def __init__(self, claim: Claim, tools: Tools, journal: Journal, artifacts: Artifacts) -> None:
        self._claim, self._tools, self._journal, self._artifacts = claim, tools, journal, artifacts

    def admit(self, options: RepositoryOptions) -> RepositoryOptions:
        """The same once they passed, else StepFailed (policy). What is secret by its name is kept out of all words."""
        for name, value in checked(options).environment.items():
            if _SECRET_NAME.search(name):
                self._tools.redactor.register(value)
        return options

    async def run(self, checkout: Checkout, options: RepositoryOptions, step_order: int, step_name: str | None) -> None:
        """Runs the command if it is due. StepFailed (verification, timeout) if it ends badly; its log is kept."""
        if options.setup_command is None or checkout.set_up:
            return
        result = await self._tools.checks.run(
            f"{self._claim.order_id}.{self._claim.token}",
            ("/bin/sh", "-c", options.setup_command),
            checkout.root,
            self._artifacts.home,
            self._artifacts.run_dir(step_order, _RUN),
            timedelta(seconds=options.setup_timeout),
            environment=options.environment,
        )
        name = f"{self._claim.order.attempt}-set-up.log"
        artifact_id = await self._artifacts.keep_output(result.output, name, step_name, "text/plain; charset=utf-8")
        redact = self._tools.redactor.redact
        ran = SetupRun(
            command=redact(options.setup_command),
            exit_code=result.exit_code,
            passed=result.exit_code == 0,
            duration_seconds=round(result.duration.total_seconds(), 3),
            output_tail=redact(result.output_tail),
            artifact_id=artifact_id,
        )
        self._journal.tell(ran, step_order or None)
        if not ran.passed:
            raise _failed(ran, options)
        await checkout.keep_set_up()


def _failed(ran: SetupRun, options: RepositoryOptions) -> StepFailed:
    if ran.exit_code is None:
        return StepFailed(
            FailureClass.TIMEOUT,
            f"The repository's set-up command did not end within {options.setup_timeout} s.",
            next_action="Read its log; mend the command, or raise setup_timeout in the repository's settings.",
        )
    return StepFailed(
        FailureClass.VERIFICATION,
        f"The repository's set-up command ended with exit code {ran.exit_code}.",
        next_action="Read its log, mend the command in the repository's settings or the repository, then retry.",
    )
