"""Positions in the database, on every engine."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from random import Random

import pytest

from seamark.core.ids import BlockRef, ChainId
from seamark.evm.logs import store
from seamark.evm.logs.errors import PositionMovedError
from seamark.evm.logs.model import Position, Rescan, Told
from seamark.evm.types import LogFilter
from seamark.storage.database import Database, open_database
from tests.support.fake_chain import address, digest, topic
from tests.support.postgres import new_database

CHAIN = ChainId(2**40)  # some chain ids do not fit 32 bits
WANTED = LogFilter((address(1), address(2)), (topic(1),))


@pytest.fixture(
    params=[
        pytest.param("sqlite"),
        pytest.param("postgres", marks=[pytest.mark.postgres, pytest.mark.timeout(60)]),
    ]
)
async def database(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Database]:
    if request.param == "sqlite":
        opened = await open_database(f"sqlite:///{tmp_path}/seamark.db")
        yield opened
        await opened.close()
        return
    async with new_database() as url:
        opened = await open_database(url)
        yield opened
        await opened.close()


def told(number: int, fork: str = "") -> Told:
    ref = BlockRef(number, digest(f"{fork}{number}"), digest(f"{fork}{number - 1}"), 1_700_000_000 + number)
    return Told(ref, number % 3, (number % 3) * (2**128 - number - 1))


def position(first: int, last: int, revision: int, fork: str = "") -> Position:
    rescans = (Rescan(LogFilter((address(9),), (topic(2), topic(3))), 5, 2**40),)
    return Position(WANTED, tuple(told(n, fork) for n in range(first, last + 1)), first, rescans, revision)


async def save(database: Database, old: Position, new: Position, stream: str = "s", chain: ChainId = CHAIN) -> None:
    await database.write(lambda connection: store.save(connection, stream, chain, old, new))


async def load(database: Database, stream: str = "s", chain: ChainId = CHAIN) -> Position | None:
    return await database.read(lambda connection: store.load(connection, stream, chain))


async def test_a_position_comes_back_as_it_was(database: Database) -> None:
    assert await load(database) is None
    new = position(10, 20, 1)
    await save(database, Position(WANTED), new)
    assert await load(database) == new
    assert await database.read(lambda c: store.revision(c, "s", CHAIN)) == 1


async def test_blocks_that_left_are_dropped_and_others_replaced(database: Database) -> None:
    one = position(10, 20, 1)
    await save(database, Position(WANTED), one)
    forked = replace(one, chain=(*one.chain[3:6], *(told(n, "fork") for n in range(16, 24))), revision=2)
    await save(database, one, forked)
    assert await load(database) == forked


async def test_thousands_of_open_blocks(database: Database) -> None:
    many = position(0, 3000, 1)
    await save(database, Position(WANTED), many)
    few = replace(many, chain=many.chain[-2:], revision=2)
    await save(database, many, few)
    assert await load(database) == few


async def test_only_who_continues_from_the_stored_revision_may_save(database: Database) -> None:
    one, two = position(10, 11, 1), position(10, 12, 2)
    await save(database, Position(WANTED), one)
    await save(database, one, two)
    for old, new in ((Position(WANTED), one), (one, position(10, 13, 2)), (position(10, 14, 3), position(10, 15, 4))):
        with pytest.raises(PositionMovedError, match="only one process"):
            await save(database, old, new)
    assert await load(database) == two


async def test_streams_and_chains_do_not_touch_each_other(database: Database) -> None:
    one, two = position(10, 11, 1), position(30, 33, 1, "other")
    await save(database, Position(WANTED), one)
    await save(database, Position(WANTED), two, chain=ChainId(1))
    await save(database, Position(WANTED), two, stream="other")
    await database.write(lambda c: store.forget(c, "other", CHAIN))
    assert await load(database) == one
    assert await load(database, chain=ChainId(1)) == two
    assert await load(database, stream="other") is None


async def test_an_empty_position_is_a_position(database: Database) -> None:
    empty = replace(Position(WANTED), revision=1)
    await save(database, Position(WANTED), empty)
    assert await load(database) == empty


async def test_whatever_position_follows_whatever_other(tmp_path: Path) -> None:
    """Blocks added, finalized and dropped, retracted, replaced, told again, jumped over: what is stored is the last."""
    random = Random(3)
    opened = await open_database(f"sqlite:///{tmp_path}/seamark.db")
    before = Position(WANTED)
    for revision in range(1, 80):
        first = max(0, (before.chain[0].ref.number if before.chain else 0) + random.choice((0, 0, 0, 1, 3, 40, -2)))
        last = max(first, before.told + random.choice((-4, 0, 1, 1, 5)))
        kept = {item.ref.number: item for item in before.chain}
        fork = random.choice(("", "", "", "a"))
        changes = fork and random.randint(first, last)
        chain = tuple(
            told(number, fork) if changes and number >= changes else kept.get(number, told(number))
            for number in range(first, last + 1)
        )
        after = Position(WANTED, chain, first, (), revision)
        await save(opened, before, after)
        assert await load(opened) == after
        before = after
    await opened.close()
