"""The toolbox: which concrete class stands for which port, fed by the settings of the moment. Runs nothing itself."""

import socket
from collections.abc import Awaitable, Callable, Iterable, Mapping
from contextlib import AsyncExitStack
from datetime import timedelta
from pathlib import Path
from typing import cast

from anyio import to_thread

from .agent.checks import CommandChecks
from .agent.claude_cli import ClaudeCli
from .agent.confinement import Confinement, choose_confinement, ids_of
from .agent.probe import probe_claude
from .agent.strays import OWNER_MARKER, RUN_MARKER, is_alive, owner_mark, pid_space, process_identity
from .archive.orders import OrderArchive
from .archive.s3 import Bucket, S3Shelf
from .archive.shelf import DirectoryShelf, Shelf, try_shelf
from .checkout import CleanUp, DiskVolume, GitCheckouts, Room
from .desk.home import look_at_storage, prepare_home
from .desk.live import LiveSettings
from .desk.repositories import options_of
from .domain.errors import WorkOrderError
from .domain.redaction import Redactor
from .domain.registry import Verification
from .domain.repository import HostPolicy, Repository, RepositoryOptions, parse_repository_url
from .domain.retention import GB, Marks, Rules
from .domain.setting import Finding, Offer, Subject
from .domain.workflow import Workflows
from .forge.github import GitHubForge
from .forge.probe import GitHubProbe
from .host import HostSecrets, HostSettings, supabase_project
from .ports import Limits, SecretKeeper, Secrets, Tools
from .settings import Settings
from .store.sqlite import SqliteStore
from .store.supabase import SupabaseStore
from .worker.janitor import Janitor

# A server that starts has better things to do than to count files.
CLEAN_FIRST_AFTER = timedelta(minutes=1)


async def build_tools(
    stack: AsyncExitStack,
    live: LiveSettings,
    secrets: Secrets,
    redactor: Redactor,
    workflows: Callable[[], Workflows] = Workflows,
) -> tuple[Tools, SqliteStore | SupabaseStore]:
    """The toolbox of a server; what has to be closed is put on the stack. Live settings are asked for at every use."""
    start = live.current()
    confinement = choose_confinement(start.agent_user)

    def repository(url: str) -> Repository:
        now = live.current()
        return parse_repository_url(
            url, HostPolicy(now.allowed_repository_hosts, insecure=now.insecure_repository_hosts)
        )

    def limits() -> Limits:
        now = live.current()
        return Limits(
            slots=now.max_concurrent,
            per_repository=now.max_concurrent_per_repository,
            lease=timedelta(seconds=now.lease),
            step_timeout=timedelta(seconds=now.step_timeout),
            stall_timeout=timedelta(seconds=now.stall_timeout),
            max_cost_usd=now.max_cost_usd,
            model=now.claude_model,
            verify_command=now.verify_command,
            commands_dir=now.commands,
            # Who has the only disk there is would show unfinished work to others for nothing.
            push_checkpoints=isinstance(store, SupabaseStore) if now.push_checkpoints is None else now.push_checkpoints,
            order_quota_mb=now.order_quota_mb,
        )

    store = await _open_store(stack, start, redactor)
    checks = CommandChecks(confinement)

    async def options(repository: Repository) -> RepositoryOptions:
        return await options_of(store, repository)

    def marks() -> Marks:
        now = live.current()
        return Marks(low_bytes=round(now.disk_low_gb * GB), min_free_bytes=round(now.disk_min_free_gb * GB))

    room = Room(start.repositories, marks)
    process_marks = {RUN_MARKER: "git", OWNER_MARKER: owner_mark()}
    tools = Tools(
        store=store,
        volume=DiskVolume(start.repositories, start.work_orders, marks, room, process_marks=process_marks),
        checkouts=GitCheckouts(
            start.repositories,
            freshness=lambda: timedelta(seconds=live.current().fetch_freshness),
            insecure_hosts=lambda: live.current().insecure_repository_hosts,
            agent_user=ids_of(start.agent_user) if start.agent_user else None,
            marks=process_marks,
            room=room,
            prepared=lambda: live.current().prepared_checkouts,
            repository=repository,
            clean_up=CleanUp(checks, options, redactor, start.work_orders),
        ),
        agent=_claude(live, confinement),
        checks=checks,
        forge=GitHubForge(
            lambda: live.current().github_api_url, lambda repository: secrets.get("GITHUB_TOKEN", repository)
        ),
        secrets=secrets,
        redactor=redactor,
        limits=limits,
        repository=repository,
        work_orders_dir=start.work_orders,
        rehearsal=start.rehearsal,
        options=options,
        workflows=workflows,
    )
    return tools, store


