"""The oracle on a real node with the real contracts: published, resumed, parked, taken over, carried, measured."""

from __future__ import annotations

import asyncio
import itertools
import statistics
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from aiohttp import ClientSession, web
from prometheus_client import CollectorRegistry

from seamark.core.errors import SettingsError
from seamark.core.ids import Address, ChainId
from seamark.devnet.accounts import Role, account
from seamark.devnet.anvil import Anvil
from seamark.evm.artifacts import load
from seamark.evm.crypto import keccak256
from seamark.evm.rpc import Chain
from seamark.evm.signers import RawKeySigner
from seamark.evm.transactions import Patience, Sender, SenderSettings
from seamark.oracle.model import PublicationState, Quote, Reason
from seamark.oracle.publisher import FeedPublisher
from seamark.oracle.service import Oracle, OracleChain, build_oracle
from seamark.oracle.settings import OracleSettings, from_environment
from seamark.oracle.store import list_feeds, list_publications
from seamark.runtime.clock import SystemClock
from seamark.runtime.http import make_session
from seamark.runtime.service import Service
from seamark.runtime.settings import validate_settings
from seamark.storage.database import Database, open_database
from tests.support.anvil import ACCOUNT, anvil, send
from tests.support.killed_sender import DEV_KEY
from tests.support.world import World, world  # noqa: F401 - a fixture

pytestmark = pytest.mark.integration

PATIENCE_S = 20
QUICK = SenderSettings(poll_s=0.02, patience=Patience(resend_ms=300, foreign_ms=300))
VENUES = ("coinbase", "kraken", "bitstamp")
MAX_OBSERVATION_AGE_S = 900  # what the contract starts with


async def until(condition: Callable[[], Any]) -> None:
    async with asyncio.timeout(PATIENCE_S):
        while not condition():  # noqa: ASYNC110 - what is waited for happens on a node and in threads
            await asyncio.sleep(0.01)


# ---- contracts ------------------------------------------------------------------------------------------------------


async def deploy_feed(node: Anvil, *, max_step_bps: int = 0, publisher: str = ACCOUNT) -> Address:
    config = (keccak256(b"ETH/USD"), "ETH / USD", 8, 1, 10**15, max_step_bps)
    artifact = load("Aggregator")
    receipt = await send(node, to=None, data="0x" + artifact.creation(config, ACCOUNT).hex())
    feed = Address(receipt["contractAddress"].lower())
    grant = artifact.abi.encode_call("grantRole", keccak256(b"PUBLISHER_ROLE"), publisher)
    await send(node, to=feed, data="0x" + grant.hex())
    return feed


# ---- time -----------------------------------------------------------------------------------------------------------


class MovedClock(SystemClock):
    """The machine's clock, some seconds ahead: what the process sees of a chain whose time was moved."""

    def __init__(self) -> None:
        self.ahead_s = 0

    def now(self) -> float:
        return super().now() + self.ahead_s


# ---- venues ---------------------------------------------------------------------------------------------------------


class Market:
    """Three venues that tell one price, in their own shapes."""

    def __init__(self) -> None:
        self.price = "2000"
        self.base = ""
        self.clock = MovedClock()

    async def coinbase(self, _: web.Request) -> web.Response:
        told = {"price": self.price, "bid": self.price, "ask": self.price, "volume": "5"}
        return web.json_response(told | {"time": datetime.fromtimestamp(self.clock.now(), UTC).isoformat()})

    async def kraken(self, _: web.Request) -> web.Response:
        pair = {"a": [self.price], "b": [self.price], "c": [self.price], "v": ["1", "5"]}
        return web.json_response({"error": [], "result": {"XETHZUSD": pair}})

    async def bitstamp(self, _: web.Request) -> web.Response:
        now = str(int(self.clock.now()))
        told = {"last": self.price, "bid": self.price, "ask": self.price, "volume": "5", "timestamp": now}
        return web.json_response(told)

    @asynccontextmanager
    async def serving(self) -> AsyncIterator[Market]:
        runner = web.AppRunner(web.Application())
        runner.app.router.add_get("/products/ETH-USD/ticker", self.coinbase)
        runner.app.router.add_get("/0/public/Ticker", self.kraken)
        runner.app.router.add_get("/api/v2/ticker/ethusd/", self.bitstamp)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        self.base = f"http://127.0.0.1:{runner.addresses[0][1]}"
        try:
            yield self
        finally:
            await runner.cleanup()


