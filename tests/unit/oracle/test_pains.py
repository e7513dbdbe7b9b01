"""What has brought other publishers down, one test each: pains that their users reported, defects read in their code.

Only those that no other test is about. Each name says what must not happen here.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from decimal import Decimal
from functools import partial
from typing import Any

import pytest
from aiohttp import web
from prometheus_client import CollectorRegistry
from structlog.testing import capture_logs

from seamark.core.errors import RejectedError, TemporaryError
from seamark.core.ids import Address
from seamark.core.units import Ppb
from seamark.evm.transactions.quoting import FeeDesk
from seamark.evm.transactions.settings import SenderSettings
from seamark.evm.types import BlockHeader, Call
from seamark.oracle.model import Answer, Quote, QuoteFault, SourceReport
from seamark.oracle.publisher import FeedPublisher
from seamark.oracle.rules import aggregate, deviates
from seamark.oracle.service import Oracle, OracleChain, build_oracle
from seamark.oracle.settings import OracleSettings
from seamark.oracle.sources.hubs import Sources
from seamark.oracle.sources.paths import JsonPath
from seamark.oracle.sources.source import Fields, Request, Source
from seamark.runtime.clock import SystemClock
from seamark.runtime.http import make_session
from seamark.runtime.service import Supervisor
from seamark.runtime.settings import validate_settings

from .conftest import running
from .fakes import FEED, START, FakeChain, FakeClock, FakeFeed, FakeSender, hash_of, plan, quote, until

OTHER = Address("0x" + "0b" * 20)


def settings(**feeds: str) -> OracleSettings:
    """Feeds by their pair's base; each value is `chain`."""
    sources = [{"name": name, "url": f"http://127.0.0.1:9/{name}", "price": "p"} for name in "abc"]
    rows = [
        {"pair": f"{base}/USD", "chain": chain, "aggregator": address, "heartbeat": "1h", "deviation": "0.5%",
         "sources": sources, "poll_interval": "20m", "max_age": "1h", "refresh_interval": "1s"}
        for (base, chain), address in zip(feeds.items(), (FEED, OTHER), strict=True)
    ]  # fmt: skip
    return validate_settings(OracleSettings, {"signer": {"private_key_env": "K"}, "feeds": rows})


@asynccontextmanager
async def running_oracle(
    database: Any, chosen: OracleSettings, chains: dict[str, FakeChain]
) -> AsyncIterator[tuple[Oracle, Supervisor, asyncio.Task[None]]]:
    async with make_session() as session:
        oracle = await build_oracle(
            chosen,
            chains={name: OracleChain(chain, FakeSender(chain)) for name, chain in chains.items()},
            database=database,
            session=session,
            clock=next(iter(chains.values())).clock,
            registry=CollectorRegistry(),
        )
        supervisor = Supervisor(oracle.services, clock=next(iter(chains.values())).clock)
        task = asyncio.create_task(supervisor.run())
        try:
            yield oracle, supervisor, task
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)


def tell(oracle: Oracle, name: str, price: int) -> None:
    publisher = oracle.publishers[name]
    publisher.on_quotes([quote(source, price, publisher._clock.now()) for source in "abc"])


# ---- sources ---------------------------------------------------------------------------------------------------------


async def test_sources_are_asked_at_the_same_time_not_one_after_another():
    """Nobody answers before all twenty have been asked: whoever asks one by one waits for ever."""
    asked, everybody = 0, asyncio.Event()

    async def handle(_: web.Request) -> web.Response:
        nonlocal asked
        asked += 1
        if asked == 20:
            everybody.set()
        await everybody.wait()
        return web.json_response({"p": "2000"})

    runner = web.AppRunner(web.Application(), shutdown_timeout=0.1)
    runner.app.router.add_get("/{tail:.*}", handle)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    reports: list[SourceReport] = []
    try:
        async with make_session() as session:
            sources = Sources(session=session, clock=SystemClock())
            for number in range(20):
                url = f"http://127.0.0.1:{runner.addresses[0][1]}/{number}"
                made = Source(str(number), str(number), Request(url), Fields(JsonPath.parse("p")), 20.0)
                sources.subscribe(made, interval=60.0, subscriber=reports.append)
            async with running(sources):
                await until(lambda: len(reports) == 20, seconds=20.0)
    finally:
        await runner.cleanup()
    assert all(isinstance(report, Quote) for report in reports)


