"""The settings in force, kept up to date while the server runs: files every second, the database every few seconds."""

import logging
from collections.abc import Mapping
from pathlib import Path

import anyio
from anyio import to_thread

from ..domain.errors import WorkOrderError
from ..ports import StoredSettings
from ..settings import InvalidSettings, Settings, catalogue, load_settings, settings_of
from .files import SettingsFiles
from .resolve import Resolution, resolve

logger = logging.getLogger("archon.awo")

FILES_EVERY = 2.0
STORED_EVERY = 3.0


class LiveSettings:
    """One object that is asked for the settings each time they are used. `open` first; `run` keeps them up to date.

    A setting that is not live stays what it was at the start: `waiting` names those that a restart would change.
    """

    def __init__(self, environ: Mapping[str, str], stored: StoredSettings) -> None:
        self._environ, self._stored = dict(environ), stored
        self._files: SettingsFiles | None = None
        self._texts: dict[str, str] = {}
        self._stored_problem: str | None = None
        self._resolution = resolve(environ)
        self._started = self._current = self._resolution.settings
        self._told: set[str] = set()

    async def open(self) -> None:
        """Reads all sources. InvalidSettings for a wrong variable or file; a database that is away is only named."""
        start = load_settings(self._environ)
        self._files = await to_thread.run_sync(_files_of, start.config, start.home)
        if self._files.problems:
            raise InvalidSettings.in_files(self._files.problems)
        await self._read_stored()
        self._resolve()
        self._started = self._current = self._resolution.settings
        self._tell()

    def current(self) -> Settings:
        """The settings in force."""
        return self._current

    @property
    def resolution(self) -> Resolution:
        """Where every value comes from, as configured now."""
        return self._resolution

    @property
    def waiting(self) -> frozenset[str]:
        """Settings that were changed and wait for a restart."""
        configured = self._resolution.settings
        return frozenset(
            name
            for name, knob in catalogue().items()
            if not knob.live and getattr(configured, name) != getattr(self._started, name)
        )

    @property
    def problems(self) -> list[str]:
        """What is wrong with the sources right now; the last good values stay in force."""
        files = self._files.problems if self._files else []
        stored = [self._stored_problem] if self._stored_problem else []
        return [*files, *stored, *self._resolution.problems]

    @property
    def stored(self) -> dict[str, str]:
        """The database's texts as they were read last."""
        return dict(self._texts)

    @property
    def stored_problem(self) -> str | None:
        """Why the database could not be read; None if it could."""
        return self._stored_problem

    async def refresh(self) -> None:
        """The database anew, at once."""
        await self._read_stored()
        self._resolve()

    async def run(self) -> None:
        """Until it is cancelled."""
        async with anyio.create_task_group() as group:
            group.start_soon(self._watch_files)
            group.start_soon(self._watch_stored)

    async def _watch_files(self) -> None:
        while True:
            await anyio.sleep(FILES_EVERY)
            if self._files is not None and await to_thread.run_sync(self._files.look):
                self._resolve()
                self._tell()

    async def _watch_stored(self) -> None:
        while True:
            await anyio.sleep(STORED_EVERY)
            before = self._texts, self._stored_problem
            await self._read_stored()
            if (self._texts, self._stored_problem) != before:
                self._resolve()
                self._tell()

    async def _read_stored(self) -> None:
        try:
            self._texts = await self._stored.load()
            self._stored_problem = None
        except WorkOrderError as error:
            self._stored_problem = f"Settings of the database cannot be read: {error.message}"

    def _resolve(self) -> None:
        self._resolution = resolve(self._environ, self._texts, self._files.values if self._files else {})
        configured, started = self._resolution.settings, self._started
        self._current = settings_of(
            {name: getattr(configured if knob.live else started, name) for name, knob in catalogue().items()}
        )

    def _tell(self) -> None:
        """Says once, in the log, what a person should know."""
        news = [*self.problems, *(conflict.sentence() for conflict in self._resolution.conflicts)]
        for sentence in news:
            if sentence not in self._told:
                logger.warning("Settings: %s", sentence)
        self._told = set(news)


def _files_of(config: Path, home: Path) -> SettingsFiles:
    files = SettingsFiles(config, home)
    files.look()
    return files