# ---- the oracle on it -----------------------------------------------------------------------------------------------


@dataclass
class Stage:
    node: Anvil
    chain: Chain
    database: Database
    session: ClientSession
    market: Market

    def settings(self, feed: Address, **changes: Any) -> OracleSettings:
        one = {
            "chain": "home",
            "aggregator": feed,
            "heartbeat": "1h",
            "deviation": "0.5%",
            "poll_interval": "50ms",
            "refresh_interval": "200ms",
            "confirm_after": "1s",
            "sources": list(VENUES),
            **changes,
        }
        venues = {name: {"base_url": self.market.base} for name in VENUES}
        values = {"signer": {"private_key_env": "K"}, "feeds": [one], "venues": venues}
        return validate_settings(OracleSettings, values)

    def sender(self) -> Sender:
        return Sender(
            chain=self.chain,
            signer=RawKeySigner.from_hex(DEV_KEY),
            database=self.database,
            clock=self.market.clock,
            settings=QUICK,
        )

    async def build(self, settings: OracleSettings, sender: Sender, **names: Any) -> Oracle:
        return await build_oracle(
            settings,
            chains={"home": OracleChain(self.chain, sender), "default": OracleChain(self.chain, sender)},
            database=self.database,
            session=self.session,
            clock=self.market.clock,
            registry=CollectorRegistry(),
            **names,
        )

    @asynccontextmanager
    async def running(self, settings: OracleSettings) -> AsyncIterator[FeedPublisher]:
        """A whole process, from its start to its end."""
        sender = self.sender()
        oracle = await self.build(settings, sender)
        async with together([sender, *oracle.services]):
            yield next(iter(oracle.publishers.values()))
        await sender.close()

    async def pass_time(self, seconds: int) -> None:
        """For the chain, the venues and the oracle alike."""
        await self.node.request("evm_increaseTime", seconds)
        self.market.clock.ahead_s += seconds

    async def publications(self) -> list[Any]:
        return list(reversed(await self.database.read(list_publications)))

    async def answers(self, feed: Address) -> list[int]:
        """What the contract holds, round by round."""
        abi = load("Aggregator").abi
        last = abi.decode_result("latestRound", await self._read(feed, abi.encode_call("latestRound")))[0]
        found = [await self._read(feed, abi.encode_call("getAnswer", number)) for number in range(1, last + 1)]
        return [abi.decode_result("getAnswer", data)[0] for data in found]

    async def _read(self, feed: Address, data: bytes) -> bytes:
        answer = await self.node.request("eth_call", {"to": feed, "data": "0x" + data.hex()}, "latest")
        return bytes.fromhex(answer[2:])


@asynccontextmanager
async def together(services: list[Service]) -> AsyncIterator[None]:
    tasks = [asyncio.create_task(service.run(), name=service.name) for service in services]
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        for task in tasks:
            with suppress(asyncio.CancelledError):
                await task


@pytest.fixture
async def stage(tmp_path: Path) -> AsyncIterator[Stage]:
    async with AsyncExitStack() as stack:
        node = await stack.enter_async_context(anvil())
        session = await stack.enter_async_context(make_session())
        market = await stack.enter_async_context(Market().serving())
        chain = Chain(ChainId(31337), [node.url], session=session)
        stack.push_async_callback(chain.close)
        database = await open_database(f"sqlite:///{tmp_path}/seamark.db")
        stack.push_async_callback(database.close)
        yield Stage(node, chain, database, session, market)