BAD: list[tuple[str, dict[str, Any], QuoteFault]] = [
    ("zero", {"price": Decimal(0)}, QuoteFault.NOT_POSITIVE),
    ("negative", {"price": Decimal(-2000)}, QuoteFault.NOT_POSITIVE),
    ("not a number", {"price": Decimal("NaN")}, QuoteFault.NOT_FINITE),
    ("endless", {"price": Decimal("Infinity")}, QuoteFault.NOT_FINITE),
    ("no volume", {"volume": Decimal(0)}, QuoteFault.NO_VOLUME),
    ("crossed", {"bid": Decimal(2001), "ask": Decimal(1999)}, QuoteFault.CROSSED),
    ("wide", {"bid": Decimal(1000), "ask": Decimal(3000)}, QuoteFault.WIDE_SPREAD),
    ("old", {"observed_at": START - 3600}, QuoteFault.TOO_OLD),
    ("from the future", {"observed_at": START + 3600}, QuoteFault.FROM_FUTURE),
    ("lying", {"price": Decimal(9000)}, QuoteFault.OUTLIER),
]


@pytest.mark.parametrize(("name", "changes", "fault"), BAD, ids=[name for name, _, _ in BAD])
def test_a_bad_source_is_left_out_by_name_and_never_stops_the_feed(
    name: str, changes: dict[str, Any], fault: QuoteFault
) -> None:
    good = [quote(source, "2000") for source in "abcde"]
    answer = aggregate([*good, quote(name, "2000", **changes)], now=START, policy=plan().aggregation, decimals=8)
    assert isinstance(answer, Answer)
    assert answer.value == 200_000_000_000
    assert [(item.quote.source, item.fault) for item in answer.rejected] == [(name, fault)]


def test_an_untimed_source_is_as_old_as_its_receipt() -> None:
    late = quote("c", "2000", START - 300, untimed=True)
    answer = aggregate([quote("a", "2000"), quote("b", "2000"), late], now=START, policy=plan().aggregation, decimals=8)
    assert isinstance(answer, Answer)
    assert [item.fault for item in answer.rejected] == [QuoteFault.TOO_OLD]


def test_prices_below_zero_trigger_by_deviation_too() -> None:
    """A division by a signed price would never trigger."""
    threshold = Ppb(5_000_000)
    assert deviates(-10_000, -10_050, threshold)
    assert deviates(-10_000, -9_950, threshold)
    assert not deviates(-10_000, -10_049, threshold)
    assert deviates(-1, 1, threshold)


def test_a_price_beyond_64_bits_and_53_bits_keeps_its_digits() -> None:
    told = "9007199254740993.123456789012345678"  # 2^53 + 1 and 18 decimals
    answer = aggregate([quote(source, told) for source in "abc"], now=START, policy=plan().aggregation, decimals=18)
    assert isinstance(answer, Answer)
    assert answer.value == 9007199254740993123456789012345678


# ---- chains ----------------------------------------------------------------------------------------------------------


class Hanging(FakeChain):
    """Takes questions and never answers, once told to."""

    hangs = False

    async def header(self, block: Any) -> BlockHeader | None:
        if self.hangs:
            await asyncio.Event().wait()
        return await super().header(block)

    async def calls(self, calls: Sequence[Call]) -> list[bytes | Exception]:
        if self.hangs:
            await asyncio.Event().wait()
        return await super().calls(calls)


