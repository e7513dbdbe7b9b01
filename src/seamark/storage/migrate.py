"""Bring a database to the newest schema, inside the caller's transaction.

Migrations are numbered Alembic revisions in `migrations/versions`; a test compares their sum with the declared tables.
A database that is newer than the program is refused: an old program must not write what it does not understand.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from sqlalchemy import Connection, inspect, text

from seamark.core.errors import StopError

if TYPE_CHECKING:
    from alembic.config import Config

__all__ = ["check_schema", "upgrade"]

_MIGRATIONS = Path(__file__).parent / "migrations"
_UPGRADE = "start its services once (seamark run …) with this version of Seamark"
_LOCK_KEY = 0x5EA3A2C  # any constant of ours: keeps two starting processes from migrating at once


def upgrade(connection: Connection) -> None:
    """Apply what is missing; costs one query when nothing is.

    Raises:
        StopError: The database was made by a newer version of Seamark.
    """
    if connection.dialect.name == "postgresql":
        connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _LOCK_KEY})
    current = _current(connection)
    if current == _known()[-1]:
        return
    if current is not None and current not in _known():
        raise StopError(
            f"the database has schema {current}, unknown to this version", remedy="run the newer Seamark that wrote it"
        )
    _apply(connection)


def check_schema(connection: Connection) -> None:
    """Whether this is a database of this very version; for a reader that must not change it.

    Raises:
        StopError: It is older or newer, or not one of Seamark's.
    """
    current = _current(connection)
    if current == _known()[-1]:
        return
    if current is None:
        raise StopError("the database holds no tables of Seamark", remedy="check its address, or run a service on it")
    if current in _known():
        raise StopError(f"the database has schema {current}, older than this version", remedy=_UPGRADE)
    raise StopError(
        f"the database has schema {current}, unknown to this version", remedy="run the newer Seamark that wrote it"
    )


def _known() -> list[str]:
    """Revisions of this version, oldest first: files are called by them (a test compares with Alembic)."""
    return sorted(file.name.partition("_")[0] for file in (_MIGRATIONS / "versions").glob("[0-9]*_*.py"))


def _current(connection: Connection) -> str | None:
    if not inspect(connection).has_table("alembic_version"):
        return None
    return connection.execute(text("SELECT version_num FROM alembic_version")).scalar()


def _apply(connection: Connection) -> None:
    from alembic import command  # noqa: PLC0415 - a quarter of a second, which only a new database is worth

    config = _config()
    config.attributes["connection"] = connection
    command.upgrade(config, "head")


def _config() -> Config:
    from alembic.config import Config  # noqa: PLC0415

    config = Config()
    config.set_main_option("script_location", str(_MIGRATIONS))
    return config