async def test_prices_of_venues_reach_the_contract(stage: Stage) -> None:
    feed = await deploy_feed(stage.node)
    async with stage.running(stage.settings(feed)) as publisher:
        await until(lambda: publisher.state and publisher.state.round == 1)
        stage.market.price = "2009.99"
        await asyncio.sleep(1.2)  # observations are whole seconds: a wrong update would have its chance
        assert publisher.state is not None
        assert publisher.state.round == 1
        stage.market.price = "2010.00000001"
        await until(lambda: publisher.state and publisher.state.round == 2)
    assert await stage.answers(feed) == [200_000_000_000, 201_000_000_001]
    rows = await stage.publications()
    assert [(row.round, row.reason) for row in rows] == [(1, Reason.FIRST), (2, Reason.DEVIATION)]
    assert all(row.fee and row.block_time and row.transaction for row in rows)
    (shown,) = await stage.database.read(list_feeds)
    assert (shown.round, shown.price) == (2, Decimal("2010.00000001"))


async def test_the_heartbeat_comes_before_the_feed_expires(stage: Stage) -> None:
    feed = await deploy_feed(stage.node)
    async with stage.running(stage.settings(feed, heartbeat="4s", heartbeat_margin="40%")) as publisher:
        await until(lambda: publisher.state and publisher.state.round == 3)
    rows = await stage.publications()
    assert [row.reason for row in rows[:3]] == [Reason.FIRST, Reason.HEARTBEAT, Reason.HEARTBEAT]
    assert all(later.block_time - row.block_time <= 4 for row, later in itertools.pairwise(rows))


async def test_five_variables_start_a_publisher(stage: Stage) -> None:
    feed = await deploy_feed(stage.node)
    env = from_environment(
        {
            "RPC_URL": stage.node.url,
            "AGGREGATOR_ADDRESS": feed,
            "PRIVATE_KEY": DEV_KEY,
            "HEARTBEAT": "3600",
            "DEVIATION_THRESHOLD": "0.5%",
        }
    )
    sender = stage.sender()
    oracle = await stage.build(env.oracle, sender, names=env.names)
    plan = oracle.publishers["ETH/USD"].plan
    assert {source.venue for source in plan.sources} == {"coinbase", "kraken", "bitstamp", "gemini"}
    stranger = env.oracle.with_changes(feeds=[env.oracle.feeds[0].with_changes(aggregator="0x" + "42" * 20)])
    with pytest.raises(SettingsError, match="AGGREGATOR_ADDRESS: there is no contract at"):
        await stage.build(stranger, sender, names=env.names)
    closed = await deploy_feed(stage.node, publisher="0x" + "42" * 20)
    stranger = env.oracle.with_changes(feeds=[env.oracle.feeds[0].with_changes(aggregator=closed)])
    with pytest.raises(SettingsError, match=r"PRIVATE_KEY: 0x.* may not publish to"):
        await stage.build(stranger, sender, names=env.names)
    await sender.close()


async def test_a_restart_while_a_transaction_waits_publishes_nothing_twice(stage: Stage) -> None:
    feed = await deploy_feed(stage.node)
    await stage.node.request("evm_setAutomine", False)
    async with stage.running(stage.settings(feed)) as publisher:
        await until(lambda: publisher._busy)
        await wait_for_pool(stage.node)
    await stage.node.request("evm_mine")
    await stage.node.request("evm_setAutomine", True)
    stage.market.price = "2200"
    async with stage.running(stage.settings(feed)) as publisher:
        await until(lambda: publisher.state and publisher.state.round == 2)
    assert await stage.answers(feed) == [200_000_000_000, 220_000_000_000]
    rows = await stage.publications()
    assert [(row.round, row.attempt, row.reason) for row in rows] == [(1, 1, Reason.FIRST), (2, 1, Reason.DEVIATION)]


async def wait_for_pool(node: Anvil) -> None:
    async with asyncio.timeout(PATIENCE_S):
        while not int((await node.request("txpool_status"))["pending"], 16):  # noqa: ASYNC110 - the node has no events
            await asyncio.sleep(0.02)


async def test_a_price_that_waited_too_long_in_the_pool_is_refused_and_observed_anew(stage: Stage) -> None:
    feed = await deploy_feed(stage.node)
    began_at = stage.market.clock.now()
    await stage.node.request("evm_setAutomine", False)
    async with stage.running(stage.settings(feed)) as publisher:
        await wait_for_pool(stage.node)
        stage.market.price = "2100"
        await stage.pass_time(MAX_OBSERVATION_AGE_S + 60)
        await stage.node.request("evm_mine")
        await stage.node.request("evm_setAutomine", True)
        await until(lambda: publisher.state and publisher.state.round and not publisher._busy)
    await assert_observed_anew(stage, feed, since=began_at)


