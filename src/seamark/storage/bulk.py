"""Bulk statements that read the same on both engines."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from functools import lru_cache
from typing import Any, TypeVar

from sqlalchemy import Connection, Table
from sqlalchemy.dialects import postgresql, sqlite

__all__ = ["chunks", "insert_new", "upsert"]

T = TypeVar("T")
Row = Mapping[str, Any]

CHUNK = 500  # below SQLite's 32,766 bound variables for any table of ours


def chunks(items: Sequence[T], size: int = CHUNK) -> Iterator[Sequence[T]]:
    """Consecutive slices of at most `size`; for `IN (…)` lists and long inserts."""
    for start in range(0, len(items), size):
        yield items[start : start + size]


def insert_new(connection: Connection, table: Table, rows: Sequence[Row]) -> None:
    """Insert; rows whose key is there already are left alone. The idempotent write for facts."""
    if rows:
        connection.execute(_insert_new(connection.dialect.name, table), list(rows))


def upsert(connection: Connection, table: Table, rows: Sequence[Row], *, update: Collection[str] | None = None) -> None:
    """Insert, or overwrite `update` (default: every column given that is not part of the primary key)."""
    if not rows:
        return
    keys = [column.name for column in table.primary_key]
    names = update if update is not None else [name for name in rows[0] if name not in keys]
    if not names:
        insert_new(connection, table, rows)
        return
    connection.execute(_upsert(connection.dialect.name, table, tuple(names)), list(rows))


# Statements are built once: that takes longer than running them with a row or two.


@lru_cache(maxsize=512)
def _insert_new(dialect: str, table: Table) -> Any:
    return _insert(dialect, table).on_conflict_do_nothing()


@lru_cache(maxsize=512)
def _upsert(dialect: str, table: Table, names: tuple[str, ...]) -> Any:
    statement = _insert(dialect, table)
    keys = [column.name for column in table.primary_key]
    return statement.on_conflict_do_update(index_elements=keys, set_={name: statement.excluded[name] for name in names})


def _insert(dialect: str, table: Table) -> Any:
    return (postgresql if dialect == "postgresql" else sqlite).insert(table)
