"""Bulk statements read the same on every engine."""

from __future__ import annotations

import pytest
from sqlalchemy import Column, Connection, Integer, MetaData, Table, Text, select

from seamark.storage.bulk import chunks, insert_new, upsert
from seamark.storage.database import Database

_metadata = MetaData()
row = Table(
    "bulk_row",
    _metadata,
    Column("a", Integer, primary_key=True),
    Column("b", Integer, primary_key=True),
    Column("name", Text),
    Column("note", Text),
)
key_only = Table("bulk_key", _metadata, Column("a", Integer, primary_key=True), Column("b", Integer, primary_key=True))


def everything(connection: Connection) -> list[tuple[object, ...]]:
    return [tuple(item) for item in connection.execute(select(row).order_by(row.c.a, row.c.b))]


def rows(*items: tuple[int, str]) -> list[dict[str, object]]:
    return [{"a": 1, "b": number, "name": name, "note": name} for number, name in items]


@pytest.fixture
async def tables(database: Database) -> Database:
    await database.write(_metadata.create_all)
    return database


async def test_insert_new_leaves_alone_what_is_there(tables: Database) -> None:
    await tables.write(lambda c: insert_new(c, row, rows((1, "old"), (2, "old"))))
    await tables.write(lambda c: insert_new(c, row, rows((2, "new"), (3, "new"))))
    assert await tables.read(everything) == [(1, 1, "old", "old"), (1, 2, "old", "old"), (1, 3, "new", "new")]


async def test_upsert_overwrites_what_is_no_key(tables: Database) -> None:
    await tables.write(lambda c: upsert(c, row, rows((1, "old"), (2, "old"))))
    await tables.write(lambda c: upsert(c, row, rows((2, "new"), (3, "new"))))
    assert await tables.read(everything) == [(1, 1, "old", "old"), (1, 2, "new", "new"), (1, 3, "new", "new")]


async def test_upsert_of_chosen_columns_leaves_the_others(tables: Database) -> None:
    await tables.write(lambda c: upsert(c, row, rows((1, "old"))))
    await tables.write(lambda c: upsert(c, row, rows((1, "new")), update=["note"]))
    assert await tables.read(everything) == [(1, 1, "old", "new")]


@pytest.mark.parametrize("write", [insert_new, upsert])
async def test_the_last_of_two_equal_keys_in_one_call_decides_or_is_ignored(tables: Database, write) -> None:
    await tables.write(lambda c: write(c, row, rows((1, "first"), (1, "second"))))
    expected = "first" if write is insert_new else "second"
    assert await tables.read(everything) == [(1, 1, expected, expected)]


async def test_upsert_without_anything_to_overwrite_is_an_insert(tables: Database) -> None:
    for _ in range(2):
        await tables.write(lambda c: upsert(c, key_only, [{"a": 1, "b": 2}]))
    assert await tables.read(lambda c: len(c.execute(select(key_only)).all())) == 1


@pytest.mark.parametrize("write", [insert_new, upsert])
async def test_no_rows_are_no_statement(tables: Database, write) -> None:
    await tables.write(lambda c: write(c, row, []))
    assert await tables.read(everything) == []


async def test_more_rows_than_bound_variables(tables: Database) -> None:
    many = [{"a": 2, "b": number, "name": "x", "note": "y"} for number in range(9000)]  # 36,000 values
    await tables.write(lambda c: upsert(c, row, many))
    assert await tables.read(lambda c: len(c.execute(select(row.c.b)).all())) == 9000


def test_chunks_cover_everything_once() -> None:
    assert [list(part) for part in chunks(range(5), 2)] == [[0, 1], [2, 3], [4]]
    assert list(chunks([], 2)) == []
    assert sum(len(part) for part in chunks(range(1203))) == 1203
