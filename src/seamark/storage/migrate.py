"""Bring a database to the newest schema, inside the caller's transaction.

Migrations are numbered Alembic revisions in `migrations/versions`; a test compares their sum with the declared tables.
A database that is newer than the program is refused: an old program must not write what it does not understand.
"""

from __future__ import annotations

from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, text

from seamark.core.errors import StopError

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
    config = _config()
    script = ScriptDirectory.from_config(config)
    current = MigrationContext.configure(connection).get_current_revision()
    if current == script.get_current_head():
        return
    if current is not None and current not in {revision.revision for revision in script.walk_revisions()}:
        raise StopError(
            f"the database has schema {current}, unknown to this version", remedy="run the newer Seamark that wrote it"
        )
    config.attributes["connection"] = connection
    command.upgrade(config, "head")


def check_schema(connection: Connection) -> None:
    """Whether this is a database of this very version; for a reader that must not change it.

    Raises:
        StopError: It is older or newer, or not one of Seamark's.
    """
    script = ScriptDirectory.from_config(_config())
    current = MigrationContext.configure(connection).get_current_revision()
    if current == script.get_current_head():
        return
    if current is None:
        raise StopError("the database holds no tables of Seamark", remedy="check its address, or run a service on it")
    if current in {revision.revision for revision in script.walk_revisions()}:
        raise StopError(f"the database has schema {current}, older than this version", remedy=_UPGRADE)
    raise StopError(
        f"the database has schema {current}, unknown to this version", remedy="run the newer Seamark that wrote it"
    )


def _config() -> Config:
    config = Config()
    config.set_main_option("script_location", str(_MIGRATIONS))
    return config
