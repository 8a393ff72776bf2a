"""Repositories as the server knows them: what operators configured, and how the last verification went."""

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from pydantic import ValidationError

from .errors import NotFound, SettingsChanged
from .repository import RepositoryOptions
from .setting import Finding

logger = logging.getLogger("archon.awo")


@dataclass(frozen=True)
class Verification:
    """What the real thing said when it was tried. `at` is the store's time; None until the store has it."""

    ok: bool
    checks: tuple[Finding, ...]
    default_branch: str | None = None
    at: datetime | None = None


@dataclass(frozen=True)
class RegistryEntry:
    """One repository. `configured` is False for one that orders merely named. `version` grows with every saving."""

    key: str
    url: str
    display_name: str | None
    options: RepositoryOptions
    configured: bool
    version: int
    changed_by: str | None
    verification: Verification | None
    created_at: datetime
    updated_at: datetime | None


@dataclass(frozen=True)
class Configuration:
    """What an operator wants saved of a repository, as a whole."""

    key: str
    url: str
    options: RepositoryOptions
    display_name: str | None = None

    def columns(self) -> dict[str, Any]:
        """What the stores write. The limit has a column of its own, because the queue reads it."""
        options = self.options.model_dump(mode="json", exclude_defaults=True, exclude={"max_concurrent"})
        return {
            "repository_key": self.key,
            "repository_url": self.url,
            "display_name": self.display_name,
            "options": options,
            "max_concurrent": self.options.max_concurrent,
        }


def not_configured(key: str) -> NotFound:
    return NotFound(
        f"The repository {key[:300]} is not configured.", next_action="Look at the list of configured repositories."
    )


def changed_meanwhile(key: str) -> SettingsChanged:
    return SettingsChanged(f"What is configured for {key[:300]} was changed by somebody else since it was read.")


def stored_options(key: str, stored: Mapping[str, Any], max_concurrent: int | None) -> RepositoryOptions:
    """The options that a store holds. What a newer server wrote and this one does not know has no effect here."""
    given = {name: value for name, value in stored.items() if name in RepositoryOptions.model_fields}
    given["max_concurrent"] = max_concurrent
    try:
        return RepositoryOptions.model_validate(given)
    except ValidationError as error:
        wrong = {str(problem["loc"][0]) for problem in error.errors() if problem["loc"]}
        logger.warning("Options of %s are not used: %s. Save the repository again.", key, ", ".join(sorted(wrong)))
        return RepositoryOptions.model_validate({name: given[name] for name in given.keys() - wrong})


def verification_json(verification: Verification) -> dict[str, Any]:
    """What the stores keep of it; they add the time."""
    return {
        "ok": verification.ok,
        "default_branch": verification.default_branch,
        "checks": [one.model_dump(mode="json") for one in verification.checks],
    }


def verification_of(stored: Mapping[str, Any] | None, at: datetime | None) -> Verification | None:
    """None where there was none, or where it was written in a way that is not known here."""
    if stored is None:
        return None
    try:
        checks = tuple(Finding.model_validate(one) for one in stored["checks"])
        return Verification(bool(stored["ok"]), checks, stored["default_branch"], at)
    except (ValidationError, KeyError, TypeError):
        return None
