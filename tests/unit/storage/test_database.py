"""The contract of the database port, on every engine, and what is particular to one."""

from __future__ import annotations

import asyncio
import sqlite3
import threading
from contextlib import suppress
from pathlib import Path

import pytest
from sqlalchemy import Column, Connection, Integer, MetaData, Table, Text, func, select, text
from sqlalchemy.exc import DBAPIError, IntegrityError

from seamark.core.errors import SettingsError, TemporaryError
from seamark.storage import sqlite as module
from seamark.storage.database import Database, open_database

_metadata = MetaData()
thing = Table("thing", _metadata, Column("id", Integer, primary_key=True), Column("name", Text, nullable=False))


def insert(number: int, name: str = "x"):
    return lambda connection: connection.execute(thing.insert().values(id=number, name=name))


def count(connection: Connection) -> int:
    return connection.execute(select(func.count()).select_from(thing)).scalar_one()


@pytest.fixture
async def things(database: Database) -> Database:
    await database.write(_metadata.create_all)
    return database


# ---- on every engine ------------------------------------------------------------------------------------------------


async def test_a_write_returns_its_result_and_is_seen_by_the_next_read(things: Database) -> None:
    def work(connection: Connection) -> str:
        connection.execute(thing.insert().values(id=1, name="a"))
        return "done"

    assert await things.write(work) == "done"
    assert await things.read(count) == 1


async def test_a_write_that_raises_leaves_nothing_and_raises_the_same(things: Database) -> None:
    error = KeyError("mine")

    def work(connection: Connection) -> None:
        connection.execute(thing.insert().values(id=1, name="a"))
        raise error

    with pytest.raises(KeyError) as caught:
        await things.write(work)
    assert caught.value is error
    assert await things.read(count) == 0


async def test_a_broken_rule_of_a_table_comes_through_as_it_is(things: Database) -> None:
    await things.write(insert(1))
    with pytest.raises(IntegrityError):
        await things.write(insert(1))
    await things.write(insert(2))
    assert await things.read(count) == 2


async def test_a_wrong_statement_is_not_taken_for_an_outage(things: Database) -> None:
    for run in (things.read, things.write):
        with pytest.raises(DBAPIError):
            await run(lambda connection: connection.execute(text("SELECT nonsense FROM nowhere")))


async def test_what_a_read_writes_is_refused_or_lost(things: Database) -> None:
    with suppress(DBAPIError):
        await things.read(insert(1))
    assert await things.read(count) == 0
    await things.write(insert(1))
    assert await things.read(count) == 1


async def test_writers_side_by_side_lose_nothing(things: Database) -> None:
    await asyncio.gather(*(things.write(insert(number)) for number in range(40)))
    assert await things.read(count) == 40


async def test_readers_and_writers_side_by_side(things: Database) -> None:
    async def read() -> None:
        for _ in range(10):
            await things.read(count)

    await asyncio.gather(read(), read(), *(things.write(insert(number)) for number in range(20)))
    assert await things.read(count) == 20


async def test_a_cancelled_write_is_whole_or_not_there_and_the_next_one_works(things: Database) -> None:
    def work(connection: Connection) -> None:
        for number in range(300):
            insert(number)(connection)

    task = asyncio.create_task(things.write(work))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await things.write(insert(1000))
    assert await things.read(count) in (1, 301)


async def test_opening_again_finds_what_was_stored(shared_url: str) -> None:
    first = await open_database(shared_url)
    await first.write(_metadata.create_all)
    await first.write(insert(1))
    await first.close()
    second = await open_database(shared_url)
    assert await second.read(count) == 1
    await second.close()


async def test_two_processes_may_start_at_once(shared_url: str) -> None:
    opened = await asyncio.gather(*(open_database(shared_url) for _ in range(4)))
    await opened[0].write(_metadata.create_all)
    await asyncio.gather(*(one.write(insert(number)) for number, one in enumerate(opened)))
    assert await opened[0].read(count) == 4
    for one in opened:
        await one.close()


@pytest.mark.parametrize(
    "url", ["mysql://user:hunter2@host/name", "postgresql://user:hunter2@127.0.0.1:port/name", "nothing"]
)
async def test_what_is_no_database_url_is_refused_without_its_password(url: str) -> None:
    with pytest.raises(SettingsError, match="database") as caught:
        await open_database(url)
    assert "hunter2" not in str(caught.value)


# ---- SQLite ---------------------------------------------------------------------------------------------------------


async def test_a_reader_sees_one_moment_while_others_write(tmp_path: Path) -> None:
    database = await open_database(f"sqlite:///{tmp_path}/seamark.db")
    await database.write(_metadata.create_all)
    looked, written = threading.Event(), threading.Event()

    def look_twice(connection: Connection) -> tuple[int, int]:
        before = count(connection)
        looked.set()
        assert written.wait(5)
        return before, count(connection)

    reading = asyncio.create_task(database.read(look_twice))
    await asyncio.to_thread(looked.wait, 5)
    await database.write(insert(1))
    written.set()
    assert await reading == (0, 0)
    assert await database.read(count) == 1
    await database.close()


async def test_a_lock_held_by_another_process_is_waited_for_then_reported(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "BUSY_TIMEOUT_MS", 20)
    path = tmp_path / "seamark.db"
    database = await open_database(f"sqlite:///{path}")
    await database.write(_metadata.create_all)
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(TemporaryError, match="locked"):
        await database.write(insert(1))
    assert await database.read(count) == 0, "readers never wait"
    other.execute("COMMIT")
    other.close()
    await database.write(insert(1))
    assert await database.read(count) == 1
    await database.close()


