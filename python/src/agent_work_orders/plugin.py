"""The composition root: builds the toolbox, starts the worker with the host and stops it with the host."""

import logging
import os
import signal
import socket
import threading
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Iterable, Iterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from types import FrameType
from typing import Any, cast

import anyio
import anyio.lowlevel
from anyio import to_thread
from fastapi import APIRouter, FastAPI

from .agent.checks import CommandChecks
from .agent.claude_cli import ClaudeCli
from .agent.confinement import Confinement, choose_confinement, ids_of
from .agent.probe import probe_claude
from .agent.strays import OWNER_MARKER, RUN_MARKER, is_alive, process_identity, sweep_strays
from .api import router as api_router
from .api.deps import STATE_NAME, ApiContext, HealthCheck, SwitchedOff, WorkerStatus
from .api.guard import GuardPolicy
from .archive.orders import OrderArchive
from .archive.s3 import Bucket, S3Shelf
from .archive.shelf import DirectoryShelf, Shelf, try_shelf
from .checkout import CleanUp, DiskVolume, GitCheckouts, Room
from .desk.desk import Desk
from .desk.home import look_at_storage, prepare_home
from .desk.live import LiveSettings
from .desk.repositories import RepositoryDesk, options_of
from .desk.results import LastResults
from .desk.workflows import WorkflowFiles
from .domain.errors import WorkOrderError, WrongState
from .domain.redaction import Redactor
from .domain.registry import Verification
from .domain.repository import HostPolicy, Repository, RepositoryOptions, parse_repository_url
from .domain.retention import GB, MB, Marks, Pressure, Rules
from .domain.setting import Finding, Offer, Subject
from .domain.workflow import Workflows
from .forge.github import GitHubForge
from .forge.probe import GitHubProbe
from .host import HostSecrets, HostSettings, supabase_project
from .metrics import Catalogue, Exposition, ObservedStore
from .ports import Limits, SecretKeeper, Secrets, Store, StoredSettings, Tools
from .settings import InvalidSettings, Settings
from .store.sqlite import SqliteStore
from .store.supabase import SupabaseStore
from .worker.janitor import Janitor
from .worker.reaper import Reaper
from .worker.worker import Worker

logger = logging.getLogger("archon.awo")

# A bug in the claim loop must neither take the host down nor stop the work for good.
RESTART_AFTER = 5.0
# A server that starts has better things to do than to count files.
CLEAN_FIRST_AFTER = timedelta(minutes=1)


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncGenerator[None]:
    """Entered by the host with its own lifespan; leaves one object on the application's state."""
    async with open_plugin(os.environ) as context:
        setattr(app.state, STATE_NAME, context)
        try:
            yield
        finally:
            setattr(app.state, STATE_NAME, None)


# The lifespan belongs to the outermost router alone: a child that carried it would run it twice.
router = APIRouter(lifespan=lifespan)
router.include_router(api_router)


@asynccontextmanager
async def open_plugin(environ: Mapping[str, str]) -> AsyncIterator[ApiContext | SwitchedOff]:
    """The running plugin, or why it is off: not wanted, or a start that cannot be. The host goes on either way."""
    async with AsyncExitStack() as stack:
        opened: ApiContext | SwitchedOff
        try:
            opened = await _open(stack, environ)
        except InvalidSettings as error:
            logger.error("Agent Work Orders stays off: %s. Correct this and restart the server.", error)
            opened = SwitchedOff(f"Its settings cannot be used: {error}.", "Correct this and restart the server.")
        except WorkOrderError as error:
            logger.error("Agent Work Orders stays off: %s %s", error.message, error.next_action)
            opened = SwitchedOff(error.message, f"{error.next_action} Then restart the server.")
        yield opened


