"""Other settings while everything runs: what stays, what changes, what comes and goes, over the in-memory chain."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import pytest
from prometheus_client import CollectorRegistry

from seamark.core.errors import SettingsError, TemporaryError
from seamark.core.ids import Address
from seamark.core.units import Ppb
from seamark.oracle.model import PublicationState
from seamark.oracle.publisher import FeedPublisher
from seamark.oracle.service import Changes, Oracle, OracleChain, build_oracle
from seamark.oracle.settings import OracleSettings
from seamark.oracle.store import list_feeds, list_publications
from seamark.runtime.http import make_session
from seamark.runtime.service import Supervisor
from seamark.runtime.settings import validate_settings

from .fakes import FEED, FakeChain, FakeClock, FakeFeed, FakeSender, breathe, quote, until

OTHER = Address("0x" + "0b" * 20)
THIRD = Address("0x" + "0c" * 20)
SOURCES = [
    {"name": name, "url": f"http://127.0.0.1:9/{name}", "price": "price"} for name in "abc"
]  # nobody listens on port 9; the tests push quotes themselves


def feed(**changes: Any) -> dict[str, Any]:
    return {
        "chain": "home",
        "aggregator": FEED,
        "heartbeat": "1h",
        "deviation": "0.5%",
        "sources": SOURCES,
        "poll_interval": "20m",
        "max_age": "1h",
        **changes,
    }


BTC = feed(pair="BTC/USD", aggregator=OTHER)


def settings(*feeds: dict[str, Any], **more: Any) -> OracleSettings:
    return validate_settings(OracleSettings, {"signer": {"private_key_env": "K"}, "feeds": list(feeds), **more})


@dataclass
class Bed:
    """A running oracle."""

    oracle: Oracle
    chain: FakeChain
    chains: dict[str, OracleChain]
    sender: FakeSender
    registry: CollectorRegistry
    supervisor: Supervisor
    database: Any

    async def reload(self, *feeds: dict[str, Any], **more: Any) -> Changes:
        prepared = await self.oracle.prepare(settings(*feeds, **more), self.chains)
        return await self.oracle.apply(prepared, self.supervisor)

    def tell(self, name: str, *prices: float) -> None:
        publisher = self.oracle.publishers[name]
        publisher.on_quotes(
            [quote(source, str(price), self.chain.clock.now()) for source, price in zip("abc", prices, strict=False)]
        )

    async def ready(self, name: str) -> None:
        await until(lambda: self.oracle.publishers[name].state is not None and self.oracle.publishers[name]._ready)

    def sample(self, name: str, feed: str = "ETH/USD", **labels: str) -> float | None:
        return self.registry.get_sample_value(name, {"feed": feed, "chain": "home", **labels})


def round_of(publisher: FeedPublisher) -> int:
    assert publisher.state is not None
    return publisher.state.round


def looked_after(oracle: Oracle) -> list[str]:
    assert oracle._housekeeping is not None
    return oracle._housekeeping.chains


@asynccontextmanager
async def running_oracle(database: Any, *feeds: dict[str, Any], **more: Any) -> AsyncIterator[Bed]:
    clock = FakeClock()
    chain = FakeChain(clock)
    chain.feeds[OTHER] = FakeFeed(description="BTC / USD")
    sender, registry = FakeSender(chain), CollectorRegistry()
    chains = {"home": OracleChain(chain, sender)}
    async with make_session() as session:
        oracle = await build_oracle(
            settings(*feeds, **more), chains=chains, database=database, session=session, clock=clock, registry=registry
        )
        supervisor = Supervisor(oracle.services, clock=clock)
        task = asyncio.create_task(supervisor.run())
        try:
            await until(lambda: all(publisher._ready for publisher in oracle.publishers.values()))
            yield Bed(oracle, chain, chains, sender, registry, supervisor, database)
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)


async def test_settings_that_are_the_same_change_nothing(database):
    async with running_oracle(database, feed(), BTC) as bed:
        publishers, services, reads = dict(bed.oracle.publishers), bed.oracle.services, bed.chain.reads
        assert await bed.reload(feed(), BTC) == Changes()
        assert bed.oracle.publishers == publishers
        assert bed.oracle.services == services
        assert bed.chain.reads == reads, "contracts that are known are not asked again"


async def test_a_threshold_changes_in_place_and_what_was_heard_stays(database):
    async with running_oracle(database, feed(), BTC) as bed:
        bed.tell("ETH/USD", 2000, 2000, 2000)
        publisher, other = bed.oracle.publishers["ETH/USD"], bed.oracle.publishers["BTC/USD"]
        await until(lambda: round_of(publisher) == 1 and not publisher._busy)
        assert await bed.reload(feed(deviation="5%", spend_per_day="1 ether"), BTC) == Changes(changed=("ETH/USD",))
        assert bed.oracle.publishers == {"ETH/USD": publisher, "BTC/USD": other}
        assert publisher.heard.quotes.keys() == set("abc")
        assert bed.sample("oracle_deviation_threshold_ratio") == 0.05
        assert bed.sample("oracle_spend_limit_wei") == 10**18
        bed.chain.clock.time += 1
        bed.tell("ETH/USD", 2020, 2020, 2020)
        assert not publisher._busy, "1 % is no deviation any more"
        await bed.reload(feed(), BTC)
        assert bed.sample("oracle_spend_limit_wei") is None
        bed.tell("ETH/USD", 2020, 2020, 2020)
        await until(lambda: bed.chain.feed.latest == 2)
        rows = {row.ref.name: row.deviation for row in await database.read(list_feeds)}
        assert rows["ETH/USD"] == Ppb(5_000_000)


async def test_a_transaction_in_flight_is_followed_through_a_change(database):
    async with running_oracle(database, feed()) as bed:
        bed.sender.mining = False
        bed.tell("ETH/USD", 2000, 2000, 2000)
        await until(lambda: bed.oracle.publishers["ETH/USD"]._pending)
        await bed.reload(feed(heartbeat="2h", sources=SOURCES[:2]))
        (key,) = bed.sender.journal
        bed.sender.mine(key)
        await until(lambda: not bed.oracle.publishers["ETH/USD"]._busy)
        assert len(bed.sender.submitted) == 1
        assert round_of(bed.oracle.publishers["ETH/USD"]) == 1


async def test_only_sources_that_are_others_now_are_forgotten(database):
    async with running_oracle(database, feed()) as bed:
        bed.tell("ETH/USD", 2000, 2001, 2002)
        moved = [{**SOURCES[1], "url": "http://127.0.0.1:9/elsewhere"}, SOURCES[2], {**SOURCES[0], "name": "d"}]
        await bed.reload(feed(sources=moved))
        publisher = bed.oracle.publishers["ETH/USD"]
        assert publisher.heard.quotes.keys() == {"c"}
        gauge = {"feed": "ETH/USD", "source": "a"}
        assert bed.registry.get_sample_value("oracle_source_up", gauge) is None
        assert bed.registry.get_sample_value("oracle_source_up", {**gauge, "source": "d"}) == 0


async def test_feeds_come_and_go(database):
    async with running_oracle(database, feed()) as bed:
        eth = bed.oracle.publishers["ETH/USD"]
        assert await bed.reload(feed(), BTC) == Changes(added=("BTC/USD",))
        assert bed.oracle.publishers["ETH/USD"] is eth
        await bed.ready("BTC/USD")
        assert bed.sample("oracle_feed_paused", "BTC/USD") is not None
        assert await bed.reload(BTC) == Changes(removed=("ETH/USD",))
        assert bed.sample("oracle_seconds_since_update") is None, "a feed that is gone raises no alarm"
        assert bed.sample("oracle_updates_sent_total", reason="first") is None
        assert not eth._ready, "its service has ended"
        assert (await bed.oracle.health()).detail.startswith("BTC/USD")


async def test_a_feed_that_goes_waits_for_what_it_has_in_flight(database):
    async with running_oracle(database, feed(), BTC) as bed:
        bed.sender.mining = False
        bed.tell("ETH/USD", 2000, 2000, 2000)
        await until(lambda: bed.oracle.publishers["ETH/USD"]._pending)
        going = asyncio.create_task(bed.reload(BTC))
        await breathe()
        assert not going.done()
        (key,) = bed.sender.journal
        bed.sender.mine(key)
        publisher_done = until(going.done)
        moving = asyncio.create_task(move(bed.chain.clock))
        await publisher_done
        moving.cancel()
        assert going.result() == Changes(removed=("ETH/USD",))
    (row,) = await database.read(list_publications)
    assert row.state is PublicationState.MINED


async def move(clock: FakeClock) -> None:
    while True:
        await clock.advance(0.1)
        await asyncio.sleep(0.001)


async def test_the_first_feed_may_come_later_and_the_last_may_go(database):
    watch = [{"name": "ETH/USD", "chain": "home", "address": FEED}]
    async with running_oracle(database, watch=watch) as bed:
        assert await bed.reload(feed()) == Changes(added=("ETH/USD",))
        await bed.ready("ETH/USD")
        bed.tell("ETH/USD", 2000, 2000, 2000)
        await until(lambda: round_of(bed.oracle.publishers["ETH/USD"]) == 1)
        await until(lambda: not bed.oracle.publishers["ETH/USD"]._busy)
        assert [service.name for service in bed.oracle.services] == [
            "oracle-sources",
            "oracle:ETH/USD@home",
            "oracle-housekeeping",
        ]
        assert await bed.reload(watch=watch) == Changes(removed=("ETH/USD",))


async def test_a_feed_at_another_address_is_another_feed(database):
    async with running_oracle(database, feed(name="price")) as bed:
        bed.chain.feeds[THIRD] = FakeFeed()
        before = bed.oracle.publishers["price"]
        changes = await bed.reload(feed(name="price", aggregator=THIRD))
        assert changes == Changes(added=("price",), removed=("price",))
        assert bed.oracle.publishers["price"] is not before
        assert bed.sample("oracle_has_answer", "price") is not None


async def test_a_new_chain_brings_its_housekeeping(database):
    async with running_oracle(database, feed()) as bed:
        far = FakeChain(bed.chain.clock, 138)
        bed.chains["far"] = OracleChain(far, FakeSender(far))
        await bed.reload(feed(), feed(chain="far", name="far"))
        assert looked_after(bed.oracle) == ["far", "home"]
        await bed.ready("far")
        await bed.reload(feed())
        assert looked_after(bed.oracle) == ["far", "home"], "what was published there may still change"


@pytest.mark.parametrize(
    ("feeds", "setting"),
    [
        ([feed(), feed(aggregator=THIRD, name="x")], "oracle.feeds[1].aggregator"),
        ([feed(pair="BTC/USD")], "oracle.feeds[0].pair"),
        ([feed(), {**BTC, "name": "ETH/USD"}], "oracle.feeds[1].name"),
        ([feed(min_venues=3, sources=[*SOURCES[:2], {**SOURCES[2], "venue": "a"}])], "oracle.feeds[0].min_venues"),
    ],
)
async def test_what_cannot_work_touches_nothing(database, feeds, setting):
    async with running_oracle(database, feed()) as bed:
        before = bed.oracle.publishers["ETH/USD"].plan
        with pytest.raises(SettingsError) as caught:
            await bed.reload(*feeds)
        assert caught.value.setting == setting
        assert bed.oracle.publishers["ETH/USD"].plan is before


async def test_a_chain_that_is_down_stops_no_change_that_does_not_need_it(database):
    async with running_oracle(database, feed()) as bed:
        bed.chain.down = True
        assert await bed.reload(feed(deviation="1%")) == Changes(changed=("ETH/USD",))
        with pytest.raises(TemporaryError):
            await bed.reload(feed(), BTC)
        assert list(bed.oracle.publishers) == ["ETH/USD"]


async def test_watched_feeds_follow(database):
    async with running_oracle(database, feed()) as bed:
        bed.chain.feeds[THIRD] = FakeFeed(rounds={7: (1, 2, 3)})
        await bed.reload(feed(), watch=[{"name": "far", "chain": "home", "address": THIRD}])
        await until(lambda: bed.sample("oracle_onchain_price", "far") is not None)
        watcher = bed.oracle._watcher
        await bed.reload(feed(), watch=[{"name": "far", "chain": "home", "address": THIRD}])
        assert bed.oracle._watcher is watcher
        await bed.reload(feed())
        assert bed.oracle._watcher is None


async def test_the_adapter_serves_what_is_published_now(database):
    async with running_oracle(database, feed(), adapter={"port": 0}) as bed:
        served = bed.oracle._served
        await bed.reload(BTC, adapter={"port": 0})
        assert {str(pair) for pair in served} == {"BTC/USD"}
        assert bed.oracle._adapter is not None
        assert bed.oracle._adapter._feeds is served
