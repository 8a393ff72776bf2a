"""Whether everything that AWO leans on is there. Mends nothing, and never makes the host's own health fail."""

import os
from collections.abc import Awaitable, Callable
from pathlib import Path

from anyio import to_thread

from .api.deps import HealthCheck
from .desk.desk import Desk
from .domain.errors import WorkOrderError
from .domain.retention import MB, Pressure
from .domain.workflow import Workflows
from .ports import Secrets, Tools
from .settings import Settings


async def check_health(settings: Settings, tools: Tools, desk: Desk) -> list[HealthCheck]:
    """Everything AWO leans on, asked anew."""
    checks = [await _checked("store", tools.store.check, "The state can be read and written.")]
    checks.append(await _checked("agent", tools.agent.describe, "The agent can be started."))
    checks += await to_thread.run_sync(lambda: [_folder_check(settings.repositories), _disk_check(tools)])
    checks.append(
        await _secret_check(
            "claude_credentials",
            tools.secrets,
            ("ANTHROPIC_API_KEY", "CLAUDE_CODE_OAUTH_TOKEN"),
            "A key for the model is set.",
            "No key for the model is set.",
            "Save one in Archon's settings, or set ANTHROPIC_API_KEY or CLAUDE_CODE_OAUTH_TOKEN.",
        )
    )
    checks.append(
        await _secret_check(
            "github_token",
            tools.secrets,
            ("GITHUB_TOKEN",),
            "A GitHub token is set.",
            "No GitHub token is set: nothing can be pushed and no pull request opened.",
            "Save one in Archon's settings or set GITHUB_TOKEN (contents and pull requests, read and write).",
        )
    )
    checks.append(_workflows_check(tools.workflows()))
    found = desk.health()
    checks.append(HealthCheck(found.name, found.ok, found.detail, found.next_action, required=found.required))
    return checks


async def _checked(name: str, ask: Callable[[], Awaitable[str | None]], well: str) -> HealthCheck:
    try:
        return HealthCheck(name, True, await ask() or well)
    except WorkOrderError as error:
        return HealthCheck(name, False, error.message, error.next_action)


async def _secret_check(
    name: str, secrets: Secrets, variables: tuple[str, ...], well: str, missing: str, next_action: str
) -> HealthCheck:
    try:
        found = [await secrets.get(variable) for variable in variables]
    except WorkOrderError as error:
        return HealthCheck(name, False, error.message, error.next_action, required=False)
    if any(found):
        return HealthCheck(name, True, well)
    return HealthCheck(name, False, missing, next_action, required=False)


def _folder_check(folder: Path) -> HealthCheck:
    if os.access(folder, os.W_OK | os.X_OK):
        return HealthCheck("storage", True, f"{folder} can be written.")
    return HealthCheck("storage", False, f"{folder} cannot be written.", f"Run: chmod u+rwx '{folder}', as its owner.")


def _disk_check(tools: Tools) -> HealthCheck:
    if tools.volume is None:
        return HealthCheck("disk", True, "Nobody looks at the disk.", required=False)
    try:
        space, marks = tools.volume.space()
    except OSError as error:
        action = "Look at the volume; the server's log names what it could not do."
        return HealthCheck("disk", False, f"The disk cannot be looked at: {error.strerror}.", action, required=False)
    found = f"{space.free_bytes / MB:,.0f} MB are free on the volume of the repositories"
    if space.pressure(marks) is Pressure.OK:
        return HealthCheck("disk", True, f"{found}.", required=False)
    action = "Make room: POST /api/awo/cleanup?dry_run=true says what could go, and why the rest stays."
    if space.pressure(marks) is Pressure.LOW:
        early = "clean-up removes early what nobody needs"
        return HealthCheck("disk", False, f"Only {found}; {early}.", action, required=False)
    wait = f"less than the {marks.min_free_bytes / MB:,.0f} MB that stay free: new work orders wait"
    return HealthCheck("disk", False, f"Only {found}, {wait}.", action, required=False)


def _workflows_check(known: Workflows) -> HealthCheck:
    if not known.problems:
        return HealthCheck("workflows", True, f"{len(list(known))} workflows can be used.", required=False)
    return HealthCheck(
        "workflows",
        False,
        " ".join(f"{problem}." for problem in known.problems),
        "Correct what is named; what was read before stays in force.",
        required=False,
    )
