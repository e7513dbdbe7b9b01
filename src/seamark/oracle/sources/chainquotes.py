"""Asks the chains.

At each new block of a chain all sources there are read at that one block, in one batch. A source whose calls fail does
not keep the others from theirs; a block that was read is not read again.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial

from seamark.core.errors import RejectedError, SeamarkError, TemporaryError
from seamark.core.ids import Hash32
from seamark.evm.ports import ChainReader
from seamark.evm.types import BlockHeader
from seamark.oracle.model import Quote
from seamark.oracle.sources.onchain import ChainSource, OnchainError
from seamark.oracle.sources.outlet import Outlet, SourceHealth, Subscriber
from seamark.oracle.tasks import Loops
from seamark.runtime.clock import Clock

__all__ = ["ChainQuotes"]


@dataclass(frozen=True, slots=True)
class _Subscription:
    source: ChainSource
    interval: float
    outlet: Outlet


class ChainQuotes:
    """Reads all on-chain sources. A `SourceHub`.

    Args:
        chains: By the names that sources use.
        clock: Time.
    """

    def __init__(self, *, chains: Mapping[str, ChainReader], clock: Clock) -> None:
        self._chains = chains
        self._clock = clock
        self._subscriptions: dict[str, list[_Subscription]] = {}
        self._read: dict[str, Hash32] = {}
        self._loops = Loops()

    def subscribe(
        self, source: ChainSource, *, interval: float, subscriber: Subscriber, feed: str = ""
    ) -> SourceHealth:
        """Read this source at every new block, looking for one every `interval` seconds."""
        outlet = Outlet(source, subscriber, feed, self._clock)
        chain = source.reading.chain
        self._subscriptions.setdefault(chain, []).append(_Subscription(source, interval, outlet))
        self._read.pop(chain, None)  # a newcomer wants the block that the others have read
        self._loops.start(chain, partial(self._follow, chain))
        return outlet.health

    def drop(self, feed: str) -> None:
        """Read no more for this feed."""
        for chain, items in list(self._subscriptions.items()):
            items[:] = [item for item in items if item.outlet.feed != feed]
            if not items:
                del self._subscriptions[chain]
                self._loops.stop(chain)

    async def run(self) -> None:
        """Until cancelled."""
        await self._loops.run()

    async def _follow(self, chain: str) -> None:
        while True:
            await self.read_once(chain)
            await self._clock.sleep(min(item.interval for item in self._subscriptions[chain]))

    async def read_once(self, chain: str) -> None:
        """Read all sources of a chain at its newest block, if that is new."""
        subscriptions = list(self._subscriptions[chain])  # of the moment: some may come and go while a node answers
        deadline = max(item.source.deadline for item in subscriptions)
        started = self._clock.monotonic()
        try:
            async with asyncio.timeout(deadline):
                header = await self._chains[chain].header("latest")
                if header is None or header.hash == self._read.get(chain):
                    return
                answers = await self._answers(chain, header, subscriptions)
        except TimeoutError:
            self._fail(subscriptions, "timeout", f"no node answered within {deadline:g} s")
            return
        except SeamarkError as error:
            self._fail(subscriptions, "node", _line(error))
            return
        latency = self._clock.monotonic() - started
        told = [self._hand_over(item, answer, header, latency) for item, answer in answers]
        if all(told) and subscriptions == self._subscriptions.get(chain):  # what a node could not answer is asked again
            self._read[chain] = header.hash

    async def _answers(
        self, chain: str, header: BlockHeader, subscriptions: list[_Subscription]
    ) -> list[tuple[_Subscription, list[bytes | Exception]]]:
        wanted = [(item, item.source.reading.calls(header.number)) for item in subscriptions]
        answers = iter(await self._chains[chain].calls([call for _, calls in wanted for call in calls]))
        return [(item, [next(answers) for _ in calls]) for item, calls in wanted]

    def _fail(self, subscriptions: list[_Subscription], kind: str, detail: str) -> None:
        for item in subscriptions:
            item.outlet.failure(kind, detail)

    def _hand_over(
        self, item: _Subscription, answers: list[bytes | Exception], header: BlockHeader, latency: float
    ) -> bool:
        """Whether the chain has spoken; False where a node failed."""
        for answer in answers:
            if isinstance(answer, Exception):
                rejected = isinstance(answer, RejectedError)
                item.outlet.failure("revert" if rejected else "node", _line(answer))
                return not isinstance(answer, TemporaryError)
        try:
            told = item.source.reading.read([bytes(answer) for answer in answers if isinstance(answer, bytes)],
                                            header.timestamp)  # fmt: skip
        except OnchainError as error:
            item.outlet.failure(error.kind, str(error))
            return True
        source = item.source
        quote = Quote(source.name, source.venue, told.price, told.observed_at, self._clock.now())
        item.outlet.quote(quote, latency=latency)
        return True


def _line(error: Exception) -> str:
    return str(error).partition("\n")[0][:160]
