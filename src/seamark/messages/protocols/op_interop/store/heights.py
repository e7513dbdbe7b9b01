"""How far each chain has been read, and how safe its blocks are, as far as executing messages are concerned."""

from __future__ import annotations

import msgspec
from sqlalchemy import Connection, select

from seamark.messages.protocols.op_interop.store.tables import height
from seamark.storage.bulk import upsert

__all__ = ["Height", "read_heights", "save_height"]


class Height(msgspec.Struct, frozen=True):
    """Block numbers; -1: none yet."""

    scanned: int
    safe: int
    finalized: int


def read_heights(connection: Connection) -> dict[int, Height]:
    return {row.chain_id: Height(row.scanned, row.safe, row.finalized) for row in connection.execute(select(height))}


def save_height(connection: Connection, chain_id: int, now: Height) -> None:
    upsert(connection, height, [{"chain_id": chain_id, **msgspec.structs.asdict(now)}])
