"""One process: settings in, running services out.

    open_application(settings, {"oracle", "ccip-monitor", "api"})
        database, HTTP session, chains (checked)  ->  senders, publishers, trackers, API  ->  probes, supervisor

Everything that can be wrong with the settings is found before the first service starts, as one line that names the
setting.
"""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Collection, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any, Final

import aiohttp
import structlog
from prometheus_client import (
    CollectorRegistry,
    Gauge,
    PlatformCollector,
    ProcessCollector,
    disable_created_metrics,
    generate_latest,
)

import seamark
from seamark.api.service import ApiService
from seamark.app.alerts import Alerts, open_alerting
from seamark.app.chains import Chains
from seamark.app.checks import ccip_check_service
from seamark.app.drift import DriftMeter
from seamark.app.interop import open_interop
from seamark.app.monitors import MONITORS, message_monitor
from seamark.app.names import API, CCIP_MONITOR, INTEROP_MONITOR, ORACLE
from seamark.app.naming import calling
from seamark.app.page import build_api
from seamark.app.publishing import DryRun, Publishing, open_publishing
from seamark.app.reload import Reloader, SettingsFile
from seamark.app.replicas import stalled_after
from seamark.app.retention import RetentionService
from seamark.app.verification import verification_watch
from seamark.evm.crypto import assert_fast_backends
from seamark.evm.metrics import RpcMetrics, TransactionMetrics
from seamark.messages.metrics import MessageMetrics
from seamark.messages.service import ChainTracker
from seamark.monitoring.alerts.model import Scope
from seamark.oracle.service import Oracle
from seamark.runtime.clock import Clock, SystemClock
from seamark.runtime.events import Signal
from seamark.runtime.health import Health, HealthRegistry
from seamark.runtime.http import make_session
from seamark.runtime.http_probes import Listen, ProbeServer
from seamark.runtime.process import calm_collector, tune_for_latency
from seamark.runtime.service import Service, Supervisor
from seamark.settings import Settings
from seamark.storage.database import Database, open_database
from seamark.storage.events import trim_events

if TYPE_CHECKING:
    from seamark.oracle.reporting.node import PlannedFeed

__all__ = ["Application", "open_application"]


TRIM_EVERY_S: Final = 600.0
KEPT_TOPICS: Final = ("recovery.built", "recovery.sent", "resend.begun", "resend.sent", "oracle.accepted")
"""What people did, with who and why: recorded nowhere else, and counted by `recovery.policy`."""

log = structlog.get_logger("seamark.app")


@dataclass(slots=True)
class Application:
    """What runs in this process, ready to run."""

    settings: Settings
    database: Database
    health: HealthRegistry
    registry: CollectorRegistry
    signal: Signal
    clock: Clock
    probes: ProbeServer
    services: list[Service] = field(default_factory=list)
    oracle: Oracle | None = None
    trackers: list[ChainTracker] = field(default_factory=list)
    api: ApiService | None = None
    alerts: Alerts | None = None
    publishing: Publishing | None = None
    _supervisor: Supervisor | None = None
    _restarts: Gauge | None = None

    async def run(self) -> None:
        """Until cancelled; raises a `StopError` when only a person can help."""
        self._supervisor = Supervisor(self.services, clock=self.clock)
        self._restarts = Gauge(
            "seamark_service_restarts", "Times a service was started again.", ("service",), registry=self.registry
        )
        for service in self.services:
            self._count_restarts(service)
        await self._supervisor.run()

    def add(self, service: Service) -> None:
        """Run one more service."""
        self.services.append(service)
        if self._supervisor is not None:
            self._supervisor.add(service)
            self._count_restarts(service)

    async def remove(self, service: Service) -> None:
        """End a service; returns when it has ended."""
        if service in self.services:
            self.services.remove(service)
        if self._supervisor is not None:
            await self._supervisor.remove(service)

    def _count_restarts(self, service: Service) -> None:
        assert self._supervisor is not None, "it runs"
        assert self._restarts is not None, "it runs"
        restarts = self._supervisor.restarts
        self._restarts.labels(service.name).set_function(partial(restarts.__getitem__, service.name))


class EventTrimmer:
    """Keeps the event log short. A `Service`."""

    name = "event-log"

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock

    async def run(self) -> None:
        while True:
            removed = await self._database.write(partial(trim_events, spare=KEPT_TOPICS))
            if removed:
                log.debug("events trimmed", removed=removed)
            await self._clock.sleep(TRIM_EVERY_S)


