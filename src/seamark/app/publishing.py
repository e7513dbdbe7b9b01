"""The oracle in this process: one signer, a sender for each chain that is published on, and what comes and goes later.

    open_publishing(...)  ->  Publishing  --prepare(settings)-->  Prepared  --apply(prepared)-->  what runs is changed

`prepare` opens chains and asks contracts; it fails without a trace. `apply` cannot fail. A sender whose feeds are gone
stays: what it sent is still followed. A rehearsal (`--dry-run`) has senders that send nothing, and needs no key.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from functools import partial
from typing import Protocol, TypeAlias

import structlog
from prometheus_client import CollectorRegistry

from seamark.app.chains import Chains, make_dry_sender, make_sender, open_settings_signer
from seamark.app.patience import patiently
from seamark.app.replicas import Replicas, open_replicas
from seamark.core.errors import SettingsError
from seamark.core.ids import Address
from seamark.evm.address import ZERO_ADDRESS
from seamark.evm.metrics import TransactionMetrics
from seamark.evm.ports import Signer
from seamark.evm.transactions import Sender
from seamark.evm.transactions.dry import DrySender
from seamark.monitoring.settings import AlertSettings
from seamark.oracle.publisher import FeedPublisher
from seamark.oracle.rehearsal import Rehearsal
from seamark.oracle.service import Changes, Oracle, OracleChain, Preparation, build_oracle
from seamark.oracle.settings import OracleSettings, WatchSettings
from seamark.runtime.clock import Clock
from seamark.runtime.health import HealthRegistry
from seamark.runtime.service import Service
from seamark.settings import Settings
from seamark.storage.database import Database

__all__ = ["DryRun", "Prepared", "Publishing", "ServiceHost", "apart", "open_publishing"]

log = structlog.get_logger("seamark.app")

AnySender: TypeAlias = Sender | DrySender


@dataclass(frozen=True, slots=True)
class DryRun:
    """Publish nothing. `account`: who would pay; None: the signer's, if its key is here."""

    account: Address | None = None


def apart(settings: Settings) -> Settings:
    """Settings for a process beside the real one: database in memory, free ports; no replica, no node, no notices."""
    free = {"port": 0}
    alone = settings.oracle.model_copy(update={"adapter": None, "replicas": None, "reporting": None})
    changed = settings.with_changes(database="sqlite://", api=free, metrics=free, health=free)
    return changed.model_copy(update={"oracle": alone, "alerts": AlertSettings()})


class ServiceHost(Protocol):
    """The process: services come and go, and so does what they say of their health."""

    @property
    def health(self) -> HealthRegistry: ...

    def add(self, service: Service) -> None: ...

    async def remove(self, service: Service) -> None: ...


@dataclass(frozen=True, slots=True)
class Prepared:
    """A change that nothing can stop any more."""

    oracle: Preparation
    senders: Mapping[str, AnySender]
    new_chains: tuple[str, ...]


@dataclass(slots=True)
class Publishing:
    """What the oracle's services run on."""

    oracle: Oracle
    senders: dict[str, AnySender]
    metrics: TransactionMetrics
    replicas: Replicas | None
    _desk: _Desk
    _chains: Chains
    _also_watched: tuple[WatchSettings, ...] = ()
    _led: dict[int, Service] = field(default_factory=dict)

    @property
    def opened(self) -> list[str]:
        """The names of the chains in use."""
        return list(self._chains.opened)

    def services(self) -> list[Service]:
        """All that has to run, each as this replica runs it."""
        senders = [sender for sender in self.senders.values() if isinstance(sender, Sender)]
        services = [self.as_led(service) for service in (*senders, *self.oracle.services)]
        return services if self.replicas is None else [self.replicas.elector, *services]

    def as_led(self, service: Service) -> Service:
        """A service as this replica runs it."""
        led = service if self.replicas is None else self.replicas.led(service)
        self._led[id(service)] = led
        return led

    def led_before(self, service: Service) -> Service:
        """What `as_led` made of it."""
        return self._led.pop(id(service), service)

    async def prepare(self, settings: Settings) -> Prepared:
        """Open and ask what is new, for other settings.

        Raises:
            SettingsError: They cannot work; names the setting. Nothing has changed.
            TemporaryError: A node does not answer. Nothing has changed.
        """
        known = self._chains.settings
        self._chains.settings = {**settings.chains, **{name: known[name] for name in self._chains.opened}}
        wanted = settings.oracle
        used = [feed.chain for feed in wanted.feeds] + [feed.chain for feed in wanted.watch]
        new = [name for name in dict.fromkeys(used) if name not in self._chains.opened]
        try:
            await self._chains.open(new)
            publishing = {feed.chain for feed in wanted.feeds} if self._desk.address else set()
            senders = {name: self._desk.sender(name) for name in publishing - self.senders.keys()}
            chains = self._desk.oracle_chains({**self.senders, **senders})
            oracle = await self.oracle.prepare(_with_watched(wanted, self._also_watched), chains)
        except BaseException:
            self._chains.settings = known
            for name in new:
                await self._chains.forget(name)
            raise
        return Prepared(oracle, senders, tuple(new))

    async def apply(self, prepared: Prepared, host: ServiceHost) -> Changes:
        """Become what was prepared."""
        for name in prepared.new_chains:
            host.health.register(f"chain {name}", self._chains.opened[name].health)
        for name, sender in prepared.senders.items():
            self.senders[name] = sender
            self._desk.close_at_the_end(sender)
            if isinstance(sender, Sender):
                if self.replicas is not None:
                    self.replicas.prepare.append(sender.forget)
                host.add(self.as_led(sender))
        return await self.oracle.apply(prepared.oracle, _LedHost(self, host))


