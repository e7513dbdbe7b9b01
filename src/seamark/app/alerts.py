"""Alerts of one process: the port that producers report through, the notifier, and a watch over the process's own
health checks, which is a producer too.

A producer (judgement, checks, oracle) knows nothing of alerts: it is handed `Alerts.report` and calls it in its own
unit of work, with all that is true now.
"""

from __future__ import annotations

import os
import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Final

from prometheus_client import CollectorRegistry
from sqlalchemy import Connection

from seamark.core.findings import Finding, Severity
from seamark.monitoring.alerts import store
from seamark.monitoring.alerts.model import Scope
from seamark.monitoring.alerts.rules import Policy
from seamark.monitoring.metrics import AlertMetrics
from seamark.monitoring.notifications.senders import open_receivers
from seamark.monitoring.notifications.service import Notifier
from seamark.monitoring.notifications.text import Links
from seamark.runtime.clock import Clock
from seamark.runtime.events import Signal
from seamark.runtime.health import HealthRegistry, Status
from seamark.runtime.http_post import Session
from seamark.runtime.service import Service
from seamark.settings import Settings
from seamark.storage.database import Database

__all__ = ["Alerts", "HealthWatch", "health_findings", "links_of", "open_alerting"]

HEALTH_EVERY_S: Final = 15.0
_PARTS: Final = re.compile("[ :]")
_MS: Final = 1000


@dataclass(frozen=True, slots=True)
class Alerts:
    """What other parts of the process need of alerts."""

    policy: Policy
    clock: Clock
    services: Sequence[Service]

    def report(
        self,
        connection: Connection,
        source: str,
        findings: Iterable[Finding],
        *,
        every_s: float | None = None,
        scope: Scope | None = None,
    ) -> None:
        """Make `findings` all that is true now, as far as `source` knows; part of the caller's unit of work.

        Args:
            connection: The caller's.
            source: The caller's name, the same after a restart.
            findings: The complete present set.
            every_s: The caller promises to report again within this many seconds.
            scope: What the caller looks at, where other processes on this database look at the rest.
        """
        every_ms = None if every_s is None else round(every_s * _MS)
        now_ms = round(self.clock.now() * _MS)
        store.report(connection, source, findings, now_ms, policy=self.policy, every_ms=every_ms, scope=scope)


async def open_alerting(
    settings: Settings,
    wanted: Collection[str],
    *,
    database: Database,
    session: Session,
    registry: CollectorRegistry,
    health: HealthRegistry,
    signal: Signal,
    clock: Clock,
    scope: Scope | None = None,
    environment: Mapping[str, str] = os.environ,
) -> Alerts:
    """Ready to run.

    Args:
        scope: What the services of this process look at.

    Raises:
        SettingsError: A receiver's secret cannot be read or is no address; names the setting.
    """
    receivers = await open_receivers(settings.alerts, session=session, clock=clock, environment=environment)
    notifier = Notifier(
        settings.alerts,
        receivers,
        links=links_of(settings),
        database=database,
        metrics=AlertMetrics(registry),
        signal=signal,
        clock=clock,
    )
    policy = settings.alerts.policy()
    alerts = Alerts(policy, clock, [notifier])
    if not wanted:
        return alerts
    chains = {name: chain.chain_id for name, chain in settings.chains.items()}
    watch = HealthWatch(wanted, alerts, health=health, chains=chains, database=database, clock=clock, scope=scope)
    return Alerts(policy, clock, [notifier, watch])


def links_of(settings: Settings) -> Links:
    """Where readers of a notice go on."""
    portal = settings.alerts.portal or f"http://{settings.api.host}:{settings.api.port}"
    return Links(portal, settings.alerts.runbook)


class HealthWatch:
    """Tells of health checks that fail, as findings. A `Service`."""

    name = "health-watch"

    def __init__(
        self,
        services: Collection[str],
        alerts: Alerts,
        *,
        health: HealthRegistry,
        chains: Mapping[str, int],
        database: Database,
        clock: Clock,
        scope: Scope | None = None,
    ) -> None:
        self._source = f"health of {' and '.join(sorted(services))}"
        self._scope = scope
        self._alerts = alerts
        self._health = health
        self._chains = chains
        self._database = database
        self._clock = clock

    async def run(self) -> None:
        while True:
            await self._clock.sleep(HEALTH_EVERY_S)  # first, so that what is just starting is not called down
            await self.turn()

    async def turn(self) -> None:
        """Ask once, and report."""
        report = await self._health.report()
        findings = health_findings(report["checks"], self._chains)
        tell = partial(
            self._alerts.report, source=self._source, findings=findings, every_s=HEALTH_EVERY_S, scope=self._scope
        )
        await self._database.write(tell)


def health_findings(checks: Mapping[str, Mapping[str, Any]], chains: Mapping[str, int]) -> list[Finding]:
    """What the checks of one process say, as findings. `chains`: name -> chain id."""
    return [_finding(name, check, chains) for name, check in checks.items() if check["status"] != Status.OK]


def _finding(name: str, check: Mapping[str, Any], chains: Mapping[str, int]) -> Finding:
    parts = _PARTS.split(name)  # "chain besu", "ccip-monitor:besu", "database"
    chain = parts[-1] if parts[-1] in chains else None
    is_down = check["status"] == Status.DOWN
    subject = name
    if chain is not None and parts[0] == "chain" and is_down:
        subject = str(chains[chain])  # as the judge names it, so that both are one alert
        kind, title = "chain_unreachable", f"No endpoint of {chain} answers"
        remedy = f"check the nodes under chains.{chain}.rpc, or add one; seamark config check --online asks them"
    else:
        kind = "service_down" if is_down else "service_degraded"
        title = f"{name} is {check['status']}"
        remedy = "see /health and the log of the process"
    return Finding(
        kind=kind,
        subject=subject,
        severity=Severity.CRITICAL if is_down and check["required"] else Severity.WARNING,
        group="seamark" if chain is None else f"chain {chain}",
        title=title,
        text=str(check["detail"]),
        remedy=remedy,
        labels={} if chain is None else {"chain": chain},
    )
