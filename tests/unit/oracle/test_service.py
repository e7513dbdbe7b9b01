"""Start-up checks, composition, the watcher, housekeeping and metrics, over the in-memory chain."""

import asyncio
from dataclasses import replace
from decimal import Decimal

import msgspec
import pytest
from prometheus_client import CollectorRegistry, generate_latest
from structlog.testing import capture_logs

from seamark.core.errors import SettingsError, TemporaryError
from seamark.core.ids import Address, ChainId
from seamark.core.units import Ppb
from seamark.evm.ports import TxState
from seamark.oracle.housekeeping import Housekeeping
from seamark.oracle.metrics import FeedMeter, OracleMetrics
from seamark.oracle.model import (
    FeedRef,
    Publication,
    PublicationState,
    Reason,
    Role,
    SourceFailure,
    TriggerPolicy,
)
from seamark.oracle.publications import attempt_key
from seamark.oracle.service import OracleChain, build_oracle
from seamark.oracle.settings import AdapterServerSettings, OracleSettings, from_environment
from seamark.oracle.sources.adapter_server import AdapterServer
from seamark.oracle.sources.outlet import SourceHealth
from seamark.oracle.store import list_feeds, list_publications, settle_publication
from seamark.oracle.watcher import FeedWatcher, WatchedFeed
from seamark.runtime.health import Status
from seamark.runtime.http import make_session
from seamark.runtime.settings import validate_settings
from seamark.storage.events import read_events

from .conftest import running
from .fakes import FEED, REF, SIGNER, START, FakeChain, FakeClock, FakeFeed, FakeSender, make_world, quote, until

OTHER = Address("0x" + "0b" * 20)
REMOTE = FeedRef("ETH/USD", "far", ChainId(138), OTHER, Role.REMOTE)
WATCHED = (WatchedFeed(REMOTE, heartbeat=3600.0),)


def settings(**feed) -> OracleSettings:
    one = {"chain": "home", "aggregator": FEED, "heartbeat": "1h", "deviation": "0.5%", **feed}
    return validate_settings(OracleSettings, {"signer": {"private_key_env": "K"}, "feeds": [one]})


@pytest.fixture
def chain() -> FakeChain:
    return FakeChain(FakeClock())


async def build(database, chain, chosen, **changes):
    sender = FakeSender(chain)
    chains = changes.pop("chains", {"home": OracleChain(chain, sender)})
    async with make_session() as session:
        return await build_oracle(
            chosen,
            chains=chains,
            database=database,
            session=session,
            clock=chain.clock,
            registry=changes.pop("registry", CollectorRegistry()),
            **changes,
        )


# ---- start-up checks ------------------------------------------------------------------------------------------------


async def test_pair_and_sources_follow_from_the_contracts_own_description(database, chain):
    oracle = await build(database, chain, settings())
    plan = oracle.publishers["ETH/USD"].plan
    assert str(plan.pair) == "ETH/USD"
    assert [source.venue for source in plan.sources] == ["coinbase", "kraken", "bitstamp", "gemini"]
    assert [service.name for service in oracle.services] == [
        "oracle-sources",
        "oracle:ETH/USD@home",
        "oracle-housekeeping",
    ]


async def test_the_environment_alone_builds_a_publisher(database, chain):
    env = from_environment(
        {
            "RPC_URL": "http://127.0.0.1:8545",
            "AGGREGATOR_ADDRESS": FEED,
            "PRIVATE_KEY": "0x01",
            "HEARTBEAT": "60",
            "DEVIATION_THRESHOLD": "1%",
        }
    )
    chains = {"default": OracleChain(chain, FakeSender(chain))}
    oracle = await build(database, chain, env.oracle, chains=chains, names=env.names)
    assert list(oracle.publishers) == ["ETH/USD"]
    chain.feeds.clear()
    with pytest.raises(SettingsError) as caught:
        await build(database, chain, env.oracle, chains=chains, names=env.names)
    assert caught.value.setting == "AGGREGATOR_ADDRESS"


