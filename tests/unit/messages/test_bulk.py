"""Many rows in few statements: the same rows as one by one, whatever their number."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from sqlalchemy import Column, Connection, Index, Integer, MetaData, Table, Text, create_engine, select
from sqlalchemy.exc import IntegrityError

from seamark.messages.store.bulk import ROWS_AT_ONCE, SIZES, find_rows, gathered_rows, insert_tuples, update_tuples

_metadata = MetaData()
_item = Table(
    "item",
    _metadata,
    Column("no", Integer, primary_key=True),
    Column("name", Text, nullable=False),
    Column("live", Integer, nullable=False),
    Column("time", Integer),
    Index("ix_item_name", "name"),
)
COLUMNS = ("no", "name", "live", "time")
COUNTS = (1, *SIZES, ROWS_AT_ONCE - 1, ROWS_AT_ONCE + 1, 3 * ROWS_AT_ONCE + sum(SIZES[1:]) + 3)

Row = tuple[int, str, bool, int | None]


@pytest.fixture
def connection() -> Iterator[Connection]:
    engine = create_engine("sqlite://")
    with engine.begin() as found:
        _metadata.create_all(found)
        yield found
    engine.dispose()


def rows_of(count: int) -> list[Row]:
    return [(no, f"name {no}", no % 3 == 0, no * 10 if no % 2 else None) for no in range(1, count + 1)]


def stored(connection: Connection) -> list[Row]:
    query = select(*(_item.c[name] for name in COLUMNS)).order_by(_item.c.no)
    return [(no, name, bool(live), time) for no, name, live, time in connection.execute(query)]


@pytest.mark.parametrize("count", COUNTS)
def test_all_rows_are_inserted(connection: Connection, count: int) -> None:
    insert_tuples(connection, _item, COLUMNS, rows_of(count))
    assert stored(connection) == rows_of(count)


def test_the_order_of_values_is_that_of_the_columns_named(connection: Connection) -> None:
    backwards = tuple(reversed(COLUMNS))
    rows = rows_of(2 * ROWS_AT_ONCE)
    insert_tuples(connection, _item, backwards, [tuple(reversed(row)) for row in rows])
    assert stored(connection) == rows


@pytest.mark.parametrize("count", COUNTS)
def test_what_is_there_is_overwritten_where_asked(connection: Connection, count: int) -> None:
    rows = rows_of(count)
    insert_tuples(connection, _item, COLUMNS, rows[::2])
    insert_tuples(connection, _item, COLUMNS, [(no, "new", True, 5) for no, *_ in rows], update=("live", "time"))
    kept = {row[0]: row[1] for row in rows[::2]}
    assert stored(connection) == [(no, kept.get(no, "new"), True, 5) for no, *_ in rows]


@pytest.mark.parametrize("count", COUNTS)
def test_a_key_that_is_there_is_an_error_where_not(connection: Connection, count: int) -> None:
    insert_tuples(connection, _item, COLUMNS, rows_of(count)[-1:])
    with pytest.raises(IntegrityError):
        insert_tuples(connection, _item, COLUMNS, rows_of(count))


@pytest.mark.parametrize("count", COUNTS)
def test_columns_of_rows_are_updated_and_no_others(connection: Connection, count: int) -> None:
    rows = rows_of(count + 5)
    insert_tuples(connection, _item, COLUMNS, rows)
    moved = [(no, time and time + 1, not live) for no, _, live, time in rows[:count]]
    update_tuples(connection, _item, "no", ("time", "live"), moved)
    expected = [(no, name, not live, time and time + 1) for no, name, live, time in rows[:count]]
    assert stored(connection) == expected + rows[count:]


def test_an_update_of_many_leaves_alone_what_it_does_not_name(connection: Connection) -> None:
    rows = rows_of(ROWS_AT_ONCE)
    insert_tuples(connection, _item, COLUMNS, rows)
    unknown = [(no + 10 * ROWS_AT_ONCE, 1) for no, *_ in rows]
    update_tuples(connection, _item, "no", ("time",), unknown)
    assert stored(connection) == rows


def test_rows_are_found_by_their_keys(connection: Connection) -> None:
    rows = rows_of(1200)
    insert_tuples(connection, _item, COLUMNS, rows)
    wanted = [no for no, *_ in rows if no % 2]
    found = find_rows(connection, (_item.c.no, _item.c.name), _item.c.no, [*wanted, 99_999])
    assert sorted(found) == [(no, f"name {no}") for no in wanted]
    assert list(find_rows(connection, (_item.c.no,), _item.c.no, [])) == []


def test_rows_come_in_one_piece_as_they_are_stored(connection: Connection) -> None:
    large, odd = 2**63 - 1, 'a "quoted" name\n\u2028 über \U0001f600'
    insert_tuples(
        connection, _item, COLUMNS, [(1, "below", True, 3), (2, odd, True, None), (large, "x", False, -large)]
    )
    columns = tuple(_item.c[name] for name in COLUMNS)
    found = gathered_rows(connection, columns, "no BETWEEN {} AND {}", (2, large))
    assert sorted(tuple(row) for row in found) == [(2, odd, 1, None), (large, "x", 0, -large)]
    assert list(gathered_rows(connection, columns, "no > {} AND live", (2,))) == []
