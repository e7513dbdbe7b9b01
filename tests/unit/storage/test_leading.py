"""Backends of leader election in the database: a row that is compared and set, a lock of a session."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import asyncpg  # type: ignore[import-untyped]
import pytest

from seamark.core.errors import TemporaryError
from seamark.runtime.leadership import Record, RegisterCandidate, Terms
from seamark.storage.database import Database, open_database
from seamark.storage.fencing import enter_term
from seamark.storage.leading import DatabaseRegister, SessionLock
from tests.support.clock import FakeClock

NAME = "publisher"
TERMS = Terms(duration=6.0, renew=1.5)


# ---- the row ---------------------------------------------------------------------------------------------------------


async def test_a_record_is_written_once_and_read_back(database: Database) -> None:
    register = DatabaseRegister(database, NAME)
    assert await register.read() is None
    written = await register.write(Record("one", 1, 6.5), None)
    assert written is not None
    assert await register.read() == written
    assert (written.holder, written.token, written.duration) == ("one", 1, 6.5)


async def test_every_write_is_a_new_version(database: Database) -> None:
    register = DatabaseRegister(database, NAME)
    first = await register.write(Record("one", 1, 6.0), None)
    second = await register.write(Record("one", 1, 6.0), first)
    assert first is not None
    assert second is not None
    assert first.version != second.version


async def test_who_read_an_older_version_writes_nothing(database: Database) -> None:
    register = DatabaseRegister(database, NAME)
    first = await register.write(Record("one", 1, 6.0), None)
    second = await register.write(Record("one", 1, 6.0), first)
    assert await register.write(Record("two", 2, 6.0), first) is None
    assert await register.write(Record("two", 2, 6.0), None) is None
    assert await register.read() == second


async def test_of_many_that_take_it_at_once_one_does(shared_url: str) -> None:
    opened = [await open_database(shared_url) for _ in range(3)]
    registers = [DatabaseRegister(database, NAME) for database in opened for _ in range(3)]
    written = await asyncio.gather(
        *(register.write(Record(f"replica {number}", 1, 6.0), None) for number, register in enumerate(registers))
    )
    assert sum(one is not None for one in written) == 1
    for database in opened:
        await database.close()


async def test_names_are_apart(database: Database) -> None:
    one, two = DatabaseRegister(database, "a"), DatabaseRegister(database, "b")
    await one.write(Record("one", 1, 6.0), None)
    assert await two.read() is None
    assert await two.write(Record("two", 1, 6.0), None) is not None


async def test_an_election_on_it(database: Database) -> None:
    clock = FakeClock()
    one, two = (
        RegisterCandidate(name, DatabaseRegister(database, NAME), terms=TERMS, clock=clock) for name in ("one", "two")
    )
    assert (await one.stand(leads=False)).token == 1
    assert (await two.stand(leads=False)).holder == "one"
    assert (await one.stand(leads=True)).token == 1
    clock.advance(TERMS.duration)
    assert (await two.stand(leads=False)).token is None, "it was renewed since"
    clock.advance(TERMS.duration)
    assert (await two.stand(leads=False)).token == 2
    assert (await one.stand(leads=False)).holder == "two"
    await two.resign()
    assert (await one.stand(leads=False)).token == 3


# ---- the lock --------------------------------------------------------------------------------------------------------

Make = Callable[..., SessionLock]


@pytest.fixture
async def make(postgres_url: str) -> AsyncIterator[Make]:
    database = await open_database(postgres_url)
    made: list[SessionLock] = []

    def one_more(identity: str, *, duration: float = 6.0, name: str = NAME) -> SessionLock:
        made.append(SessionLock(identity, postgres_url, name, terms=Terms(duration, duration / 4)))
        return made[-1]

    yield one_more
    for lock in made:
        await lock.close()
    await database.close()


@asynccontextmanager
async def server(url: str) -> AsyncIterator[asyncpg.Connection]:
    connection = await asyncpg.connect(url)
    try:
        yield connection
    finally:
        await connection.close()


async def until(condition: Callable[[], object], seconds: float = 10.0) -> None:
    async with asyncio.timeout(seconds):
        while not condition():  # noqa: ASYNC110 - what is waited for is another process
            await asyncio.sleep(0.02)


async def takes_it(lock: SessionLock) -> int:
    """Once it is free; the server needs a moment to end a session."""
    async with asyncio.timeout(20):
        while (token := (await lock.stand(leads=False)).token) is None:  # noqa: ASYNC110 - another process frees it
            await asyncio.sleep(0.05)
    return token


async def test_one_session_has_the_lock_and_the_others_hear_who(make: Make) -> None:
    one, two = make("one"), make("two")
    assert (await one.stand(leads=False)).token == 1
    assert await two.stand(leads=False) == await two.stand(leads=False)
    assert (await two.stand(leads=False)).holder == "one"
    assert (await one.stand(leads=True)).token == 1


async def test_a_lock_given_back_is_free_at_once(make: Make) -> None:
    one, two = make("one"), make("two")
    await one.stand(leads=False)
    await one.resign()
    stand = await two.stand(leads=False)
    assert (stand.token, stand.holder) == (2, "two")


async def test_a_session_that_ends_is_noticed_at_once_and_another_one_takes_over(make: Make, postgres_url: str) -> None:
    one, two = make("one"), make("two")
    lost: list[str] = []
    one.lost = lost.append
    await one.stand(leads=False)
    async with server(postgres_url) as connection:
        await connection.execute("SELECT pg_terminate_backend(pid) FROM pg_locks WHERE locktype = 'advisory'")
    await until(lambda: lost)
    assert (await two.stand(leads=False)).token == 2
    assert (await one.stand(leads=False)).holder == "two"


async def test_the_server_ends_a_session_that_stands_still(make: Make) -> None:
    """A process that was stopped keeps its connections, and would keep the lock."""
    one, two = make("one", duration=2.0), make("two", duration=2.0)
    assert (await one.stand(leads=False)).token == 1
    assert await takes_it(two) == 2


async def test_a_broken_term_takes_another_token(make: Make) -> None:
    one = make("one")
    assert (await one.stand(leads=False)).token == 1
    assert await takes_it(one) == 2


async def test_tokens_begin_above_the_fence(make: Make, postgres_url: str) -> None:
    database = await open_database(postgres_url)
    await enter_term(database, NAME, 17, "somebody")
    await database.close()
    assert (await make("one").stand(leads=False)).token == 18


async def test_two_names_are_two_locks(make: Make) -> None:
    assert (await make("one", name="a").stand(leads=False)).token == 1
    assert (await make("two", name="b").stand(leads=False)).token == 1


async def test_a_server_that_cannot_be_reached_is_temporary_and_tells_no_password() -> None:
    lock = SessionLock("one", "postgresql://user:geheim@127.0.0.1:1/name", NAME, terms=TERMS)
    with pytest.raises(TemporaryError) as caught:
        await lock.stand(leads=False)
    assert "geheim" not in str(caught.value)
    await lock.resign()
    await lock.close()


async def test_a_try_given_up_half_way_lets_the_lock_go(make: Make) -> None:
    one, two = make("one"), make("two")
    await one.stand(leads=False)
    trying = asyncio.create_task(one.stand(leads=True))
    await asyncio.sleep(0)
    trying.cancel()
    await asyncio.gather(trying, return_exceptions=True)
    assert await takes_it(two) == 2