@asynccontextmanager
async def open_application(
    settings: Settings,
    wanted: Collection[str],
    *,
    names: Mapping[str, str] | None = None,
    clock: Clock | None = None,
    file: SettingsFile | None = None,
    dry_run: DryRun | None = None,
) -> AsyncIterator[Application]:
    """Open everything that the wanted services need; close it at the end.

    Args:
        wanted: Some of `SERVICES`.
        names: What the user calls a setting, where it is not its dotted path.
        clock: Time.
        file: Where the settings come from, to be read again when it changes.
        dry_run: Publish nothing.

    Raises:
        SettingsError: Something does not fit the world; names the setting and the remedy.
    """
    assert_fast_backends()
    tune_for_latency()
    calm_collector()
    clock = clock or SystemClock()
    async with AsyncExitStack() as stack:
        with calling(names or {}):
            app = await _open(stack, settings, wanted, clock, dry_run)
        if file is not None:
            _add_reload(app, file, wanted)
        yield app


def _add_reload(app: Application, file: SettingsFile, wanted: Collection[str]) -> None:
    reloader = Reloader(
        file, app.settings, wanted, publishing=app.publishing, host=app, registry=app.registry, clock=app.clock
    )
    app.services.append(reloader)
    app.health.register("settings", reloader.health, required=False)


async def _open(
    stack: AsyncExitStack, settings: Settings, wanted: Collection[str], clock: Clock, dry_run: DryRun | None = None
) -> Application:
    database = await open_database(settings.database, stalled_s=stalled_after(settings.oracle.replicas), busy=True)
    stack.push_async_callback(database.close)
    registry = _registry()
    health = HealthRegistry()
    health.register("database", lambda: _database_health(database))
    probes = _probes(settings, registry, health)
    app = Application(settings, database, health, registry, Signal(), clock, probes)
    session = await stack.enter_async_context(make_session())
    chains = Chains(settings.chains, session, clock, RpcMetrics(registry), settings.start_timeout)
    stack.push_async_callback(chains.close)
    await chains.open(_used_chains(settings, wanted), needed=_oracle_chains(settings, wanted))
    for item in chains.opened.values():
        health.register(f"chain {item.name}", item.health)
    await _add_alerts(app, session, wanted)
    if ORACLE in wanted:
        await _add_oracle(app, chains, stack, dry_run)
    for name in MONITORS:
        if name in wanted:
            await _add_monitor(app, chains, name)
    if API in wanted:
        _add_api(app)
    app.services.append(EventTrimmer(database, clock))
    if settings.retention.anything:
        app.services.append(RetentionService(settings.retention, database=database, clock=clock))
    await stack.enter_async_context(probes)
    return app


async def _add_alerts(app: Application, session: aiohttp.ClientSession, wanted: Collection[str]) -> None:
    """First of all: whoever comes after it has somebody to report to."""
    app.alerts = await open_alerting(
        app.settings,
        [name for name in wanted if name != API],
        database=app.database,
        session=session,
        registry=app.registry,
        health=app.health,
        signal=app.signal,
        clock=app.clock,
        scope=_scope(app.settings, wanted),
    )
    app.services += app.alerts.services


async def _add_oracle(app: Application, chains: Chains, stack: AsyncExitStack, dry_run: DryRun | None) -> None:
    planned = await _plan_reporting(app, chains)
    app.publishing = await open_publishing(
        app.settings,
        chains=chains,
        stack=stack,
        database=app.database,
        registry=app.registry,
        clock=app.clock,
        also_watched=tuple(item.watch for item in planned),
        dry_run=dry_run,
    )
    app.oracle = app.publishing.oracle
    app.services += [*app.publishing.services(), DriftMeter(app.database, app.registry, app.clock)]
    app.health.register("oracle", app.oracle.health, required=False)
    if app.publishing.replicas is not None:
        app.health.register("lead", app.publishing.replicas.health, required=False)
    if planned:
        await _add_reporting(app, chains, stack, planned, app.publishing.metrics)


async def _plan_reporting(app: Application, chains: Chains) -> list[PlannedFeed]:
    if app.settings.oracle.reporting is None:
        return []
    from seamark.app.reporting import plan_reporting  # noqa: PLC0415 - gRPC takes a while; few processes are nodes

    return await plan_reporting(app.settings, chains, app.clock)


async def _add_reporting(
    app: Application, chains: Chains, stack: AsyncExitStack, planned: list[PlannedFeed], metrics: TransactionMetrics
) -> None:
    from seamark.app.reporting import open_reporting  # noqa: PLC0415 - as above

    assert app.oracle is not None, "added before"
    opened = await open_reporting(
        app.settings,
        planned,
        chains=chains,
        stack=stack,
        database=app.database,
        clock=app.clock,
        registry=app.registry,
        transactions=metrics,
        oracle_metrics=app.oracle.metrics,
    )
    app.services += [*opened.senders.values(), *opened.node.services]
    app.health.register("reporting", opened.node.health, required=False)


