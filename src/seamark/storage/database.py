"""The database port.

A *unit of work* is a plain function of a SQLAlchemy Core `Connection`; it runs in one transaction and is committed
when it returns. So a store is synchronous, composable code (rows and cursor move together because they are written in
the same function), and the engine decides how to run it:

- SQLite: one writer thread with one connection (WAL, so readers never wait), a small pool of reader threads. A whole
  batch costs one thread hop, which matters more than the statements (measured: a hop costs more than a point query).
- PostgreSQL: asyncpg, the function driven by SQLAlchemy's greenlet bridge.

`write()` retries what is safe to retry: a unit of work that failed to commit has left nothing behind. It may therefore
run more than once and must not have effects outside its connection.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NoReturn, Protocol, TypeVar

from sqlalchemy import URL, Connection, Engine, create_engine, event, make_url, text
from sqlalchemy.exc import DBAPIError, OperationalError
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine
from sqlalchemy.pool import StaticPool

from seamark.core.errors import SettingsError, StopError, TemporaryError
from seamark.runtime.logs import redact_url
from seamark.storage.migrate import upgrade

__all__ = ["Database", "open_database"]

T = TypeVar("T")
Work = Callable[[Connection], T]

READER_THREADS = 4
BUSY_TIMEOUT_MS = 10_000  # another process (a command line, a second service) may hold the write lock for a moment
WRITE_TRIES = 3
RETRY_PAUSE_S = 0.05

# PostgreSQL's SQLSTATE codes and classes (its manual, appendix A)
_CONFLICT = ("40001", "40P01")  # serialisation failure, deadlock: nothing was committed, another try is right
_UNAVAILABLE = ("08", "53", "57P", "40")  # connection, out of resources, shutting down, conflicts to the last try
_REFUSED = ("28", "3D000", "42501")  # who, which database, what is allowed


class Database(Protocol):
    """Runs units of work."""

    @property
    def url(self) -> str:
        """Where it is, without secrets."""
        ...

    async def read(self, work: Work[T]) -> T:
        """Run on a consistent snapshot; writes are refused or lost.

        Raises:
            TemporaryError: The server cannot be reached, the disk is full, another process holds the lock too long.
            SettingsError: The server refuses this user, the file is no database. What `work` raises comes as it is.
        """
        ...

    async def write(self, work: Work[T]) -> T:
        """Run in a transaction that is durable when this returns. May run `work` again after a conflict.

        Raises: as `read`; nothing is stored then, but for a connection that broke while PostgreSQL was committing.
        """
        ...

    async def close(self) -> None: ...


async def open_database(url: str, *, migrate: bool = True) -> Database:
    """Open, create if missing, and bring up to the newest schema.

    Args:
        url: "sqlite:///path/to/file.db", "sqlite://" (in memory) or "postgresql://user:password@host/name".
        migrate: False for a reader that must not change the schema.

    Raises:
        SettingsError: Unknown kind of URL, or a file that cannot be created.
        TemporaryError: The server cannot be reached.
    """
    if url.startswith("sqlite:"):
        database: SqliteDatabase | PostgresDatabase = SqliteDatabase(url)
    elif url.startswith(("postgresql:", "postgres:", "postgresql+asyncpg:")):
        database = PostgresDatabase(url)
    else:
        raise SettingsError(
            "database", f"{redact_url(url)!r} is no database URL", remedy="use sqlite:///path or postgresql://…"
        )
    if migrate:
        try:
            await database.write(upgrade)
        except BaseException:
            await database.close()
            raise
    return database


class SqliteDatabase:
    """One file, one writer."""

    def __init__(self, url: str) -> None:
        self.url = url
        path = url.removeprefix("sqlite:///").removeprefix("sqlite://")
        self._in_memory = path in ("", ":memory:")
        if not self._in_memory:
            try:
                Path(path).parent.mkdir(parents=True, exist_ok=True)
            except OSError as error:
                raise SettingsError("database", f"cannot create the folder of {path}: {error.strerror}") from error
        self._engine = self._make_engine(url)
        self._writer = ThreadPoolExecutor(1, "sqlite-writer")
        self._readers = self._writer if self._in_memory else ThreadPoolExecutor(READER_THREADS, "sqlite-reader")

    def _make_engine(self, url: str) -> Engine:
        options: dict[str, Any] = {"poolclass": StaticPool} if self._in_memory else {"pool_size": READER_THREADS + 1}
        engine = create_engine(url, connect_args={"check_same_thread": False, "isolation_level": None}, **options)
        event.listen(engine, "connect", _prepare_sqlite)
        return engine

    async def read(self, work: Work[T]) -> T:
        try:
            return await self._run(self._readers, work, "BEGIN", "ROLLBACK")
        except DBAPIError as error:
            _raise(_sqlite_failure(error, self.url), error)

    async def write(self, work: Work[T]) -> T:
        for attempt in range(1, WRITE_TRIES + 1):
            try:
                return await self._run(self._writer, work, "BEGIN IMMEDIATE", "COMMIT")
            except DBAPIError as error:
                if attempt == WRITE_TRIES or not _is_busy(error):
                    _raise(_sqlite_failure(error, self.url), error)
                await asyncio.sleep(RETRY_PAUSE_S * attempt)
        raise AssertionError("unreachable")

    async def close(self) -> None:
        self._writer.shutdown(wait=True)
        self._readers.shutdown(wait=True)
        self._engine.dispose()

    async def _run(self, pool: ThreadPoolExecutor, work: Work[T], begin: str, end: str) -> T:
        # Shielded: once handed to its thread a transaction runs to its end; cancelling must not leave the caller
        # believing that nothing happened while the thread commits.
        future = asyncio.get_running_loop().run_in_executor(pool, self._transact, work, begin, end)
        try:
            return await asyncio.shield(future)
        except asyncio.CancelledError:
            await asyncio.wait([future])
            if not future.cancelled():
                future.exception()  # seen; the canceller no longer wants it
            raise

    def _transact(self, work: Work[T], begin: str, end: str) -> T:
        with self._engine.connect() as connection:
            connection.exec_driver_sql(begin)
            try:
                result = work(connection)
                connection.exec_driver_sql(end)
            except BaseException:
                raw: Any = connection.connection.dbapi_connection
                if raw.in_transaction:  # SQLite itself rolls back after some errors, a full disk for one
                    connection.exec_driver_sql("ROLLBACK")
                raise
            return result


def _prepare_sqlite(connection: Any, _record: Any) -> None:
    for pragma in (
        "journal_mode = WAL",
        "synchronous = FULL",  # a journalled transaction must survive a power cut, not only a crash of ours
        f"busy_timeout = {BUSY_TIMEOUT_MS}",
        "foreign_keys = ON",
        "temp_store = MEMORY",
        "cache_size = -65536",  # KiB
    ):
        connection.execute(f"PRAGMA {pragma}")


def _raise(failure: Exception, error: Exception) -> NoReturn:
    if failure is error:
        raise error
    raise failure from error


def _is_busy(error: DBAPIError) -> bool:
    return _sqlite_code(error).startswith(("SQLITE_BUSY", "SQLITE_LOCKED"))


def _sqlite_code(error: DBAPIError) -> str:
    return getattr(error.orig, "sqlite_errorname", "")


def _sqlite_failure(error: DBAPIError, url: str) -> Exception:
    """The same error where a statement is wrong; ours where the file or the disk is."""
    code = _sqlite_code(error)
    if code.startswith(("SQLITE_BUSY", "SQLITE_LOCKED", "SQLITE_FULL", "SQLITE_IOERR")):
        return TemporaryError(f"database {url}: {error.orig}", remedy="the unit of work was not committed")
    if code.startswith(("SQLITE_CANTOPEN", "SQLITE_NOTADB", "SQLITE_READONLY", "SQLITE_PERM")):
        return SettingsError("database", f"cannot use {url}: {error.orig}", remedy="name a file that Seamark may write")
    if code.startswith("SQLITE_CORRUPT"):
        return StopError(f"database {url}: {error.orig}", remedy="restore it from a backup")
    return error


class PostgresDatabase:
    """A server; many writers."""

    def __init__(self, url: str) -> None:
        try:
            parsed = make_url(url).set(drivername="postgresql+asyncpg")
        except Exception as error:
            raise SettingsError(
                "database", "not a PostgreSQL URL", remedy="write postgresql://user:password@host:5432/name"
            ) from error
        public = URL.create("postgresql", host=parsed.host, port=parsed.port, database=parsed.database)
        self.url = public.render_as_string()
        self._engine: AsyncEngine = create_async_engine(parsed, pool_size=8, max_overflow=8, pool_pre_ping=True)

    async def read(self, work: Work[T]) -> T:
        try:
            async with self._engine.connect() as connection:
                await connection.execute(text("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY"))
                return await connection.run_sync(work)
        except (OSError, DBAPIError) as error:
            _raise(self._failed(error), error)

    async def write(self, work: Work[T]) -> T:
        for attempt in range(1, WRITE_TRIES + 1):
            try:
                async with self._engine.begin() as connection:
                    return await connection.run_sync(work)
            except (OSError, DBAPIError) as error:
                if attempt == WRITE_TRIES or not _is_conflict(error):
                    _raise(self._failed(error), error)
                await asyncio.sleep(RETRY_PAUSE_S * attempt)
        raise AssertionError("unreachable")

    async def close(self) -> None:
        await self._engine.dispose()

    def _failed(self, error: OSError | DBAPIError) -> Exception:
        """The same error where a statement is wrong; ours where the server, its address or its rules are."""
        if isinstance(error, OSError):
            return TemporaryError(f"database {self.url}: {error}", remedy="check that the server runs")
        state = _sqlstate(error)
        if state.startswith(_REFUSED):
            remedy = "check the user, the password and the name of the database"
            return SettingsError("database", f"{self.url} refuses: {error.orig}", remedy=remedy)
        if error.connection_invalidated or state.startswith(_UNAVAILABLE) or isinstance(error, OperationalError):
            return TemporaryError(f"database {self.url}: {error.orig}", remedy="check that the server runs")
        return error


def _is_conflict(error: OSError | DBAPIError) -> bool:
    return isinstance(error, DBAPIError) and _sqlstate(error) in _CONFLICT


def _sqlstate(error: DBAPIError) -> str:
    return getattr(error.orig, "sqlstate", None) or ""
