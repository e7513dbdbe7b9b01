"""A log of zeros in advance: SQLite takes it for an empty one, and nothing under a running process is touched."""

import shutil
import sqlite3
from contextlib import closing

import pytest
from sqlalchemy import text

from seamark.storage.database import open_database
from seamark.storage.sqlite_log import LOG_BYTES, lay_out_log


def rows(path):
    with closing(sqlite3.connect(path)) as connection:
        return connection.execute("SELECT x FROM t").fetchall()


def write(connection, value):
    connection.execute("CREATE TABLE IF NOT EXISTS t (x)")
    connection.execute("INSERT INTO t VALUES (?)", (value,))
    connection.commit()


def test_a_new_database_has_a_log_that_does_not_grow(tmp_path):
    path = tmp_path / "a.db"
    assert lay_out_log(path)
    log = tmp_path / "a.db-wal"
    assert log.stat().st_size == LOG_BYTES
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)
        write(connection, 1)
        assert log.stat().st_size == LOG_BYTES
        assert log.read_bytes()[:4] in (b"\x37\x7f\x06\x82", b"\x37\x7f\x06\x83")  # in use
    assert rows(path) == [(1,)]
    assert not list(tmp_path.glob("*-wal-*"))


def test_what_was_committed_survives_a_kill(tmp_path):
    path = tmp_path / "a.db"
    lay_out_log(path)
    with closing(sqlite3.connect(path)) as connection:
        write(connection, 7)
        for end in ("", "-wal"):  # as a killed process leaves them
            shutil.copy(f"{path}{end}", tmp_path / f"b.db{end}")
    assert rows(tmp_path / "b.db") == [(7,)]


def test_a_log_that_is_there_is_left_alone(tmp_path):
    path = tmp_path / "a.db"
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA journal_mode = WAL")
        write(connection, 1)
        before = (tmp_path / "a.db-wal").read_bytes()
        assert not lay_out_log(path)
        assert (tmp_path / "a.db-wal").read_bytes() == before
    assert rows(path) == [(1,)]


def test_an_old_database_keeps_its_rows(tmp_path):
    path = tmp_path / "a.db"
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA journal_mode = WAL")
        write(connection, 1)
    assert lay_out_log(path)
    assert rows(path) == [(1,)]


def test_a_file_that_is_no_database_is_an_error(tmp_path):
    path = tmp_path / "a.db"
    path.write_bytes(b"no database at all, but long enough to be taken for one" * 40)
    with pytest.raises(sqlite3.DatabaseError):
        lay_out_log(path)


async def test_a_service_opens_with_it_and_others_without(tmp_path):
    for name, busy in (("a.db", True), ("b.db", False)):
        database = await open_database(f"sqlite:///{tmp_path / name}", busy=busy)
        try:
            await database.write(lambda connection: connection.execute(text("CREATE TABLE t (x)")))
            assert ((tmp_path / f"{name}-wal").stat().st_size == LOG_BYTES) is busy
        finally:
            await database.close()
