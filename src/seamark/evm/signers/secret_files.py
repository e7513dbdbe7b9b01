"""Reading files that hold secrets: only when nobody else can read them."""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import Final

from seamark.core.errors import SettingsError

__all__ = ["read_secret_file"]

_OTHERS: Final = stat.S_IRWXG | stat.S_IRWXO
_LARGEST: Final = 64 * 1024  # bytes; a keystore has about 500


def read_secret_file(path: str, *, setting: str) -> bytes:
    """The content of a regular file that belongs to us and that no other user can open.

    The open file is checked, not the path, so nothing can be exchanged in between.

    Raises:
        SettingsError: It cannot be read, is too large, belongs to another user, or is open to group or others. One line
            with the file, its mode and the remedy; never the content.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    except OSError as error:
        raise SettingsError(
            setting, f"cannot read {path}: {error.strerror}", remedy="check the path and who owns it"
        ) from error
    try:
        _check(path, os.fstat(descriptor), setting)
        content = _read(descriptor)
    except OSError as error:
        raise SettingsError(setting, f"cannot read {path}: {error.strerror}", remedy="check the file system") from error
    finally:
        os.close(descriptor)
    if len(content) > _LARGEST:
        raise SettingsError(setting, f"{path} is larger than any key file ({_LARGEST} bytes)", remedy="check the path")
    return content


def _read(descriptor: int) -> bytes:
    """All of a small file; a little more than the limit of a large one."""
    content = b""
    while len(content) <= _LARGEST and (part := os.read(descriptor, _LARGEST + 1)):
        content += part
    return content


def _check(path: str, status: os.stat_result, setting: str) -> None:
    if not stat.S_ISREG(status.st_mode):
        raise SettingsError(setting, f"{path} is not a regular file", remedy="name the file that holds the secret")
    if status.st_uid not in (os.geteuid(), 0):
        owner = f"user {status.st_uid}"
        raise SettingsError(setting, f"{path} belongs to {owner}, not to us", remedy=f"chown it to user {os.geteuid()}")
    mode = stat.S_IMODE(status.st_mode)
    if mode & _OTHERS:
        problem = f"{path} has mode {mode:04o}: other users can read or change it"
        raise SettingsError(setting, problem, remedy=f"chmod 600 {Path(path)}")
