"""The composition root: the only place that joins services to what they run on.

Its parts are imported when they are asked for: commands that only look need no server and no signer.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

from seamark.app.names import API, CCIP_MONITOR, ORACLE, SERVICES

if TYPE_CHECKING:
    from seamark.app.application import Application, open_application
    from seamark.app.environment import FoundSettings, settings_from_environment
    from seamark.app.monitors import MONITORS

__all__ = [
    "API",
    "CCIP_MONITOR",
    "MONITORS",
    "ORACLE",
    "SERVICES",
    "Application",
    "FoundSettings",
    "open_application",
    "settings_from_environment",
]

_HOMES: Final = {
    "Application": "application",
    "open_application": "application",
    "FoundSettings": "environment",
    "settings_from_environment": "environment",
    "MONITORS": "monitors",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(name)
    return getattr(import_module(f"seamark.app.{_HOMES[name]}"), name)
