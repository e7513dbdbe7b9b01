"""Incidents: from the first invalid message until a person says that it is over.

While one is open, further invalid messages join it, so that whatever is to happen once per incident happens once. A
message belongs to one incident for good: after a person has closed it, the same messages do not open another one.
"""

from __future__ import annotations

from typing import Final

import msgspec
from sqlalchemy import Connection, select, update

from seamark.messages.protocols.op_interop.store.tables import incident

__all__ = ["Incident", "close_incident", "join", "list_incidents", "open_incident", "save_call"]

_CALLS: Final = msgspec.json.Decoder(dict[str, int])


class Incident(msgspec.Struct, frozen=True):
    """`calls`: which endpoints took the order to stop, and when (milliseconds)."""

    id: int
    opened_ms: int
    job: str
    reason: str
    jobs: int
    calls: dict[str, int]
    closed_ms: int | None
    closed_by: str
    why: str


def join(connection: Connection, job: str, reason: str, *, now_ms: int) -> int:
    """The open incident, with one message more; a new one where none is open."""
    now = open_incident(connection)
    if now is not None:
        connection.execute(update(incident).where(incident.c.id == now.id).values(jobs=incident.c.jobs + 1))
        return now.id
    row = {"opened_ms": now_ms, "job": job, "reason": reason, "jobs": 1, "calls": "{}", "closed_by": "", "why": ""}
    number: int = connection.execute(incident.insert().values(row).returning(incident.c.id)).scalar_one()
    return number


def open_incident(connection: Connection) -> Incident | None:
    found = list_incidents(connection, only_open=True, limit=1)
    return found[0] if found else None


def list_incidents(connection: Connection, *, only_open: bool = False, limit: int = 50) -> list[Incident]:
    """Newest first."""
    query = select(incident).order_by(incident.c.id.desc()).limit(limit)
    if only_open:
        query = query.where(incident.c.closed_ms.is_(None))
    return [
        Incident(
            row.id,
            row.opened_ms,
            row.job,
            row.reason,
            row.jobs,
            _CALLS.decode(row.calls),
            row.closed_ms,
            row.closed_by,
            row.why,
        )
        for row in connection.execute(query)
    ]


def save_call(connection: Connection, number: int, endpoint: str, *, now_ms: int) -> None:
    """An endpoint took the order."""
    row = connection.execute(select(incident.c.calls).where(incident.c.id == number).with_for_update()).scalar_one()
    calls = _CALLS.decode(row) | {endpoint: now_ms}
    text = msgspec.json.encode(calls).decode()
    connection.execute(update(incident).where(incident.c.id == number).values(calls=text))


def close_incident(connection: Connection, who: str, why: str, *, now_ms: int) -> Incident | None:
    """End the open incident; None where none is open. Switching endpoints on again stays a person's own act."""
    now = open_incident(connection)
    if now is None:
        return None
    connection.execute(update(incident).where(incident.c.id == now.id).values(closed_ms=now_ms, closed_by=who, why=why))
    return msgspec.structs.replace(now, closed_ms=now_ms, closed_by=who, why=why)
