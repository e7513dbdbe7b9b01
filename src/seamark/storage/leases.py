"""Leases: one holder of a name at a time, among processes that share a database.

A holder renews its lease while it works and gives it back at the end. One that died gives way when its time is over,
so nothing must be cleaned up by hand. A lease is a courtesy, not a proof: a holder that was stopped for longer than its
lease does not know that it lost it, so what must never happen twice needs a constraint of its own besides.
"""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, Connection, Table, Text, select

from seamark.storage.bulk import upsert
from seamark.storage.events import take_turn
from seamark.storage.schema import metadata

__all__ = ["lease_holder", "take_lease"]

_lease = Table(
    "lease",
    metadata,
    Column("name", Text, primary_key=True),
    Column("holder", Text, nullable=False),
    Column("until_ms", BigInteger, nullable=False),
)


def take_lease(connection: Connection, name: str, holder: str, now_ms: int, *, for_ms: int) -> bool:
    """Take it, or keep it; False while somebody else has it. `for_ms` 0 gives it back.

    It is renewed when half of it is over, so that a look that changes nothing writes nothing.
    """
    take_turn(connection)
    row = connection.execute(select(_lease).where(_lease.c.name == name).with_for_update()).first()
    if row is not None and row.holder != holder and row.until_ms > now_ms:
        return False
    is_fresh = row is not None and row.holder == holder and row.until_ms - now_ms > for_ms // 2
    if not is_fresh or for_ms == 0:
        upsert(connection, _lease, [{"name": name, "holder": holder, "until_ms": now_ms + for_ms}])
    return True


def lease_holder(connection: Connection, name: str, now_ms: int) -> str:
    """Who has it; "" for nobody."""
    row = connection.execute(select(_lease).where(_lease.c.name == name)).first()
    return row.holder if row is not None and row.until_ms > now_ms else ""
