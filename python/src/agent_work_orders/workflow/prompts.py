"""The prompt of each agent step: a Markdown command file with named places, filled in once with literal text."""

import re
from functools import cache
from importlib import resources
from importlib.resources.abc import Traversable
from pathlib import Path

from anyio import to_thread

from ..domain.errors import FailureClass, StepFailed
from .progress import Progress

_PLACE = re.compile(r"\{\{\s*([a-z_]+)\s*\}\}")
PLACES = frozenset(
    {
        *("user_request", "issue", "plan", "messages", "branch", "base_branch", "working_subdir"),
        *("check_command", "check_output"),
    }
)


async def prompt_for(progress: Progress, template: str, check_output: str = "", messages: str = "") -> str:
    """The text given to the agent for a command file, with what people wrote meanwhile: in its place, or at the end."""
    checkout = await progress.checkout()
    prompt = fill(
        template,
        {
            "messages": messages,
            "user_request": progress.order.user_request,
            "issue": await _issue(progress, template),
            "plan": progress.plan_text or "(no plan was made)",
            "branch": checkout.branch,
            "base_branch": checkout.base_branch,
            "working_subdir": progress.order.working_subdir or ".",
            "check_command": progress.evidence.command if progress.evidence else "",
            "check_output": check_output,
        },
    )
    if not messages or "messages" in _PLACE.findall(template):
        return prompt
    return f"{prompt.rstrip()}\n\n## What people wrote meanwhile\n\nIt comes before the rest.\n\n{messages}\n"


async def load_command(command: str, override: Path | None) -> str:
    """A command file: the operator's if there is one of that name, else ours. StepFailed if it cannot be used."""
    name = f"{command}.md"
    # A look costs less than the way to a thread, and mostly there is nothing to read.
    if override is not None and (override / name).is_file():
        return _usable(name, await to_thread.run_sync(_read, override / name))
    ours = _ours(command)
    if ours is None:
        raise StepFailed(
            FailureClass.POLICY,
            f"There is no command file {name}.",
            next_action=f"Put {name} back into the commands folder, then retry the order.",
        )
    return _usable(name, ours)


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise StepFailed(
            FailureClass.INTERNAL,
            f"The command file {path.name} cannot be read: {type(error).__name__}.",
            next_action=f"Make {path.name} in the commands folder a UTF-8 text that the server may read.",
        ) from error


@cache
def _ours(command: str) -> str | None:
    """Read once: it comes with the program and does not change while that runs."""
    file = command_file(command)
    return file.read_text(encoding="utf-8") if file.is_file() else None


def _usable(name: str, text: str) -> str:
    unknown = sorted(set(_PLACE.findall(text)) - PLACES)
    if unknown:
        raise StepFailed(
            FailureClass.INTERNAL,
            f"The command file {name} has unknown places: {', '.join(unknown)}.",
            next_action=f"Correct {name} in the commands folder; known places are {', '.join(sorted(PLACES))}.",
        )
    return text


def command_file(command: str) -> Traversable:
    """Where our own command file of that name is, if there is one."""
    return resources.files(__package__.rpartition(".")[0]).joinpath("commands", f"{command}.md")


def fill(template: str, values: dict[str, str]) -> str:
    """Puts values into their places, literally and once: what a value holds is never looked at again."""
    return _PLACE.sub(lambda place: values[place.group(1)], template)


async def _issue(progress: Progress, template: str) -> str:
    number = progress.order.github_issue_number
    if number is None or "issue" not in _PLACE.findall(template):
        return "(none)"
    issue = await progress.tools.forge.issue(progress.repository, number)
    return f"#{issue.number} {issue.title}\n\n{issue.body}"
