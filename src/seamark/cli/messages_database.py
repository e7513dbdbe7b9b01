"""The settings and the database that a command uses beside running services, or when none runs.

The database is the one of the settings: `--database`, else the settings file, else SEAMARK_DATABASE. Where nothing says
which and a demo has run in this folder, settings and database are the demo's, and that is told in a line: a visitor
looks at what he has just started. A reader never creates or changes a database: what is missing or of another version
is an error that says what to do.
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
from seamark.cli.output import aside
from seamark.core.errors import SettingsError
from seamark.settings import DEFAULT_DATABASE, Settings, load
from seamark.storage.database import Database, open_database
from seamark.storage.migrate import check_schema

__all__ = ["DEMO_FILE", "DatabaseOption", "Ledger", "find_database", "find_settings", "open_ledger"]

DEMO_FILE: Final = Path(".seamark/demo/demo.yaml")
"""Written by `seamark demo`."""

VARIABLE: Final = "SEAMARK_DATABASE"
_NAMING: Final = (VARIABLE, "RPC_URL")
"""Variables with which somebody says what he means, so that it is not the demo."""
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
    file: Path | None = None


@dataclass(frozen=True, slots=True)
class Found:
    """Which database, and what the user calls the setting that named it."""

    url: str
    setting: str
    settings: Settings
    file: Path | None = None


def find_settings(config: Path | None, environment: Mapping[str, str] = os.environ) -> Path | None:
    """The settings file of a command that looks or acts beside services: the one named, else ./seamark.yaml, else that
    of the demo of this folder where nothing says otherwise. None: there is none.

    Raises:
        SettingsError: The file named does not exist.
    """
    file = find_file(config)
    if file is not None or not DEMO_FILE.exists():
        return file
    if any(environment.get(name, "").strip() for name in _NAMING) or _path(DEFAULT_DATABASE).exists():
        return None
    aside(f"with the demo's settings, {DEMO_FILE}")
    return DEMO_FILE


def find_database(config: Path | None, database: str | None, environment: Mapping[str, str] = os.environ) -> Found:
    """Which database to read.

    Raises:
        SettingsError: The settings are wrong.
    """
    file = find_settings(config, environment) if database is None else find_file(config)
    settings = load(file, environment) if file is not None else Settings()
    if database is not None:
        return Found(database if "://" in database else f"{_SQLITE}{database}", "--database", settings, file)
    if file is not None:
        return Found(settings.database, f"{file}: database", settings, file)
    if given := environment.get(VARIABLE, "").strip():
        return Found(given, VARIABLE, settings)
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
        yield Ledger(opened, found.settings, found.file)
    finally:
        await opened.close()


def _check_there(found: Found) -> None:
    """SQLite would make an empty file of a typing error."""
    if not found.url.startswith("sqlite:"):
        return
    path = _path(found.url)
    if found.url in ("sqlite://", "sqlite:///:memory:"):
        raise SettingsError(found.setting, "a database in memory belongs to one process", remedy="name a file")
    if not path.is_file():
        remedy = "start a service (seamark run …, seamark demo), or name the database with --database or --config"
        raise SettingsError(found.setting, f"there is no database {path}", remedy=remedy)


def _path(url: str) -> Path:
    return Path(url.removeprefix(_SQLITE).partition("?")[0])
