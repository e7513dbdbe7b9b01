"""`seamark run`: services in production."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import structlog
import typer

from seamark.app import SERVICES, open_application
from seamark.cli.files import ConfigOption, check_services, find_file, read_settings
from seamark.cli.loop import run_until_stopped
from seamark.runtime.logs import configure_logs

__all__ = ["HELP", "run"]

HELP = (
    "Run services until stopped: oracle, ccip-monitor, interop-monitor, hyperlane-monitor, api, or several in one "
    "process.\n\n"
    "Settings come from a YAML file (seamark config check). Without one, the environment is enough.\n\n"
    "One feed: RPC_URL, AGGREGATOR_ADDRESS, PRIVATE_KEY, HEARTBEAT (3600 or 1h), DEVIATION_THRESHOLD (0.5%).\n\n"
    "One chain's monitor: RPC_URL, CCIP_ROUTER_ADDRESS, MONITORING_INTERVAL (15 or 15s); CCIP_CHAIN_SELECTOR for a "
    "private chain, CCIP_START_BLOCK to look back.\n\n"
    "Without a file, METRICS_PORT (8000), HEALTH_PORT (8080), API_PORT (8400), METRICS_HOST, HEALTH_HOST, API_HOST "
    "(127.0.0.1), SEAMARK_DATABASE, START_TIMEOUT (15s), LOG_FORMAT (auto, json, console) and LOG_LEVEL count too.\n\n"
    "SIGINT and SIGTERM stop all of it; exit code 0. Wrong settings: exit code 2."
)

log = structlog.get_logger("seamark")


def run(
    services: Annotated[list[str], typer.Argument(help=f"Any of {', '.join(SERVICES)}.", metavar="SERVICE...")],
    config: ConfigOption = None,
) -> None:
    check_services(services)
    run_until_stopped(_run(dict.fromkeys(services), find_file(config)))
    log.info("stopped")


async def _run(services: dict[str, None], file: Path | None) -> None:
    configure_logs()
    found = await read_settings(services, file)
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
            **({"api": application.api.url} if application.api else {}),
        )
        await application.run()
