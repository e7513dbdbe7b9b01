"""One mistake, many ways to have made it: errors name a setting as the person who made it wrote it.

Inside, a setting is its dotted path. A person may have written an environment variable, or an option of a command.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from seamark.core.errors import SettingsError

__all__ = ["calling"]


@contextmanager
def calling(names: Mapping[str, str]) -> Iterator[None]:
    """Inside, a `SettingsError` about a path in `names`, or below one, is raised under its other name."""
    try:
        yield
    except SettingsError as error:
        below = [name for name in names if error.setting == name or error.setting.startswith((f"{name}.", f"{name}["))]
        if not below:
            raise
        raise SettingsError(names[max(below, key=len)], error.problem, remedy=error.remedy) from error