@pytest.mark.parametrize(
    ("change", "feed", "setting", "problem"),
    [
        ({}, {"aggregator": OTHER}, "oracle.feeds[0].aggregator", "there is no contract at"),
        ({}, {"chain": "nowhere"}, "oracle.feeds[0].chain", "there is no chain 'nowhere'; name one"),
        ({}, {"pair": "BTC/USD"}, "oracle.feeds[0].pair", "is BTC/USD, but the contract prices ETH/USD"),
        ({"description": "Ether"}, {}, "oracle.feeds[0].pair", "which is no pair; declare pair"),
        ({"description": "ETH / DAI"}, {}, "oracle.feeds[0].sources", "against DAI"),
        ({"publishers": set()}, {}, "oracle.signer", "may not publish to"),
        ({"decimals": 37}, {}, "oracle.feeds[0].aggregator", "has 37 decimals; give the address of a feed with"),
    ],
)  # fmt: skip
async def test_a_feed_that_cannot_work_is_refused(database, chain, change, feed, setting, problem):  # noqa: PLR0917
    chain.feeds[FEED] = FakeFeed(**change)
    with pytest.raises(SettingsError) as caught:
        await build(database, chain, settings(**feed))
    assert caught.value.setting == setting
    assert problem in str(caught.value)
    assert "\n" not in str(caught.value)


async def test_a_feed_may_be_very_fine(database, chain):
    chain.feeds[FEED] = FakeFeed(decimals=36)
    assert (await build(database, chain, settings())).publishers["ETH/USD"]


async def test_a_contract_that_is_no_feed_is_refused(database, chain):
    class Token(FakeFeed):
        def read(self, data):
            return b""

    chain.feeds[FEED] = Token()
    with pytest.raises(SettingsError, match="is no price feed"):
        await build(database, chain, settings())


async def test_a_chain_without_signer_cannot_publish(database, chain):
    with pytest.raises(SettingsError, match=r"oracle\.signer: no account"):
        await build(database, chain, settings(), chains={"home": OracleChain(chain)})


async def test_a_declared_pair_serves_where_the_contract_says_nothing_useful(database, chain):
    chain.feeds[FEED] = FakeFeed(description="Ether price")
    oracle = await build(database, chain, settings(pair="ETH/USD", name="ether"))
    assert list(oracle.publishers) == ["ether"]


async def test_an_unreachable_chain_is_temporary(database, chain):
    chain.down = True
    with pytest.raises(TemporaryError):
        await build(database, chain, settings())


async def test_two_feeds_need_two_names(database, chain):
    chain.feeds[OTHER] = FakeFeed()
    both = validate_settings(
        OracleSettings,
        {
            "signer": {"private_key_env": "K"},
            "feeds": [
                {"chain": "home", "aggregator": address, "heartbeat": "1h", "deviation": "1%"}
                for address in (FEED, OTHER)
            ],
        },
    )
    with pytest.raises(SettingsError, match=r"oracle\.feeds\[1\]\.name: two feeds are called ETH/USD"):
        await build(database, chain, both)


async def test_watching_alone_needs_no_signer(database, chain):
    watch = validate_settings(OracleSettings, {"watch": [{"name": "ETH/USD", "chain": "home", "address": FEED}]})
    oracle = await build(database, chain, watch, chains={"home": OracleChain(chain)})
    assert [service.name for service in oracle.services] == ["oracle-watcher"]
    assert (await oracle.health()).status is Status.OK


async def test_health_names_the_feed_and_what_ails_it(database, chain):
    oracle = await build(database, chain, settings())
    health = await oracle.health()
    assert (health.status, health.detail) == (Status.DEGRADED, "ETH/USD: its contract was not read yet")


# ---- the watcher ----------------------------------------------------------------------------------------------------


def watcher(database, chains, metrics=None, feeds=WATCHED):
    clock = next(iter(chains.values())).clock
    metrics = metrics or OracleMetrics(CollectorRegistry())
    return FeedWatcher(feeds=feeds, chains=chains, database=database, clock=clock, metrics=metrics, interval=5.0)


async def test_a_remote_feed_is_stored_when_it_changes(database, chain):
    registry = CollectorRegistry()
    chain.feeds[OTHER] = FakeFeed()
    watching = watcher(database, {"far": chain}, OracleMetrics(registry))
    await watching.register()
    assert [row.round for row in await database.read(list_feeds)] == [0]
    await watching.look("far")
    chain.feeds[OTHER].rounds[4] = (200_000_000_000, int(START) - 9, int(START) - 8)
    chain.height += 1
    for _ in range(3):
        await watching.look("far")
    (row,) = await database.read(list_feeds)
    assert (row.ref, row.round, row.price, row.updated_at) == (REMOTE, 4, Decimal(2000), int(START) - 8)
    events = await database.read(lambda connection: read_events(connection, 0))
    assert [(event.topic, event.payload["round"], event.payload["role"]) for event in events] == [
        ("feed.updated", "0", "remote"),
        ("feed.updated", "4", "remote"),
    ]
    labels = {"feed": "ETH/USD", "chain": "far"}
    assert registry.get_sample_value("oracle_onchain_price", labels) == 2000
    assert registry.get_sample_value("oracle_updated_timestamp_seconds", labels) == START - 8


