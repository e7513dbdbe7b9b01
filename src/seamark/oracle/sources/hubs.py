"""All kinds of sources behind one `subscribe` and one `run`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import aiohttp

from seamark.evm.ports import ChainReader
from seamark.oracle.sources.adapters import AdapterSource
from seamark.oracle.sources.ccxt_quotes import CcxtQuotes, CcxtSource
from seamark.oracle.sources.chainquotes import ChainQuotes
from seamark.oracle.sources.cross import CrossMaker, CrossSource
from seamark.oracle.sources.onchain import ChainSource
from seamark.oracle.sources.outlet import AnySource, SourceHealth, SourceHub, Subscriber
from seamark.oracle.sources.poller import QuotePoller
from seamark.oracle.sources.source import Source
from seamark.oracle.sources.streams import StreamSource
from seamark.oracle.sources.websocket import QuoteListener
from seamark.oracle.tasks import run_together
from seamark.runtime.clock import Clock

__all__ = ["Sources"]


class Sources:
    """Every source of every feed. A `Service`.

    Args:
        session: For requests and connections; owned and closed by whoever made it.
        clock: Time.
        chains: Those that on-chain sources may read, by the names of the settings.
    """

    name = "oracle-sources"

    def __init__(
        self, *, session: aiohttp.ClientSession, clock: Clock, chains: Mapping[str, ChainReader] | None = None
    ) -> None:
        poller = QuotePoller(session=session, clock=clock)
        self.budgets = poller.budgets
        self._chains: dict[str, ChainReader] = dict(chains or {})
        self._hubs: dict[type, SourceHub[Any]] = {
            Source: poller,
            AdapterSource: poller,
            CcxtSource: CcxtQuotes(clock=clock),
            ChainSource: ChainQuotes(chains=self._chains, clock=clock),
            StreamSource: QuoteListener(session=session, clock=clock),
            CrossSource: CrossMaker(subscribe=self.subscribe, clock=clock),
        }

    def subscribe(self, source: AnySource, *, interval: float, subscriber: Subscriber, feed: str = "") -> SourceHealth:
        """Have each report of this source handed over while `run()` runs.

        Args:
            source: Of any kind.
            interval: Seconds between two questions, for kinds that ask.
            subscriber: Takes the reports.
            feed: Whose subscriber it is, for the log and for `drop`.
        """
        return self._hubs[type(source)].subscribe(source, interval=interval, subscriber=subscriber, feed=feed)

    def add_chains(self, chains: Mapping[str, ChainReader]) -> None:
        """Let sources read these too from now on."""
        self._chains.update(chains)

    def drop(self, feed: str) -> None:
        """Hand over no more reports to this feed; what other feeds listen to goes on undisturbed."""
        for hub in dict.fromkeys(self._hubs.values()):
            hub.drop(feed)

    async def run(self) -> None:
        """Until cancelled."""
        await run_together(*(hub.run() for hub in dict.fromkeys(self._hubs.values())))
