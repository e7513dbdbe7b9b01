"""The oracle as a set of services: checks first, then one publisher per feed beside what they share.

Each feed is a service of its own, so one that fails is restarted alone while the others go on.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import aiohttp
from prometheus_client import CollectorRegistry

from seamark.core.errors import SettingsError
from seamark.evm.ports import ChainReader, TransactionSender
from seamark.oracle.checks import check_contract, check_publisher, pair_of
from seamark.oracle.housekeeping import Housekeeping
from seamark.oracle.metrics import FeedMeter, OracleMetrics
from seamark.oracle.model import Answer, FeedRef, Pair, Role
from seamark.oracle.plan import FeedPlan, make_plan, make_venues
from seamark.oracle.publisher import FeedPublisher
from seamark.oracle.settings import AdapterServerSettings, FeedSettings, OracleSettings, WatchSettings
from seamark.oracle.source_plan import Venues
from seamark.oracle.sources.adapter_server import AdapterServer
from seamark.oracle.sources.hubs import Sources
from seamark.oracle.watcher import FeedWatcher, WatchedFeed
from seamark.runtime.clock import Clock
from seamark.runtime.health import Health
from seamark.runtime.service import Service
from seamark.storage.database import Database
from seamark.storage.totals import read_totals

__all__ = ["Oracle", "OracleChain", "build_oracle"]


@dataclass(frozen=True, slots=True)
class OracleChain:
    """A chain as the oracle uses it. `sender` is needed where feeds are published."""

    reader: ChainReader
    sender: TransactionSender | None = None


@dataclass(frozen=True, slots=True)
class Oracle:
    """The services, ready to be supervised, and the publishers by feed name for those who push quotes themselves."""

    services: tuple[Service, ...]
    publishers: Mapping[str, FeedPublisher]
    metrics: OracleMetrics

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


async def build_oracle(
    settings: OracleSettings,
    *,
    chains: Mapping[str, OracleChain],
    database: Database,
    session: aiohttp.ClientSession,
    clock: Clock,
    registry: CollectorRegistry,
    names: Mapping[str, str] | None = None,
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

    Raises:
        SettingsError: A feed cannot work as configured; names the setting.
        TemporaryError: A chain or the database does not answer.
    """
    totals = await database.read(lambda connection: list(read_totals(connection, "oracle_")))
    readers = {name: chain.reader for name, chain in chains.items()}
    sources = Sources(session=session, clock=clock, chains=readers)
    venues = make_venues(settings.venues, chains)
    try:
        plans = [
            await _check_feed(feed, chains, venues, f"oracle.feeds[{index}]")
            for index, feed in enumerate(settings.feeds)
        ]
        _check_names(plans)
        watched = _watched(settings.watch, plans, chains)
    except SettingsError as error:
        raise _renamed(error, names or {}) from error
    metrics = OracleMetrics(registry)  # only now: what fails before this point can be done again
    metrics.restore(totals)
    parts = _Parts(chains, database, clock, metrics, sources)
    publishers = {plan.ref.name: parts.publisher(plan) for plan in plans}
    services: list[Service] = [sources, *publishers.values(), parts.housekeeping(plans)] if plans else []
    if settings.adapter is not None:
        services.append(_adapter(settings.adapter, publishers.values()))
    if watched:
        services.append(parts.watcher(watched, settings.watch_interval))
    return Oracle(tuple(services), publishers, metrics)


def _adapter(settings: AdapterServerSettings, publishers: Iterable[FeedPublisher]) -> AdapterServer:
    """Of two feeds for one pair the first is served."""
    feeds: dict[Pair, Callable[[], Answer | None]] = {}
    for publisher in publishers:
        feeds.setdefault(publisher.plan.pair, partial(_answer_of, publisher))
    return AdapterServer(feeds=feeds, host=settings.host, port=settings.port)


def _answer_of(publisher: FeedPublisher) -> Answer | None:
    return publisher.result if isinstance(publisher.result, Answer) else None


