"""Many rows in one statement, without the price per row of a general-purpose layer.

SQLAlchemy compiles the statement for the engine once; after that rows go to the driver as plain tuples. That is four
times faster than handing it dictionaries, and it is most of what storing a log costs. Only columns that need no
conversion (text, integers, booleans) may be written like this.

On SQLite many rows go into one statement besides: its driver gives the interpreter away and takes it back for every
row of an `executemany`, and where another thread computes, each of those is a wait. Measured: half of the CPU time.
What is left over goes into smaller statements, for the same reason.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import lru_cache
from itertools import chain
from operator import itemgetter
from typing import Any, Final

import msgspec
from sqlalchemy import Column, Connection, Table, bindparam
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.engine import Dialect

from seamark.storage.bulk import chunks

__all__ = ["find_rows", "gathered_rows", "insert_rows", "insert_tuples", "plain_rows", "update_tuples"]

_read_rows = msgspec.json.Decoder(list[list[Any]]).decode

KEY = "key_of_row"  # names the key's parameter in an update, where its column may not be named

ROWS_AT_ONCE: Final = 256
"""In one statement of SQLite. More gain nothing, and 34 columns of them stay far below its 32,766 bound variables."""

SIZES: Final = (ROWS_AT_ONCE, 32, 4)
"""Of statements, in rows: few, because each is prepared once for each table."""

Row = Mapping[str, Any]
Order = tuple[int, ...]


def find_rows(
    connection: Connection, columns: tuple[Column[Any], ...], key: Column[Any], values: Sequence[Any]
) -> Iterator[Any]:
    """Rows whose `key` is one of many values, as plain tuples of `columns`; in no order."""
    for chunk in chunks(values):
        text = _select(columns, key, len(chunk), connection.dialect.name)
        yield from plain_rows(connection, text, tuple(chunk))


def plain_rows(connection: Connection, text: str, parameters: tuple[Any, ...]) -> Sequence[tuple[Any, ...]]:
    """What a query in the driver's own words finds, as the driver gives it."""
    with connection.exec_driver_sql(text, parameters) as result:
        rows: Sequence[tuple[Any, ...]] = result.cursor.fetchall()
    return rows


def gathered_rows(
    connection: Connection, columns: tuple[Column[Any], ...], where: str, parameters: tuple[Any, ...]
) -> Sequence[Sequence[Any]]:
    """Rows of `columns` (whole numbers, truth values as 0 and 1, and text without zero bytes), in no order; `where` has
    {} for each parameter.

    SQLite's driver gives the interpreter away for every row that it fetches, too: there all rows come as one.
    """
    dialect = connection.dialect.name
    found = plain_rows(connection, _gathering(columns, where, len(parameters), dialect), parameters)
    return found if dialect == "postgresql" else _read_rows(found[0][0])


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
    if not rows:
        return
    text, order = _insert(table, columns, update, connection.dialect)
    rows = _in_order(rows, order)
    if connection.dialect.name == "sqlite":
        rows = _in_bulk(connection, lambda size: _many_inserts(text, len(columns), size), rows)
    if rows:
        connection.exec_driver_sql(text, list(rows))


def update_tuples(
    connection: Connection, table: Table, key: str, columns: tuple[str, ...], rows: Sequence[tuple[Any, ...]]
) -> None:
    """Overwrite columns of existing rows; the values of a row are its key's and those of `columns`."""
    if rows and connection.dialect.name == "sqlite":
        rows = _in_bulk(connection, lambda size: _many_updates(table, key, columns, size), rows)
    if rows:
        text, order = _update(table, key, columns, connection.dialect)
        connection.exec_driver_sql(text, list(_in_order(rows, order)))


def _in_order(rows: Sequence[tuple[Any, ...]], order: Order) -> Sequence[tuple[Any, ...]]:
    return rows if order == tuple(range(len(order))) else list(map(itemgetter(*order), rows))


def _in_bulk(
    connection: Connection, text: Callable[[int], str], rows: Sequence[tuple[Any, ...]]
) -> Sequence[tuple[Any, ...]]:
    """Run statements of many rows, the largest first, as often as they go; gives the few rows that are left."""
    start = 0
    for size in SIZES:
        while len(rows) - start >= size:
            values = tuple(chain.from_iterable(rows[start : start + size]))
            connection.exec_driver_sql(text(size), values)
            start += size
    return rows[start:]


@lru_cache(maxsize=1024)
def _select(columns: tuple[Column[Any], ...], key: Column[Any], count: int, dialect: str) -> str:
    marks = ", ".join(f"${index}" if dialect == "postgresql" else "?" for index in range(1, count + 1))
    names = ", ".join(column.name for column in columns)
    return f"SELECT {names} FROM {key.table.name} WHERE {key.name} IN ({marks})"  # noqa: S608 - names of our own columns


@lru_cache(maxsize=64)
def _gathering(columns: tuple[Column[Any], ...], where: str, count: int, dialect: str) -> str:
    names, table = ", ".join(column.name for column in columns), columns[0].table.name
    if dialect == "postgresql":
        where = where.format(*(f"${index}" for index in range(1, count + 1)))
        return f"SELECT {names} FROM {table} WHERE {where}"  # noqa: S608 - names of our own columns
    where = where.format(*"?" * count)
    return f"SELECT json_group_array(json_array({names})) FROM {table} WHERE {where}"  # noqa: S608 - as above


@lru_cache(maxsize=64)
def _many_inserts(text: str, width: int, size: int) -> str:
    """The insert of one row, made one of many."""
    row = f"({', '.join('?' * width)})"
    before, found, after = text.partition(f"VALUES {row}")
    assert found, text
    return f"{before}VALUES {', '.join([row] * size)}{after}"


@lru_cache(maxsize=64)
def _many_updates(table: Table, key: str, columns: tuple[str, ...], size: int) -> str:
    row = f"({', '.join('?' * (len(columns) + 1))})"
    names = ", ".join((KEY, *columns))
    changes = ", ".join(f"{name} = told.{name}" for name in columns)
    return (
        f"WITH told ({names}) AS (VALUES {', '.join([row] * size)}) "  # noqa: S608 - names of our own columns
        f"UPDATE {table.name} SET {changes} FROM told WHERE {table.name}.{key} = told.{KEY}"
    )


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