async def test_a_lagging_node_takes_nothing_back(database, chain):
    chain.feeds[OTHER] = FakeFeed(rounds={4: (1, 2, 3)})
    chain.height = 10
    watching = watcher(database, {"far": chain})
    await watching.register()
    await watching.look("far")
    chain.lag = 5
    chain.feeds[OTHER].rounds.clear()
    await watching.look("far")
    assert (await database.read(list_feeds))[0].round == 4


async def test_a_feed_that_is_none_does_not_hide_its_neighbours(database, chain):
    chain.feeds[OTHER] = FakeFeed(rounds={1: (1, 2, 3)})
    nothing = replace(REMOTE, name="NOT/THERE", address=Address("0x" + "0c" * 20))
    watching = watcher(database, {"far": chain}, feeds=(WatchedFeed(nothing), WatchedFeed(REMOTE)))
    await watching.register()
    with capture_logs() as lines:
        for _ in range(3):
            await watching.look("far")
        assert [line["event"] for line in lines] == ["not a feed"], "told once, not at each look"
    assert {row.ref.name: row.round for row in await database.read(list_feeds)} == {"ETH/USD": 1, "NOT/THERE": 0}


async def test_a_chain_that_is_down_delays_only_its_own_feeds(database, chain):
    good = FakeChain(chain.clock)
    good.feeds[OTHER] = FakeFeed(rounds={1: (1, 2, 3)})
    chain.down = True
    bad = replace(REMOTE, chain="bad")
    watching = watcher(database, {"bad": chain, "far": good}, feeds=(WatchedFeed(bad), WatchedFeed(REMOTE)))
    async with running(watching) as task:
        await until(lambda: len(good.clock._waiting) == 2)
        await good.clock.advance(6)
        await until(lambda: good.reads > 18)
        assert not task.done()


# ---- housekeeping ---------------------------------------------------------------------------------------------------


async def published_world(database):
    world = make_world(database)
    async with running(world.publisher):
        await until(lambda: world.publisher._ready)
        world.tell(2000, 2000, 2000)
        await until(lambda: world.sample("oracle_updates_sent_total", reason="first"))
    keeping = Housekeeping(
        chains=[("home", world.chain, world.sender)], database=database, clock=world.clock, metrics=world.metrics
    )
    return world, keeping, attempt_key(REF, 1, 1)


async def state_of(database):
    (row,) = await database.read(list_publications)
    return row.state


async def test_a_mined_publication_becomes_final(database):
    world, keeping, key = await published_world(database)
    await keeping.sweep()
    assert await state_of(database) is PublicationState.MINED
    world.sender.set(replace(world.sender.journal[key], state=TxState.CONFIRMED))
    await keeping.sweep()
    assert await state_of(database) is PublicationState.FINAL


async def test_an_orphaned_publication_goes_back_and_forth_and_counts_once(database):
    world, keeping, key = await published_world(database)
    mined = world.sender.journal[key]
    world.sender.set(replace(mined, state=TxState.BROADCAST, receipt=None))
    await keeping.sweep()
    assert await state_of(database) is PublicationState.BROADCAST
    world.sender.set(mined)
    await keeping.sweep()
    assert await state_of(database) is PublicationState.MINED
    assert world.sample("oracle_updates_sent_total", reason="first") == 1


async def test_a_reverted_attempt_that_a_reorg_mines_anew_becomes_its_round(database):
    world, keeping, key = await published_world(database)
    mined = world.sender.journal[key]
    reverted = Publication(key, REF, 1, 1, PublicationState.REVERTED, Reason.FIRST, START, decimals=8)
    lost = attempt_key(REF, 2, 1)
    await database.write(lambda c: settle_publication(c, replace(reverted, key=lost, round=2)))
    world.sender.set(replace(mined, key=lost, state=TxState.BROADCAST, receipt=None))
    await keeping.sweep()
    (row, _) = await database.read(list_publications)
    assert row.state is PublicationState.BROADCAST
    world.sender.set(replace(mined, key=lost))
    for _ in range(2):
        await keeping.sweep()
    (row, _) = await database.read(list_publications)
    assert (row.state, row.answer, row.closed) == (PublicationState.MINED, 200_000_000_000, False)
    assert world.sample("oracle_updates_sent_total", reason="first") == 2