async def _add_monitor(app: Application, chains: Chains, name: str) -> None:
    kind = MONITORS[name]
    kind.check(app.settings)
    extra: dict[str, Any] = {}
    if name == INTEROP_MONITOR:
        extra = await _add_interop(app, chains)
    monitor = await message_monitor(
        kind.protocol(app.settings),
        settings=app.settings,
        chains=chains,
        database=app.database,
        registry=app.registry,
        signal=app.signal,
        clock=app.clock,
        alerts=app.alerts,
        **extra,
    )
    app.trackers += monitor.trackers
    app.services += monitor.trackers
    for tracker in monitor.trackers:
        app.health.register(tracker.name, tracker.health)
    for service in (monitor.judging.judge, monitor.judging.reconciler):
        app.services.append(service)
        app.health.register(service.name, service.health, required=False)
    if name == CCIP_MONITOR:
        _add_checks(app, chains)
        _add_verification(app, chains, monitor.metrics)


async def _add_interop(app: Application, chains: Chains) -> dict[str, Any]:
    """What judges executing messages; what the trackers' streams need for it."""
    interop = await open_interop(
        app.settings,
        chains=chains,
        database=app.database,
        registry=app.registry,
        alerts=app.alerts,
        session=chains.session,
        clock=app.clock,
    )
    app.services += interop.services
    for checker in interop.checkers:
        app.health.register(checker.name, checker.health, required=False)
    if interop.failsafe is not None:
        app.health.register(interop.failsafe.name, interop.failsafe.health, required=False)
    return {"wrap": interop.wrap, "finality_interval_s": app.settings.interop.finality_interval}


def _add_checks(app: Application, chains: Chains) -> None:
    checks = ccip_check_service(
        app.settings,
        chains=chains,
        database=app.database,
        registry=app.registry,
        alerts=app.alerts,
        clock=app.clock,
    )
    app.services.append(checks)
    app.health.register(checks.name, checks.health, required=False)


def _add_verification(app: Application, chains: Chains, metrics: MessageMetrics) -> None:
    watch = verification_watch(
        app.settings,
        chains=chains,
        database=app.database,
        metrics=metrics,
        registry=app.registry,
        signal=app.signal,
        clock=app.clock,
    )
    if watch is not None:
        app.services.append(watch)
        app.health.register(watch.name, watch.health, required=False)


def _add_api(app: Application) -> None:
    app.api = build_api(
        app.settings,
        version=seamark.__version__,
        database=app.database,
        health=app.health,
        metrics=lambda: generate_latest(app.registry),
        signal=app.signal,
        clock=app.clock,
        oracle=app.oracle,
    )
    app.api.bind()
    app.services.append(app.api)


def _oracle_chains(settings: Settings, wanted: Collection[str]) -> list[str]:
    if ORACLE not in wanted:
        return []
    oracle = settings.oracle
    used = [feed.chain for feed in oracle.feeds] + [feed.chain for feed in oracle.watch]
    return used if oracle.reporting is None else used + [feed.chain for feed in oracle.reporting.feeds]


def _used_chains(settings: Settings, wanted: Collection[str]) -> list[str]:
    used = _oracle_chains(settings, wanted)
    for name, kind in MONITORS.items():
        if name in wanted:
            used += kind.chains(settings)
    return used


def _scope(settings: Settings, wanted: Collection[str]) -> Scope:
    """What this process looks at, of all that processes with the same services may: its chains, and its feeds."""
    chains = {str(settings.chains[name].chain_id): name for name in _used_chains(settings, wanted)}
    if ORACLE not in wanted:
        return Scope.of(chains)
    names = [feed.name or feed.aggregator for feed in settings.oracle.feeds]
    names += [watched.name for watched in settings.oracle.watch]
    return Scope.of({**chains, **{f"feed {name}": name for name in names}}, noun="chains and feeds")


def _registry() -> CollectorRegistry:
    disable_created_metrics()  # type: ignore[no-untyped-call]  # when each series began is of no use here, and doubles the number of lines
    registry = CollectorRegistry()
    ProcessCollector(registry=registry)
    PlatformCollector(registry=registry)
    info = Gauge("seamark_build_info", "Always 1; the version is a label.", ("version",), registry=registry)
    info.labels(seamark.__version__).set(1)
    Gauge("seamark_start_time_seconds", "When this process started.", registry=registry).set(time.time())
    return registry


def _probes(settings: Settings, registry: CollectorRegistry, health: HealthRegistry) -> ProbeServer:
    return ProbeServer(
        metrics=lambda: generate_latest(registry),
        health=health,
        metrics_at=Listen(settings.metrics.host, settings.metrics.port, "metrics.port"),
        health_at=Listen(settings.health.host, settings.health.port, "health.port"),
    )


async def _database_health(database: Database) -> Health:
    await database.read(lambda connection: connection.exec_driver_sql("SELECT 1").scalar())
    return Health.ok(database.url)
