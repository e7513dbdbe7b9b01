"""Folders that commands keep things in."""

from __future__ import annotations

import os
from pathlib import Path

from seamark.core.errors import SettingsError

__all__ = ["make_folder"]


def make_folder(path: Path, *, option: str = "--data") -> None:
    """Make it, parents too, unless it is there.

    Raises:
        SettingsError: It cannot be made, is no folder, or may not be written to; names `option`.
    """
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise SettingsError(
            option, f"cannot make the folder {path}: {error.strerror}", remedy="choose another"
        ) from error
    if not os.access(path, os.W_OK | os.X_OK):
        raise SettingsError(option, f"this user may not write to {path}", remedy="choose another folder")
