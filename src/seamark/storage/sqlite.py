"""SQLite: one file, one writer thread, group commit.

A commit waits for the disk (0.3 ms on a good day, many times that on a busy one), and only one can be under way. So
the writer takes what has gathered meanwhile and commits it together: each unit of work in a savepoint of its own, one
wait for all. A unit that fails is rolled back alone. Nobody is told of success before the common commit is on disk.

Urgent units go first: a price that waits to be signed must not queue behind bookkeeping.
"""

from __future__ import annotations

import asyncio
import sqlite3
import threading
import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, NoReturn, TypeVar

from sqlalchemy import Connection, Engine, create_engine, event
from sqlalchemy.exc import DBAPIError
from sqlalchemy.pool import StaticPool

from seamark.core.errors import SettingsError, StopError, TemporaryError
from seamark.storage.sqlite_log import lay_out_log

__all__ = ["SqliteDatabase"]

T = TypeVar("T")
Work = Callable[[Connection], T]

READER_THREADS: Final = 4
BUSY_TIMEOUT_MS: Final = (
    10_000  # another process (a command line, a second service) may hold the write lock for a moment
)
WRITE_TRIES: Final = 3
RETRY_PAUSE_S: Final = 0.05
GROUP_S: Final = 0.004  # a group is closed when its units have run so long: an urgent one behind it waits no longer
LINGER_S: Final = 0.003  # where urgent ones come now and then, bookkeeping gathers so long, out of their way
LATELY_S: Final = 1.0
PATIENCE_S: Final = 0.1  # and no longer, however many urgent ones come


@dataclass(slots=True)
class _Unit:
    """A unit of work on its way. `result` or `error` is set by the writer thread; what a look writes is not kept."""

    work: Callable[[Connection], Any]
    loop: asyncio.AbstractEventLoop
    done: asyncio.Future[Any]
    kept: bool = True
    urgent: bool = False
    handed_in: float = field(default_factory=time.monotonic)
    result: Any = None
    error: BaseException | None = None

    def tell(self) -> None:
        """In the unit's own event loop."""
        if self.done.cancelled():
            return
        if self.error is None:
            self.done.set_result(self.result)
        else:
            self.done.set_exception(self.error)


class _Writer(threading.Thread):
    """Runs units in groups until closed; what was handed in before is still done."""

    def __init__(self, engine: Engine) -> None:
        super().__init__(name="sqlite-writer", daemon=True)
        self._engine = engine
        self._urgent: deque[_Unit] = deque()
        self._calm: deque[_Unit] = deque()
        self._wake = threading.Condition()
        self._closed = False
        self._urgent_at = float("-inf")  # when the last urgent one came

    def hand_in(self, unit: _Unit, *, urgent: bool) -> None:
        with self._wake:
            if self._closed:
                raise TemporaryError("the database is closed")
            (self._urgent if urgent else self._calm).append(unit)
            if urgent:
                self._urgent_at = time.monotonic()
            self._wake.notify()

    def close(self) -> None:
        with self._wake:
            self._closed = True
            self._wake.notify()
        self.join()

    def run(self) -> None:
        while True:
            with self._wake:
                while not (self._urgent or self._calm or self._closed):
                    self._wake.wait()
                if not (self._urgent or self._calm):
                    return
                self._linger()
            group: list[_Unit] = []
            try:
                self._run_group(group)
            except BaseException as error:  # noqa: BLE001 - it belongs to those who wait; the thread goes on
                for unit in group:
                    unit.error = error
            for loop in {unit.loop for unit in group}:
                _tell_all(loop, [unit for unit in group if unit.loop is loop])

    def _linger(self) -> None:
        """Where urgent units come now and then, calm ones wait a moment: for each other, and to be in nobody's way."""
        now = time.monotonic()
        until = min(now + LINGER_S, self._urgent_at + LATELY_S)
        while now < until and not (self._urgent or self._closed or self._is_overdue()):
            self._wake.wait(until - now)
            now = time.monotonic()

    def _is_overdue(self) -> bool:
        """Whether a calm unit has waited for as long as it should."""
        calm = self._calm
        return bool(calm) and time.monotonic() - calm[0].handed_in > PATIENCE_S

    def _next(self, *, urgent_only: bool = False) -> _Unit | None:
        with self._wake:
            if self._urgent:
                return self._urgent.popleft()
            return self._calm.popleft() if self._calm and (not urgent_only or self._is_overdue()) else None

    def _run_group(self, group: list[_Unit]) -> None:
        """Take units until time is up, run each in a savepoint, commit once. `group` tells who is concerned."""
        first = self._next()
        assert first is not None, "nobody else takes units"
        group.append(first)  # before anything can fail: its owner must hear of it
        with self._engine.connect() as connection:
            connection.exec_driver_sql("BEGIN IMMEDIATE")
            try:
                until = time.monotonic() + GROUP_S
                unit: _Unit | None = first
                hurried = False  # somebody waits for the commit: no calm unit comes before it any more
                while unit is not None:
                    _run_unit(connection, unit)
                    hurried = hurried or unit.urgent
                    unit = self._next(urgent_only=hurried) if time.monotonic() < until else None
                    if unit is not None:
                        group.append(unit)
                connection.exec_driver_sql("COMMIT")
            except BaseException:
                _roll_back(connection)
                raise


