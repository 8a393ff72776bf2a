"""The composition root: builds the toolbox, starts the worker with the host and stops it with the host."""

import logging
import os
import pwd
import signal
import socket
import threading
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Iterable, Iterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from datetime import timedelta
from pathlib import Path
from types import FrameType
from typing import Any

import anyio
import anyio.lowlevel
from anyio import to_thread
from fastapi import APIRouter, FastAPI

from .agent.checks import CommandChecks
from .agent.claude_cli import ClaudeCli
from .agent.confinement import choose_confinement
from .agent.strays import is_alive, process_identity, sweep_strays
from .api import router as api_router
from .api.deps import STATE_NAME, ApiContext, HealthCheck, SwitchedOff, WorkerStatus
from .api.guard import GuardPolicy
from .checkout import GitCheckouts
from .domain.errors import WorkOrderError
from .domain.redaction import Redactor
from .domain.repository import HostPolicy, Repository, parse_repository_url
from .forge.github import GitHubForge
from .host import HostSecrets
from .ports import Limits, Secrets, Store, Tools
from .settings import InvalidSettings, Settings, load_settings
from .store.sqlite import SqliteStore
from .worker.reaper import Reaper
from .worker.worker import Worker

logger = logging.getLogger("archon.awo")

# A bug in the claim loop must neither take the host down nor stop the work for good.
RESTART_AFTER = 5.0


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
    """The running plugin, or why it is off: not wanted, or settings that cannot be used."""
    try:
        settings = load_settings(environ)
    except InvalidSettings as error:
        logger.error("Agent Work Orders stays off: %s. Correct these variables and restart the server.", error)
        yield SwitchedOff(f"Its settings cannot be used: {error}.", "Correct these variables and restart the server.")
        return
    if not settings.enabled:
        yield SwitchedOff()
        return
    async with AsyncExitStack() as stack:
        secrets: Secrets = HostSecrets()
        rehearsal: dict[str, str] | None = None
        if settings.rehearsal:
            settings, secrets, rehearsal = await _open_rehearsal(stack, settings, environ)
        redactor = Redactor()
        redactor.register(settings.api_token)
        tools = await build_tools(stack, settings, _Registered(secrets, redactor), redactor)
        async with run_plugin(settings, tools, rehearsal) as context:
            yield context


async def build_tools(stack: AsyncExitStack, settings: Settings, secrets: Secrets, redactor: Redactor) -> Tools:
    """The toolbox of a server; what has to be closed is put on the stack."""
    for folder in (settings.home, settings.repositories, settings.work_orders):
        # Traversable, so that agents of another user reach their own checkout; what is private has its own mode.
        await to_thread.run_sync(_make_folder, folder)
    confinement = choose_confinement(settings.agent_user)
    policy = HostPolicy(settings.allowed_repository_hosts, insecure=settings.insecure_repository_hosts)

    def repository(url: str) -> Repository:
        return parse_repository_url(url, policy)

    def limits() -> Limits:
        return Limits(
            slots=settings.max_concurrent,
            per_repository=settings.max_concurrent_per_repository,
            lease=timedelta(seconds=settings.lease),
            step_timeout=timedelta(seconds=settings.step_timeout),
            stall_timeout=timedelta(seconds=settings.stall_timeout),
            max_cost_usd=settings.max_cost_usd,
            model=settings.claude_model,
            verify_command=settings.verify_command,
            commands_dir=settings.commands_dir,
        )

    store: Store = await stack.enter_async_context(SqliteStore.open(settings.home / "awo.db"))
    return Tools(
        store=store,
        checkouts=GitCheckouts(
            settings.repositories,
            freshness=timedelta(seconds=settings.fetch_freshness),
            insecure_hosts=lambda: settings.insecure_repository_hosts,
            agent_user=_ids_of(settings.agent_user),
        ),
        agent=ClaudeCli(
            lambda: settings.claude_cli_path,
            confinement,
            base_url=lambda: settings.anthropic_base_url,
            permission_mode=lambda: settings.claude_permission_mode,
        ),
        checks=CommandChecks(confinement),
        forge=GitHubForge(lambda: settings.github_api_url, lambda: secrets.get("GITHUB_TOKEN")),
        secrets=secrets,
        redactor=redactor,
        limits=limits,
        repository=repository,
        work_orders_dir=settings.work_orders,
        rehearsal=settings.rehearsal,
    )


