"""The composition root: the only place that joins services to what they run on."""

from seamark.app.application import API, CCIP_MONITOR, ORACLE, SERVICES, Application, open_application
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
