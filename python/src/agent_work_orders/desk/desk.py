"""The API's side of the settings: what may be changed, who changed it, and the tests. Knows no HTTP."""

import hashlib
import json
import logging
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path

import anyio
from anyio import to_thread

from ..domain.errors import FieldProblem, InvalidInput, SettingsChanged, StoreUnavailable, WorkOrderError, WrongState
from ..domain.redaction import MASK, Redactor
from ..domain.repository import Repository
from ..domain.setting import (
    AuditEntry,
    Finding,
    Offer,
    SecretView,
    SettingsPage,
    SettingView,
    Source,
    Subject,
    TestResult,
)
from ..domain.work_order import utc_now
from ..ports import AuditLog, SecretKeeper, StoredSettings
from ..settings import Settings, as_json, as_text, catalogue, defaults, from_json, kind_of, schema_of
from .home import writing_problem
from .live import LiveSettings
from .results import LastResults

logger = logging.getLogger("archon.awo")

SECRETS = {
    "github_token": "GITHUB_TOKEN",
    "anthropic_api_key": "ANTHROPIC_API_KEY",
    "claude_code_oauth_token": "CLAUDE_CODE_OAUTH_TOKEN",
}
# Four characters of a shorter one would say too much of it.
SHOW_ENDS_FROM = 20
TEST_WITHIN = 20.0
ASKING_WITHIN = 60.0
Tester = Callable[[Offer], Awaitable[list[Finding]]]


