"""A fence: writes of a term that is over never pass, whatever was looked at before."""

from __future__ import annotations

import asyncio

import pytest
from sqlalchemy import Connection, text

from seamark.runtime.leadership import NotLeadingError
from seamark.storage.database import Database, open_database
from seamark.storage.fencing import (
    FencedDatabase,
    FencedOffError,
    check_fence,
    enter_term,
    list_fences,
    newest_token,
    raise_fence,
)

NAME = "publisher"


class Lead:
    """A lead that tests give and take."""

    name = NAME
    holder = "two"

    def __init__(self, token: int | None = 1) -> None:
        self.token = token
        self.deposed: list[str] = []

    async def changed(self, token: int | None) -> None:
        while self.token == token:  # noqa: ASYNC110 - nobody waits for it here
            await asyncio.sleep(0)

    def depose(self, why: str) -> None:
        self.token = None
        self.deposed.append(why)


def make_thing(connection: Connection) -> None:
    connection.execute(text("CREATE TABLE thing (name TEXT)"))


def add_thing(connection: Connection) -> str:
    connection.execute(text("INSERT INTO thing VALUES ('one')"))
    return "added"


def count(connection: Connection) -> int:
    return int(connection.execute(text("SELECT count(*) FROM thing")).scalar_one())


@pytest.fixture
async def things(database: Database) -> Database:
    await database.write(make_thing)
    return database


async def test_the_newest_term_writes_and_gets_its_result(things: Database) -> None:
    await enter_term(things, NAME, 1, "one")
    fenced = FencedDatabase(things, Lead(1))
    assert await fenced.write(add_thing) == "added"
    assert await fenced.write(add_thing, urgent=True) == "added"
    assert await fenced.read(count) == 2
    assert fenced.url == things.url


async def test_who_does_not_lead_does_not_even_try(things: Database) -> None:
    refused: list[int] = []
    fenced = FencedDatabase(things, Lead(None), refused=lambda: refused.append(1))
    with pytest.raises(NotLeadingError, match="two leads"):
        await fenced.write(add_thing)
    assert await fenced.read(count) == 0
    assert refused == [1]


async def test_a_former_leader_that_believes_to_lead_is_refused_and_deposed(things: Database) -> None:
    refused: list[int] = []
    lead = Lead(1)
    fenced = FencedDatabase(things, lead, refused=lambda: refused.append(1))
    await enter_term(things, NAME, 1, "one")
    await enter_term(things, NAME, 2, "two")
    with pytest.raises(FencedOffError, match="term 1 is over, the newest is 2"):
        await fenced.write(add_thing)
    assert await things.read(count) == 0
    assert (lead.token, lead.deposed, refused) == (None, ["the database knows a newer term"], [1])


async def test_nobody_writes_before_the_fence_was_raised(things: Database) -> None:
    with pytest.raises(FencedOffError):
        await FencedDatabase(things, Lead(1)).write(add_thing)


async def test_an_error_of_the_work_comes_as_it_is_and_deposes_nobody(things: Database) -> None:
    await enter_term(things, NAME, 1, "one")
    lead = Lead(1)

    def fail(connection: Connection) -> None:
        add_thing(connection)
        raise ValueError("broken")

    with pytest.raises(ValueError, match="broken"):
        await FencedDatabase(things, lead).write(fail)
    assert await things.read(count) == 0
    assert lead.token == 1


async def test_a_fence_is_never_lowered(database: Database) -> None:
    await enter_term(database, NAME, 5, "one")
    await enter_term(database, NAME, 5, "one")  # said twice
    for token, holder in ((4, "two"), (5, "two")):
        with pytest.raises(FencedOffError):
            await enter_term(database, NAME, token, holder)
    assert await newest_token(database, NAME) == 5
    assert await newest_token(database, "another") == 0


async def test_who_led_last_is_listed(database: Database) -> None:
    await enter_term(database, "b", 2, "two")
    await enter_term(database, "a", 1, "one")
    found = await database.read(list_fences)
    assert [(one.name, one.token, one.holder) for one in found] == [("a", 1, "one"), ("b", 2, "two")]
    assert all(one.raised_ms > 1_700_000_000_000 for one in found)


@pytest.mark.postgres
@pytest.mark.timeout(60)
async def test_a_unit_under_way_ends_before_the_next_term_begins(postgres_url: str) -> None:
    """The new leader must see all that the former one was allowed to write."""
    one, two = await open_database(postgres_url), await open_database(postgres_url)
    await one.write(make_thing)
    await enter_term(one, NAME, 1, "one")
    order: list[str] = []
    raising: list[asyncio.Task[None]] = []

    async def raise_it() -> None:
        await two.write(lambda connection: raise_fence(connection, NAME, 2, "two"))
        order.append("raised")

    async def write_slowly() -> None:
        engine = one._engine  # type: ignore[attr-defined]
        async with engine.begin() as connection:
            await connection.run_sync(lambda c: check_fence(c, NAME, 1))
            raising.append(asyncio.create_task(raise_it()))
            await asyncio.sleep(0.3)
            await connection.run_sync(add_thing)
            order.append("written")

    await write_slowly()
    await raising[0]
    assert order == ["written", "raised"]
    with pytest.raises(FencedOffError):
        await one.write(lambda connection: check_fence(connection, NAME, 1))
    await one.close()
    await two.close()


@pytest.mark.postgres
@pytest.mark.timeout(60)
async def test_a_unit_that_stands_still_does_not_keep_the_next_leader_out(postgres_url: str) -> None:
    """A process that was stopped between two statements: the server ends its session, with the lock on the fence."""
    one, two = await open_database(postgres_url, stalled_s=0.3), await open_database(postgres_url)
    await one.write(make_thing)
    await enter_term(one, NAME, 1, "one")
    async with one._engine.connect() as connection:  # type: ignore[attr-defined]
        await connection.run_sync(lambda c: check_fence(c, NAME, 1))
        async with asyncio.timeout(20):
            await enter_term(two, NAME, 2, "two")
        await connection.invalidate()
    assert await FencedDatabase(one, Lead(2)).write(add_thing) == "added", "and its next unit finds another session"
    await one.close()
    await two.close()
