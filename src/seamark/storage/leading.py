"""Electing a leader by the database: a record with a lease, or a lock of a PostgreSQL session.

- `DatabaseRegister`: the row is compared and set by (token, beat); every renewal is a new beat. The database's clock is
  not asked, nor anybody's time of day: see `runtime.leadership` for how the end of a lease is told.
- `SessionLock`: `pg_try_advisory_lock` on a connection of its own. The lead ends with the session: when the connection
  breaks, or when the server ends a session that stood still for the lease's duration (a stopped process, a host that is
  cut off). The token is counted in the same row.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Callable
from contextlib import suppress
from typing import Any, Final

import asyncpg  # type: ignore[import-untyped]
from sqlalchemy import BigInteger, Column, Connection, Row, Table, Text, select

from seamark.core.errors import TemporaryError
from seamark.runtime.leadership import Record, Stand, Terms
from seamark.storage.bulk import insert_new
from seamark.storage.database import Database
from seamark.storage.schema import metadata

__all__ = ["DatabaseRegister", "SessionLock"]

_leader = Table(
    "leader",
    metadata,
    Column("name", Text, primary_key=True),
    Column("holder", Text, nullable=False),
    Column("token", BigInteger, nullable=False),
    Column("beat", BigInteger, nullable=False),
    Column("duration_ms", BigInteger, nullable=False),
)


class DatabaseRegister:
    """`runtime.leadership.Register` in a row of the shared database."""

    def __init__(self, database: Database, name: str) -> None:
        self._database = database
        self._name = name

    async def read(self) -> Record | None:
        row = await self._database.read(self._row)
        return None if row is None else Record(row.holder, row.token, row.duration_ms / 1000, (row.token, row.beat))

    async def write(self, record: Record, before: Record | None) -> Record | None:
        return await self._database.write(lambda connection: self._set(connection, record, before), urgent=True)

    def _row(self, connection: Connection) -> Row[Any] | None:
        return connection.execute(select(_leader).where(_leader.c.name == self._name)).first()

    def _set(self, connection: Connection, record: Record, before: Record | None) -> Record | None:
        token, beat = _version(before)
        if before is None:
            row = {"name": self._name, "holder": "", "token": 0, "beat": 0, "duration_ms": 0}
            insert_new(connection, _leader, [row])
        same = (_leader.c.name == self._name) & (_leader.c.token == token) & (_leader.c.beat == beat)
        values = {
            "holder": record.holder,
            "token": record.token,
            "beat": beat + 1,
            "duration_ms": round(record.duration * 1000),
        }
        if connection.execute(_leader.update().where(same).values(values)).rowcount != 1:
            return None
        return Record(record.holder, record.token, record.duration, (record.token, beat + 1))


def _version(record: Record | None) -> tuple[int, int]:
    if record is None:
        return 0, 0
    assert isinstance(record.version, tuple), "read from the row"
    return record.version


# ---- a lock of a session ---------------------------------------------------------------------------------------------

_KEEPALIVE_S: Final = 2
_TAKE = """
    INSERT INTO leader (name, holder, token, beat, duration_ms) VALUES ($1, $2, $3 + 1, 0, $4)
    ON CONFLICT (name) DO UPDATE SET
        holder = excluded.holder, token = greatest(leader.token, $3) + 1, beat = 0, duration_ms = excluded.duration_ms
    RETURNING token
"""
_HOLDER = "SELECT holder FROM leader WHERE name = $1"
_FLOOR = "SELECT token FROM fence WHERE name = $1"
_GIVE_BACK = "UPDATE leader SET holder = '' WHERE name = $1 AND holder = $2"


def _ignore(_why: str) -> None:
    return


class SessionLock:
    """`runtime.leadership.Candidate` by a lock that PostgreSQL keeps for as long as our session lives.

    Args:
        identity: Of this process.
        url: The database, with user and password; a direct connection, not one of a pooler that shares sessions.
        name: Of the lease.
        terms: Times.
    """

    def __init__(self, identity: str, url: str, name: str, *, terms: Terms) -> None:
        self.identity = identity
        self._url = url.replace("postgresql+asyncpg:", "postgresql:", 1)
        self._name = name
        self._terms = terms
        self._key = int.from_bytes(hashlib.sha256(f"seamark:{name}".encode()).digest()[:8], "big", signed=True)
        self._session: Any = None
        self._token: int | None = None
        self.lost: Callable[[str], None] = _ignore
        """Called as soon as the connection is found broken while it held the lock."""

    async def stand(self, *, leads: bool) -> Stand:
        try:
            session = await self._open()
            if self._token is not None and not leads:  # the term was broken: the next one has another token
                await self._drop()
                session = await self._open()
            if self._token is None and not await session.fetchval("SELECT pg_try_advisory_lock($1)", self._key):
                return Stand(None, await session.fetchval(_HOLDER, self._name) or "another replica")
            if self._token is None:
                self._token = await self._take(session)
            else:
                await session.fetchval("SELECT 1")  # the server counts from here how long we stand still
        except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
            await self._drop()
            raise TemporaryError(f"the session that holds the lock: {type(error).__name__}: {error}") from error
        except BaseException:  # given up half-way: whether we hold the lock is not known, so we let it go
            await self._drop()
            raise
        return Stand(self._token, self.identity)

    async def _take(self, session: Any) -> int:
        floor = await session.fetchval(_FLOOR, self._name) or 0
        duration_ms = round(self._terms.duration * 1000)
        token: int = await session.fetchval(_TAKE, self._name, self.identity, floor, duration_ms)
        return token

    async def _open(self) -> Any:
        if self._session is None or self._session.is_closed():
            await self._drop()
            still_ms = str(round(self._terms.duration * 1000))
            self._session = await asyncpg.connect(
                self._url,
                timeout=self._terms.duration / 3,
                server_settings={
                    # The server ends the session, and with it the lock, when we or our host stand still.
                    "idle_session_timeout": still_ms,
                    "idle_in_transaction_session_timeout": still_ms,
                    "tcp_keepalives_idle": str(_KEEPALIVE_S),
                    "tcp_keepalives_interval": str(_KEEPALIVE_S),
                    "tcp_keepalives_count": "2",
                    "tcp_user_timeout": still_ms,
                },
            )
            self._session.add_termination_listener(self._terminated)
        return self._session

    def _terminated(self, _session: Any) -> None:
        if self._session is not None and self._token is not None:  # else we closed it ourselves
            self._session, self._token = None, None
            self.lost("the session that held the lock ended")

    async def _drop(self) -> None:
        session, self._session, self._token = self._session, None, None
        if session is not None:
            session.terminate()
            await asyncio.sleep(0)  # lets the transport close

    async def resign(self) -> None:
        session = self._session
        if session is not None and not session.is_closed() and self._token is not None:
            with suppress(OSError, asyncpg.PostgresError, asyncpg.InterfaceError):
                await session.execute(_GIVE_BACK, self._name, self.identity)
                await session.execute("SELECT pg_advisory_unlock($1)", self._key)
                self._token = None
        await self._drop()

    async def close(self) -> None:
        await self._drop()