@asynccontextmanager
async def run_plugin(settings: Settings, tools: Tools, rehearsal: dict[str, str] | None) -> AsyncIterator[ApiContext]:
    """Runs worker and reaper while the block lasts; at its end every claim is given back."""
    confinement = choose_confinement(settings.agent_user)
    stopping = anyio.Event()
    worker = Worker(tools, f"{_this_machine()}/{process_identity()}")
    reaper = Reaper(tools, _dead_among)
    context = ApiContext(
        tools=tools,
        guard_policy=lambda: GuardPolicy(
            bound_to_loopback=settings.listens_on_loopback,
            allowed_hosts=settings.allowed_hosts,
            allowed_origins=settings.allowed_origins,
            token=settings.api_token,
        ),
        stopping=stopping,
        health=lambda: check_health(settings, tools),
        workers=lambda: WorkerStatus(worker.worker_id, settings.max_concurrent, worker.busy, confinement.name),
        rehearsal=rehearsal,
    )
    for pid in await to_thread.run_sync(sweep_strays):
        logger.warning("Ended process %s, left behind by a server that was killed.", pid)
    with stop_on_signals(stopping):
        async with anyio.create_task_group() as services:
            services.start_soon(_kept_running, "reaper", reaper.run, stopping)
            async with anyio.create_task_group() as work:
                work.start_soon(_kept_running, "worker", lambda: worker.run(stopping), stopping)
                if rehearsal:
                    logger.warning("REHEARSAL: model and GitHub are pretended; sample: %s", rehearsal["repository_url"])
                yield context
                stopping.set()
            services.cancel_scope.cancel()


async def check_health(settings: Settings, tools: Tools) -> list[HealthCheck]:
    """Everything AWO leans on, asked anew."""
    checks = [await _checked("store", tools.store.check, "The state can be read and written.")]
    checks.append(await _checked("agent", tools.agent.describe, "The agent can be started."))
    checks.append(await to_thread.run_sync(_folder_check, settings.repositories))
    key = await tools.secrets.get("ANTHROPIC_API_KEY") or await tools.secrets.get("CLAUDE_CODE_OAUTH_TOKEN")
    checks.append(
        HealthCheck("claude_credentials", True, "A key for the model is set.")
        if key
        else HealthCheck(
            "claude_credentials",
            False,
            "No key for the model is set.",
            "Set ANTHROPIC_API_KEY or CLAUDE_CODE_OAUTH_TOKEN and restart the server.",
            required=False,
        )
    )
    token = await tools.secrets.get("GITHUB_TOKEN")
    checks.append(
        HealthCheck("github_token", True, "A GitHub token is set.")
        if token
        else HealthCheck(
            "github_token",
            False,
            "No GitHub token is set: nothing can be pushed and no pull request opened.",
            "Set GITHUB_TOKEN (contents and pull requests, read and write) and restart the server.",
            required=False,
        )
    )
    return checks


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
    stack: AsyncExitStack, settings: Settings, environ: Mapping[str, str]
) -> tuple[Settings, Secrets, dict[str, str]]:
    from .rehearsal.sample import REQUEST
    from .rehearsal.stage import open_stage

    stage = await stack.enter_async_context(open_stage(settings.home / "rehearsal"))
    on_stage = {**environ, **stage.environment()}
    shown = {"repository_url": stage.repository_url, "github_api_url": stage.github_api_url, "request": REQUEST}
    return load_settings(on_stage), _StageSecrets(on_stage), shown


class _StageSecrets:
    """The stage's own credentials: a rehearsal never touches a real one."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        self._environ = environ

    async def get(self, name: str) -> str | None:
        return self._environ.get(name) if name in ("GITHUB_TOKEN", "ANTHROPIC_API_KEY") else None


class _Registered:
    """Secrets that are made known to the redactor before anybody uses them."""

    def __init__(self, secrets: Secrets, redactor: Redactor) -> None:
        self._secrets, self._redactor = secrets, redactor

    async def get(self, name: str) -> str | None:
        value = await self._secrets.get(name)
        self._redactor.register(value)
        return value


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


def _folder_check(folder: Path) -> HealthCheck:
    if os.access(folder, os.W_OK | os.X_OK):
        return HealthCheck("storage", True, f"{folder} can be written.")
    return HealthCheck("storage", False, f"{folder} cannot be written.", f"Run: chmod u+rwx '{folder}', as its owner.")


def _make_folder(folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True, mode=0o711)


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


def _ids_of(agent_user: str | None) -> tuple[int, int] | None:
    if not agent_user:
        return None
    uid, _, gid = agent_user.partition(":")
    if uid.isdigit() and gid.isdigit():
        return int(uid), int(gid)
    entry = pwd.getpwuid(int(uid)) if uid.isdigit() else pwd.getpwnam(uid)
    return entry.pw_uid, int(gid) if gid else entry.pw_gid
