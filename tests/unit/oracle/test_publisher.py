"""One feed against an in-memory chain whose contract has `Aggregator`'s rules, and a sender with a journal."""

from dataclasses import replace

from seamark.oracle.model import AggregationPolicy, PublicationState, Reason, SourceFailure
from seamark.oracle.publications import attempt_key

from .conftest import running
from .fakes import REF, START, make_world, quote, until
from .publishing import chain_state, publications, publish, published, started, topics, totals


async def test_the_first_price_is_published_at_once(database):
    world = make_world(database)
    async with running(world.publisher):
        await started(world)
        await publish(world, "2000", "2001", "2002")
    assert world.chain.feed.rounds == {1: (200_100_000_000, int(START), int(START))}
    (row,) = await publications(world)
    assert (row.state, row.reason, row.round, row.answer) == (PublicationState.MINED, Reason.FIRST, 1, 200_100_000_000)
    assert row.quotes == (("a", "2000"), ("b", "2001"), ("c", "2002"))
    assert row.fee == 100_000 * 10**9
    assert await topics(world) == ["feed.updated", "oracle.planned", "feed.updated", "oracle.published"]


async def test_deviation_then_heartbeat(database):
    world = make_world(database)
    async with running(world.publisher):
        await started(world)
        await publish(world, 2000, 2000, 2000)
        await world.clock.advance(10)
        assert world.tell(2009, 2009, 2009) is None
        await world.clock.advance(1)
        await publish(world, 2010, 2010, 2010)
        await world.clock.advance(3239)
        assert world.tell(2010, 2010, 2010) is None
        await world.clock.advance(1)
        await publish(world, 2011, 2011, 2011)
    assert [row.reason for row in await publications(world)] == [Reason.FIRST, Reason.DEVIATION, Reason.HEARTBEAT]
    assert world.sample("oracle_updates_sent_total", reason="heartbeat") == 1


async def test_the_heartbeat_needs_no_new_price_only_time(database):
    world = make_world(database, poll_interval=100.0, aggregation=AggregationPolicy(min_venues=2, max_age=10_000))
    async with running(world.publisher):
        await started(world)
        await publish(world, 2000, 2000, 2000)
        await world.clock.advance(3000)
        assert world.tell(2000, 2000, 2000) is None
        await world.clock.advance(300)
        await published(world, 2)
    assert (await publications(world))[-1].reason is Reason.HEARTBEAT


async def test_the_heartbeat_follows_the_chains_clock_where_that_is_ahead(database):
    world = make_world(database)
    async with running(world.publisher):
        await started(world)
        await publish(world, 2000, 2000, 2000)
        world.publisher.state = replace(chain_state(world), block_time=int(START) + 3240)
        await world.clock.advance(1)
        await publish(world, 2000, 2000, 2000)
    assert (await publications(world))[-1].reason is Reason.HEARTBEAT


async def test_a_restart_compares_with_the_chain_and_not_with_memory(database):
    """Publishers that remember the last price publish everything anew after a restart."""
    world = make_world(database)
    world.chain.feed.rounds[1] = (200_000_000_000, int(START) - 60, int(START) - 60)
    async with running(world.publisher):
        await started(world)
        assert world.tell(2001, 2001, 2001) is None
        await publish(world, 2010, 2010, 2010)
    assert list(world.sender.journal) == [attempt_key(REF, 2, 1)]


async def test_one_publication_at_a_time(database):
    world = make_world(database)
    world.sender.mining = False
    async with running(world.publisher):
        await started(world)
        assert world.tell(2000, 2000, 2000) is not None
        await until(lambda: world.sender.journal)
        await world.clock.advance(1)
        assert world.tell(3000, 3000, 3000) is None
        assert world.sample("oracle_tx_pending") == 1
        world.sender.mining = True
        world.sender.mine(attempt_key(REF, 1, 1))
        await published(world, 1)
        await world.clock.advance(1)
        await publish(world, 3000, 3000, 3000)
    assert world.sample("oracle_tx_pending") == 0
    assert [row.answer for row in await publications(world)] == [200_000_000_000, 300_000_000_000]


async def test_a_transaction_that_waits_long_shows(database):
    world = make_world(database)
    world.sender.mining = False
    async with running(world.publisher):
        await started(world)
        world.tell(2000, 2000, 2000)
        await until(lambda: world.sender.journal)
        await world.clock.advance(121)
        assert world.publisher.problem() == "its transaction waits for 2m01s"


async def test_decisions_wait_until_every_source_has_spoken_or_had_its_time(database):
    world = make_world(database)
    async with running(world.publisher):
        await started(world)
        assert world.publisher.on_quotes([quote("a", 2000), quote("b", 2000)]) is None
        assert world.publisher.on_quotes([SourceFailure("c", "c", "timeout", "too slow", START)]) is not None
        await published(world, 1)


