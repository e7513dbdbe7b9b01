"""The event log: what happened, in the order it was committed, for whoever listens in whatever process.

An event is written in the unit of work that changes the state it tells of, so it exists exactly when the change does. A
listener remembers the last id it saw and asks for more; a lost connection loses nothing.

Ids are handed out in commit order: SQLite has one writer; on PostgreSQL writers of events take turns (an advisory lock
held to the end of their transaction), else a reader could see id 8 and never look for a late 7.
"""

from __future__ import annotations

import time
from collections.abc import Collection, Sequence
from typing import Any

import msgspec
from sqlalchemy import BigInteger, Column, Connection, Table, Text, func, or_, select, text

from seamark.storage.schema import AUTO_ID, metadata

__all__ = ["Event", "append_events", "last_event_id", "read_events", "take_turn", "trim_events"]

KEPT_EVENTS = 200_000
_LOCK_KEY = 0x5EA3A2D

_event = Table(
    "event",
    metadata,
    Column("id", AUTO_ID, primary_key=True, autoincrement=True),
    Column("topic", Text, nullable=False),
    Column("key", Text, nullable=False),
    Column("at_ms", BigInteger, nullable=False),
    Column("payload", Text, nullable=False),
    sqlite_autoincrement=True,
)


class Event(msgspec.Struct, frozen=True):
    """One thing that happened.

    `topic` is a short noun and verb ("message.executed"), `key` the subject's id, `payload` JSON-ready values in which
    256-bit numbers and selectors are strings; `id` and `at_ms` are set when stored.
    """

    topic: str
    key: str
    payload: dict[str, Any]
    id: int = 0
    at_ms: int = 0


def append_events(connection: Connection, events: Sequence[Event]) -> None:
    """Write events as part of the running unit of work."""
    if not events:
        return
    take_turn(connection)
    now_ms = int(time.time() * 1000)
    rows = [
        {
            "topic": item.topic,
            "key": item.key,
            "at_ms": item.at_ms or now_ms,
            "payload": msgspec.json.encode(item.payload).decode(),
        }
        for item in events
    ]
    connection.execute(_event.insert(), rows)


def take_turn(connection: Connection) -> None:
    """Wait until no other writer of events is under way, and keep the turn to the end of the unit of work.

    `append_events` does it by itself; a unit that reads what it will change takes its turn first.
    """
    if connection.dialect.name == "postgresql":
        connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _LOCK_KEY})


def read_events(connection: Connection, after: int, *, topics: Collection[str] = (), limit: int = 500) -> list[Event]:
    """Events with an id above `after`, oldest first; all topics, or those that start with one of `topics`."""
    query = select(_event).where(_event.c.id > after).order_by(_event.c.id).limit(limit)
    if topics:
        clauses = [_event.c.topic.startswith(topic, autoescape=True) for topic in topics]
        query = query.where(or_(*clauses))
    return [
        Event(topic=row.topic, key=row.key, payload=msgspec.json.decode(row.payload), id=row.id, at_ms=row.at_ms)
        for row in connection.execute(query)
    ]


def last_event_id(connection: Connection) -> int:
    """Where a listener that wants only news starts."""
    return connection.execute(select(func.max(_event.c.id))).scalar() or 0


def trim_events(connection: Connection, keep: int = KEPT_EVENTS, *, spare: Sequence[str] = ()) -> int:
    """Delete all but the newest `keep`; returns how many went. Events whose topics are in `spare` stay for good:
    nothing else records them.
    """
    bound = last_event_id(connection) - keep
    if bound <= 0:
        return 0
    return connection.execute(_event.delete().where(_event.c.id <= bound, _event.c.topic.not_in(spare))).rowcount
