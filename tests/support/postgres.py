"""A PostgreSQL server for tests: the one named by SEAMARK_TEST_POSTGRES_URL, else a private one from Debian's binaries.

The private server is started once per test process, on a Unix socket in a temporary folder and without any durability,
and ended by its process id when the tests end (or with them, should they be killed). PostgreSQL refuses to run as root,
so root lends it the user `postgres`, or `nobody`.
"""

from __future__ import annotations

import asyncio
import atexit
import ctypes
import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import time
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import cache
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

import asyncpg  # type: ignore[import-untyped]
import pytest

URL_VARIABLE = "SEAMARK_TEST_POSTGRES_URL"
DEBIAN_BINARIES = Path("/usr/lib/postgresql")
START_TIMEOUT_S = 30.0
_PR_SET_PDEATHSIG = 1
_OPTIONS = {
    "listen_addresses": "",
    "fsync": "off",
    "synchronous_commit": "off",
    "full_page_writes": "off",
    "max_connections": "60",
    "shared_buffers": "32MB",
}
_DISCONNECT_OTHERS = """
    SELECT pg_terminate_backend(pid) FROM pg_stat_activity
    WHERE datname = current_database() AND pid <> pg_backend_pid()
"""

_databases: list[str] = []
_free: list[str] = []


@asynccontextmanager
async def new_database() -> AsyncIterator[str]:
    """URL of an empty database. Skips the test where there is no server.

    Databases are used again after emptying them: making one takes a second, emptying one hardly any time.
    """
    server = server_url()
    if _free:
        name = _free.pop()
    else:
        name = f"seamark_test_{uuid.uuid4().hex[:12]}"
        await _execute(server, f'CREATE DATABASE "{name}"')
        _databases.append(name)
    url = urlunsplit(urlsplit(server)._replace(path=f"/{name}"))
    try:
        yield url
    finally:
        await _execute(url, _DISCONNECT_OTHERS, "DROP SCHEMA public CASCADE", "CREATE SCHEMA public")
        _free.append(name)


def server_url() -> str:
    """URL of the server's maintenance database; skips the test where none can be had."""
    named = os.environ.get(URL_VARIABLE)
    if named:
        return _tidy_up_after(named)
    binaries = find_binaries()
    if binaries is None:
        pytest.skip(f"no PostgreSQL: install the package postgresql, or set {URL_VARIABLE}")
    return _start(binaries)


def find_binaries() -> Path | None:
    """The folder of the newest server installed."""
    found = sorted(DEBIAN_BINARIES.glob("*/bin/postgres"), key=lambda path: int(path.parent.parent.name))
    if found:
        return found[-1].parent
    in_path = shutil.which("postgres")
    return Path(in_path).parent if in_path else None


@cache
def _tidy_up_after(server: str) -> str:
    atexit.register(_drop_databases, server)
    return server


@cache
def _start(binaries: Path) -> str:
    user = _unprivileged_user()
    folder = Path(tempfile.mkdtemp(prefix="seamark-pg-"))
    if user:
        os.chown(folder, user.pw_uid, user.pw_gid)
    identity = {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": []} if user else {}
    data = folder / "data"
    subprocess.run(
        [binaries / "initdb", "-D", data, "-U", "postgres", "-A", "trust", "-E", "UTF8", "--no-sync"],
        check=True,
        capture_output=True,
        cwd=folder,
        env={"PATH": os.environ["PATH"], "LC_ALL": "C.UTF-8"},
        **identity,  # type: ignore[call-overload]
    )
    options = [part for name, value in _OPTIONS.items() for part in ("-c", f"{name}={value}")]
    with (folder / "log").open("wb") as log:
        server = subprocess.Popen(
            [binaries / "postgres", "-D", data, "-k", folder, *options],
            stdout=log,
            stderr=subprocess.STDOUT,
            cwd=folder,
            preexec_fn=_die_with_parent,  # noqa: PLW1509 - one system call, no lock taken
            **identity,  # type: ignore[call-overload]
        )
    atexit.register(_stop, server, folder)
    _wait_until_ready(binaries, folder, server)
    return f"postgresql://postgres@/postgres?host={folder}"


def _unprivileged_user() -> pwd.struct_passwd | None:
    if os.geteuid() != 0:
        return None
    names = {entry.pw_name: entry for entry in pwd.getpwall()}
    return names.get("postgres") or names["nobody"]


def _die_with_parent() -> None:
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGQUIT)


def _wait_until_ready(binaries: Path, folder: Path, server: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + START_TIMEOUT_S
    while subprocess.run([binaries / "pg_isready", "-q", "-h", folder], check=False).returncode != 0:
        if server.poll() is not None or time.monotonic() > deadline:
            raise RuntimeError(f"PostgreSQL did not start: {(folder / 'log').read_text()[-2000:]}")
        time.sleep(0.05)


def _stop(server: subprocess.Popen[bytes], folder: Path) -> None:
    server.send_signal(signal.SIGQUIT)  # immediate: nothing in it is worth saving
    server.wait(timeout=10)
    shutil.rmtree(folder, ignore_errors=True)


async def _execute(url: str, *statements: str) -> None:
    connection = await asyncpg.connect(url)
    try:
        for statement in statements:
            await connection.execute(statement)
    finally:
        await connection.close()


def _drop_databases(server: str) -> None:
    asyncio.run(_execute(server, *(f'DROP DATABASE "{name}" WITH (FORCE)' for name in _databases)))