async def _open(stack: AsyncExitStack, environ: Mapping[str, str]) -> ApiContext | SwitchedOff:
    stored = HostSettings()
    live = LiveSettings(environ, stored)
    await live.open()
    if not live.current().enabled:
        return SwitchedOff()
    secrets: SecretKeeper = HostSecrets()
    rehearsal: dict[str, str] | None = None
    await to_thread.run_sync(prepare_home, live.current())
    for found in await to_thread.run_sync(look_at_storage, live.current()):
        if not found.ok:
            logger.warning("Storage: %s %s", found.detail, found.next_action)
    if live.current().rehearsal:
        live, secrets, rehearsal = await _open_rehearsal(stack, live.current(), environ, stored)
    redactor = Redactor()
    redactor.register(live.current().api_token)
    known = _Registered(secrets, redactor)
    workflows = WorkflowFiles(live.current().config / "workflows", lambda: live.current().commands)
    await to_thread.run_sync(workflows.look)
    tools, store = await build_tools(stack, live, known, redactor, workflows.current)
    catalogue = Catalogue()
    tools = replace(tools, store=cast(Store, ObservedStore(tools.store, catalogue)))
    desk = Desk(
        live,
        stored,
        known,
        store,
        redactor,
        tools.repository,
        testers_of(live, known, tools, store),
        LastResults(live.current().home / "logs" / "settings-tests.json"),
    )
    registry = RepositoryDesk(tools.store, store, redactor, tools.repository, tools.workflows, verifier_of(live, known))
    context = await stack.enter_async_context(run_plugin(live, tools, desk, registry, workflows, rehearsal, catalogue))
    return replace(context, archive=archive_of(live, known, tools, store))


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
    process_marks = {RUN_MARKER: "git", OWNER_MARKER: process_identity()}
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
    tools, _ = await build_tools(stack, live, _Registered(HostSecrets(), redactor), redactor)
    return janitor_of(live, tools, f"{_this_machine()}/{process_identity()}")


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


@asynccontextmanager
async def run_plugin(
    live: LiveSettings,
    tools: Tools,
    desk: Desk,
    registry: RepositoryDesk,
    workflows: WorkflowFiles,
    rehearsal: dict[str, str] | None,
    catalogue: Catalogue,
) -> AsyncIterator[ApiContext]:
    """Runs worker, reaper and the look-out for new settings while the block lasts; then every claim is given back."""
    confinement = choose_confinement(live.current().agent_user)
    stopping = anyio.Event()
    worker = Worker(tools, f"{_this_machine()}/{process_identity()}")
    reaper = Reaper(tools, _dead_among)
    janitor = janitor_of(live, tools, worker.worker_id)

    def guard_policy() -> GuardPolicy:
        now = live.current()
        return GuardPolicy(
            bound_to_loopback=now.listens_on_loopback,
            allowed_hosts=now.allowed_hosts,
            allowed_origins=now.allowed_origins,
            token=now.api_token,
        )

    streams: set[object] = set()
    context = ApiContext(
        tools=tools,
        metrics=Exposition(
            catalogue,
            tools.store,
            {"repositories": live.current().repositories, "work_orders": live.current().work_orders},
            lambda: (live.current().max_concurrent, worker.busy),
            lambda: tools.redactor.count,
            lambda: len(streams),
        ),
        streams=streams,
        desk=desk,
        registry=registry,
        cleaner=janitor,
        guard_policy=guard_policy,
        stopping=stopping,
        health=lambda: check_health(live.current(), tools, desk),
        workers=lambda: WorkerStatus(worker.worker_id, live.current().max_concurrent, worker.busy, confinement.name),
        rehearsal=rehearsal,
    )
    for pid in await to_thread.run_sync(sweep_strays):
        logger.warning("Ended process %s, left behind by a server that was killed.", pid)
    with stop_on_signals(stopping):
        async with anyio.create_task_group() as services:
            services.start_soon(_kept_running, "reaper", reaper.run, stopping)
            services.start_soon(_kept_running, "janitor", janitor.run, stopping)
            services.start_soon(_kept_running, "look-out for settings", live.run, stopping)
            services.start_soon(_kept_running, "stock of checkouts", lambda: tools.checkouts.run(stopping), stopping)
            services.start_soon(_kept_running, "look-out for workflows", workflows.run, stopping)
            async with anyio.create_task_group() as work:
                work.start_soon(_kept_running, "worker", lambda: worker.run(stopping), stopping)
                if rehearsal:
                    logger.warning("REHEARSAL: model and GitHub are pretended; sample: %s", rehearsal["repository_url"])
                yield context
                stopping.set()
            services.cancel_scope.cancel()


async def check_health(settings: Settings, tools: Tools, desk: Desk) -> list[HealthCheck]:
    """Everything AWO leans on, asked anew."""
    checks = [await _checked("store", tools.store.check, "The state can be read and written.")]
    checks.append(await _checked("agent", tools.agent.describe, "The agent can be started."))
    checks.append(await to_thread.run_sync(_folder_check, settings.repositories))
    checks.append(await to_thread.run_sync(_disk_check, tools))
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


