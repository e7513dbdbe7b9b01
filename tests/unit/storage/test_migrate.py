"""Migrations lead to exactly the declared tables, from any older schema, and never from a newer one."""

from __future__ import annotations

import importlib
from pathlib import Path

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, inspect, text

import seamark
from seamark.core.errors import StopError
from seamark.storage.database import Database, open_database
from seamark.storage.migrate import _MIGRATIONS, _known, upgrade
from seamark.storage.schema import metadata


def declare_all_tables() -> None:
    """Import every module that declares tables: each capability's store, and the storage itself."""
    source = Path(seamark.__path__[0])
    for path in [*source.rglob("store.py"), *source.rglob("store/*.py"), *source.glob("storage/*.py")]:
        parts = path.relative_to(source.parent).with_suffix("").parts
        importlib.import_module(".".join(parts).removesuffix(".__init__"))


def config(connection: Connection) -> Config:
    made = Config()
    made.set_main_option("script_location", str(_MIGRATIONS))
    made.attributes["connection"] = connection
    return made


async def test_the_sum_of_the_migrations_is_what_the_stores_declare(database: Database) -> None:
    declare_all_tables()

    def differences(connection: Connection) -> list[object]:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        return list(compare_metadata(context, metadata))

    assert await database.write(differences) == []


def test_the_migrations_are_one_line_of_numbers() -> None:
    script = ScriptDirectory(str(_MIGRATIONS))
    revisions = [revision.revision for revision in script.walk_revisions()][::-1]
    assert revisions == [f"{number:04}" for number in range(1, len(revisions) + 1)]
    assert len(script.get_heads()) == 1
    assert revisions == _known(), "files are called by their revision"


@pytest.mark.parametrize("start", ["0001", "0002", "0003"])
async def test_every_older_schema_is_brought_up(url: str, start: str) -> None:
    database = await open_database(url, migrate=False)
    await database.write(lambda c: command.upgrade(config(c), start))
    await database.write(upgrade)
    await database.write(upgrade)
    version = await database.read(lambda c: MigrationContext.configure(c).get_current_revision())
    assert version == ScriptDirectory(str(_MIGRATIONS)).get_current_head()
    await database.close()


async def test_a_newer_schema_is_refused_and_left_alone(shared_url: str) -> None:
    database = await open_database(shared_url)
    await database.write(lambda c: c.execute(text("UPDATE alembic_version SET version_num = '9999'")))
    await database.close()
    with pytest.raises(StopError, match=r"schema 9999.*newer Seamark"):
        await open_database(shared_url)
    database = await open_database(shared_url, migrate=False)
    assert await database.read(lambda c: c.execute(text("SELECT version_num FROM alembic_version")).scalar()) == "9999"
    await database.close()


async def test_a_reader_does_not_touch_the_schema(shared_url: str) -> None:
    database = await open_database(shared_url, migrate=False)
    assert await database.read(lambda c: inspect(c).get_table_names()) == []
    await database.close()


async def test_a_migration_that_fails_leaves_nothing_behind(shared_url: str) -> None:
    database = await open_database(shared_url, migrate=False)

    def half(connection: Connection) -> None:
        upgrade(connection)
        raise KeyError

    with pytest.raises(KeyError):
        await database.write(half)
    assert await database.read(lambda c: inspect(c).get_table_names()) == []
    await database.close()
