"""Which settings a command uses: the file named, else ./seamark.yaml, else the environment."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer

from seamark.core.errors import SettingsError
from seamark.settings import DEFAULT_FILE

__all__ = ["ConfigOption", "find_file"]

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
        if not given.is_file():
            raise SettingsError("--config", f"there is no file {given}", remedy="check the path")
        return given
    return DEFAULT_FILE if DEFAULT_FILE.is_file() and os.access(DEFAULT_FILE, os.R_OK) else None