def archive_of(live: LiveSettings, secrets: Secrets, tools: Tools, store: SqliteStore | SupabaseStore) -> OrderArchive:
    """Puts orders of this server away."""
    # `build_tools` made them: their branches can be carried, which the workflow need not know.
    checkouts = cast(GitCheckouts, tools.checkouts)
    return OrderArchive(
        store, checkouts, lambda: _shelf(live, secrets), tools.repository, secrets, tools.work_orders_dir
    )


async def _shelf(live: LiveSettings, secrets: Secrets) -> Shelf:
    """A bucket where one is named, else a directory."""
    now = live.current()
    if now.archive_s3_bucket is None:
        return DirectoryShelf(now.archive)
    return S3Shelf(
        Bucket(
            now.archive_s3_bucket,
            endpoint=now.archive_s3_endpoint,
            region=now.archive_s3_region,
            prefix=now.archive_s3_prefix,
            access_key_id=await secrets.get("AWO_ARCHIVE_S3_ACCESS_KEY_ID"),
            secret_access_key=await secrets.get("AWO_ARCHIVE_S3_SECRET_ACCESS_KEY"),
        )
    )


def janitor_of(live: LiveSettings, tools: Tools, worker_id: str) -> Janitor:
    """Clean-up of this server's disk, by the rules that are in force when it begins."""

    def rules() -> Rules:
        now = live.current()
        return Rules(
            checkouts=timedelta(days=now.retention_days),
            artifacts=timedelta(days=now.retention_artifact_days),
            orders=timedelta(days=now.retention_event_days),
            mirrors=timedelta(days=now.retention_mirror_days),
            max_bytes=None if now.retention_max_gb is None else round(now.retention_max_gb * GB),
            max_checkouts=now.retention_max_checkouts,
        )

    if tools.volume is None:
        raise ValueError("a server without a disk has nothing to clean")
    return Janitor(tools, tools.volume, rules, worker_id, first_after=CLEAN_FIRST_AFTER)


async def open_janitor(stack: AsyncExitStack, environ: Mapping[str, str]) -> Janitor:
    """Clean-up without a server, for the command line; WorkOrderError or InvalidSettings when it cannot be."""
    live, redactor = LiveSettings(environ, HostSettings()), Redactor()
    await live.open()
    await to_thread.run_sync(prepare_home, live.current())
    tools, _ = await build_tools(stack, live, RegisteredSecrets(HostSecrets(), redactor), redactor)
    return janitor_of(live, tools, worker_name())


async def _open_store(stack: AsyncExitStack, start: Settings, redactor: Redactor) -> SqliteStore | SupabaseStore:
    """The project's database where the host has one, shared by all its servers; else a file. A rehearsal stays here."""
    project = None if start.rehearsal else supabase_project()
    if project is None:
        return await stack.enter_async_context(SqliteStore.open(start.home / "awo.db"))
    redactor.register(project[1])
    return await stack.enter_async_context(SupabaseStore.open(*project))


