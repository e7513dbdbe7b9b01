"""One oracle of a FluxAggregator, whole: its sender and publisher on a database of their own, told prices by the test.

async with flux_oracle(url, f"sqlite:///{folder}/one.db", key=7, feed=address) as oracle:
    oracle.price = "2010"

python -m tests.support.flux_oracle URL DATABASE KEY ADDRESS PRICE      the same as a process, to be killed
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass
from decimal import Decimal

from prometheus_client import CollectorRegistry

from seamark.core.ids import Address, ChainId
from seamark.core.units import Ppb
from seamark.evm.rpc import Chain
from seamark.evm.signers import RawKeySigner
from seamark.evm.transactions import Patience, Sender, SenderSettings
from seamark.oracle.metrics import FeedMeter, OracleMetrics
from seamark.oracle.model import AggregationPolicy, ContractKind, FeedRef, Pair, Publication, Quote, TriggerPolicy
from seamark.oracle.plan import FeedPlan
from seamark.oracle.publisher import FeedPublisher
from seamark.oracle.store import list_publications
from seamark.runtime.clock import SystemClock
from seamark.runtime.http import make_session
from seamark.storage.database import Database, open_database

__all__ = ["FluxOracle", "flux_oracle", "signer_of"]

LOCAL = ChainId(31337)
TELL_S = 0.05
LOOK_S = 0.1
QUICK = SenderSettings(poll_s=0.02, patience=Patience(resend_ms=300, foreign_ms=300))
VENUES = ("a", "b")


def signer_of(key: int) -> RawKeySigner:
    """Of a private key that is a small number: nobody's."""
    return RawKeySigner.from_hex(f"{key:064x}")


@dataclass
class FluxOracle:
    """A running one. `price` is what its venues tell from now on; None: they are silent."""

    address: Address
    publisher: FeedPublisher
    sender: Sender
    chain: Chain
    database: Database
    price: str | None

    async def publications(self) -> list[Publication]:
        return list(reversed(await self.database.read(list_publications)))

    async def tell_forever(self) -> None:
        while True:
            if self.price is not None:
                now = self.publisher._clock.now()
                told = Decimal(self.price)
                self.publisher.on_quotes([Quote(name, name, told, observed_at=now, received_at=now) for name in VENUES])
            await asyncio.sleep(TELL_S)


@asynccontextmanager
async def flux_oracle(
    url: str, database_url: str, *, key: int, feed: Address, price: str | None = "2000"
) -> AsyncIterator[FluxOracle]:
    """From its start to its end."""
    async with AsyncExitStack() as stack:
        session = await stack.enter_async_context(make_session())
        chain = Chain(LOCAL, [url], session=session)
        stack.push_async_callback(chain.close)
        database = await open_database(database_url)
        stack.push_async_callback(database.close)
        clock, signer = SystemClock(), signer_of(key)
        sender = Sender(chain=chain, signer=signer, database=database, clock=clock, settings=QUICK)
        plan = FeedPlan(
            ref=FeedRef("ETH/USD", "home", LOCAL, feed),
            pair=Pair("ETH", "USD"),
            sources=(),
            aggregation=AggregationPolicy(min_venues=2),
            trigger=TriggerPolicy(heartbeat=3600, deviation=Ppb(5_000_000)),
            poll_interval=TELL_S,
            refresh_interval=LOOK_S,
            contract=ContractKind.FLUX,
        )
        meter = FeedMeter(OracleMetrics(CollectorRegistry()), plan.ref, plan.trigger, clock=clock)
        publisher = FeedPublisher(plan=plan, chain=chain, sender=sender, database=database, clock=clock, meter=meter)
        oracle = FluxOracle(signer.address, publisher, sender, chain, database, price)
        tasks = [asyncio.create_task(run) for run in (sender.run(), publisher.run(), oracle.tell_forever())]
        try:
            yield oracle
        finally:
            for task in tasks:
                task.cancel()
            for task in tasks:
                with suppress(asyncio.CancelledError):
                    await task
            await sender.close()


async def main(url: str, database_url: str, key: str, feed: str, price: str) -> None:
    """Until killed."""
    async with flux_oracle(url, database_url, key=int(key), feed=Address(feed), price=price):
        await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