async def test_a_source_that_never_speaks_is_not_waited_for(database):
    world = make_world(database, poll_interval=1.0)
    async with running(world.publisher):
        await started(world)
        assert world.publisher.on_quotes([quote("a", 2000), quote("b", 2000)]) is None
        await world.clock.advance(5)
        await published(world, 1)


async def test_no_answer_no_publication(database):
    world = make_world(database)
    async with running(world.publisher):
        await started(world)
        assert world.tell(2000, 0, 0) is None
        assert world.publisher.problem() == "1 of 2 venues needed"
        assert world.sample("oracle_has_answer") == 0
        await publish(world, 2000, 2000, 0)
        assert world.publisher.problem() is None
    labels = {"feed": "ETH/USD", "source": "b", "reason": "not_positive"}
    assert world.registry.get_sample_value("oracle_quotes_rejected_total", labels) == 1


async def test_the_contracts_bounds_are_respected_before_anything_is_sent(database):
    world = make_world(database)
    world.chain.feed.max_answer = 1_000 * 10**8
    async with running(world.publisher):
        await started(world)
        assert world.tell(2000, 2000, 2000) is None
    assert not world.sender.journal


async def test_the_gas_limit_comes_from_the_settings_the_contract_or_experience(database):
    world = make_world(database)
    async with running(world.publisher):
        await started(world)
        await publish(world, 2000, 2000, 2000)
        await world.clock.advance(1)
        await publish(world, 3000, 3000, 3000)
        world.chain.feed.gas_limit = 900_000
        await world.publisher.refresh()
        await world.clock.advance(1)
        await publish(world, 4000, 4000, 4000)
        world.publisher.plan = replace(world.publisher.plan, gas_limit=123_456, value=7)
        await world.clock.advance(1)
        await publish(world, 5000, 5000, 5000)
    assert [intent.gas_limit for intent in world.sender.submitted] == [None, 200_000, 900_000, 123_456]
    assert [intent.value for intent in world.sender.submitted] == [0, 0, 0, 7]


# ---- the hot path ----------------------------------------------------------------------------------------------------


async def test_nothing_is_read_or_written_between_a_price_and_its_submission(database):
    world = make_world(database)
    async with running(world.publisher):
        await started(world)
        reads, writes = world.chain.reads, []
        original = database.write

        async def spy(work):
            writes.append(len(world.sender.submitted))
            return await original(work)

        database.write = spy
        await publish(world, 2000, 2000, 2000)
    assert world.chain.reads == reads
    assert writes[0] == 1  # the first write came after the submission


# ---- parked answers --------------------------------------------------------------------------------------------------


async def test_a_parked_answer_is_confirmed_by_a_later_one_with_a_key_of_its_own(database):
    world = make_world(database)
    world.chain.feed.max_step_bps = 1000
    async with running(world.publisher):
        await started(world)
        await publish(world, 2000, 2000, 2000)
        await world.clock.advance(1)
        world.tell(3000, 3000, 3000)
        await until(lambda: world.chain.feed.parked and not world.publisher._busy)
        await world.clock.advance(14)
        assert world.tell(3000, 3000, 3000) is None
        await world.clock.advance(1)
        await publish(world, 3001, 3001, 3001)
    rows = await publications(world)
    assert [(row.round, row.attempt, row.state) for row in rows] == [
        (1, 1, PublicationState.MINED),
        (2, 1, PublicationState.PARKED),
        (2, 2, PublicationState.MINED),
    ]
    assert rows[-1].reason is Reason.CONFIRM
    assert rows[-1].key == f"31337:{REF.address}:round:2#2"
    assert await totals(world) == {
        ("oracle_updates_sent_total", "first"): 1,
        ("oracle_updates_sent_total", "confirm"): 1,
        ("oracle_answers_parked_total", ""): 1,
        ("oracle_fees_paid_wei_total", ""): 3 * 10**14,
    }
    assert "oracle.parked" in await topics(world)


async def test_a_glitch_that_was_parked_is_forgotten(database):
    world = make_world(database)
    world.chain.feed.max_step_bps = 1000
    async with running(world.publisher):
        await started(world)
        await publish(world, 2000, 2000, 2000)
        await world.clock.advance(1)
        world.tell(3000, 3000, 3000)
        await until(lambda: world.chain.feed.parked and not world.publisher._busy)
        await world.clock.advance(20)
        assert world.tell(2001, 2001, 2001) is None
        await publish(world, 2020, 2020, 2020)
    assert world.chain.feed.parked is None
    assert world.chain.feed.rounds[2][0] == 202_000_000_000
