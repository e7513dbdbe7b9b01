"""Units of work that wait together are committed together, and stay strangers to each other."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from sqlalchemy import Connection, event, text

from seamark.core.errors import SettingsError, TemporaryError
from seamark.storage import sqlite as module
from seamark.storage.sqlite import SqliteDatabase


@pytest.fixture
async def database(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[SqliteDatabase]:
    monkeypatch.setattr(module, "GROUP_S", 5.0)  # groups are closed by what waits, not by the machine's mood
    opened = SqliteDatabase(f"sqlite:///{tmp_path}/x.db")
    await opened.write(lambda c: c.execute(text("CREATE TABLE thing (name TEXT PRIMARY KEY)")))
    yield opened
    await opened.close()


def add(name: str):
    def work(connection: Connection) -> str:
        connection.execute(text("INSERT INTO thing VALUES (:name)"), {"name": name})
        return name

    return work


def names(connection: Connection) -> list[str]:
    return [row[0] for row in connection.execute(text("SELECT name FROM thing ORDER BY rowid"))]


class Gate:
    """A unit that holds the writer until it is opened, so that others gather behind it."""

    def __init__(self) -> None:
        self.entered = threading.Event()
        self.open = threading.Event()

    def __call__(self, _connection: Connection) -> None:
        self.entered.set()
        assert self.open.wait(5)


async def gathered(database: SqliteDatabase, *works, urgent: tuple[bool, ...] = ()) -> list[object]:
    """Hand all in while the writer is held, then let it go."""
    gate = Gate()
    held = asyncio.create_task(database.write(gate))
    await asyncio.to_thread(gate.entered.wait)
    flags = urgent or (False,) * len(works)
    tasks = [asyncio.create_task(database.write(work, urgent=flag)) for work, flag in zip(works, flags, strict=True)]
    await asyncio.sleep(0)
    gate.open.set()
    _, *results = await asyncio.gather(held, *tasks, return_exceptions=True)
    return results


def count_commits(database: SqliteDatabase) -> list[str]:
    seen: list[str] = []
    event.listen(
        database._engine,
        "before_cursor_execute",
        lambda _c, _cur, statement, *_: seen.append(statement) if statement == "COMMIT" else None,
    )
    return seen


async def test_what_waits_together_is_one_commit(database: SqliteDatabase) -> None:
    commits = count_commits(database)
    assert await gathered(database, *(add(f"n{i}") for i in range(20))) == [f"n{i}" for i in range(20)]
    assert len(commits) == 1
    assert len(await database.read(names)) == 20


async def test_a_unit_that_fails_is_alone_in_failing(database: SqliteDatabase) -> None:
    def half(connection: Connection) -> None:
        add("half")(connection)
        raise ZeroDivisionError

    results = await gathered(database, add("a"), half, add("a"), add("b"))
    assert results[0] == "a"
    assert isinstance(results[1], ZeroDivisionError)
    assert "UNIQUE" in str(results[2])
    assert results[3] == "b"
    assert await database.read(names) == ["a", "b"]


async def test_urgent_units_go_first(database: SqliteDatabase) -> None:
    await gathered(database, add("calm"), add("calm too"), add("urgent"), urgent=(False, False, True))
    assert (await database.read(names))[0] == "urgent"


async def test_an_urgent_unit_does_not_wait_for_calm_ones_to_be_committed(database: SqliteDatabase) -> None:
    commits: list[list[str]] = []
    seen: list[str] = []

    @event.listens_for(database._engine, "before_cursor_execute")
    def note(_connection, _cursor, statement, parameters, *_rest) -> None:
        if statement.startswith("INSERT INTO thing"):
            seen.append(parameters[0])
        elif statement == "COMMIT" and seen:
            commits.append(list(seen))
            seen.clear()

    await gathered(database, add("calm"), add("urgent"), add("urgent too"), urgent=(False, True, True))
    assert commits == [["urgent", "urgent too"], ["calm"]]


async def test_where_urgent_units_come_calm_ones_gather_out_of_their_way(
    database: SqliteDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "LINGER_S", 60.0)
    monkeypatch.setattr(module, "LATELY_S", 60.0)
    monkeypatch.setattr(module, "PATIENCE_S", 60.0)
    await database.write(add("first"), urgent=True)
    calm = [asyncio.create_task(database.write(add(f"calm {i}"))) for i in range(2)]
    await asyncio.sleep(0.05)
    assert await database.read(names) == ["first"]
    monkeypatch.setattr(module, "LINGER_S", 0.0)
    await database.write(add("second"), urgent=True)
    await asyncio.gather(*calm)
    assert await database.read(names) == ["first", "second", "calm 0", "calm 1"]


async def test_where_no_urgent_unit_came_lately_nobody_waits(
    database: SqliteDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "LINGER_S", 60.0)
    assert await asyncio.wait_for(database.write(add("calm")), 5) == "calm"


async def test_a_flood_of_urgent_units_does_not_keep_a_calm_one_out(
    database: SqliteDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "PATIENCE_S", 0.0)
    await gathered(database, add("calm"), *(add(f"urgent {i}") for i in range(5)), urgent=(False, *[True] * 5))
    commits = count_commits(database)
    assert (await database.read(names))[-1] == "calm"
    assert await gathered(database, add("other"), add("last"), urgent=(False, True)) == ["other", "last"]
    assert len(commits) == 1, "the calm one was taken along"


async def test_closing_waits_for_no_urgent_unit(database: SqliteDatabase, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "LINGER_S", 60.0)
    monkeypatch.setattr(module, "LATELY_S", 60.0)
    monkeypatch.setattr(module, "PATIENCE_S", 60.0)
    await database.write(add("first"), urgent=True)
    calm = asyncio.create_task(database.write(add("calm")))
    await asyncio.sleep(0.05)
    await asyncio.wait_for(database.close(), 5)
    assert await calm == "calm"


async def test_nobody_is_told_before_the_commit(database: SqliteDatabase) -> None:
    def spoil(connection: Connection) -> None:
        connection.exec_driver_sql("ROLLBACK")  # what SQLite does by itself when the disk is full
        raise OSError("no space left")

    results = await gathered(database, add("a"), spoil)
    assert all(isinstance(result, Exception) for result in results)
    assert await database.read(names) == []
    assert await database.write(add("after")) == "after"


async def test_a_group_is_closed_in_time(database: SqliteDatabase, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "GROUP_S", 0.0)
    commits = count_commits(database)
    await gathered(database, add("a"), add("b"))
    assert len(commits) == 3  # the gate and each of the two by itself


async def test_a_file_that_cannot_be_opened_is_told_and_the_writer_lives(tmp_path: Path) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    database = SqliteDatabase(f"sqlite:///{folder}")
    for _ in range(2):
        with pytest.raises(SettingsError, match="name a file that Seamark may write"):
            await database.write(add("a"))
    await database.close()


async def test_cancelling_does_not_hide_a_commit(database: SqliteDatabase) -> None:
    gate = Gate()

    def slow(connection: Connection) -> None:
        add("kept")(connection)
        gate(connection)

    task = asyncio.create_task(database.write(slow))
    await asyncio.to_thread(gate.entered.wait)
    task.cancel()
    await asyncio.sleep(0)
    assert not task.done()
    gate.open.set()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert await database.read(names) == ["kept"]


async def test_a_closed_database_says_so(database: SqliteDatabase) -> None:
    await database.close()
    with pytest.raises(TemporaryError, match="closed"):
        await database.write(add("late"))


async def test_an_error_that_no_future_bears_reaches_its_owner_and_nobody_else(database: SqliteDatabase) -> None:
    def run_dry(_: Connection) -> int:
        return next(iter(()))

    async with asyncio.timeout(5):
        dry, fine = await asyncio.gather(
            database.write(run_dry), database.write(lambda _: "told"), return_exceptions=True
        )
    assert isinstance(dry, RuntimeError)
    assert fine == "told"
