"""A rehearsal decides as the publisher does, says so, and sends nothing."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from prometheus_client import CollectorRegistry
from structlog.testing import capture_logs

from seamark.core.errors import RejectedError
from seamark.evm.ports import Intent
from seamark.evm.transactions.dry import Appraisal
from seamark.oracle.metrics import FeedMeter, OracleMetrics
from seamark.oracle.rehearsal import Rehearsal
from seamark.oracle.store import list_publications

from .conftest import running
from .fakes import START, FakeChain, FakeClock, FakeSender, plan, quote, until


class Appraiser(FakeSender):
    """Tells a cost; whoever submits to it has misunderstood."""

    refusal: Exception | None = None
    appraised: list[Intent]

    def __init__(self, chain: FakeChain) -> None:
        super().__init__(chain)
        self.appraised = []

    async def appraise(self, intent: Intent) -> Appraisal:
        self.appraised.append(intent)
        if self.refusal is not None:
            raise self.refusal
        return Appraisal(gas=100_000, price=10**10, cost=10**15, most=2 * 10**15)


@asynccontextmanager
async def rehearsing(database: Any) -> AsyncIterator[tuple[Rehearsal, FakeChain, Appraiser, list[Any]]]:
    chain = FakeChain(FakeClock())
    sender, made = Appraiser(chain), plan()
    meter = FeedMeter(OracleMetrics(CollectorRegistry()), made.ref, made.trigger, clock=chain.clock)
    publisher = Rehearsal(plan=made, chain=chain, sender=sender, database=database, clock=chain.clock, meter=meter)
    with capture_logs() as lines:
        async with running(publisher):
            await until(lambda: publisher._ready)
            yield publisher, chain, sender, lines


def tell(publisher: Rehearsal, price: int) -> None:
    publisher.on_quotes([quote(name, price, publisher._clock.now()) for name in "abc"])


def told(lines: list[Any]) -> list[Any]:
    return [line for line in lines if line["event"] == "would publish"]


async def test_it_tells_each_round_once_with_reason_and_cost(database):
    async with rehearsing(database) as (publisher, chain, sender, lines):
        tell(publisher, 2000)
        await until(lambda: told(lines))
        chain.clock.time += 1
        tell(publisher, 2001)  # below the threshold
        chain.clock.time += 1
        tell(publisher, 2020)
        await until(lambda: len(told(lines)) == 2)
        await publisher.refresh()  # the chain still has nothing, and that is no news
        tell(publisher, 2020)
        await until(lambda: not publisher._busy)
    first, second = told(lines)
    assert (first["round"], first["reason"], first["why"]) == (1, "first", "the feed has no round")
    assert (second["round"], second["reason"], second["price"]) == (2, "deviation", "2020")
    assert second["why"] == "1% from round 1, threshold 0.5%"
    assert (second["gas"], second["cost_ether"], second["at_most_ether"]) == (100_000, "0.001", "0.002")
    assert second["used"] == ["a", "b", "c"]
    assert sender.submitted == []
    assert await database.read(list_publications) == []
    assert chain.feed.rounds == {}


async def test_a_round_that_is_really_published_takes_the_place_of_what_was_pretended(database):
    async with rehearsing(database) as (publisher, chain, _, lines):
        tell(publisher, 2000)
        await until(lambda: told(lines))
        chain.clock.time += 5
        chain.feed.rounds[1] = (250_000_000_000, int(START) + 4, int(START) + 5)
        chain.height += 1
        await publisher.refresh()
        assert publisher.state is not None
        assert (publisher.state.round, publisher.state.answer) == (1, 250_000_000_000)
        chain.clock.time += 1
        tell(publisher, 2000)
        await until(lambda: len(told(lines)) == 2)
        assert told(lines)[1]["round"] == 2


async def test_what_would_fail_is_told_and_not_pretended(database):
    async with rehearsing(database) as (publisher, _, sender, lines):
        sender.refusal = RejectedError("reverted: EnforcedPause()")
        tell(publisher, 2000)
        await until(lambda: [line for line in lines if line["event"] == "publication refused"])
        assert told(lines) == []
        assert publisher.state is not None
        assert publisher.state.round == 0


@pytest.mark.parametrize("gas", [None, 50_000])
async def test_without_an_account_the_cost_is_left_out(database, gas: int | None):
    async with rehearsing(database) as (publisher, _, sender, lines):

        async def unknown(_: Intent) -> Appraisal:
            return Appraisal(gas=gas, price=7, cost=None, most=None)

        sender.appraise = unknown  # type: ignore[method-assign, assignment]
        tell(publisher, 2000)
        await until(lambda: told(lines))
    (line,) = told(lines)
    assert "cost_ether" not in line
    assert line["gas_price_wei"] == 7
    assert line.get("gas") == gas