async def test_a_price_of_before_a_downtime_is_refused_and_observed_anew(stage: Stage) -> None:
    """The journalled bytes are sent again, as they must be: the chain tells that they came too late."""
    feed = await deploy_feed(stage.node)
    began_at = stage.market.clock.now()
    await stage.node.request("evm_setAutomine", False)
    async with stage.running(stage.settings(feed)):
        await wait_for_pool(stage.node)
    await stage.node.request("anvil_dropAllTransactions")
    stage.market.price = "2100"
    await stage.pass_time(6 * 3600)
    await stage.node.request("evm_setAutomine", True)
    async with stage.running(stage.settings(feed)) as publisher:
        await until(lambda: publisher.state and publisher.state.round and not publisher._busy)
    await assert_observed_anew(stage, feed, since=began_at)


async def assert_observed_anew(stage: Stage, feed: Address, *, since: float) -> None:
    assert await stage.answers(feed) == [210_000_000_000]
    refused, published = await stage.publications()
    assert (refused.round, refused.attempt, refused.state) == (1, 1, PublicationState.REVERTED)
    assert (published.round, published.attempt) == (1, 2)
    assert published.key == f"{refused.key}#2"
    assert published.observed_at > since + MAX_OBSERVATION_AGE_S
    assert published.block_time - published.observed_at < MAX_OBSERVATION_AGE_S


async def test_a_large_step_is_parked_and_then_confirmed(stage: Stage) -> None:
    feed = await deploy_feed(stage.node, max_step_bps=1000)
    on_chain = (PublicationState.MINED, PublicationState.FINAL)
    async with stage.running(stage.settings(feed)) as publisher:
        await until(lambda: publisher.state and publisher.state.round == 1)
        stage.market.price = "3000"
        await until(lambda: publisher.state and publisher.state.round == 2)
        async with asyncio.timeout(PATIENCE_S):  # the chain tells of it a moment before the record does
            while (await stage.publications())[-1].state not in on_chain:  # noqa: ASYNC110 - a database has no events
                await asyncio.sleep(0.02)
    states = [(row.round, row.attempt, row.state in on_chain) for row in await stage.publications()]
    assert states == [(1, 1, True), (2, 1, False), (2, 2, True)]
    assert await stage.answers(feed) == [200_000_000_000, 300_000_000_000]


async def test_a_second_publisher_is_lived_with(stage: Stage) -> None:
    feed = await deploy_feed(stage.node)
    other = (await stage.node.request("eth_accounts"))[1]
    abi = load("Aggregator").abi
    await send(stage.node, to=feed, data="0x" + abi.encode_call("grantRole", keccak256(b"PUBLISHER_ROLE"), other).hex())
    async with stage.running(stage.settings(feed, refresh_interval="1h")) as publisher:
        await until(lambda: publisher.state and publisher.state.round == 1)
        await asyncio.sleep(1.1)  # its observation must be newer than ours
        data = abi.encode_call("submit", 2, 205_000_000_000, int(SystemClock().now()))
        await stage.node.request(
            "eth_sendTransaction", {"from": other, "to": feed, "data": "0x" + data.hex(), "gas": hex(400_000)}
        )
        await asyncio.sleep(1.1)
        stage.market.price = "2300"  # we still believe in round 1 and try round 2
        await until(lambda: publisher.state and publisher.state.round == 3)
    assert await stage.answers(feed) == [200_000_000_000, 205_000_000_000, 230_000_000_000]
    failed = [row for row in await stage.publications() if row.state is PublicationState.REVERTED]
    assert [row.round for row in failed] == [2]


async def test_a_reorg_that_takes_the_round_away_ends_with_the_round_on_chain_once(stage: Stage) -> None:
    feed = await deploy_feed(stage.node)
    await stage.node.mine(5)
    async with stage.running(stage.settings(feed)) as publisher:
        await until(lambda: publisher.state and publisher.state.round == 1)
        await stage.node.request("anvil_reorg", 1, [])
        await stage.node.mine(1)
        stage.market.price = "2300"
        await until(lambda: publisher.state and publisher.state.answer == 230_000_000_000)
    assert await stage.answers(feed) in ([200_000_000_000, 230_000_000_000], [230_000_000_000])


