"""Positions in the database: one row per stream and chain, and the references of its kept blocks.

The row is replaced only by whoever continues from exactly its revision: of two processes that follow the same stream by
mistake one fails to save, and its whole unit of work with it, so nothing is stored twice.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import msgspec
from sqlalchemy import BigInteger, Column, Connection, Table, Text, bindparam, select
from sqlalchemy.exc import IntegrityError

from seamark.core.ids import Address, BlockRef, ChainId, Hash32
from seamark.evm.logs.errors import PositionMovedError
from seamark.evm.logs.model import Position, Rescan, Told
from seamark.evm.types import LogFilter
from seamark.storage.bulk import upsert
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

# What runs with every block is built once: building a statement costs more than SQLite's part of it.
_REVISION = select(_cursor.c.revision).where(
    _cursor.c.stream == bindparam("of_stream"), _cursor.c.chain_id == bindparam("of_chain")
)
_MOVE = (
    _cursor.update()
    .where(
        _cursor.c.stream == bindparam("of_stream"),
        _cursor.c.chain_id == bindparam("of_chain"),
        _cursor.c.revision == bindparam("of_revision"),
    )
    .values({name: bindparam(name) for name in ("revision", "number", "hash", "finalized", "wanted", "rescans")})
)
_DROP = _block.delete().where(
    _block.c.stream == bindparam("of_stream"),
    _block.c.chain_id == bindparam("of_chain"),
    _block.c.number.between(bindparam("first"), bindparam("last")),
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
    return connection.execute(_REVISION, {"of_stream": stream, "of_chain": chain_id}).scalar() or 0


def save(connection: Connection, stream: str, chain_id: ChainId, old: Position, new: Position) -> None:
    """Replace the stored position `old` by `new`.

    Raises:
        PositionMovedError: The stored position is another one.
    """
    _replace_cursor(connection, stream, chain_id, old, new)
    key = {"stream": stream, "chain_id": chain_id}
    before = old.chain if old.revision else ()
    for first, last in _left(before, new.chain):
        connection.execute(_DROP, {"of_stream": stream, "of_chain": chain_id, "first": first, "last": last})
    upsert(connection, _block, [key | _to_row(item) for item in _changed(before, new.chain)])


def _left(before: Sequence[Told], after: Sequence[Told]) -> list[tuple[int, int]]:
    """The numbers (first, last) of which a reference was kept and none is now. Both are of consecutive blocks."""
    if not before:
        return []
    first, last = before[0].ref.number, before[-1].ref.number
    if not after:
        return [(first, last)]
    new_first, new_last = after[0].ref.number, after[-1].ref.number
    ranges = ((first, min(last, new_first - 1)), (max(first, new_last + 1), last))
    return [item for item in ranges if item[0] <= item[1]]


def _changed(before: Sequence[Told], after: Sequence[Told]) -> Sequence[Told]:
    """What is not stored yet. Nearly always whatever follows the old tail: a chain whose finality is a quarter of an
    hour behind keeps thousands of references, and this runs with every block.
    """
    if not before or not after:
        return after
    shift = after[0].ref.number - before[0].ref.number
    if shift >= 0:
        same = before[shift:]
        if after[: len(same)] == same:  # the same objects: compared by identity
            return after[len(same) :]
    known = {item.ref.number: item for item in before}
    return [item for item in after if known.get(item.ref.number) != item]


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
        "wanted": _filter_json(new.wanted),
        "rescans": _json([_Rescan(_from_filter(item.wanted), item.first, item.last) for item in new.rescans]),
    }
    if old.revision == 0:
        try:
            connection.execute(_cursor.insert().values(stream=stream, chain_id=chain_id, **values))
        except IntegrityError as error:
            raise _moved(stream, chain_id) from error
        return
    owned = {"of_stream": stream, "of_chain": chain_id, "of_revision": old.revision}
    if connection.execute(_MOVE, owned | values).rowcount != 1:
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


@lru_cache(maxsize=256)
def _filter_json(wanted: LogFilter) -> str:
    """A filter is of hundreds of contracts at times, and the same for days."""
    return _json(_from_filter(wanted))


def _json(value: Any) -> str:
    return msgspec.json.encode(value).decode()
