"""The interop monitor: what runs beside the trackers of `interop`, and what their log streams pass through."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Final

import aiohttp
import msgspec
from prometheus_client import CollectorRegistry
from sqlalchemy import Connection

from seamark.app.alerts import Alerts
from seamark.app.chains import Chains
from seamark.core.errors import TemporaryError
from seamark.core.findings import Finding
from seamark.evm.rpc.endpoint import Endpoint
from seamark.evm.rpc.observer import SilentObserver
from seamark.messages.protocols.op_interop import Network, interop_chains, interop_network
from seamark.messages.protocols.op_interop.checker import Checker, log_verdicts
from seamark.messages.protocols.op_interop.failsafe import Failsafe
from seamark.messages.protocols.op_interop.metrics import InteropMetrics
from seamark.messages.protocols.op_interop.recording import JobStream
from seamark.messages.protocols.op_interop.safety import SafetyWatch
from seamark.messages.protocols.op_interop.store import JobChanges, read_tallies
from seamark.messages.protocols.op_interop.watch import LOOK_EVERY_S, Watch
from seamark.messages.service import MessageStream
from seamark.monitoring.alerts.model import Scope
from seamark.runtime.clock import Clock
from seamark.settings import Settings
from seamark.storage.database import Database
from seamark.storage.totals import read_totals

__all__ = ["INTEROP_MONITOR", "AdminEndpoint", "InteropServices", "open_interop"]

INTEROP_MONITOR: Final = "interop-monitor"
LATE_REPORTS: Final = 4  # so many reports may be left out before the findings count as unknown
_BOOL: Final = msgspec.json.Decoder(bool)


class AdminEndpoint:
    """A supervisor's or filter's admin interface over JSON-RPC (`FailsafeEndpoint`)."""

    def __init__(self, url: str, *, session: aiohttp.ClientSession, clock: Clock) -> None:
        self._endpoint = Endpoint(url, session=session, clock=clock, observer=SilentObserver())
        self.label = self._endpoint.label

    async def set_failsafe(self, *, enabled: bool) -> None:
        await self._endpoint.ask("admin_setFailsafeEnabled", enabled)

    async def get_failsafe(self) -> bool:
        raw = await self._endpoint.ask("admin_getFailsafeEnabled")
        try:
            return _BOOL.decode(raw)
        except msgspec.MsgspecError as error:
            raise TemporaryError(f"{self.label}: admin_getFailsafeEnabled did not answer yes or no") from error


@dataclass(frozen=True, slots=True)
class InteropServices:
    """`services` run beside the trackers, whose streams go through `wrap`."""

    network: Network
    metrics: InteropMetrics
    checkers: tuple[Checker, ...]
    safety: tuple[SafetyWatch, ...]
    failsafe: Failsafe | None
    watch: Watch
    clock: Clock

    @property
    def services(self) -> Sequence[Checker | SafetyWatch | Failsafe | Watch]:
        failsafe = () if self.failsafe is None else (self.failsafe,)
        return (*self.checkers, *self.safety, *failsafe, self.watch)

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
        SettingsError: The dependency set cannot be read, or does not fit the chains.
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
    watch = Watch(
        network=network,
        settings=own,
        chains=readers,
        database=database,
        metrics=metrics,
        report=None if alerts is None else partial(_report, alerts, scope),
        failsafe=failsafe,
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
    return InteropServices(network, metrics, tuple(checkers), safeties, failsafe, watch, clock)


def _failsafe(
    settings: Settings, *, database: Database, metrics: InteropMetrics, session: aiohttp.ClientSession, clock: Clock
) -> Failsafe | None:
    own = settings.interop.failsafe
    if not own.endpoints:
        return None
    return Failsafe(
        [AdminEndpoint(url, session=session, clock=clock) for url in own.endpoints],
        trigger=own.trigger,
        database=database,
        metrics=metrics,
        clock=clock,
        interval_s=own.poll_interval,
    )


def _report(alerts: Alerts, scope: Scope, connection: Connection, source: str, found: Sequence[Finding]) -> None:
    alerts.report(connection, source, found, every_s=LATE_REPORTS * LOOK_EVERY_S, scope=scope)