@dataclass(frozen=True, slots=True)
class _Parts:
    """What all services of the oracle share."""

    chains: Mapping[str, OracleChain]
    database: Database
    clock: Clock
    metrics: OracleMetrics
    sources: Sources

    def publisher(self, plan: FeedPlan) -> FeedPublisher:
        """With its sources subscribed."""
        chain = self.chains[plan.ref.chain]
        assert chain.sender is not None, "checked with the feed"
        meter = FeedMeter(self.metrics, plan.ref, plan.trigger, clock=self.clock)
        publisher = FeedPublisher(
            plan=plan,
            chain=chain.reader,
            sender=chain.sender,
            database=self.database,
            clock=self.clock,
            meter=meter,
        )
        for source in plan.sources:
            health = self.sources.subscribe(
                source, interval=plan.poll_interval, subscriber=publisher.on_report, feed=plan.ref.name
            )
            meter.watch_source(source.name, health)
        return publisher

    def housekeeping(self, plans: Sequence[FeedPlan]) -> Housekeeping:
        used = [(name, self.chains[name]) for name in sorted({plan.ref.chain for plan in plans})]
        chains = [(name, chain.reader, chain.sender) for name, chain in used if chain.sender is not None]
        return Housekeeping(chains=chains, database=self.database, clock=self.clock, metrics=self.metrics)

    def watcher(self, feeds: Sequence[WatchedFeed], interval: float) -> FeedWatcher:
        return FeedWatcher(
            feeds=feeds,
            chains={name: chain.reader for name, chain in self.chains.items()},
            database=self.database,
            clock=self.clock,
            metrics=self.metrics,
            interval=interval,
        )


async def _check_feed(settings: FeedSettings, chains: Mapping[str, OracleChain], venues: Venues, at: str) -> FeedPlan:
    chain = _chain(chains, settings.chain, f"{at}.chain")
    if chain.sender is None:
        raise SettingsError("oracle.signer", "no account to publish with", remedy="add signer")
    state = await check_contract(chain.reader, settings.aggregator, setting=f"{at}.aggregator")
    pair = pair_of(state, settings.pair, setting=f"{at}.pair")
    await check_publisher(chain.reader, settings.aggregator, chain.sender.address, setting="oracle.signer")
    ref = FeedRef(settings.name or str(pair), settings.chain, chain.reader.chain_id, settings.aggregator)
    return make_plan(settings, ref, pair, venues, at=at)


def _chain(chains: Mapping[str, OracleChain], name: str, setting: str) -> OracleChain:
    if name not in chains:
        known = ", ".join(sorted(chains)) or "none"
        raise SettingsError(setting, f"there is no chain {name!r}", remedy=f"name one of those under chains: {known}")
    return chains[name]


def _check_names(plans: Sequence[FeedPlan]) -> None:
    seen: set[str] = set()
    for index, plan in enumerate(plans):
        if plan.ref.name in seen:
            raise SettingsError(
                f"oracle.feeds[{index}].name", f"two feeds are called {plan.ref.name}", remedy="give one another name"
            )
        seen.add(plan.ref.name)


def _watched(
    settings: Sequence[WatchSettings], plans: Sequence[FeedPlan], chains: Mapping[str, OracleChain]
) -> list[WatchedFeed]:
    published = {plan.ref.name: plan.trigger for plan in plans}
    feeds = []
    for index, item in enumerate(settings):
        chain = _chain(chains, item.chain, f"oracle.watch[{index}].chain")
        trigger = published.get(item.name)
        heartbeat = item.heartbeat or (trigger.heartbeat if trigger else None)
        ref = FeedRef(item.name, item.chain, chain.reader.chain_id, item.address, Role(item.role))
        feeds.append(WatchedFeed(ref, heartbeat, trigger.deviation if trigger else None))
    return feeds


def _renamed(error: SettingsError, names: Mapping[str, str]) -> SettingsError:
    return SettingsError(names.get(error.setting, error.setting), error.problem, remedy=error.remedy)