async def test_a_failure_is_closed_when_its_block_is_final_and_asked_for_no_more(database):
    world, keeping, key = await published_world(database)
    mined = world.sender.journal[key]
    failed = replace(mined, receipt=msgspec.structs.replace(mined.receipt, succeeded=False, logs=()))
    world.sender.set(failed)
    await keeping.sweep()
    world.sender.set(replace(failed, state=TxState.CONFIRMED))
    await keeping.sweep()
    world.sender.set(mined)
    await keeping.sweep()
    (row,) = await database.read(list_publications)
    assert (row.state, row.closed) == (PublicationState.REVERTED, True)


async def test_one_that_lost_its_nonce_may_come_back_for_a_day(database):
    world, keeping, key = await published_world(database)
    mined = world.sender.journal[key]
    beaten = replace(mined, state=TxState.REPLACED, receipt=None)
    for seconds, now, state, closed in (
        (10.0, beaten, PublicationState.REPLACED, False),
        (80_000.0, mined, PublicationState.MINED, False),
        (0.0, beaten, PublicationState.REPLACED, False),
        (7_000.0, beaten, PublicationState.REPLACED, True),
        (0.0, mined, PublicationState.REPLACED, True),
    ):
        world.clock.time += seconds
        world.sender.set(now)
        await keeping.sweep()
        (row,) = await database.read(list_publications)
        assert (row.state, row.closed) == (state, closed)


async def test_publications_that_never_end_do_not_keep_others_from_it(database):
    gone = FeedRef("OLD/USD", "gone", ChainId(999), OTHER)
    stuck = [
        Publication(attempt_key(gone, number, 1), gone, number, 1, PublicationState.MINED, Reason.HEARTBEAT, 1.0)
        for number in range(1, 251)
    ]

    def store(connection):
        for publication in stuck:
            settle_publication(connection, publication)

    await database.write(store)
    world, keeping, key = await published_world(database)
    world.sender.set(replace(world.sender.journal[key], state=TxState.CONFIRMED))
    await keeping.sweep()
    (newest,) = await database.read(lambda connection: list_publications(connection, feed=REF.name))
    assert newest.state is PublicationState.FINAL


async def test_the_balance_and_how_long_it_lasts(database):
    world, keeping, _ = await published_world(database)
    world.chain.wei = 10**15 + 5
    await keeping.read_balance("home", world.chain, world.sender)
    assert world.registry.get_sample_value("oracle_signer_balance_wei", {"chain": "home"}) == 10**15 + 5
    assert world.registry.get_sample_value("oracle_signer_runs_left", {"chain": "home"}) == 10  # 10^14 each


async def test_without_fees_nothing_runs_out(database):
    world = make_world(database)
    keeping = Housekeeping(
        chains=[("home", world.chain, world.sender)], database=database, clock=world.clock, metrics=world.metrics
    )
    await keeping.read_balance("home", world.chain, world.sender)
    assert world.registry.get_sample_value("oracle_signer_runs_left", {"chain": "home"}) is None


async def test_housekeeping_goes_on_by_itself(database):
    world, keeping, key = await published_world(database)
    async with running(keeping):
        await until(lambda: len(world.clock._waiting) >= 2)
        world.sender.set(replace(world.sender.journal[key], state=TxState.CONFIRMED))
        await world.clock.advance(10)
        async with asyncio.timeout(2):
            while await state_of(database) is not PublicationState.FINAL:  # noqa: ASYNC110 - polls a table
                await asyncio.sleep(0.005)
    assert world.registry.get_sample_value("oracle_signer_balance_wei", {"chain": "home"}) == 10**18


async def test_a_journal_that_forgot_changes_nothing(database):
    world, keeping, key = await published_world(database)
    del world.sender.journal[key]
    await keeping.sweep()
    assert await state_of(database) is PublicationState.MINED


async def test_a_chain_that_is_down_does_not_stop_the_housekeeping(database):
    world, keeping, _ = await published_world(database)
    world.chain.down = True
    async with running(keeping) as task:
        await until(lambda: world.clock._waiting)
        assert not task.done()


