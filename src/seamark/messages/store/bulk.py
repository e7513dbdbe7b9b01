"""Many rows in one statement, without the price per row of a general-purpose layer.

SQLAlchemy compiles the statement for the engine once; after that rows go to the driver as plain tuples. That is four
times faster than handing it dictionaries, and it is most of what storing a log costs. Only columns that need no
conversion (text, integers, booleans) may be written like this.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from operator import itemgetter
from typing import Any

from sqlalchemy import Column, Connection, Table, bindparam
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.engine import Dialect

from seamark.storage.bulk import chunks

__all__ = ["find_rows", "insert_rows", "insert_tuples", "update_tuples"]

KEY = "key_of_row"  # names the key's parameter in an update, where its column may not be named

Row = Mapping[str, Any]
Order = tuple[int, ...]


def find_rows(
    connection: Connection, columns: tuple[Column[Any], ...], key: Column[Any], values: Sequence[Any]
) -> Iterator[Any]:
    """Rows whose `key` is one of many values, as plain tuples of `columns`; in no order."""
    for chunk in chunks(values):
        text = _select(columns, key, len(chunk), connection.dialect.name)
        yield from connection.exec_driver_sql(text, tuple(chunk))


def insert_rows(connection: Connection, table: Table, rows: Sequence[Row], *, update: tuple[str, ...] = ()) -> None:
    """Insert rows of the same columns; where the key exists, overwrite `update` (none given: that is an error)."""
    if rows:
        insert_tuples(connection, table, tuple(rows[0]), [tuple(row.values()) for row in rows], update=update)


def insert_tuples(
    connection: Connection,
    table: Table,
    columns: tuple[str, ...],
    rows: Sequence[tuple[Any, ...]],
    *,
    update: tuple[str, ...] = (),
) -> None:
    """As `insert_rows`, with values in the order of `columns`."""
    if rows:
        text, order = _insert(table, columns, update, connection.dialect)
        _execute(connection, text, order, rows)


def update_tuples(
    connection: Connection, table: Table, key: str, columns: tuple[str, ...], rows: Sequence[tuple[Any, ...]]
) -> None:
    """Overwrite columns of existing rows; the values of a row are its key's and those of `columns`."""
    if rows:
        text, order = _update(table, key, columns, connection.dialect)
        _execute(connection, text, order, rows)


@lru_cache(maxsize=1024)
def _select(columns: tuple[Column[Any], ...], key: Column[Any], count: int, dialect: str) -> str:
    marks = ", ".join(f"${index}" if dialect == "postgresql" else "?" for index in range(1, count + 1))
    names = ", ".join(column.name for column in columns)
    return f"SELECT {names} FROM {key.table.name} WHERE {key.name} IN ({marks})"  # noqa: S608 - names of our own columns


def _execute(connection: Connection, text: str, order: Order, rows: Sequence[tuple[Any, ...]]) -> None:
    in_order = order == tuple(range(len(order)))
    connection.exec_driver_sql(text, list(rows) if in_order else list(map(itemgetter(*order), rows)))


@lru_cache(maxsize=64)
def _insert(table: Table, columns: tuple[str, ...], update: tuple[str, ...], dialect: Dialect) -> tuple[str, Order]:
    insert = (postgresql if dialect.name == "postgresql" else sqlite).insert(table)
    statement = insert.values({name: bindparam(name) for name in columns})
    if update:
        keys = [column.name for column in table.primary_key]
        changes = {name: insert.excluded[name] for name in update}
        statement = statement.on_conflict_do_update(index_elements=keys, set_=changes)
    return _compiled(statement, dialect, columns)


@lru_cache(maxsize=64)
def _update(table: Table, key: str, columns: tuple[str, ...], dialect: Dialect) -> tuple[str, Order]:
    statement = table.update().where(table.c[key] == bindparam(KEY)).values({name: bindparam(name) for name in columns})
    return _compiled(statement, dialect, (KEY, *columns))


def _compiled(statement: Any, dialect: Dialect, names: tuple[str, ...]) -> tuple[str, Order]:
    """The statement's text, and for each of its parameters which value of a row it is."""
    compiled = statement.compile(dialect=dialect)
    return str(compiled), tuple(names.index(name) for name in compiled.positiontup)