async def test_a_full_disk_is_reported_as_such_and_nothing_is_stored(tmp_path: Path) -> None:
    database = await open_database(f"sqlite:///{tmp_path}/seamark.db")
    await database.write(_metadata.create_all)

    def fill(connection: Connection) -> None:
        pages = connection.exec_driver_sql("PRAGMA page_count").scalar_one()
        connection.exec_driver_sql(f"PRAGMA max_page_count = {pages + 1}")
        for number in range(50):
            insert(number, "x" * 5000)(connection)

    with pytest.raises(TemporaryError, match="full"):
        await database.write(fill)
    assert await database.read(count) == 0
    await database.close()


async def test_a_folder_is_no_database_file(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="unable to open"):
        await open_database(f"sqlite:///{tmp_path}")


async def test_some_other_file_is_no_database_file(tmp_path: Path) -> None:
    path = tmp_path / "notes.txt"
    path.write_text("not a database " * 100)
    with pytest.raises(SettingsError, match="not a database"):
        await open_database(f"sqlite:///{path}")
    assert path.read_text().startswith("not a database")


async def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(SettingsError, match="cannot create the folder"):
        await open_database(f"sqlite:///{tmp_path}/file/below/seamark.db")


async def test_missing_folders_are_made(tmp_path: Path) -> None:
    database = await open_database(f"sqlite:///{tmp_path}/a/b/seamark.db")
    await database.close()
    assert (tmp_path / "a/b/seamark.db").exists()


async def test_commits_are_durable_and_readers_do_not_block(tmp_path: Path) -> None:
    database = await open_database(f"sqlite:///{tmp_path}/seamark.db")
    for pragma, value in (("journal_mode", "wal"), ("synchronous", 2), ("foreign_keys", 1)):
        found = await database.write(lambda connection, p=pragma: connection.exec_driver_sql(f"PRAGMA {p}").scalar())  # type: ignore[misc]
        assert found == value
    await database.close()


# ---- PostgreSQL -----------------------------------------------------------------------------------------------------


async def test_postgres_reads_are_snapshots_and_read_only(postgres_url: str) -> None:
    database = await open_database(postgres_url)

    def modes(connection: Connection) -> tuple[str, str]:
        level = connection.execute(text("SHOW transaction_isolation")).scalar_one()
        return level, connection.execute(text("SHOW transaction_read_only")).scalar_one()

    assert await database.read(modes) == ("repeatable read", "on")
    assert (await database.write(modes))[1] == "off"
    await database.close()


@pytest.mark.parametrize("state", ["40001", "40P01"])
async def test_postgres_conflicts_are_tried_again(postgres_url: str, state: str) -> None:
    database = await open_database(postgres_url)
    await database.write(_metadata.create_all)
    tries = []

    def work(connection: Connection) -> None:
        tries.append(1)
        insert(len(tries))(connection)
        if len(tries) < 3:
            connection.execute(text(f"DO $$ BEGIN RAISE SQLSTATE '{state}'; END $$"))

    await database.write(work)
    assert len(tries) == 3
    assert await database.read(count) == 1
    await database.close()


async def test_postgres_conflicts_without_end_are_temporary(postgres_url: str) -> None:
    database = await open_database(postgres_url)
    with pytest.raises(TemporaryError):
        await database.write(lambda c: c.execute(text("DO $$ BEGIN RAISE SQLSTATE '40001'; END $$")))
    await database.close()


async def test_postgres_connections_that_were_cut_are_replaced(postgres_url: str) -> None:
    database = await open_database(postgres_url)
    await asyncio.gather(*(database.read(lambda c: c.execute(text("SELECT 1")).scalar()) for _ in range(4)))
    await database.write(
        lambda c: c.execute(
            text(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                "WHERE datname = current_database() AND pid <> pg_backend_pid()"
            )
        )
    )
    assert await database.read(lambda c: c.execute(text("SELECT 2")).scalar()) == 2
    await database.close()


async def test_postgres_cut_in_the_middle_is_temporary_and_stores_nothing(postgres_url: str) -> None:
    database = await open_database(postgres_url)
    await database.write(_metadata.create_all)

    def work(connection: Connection) -> None:
        insert(1)(connection)
        connection.execute(text("SELECT pg_terminate_backend(pg_backend_pid())"))

    with pytest.raises(TemporaryError):
        await database.write(work)
    assert await database.read(count) == 0
    await database.close()


async def test_postgres_that_is_not_there_is_temporary_and_keeps_the_password(unused_tcp_port: int) -> None:
    with pytest.raises(TemporaryError, match="check that the server runs") as caught:
        await open_database(f"postgresql://user:hunter2@127.0.0.1:{unused_tcp_port}/name")
    assert "hunter2" not in str(caught.value)


async def test_where_a_database_is_shows_no_secret(postgres_url: str) -> None:
    database = await open_database(postgres_url.replace("postgres@", "postgres:hunter2@"))
    assert "hunter2" not in database.url
    assert "seamark_test_" in database.url
    await database.close()


@pytest.mark.parametrize(("old", "new"), [("/seamark_test_", "/no_such_"), ("postgres@", "nobody_we_know:hunter2@")])
async def test_postgres_that_refuses_us_names_the_setting(postgres_url: str, old: str, new: str) -> None:
    with pytest.raises(SettingsError, match=r"does not exist.*check the user") as caught:
        await open_database(postgres_url.replace(old, new, 1))
    assert "hunter2" not in str(caught.value)
