"""The record of operations."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from seamark.core.ids import Address, ChainId
from seamark.oracle.administration import store
from seamark.oracle.administration.store import Operation, Step
from seamark.storage.database import Database, open_database
from tests.support.postgres import new_database

CHAIN = ChainId(138)
SENDER, OTHER = Address("0x" + "aa" * 20), Address("0x" + "bb" * 20)


@pytest.fixture(params=["sqlite", "postgres"])
async def database(request: pytest.FixtureRequest) -> AsyncIterator[Database]:
    if request.param == "sqlite":
        opened = await open_database("sqlite://")
        yield opened
        await opened.close()
        return
    async with new_database() as url:
        opened = await open_database(url)
        yield opened
        await opened.close()


async def begin(database: Database, kind: str = "refill", at: int = 1000, **changes: int) -> Operation:
    return await database.write(
        lambda c: store.begin_operation(c, kind, CHAIN, SENDER, operator="ada", why="ticket 7", now_ms=at, **changes)
    )


async def test_from_beginning_to_end(database: Database) -> None:
    begun = await begin(database, amount=5)
    assert (begun.outcome, begun.ended_ms, begun.amount, begun.steps) == ("", None, "5", ())
    found = await database.read(lambda c: store.unended_operation(c, CHAIN, SENDER))
    assert found == begun
    stepped = await database.write(lambda c: store.add_step(c, begun, Step("pause", "abcd", SENDER)))
    stepped = await database.write(lambda c: store.add_step(c, stepped, Step("test")))
    assert [step.what for step in stepped.steps] == ["pause", "test"]
    assert store.steps_back(stepped) == [Step("pause", "abcd", SENDER)]
    ended = await database.write(lambda c: store.end_operation(c, stepped, "done", now_ms=2000))
    assert (ended.outcome, ended.ended_ms) == ("done", 2000)
    assert await database.read(lambda c: store.unended_operation(c, CHAIN, SENDER)) is None
    assert await database.read(store.list_operations) == [ended]


async def test_contracts_do_not_meet(database: Database) -> None:
    await begin(database)
    assert await database.read(lambda c: store.unended_operation(c, CHAIN, OTHER)) is None
    assert await database.read(lambda c: store.unended_operation(c, ChainId(1), SENDER)) is None


async def test_spending_counts_what_may_have_been_sent(database: Database) -> None:
    first = await begin(database, at=1000, amount=7)
    await database.write(lambda c: store.end_operation(c, first, "done", now_ms=1001))
    second = await begin(database, at=2000, amount=10)
    failed = await begin(database, at=3000, amount=100)
    await database.write(lambda c: store.end_operation(c, failed, "failed", now_ms=3001))
    await begin(database, "pause", at=3000)
    assert await database.read(lambda c: store.spent_since(c, CHAIN, 1000)) == 17
    assert await database.read(lambda c: store.spent_since(c, CHAIN, 1001)) == int(second.amount)
    assert await database.read(lambda c: store.spent_since(c, ChainId(1), 0)) == 0


async def test_the_newest_first(database: Database) -> None:
    for at in range(3):
        item = await begin(database, at=at)
        await database.write(lambda c, item=item: store.end_operation(c, item, "done", now_ms=9))  # type: ignore[misc]
    found = await database.read(lambda c: store.list_operations(c, limit=2))
    assert [item.begun_ms for item in found] == [2, 1]