@dataclass(frozen=True, slots=True)
class _LedHost:
    """Hands services over as this replica runs them."""

    publishing: Publishing
    host: ServiceHost

    def add(self, service: Service) -> None:
        self.host.add(self.publishing.as_led(service))

    async def remove(self, service: Service) -> None:
        await self.host.remove(self.publishing.led_before(service))


@dataclass(slots=True)
class _Desk:
    """Makes senders of the one account."""

    chains: Chains
    signer: Signer | None
    address: Address | None
    database: Database
    clock: Clock
    metrics: TransactionMetrics
    stack: AsyncExitStack
    dry: bool

    def sender(self, name: str) -> AnySender:
        item = self.chains.opened[name]
        if self.dry or self.signer is None:
            return make_dry_sender(item, self.address or ZERO_ADDRESS, clock=self.clock)
        return make_sender(item, self.signer, database=self.database, clock=self.clock, metrics=self.metrics)

    def close_at_the_end(self, sender: AnySender) -> None:
        """Before chains and database: a running commit needs them."""
        if isinstance(sender, Sender):
            self.stack.push_async_callback(sender.close)

    def oracle_chains(self, senders: Mapping[str, AnySender]) -> dict[str, OracleChain]:
        return {name: OracleChain(item.chain, senders.get(name)) for name, item in self.chains.opened.items()}


async def open_publishing(
    settings: Settings,
    *,
    chains: Chains,
    stack: AsyncExitStack,
    database: Database,
    registry: CollectorRegistry,
    clock: Clock,
    also_watched: tuple[WatchSettings, ...] = (),
    dry_run: DryRun | None = None,
) -> Publishing:
    """Open the signer, check every feed, and put it together.

    Args:
        settings: All of them; those of the oracle count.
        chains: Opened, those that are used.
        stack: Closes senders and gives back the lead at the end.
        database: Open.
        registry: For metrics.
        clock: Time.
        also_watched: Feeds that are watched though the settings do not list them.
        dry_run: Publish nothing.

    Raises:
        SettingsError: Something does not fit; names the setting.
    """
    wanted = settings.oracle
    if not wanted.feeds and not wanted.watch and wanted.reporting is None:
        raise SettingsError(
            "oracle.feeds", "is empty", remedy="add a feed to publish, or one to watch under oracle.watch"
        )
    signer, address = await _account(settings, chains, database, clock, dry_run)
    replicas = None
    if wanted.replicas is not None and signer is not None and dry_run is None:
        replicas = open_replicas(
            wanted.replicas,
            signer=signer.address,
            database=database,
            url=settings.database,
            session=chains.session,
            clock=clock,
            registry=registry,
        )
        stack.push_async_callback(replicas.elector.close)  # after the senders: a running commit is of our term
    fenced = database if replicas is None else replicas.database
    metrics = TransactionMetrics(registry)
    desk = _Desk(chains, signer, address, fenced, clock, metrics, stack, dry_run is not None)
    senders: dict[str, AnySender] = {}
    for name in {feed.chain for feed in wanted.feeds} if address else ():
        senders[name] = desk.sender(name)
        desk.close_at_the_end(senders[name])
    make: Callable[..., FeedPublisher] = FeedPublisher if dry_run is None else Rehearsal
    build = partial(
        build_oracle,
        _with_watched(wanted, also_watched),
        chains=desk.oracle_chains(senders),
        database=fenced,
        session=chains.session,
        clock=clock,
        registry=registry,
        make=make,
    )
    oracle = await patiently(build, clock=clock, limit_s=settings.start_timeout, what="check the feeds")
    if replicas is not None:
        replicas.prepare += [sender.forget for sender in senders.values() if isinstance(sender, Sender)]
    return Publishing(oracle, senders, metrics, replicas, desk, chains, also_watched)


def _with_watched(settings: OracleSettings, more: tuple[WatchSettings, ...]) -> OracleSettings:
    return settings.model_copy(update={"watch": (*settings.watch, *more)}) if more else settings


async def _account(
    settings: Settings, chains: Chains, database: Database, clock: Clock, dry_run: DryRun | None
) -> tuple[Signer | None, Address | None]:
    """Who publishes. A rehearsal goes on without a key: `ZERO_ADDRESS`."""
    if dry_run is not None and dry_run.account is not None:
        return None, dry_run.account
    if settings.oracle.signer is None:
        return None, None
    try:
        signer = await open_settings_signer(
            settings.oracle.signer,
            "oracle.signer",
            session=chains.session,
            clock=clock,
            database=database,
            patience_s=settings.start_timeout if dry_run is None else 0.0,
        )
    except SettingsError as error:
        if dry_run is None:
            raise
        log.warning("no account: permission and gas are not asked for; --account names one", reason=str(error))
        return None, ZERO_ADDRESS
    return signer, signer.address
