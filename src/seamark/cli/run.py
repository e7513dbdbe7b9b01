"""`seamark run`: services in production."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import structlog
import typer

from seamark.app import SERVICES, open_application, settings_from_environment
from seamark.app.environment import FoundSettings
from seamark.cli.files import ConfigOption, find_file
from seamark.cli.loop import run_until_stopped
from seamark.core.errors import SettingsError
from seamark.runtime.logs import configure_logs
from seamark.settings import load

__all__ = ["HELP", "run"]

HELP = (
    "Run services until stopped: oracle, ccip-monitor, api, or several in one process.\n\n"
    "Settings come from a YAML file (see seamark config check). Without one, the environment is enough.\n\n"
    "One feed: RPC_URL, AGGREGATOR_ADDRESS, PRIVATE_KEY, HEARTBEAT (3600 or 1h), DEVIATION_THRESHOLD (0.5%).\n\n"
    "One chain's monitor: RPC_URL, CCIP_ROUTER_ADDRESS, MONITORING_INTERVAL (15 or 15s).\n\n"
    "Metrics are on port 8000, health on 8080, the API on 8400: METRICS_PORT, HEALTH_PORT, API_PORT change that."
)

log = structlog.get_logger("seamark")


def run(
    services: Annotated[list[str], typer.Argument(help=f"Any of {', '.join(SERVICES)}.", metavar="SERVICE...")],
    config: ConfigOption = None,
) -> None:
    unknown = [name for name in services if name not in SERVICES]
    if unknown:
        raise SettingsError("SERVICE", f"there is no service {unknown[0]!r}", remedy=f"one of {', '.join(SERVICES)}")
    run_until_stopped(_run(dict.fromkeys(services), find_file(config)))


async def _run(services: dict[str, None], file: Path | None) -> None:
    configure_logs()
    if file is None:
        found = await settings_from_environment(services, os.environ)
    else:
        found = FoundSettings(load(file, os.environ))
    settings = found.settings
    configure_logs(settings.logs.form, settings.logs.level)
    async with open_application(settings, services, names=found.names) as application:
        log.info(
            "running",
            services=list(services),
            settings=str(file or "environment"),
            database=application.database.url,
            metrics=f"{settings.metrics.host}:{application.probes.metrics_port}",
            health=f"{settings.health.host}:{application.probes.health_port}",
        )
        await application.run()
    log.info("stopped")
