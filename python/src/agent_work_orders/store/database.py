"""One SQLite file in worker threads: one connection that writes, two that read. Knows the schema's age, no table.

The event loop never waits for the disk: every call runs in a thread, also the opening.
"""

import asyncio
import os
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from datetime import datetime
from pathlib import Path
from queue import SimpleQueue
from typing import TypeVar

from anyio import CapacityLimiter, to_thread

from ..domain.errors import StoreUnavailable
from .failures import unavailable
from .rows import micros
from .schema import MIGRATIONS
from .transaction import News, Transaction

T = TypeVar("T")

READERS = 2
# How long a write waits for another process's transaction; ours take milliseconds.
BUSY_SECONDS = 10.0


class Database:
    """The file at `path`. `heard` is called on the event loop after each commit, in the order of the commits."""

    def __init__(self, path: Path, clock: Callable[[], datetime], heard: Callable[[News], None]) -> None:
        self.path, self._clock, self._heard = path, clock, heard
        self._writer: sqlite3.Connection | None = None
        self._readers: SimpleQueue[sqlite3.Connection] = SimpleQueue()
        # A task that is killed mid-call leaves its thread running; this lock, not the limiter, guards the connection.
        self._lock = threading.Lock()

    async def open(self) -> None:
        """Makes the file if there is none and brings its schema up to date; StoreUnavailable if that cannot be."""
        self._loop = asyncio.get_running_loop()
        self._one, self._few = CapacityLimiter(1), CapacityLimiter(READERS)
        await to_thread.run_sync(self._open, limiter=self._one)

    async def close(self) -> None:
        """Waits for calls that run; those that come later raise StoreUnavailable."""
        await to_thread.run_sync(self._close, limiter=self._one)

    async def write(self, work: Callable[[Transaction], T]) -> T:
        """`work` in one transaction that is durable on return; raised errors undo all of it."""
        self._must_be_open()
        return await to_thread.run_sync(self._write, work, limiter=self._one)

    async def read(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """`work` on one snapshot."""
        self._must_be_open()
        return await to_thread.run_sync(self._read, work, limiter=self._few)

    async def check(self) -> None:
        """StoreUnavailable unless this very file could be written now."""
        self._must_be_open()
        await to_thread.run_sync(self._check, limiter=self._one)

    async def save_copy(self, path: Path) -> None:
        """SQLite's own online backup into a new file: one snapshot, page by page, without holding writers up."""
        self._must_be_open()
        await to_thread.run_sync(self._save_copy, path, limiter=self._few)

    def _must_be_open(self) -> sqlite3.Connection:
        if self._writer is None:
            raise StoreUnavailable("The database is closed.", next_action="Start the server again.")
        return self._writer

    # --- in a thread ---

    def _write(self, work: Callable[[Transaction], T]) -> T:
        with self._lock, self._named_failures():
            db = self._must_be_open()
            with _transaction(db):
                tx = Transaction(db, micros(self._clock()))
                result = work(tx)
            # Before the lock is free, so that news are heard in the order of the commits; and before the caller goes
            # on, because the loop runs what it was handed first.
            with suppress(RuntimeError):  # the loop is closed: nobody is left to hear it
                self._loop.call_soon_threadsafe(self._heard, tx.news)
            return result

    def _read(self, work: Callable[[sqlite3.Connection], T]) -> T:
        db = self._readers.get()
        try:
            with self._named_failures():
                db.execute("begin")
                try:
                    return work(db)
                finally:
                    db.execute("rollback")
        finally:
            self._readers.put(db)

    def _save_copy(self, path: Path) -> None:
        db = self._readers.get()
        try:
            os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
            with self._named_failures(), closing(sqlite3.connect(path)) as copy:
                db.backup(copy)  # all pages in one step: a reader's snapshot, whatever is written meanwhile
        finally:
            self._readers.put(db)

    def _check(self) -> None:
        with self._lock, self._named_failures():
            db = self._must_be_open()
            try:
                found = self.path.stat()
            except OSError as error:
                raise self._gone() from error
            if (found.st_dev, found.st_ino) != self._identity:
                raise self._gone()
            self._refuse_newer(db)
            db.execute("begin immediate")
            db.execute("update agent_work_order_counters set value = value where name = 'rev'")
            db.execute("rollback")

    def _gone(self) -> StoreUnavailable:
        return StoreUnavailable(
            f"The database {self.path} was moved or removed while the server ran.",
            next_action="Put it back, or restart the server to begin a new one.",
        )

    def _open(self) -> None:
        with self._lock, self._named_failures():
            try:
                self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
                # The side files take over the mode: nobody else reads prompts and outputs.
                os.close(os.open(self.path, os.O_RDWR | os.O_CREAT, 0o600))
                self.path.chmod(0o600)
                found = self.path.stat()
            except OSError as error:
                raise StoreUnavailable(
                    f"The database {self.path} cannot be opened: {error.strerror}.",
                    next_action="Give the server's user write permission on the file and its folder.",
                ) from error
            self._identity = (found.st_dev, found.st_ino)
            writer = self._connect(self.path.absolute().as_uri())
            try:
                _use_wal(writer)
                writer.execute("pragma synchronous = full")
                self._migrate(writer)
                readers = [self._connect(self.path.absolute().as_uri() + "?mode=ro") for _ in range(READERS)]
            except BaseException:
                writer.close()
                raise
            for reader in readers:
                self._readers.put(reader)
            self._writer = writer

    def _close(self) -> None:
        with self._lock:
            writer, self._writer = self._writer, None
            if writer is None:
                return
            for _ in range(READERS):
                self._readers.get().close()
            writer.close()

    def _connect(self, uri: str) -> sqlite3.Connection:
        db = sqlite3.connect(uri, uri=True, timeout=BUSY_SECONDS, isolation_level=None, check_same_thread=False)
        db.row_factory = sqlite3.Row
        db.execute("pragma foreign_keys = on")
        db.execute("pragma temp_store = memory")
        return db

    def _migrate(self, db: sqlite3.Connection) -> None:
        self._refuse_newer(db)
        while _version(db) < len(MIGRATIONS):
            with _transaction(db):
                version = _version(db)  # anew: another process may have been quicker
                if version < len(MIGRATIONS):
                    for statement in MIGRATIONS[version]:
                        db.execute(statement)
                    db.execute(f"pragma user_version = {version + 1:d}")

    def _refuse_newer(self, db: sqlite3.Connection) -> None:
        version = _version(db)
        if version > len(MIGRATIONS):
            raise StoreUnavailable(
                f"The database {self.path} was written by a newer version (schema {version}; this one knows "
                f"{len(MIGRATIONS)}).",
                next_action="Start the newer version again, or put back the backup made before it.",
            )

    @contextmanager
    def _named_failures(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.Error as error:
            failure = unavailable(error, self.path)
            if failure is None:
                raise
            raise failure from error


def _version(db: sqlite3.Connection) -> int:
    version: int = db.execute("pragma user_version").fetchone()[0]
    return version


def _use_wal(db: sqlite3.Connection) -> None:
    """Readers never wait for the writer. Two processes that start at once may refuse each other the switch, briefly."""
    give_up_at = time.monotonic() + BUSY_SECONDS
    while True:
        try:
            mode = db.execute("pragma journal_mode = wal").fetchone()[0]
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY or time.monotonic() > give_up_at:
                raise
            time.sleep(0.02)
            continue
        if mode == "wal":
            return
        raise StoreUnavailable(
            f"The database cannot keep a write-ahead log (it answers {mode!r}).",
            next_action="Put it on a local disk: network disks lock badly.",
        )


@contextmanager
def _transaction(db: sqlite3.Connection) -> Iterator[None]:
    db.execute("begin immediate")
    try:
        yield
        db.execute("commit")
    except BaseException:
        # SQLite has often undone it already, after a full disk for one.
        with suppress(sqlite3.Error):
            db.execute("rollback")
        raise
