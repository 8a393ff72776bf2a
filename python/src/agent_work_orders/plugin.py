"""The composition root: builds the toolbox, starts the worker with the host and stops it with the host."""

import asyncio
import gc
import logging
import os
import signal
import threading
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Iterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from dataclasses import replace
from types import FrameType
from typing import Any, cast

import anyio
from anyio import to_thread
from fastapi import APIRouter, FastAPI

from .agent.confinement import choose_confinement
from .agent.strays import sweep_strays
from .api import router as api_router
from .api.deps import STATE_NAME, ApiContext, SwitchedOff, WorkerStatus
from .api.guard import GuardPolicy
from .desk.desk import Desk
from .desk.home import look_at_storage, prepare_home
from .desk.live import LiveSettings
from .desk.repositories import RepositoryDesk
from .desk.results import LastResults
from .desk.workflows import WorkflowFiles
from .domain.errors import WorkOrderError, WrongState
from .domain.redaction import Redactor
from .domain.repository import Repository
from .health import check_health
from .host import HostSecrets, HostSettings
from .metrics import Catalogue, Exposition, ObservedStore
from .ports import SecretKeeper, Store, StoredSettings, Tools
from .settings import InvalidSettings, Settings
from .toolbox import (
    RegisteredSecrets,
    archive_of,
    build_tools,
    dead_among,
    janitor_of,
    testers_of,
    verifier_of,
    worker_name,
)
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
    known = RegisteredSecrets(secrets, redactor)
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
    worker = Worker(tools, worker_name())
    reaper = Reaper(tools, dead_among)
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
    # What was loaded to get here stays: looking through it for rubbish would hold up everybody for a tenth of a second.
    gc.freeze()
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


@contextmanager
def stop_on_signals(stopping: anyio.Event) -> Iterator[None]:
    """Sets `stopping` as soon as the process is asked to end.

    The web server waits for open streams before it runs the lifespan's end; streams that waited for the lifespan would
    wait for ever.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    # anyio's own handle of the loop changed its shape between 4.9 and 4.16.
    loop = asyncio.get_running_loop()
    replaced: dict[signal.Signals, Any] = {}

    def install(number: signal.Signals) -> None:
        previous = signal.getsignal(number)

        def handle(signum: int, frame: FrameType | None) -> None:
            loop.call_soon_threadsafe(stopping.set)
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


async def _kept_running(name: str, run: Callable[[], Awaitable[None]], stopping: anyio.Event) -> None:
    while not stopping.is_set():
        try:
            await run()
            return
        except Exception:  # start-up's door: said loudly, and tried again
            logger.exception("The %s ended by an unexpected error; it starts again in %s s.", name, RESTART_AFTER)
            with anyio.move_on_after(RESTART_AFTER):
                await stopping.wait()
