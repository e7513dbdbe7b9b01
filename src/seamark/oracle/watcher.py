"""Reads feeds that are not published here: receivers on other chains, and feeds of others.

All feeds of one chain are read in one batch at one block. What is news is stored with an event "feed.updated"; a chain
that does not answer delays only its own feeds.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import structlog

from seamark.core.errors import RejectedError, TemporaryError
from seamark.core.units import Ppb
from seamark.evm.ports import ChainReader
from seamark.oracle.metrics import OracleMetrics
from seamark.oracle.model import FeedRef, FeedState
from seamark.oracle.store import record_states, register_feeds
from seamark.oracle.targets.aggregator import read_states
from seamark.oracle.tasks import run_together
from seamark.runtime.clock import Clock
from seamark.storage.database import Database

__all__ = ["FeedWatcher", "WatchedFeed"]

log = structlog.get_logger("seamark.oracle")


@dataclass(frozen=True, slots=True)
class WatchedFeed:
    """One feed to read. `heartbeat` (seconds) is what its age is judged by, where known."""

    ref: FeedRef
    heartbeat: float | None = None
    deviation: Ppb | None = None


class FeedWatcher:
    """Keeps the stored state of read-only feeds fresh. A `Service`.

    Args:
        feeds: What to read.
        chains: Readers by the name of the chain.
        database: Where states are stored.
        clock: Time.
        metrics: Shows the price and age of each.
        interval: Seconds between reads.
    """

    name = "oracle-watcher"

    def __init__(
        self,
        *,
        feeds: Sequence[WatchedFeed],
        chains: Mapping[str, ChainReader],
        database: Database,
        clock: Clock,
        metrics: OracleMetrics,
        interval: float = 5.0,
    ) -> None:
        self._feeds = {
            name: tuple(feed for feed in feeds if feed.ref.chain == name) for name in {feed.ref.chain for feed in feeds}
        }
        self._chains = chains
        self._database = database
        self._clock = clock
        self._metrics = metrics
        self._interval = interval
        self._seen: dict[FeedRef, FeedState] = {}
        self._failing: set[str] = set()
        self._no_feeds: set[FeedRef] = set()

    async def run(self) -> None:
        """Until cancelled."""
        await self.register()
        await run_together(*(self._watch(chain) for chain in self._feeds))

    async def register(self) -> None:
        """Make the feeds known, so that a page shows them before their chain has answered."""
        feeds = [(feed.ref, feed.heartbeat, feed.deviation) for group in self._feeds.values() for feed in group]
        await self._database.write(lambda connection: register_feeds(connection, feeds))

    async def _watch(self, chain: str) -> None:
        while True:
            try:
                await self.look(chain)
                self._failing.discard(chain)
            except TemporaryError as error:
                if chain not in self._failing:  # once per outage
                    log.warning("cannot read feeds", chain=chain, error=str(error))
                self._failing.add(chain)
            await self._clock.sleep(self._interval)

    async def look(self, chain: str) -> None:
        """Read all feeds of a chain once.

        Raises:
            TemporaryError: The chain did not answer.
        """
        feeds = self._feeds[chain]
        states = await read_states(self._chains[chain], [feed.ref.address for feed in feeds])
        news: list[tuple[FeedRef, FeedState]] = []
        for feed, state in zip(feeds, states, strict=True):
            if isinstance(state, RejectedError):
                if feed.ref not in self._no_feeds:  # once, not at each look
                    log.warning("not a feed", feed=feed.ref.name, chain=chain, error=str(state))
                self._no_feeds.add(feed.ref)
                continue
            self._no_feeds.discard(feed.ref)
            if self._is_news(feed.ref, state):
                news.append((feed.ref, state))
        if news:
            await self._store(news)

    def _is_news(self, ref: FeedRef, state: FeedState) -> bool:
        known = self._seen.get(ref)
        if known is not None and state.block_number < known.block_number:
            return False
        self._metrics.watched(ref, state)
        return known is None or replace(known, block_number=state.block_number, block_time=state.block_time) != state

    async def _store(self, news: Sequence[tuple[FeedRef, FeedState]]) -> None:
        now = self._clock.now()
        await self._database.write(lambda connection: record_states(connection, news, now=now))
        self._seen.update(news)