def _run_unit(connection: Connection, unit: _Unit) -> None:
    # Straight to SQLite: for a savepoint, SQLAlchemy's way takes ten times as long as SQLite itself.
    raw: Any = connection.connection.dbapi_connection
    raw.execute("SAVEPOINT unit")
    try:
        unit.result = unit.work(connection)
    except BaseException as error:
        if not raw.in_transaction:
            raise  # SQLite gave up the whole transaction (a full disk, for one): the group failed
        raw.execute("ROLLBACK TO unit")
        unit.error = _bearable(error)
    if not unit.kept:
        raw.execute("ROLLBACK TO unit")
    raw.execute("RELEASE unit")


def _bearable(error: BaseException) -> BaseException:
    """A future bears any error but this one, and the others of the group would wait for ever behind its refusal."""
    if not isinstance(error, StopIteration):
        return error
    wrapped = RuntimeError("a unit of work raised StopIteration")
    wrapped.__cause__ = error
    return wrapped


def _tell_all(loop: asyncio.AbstractEventLoop, units: list[_Unit]) -> None:
    def tell() -> None:
        for unit in units:
            unit.tell()

    try:
        loop.call_soon_threadsafe(tell)
    except RuntimeError:
        return  # the loop is closed: whoever waited is gone


def _in_transaction(connection: Connection) -> bool:
    raw: Any = connection.connection.dbapi_connection
    return bool(raw.in_transaction)


def _roll_back(connection: Connection) -> None:
    if _in_transaction(connection):
        connection.exec_driver_sql("ROLLBACK")


