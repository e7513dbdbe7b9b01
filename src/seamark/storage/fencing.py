"""Fencing: what a former leader still wants to write is refused by the database itself.

A fence is a row with the newest token that leads. A new leader raises it before it reads anything; from then on every
unit of work of the leader's services checks it in its own transaction. The row is locked for sharing by those who
check and for writing by who raises it, so a unit commits entirely before the new term, which then sees it, or not at
all. A process that was stopped for an hour between two statements finds itself refused.

On PostgreSQL a session that was stopped in the middle of a unit would keep the row locked, and the next leader out: so
replicas open their database with `stalled_s`, after which the server ends a unit that stands still.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from sqlalchemy import BigInteger, Column, Connection, Table, Text, bindparam, select

from seamark.runtime.leadership import Leadership, NotLeadingError
from seamark.storage.bulk import insert_new
from seamark.storage.database import Database, Work
from seamark.storage.schema import metadata

__all__ = [
    "Fence",
    "FencedDatabase",
    "FencedOffError",
    "check_fence",
    "enter_term",
    "list_fences",
    "newest_token",
    "raise_fence",
    "read_fence",
]

T = TypeVar("T")

_fence = Table(
    "fence",
    metadata,
    Column("name", Text, primary_key=True),
    Column("token", BigInteger, nullable=False),
    Column("holder", Text, nullable=False),
    Column("raised_ms", BigInteger, nullable=False),
)

_named = _fence.c.name == bindparam("fence")
_READ = select(_fence.c.token).where(_named)
_CHECK = _READ.with_for_update(read=True)  # SQLite knows no row locks, and needs none: it has one writer


class FencedOffError(NotLeadingError):
    """The database knows a newer leader. Nothing of the unit of work was stored."""


@dataclass(frozen=True, slots=True)
class Fence:
    """Who led last, under which token, and since when (milliseconds since the epoch, by that host's clock)."""

    name: str
    token: int
    holder: str
    raised_ms: int


def read_fence(connection: Connection, name: str) -> int:
    """The newest token; 0: none yet."""
    return connection.execute(_READ, {"fence": name}).scalar() or 0


def list_fences(connection: Connection) -> list[Fence]:
    """All, by name."""
    return [Fence(*row) for row in connection.execute(select(_fence).order_by(_fence.c.name))]


def raise_fence(connection: Connection, name: str, token: int, holder: str) -> None:
    """Let nothing older than `token` pass from now on.

    Raises:
        FencedOffError: There is a newer one, or the same by another holder.
    """
    insert_new(connection, _fence, [{"name": name, "token": 0, "holder": "", "raised_ms": 0}])
    row = connection.execute(select(_fence).where(_fence.c.name == name).with_for_update()).one()
    if row.token > token or (row.token == token and row.holder != holder):
        raise FencedOffError(f"{name}: the term {token} is over, {row.holder} has led in term {row.token}")
    values = {"token": token, "holder": holder, "raised_ms": round(time.time() * 1000)}
    connection.execute(_fence.update().where(_fence.c.name == name).values(values))


def check_fence(connection: Connection, name: str, token: int) -> None:
    """Part of a unit of work: it must be one of the newest term, up to its commit.

    Raises:
        FencedOffError: It is not.
    """
    newest = connection.execute(_CHECK, {"fence": name}).scalar()
    if newest != token:
        raise FencedOffError(f"{name}: the term {token} is over, the newest is {newest}; nothing was stored")


def _ignore() -> None:
    return


class FencedDatabase:
    """A `Database` for the leader's services: reads as ever, writes only in this replica's term.

    Args:
        inner: The database; whoever opened it closes it.
        leadership: Gives the token.
        refused: Called for each write that the database refused, or that was not tried because another one leads.
    """

    def __init__(self, inner: Database, leadership: Leadership, *, refused: Callable[[], None] = _ignore) -> None:
        self._inner = inner
        self._leadership = leadership
        self._refused = refused

    @property
    def url(self) -> str:
        return self._inner.url

    async def read(self, work: Work[T]) -> T:
        return await self._inner.read(work)

    async def write(self, work: Work[T], *, urgent: bool = False) -> T:
        """As any; raises `NotLeadingError` where this replica does not lead, and nothing is stored then."""
        name, token = self._leadership.name, self._leadership.token
        if token is None:
            self._refused()
            raise NotLeadingError(f"{name}: {self._leadership.holder or 'another replica'} leads; nothing was stored")

        def fenced(connection: Connection) -> T:
            check_fence(connection, name, token)
            return work(connection)

        try:
            return await self._inner.write(fenced, urgent=urgent)
        except FencedOffError:
            self._refused()
            self._leadership.depose("the database knows a newer term")
            raise

    async def close(self) -> None:
        return


async def enter_term(database: Database, name: str, token: int, holder: str) -> None:
    """Raise the fence for a new term. Raises `TemporaryError`: the database does not answer, or knows a newer one."""
    await database.write(lambda connection: raise_fence(connection, name, token, holder), urgent=True)


async def newest_token(database: Database, name: str) -> int:
    """What a new term's token must be above. Raises `TemporaryError` where the database does not answer."""
    return await database.read(lambda connection: read_fence(connection, name))
