"""The database port.

A *unit of work* is a plain function of a SQLAlchemy Core `Connection`; it runs in one transaction and is committed
when it returns. So a store is synchronous, composable code (rows and cursor move together because they are written in
the same function), and the engine decides how to run it:

- SQLite: one writer thread that commits in groups (WAL, so readers never wait), a small pool of reader threads. A whole
  batch costs one thread hop, which matters more than the statements (measured: a hop costs more than a point query).
- PostgreSQL: asyncpg, the function driven by SQLAlchemy's greenlet bridge.

`write()` retries what is safe to retry: a unit of work that failed to commit has left nothing behind. It may therefore
run more than once and must not have effects outside its connection.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, NoReturn, Protocol, TypeVar

from sqlalchemy import URL, Connection, make_url
from sqlalchemy.exc import DBAPIError, OperationalError
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from seamark.core.errors import SettingsError, TemporaryError
from seamark.runtime.logs import redact_url
from seamark.storage.migrate import upgrade
from seamark.storage.sqlite import SqliteDatabase

__all__ = ["Database", "open_database"]

T = TypeVar("T")
Work = Callable[[Connection], T]

TRIES = 3
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

    async def write(self, work: Work[T], *, urgent: bool = False) -> T:
        """Run in a transaction that is durable when this returns. May run `work` again: after a conflict, or a
        connection lost before the commit.

        Urgent work goes first where writers queue (SQLite): for what somebody waits for in milliseconds.

        Raises: as `read`; nothing is stored then, but for a connection that broke while PostgreSQL was committing.
        """
        ...

    async def close(self) -> None: ...


async def open_database(
    url: str, *, migrate: bool = True, stalled_s: float | None = None, busy: bool = False
) -> Database:
    """Open, create if missing, and bring up to the newest schema.

    Args:
        url: "sqlite:///path/to/file.db", "sqlite://" (in memory) or "postgresql://user:password@host/name".
        migrate: False for a reader that must not change the schema.
        stalled_s: PostgreSQL ends a unit of work whose process stood still for so long, with all its locks; None: as
            the server is configured.
        busy: For a service that commits for hours: SQLite's log is laid out in advance, so that commits are fast from
            the first.

    Raises:
        SettingsError: Unknown kind of URL, or a file that cannot be created.
        TemporaryError: The server cannot be reached.
    """
    if url.startswith("sqlite:"):
        database: SqliteDatabase | PostgresDatabase = SqliteDatabase(url, busy=busy)
    elif url.startswith(("postgresql:", "postgres:", "postgresql+asyncpg:")):
        database = PostgresDatabase(url, stalled_s=stalled_s)
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


def _raise(failure: Exception, error: Exception) -> NoReturn:
    if failure is error:
        raise error
    raise failure from error


class PostgresDatabase:
    """A server; many writers."""

    def __init__(self, url: str, *, stalled_s: float | None = None) -> None:
        try:
            parsed = make_url(url).set(drivername="postgresql+asyncpg")
        except Exception as error:
            raise SettingsError(
                "database", "not a PostgreSQL URL", remedy="write postgresql://user:password@host:5432/name"
            ) from error
        public = URL.create("postgresql", host=parsed.host, port=parsed.port, database=parsed.database)
        self.url = public.render_as_string()
        # No ping before each use, which is a round trip: what finds its connection dead runs again on another one.
        self._engine: AsyncEngine = create_async_engine(
            parsed, pool_size=8, max_overflow=8, connect_args=_session_settings(stalled_s)
        )
        # Told with BEGIN, not in a statement of its own: a snapshot costs no further round trip.
        self._snapshots = self._engine.execution_options(isolation_level="REPEATABLE READ", postgresql_readonly=True)

    async def read(self, work: Work[T]) -> T:
        for attempt in range(1, TRIES + 1):
            try:
                async with self._snapshots.connect() as connection:
                    return await connection.run_sync(work)
            except (OSError, DBAPIError) as error:
                if attempt == TRIES or not _is_lost(error):
                    _raise(self._failed(error), error)
        raise AssertionError("unreachable")

    async def write(self, work: Work[T], *, urgent: bool = False) -> T:  # noqa: ARG002 - its writers do not queue
        for attempt in range(1, TRIES + 1):
            worked = False
            try:
                async with self._engine.begin() as connection:
                    result = await connection.run_sync(work)
                    worked = True  # a connection that is lost from here on may have committed
                return result  # noqa: TRY300 - not before the commit
            except (OSError, DBAPIError) as error:
                again = _is_conflict(error) or (_is_lost(error) and not worked)
                if attempt == TRIES or not again:
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


def _session_settings(stalled_s: float | None) -> dict[str, Any]:
    if stalled_s is None:
        return {}
    return {"server_settings": {"idle_in_transaction_session_timeout": str(round(stalled_s * 1000))}}


def _is_lost(error: OSError | DBAPIError) -> bool:
    """The connection was dead; the pool has thrown away all that are as old."""
    return isinstance(error, DBAPIError) and error.connection_invalidated


def _is_conflict(error: OSError | DBAPIError) -> bool:
    return isinstance(error, DBAPIError) and _sqlstate(error) in _CONFLICT


def _sqlstate(error: DBAPIError) -> str:
    return getattr(error.orig, "sqlstate", None) or ""