class SqliteDatabase:
    """`storage.database.Database` on one file, or in memory ("sqlite://")."""

    def __init__(self, url: str, *, busy: bool = False) -> None:
        self.url = url
        path = url.removeprefix("sqlite:///").removeprefix("sqlite://")
        self._in_memory = path in ("", ":memory:")
        if not self._in_memory:
            try:
                Path(path).parent.mkdir(parents=True, exist_ok=True)
            except OSError as error:
                raise SettingsError("database", f"cannot create the folder of {path}: {error.strerror}") from error
            # Else the same trouble meets the first unit of work, and is told there.
            with suppress(OSError, sqlite3.Error):
                if busy:
                    lay_out_log(Path(path))
        self._engine = self._make_engine(url)
        self._writer = _Writer(self._engine)
        self._writer.start()
        self._readers = ThreadPoolExecutor(READER_THREADS, "sqlite-reader")

    def _make_engine(self, url: str) -> Engine:
        options: dict[str, Any] = {"poolclass": StaticPool} if self._in_memory else {"pool_size": READER_THREADS + 1}
        engine = create_engine(url, connect_args={"check_same_thread": False, "isolation_level": None}, **options)
        event.listen(engine, "connect", _prepare)
        return engine

    async def read(self, work: Work[T]) -> T:
        try:
            if self._in_memory:  # one connection, so one thread
                return await self._hand_in(work, urgent=False, kept=False)
            future = asyncio.get_running_loop().run_in_executor(self._readers, self._look, work)
            return await _undisturbed(future)
        except DBAPIError as error:
            _raise(_failure(error, self.url), error)

    async def write(self, work: Work[T], *, urgent: bool = False) -> T:
        for attempt in range(1, WRITE_TRIES + 1):
            try:
                return await self._hand_in(work, urgent=urgent)
            except DBAPIError as error:
                if attempt == WRITE_TRIES or not _is_busy(error):
                    _raise(_failure(error, self.url), error)
                await asyncio.sleep(RETRY_PAUSE_S * attempt)
        raise AssertionError("unreachable")

    async def close(self) -> None:
        await asyncio.to_thread(self._writer.close)
        self._readers.shutdown(wait=True)
        self._engine.dispose()

    async def _hand_in(self, work: Work[T], *, urgent: bool, kept: bool = True) -> T:
        loop = asyncio.get_running_loop()
        unit = _Unit(work, loop, loop.create_future(), kept, urgent)
        self._writer.hand_in(unit, urgent=urgent)
        done: asyncio.Future[T] = unit.done
        return await _undisturbed(done)

    def _look(self, work: Work[T]) -> T:
        with self._engine.connect() as connection:
            connection.exec_driver_sql("BEGIN")
            try:
                return work(connection)
            finally:
                _roll_back(connection)


async def _undisturbed(future: asyncio.Future[T]) -> T:
    """Wait to the end even when cancelled: once handed to its thread a unit of work runs, and the caller must not
    believe that nothing happened while the thread commits.
    """
    try:
        return await asyncio.shield(future)
    except asyncio.CancelledError:
        await asyncio.wait([future])
        if not future.cancelled():
            future.exception()  # seen; the canceller no longer wants it
        raise


def _prepare(connection: Any, _record: Any) -> None:
    for pragma in (
        "journal_mode = WAL",
        "synchronous = FULL",  # a journalled transaction must survive a power cut, not only a crash of ours
        f"busy_timeout = {BUSY_TIMEOUT_MS}",
        "foreign_keys = ON",
        "temp_store = MEMORY",
        "cache_size = -65536",  # KiB
        # Pages (16 MB): a page that changes with every batch of a catch-up is copied into the file once for several.
        "wal_autocheckpoint = 4000",
    ):
        connection.execute(f"PRAGMA {pragma}")


def _raise(failure: Exception, error: Exception) -> NoReturn:
    if failure is error:
        raise error
    raise failure from error


def _is_busy(error: DBAPIError) -> bool:
    return _code(error).startswith(("SQLITE_BUSY", "SQLITE_LOCKED"))


def _code(error: DBAPIError) -> str:
    return getattr(error.orig, "sqlite_errorname", "")


def _failure(error: DBAPIError, url: str) -> Exception:
    """The same error where a statement is wrong; ours where the file or the disk is."""
    code = _code(error)
    if code.startswith(("SQLITE_BUSY", "SQLITE_LOCKED", "SQLITE_FULL", "SQLITE_IOERR")):
        return TemporaryError(f"database {url}: {error.orig}", remedy="the unit of work was not committed")
    if code.startswith(("SQLITE_CANTOPEN", "SQLITE_NOTADB", "SQLITE_READONLY", "SQLITE_PERM")):
        return SettingsError("database", f"cannot use {url}: {error.orig}", remedy="name a file that Seamark may write")
    if code.startswith("SQLITE_CORRUPT"):
        return StopError(f"database {url}: {error.orig}", remedy="restore it from a backup")
    return error
