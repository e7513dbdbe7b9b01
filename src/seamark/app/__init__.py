"""The composition root: the only place that joins services to what they run on."""

from seamark.app.application import SERVICES, Application, open_application
from seamark.app.environment import settings_from_environment

__all__ = ["SERVICES", "Application", "open_application", "settings_from_environment"]