@contextmanager
def stop_on_signals(stopping: anyio.Event) -> Iterator[None]:
    """Sets `stopping` as soon as the process is asked to end.

    The web server waits for open streams before it runs the lifespan's end; streams that waited for the lifespan would
    wait for ever.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    token = anyio.lowlevel.current_token()
    replaced: dict[signal.Signals, Any] = {}

    def install(number: signal.Signals) -> None:
        previous = signal.getsignal(number)

        def handle(signum: int, frame: FrameType | None) -> None:
            token.native_token.call_soon_threadsafe(stopping.set)  # type: ignore[attr-defined]  # the asyncio loop
            if callable(previous):
                previous(signum, frame)
            elif previous == signal.SIG_DFL:
                signal.signal(signum, signal.SIG_DFL)
                signal.raise_signal(signum)

        replaced[number] = previous
        signal.signal(number, handle)

    for number in (signal.SIGTERM, signal.SIGINT):
        install(number)
    try:
        yield
    finally:
        for number, previous in replaced.items():
            signal.signal(number, previous)


async def _open_rehearsal(
    stack: AsyncExitStack, settings: Settings, environ: Mapping[str, str], stored: StoredSettings
) -> tuple[LiveSettings, SecretKeeper, dict[str, str]]:
    from .rehearsal.sample import REQUEST
    from .rehearsal.stage import open_stage

    stage = await stack.enter_async_context(open_stage(settings.home / "rehearsal"))
    on_stage = {**environ, **stage.environment()}
    shown = {"repository_url": stage.repository_url, "github_api_url": stage.github_api_url, "request": REQUEST}
    live = LiveSettings(on_stage, stored)
    await live.open()
    return live, _StageSecrets(on_stage), shown


class _StageSecrets:
    """The stage's own credentials: a rehearsal never touches a real one, and keeps none."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        self._environ = environ

    def variable(self, name: str) -> str | None:
        return name

    async def get(self, name: str, repository: Repository | None = None) -> str | None:
        return self._environ.get(name) if name in ("GITHUB_TOKEN", "ANTHROPIC_API_KEY") else None

    async def save(self, name: str, value: str, repository: Repository | None = None) -> None:
        raise self._refusal()

    async def remove(self, name: str, repository: Repository | None = None) -> None:
        raise self._refusal()

    async def repositories(self, name: str) -> list[str]:
        return []

    def _refusal(self) -> WrongState:
        return WrongState("A rehearsal keeps no secrets.", next_action="Restart the server without AWO_REHEARSAL.")


class _Registered:
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


async def _kept_running(name: str, run: Callable[[], Awaitable[None]], stopping: anyio.Event) -> None:
    while not stopping.is_set():
        try:
            await run()
            return
        except Exception:  # start-up's door: said loudly, and tried again
            logger.exception("The %s ended by an unexpected error; it starts again in %s s.", name, RESTART_AFTER)
            with anyio.move_on_after(RESTART_AFTER):
                await stopping.wait()


async def _checked(name: str, ask: Callable[[], Awaitable[str | None]], well: str) -> HealthCheck:
    try:
        return HealthCheck(name, True, await ask() or well)
    except WorkOrderError as error:
        return HealthCheck(name, False, error.message, error.next_action)


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


def _folder_check(folder: Path) -> HealthCheck:
    if os.access(folder, os.W_OK | os.X_OK):
        return HealthCheck("storage", True, f"{folder} can be written.")
    return HealthCheck("storage", False, f"{folder} cannot be written.", f"Run: chmod u+rwx '{folder}', as its owner.")


def _dead_among(worker_ids: Iterable[str]) -> list[str]:
    """Workers of this machine whose process is gone; of other machines nothing can be said."""
    here = _this_machine() + "/"
    return [one for one in worker_ids if one.startswith(here) and not is_alive(one.removeprefix(here))]


def _this_machine() -> str:
    """Names one space of process ids: two containers may share a host name, and a pid means nothing across them."""
    try:
        space = Path("/proc/self/ns/pid").stat().st_ino
        boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()[:8]
    except OSError:
        return socket.gethostname()
    return f"{socket.gethostname()}-{boot}-{space}"
