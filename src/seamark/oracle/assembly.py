"""The parts that the oracle is put together from, and the questions that each feed has to pass first."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace

from seamark.core.errors import SettingsError
from seamark.evm.address import ZERO_ADDRESS
from seamark.evm.ports import ChainReader, TransactionSender
from seamark.oracle.checks import check_contract, pair_of
from seamark.oracle.housekeeping import Housekeeping
from seamark.oracle.metrics import FeedMeter, OracleMetrics
from seamark.oracle.model import ContractKind, FeedRef, Pair, Role
from seamark.oracle.plan import FeedPlan, make_plan
from seamark.oracle.publisher import FeedPublisher
from seamark.oracle.settings import FeedSettings, OracleSettings, WatchSettings
from seamark.oracle.source_plan import Venues, make_venues
from seamark.oracle.sources.hubs import Sources
from seamark.oracle.store import register_feed
from seamark.oracle.targets.find import find_target
from seamark.oracle.targets.target import Where
from seamark.oracle.watcher import FeedWatcher, WatchedFeed
from seamark.runtime.clock import Clock
from seamark.runtime.leadership import NotLeadingError
from seamark.storage.database import Database

__all__ = ["Known", "OracleChain", "Parts", "check_feeds", "watched_feeds"]

Known = Mapping[tuple[str, str, Pair | None, ContractKind | None], tuple[Pair, ContractKind]]
"""What a contract prices and is: (chain, its address, the pair and kind that were declared) to pair and kind."""


@dataclass(frozen=True, slots=True)
class OracleChain:
    """A chain as the oracle uses it. `sender` is needed where feeds are published."""

    reader: ChainReader
    sender: TransactionSender | None = None


@dataclass(slots=True)
class Parts:
    """What all services of the oracle share. `make` makes the publisher of a feed."""

    chains: Mapping[str, OracleChain]
    database: Database
    clock: Clock
    metrics: OracleMetrics
    sources: Sources
    make: Callable[..., FeedPublisher] = FeedPublisher

    def publisher(self, plan: FeedPlan) -> FeedPublisher:
        """With its sources subscribed."""
        chain = self.chains[plan.ref.chain]
        assert chain.sender is not None, "checked with the feed"
        publisher = self.make(
            plan=plan,
            chain=chain.reader,
            sender=chain.sender,
            database=self.database,
            clock=self.clock,
            meter=FeedMeter(self.metrics, plan.ref, plan.trigger, clock=self.clock),
        )
        self._subscribe(publisher, plan)
        return publisher

    async def change(self, publisher: FeedPublisher, plan: FeedPlan) -> None:
        """Have it follow another plan of the same contract and pair; its sources go on where they are the same."""
        old = publisher.plan
        publisher.change(plan)
        if (old.sources, old.poll_interval) != (plan.sources, plan.poll_interval):
            self.sources.drop(plan.ref.name)
            for source in {source.name for source in old.sources} - {source.name for source in plan.sources}:
                self.metrics.forget_source(plan.ref, source)
            self._subscribe(publisher, plan)
        trigger = plan.trigger
        with suppress(NotLeadingError):  # a replica that stands by registers its feeds when its term begins
            await self.database.write(
                lambda connection: register_feed(
                    connection, plan.ref, heartbeat=trigger.heartbeat, deviation=trigger.deviation
                )
            )

    def _subscribe(self, publisher: FeedPublisher, plan: FeedPlan) -> None:
        for source in plan.sources:
            health = self.sources.subscribe(
                source, interval=plan.poll_interval, subscriber=publisher.on_report, feed=plan.ref.name
            )
            publisher.meter.watch_source(source.name, health)

    def housekeeping(self, names: Sequence[str]) -> Housekeeping:
        """Of the chains that are published on."""
        used = [(name, self.chains[name]) for name in names]
        chains = [
            (name, chain.reader, chain.sender)
            for name, chain in used
            if chain.sender is not None and chain.sender.address != ZERO_ADDRESS  # a rehearsal's, of no account
        ]
        return Housekeeping(chains=chains, database=self.database, clock=self.clock, metrics=self.metrics)

    def watcher(self, feeds: Sequence[WatchedFeed], interval: float) -> FeedWatcher:
        """Of feeds that are read only."""
        return FeedWatcher(
            feeds=feeds,
            chains={name: chain.reader for name, chain in self.chains.items()},
            database=self.database,
            clock=self.clock,
            metrics=self.metrics,
            interval=interval,
        )


async def check_feeds(settings: OracleSettings, chains: Mapping[str, OracleChain], known: Known) -> list[FeedPlan]:
    """The plan of every feed, each checked against its chain; contracts that are known are not asked again.

    Raises:
        SettingsError: A feed cannot work as configured; names the setting.
        TemporaryError: A chain does not answer.
    """
    venues = make_venues(settings.venues, chains)
    plans = [
        await _check_feed(feed, chains, venues, known, f"oracle.feeds[{index}]")
        for index, feed in enumerate(settings.feeds)
    ]
    _check_names(plans)
    return plans


async def _check_feed(
    settings: FeedSettings, chains: Mapping[str, OracleChain], venues: Venues, known: Known, at: str
) -> FeedPlan:
    chain = _chain(chains, settings.chain, f"{at}.chain")
    if chain.sender is None:
        raise SettingsError("oracle.signer", "no account to publish with", remedy="add signer")
    found = known.get((settings.chain, settings.aggregator, settings.pair, settings.contract))
    if found is None:
        state = await check_contract(chain.reader, settings.aggregator, setting=f"{at}.aggregator")
        where = Where(contract=f"{at}.contract", signer="oracle.signer")
        kind = await find_target(settings.contract, chain.reader, settings.aggregator, chain.sender.address, where)
        found = pair_of(state, settings.pair, setting=f"{at}.pair"), kind
    pair, kind = found
    ref = FeedRef(settings.name or str(pair), settings.chain, chain.reader.chain_id, settings.aggregator)
    return replace(make_plan(settings, ref, pair, venues, at=at), contract=kind)


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


def watched_feeds(
    settings: Sequence[WatchSettings], plans: Sequence[FeedPlan], chains: Mapping[str, OracleChain]
) -> tuple[WatchedFeed, ...]:
    """What is read only; a feed of a published one's name is judged by that one's thresholds.

    Raises:
        SettingsError: It is on a chain that does not exist.
    """
    published = {plan.ref.name: plan.trigger for plan in plans}
    feeds = []
    for index, item in enumerate(settings):
        chain = _chain(chains, item.chain, f"oracle.watch[{index}].chain")
        trigger = published.get(item.name)
        heartbeat = item.heartbeat or (trigger.heartbeat if trigger else None)
        ref = FeedRef(item.name, item.chain, chain.reader.chain_id, item.address, Role(item.role))
        feeds.append(WatchedFeed(ref, heartbeat, trigger.deviation if trigger else None))
    return tuple(feeds)
