"""`seamark run`: services in production."""

from __future__ import annotations

import os
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Annotated

import structlog
import typer

from seamark.app import ORACLE, SERVICES, open_application
from seamark.app.publishing import DryRun, apart
from seamark.app.reload import SettingsFile
from seamark.cli.files import ConfigOption, check_services, find_file, read_settings
from seamark.cli.loop import run_until_stopped
from seamark.core.errors import SettingsError
from seamark.evm.address import AddressError, parse_address
from seamark.runtime.logs import configure_logs
from seamark.runtime.process import settle_heap
from seamark.settings import Settings, load

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
    "SIGINT and SIGTERM stop all of it; exit code 0. Wrong settings: exit code 2.\n\n"
    "A file is read again when it changes, and at SIGHUP: feeds, sources and thresholds follow without a restart."
)

log = structlog.get_logger("seamark")


def run(
    services: Annotated[list[str], typer.Argument(help=f"Any of {', '.join(SERVICES)}.", metavar="SERVICE...")],
    config: ConfigOption = None,
    dry_run: Annotated[
        bool,
        typer.Option(
            "--dry-run",
            help="oracle alone: log what would be published, why and at what cost; sign, send and store nothing.",
        ),
    ] = False,
    account: Annotated[
        str | None,
        typer.Option(metavar="ADDRESS", help="With --dry-run: who would publish, if its key is not here."),
    ] = None,
) -> None:
    check_services(services)
    rehearsal = _rehearsal(services, account) if dry_run else None
    if account is not None and rehearsal is None:
        raise SettingsError("--account", "goes with --dry-run", remedy="add --dry-run, or leave it out")
    run_until_stopped(_run(dict.fromkeys(services), find_file(config), rehearsal))
    log.info("stopped")


def _rehearsal(services: Sequence[str], account: str | None) -> DryRun:
    if set(services) != {ORACLE}:
        raise SettingsError("--dry-run", "is for the oracle alone", remedy="seamark run oracle --dry-run")
    try:
        return DryRun(None if account is None else parse_address(account))
    except AddressError as error:
        raise SettingsError("--account", str(error), remedy="write an address as 0x…") from None


async def _run(services: dict[str, None], file: Path | None, dry_run: DryRun | None) -> None:
    configure_logs()
    environment = os.environ if dry_run is None else {"PRIVATE_KEY": "not needed", **os.environ}
    found = await read_settings(services, file, environment)
    settings = found.settings if dry_run is None else apart(found.settings)
    configure_logs(settings.logs.form, settings.logs.level)
    source = None if file is None else SettingsFile(file, partial(_read, file, dry_run))
    async with open_application(settings, services, names=found.names, file=source, dry_run=dry_run) as application:
        settle_heap()
        log.info(
            "running",
            services=list(services),
            settings=str(file or "environment"),
            **({} if dry_run is None else {"dry_run": True}),
            database=application.database.url,
            metrics=f"{settings.metrics.host}:{application.probes.metrics_port}",
            health=f"{settings.health.host}:{application.probes.health_port}",
            **({"api": application.api.url} if application.api else {}),
        )
        await application.run()


def _read(file: Path, dry_run: DryRun | None) -> Settings:
    settings = load(file, os.environ)
    return settings if dry_run is None else apart(settings)
