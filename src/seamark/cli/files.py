"""Which settings a command uses: the file named, else ./seamark.yaml, else the environment."""

from __future__ import annotations

import os
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from seamark.app import SERVICES
from seamark.core.errors import SettingsError
from seamark.settings import DEFAULT_FILE, load

if TYPE_CHECKING:
    from seamark.app import FoundSettings

__all__ = ["ConfigOption", "check_services", "find_file", "read_settings"]

ConfigOption = Annotated[
    Path | None,
    typer.Option(
        "--config", "-c", envvar="SEAMARK_CONFIG", help="Settings file. Default: ./seamark.yaml, else the environment."
    ),
]


def find_file(given: Path | None) -> Path | None:
    """The file to read, or None for the environment alone.

    Raises:
        SettingsError: The file named does not exist.
    """
    if given is not None:
        if not given.exists():
            raise SettingsError("--config", f"there is no file {given}", remedy="check the path")
        return given
    return DEFAULT_FILE if DEFAULT_FILE.exists() else None


def check_services(names: Collection[str]) -> None:
    """Whether all of them are services.

    Raises:
        SettingsError: One is not.
    """
    unknown = [name for name in names if name not in SERVICES]
    if unknown:
        raise SettingsError("SERVICE", f"there is no service {unknown[0]!r}", remedy=f"one of {', '.join(SERVICES)}")


async def read_settings(
    services: Collection[str], file: Path | None, environment: Mapping[str, str] = os.environ
) -> FoundSettings:
    """From the file, or from the environment alone.

    Raises:
        SettingsError: They are wrong.
    """
    from seamark.app.environment import FoundSettings, settings_from_environment  # noqa: PLC0415 - asks nodes: not for all

    if file is not None:
        return FoundSettings(load(file, environment))
    return await settings_from_environment(services, environment)
