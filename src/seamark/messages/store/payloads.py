"""What messages carry: payloads by message, for whoever can read them."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
from sqlalchemy import Connection, select

from seamark.messages.store import tables
from seamark.storage.bulk import chunks

__all__ = ["payloads_of"]

_message, _sighting = tables.message, tables.sighting


class _Details(msgspec.Struct):
    data: str = ""


class _Sent(msgspec.Struct):
    details: _Details = msgspec.field(default_factory=_Details)


_read_sent = msgspec.json.Decoder(_Sent).decode


def payloads_of(connection: Connection, ids: Sequence[str]) -> dict[str, str]:
    """Payload in hex by message id, of those whose send was seen (also one that a reorg withdrew)."""
    found: dict[str, str] = {}
    for some in chunks(list(dict.fromkeys(ids))):
        query = (
            select(_message.c.id, _sighting.c.body)
            .join(_sighting, _sighting.c.message_no == _message.c.no)
            .where(_message.c.id.in_(some))
        )
        for row in connection.execute(query):
            if data := _read_sent(row.body).details.data:
                found[row.id] = data
    return found