async def test_from_a_price_to_an_accepted_transaction(stage: Stage) -> None:
    """Quotes pushed by hand, without timer and HTTP, as a benchmark does it; the targets are asserted in bench/."""
    feed = await deploy_feed(stage.node)
    settings = stage.settings(feed, gas_limit=300_000, poll_interval="30m", max_age="1h", heartbeat="2h")
    sender = stage.sender()
    oracle = await stage.build(settings, sender)
    (publisher,) = oracle.publishers.values()
    accepted: list[float] = []
    submit = sender.submit
    clock = SystemClock()

    async def timed(intent: Any) -> Any:
        outcome = await submit(intent)
        accepted.append(clock.monotonic())
        return outcome

    sender.submit = timed  # type: ignore[method-assign]
    publisher.heard.silent = set()
    async with together([sender, publisher]):
        await until(lambda: publisher._ready)
        spans: list[float] = []
        for number in range(5):
            await until(lambda: not publisher._busy)
            started = clock.monotonic()
            planned = publisher.on_quotes(told(venue, 2000 + 100 * number, clock.now()) for venue in VENUES)
            assert planned is not None
            await until(lambda: len(accepted) == len(spans) + 1)
            spans.append(accepted[-1] - started)
            await asyncio.sleep(1.05)
    await sender.close()
    print(f"price to accepted transaction: median {statistics.median(spans) * 1000:.2f} ms of {len(spans)}")  # noqa: T201
    assert len(await stage.answers(feed)) == 5


def told(venue: str, price: int, now: float) -> Quote:
    return Quote(venue, venue, Decimal(price), observed_at=now, received_at=now, untimed=True)


async def test_a_round_is_carried_and_both_chains_are_shown(world: World, tmp_path: Path) -> None:  # noqa: F811
    """The contract's own gas limit is used, else the send is skipped for lack of gas and nothing arrives."""
    feed = world.feed("ETH/USD")
    async with AsyncExitStack() as stack:
        session = await stack.enter_async_context(make_session())
        database = await open_database(f"sqlite:///{tmp_path}/seamark.db")
        stack.push_async_callback(database.close)
        home = Chain(world.home.chain_id, [world.devnet.home_url], session=session)
        remote = Chain(world.remote.chain_id, [world.devnet.remote_url], session=session)
        signer = RawKeySigner.from_hex(account(Role.PUBLISHER).private_key)
        sender = Sender(chain=home, signer=signer, database=database, clock=SystemClock(), settings=QUICK)
        for close in (home.close, remote.close, sender.close):
            stack.push_async_callback(close)
        feeds = [{"chain": "home", "aggregator": feed.aggregator, "heartbeat": "1h", "deviation": "0.5%"}]
        watch = [{"name": "ETH/USD", "chain": "remote", "address": feed.receiver}]
        values = {"signer": {"private_key_env": "K"}, "feeds": feeds, "watch": watch, "watch_interval": "50ms"}
        oracle = await build_oracle(
            validate_settings(OracleSettings, values),
            chains={"home": OracleChain(home, sender), "remote": OracleChain(remote)},
            database=database,
            session=session,
            clock=SystemClock(),
            registry=CollectorRegistry(),
        )
        (publisher,) = oracle.publishers.values()
        publisher.heard.silent = set()
        await stack.enter_async_context(together([sender, publisher, oracle.services[-1]]))
        await until(lambda: publisher._ready)
        now = SystemClock().now()
        publisher.on_quotes(told(venue, 2345, now) for venue in ("coinbase", "kraken", "bitstamp"))
        await until(lambda: publisher.state and publisher.state.round == 1)
        await world.deliver(world.outbound)
        async with asyncio.timeout(PATIENCE_S):
            while [row.round for row in await database.read(list_feeds)] != [1, 1]:  # noqa: ASYNC110 - polls a file
                await asyncio.sleep(0.05)
        here, there = await database.read(list_feeds)
    assert (here.ref.chain, there.ref.chain) == ("home", "remote")
    assert here.price == there.price == Decimal(2345)
    assert here.updated_at == there.updated_at