async def test_a_chain_that_hangs_does_not_block_the_others(database):
    clock = FakeClock()
    hung, good = Hanging(clock, 1), FakeChain(clock, 2)
    hung.feeds, good.feeds = {OTHER: FakeFeed()}, {FEED: FakeFeed(description="BTC / USD")}
    chains = {"hung": hung, "good": good}
    async with running_oracle(database, settings(BTC="good", ETH="hung"), chains) as (oracle, _, task):
        await until(lambda: all(publisher._ready for publisher in oracle.publishers.values()))
        hung.hangs = True
        await clock.advance(2)
        for price in (2000, 2100, 2200):
            clock.time += 1
            tell(oracle, "BTC/USD", price)
            await until(partial(has_published, oracle.publishers["BTC/USD"], price), seconds=20.0)
        assert not task.done()


def has_published(publisher: FeedPublisher, price: int) -> bool:
    return publisher.state is not None and publisher.state.answer == price * 10**8 and not publisher._busy


async def test_a_feed_whose_contract_is_gone_does_not_stop_its_neighbour(database):
    clock = FakeClock()
    chain = FakeChain(clock)
    chain.feeds[OTHER] = FakeFeed(description="BTC / USD")
    async with running_oracle(database, settings(ETH="home", BTC="home"), {"home": chain}) as (oracle, _, task):
        await until(lambda: all(publisher._ready for publisher in oracle.publishers.values()))
        del chain.feeds[OTHER]
        await clock.advance(5)
        tell(oracle, "ETH/USD", 2000)
        await until(lambda: chain.feed.latest == 1)
        assert not task.done()


ERRORS = [TemporaryError("no node answers"), RejectedError("refused"), OSError("network is down"), ValueError("bug")]


@pytest.mark.parametrize("error", ERRORS, ids=[type(error).__name__ for error in ERRORS])
async def test_whatever_a_node_does_the_process_goes_on(database, error: Exception):
    """Neither an outage nor an error that nobody expected ends it, and afterwards it publishes again."""
    clock = FakeClock()
    chain = Failing(clock)
    chains: dict[str, FakeChain] = {"home": chain}
    with capture_logs():  # tracebacks take their time
        async with running_oracle(database, settings(ETH="home", BTC="home"), chains) as (oracle, _, task):
            await until(lambda: all(publisher._ready for publisher in oracle.publishers.values()))
            chain.error = error
            for _ in range(8):
                await clock.advance(2)
            assert not task.done()
            chain.error = None
            await recovered(clock, lambda: oracle.publishers["ETH/USD"]._ready)
            clock.time += 1
            tell(oracle, "ETH/USD", 2000)
            await recovered(clock, lambda: chain.feed.latest == 1)
            assert not task.done()


async def recovered(clock: FakeClock, condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(20):
        while not condition():
            await clock.advance(1)
            await asyncio.sleep(0.002)


class Failing(FakeChain):
    """Raises its error at every question."""

    error: Exception | None = None

    def __init__(self, clock: FakeClock) -> None:
        super().__init__(clock)
        self.feeds[OTHER] = FakeFeed(description="BTC / USD")

    def _check(self) -> None:
        if self.error is not None:
            raise self.error
        super()._check()


# ---- fees ------------------------------------------------------------------------------------------------------------


class FreeChain:
    """A chain with a base fee on which nobody pays a tip, and whose nodes suggest none."""

    chain_id = 138

    async def header(self, _: Any) -> BlockHeader:
        return BlockHeader(5, hash_of(5), hash_of(4), int(START), base_fee=7)

    async def gas_price(self) -> int:
        return 7

    async def fee_history(self, *_: Any) -> Any:
        class History:
            base_fees = (7, 7, 9)
            rewards = ((0,), (0,))

        return History()

    async def max_priority_fee(self) -> int:
        raise RejectedError("the method does not exist")


async def test_rewards_of_zero_give_a_price_all_the_same():
    chain: Any = FreeChain()
    market = await FeeDesk(chain, FakeClock(), SenderSettings()).market()
    assert (market.next_base, market.tip) == (9, 0)
