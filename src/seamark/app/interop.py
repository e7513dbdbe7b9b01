"""The interop monitor: what runs beside the trackers of `interop`, and what their log streams pass through."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Final

import aiohttp
from prometheus_client import CollectorRegistry
from sqlalchemy import Connection

from seamark.app.alerts import Alerts
from seamark.app.chains import Chains
from seamark.app.interop_endpoints import AdminEndpoint, FilterClient, ReplicaClient, read_token_secret
from seamark.core.findings import Finding
from seamark.messages.protocols.op_interop import Network, interop_chains, interop_network
from seamark.messages.protocols.op_interop.checker import Checker, log_verdicts
from seamark.messages.protocols.op_interop.failsafe import Failsafe
from seamark.messages.protocols.op_interop.filters import FilterWatch
from seamark.messages.protocols.op_interop.metrics import InteropMetrics
from seamark.messages.protocols.op_interop.recording import JobStream
from seamark.messages.protocols.op_interop.replicas import ReplicaWatch
from seamark.messages.protocols.op_interop.safety import SafetyWatch
from seamark.messages.protocols.op_interop.store import JobChanges, read_tallies
from seamark.messages.protocols.op_interop.supernodes import SupernodeWatch
from seamark.messages.protocols.op_interop.watch import LOOK_EVERY_S, Watch
from seamark.messages.service import MessageStream
from seamark.monitoring.alerts.model import Scope
from seamark.runtime.clock import Clock
from seamark.settings import Settings
from seamark.storage.database import Database
from seamark.storage.totals import read_totals

__all__ = ["AdminEndpoint", "InteropServices", "open_interop"]

LATE_REPORTS: Final = 4  # so many reports may be left out before the findings count as unknown


@dataclass(frozen=True, slots=True)
class InteropServices:
    """`services` run beside the trackers, whose streams go through `wrap`."""

    network: Network
    metrics: InteropMetrics
    checkers: tuple[Checker, ...]
    safety: tuple[SafetyWatch, ...]
    failsafe: Failsafe | None
    filters: FilterWatch | None
    replicas: ReplicaWatch | None
    supernodes: SupernodeWatch | None
    watch: Watch
    clock: Clock

    @property
    def services(
        self,
    ) -> Sequence[Checker | SafetyWatch | Failsafe | FilterWatch | ReplicaWatch | SupernodeWatch | Watch]:
        beside = (self.failsafe, self.filters, self.replicas, self.supernodes)
        wanted = [item for item in beside if item is not None]
        return (*self.checkers, *self.safety, *wanted, self.watch)

    def wrap(self, stream: MessageStream) -> MessageStream:
        """A log stream that stores executing messages with its batches."""
        return JobStream(stream, self.network, now=self.clock.now, followed=self._followed)

    def _followed(self, changes: JobChanges) -> None:
        self.metrics.follow(changes)
        log_verdicts(changes)
        if changes.due:
            self.wake()
        if changes.told:
            self.watch.bell.ring()

    def wake(self) -> None:
        """Jobs are due."""
        for checker in self.checkers:
            checker.bell.ring()


async def open_interop(
    settings: Settings,
    *,
    chains: Chains,
    database: Database,
    registry: CollectorRegistry,
    alerts: Alerts | None,
    session: aiohttp.ClientSession,
    clock: Clock,
) -> InteropServices:
    """Ready to run.

    Raises:
        SettingsError: The dependency set cannot be read, or does not fit the chains; or a secret cannot be read.
    """
    own = settings.interop
    followed = interop_chains(own, settings.chains)
    network = interop_network(own, followed)
    readers = {item.chain_id: chains.by_id()[item.chain_id] for item in followed}
    metrics = InteropMetrics(readers, registry)

    def load(connection: Connection) -> None:
        metrics.load(read_tallies(connection), read_totals(connection, "interop_"))

    await database.read(load)
    checkers: list[Checker] = []

    def wake() -> None:
        for item in checkers:
            item.bell.ring()

    scope = Scope.of({str(item.chain_id): item.name for item in followed})
    failsafe = _failsafe(settings, database=database, metrics=metrics, session=session, clock=clock)
    filters = None
    if own.filter.endpoints:
        filters = FilterWatch(
            [
                FilterClient(url, session=session, method=own.filter.method, min_safety=own.filter.min_safety)
                for url in own.filter.endpoints
            ],
            network=network,
            chains=sorted(readers),
            database=database,
            metrics=metrics,
            clock=clock,
            interval_s=own.filter.poll_interval,
        )
    replicas = None
    if own.replicas:
        clients = [ReplicaClient(url, session=session) for url in own.replicas]
        replicas = ReplicaWatch(clients, metrics=metrics, clock=clock)
    supernodes = None
    if told := dict.fromkeys((*own.supernodes, *own.replicas)):
        clients = [ReplicaClient(url, session=session) for url in told]
        supernodes = SupernodeWatch(clients, metrics=metrics, clock=clock)
    watch = Watch(
        network=network,
        settings=own,
        chains=readers,
        database=database,
        metrics=metrics,
        report=None if alerts is None else partial(_report, alerts, scope),
        failsafe=failsafe,
        filters=filters,
        replicas=replicas,
        clock=clock,
    )
    checker = partial(
        Checker,
        network=network,
        readers=readers,
        database=database,
        metrics=metrics,
        wake=wake,
        told=watch.bell.ring,
        clock=clock,
        check_access_lists=own.check_access_lists,
    )
    safety = partial(
        SafetyWatch,
        network=network,
        database=database,
        metrics=metrics,
        wake=wake,
        clock=clock,
        interval_s=own.safe_interval,
    )
    checkers += [*(checker(chain_id) for chain_id in readers), checker(None)]
    safeties = tuple(map(safety, readers.values()))
    return InteropServices(
        network, metrics, tuple(checkers), safeties, failsafe, filters, replicas, supernodes, watch, clock
    )


def _failsafe(
    settings: Settings, *, database: Database, metrics: InteropMetrics, session: aiohttp.ClientSession, clock: Clock
) -> Failsafe | None:
    own = settings.interop.failsafe
    if not own.endpoints:
        return None
    secret = read_token_secret(own.token, "interop.failsafe.token")
    return Failsafe(
        [AdminEndpoint(url, session=session, clock=clock, secret=secret) for url in own.endpoints],
        trigger=own.trigger,
        database=database,
        metrics=metrics,
        clock=clock,
        interval_s=own.poll_interval,
    )


def _report(alerts: Alerts, scope: Scope, connection: Connection, source: str, found: Sequence[Finding]) -> None:
    alerts.report(connection, source, found, every_s=LATE_REPORTS * LOOK_EVERY_S, scope=scope)
