"""The CCIP checks: from settings and open chains to a service, or to one look for the command line."""

from __future__ import annotations

from functools import partial
from typing import Final

from prometheus_client import CollectorRegistry

from seamark.app.alerts import Alerts
from seamark.app.chains import Chains
from seamark.core.errors import SettingsError
from seamark.messages.protocols.ccip import CcipProtocol, ccip_chains
from seamark.messages.protocols.ccip.checks.metrics import CheckMetrics
from seamark.messages.protocols.ccip.checks.service import Checks, CheckService, open_checks
from seamark.monitoring.alerts.model import Scope
from seamark.runtime.clock import Clock
from seamark.settings import Settings
from seamark.storage.database import Database

__all__ = ["ccip_check_service", "ccip_checks"]

LATE_REPORTS: Final = 3  # so many reports may be left out before their findings count as unknown


def ccip_checks(settings: Settings, *, chains: Chains, database: Database | None, clock: Clock) -> Checks:
    """All configured CCIP chains.

    Raises:
        SettingsError: None is configured, or a sender or pool is on another chain.
    """
    if not settings.ccip.chains:
        raise SettingsError("ccip.chains", "is empty", remedy="add a chain with its router")
    found = ccip_chains(settings.ccip, settings.chains)
    named = [(item.chain, chain) for item, chain in zip(settings.ccip.chains, found, strict=True)]
    readers = chains.by_id()
    return open_checks(
        CcipProtocol(found), named, settings.ccip.checks, readers=readers, database=database, clock=clock
    )


def ccip_check_service(
    settings: Settings,
    *,
    chains: Chains,
    database: Database,
    registry: CollectorRegistry,
    alerts: Alerts | None,
    clock: Clock,
) -> CheckService:
    """The checks on their timer."""
    every_s = settings.ccip.checks.every
    scope = Scope.of({str(item.chain_id): item.name for item in ccip_chains(settings.ccip, settings.chains)})
    return CheckService(
        ccip_checks(settings, chains=chains, database=database, clock=clock),
        every_s=every_s,
        report=None if alerts is None else partial(alerts.report, every_s=LATE_REPORTS * every_s, scope=scope),
        metrics=CheckMetrics(registry),
        database=database,
        clock=clock,
    )
