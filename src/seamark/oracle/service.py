"""The oracle as a set of services: checks first, then one publisher per feed beside what they share.

Each feed is a service of its own, so one that fails is restarted alone while the others go on. Other settings may come
while all of it runs: `prepare` asks everything that can be asked without touching what runs, `apply` then changes it.

    same contract and pair   the publisher stays, with what it knows and has in flight, and follows the new plan
    no longer named          its publisher ends once nothing is in flight, and its gauges vanish
    new                      a publisher of its own, checked as at the start
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Final, Protocol

import aiohttp
from prometheus_client import CollectorRegistry

from seamark.core.errors import SettingsError
from seamark.oracle.assembly import Known, OracleChain, Parts, check_feeds, watched_feeds
from seamark.oracle.housekeeping import Housekeeping
from seamark.oracle.metrics import OracleMetrics
from seamark.oracle.model import Answer, Pair
from seamark.oracle.plan import FeedPlan
from seamark.oracle.publisher import FeedPublisher
from seamark.oracle.settings import OracleSettings
from seamark.oracle.sources.adapter_server import AdapterServer
from seamark.oracle.sources.hubs import Sources
from seamark.oracle.watcher import FeedWatcher, WatchedFeed
from seamark.runtime.clock import Clock
from seamark.runtime.health import Health
from seamark.runtime.service import Service
from seamark.storage.database import Database
from seamark.storage.totals import read_totals

__all__ = ["Changes", "Host", "Oracle", "OracleChain", "Preparation", "build_oracle"]


RETIRE_S: Final = 20.0
"""How long the end of a feed waits for what it has in flight, so that its row is stored too."""


class Host(Protocol):
    """Runs services that come and go (`runtime.service.Supervisor`)."""

    def add(self, service: Service) -> None: ...

    async def remove(self, service: Service) -> None: ...


@dataclass(frozen=True, slots=True)
class Preparation:
    """Other settings, checked: nothing can be wrong with them any more."""

    settings: OracleSettings
    chains: Mapping[str, OracleChain]
    plans: tuple[FeedPlan, ...]
    watched: tuple[WatchedFeed, ...]


@dataclass(frozen=True, slots=True)
class Changes:
    """What became of the feeds, by name."""

    added: tuple[str, ...] = ()
    removed: tuple[str, ...] = ()
    changed: tuple[str, ...] = ()


@dataclass(slots=True)
class Oracle:
    """The services, ready to be supervised, and the publishers by feed name for those who push quotes themselves."""

    publishers: dict[str, FeedPublisher]
    metrics: OracleMetrics
    _parts: Parts
    _settings: OracleSettings
    _served: dict[Pair, Callable[[], Answer | None]] = field(default_factory=dict)
    _adapter: AdapterServer | None = None
    _watched: tuple[WatchedFeed, ...] = ()
    _watcher: FeedWatcher | None = None
    _housekeeping: Housekeeping | None = None

    def __post_init__(self) -> None:
        if self.publishers:
            self._housekeeping = self._parts.housekeeping(self._chains_used())
        adapter = self._settings.adapter
        if adapter is not None:
            self._adapter = AdapterServer(feeds=self._served, host=adapter.host, port=adapter.port, names=adapter.names)
        if self._watched:
            self._watcher = self._parts.watcher(self._watched, self._settings.watch_interval)
        self._serve()

    @property
    def services(self) -> tuple[Service, ...]:
        """All that has to run."""
        sources = [self._parts.sources] if self.publishers else []
        others = [item for item in (self._housekeeping, self._adapter, self._watcher) if item is not None]
        return (*sources, *self.publishers.values(), *others)

    async def health(self) -> Health:
        """Whether every feed has an answer and is fresh on chain."""
        problems = [
            f"{publisher.plan.ref.name}: {problem}"
            for publisher in self.publishers.values()
            if (problem := publisher.problem()) is not None
        ]
        if problems:
            return Health.degraded("; ".join(problems[:5]))
        return Health.ok(f"{len(self.publishers)} feeds")

    # ---- other settings ---------------------------------------------------------------------------------------------

    async def prepare(self, settings: OracleSettings, chains: Mapping[str, OracleChain]) -> Preparation:
        """Check other settings while everything goes on. Only contracts that are new here are asked.

        Raises:
            SettingsError: A feed cannot work as configured; names the setting.
            TemporaryError: A chain does not answer.
        """
        plans = await check_feeds(settings, chains, self._known())
        return Preparation(settings, chains, tuple(plans), watched_feeds(settings.watch, plans, chains))

    def _known(self) -> Known:
        declared = {(feed.chain, feed.aggregator): (feed.pair, feed.contract) for feed in self._settings.feeds}
        plans = [publisher.plan for publisher in self.publishers.values()]
        places = [(plan.ref.chain, plan.ref.address) for plan in plans]
        return {
            (*place, *declared[place]): (plan.pair, plan.contract) for place, plan in zip(places, plans, strict=True)
        }

    async def apply(self, wanted: Preparation, host: Host) -> Changes:
        """Become what was prepared. Feeds whose plan is the same notice nothing."""
        had_feeds, old_interval = bool(self.publishers), self._settings.watch_interval
        self._settings, self._parts.chains = wanted.settings, wanted.chains
        self._parts.sources.add_chains({name: chain.reader for name, chain in wanted.chains.items()})
        plans = {plan.ref.name: plan for plan in wanted.plans}
        gone = [name for name, one in self.publishers.items() if not _continues(one.plan, plans.get(name))]
        for name in gone:
            await self._remove(name, host)
        changed = [name for name, one in self.publishers.items() if one.plan != plans[name]]
        for name in changed:
            await self._parts.change(self.publishers[name], plans[name])
        added = [name for name in plans if name not in self.publishers]
        for name in added:
            self.publishers[name] = self._parts.publisher(plans[name])
            host.add(self.publishers[name])
        if self.publishers and not had_feeds:
            host.add(self._parts.sources)
        self._serve()
        await self._keep_house(host)
        await self._watch(wanted.watched, host, anew=old_interval != wanted.settings.watch_interval)
        return Changes(tuple(added), tuple(gone), tuple(changed))

    async def _remove(self, name: str, host: Host) -> None:
        publisher = self.publishers.pop(name)
        self._parts.sources.drop(name)
        await publisher.retire(RETIRE_S)
        await host.remove(publisher)
        self.metrics.forget(publisher.plan.ref)

    async def _keep_house(self, host: Host) -> None:
        """On more chains than before, where feeds came on others. Chains that are left are looked after till the end:
        what was published there may still change.
        """
        old, used = self._housekeeping, self._chains_used()
        if used and (old is None or not set(used) <= set(old.chains)):
            self._housekeeping = self._parts.housekeeping(sorted({*used, *(old.chains if old else ())}))
            await _replace(host, old, self._housekeeping)

    async def _watch(self, watched: tuple[WatchedFeed, ...], host: Host, *, anew: bool) -> None:
        if watched == self._watched and not anew:
            return
        old, self._watched = self._watcher, watched
        self._watcher = self._parts.watcher(watched, self._settings.watch_interval) if watched else None
        await _replace(host, old, self._watcher)

    def _chains_used(self) -> list[str]:
        return sorted({publisher.plan.ref.chain for publisher in self.publishers.values()})

    def _serve(self) -> None:
        """Of two feeds for one pair the first is served."""
        self._served.clear()
        for publisher in self.publishers.values():
            self._served.setdefault(publisher.plan.pair, partial(_answer_of, publisher))


def _continues(old: FeedPlan, new: FeedPlan | None) -> bool:
    return new is not None and (old.ref, old.pair, old.contract) == (new.ref, new.pair, new.contract)


async def _replace(host: Host, old: Service | None, new: Service | None) -> None:
    if old is not None:
        await host.remove(old)
    if new is not None:
        host.add(new)


def _answer_of(publisher: FeedPublisher) -> Answer | None:
    return publisher.result if isinstance(publisher.result, Answer) else None


async def build_oracle(
    settings: OracleSettings,
    *,
    chains: Mapping[str, OracleChain],
    database: Database,
    session: aiohttp.ClientSession,
    clock: Clock,
    registry: CollectorRegistry,
    names: Mapping[str, str] | None = None,
    make: Callable[..., FeedPublisher] = FeedPublisher,
) -> Oracle:
    """Check every feed against its chain and put the services together.

    Args:
        settings: What to publish and watch.
        chains: By the names that the settings use.
        database: Open and migrated.
        session: For the venues; the caller closes it.
        clock: Time.
        registry: Where the metrics go.
        names: What the user calls a setting, where it is not its dotted path (environment variables).
        make: Makes the publisher of a feed.

    Raises:
        SettingsError: A feed cannot work as configured; names the setting.
        TemporaryError: A chain or the database does not answer.
    """
    totals = await database.read(lambda connection: list(read_totals(connection, "oracle_")))
    try:
        plans = await check_feeds(settings, chains, {})
        watched = watched_feeds(settings.watch, plans, chains)
    except SettingsError as error:
        raise _renamed(error, names or {}) from error
    readers = {name: chain.reader for name, chain in chains.items()}
    sources = Sources(session=session, clock=clock, chains=readers)
    metrics = OracleMetrics(registry)  # only now: what fails before this point can be done again
    metrics.restore(totals)
    metrics.watch_budgets(sources.budgets)
    parts = Parts(chains, database, clock, metrics, sources, make)
    publishers = {plan.ref.name: parts.publisher(plan) for plan in plans}
    return Oracle(publishers, metrics, parts, settings, _watched=watched)


def _renamed(error: SettingsError, names: Mapping[str, str]) -> SettingsError:
    return SettingsError(names.get(error.setting, error.setting), error.problem, remedy=error.remedy)
