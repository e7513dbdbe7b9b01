"""A rehearsal of one oracle of a FluxAggregator tells each round once, though the contract goes on asking for it."""

from dataclasses import dataclass

from prometheus_client import CollectorRegistry
from structlog.testing import capture_logs

from seamark.evm.ports import Intent
from seamark.oracle.metrics import FeedMeter, OracleMetrics
from seamark.oracle.model import ContractKind
from seamark.oracle.rehearsal import Rehearsal
from seamark.oracle.targets.flux import LOOK_EVERY_S
from seamark.storage.database import Database

from .conftest import running
from .fakes import FEED, REF, FakeChain, FakeClock, FakeSender, plan, quote, until
from .targets.flux_chain import OTHER, FakeFlux

PRICE = 2000 * 10**8


@dataclass(frozen=True)
class Cost:
    gas: int | None = 500_000
    price: int = 1
    cost: int | None = 500_000
    most: int | None = 600_000


class Appraiser(FakeSender):
    async def appraise(self, intent: Intent) -> Cost:
        return Cost()


async def test_a_round_that_another_began_is_told_once(database: Database) -> None:
    clock = FakeClock()
    chain = FakeChain(clock)
    flux = chain.feeds[FEED] = FakeFlux()
    sender, made = Appraiser(chain), plan(contract=ContractKind.FLUX, refresh_interval=3600)
    meter = FeedMeter(OracleMetrics(CollectorRegistry()), REF, made.trigger, clock=clock)
    rehearsal = Rehearsal(plan=made, chain=chain, sender=sender, database=database, clock=clock, meter=meter)

    def tell() -> None:
        rehearsal.on_quotes([quote(name, "2000", clock.now()) for name in "abc"])

    async def look_often() -> None:
        for _ in range(5):
            reads = chain.reads
            while chain.reads == reads:
                await clock.advance(LOOK_EVERY_S)
            tell()
            await until(lambda: not rehearsal._busy)

    with capture_logs() as logs:
        async with running(rehearsal):
            await until(lambda: rehearsal._ready)
            chain.height += 1
            flux.take(OTHER, 1, PRICE, int(clock.now()))
            await look_often()
            chain.height += 1
            flux.take(OTHER, 2, PRICE, int(clock.now()))
            await look_often()
    told = [(line["round"], line["why"]) for line in logs if line["event"] == "would publish"]
    assert told[0][0] == 1
    assert [number for number, _ in told] == sorted({number for number, _ in told})  # each once
    assert sender.submitted == []