def testers_of(
    live: LiveSettings, secrets: Secrets, tools: Tools, store: SqliteStore | SupabaseStore
) -> dict[Subject, Callable[[Offer], Awaitable[list[Finding]]]]:
    """What the test buttons do."""

    async def database(offer: Offer) -> list[Finding]:
        return [*await store.probe(), await _settings_can_be_read(live)]

    async def storage(offer: Offer) -> list[Finding]:
        findings = await to_thread.run_sync(look_at_storage, live.current())
        if live.current().archive_s3_bucket or live.current().archive_dir:
            findings.append(await try_shelf(await _shelf(live, secrets)))
        return findings

    async def github(offer: Offer) -> list[Finding]:
        chosen = tools.repository(offer.repository_url) if offer.repository_url else None
        token = (offer.github_token or "").strip() or await secrets.get("GITHUB_TOKEN", chosen)
        return await GitHubProbe(live.current().github_api_url, token, chosen).findings()

    async def claude(offer: Offer) -> list[Finding]:
        now = live.current()
        confinement = choose_confinement(now.agent_user)
        offered = {
            "ANTHROPIC_API_KEY": offer.anthropic_api_key,
            "CLAUDE_CODE_OAUTH_TOKEN": offer.claude_code_oauth_token,
        }
        if not any(offered.values()):
            offered = {name: await secrets.get(name) for name in offered}
        return await probe_claude(
            _claude(live, confinement, max_retries=0),
            now.claude_cli_path,
            confinement,
            {name: value.strip() for name, value in offered.items() if value},
            ask_model=offer.ask_model,
            model=now.claude_model,
        )

    return {"github": github, "claude": claude, "database": database, "storage": storage}


def verifier_of(
    live: LiveSettings, secrets: Secrets
) -> Callable[[Repository, RepositoryOptions], Awaitable[Verification]]:
    """How a configured repository is tried: with its own token, or the one for all."""

    async def verify(repository: Repository, options: RepositoryOptions) -> Verification:
        try:
            token = await secrets.get("GITHUB_TOKEN", repository)
        except WorkOrderError as error:
            told = Finding(name="token", ok=False, detail=error.message, next_action=error.next_action)
            return Verification(False, (told,))
        probe = GitHubProbe(live.current().github_api_url, token, repository, base_branch=options.base_branch)
        found = await probe.findings()
        return Verification(all(one.ok for one in found if one.required), tuple(found), probe.default_branch)

    return verify


async def _settings_can_be_read(live: LiveSettings) -> Finding:
    await live.refresh()
    if live.stored_problem:
        return Finding(
            name="settings",
            ok=False,
            detail=live.stored_problem,
            next_action="Check that Archon's own database can be reached; the last values stay in force.",
        )
    return Finding(name="settings", ok=True, detail="Archon's settings can be read.")


def _claude(live: LiveSettings, confinement: Confinement, max_retries: int = 4) -> ClaudeCli:
    return ClaudeCli(
        lambda: live.current().claude_cli_path,
        confinement,
        base_url=lambda: live.current().anthropic_base_url,
        permission_mode=lambda: live.current().claude_permission_mode,
        mcp_url=lambda: live.current().agent_mcp_url,
        max_retries=max_retries,
    )


class RegisteredSecrets:
    """Secrets that are made known to the redactor before anybody uses them."""

    def __init__(self, secrets: SecretKeeper, redactor: Redactor) -> None:
        self._secrets, self._redactor = secrets, redactor
        self.variable, self.remove, self.repositories = secrets.variable, secrets.remove, secrets.repositories

    async def get(self, name: str, repository: Repository | None = None) -> str | None:
        value = await self._secrets.get(name, repository)
        self._redactor.register(value)
        return value

    async def save(self, name: str, value: str, repository: Repository | None = None) -> None:
        self._redactor.register(value)
        await self._secrets.save(name, value, repository)


def worker_name() -> str:
    """This process among all workers that ever were: "<machine>/<process>"."""
    return f"{_this_machine()}/{process_identity()}"


def dead_among(worker_ids: Iterable[str]) -> list[str]:
    """Workers of this machine whose process is gone; of other machines nothing can be said."""
    here = _this_machine() + "/"
    return [one for one in worker_ids if one.startswith(here) and not is_alive(one.removeprefix(here))]


def _this_machine() -> str:
    """Names one space of process ids: two containers may share a host name, and a pid means nothing across them."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()[:8]
    except OSError:
        return socket.gethostname()
    return f"{socket.gethostname()}-{boot}-{pid_space()}"
