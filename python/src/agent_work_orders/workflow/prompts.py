"""The prompt of each agent step: a Markdown command file with named places, filled in once with literal text."""

import re
from importlib import resources
from pathlib import Path

from anyio import to_thread

from ..domain.errors import FailureClass, StepFailed
from .progress import Progress

_PLACE = re.compile(r"\{\{\s*([a-z_]+)\s*\}\}")
PLACES = frozenset(
    {"user_request", "issue", "plan", "branch", "base_branch", "working_subdir", "check_command", "check_output"}
)


async def prompt_for(progress: Progress, command: str, check_output: str = "") -> str:
    """The text given to the agent for a command."""
    template = await to_thread.run_sync(load_command, command, progress.limits.commands_dir)
    checkout = await progress.checkout()
    return fill(
        template,
        {
            "user_request": progress.order.user_request,
            "issue": await _issue(progress, template),
            "plan": progress.outputs.get("planning") or "(no plan was made)",
            "branch": checkout.branch,
            "base_branch": checkout.base_branch,
            "working_subdir": progress.order.working_subdir or ".",
            "check_command": progress.evidence.command if progress.evidence else "",
            "check_output": check_output,
        },
    )


def load_command(command: str, override: Path | None) -> str:
    """A command file: the operator's if there is one of that name, else ours. StepFailed if it cannot be used."""
    name = f"{command}.md"
    if override is not None and (override / name).is_file():
        try:
            text = (override / name).read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise StepFailed(
                FailureClass.INTERNAL,
                f"The command file {name} cannot be read: {type(error).__name__}.",
                next_action=f"Make {name} in the commands folder a UTF-8 text that the server may read.",
            ) from error
    else:
        text = resources.files(__package__.rpartition(".")[0]).joinpath("commands", name).read_text(encoding="utf-8")
    unknown = sorted(set(_PLACE.findall(text)) - PLACES)
    if unknown:
        raise StepFailed(
            FailureClass.INTERNAL,
            f"The command file {name} has unknown places: {', '.join(unknown)}.",
            next_action=f"Correct {name} in the commands folder; known places are {', '.join(sorted(PLACES))}.",
        )
    return text


def fill(template: str, values: dict[str, str]) -> str:
    """Puts values into their places, literally and once: what a value holds is never looked at again."""
    return _PLACE.sub(lambda place: values[place.group(1)], template)


async def _issue(progress: Progress, template: str) -> str:
    number = progress.order.github_issue_number
    if number is None or "issue" not in _PLACE.findall(template):
        return "(none)"
    issue = await progress.tools.forge.issue(progress.repository, number)
    return f"#{issue.number} {issue.title}\n\n{issue.body}"
