"""The API's side of the repositories: what may be said of one, who said it, and its verification. Knows no HTTP."""

import json
import logging
from collections.abc import Awaitable, Callable, Mapping

import anyio
from pydantic import ValidationError

from ..domain.checkout_options import options_problems
from ..domain.errors import FieldProblem, InvalidInput, SettingsChanged, StoreUnavailable
from ..domain.redaction import Redactor
from ..domain.registry import Configuration, RegistryEntry, Verification, not_configured
from ..domain.repository import Repository, RepositoryOptions
from ..domain.setting import Finding
from ..domain.workflow import Workflows
from ..ports import AuditLog, Store

logger = logging.getLogger("archon.awo")

VERIFY_WITHIN = 20.0
# What the audit names and does not show: people put into them what they should not.
_UNSHOWN = ("environment", "files")
Verify = Callable[[Repository, RepositoryOptions], Awaitable[Verification]]


async def options_of(store: Store, repository: Repository) -> RepositoryOptions:
    """What the operator says of a repository, as it is now; StoreUnavailable."""
    found = await store.repository(repository.key)
    return found.options if found is not None and found.configured else RepositoryOptions()


class RepositoryDesk:
    """ports.Registry over the store, its audit, and whatever tries the real thing."""

    def __init__(
        self,
        store: Store,
        audit: AuditLog,
        redactor: Redactor,
        repository: Callable[[str], Repository],
        workflows: Callable[[], Workflows],
        verify: Verify,
    ) -> None:
        self._store, self._audit, self._redactor = store, audit, redactor
        self._repository, self._workflows, self._verify = repository, workflows, verify

    async def page(self, limit: int, after: str | None) -> list[RegistryEntry]:
        return await self._store.repositories(limit, after)

    async def read(self, key: str) -> RegistryEntry:
        found = await self._store.repository(key)
        if found is None or not found.configured:
            raise not_configured(key)
        return found

    async def configure(
        self, repository: Repository, options: RepositoryOptions, display_name: str | None, by: str
    ) -> RegistryEntry:
        self._check(options)
        wanted = Configuration(repository.key, repository.url, options, display_name)
        try:
            saved = await self._store.save_repository(wanted, 0, by)
        except SettingsChanged as error:
            raise SettingsChanged(
                f"{repository.key} is configured already.", next_action="Change what is there instead."
            ) from error
        await self._note(by, repository.key, "changed", None, options.model_dump(mode="json", exclude_defaults=True))
        return saved

    async def change(self, key: str, changes: Mapping[str, object], version: int | None, by: str) -> RegistryEntry:
        before = await self.read(key)
        old = before.options.model_dump(mode="json")
        named = {name: value for name, value in changes.items() if name != "display_name"}
        try:
            options = RepositoryOptions.model_validate(
                {name: value for name, value in (old | named).items() if value is not None}
            )
        except ValidationError as error:
            raise InvalidInput([FieldProblem(_field(found["loc"]), found["msg"]) for found in error.errors()]) from None
        if options != before.options:
            self._check(options)
        display_name = changes.get("display_name", before.display_name)
        wanted = Configuration(key, before.url, options, None if display_name is None else str(display_name))
        # What is left as it was is what was read just now: it must not undo what somebody else saves meanwhile.
        saved = await self._store.save_repository(wanted, before.version if version is None else version, by)
        new = options.model_dump(mode="json")
        moved = [name for name in new if new[name] != old[name]]
        if moved:
            await self._note(by, key, "changed", _only(old, moved), _only(new, moved))
        return saved

    async def forget(self, key: str, version: int | None, by: str) -> None:
        before = await self.read(key)
        await self._store.forget_repository(key, version)
        await self._note(by, key, "reset", before.options.model_dump(mode="json", exclude_defaults=True), None)

    async def verify(self, key: str) -> RegistryEntry:
        entry = await self.read(key)
        late = f"The verification did not end within {VERIFY_WITHIN:g} s."
        found = Verification(
            False, (Finding(name="time", ok=False, detail=late, next_action="Check the network and try again."),)
        )
        with anyio.move_on_after(VERIFY_WITHIN):
            try:
                found = await self._verify(self._repository(entry.url), entry.options)
            except InvalidInput as refused:  # its host was allowed when it was configured
                told = f"The address {refused.fields[0].problem}."
                action = "Allow its host again (AWO_ALLOWED_REPOSITORY_HOSTS), or remove the repository."
                found = Verification(False, (Finding(name="address", ok=False, detail=told, next_action=action),))
        clean = [one.model_copy(update={"detail": self._redactor.redact(one.detail)}) for one in found.checks]
        return await self._store.note_verification(key, Verification(found.ok, tuple(clean), found.default_branch))

    def _check(self, options: RepositoryOptions) -> None:
        """InvalidInput for what the shape of the options alone does not show."""
        problems = options_problems(options)
        if options.workflow_type is not None and self._workflows().find(options.workflow_type) is None:
            known = ", ".join(workflow.name for workflow in self._workflows())
            problems.append(FieldProblem("workflow_type", f"is not a known workflow (known: {known})"))
        if problems:
            raise InvalidInput([FieldProblem(f"options.{one.field}"[:200], one.problem) for one in problems])

    async def _note(
        self, by: str, key: str, action: str, old: Mapping[str, object] | None, new: Mapping[str, object] | None
    ) -> None:
        """The change is saved by now: that it cannot be written down must not look like a failure to save."""
        shown = [None if values is None else self._redactor.redact(_shown(values)) for values in (old, new)]
        try:
            await self._audit.audit_append(by, f"repository:{key}", action, *shown)
        except StoreUnavailable as error:
            logger.error("The change of %s by %s (%s) is not in the audit: %s", key, by, action, error.message)


def _only(values: Mapping[str, object], names: list[str]) -> dict[str, object]:
    return {name: values[name] for name in names}


def _shown(values: Mapping[str, object]) -> str:
    shown = {
        name: sorted(value) if name in _UNSHOWN and isinstance(value, dict) else value for name, value in values.items()
    }
    return json.dumps(shown, ensure_ascii=False)


def _field(location: tuple[int | str, ...]) -> str:
    return ".".join(("options", *map(str, location)))[:200]
