"""Where the generated ledger lies: a file of SQLite, or a private PostgreSQL server that is ended afterwards.

With SEAMARK_BENCH_FOLDER both are kept there and used again by the next run of the same size; indexes that have been
declared differently since are made anew.
"""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

import asyncpg  # type: ignore[import-untyped]
from sqlalchemy import Connection, create_engine, event, text

from bench.ledger_rows import fill, is_filled, renew
from seamark.storage.database import Database, open_database

__all__ = ["folder", "postgres_binaries", "postgres_ledger", "sqlite_ledger"]

DEBIAN_BINARIES = Path("/usr/lib/postgresql")
START_TIMEOUT_S = 60.0
# Nothing here must survive a crash. Memory is what a small server of its own would be given.
_SERVER = {
    "listen_addresses": "",
    "fsync": "off",
    "synchronous_commit": "off",
    "full_page_writes": "off",
    "wal_level": "minimal",
    "max_wal_senders": "0",
    "max_wal_size": "4GB",
    "shared_buffers": os.environ.get("SEAMARK_BENCH_SHARED_BUFFERS", "2GB"),
    "effective_cache_size": "8GB",
    "random_page_cost": "1.1",
}
_FAST_FILE = ("journal_mode = OFF", "synchronous = OFF", "cache_size = -1000000", "temp_store = FILE")


@contextmanager
def folder() -> Iterator[Path]:
    kept = os.environ.get("SEAMARK_BENCH_FOLDER")
    if kept:
        Path(kept).mkdir(parents=True, exist_ok=True)
        yield Path(kept)
        return
    with tempfile.TemporaryDirectory(prefix="seamark-bench-") as name:
        yield Path(name)


@asynccontextmanager
async def sqlite_ledger(where: Path, messages: int) -> AsyncIterator[Database]:
    """Filled without a journal, then opened as the monitor opens it."""
    path = where / f"ledger-{messages}.db"
    url = f"sqlite:///{path}"
    await (await open_database(url)).close()
    engine = create_engine(url)
    event.listen(engine, "connect", lambda raw, _: [raw.execute(f"PRAGMA {setting}") for setting in _FAST_FILE])
    with engine.begin() as connection:
        _prepare(connection, messages)
    engine.dispose()
    database = await open_database(url)
    try:
        yield database
    finally:
        await database.close()


@asynccontextmanager
async def postgres_ledger(where: Path, messages: int) -> AsyncIterator[Database]:
    with _server(where) as server:
        name = f"ledger_{messages}"
        maintenance = await asyncpg.connect(f"{server}&database=postgres")
        if not await maintenance.fetchval("SELECT count(*) FROM pg_database WHERE datname = $1", name):
            await maintenance.execute(f"CREATE DATABASE {name}")
        await maintenance.close()
        async with named_ledger(f"{server}&database={name}", messages) as database:
            yield database


@asynccontextmanager
async def named_ledger(url: str, messages: int) -> AsyncIterator[Database]:
    """A database on somebody's PostgreSQL server: empty, or filled by a run before."""
    database = await open_database(url)
    try:
        if await database.write(lambda connection: _prepare(connection, messages)):
            # What autovacuum does within a minute or two of such a load.
            plain = await asyncpg.connect(url)
            await plain.execute("VACUUM ANALYZE")
            await plain.close()
        yield database
    finally:
        await database.close()


def _prepare(connection: Connection, messages: int) -> bool:
    """Whether anything had to be written."""
    if is_filled(connection):
        return renew(connection)
    if connection.dialect.name == "postgresql":
        connection.execute(text("SET LOCAL maintenance_work_mem = '1GB'"))
    fill(connection, messages)
    return True


# ---- a server -------------------------------------------------------------------------------------------------------


def postgres_binaries() -> Path | None:
    """The folder of the newest server installed."""
    found = sorted(DEBIAN_BINARIES.glob("*/bin/postgres"), key=lambda path: int(path.parent.parent.name))
    return found[-1].parent if found else None


@contextmanager
def _server(where: Path) -> Iterator[str]:
    """URL of a server on a Unix socket, without a database's name; ended with the context."""
    binaries = postgres_binaries()
    assert binaries is not None, "the caller looked"
    data, identity = where / "postgres", _identity()
    socket = Path(tempfile.mkdtemp(prefix="seamark-pg-"))  # a socket's path must be short
    if identity:
        os.chown(socket, identity["user"], identity["group"])
    if not (data / "PG_VERSION").exists():
        data.mkdir()
        if identity:
            os.chown(data, identity["user"], identity["group"])
        command = [
            str(binaries / "initdb"),
            "-D",
            str(data),
            "-U",
            "postgres",
            "-A",
            "trust",
            "-E",
            "UTF8",
            "--no-sync",
        ]
        environment = {"PATH": os.environ["PATH"], "LC_ALL": "C.UTF-8"}
        subprocess.run(command, check=True, capture_output=True, cwd=socket, env=environment, **identity)
    options = [part for name, value in _SERVER.items() for part in ("-c", f"{name}={value}")]
    with (socket / "log").open("wb") as log:
        command = [str(binaries / "postgres"), "-D", str(data), "-k", str(socket), *options]
        server = subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT, cwd=socket, **identity)
    try:
        _wait_until_ready(binaries, socket, server)
        yield f"postgresql://postgres@/?host={socket}"
    finally:
        server.send_signal(signal.SIGINT)  # fast: the files stay usable
        server.wait(timeout=300)
        shutil.rmtree(socket, ignore_errors=True)


def _identity() -> dict[str, Any]:
    """PostgreSQL refuses to run as root: root lends it another user."""
    if os.geteuid() != 0:
        return {}
    names = {entry.pw_name: entry for entry in pwd.getpwall()}
    user = names.get("postgres") or names["nobody"]
    return {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": []}


def _wait_until_ready(binaries: Path, socket: Path, server: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + START_TIMEOUT_S
    while subprocess.run([binaries / "pg_isready", "-q", "-h", socket], check=False).returncode != 0:
        if server.poll() is not None or time.monotonic() > deadline:
            raise RuntimeError(f"PostgreSQL did not start: {(socket / 'log').read_text()[-2000:]}")
        time.sleep(0.05)
