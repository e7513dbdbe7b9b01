"""Incidents of OP Stack interop, from its store."""

from __future__ import annotations

import time
from collections.abc import Callable

from sqlalchemy import Connection

from seamark.api.routes.interop import FailsafeCall, Incident
from seamark.api.times import iso_time
from seamark.messages.protocols.op_interop import store
from seamark.storage.database import Database

__all__ = ["StoredIncidents"]

SYSTEM_CLOCK: Callable[[], float] = time.time


class StoredIncidents:
    """An `IncidentDesk`."""

    def __init__(self, database: Database, now: Callable[[], float] = SYSTEM_CLOCK) -> None:
        self._database = database
        self._now = now

    async def incidents(self, *, only_open: bool, limit: int) -> list[Incident]:
        found = await self._database.read(lambda c: store.list_incidents(c, only_open=only_open, limit=limit))
        return [_view(item) for item in found]

    async def close(self, number: int, who: str, why: str) -> Incident | None:
        now_ms = round(self._now() * 1000)

        def work(connection: Connection) -> store.Incident | None:
            found = store.open_incident(connection)
            if found is None or found.id != number:  # another may have been opened since the caller looked
                return None
            return store.close_incident(connection, who, why, now_ms=now_ms)

        closed = await self._database.write(work)
        return None if closed is None else _view(closed)


def _view(item: store.Incident) -> Incident:
    return Incident(
        id=item.id,
        opened_at=iso_time(item.opened_ms),
        message=item.job,
        reason=item.reason,
        messages=item.jobs,
        calls=[FailsafeCall(endpoint=label, at=iso_time(at_ms)) for label, at_ms in sorted(item.calls.items())],
        closed_at=None if item.closed_ms is None else iso_time(item.closed_ms),
        closed_by=item.closed_by,
        why=item.why,
    )