# ---- metrics --------------------------------------------------------------------------------------------------------


async def test_counters_go_on_after_a_restart(database):
    await published_world(database)
    chain = FakeChain(FakeClock())
    registry = CollectorRegistry()
    await build(database, chain, settings(), registry=registry)
    labels = {"feed": "ETH/USD", "chain": "home"}
    assert registry.get_sample_value("oracle_updates_sent_total", {**labels, "reason": "first"}) == 1
    assert registry.get_sample_value("oracle_fees_paid_wei_total", labels) == 10**14


async def test_what_an_operator_sees(database):
    world = make_world(database)
    world.chain.feed.rounds[1] = (200_000_000_000, int(START) - 100, int(START) - 100)
    health = SourceHealth()
    world.publisher.meter.watch_source("a", health)
    async with running(world.publisher):
        await until(lambda: world.publisher._ready)
        world.publisher.on_quotes([quote("a", 2005), quote("b", 2005), SourceFailure("c", "c", "timeout", "", START)])
    expected = {
        "oracle_price": 2005,
        "oracle_onchain_price": 2000,
        "oracle_deviation_ratio": 0.0025,
        "oracle_deviation_threshold_ratio": 0.005,
        "oracle_seconds_since_update": 100,
        "oracle_heartbeat_slack_seconds": 3500,
        "oracle_heartbeat_due_seconds": 3140,
        "oracle_distinct_venues": 2,
        "oracle_distinct_venues_needed": 2,
        "oracle_has_answer": 1,
        "oracle_tx_pending": 0,
        "oracle_feed_paused": 0,
        "oracle_contract_paused": 0,
        "oracle_fees_paid_wei_total": 0,
    }
    assert {name: world.sample(name) for name in expected} == expected
    source = {"feed": "ETH/USD", "source": "c"}
    assert world.registry.get_sample_value("oracle_source_failures_total", {**source, "class": "timeout"}) == 1
    assert world.registry.get_sample_value("oracle_source_up", {**source, "source": "a"}) == 0
    health.last_ok_at = START - 3
    assert world.registry.get_sample_value("oracle_source_up", {**source, "source": "a"}) == 1
    assert world.registry.get_sample_value("oracle_source_age_seconds", {**source, "source": "a"}) == 3


async def test_the_numbers_of_a_feed_without_rounds_are_not_made_up(database):
    world = make_world(database)
    async with running(world.publisher):
        await until(lambda: world.publisher._ready)
        text = generate_latest(world.registry).decode()
    assert 'oracle_seconds_since_update{chain="home",feed="ETH/USD"} NaN' in text
    assert 'oracle_onchain_price{chain="home",feed="ETH/USD"} NaN' in text


def test_labels_hold_no_address_and_no_hash():
    registry = CollectorRegistry()
    world_metrics = OracleMetrics(registry)
    FeedMeter(world_metrics, REF, TriggerPolicy(heartbeat=60, deviation=Ppb(5)), clock=FakeClock())
    assert FEED not in generate_latest(registry).decode()
    assert SIGNER not in generate_latest(registry).decode()


# ---- as an external adapter -----------------------------------------------------------------------------------------


async def test_published_feeds_are_served_to_nodes(database, chain):
    chosen = settings(min_venues=1)
    chosen = chosen.model_copy(update={"adapter": AdapterServerSettings(port=0)})
    oracle = await build(database, chain, chosen)
    server = oracle.services[-1]
    assert isinstance(server, AdapterServer)
    publisher = oracle.publishers["ETH/USD"]
    await publisher.refresh()
    async with running(server), make_session() as session:
        await until(lambda: server.port)
        url, question = f"http://127.0.0.1:{server.port}", {"id": "1", "data": {"base": "ETH", "quote": "USD"}}
        async with session.post(url, json=question) as early:
            assert early.status == 504
        publisher.on_quotes([quote("kraken", "2000.5", chain.clock.now())])
        async with session.post(url, json=question) as reply:
            assert (reply.status, (await reply.json())["result"]) == (200, 2000.5)


async def test_a_source_on_a_chain_that_is_not_there_names_the_setting(database, chain):
    reading = {"name": "v", "erc4626": {"chain": "away", "vault": FEED, "asset_decimals": 18}}
    with pytest.raises(SettingsError, match=r"oracle\.feeds\[0\]\.sources\[0\]: there is no chain 'away'"):
        await build(database, chain, settings(sources=[reading]))