class Desk:
    """ports.SettingsDesk over the live settings, a place that keeps what people save, and one test per subject."""

    def __init__(
        self,
        live: LiveSettings,
        stored: StoredSettings,
        secrets: SecretKeeper,
        audit: AuditLog,
        redactor: Redactor,
        repository: Callable[[str], Repository],
        testers: Mapping[Subject, Tester],
        results: LastResults,
    ) -> None:
        self._live, self._stored, self._secrets, self._audit = live, stored, secrets, audit
        self._redactor, self._repository, self._testers, self._results = redactor, repository, testers, results
        self._changing = anyio.Lock()

    # --- plain values ---

    async def read(self) -> SettingsPage:
        return SettingsPage(
            version=self._version(),
            settings=[self._view(name) for name in catalogue()],
            secrets=await self._secret_views(),
            conflicts=list(self._live.resolution.conflicts),
            problems=self._live.problems,
            tests=await to_thread.run_sync(self._results.all),
        )

    async def change(self, changes: Mapping[str, object], version: str, by: str) -> SettingsPage:
        async with self._changing:
            await self._live.refresh()
            if self._live.stored_problem:
                raise StoreUnavailable(self._live.stored_problem)
            if version not in ("*", self._version()):
                raise SettingsChanged("The settings were changed by somebody else since they were read.")
            texts = await to_thread.run_sync(self._checked, changes)
            before = self._live.stored
            texts = {name: text for name, text in texts.items() if text != before.get(catalogue()[name].env)}
            if texts:
                await self._stored.save({catalogue()[name].env: text for name, text in texts.items()})
            for name, text in texts.items():
                await self._note(
                    by, name, "reset" if text is None else "changed", before.get(catalogue()[name].env), text
                )
            await self._live.refresh()
        return await self.read()

    def _checked(self, changes: Mapping[str, object]) -> dict[str, str | None]:
        """The texts to store, or InvalidInput with every setting that is wrong. Blocks: folders are tried for real."""
        texts: dict[str, str | None] = {}
        problems: list[FieldProblem] = []
        for name, value in changes.items():
            try:
                texts[name] = self._checked_one(name, value)
            except ValueError as error:
                problems.append(FieldProblem(name[:100], str(error)))
        if problems:
            raise InvalidInput(problems)
        return texts

    def _checked_one(self, name: str, value: object) -> str | None:
        if name not in Settings.model_fields:
            raise ValueError("is not a known setting")
        knob, given = catalogue()[name], self._live.resolution.given[name]
        if given.locked:
            raise ValueError(f"is set by the environment variable {given.origin} and can only be changed there")
        if "database" not in knob.places:
            where = "in the environment or in agent-settings.yaml" if "file" in knob.places else "in the environment"
            raise ValueError(f"cannot be set over HTTP: set {knob.env} {where}")
        if value is None:
            return None
        checked = from_json(name, value)
        if knob.program and checked not in self._live.resolution.settings.allowed_programs:
            raise ValueError("names a program that AWO_ALLOWED_PROGRAMS does not list")
        if isinstance(checked, Path):
            problem = None if name == "commands_dir" and checked.is_dir() else writing_problem(checked)
            if problem:
                raise ValueError(problem)
        return as_text(checked)

    def _view(self, name: str) -> SettingView:
        info, knob, given = Settings.model_fields[name], catalogue()[name], self._live.resolution.given[name]
        shape = schema_of(name)
        return SettingView(
            name=name,
            env=knob.env,
            kind=kind_of(name),
            value=None if knob.secret else as_json(given.value),
            default=None if knob.secret else as_json(defaults()[name]),
            is_set=given.source is not Source.DEFAULT,
            source=given.source,
            origin=given.origin,
            locked=given.locked,
            over_http="database" in knob.places,
            live=knob.live,
            waits_for_restart=name in self._live.waiting,
            secret=knob.secret,
            unit=knob.unit,
            description=info.description or "",
            minimum=shape.get("minimum"),
            above=shape.get("exclusiveMinimum"),
            maximum=shape.get("maximum"),
            max_length=shape.get("maxLength"),
            choices=shape.get("enum"),
            problem=given.problem,
        )

    def _version(self) -> str:
        ours = {knob.env for knob in catalogue().values()}
        stored = sorted((key, text) for key, text in self._live.stored.items() if key in ours)
        return hashlib.sha256(json.dumps(stored).encode()).hexdigest()[:20]

    # --- secrets ---

    async def save_secret(self, name: str, value: str, by: str, repository_url: str | None) -> SecretView:
        variable, repository = self._to_replace(name, repository_url)
        value = value.strip()
        if problem := _secret_problem(name, value):
            raise InvalidInput([FieldProblem("value", problem)])
        self._redactor.register(value)
        await self._secrets.save(variable, value, repository)
        await self._note(by, _label(name, repository), "secret_saved", None, None)
        return await self._secret_view(name, repository)

    async def remove_secret(self, name: str, by: str, repository_url: str | None) -> SecretView:
        variable, repository = self._to_replace(name, repository_url)
        await self._secrets.remove(variable, repository)
        await self._note(by, _label(name, repository), "secret_removed", None, None)
        return await self._secret_view(name, repository)

    def _to_replace(self, name: str, repository_url: str | None) -> tuple[str, Repository | None]:
        variable = SECRETS[name]
        if repository_url is not None:
            if name != "github_token":
                raise InvalidInput([FieldProblem("repository_url", "goes with github_token alone")])
            return variable, self._repository(repository_url)
        if locked := self._secrets.variable(variable):
            raise WrongState(
                f"{name} is set by the environment variable {locked}.",
                next_action=f"Change {locked} there and restart the server, or unset it to keep the secret here.",
            )
        return variable, None

    async def _secret_views(self) -> list[SecretView]:
        views = [await self._secret_view(name, None) for name in SECRETS]
        try:
            keys = await self._secrets.repositories("GITHUB_TOKEN")
        except WorkOrderError:
            return views  # what is wrong with it stands in the views above
        for key in keys:
            host, owner, name = key.split("/", 2) if key.count("/") == 2 else ("", "", key)
            repository = Repository(url=f"https://{key}", host=host, owner=owner, name=name)
            views.append(await self._secret_view("github_token", repository))
        return views

    async def _secret_view(self, name: str, repository: Repository | None) -> SecretView:
        value, problem = None, None
        locked = repository is None and self._secrets.variable(SECRETS[name]) is not None
        own = repository is None or repository.key in await self._secrets.repositories(SECRETS[name])
        try:
            value = await self._secrets.get(SECRETS[name], repository) if own else None
        except WorkOrderError as error:
            problem = f"{error.message} {error.next_action}"
        saved = None if locked else await self._last_saved(_label(name, repository))
        is_set = value is not None or problem is not None
        return SecretView(
            name=name,
            env=SECRETS[name],
            repository=None if repository is None else repository.key,
            is_set=is_set,
            last_four=value[-4:] if value and len(value) >= SHOW_ENDS_FROM else None,
            source=None if not is_set else Source.ENVIRONMENT if locked else Source.DATABASE,
            locked=locked,
            set_by=saved.by if saved and is_set else None,
            set_at=saved.at if saved and is_set else None,
            problem=problem,
        )

    async def _last_saved(self, label: str) -> AuditEntry | None:
        latest = await self._audit.audit_page(1, setting=label)
        return latest[0] if latest and latest[0].action == "secret_saved" else None

    # --- audit and tests ---

    async def audit(self, limit: int, before: int | None) -> list[AuditEntry]:
        return await self._audit.audit_page(limit, before)

    async def _note(self, by: str, setting: str, action: str, old: str | None, new: str | None) -> None:
        """The change is saved by now: that it cannot be written down must not look like a failure to save."""
        redact = self._redactor.redact
        try:
            await self._audit.audit_append(
                by, setting, action, None if old is None else redact(old), None if new is None else redact(new)
            )
        except StoreUnavailable as error:
            logger.error("The change of %s by %s (%s) is not in the audit: %s", setting, by, action, error.message)

    async def test(self, subject: Subject, offer: Offer) -> TestResult:
        offered = [offer.github_token, offer.anthropic_api_key, offer.claude_code_oauth_token]
        for value in offered:
            self._redactor.register(value.strip() if value else None)
        began, at = anyio.current_time(), utc_now()
        findings: list[Finding] = []
        limit = ASKING_WITHIN if offer.ask_model else TEST_WITHIN
        with anyio.move_on_after(limit) as within:
            findings = await self._testers[subject](offer)
        if within.cancelled_caught:
            late = f"The test did not end within {limit:g} s."
            findings = [Finding(name="time", ok=False, detail=late, next_action="Check the network and try again.")]
        checks = [one.model_copy(update={"detail": self._redactor.redact(one.detail)}) for one in findings]
        result = TestResult(
            subject=subject,
            ok=all(one.ok for one in checks if one.required),
            checks=checks,
            took_ms=round((anyio.current_time() - began) * 1000),
            at=at,
            offered=any(value is not None for value in offered),
        )
        await to_thread.run_sync(self._results.keep, result)
        return result

    def health(self) -> Finding:
        """Whether every source is as it should be; conflicts are named, and are no fault."""
        told = [*self._live.problems, *(conflict.sentence() for conflict in self._live.resolution.conflicts)]
        told += [f"{name} was changed and waits for a restart." for name in sorted(self._live.waiting)]
        if not told:
            return Finding(name="settings", ok=True, required=False, detail="All settings can be used.")
        return Finding(
            name="settings",
            ok=not self._live.problems,
            required=False,
            detail=" ".join(told),
            next_action="Correct what is named; the last good values stay in force." if self._live.problems else None,
        )


def _label(name: str, repository: Repository | None) -> str:
    return name if repository is None else f"{name}:{repository.key}"


def _secret_problem(name: str, value: str) -> str | None:
    """Why this cannot be the secret, without a character of it."""
    if value in (MASK, "[ENCRYPTED]") or (value and set(value) <= set("*\u2022\u25cf.xX")):
        return "is the mask that stands for a secret, and no secret"
    if not 8 <= len(value) <= 4096:
        return "must have 8 to 4096 characters"
    if not value.isascii() or not value.isprintable() or " " in value:
        return "must be one word of printable characters; copy it again, alone"
    kind = _kind_of(value)
    if kind is not None and kind != name:
        return f"looks like {kind} and not like {name}"
    return None


def _kind_of(value: str) -> str | None:
    """What a secret is by its first letters, where they tell."""
    if value.startswith("sk-ant-oat"):
        return "claude_code_oauth_token"
    if value.startswith("sk-ant-api"):
        return "anthropic_api_key"
    if value.startswith(("ghp_", "gho_", "ghu_", "ghs_", "github_pat_")):
        return "github_token"
    return None
