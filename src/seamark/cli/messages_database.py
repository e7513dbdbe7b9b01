"""The database that a command reads beside running services, or when none runs.

It is the one of the settings: `--database`, else the settings file, else SEAMARK_DATABASE. Where nothing says which and
a demo has run in this folder, it is the demo's: a visitor looks at what he has just started. A reader never creates or
changes a database: what is missing or of another version is an error that says what to do.
"""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Final

import typer

from seamark.cli.files import find_file
from seamark.core.errors import SettingsError
from seamark.settings import DEFAULT_DATABASE, Settings, load
from seamark.storage.database import Database, open_database
from seamark.storage.migrate import check_schema

__all__ = ["DatabaseOption", "Ledger", "find_database", "open_ledger"]

DEMO_DATABASE: Final = Path(".seamark/demo/seamark.db")
VARIABLE: Final = "SEAMARK_DATABASE"
_SQLITE: Final = "sqlite:///"

DatabaseOption = Annotated[
    str | None,
    typer.Option(
        "--database",
        metavar="URL",
        help="sqlite:///path, a file, or postgresql://…; default: that of the settings, else SEAMARK_DATABASE.",
    ),
]


@dataclass(frozen=True, slots=True)
class Ledger:
    """An open database and the settings that go with it (empty where there is no file)."""

    database: Database
    settings: Settings


@dataclass(frozen=True, slots=True)
class Found:
    """Which database, and what the user calls the setting that named it."""

    url: str
    setting: str
    settings: Settings


def find_database(config: Path | None, database: str | None, environment: Mapping[str, str] = os.environ) -> Found:
    """Which database to read.

    Raises:
        SettingsError: The settings are wrong.
    """
    file = find_file(config)
    settings = load(file, environment) if file is not None else Settings()
    if database is not None:
        return Found(database if "://" in database else f"{_SQLITE}{database}", "--database", settings)
    if file is not None:
        return Found(settings.database, f"{file}: database", settings)
    if given := environment.get(VARIABLE, "").strip():
        return Found(given, VARIABLE, settings)
    if not Path(DEFAULT_DATABASE.removeprefix(_SQLITE)).exists() and DEMO_DATABASE.exists():
        return Found(f"{_SQLITE}{DEMO_DATABASE}", "the demo's database", settings)
    return Found(DEFAULT_DATABASE, "--database", settings)


@asynccontextmanager
async def open_ledger(config: Path | None, database: str | None) -> AsyncIterator[Ledger]:
    """Open for reading; closed at the end.

    Raises:
        SettingsError: There is no such database.
        StopError: It is of another version.
    """
    found = find_database(config, database)
    _check_there(found)
    opened = await open_database(found.url, migrate=False)
    try:
        await opened.read(check_schema)
        yield Ledger(opened, found.settings)
    finally:
        await opened.close()


def _check_there(found: Found) -> None:
    """SQLite would make an empty file of a typing error."""
    if not found.url.startswith("sqlite:"):
        return
    path = Path(found.url.removeprefix(_SQLITE).partition("?")[0])
    if found.url in ("sqlite://", "sqlite:///:memory:"):
        raise SettingsError(found.setting, "a database in memory belongs to one process", remedy="name a file")
    if not path.is_file():
        remedy = "start a service (seamark run …, seamark demo), or name the database with --database or --config"
        raise SettingsError(found.setting, f"there is no database {path}", remedy=remedy)
