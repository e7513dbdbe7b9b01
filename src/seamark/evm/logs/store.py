"""Positions in the database: one row per stream and chain, and the references of its kept blocks.

The row is replaced only by whoever continues from exactly its revision: of two processes that follow the same stream by
mistake one fails to save, and its whole unit of work with it, so nothing is stored twice.
"""

from __future__ import annotations

from typing import Any

import msgspec
from sqlalchemy import BigInteger, Column, Connection, Table, Text, select
from sqlalchemy.exc import IntegrityError

from seamark.core.ids import Address, BlockRef, ChainId, Hash32
from seamark.evm.logs.errors import PositionMovedError
from seamark.evm.logs.model import Position, Rescan, Told
from seamark.evm.types import LogFilter
from seamark.storage.bulk import chunks, upsert
from seamark.storage.schema import metadata

__all__ = ["forget", "load", "revision", "save"]

_cursor = Table(
    "evm_cursor",
    metadata,
    Column("stream", Text, primary_key=True),
    Column("chain_id", BigInteger, primary_key=True, autoincrement=False),
    Column("revision", BigInteger, nullable=False),
    Column("number", BigInteger, nullable=False),
    Column("hash", Text, nullable=False),
    Column("finalized", BigInteger, nullable=False),
    Column("wanted", Text, nullable=False),
    Column("rescans", Text, nullable=False),
)

_block = Table(
    "evm_block",
    metadata,
    Column("stream", Text, primary_key=True),
    Column("chain_id", BigInteger, primary_key=True, autoincrement=False),
    Column("number", BigInteger, primary_key=True, autoincrement=False),
    Column("hash", Text, nullable=False),
    Column("parent_hash", Text, nullable=False),
    Column("timestamp", BigInteger, nullable=False),
    Column("logs", BigInteger, nullable=False),
    Column("digest", Text, nullable=False),
)


class _Filter(msgspec.Struct, frozen=True):
    addresses: tuple[str, ...]
    topics: tuple[str, ...]


class _Rescan(msgspec.Struct, frozen=True):
    wanted: _Filter
    first: int
    last: int


# Made here, in one thread: msgspec (0.22) crashes where two threads are the first to use a type.
_read_filter = msgspec.json.Decoder(_Filter).decode
_read_rescans = msgspec.json.Decoder(tuple[_Rescan, ...]).decode


def load(connection: Connection, stream: str, chain_id: ChainId) -> Position | None:
    """The stored position; None where there is none."""
    row = connection.execute(select(_cursor).where(*_of(_cursor, stream, chain_id))).one_or_none()
    if row is None:
        return None
    blocks = connection.execute(select(_block).where(*_of(_block, stream, chain_id)).order_by(_block.c.number))
    rescans = _read_rescans(row.rescans)
    return Position(
        wanted=_to_filter(_read_filter(row.wanted)),
        chain=tuple(_to_told(item) for item in blocks),
        finalized=row.finalized,
        rescans=tuple(Rescan(_to_filter(item.wanted), item.first, item.last) for item in rescans),
        revision=row.revision,
    )


def revision(connection: Connection, stream: str, chain_id: ChainId) -> int:
    """Revision of the stored position; 0 where there is none."""
    return connection.execute(select(_cursor.c.revision).where(*_of(_cursor, stream, chain_id))).scalar() or 0


def save(connection: Connection, stream: str, chain_id: ChainId, old: Position, new: Position) -> None:
    """Replace the stored position `old` by `new`.

    Raises:
        PositionMovedError: The stored position is another one.
    """
    _replace_cursor(connection, stream, chain_id, old, new)
    key = {"stream": stream, "chain_id": chain_id}
    before = {item.ref.number: item for item in old.chain} if old.revision else {}
    after = {item.ref.number: item for item in new.chain}
    gone = [number for number in before if number not in after]
    for some in chunks(gone):
        connection.execute(_block.delete().where(*_of(_block, stream, chain_id), _block.c.number.in_(some)))
    upsert(connection, _block, [key | _to_row(item) for number, item in after.items() if before.get(number) != item])


def forget(connection: Connection, stream: str, chain_id: ChainId) -> None:
    """Drop the position: the stream begins again at its start block."""
    for table in (_block, _cursor):
        connection.execute(table.delete().where(*_of(table, stream, chain_id)))


def _replace_cursor(connection: Connection, stream: str, chain_id: ChainId, old: Position, new: Position) -> None:
    tail = new.tail
    values: dict[str, Any] = {
        "revision": new.revision,
        "number": new.told,
        "hash": tail.hash if tail else "",
        "finalized": new.finalized,
        "wanted": _json(_from_filter(new.wanted)),
        "rescans": _json([_Rescan(_from_filter(item.wanted), item.first, item.last) for item in new.rescans]),
    }
    if old.revision == 0:
        try:
            connection.execute(_cursor.insert().values(stream=stream, chain_id=chain_id, **values))
        except IntegrityError as error:
            raise _moved(stream, chain_id) from error
        return
    owned = (*_of(_cursor, stream, chain_id), _cursor.c.revision == old.revision)
    if connection.execute(_cursor.update().where(*owned).values(values)).rowcount != 1:
        raise _moved(stream, chain_id)


def _moved(stream: str, chain_id: ChainId) -> PositionMovedError:
    return PositionMovedError(
        f"log stream {stream!r} on chain {chain_id}: the stored position is not the one this batch continues from",
        remedy="make sure that only one process follows this stream on this database",
    )


def _of(table: Table, stream: str, chain_id: ChainId) -> tuple[Any, Any]:
    return table.c.stream == stream, table.c.chain_id == chain_id


def _to_told(row: Any) -> Told:
    ref = BlockRef(row.number, Hash32(row.hash), Hash32(row.parent_hash), row.timestamp)
    return Told(ref, row.logs, int(row.digest, 16))


def _to_row(item: Told) -> dict[str, Any]:
    ref = item.ref
    return {
        "number": ref.number,
        "hash": ref.hash,
        "parent_hash": ref.parent_hash,
        "timestamp": ref.timestamp,
        "logs": item.logs,
        "digest": f"{item.digest:032x}",
    }


def _to_filter(stored: _Filter) -> LogFilter:
    return LogFilter(tuple(Address(item) for item in stored.addresses), tuple(Hash32(item) for item in stored.topics))


def _from_filter(wanted: LogFilter) -> _Filter:
    return _Filter(wanted.addresses, wanted.topics)


def _json(value: Any) -> str:
    return msgspec.json.encode(value).decode()
