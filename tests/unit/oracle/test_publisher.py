"""One feed against an in-memory chain whose contract has `Aggregator`'s rules, and a sender with a journal."""

import asyncio
from dataclasses import replace

import pytest

from seamark.core.errors import RejectedError, TemporaryError
from seamark.core.units import Ppb
from seamark.evm.ports import TxState
from seamark.oracle.model import AggregationPolicy, FeedState, PublicationState, Reason, SourceFailure, TriggerPolicy
from seamark.oracle.publications import attempt_key
from seamark.oracle.store import list_feeds, list_publications
from seamark.storage.events import read_events
from seamark.storage.totals import read_totals

from .conftest import running
from .fakes import REF, SIGNER, START, FakeChain, FakeClock, Journal, World, make_world, quote, until


async def publications(world):
    return await world.database.read(lambda connection: list(reversed(list_publications(connection))))


async def topics(world):
    return [event.topic for event in await world.database.read(lambda connection: read_events(connection, 0))]


async def totals(world):
    found = await world.database.read(lambda connection: list(read_totals(connection, "oracle_")))
    return {(item.metric, item.labels.get("reason") or item.labels.get("class", "")): int(item.value) for item in found}


async def started(world):
    await until(lambda: world.publisher.state is not None and world.publisher._ready and not world.publisher._busy)


async def published(world, rounds):
    """Wait until so many rounds are on chain and stored."""
    publisher = world.publisher
    await until(lambda: publisher.state is not None and publisher.state.round >= rounds and not publisher._busy)


async def failed(world, times):
    """Wait until so many publications in a row have failed."""
    await until(lambda: world.publisher._failures == times and not world.publisher._busy)


def chain_state(world: World) -> FeedState:
    """What the publisher knows of the contract."""
    assert world.publisher.state is not None
    return world.publisher.state


async def publish(world, *prices):
    """Quote and see it through."""
    rounds = chain_state(world).round
    assert world.tell(*prices) is not None
    await published(world, rounds + 1)


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
        assert world.publisher.on_report(SourceFailure("c", "c", "timeout", "too slow", START)) is not None
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


# ---- the hot path ---------------------------------------------------------------------------------------------------


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


# ---- parked answers -------------------------------------------------------------------------------------------------


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


# ---- errors ---------------------------------------------------------------------------------------------------------


async def test_a_refused_submission_is_tried_again_after_a_growing_pause(database):
    world = make_world(database)
    world.sender.refusal = RejectedError("insufficient funds for gas * price + value")
    async with running(world.publisher):
        await started(world)
        pauses = []
        for failures in range(1, 9):
            world.publisher._not_before = 0.0
            world.tell(2000, 2000, 2000)
            await failed(world, failures)
            pauses.append(world.publisher._not_before - world.clock.monotonic())
            assert world.sample("oracle_feed_paused") == (failures >= 5)
        assert world.publisher.problem() == "8 failed publications in a row"
        assert world.tell(2000, 2000, 2000) is None
        world.sender.refusal = None
        await world.clock.advance(60)
        world.tell(2000, 2000, 2000)
        await published(world, 1)
    assert pauses == [1, 2, 4, 8, 16, 32, 60, 60]
    assert world.sample("oracle_feed_paused") == 0
    assert world.sample("oracle_update_errors_total", **{"class": "no_funds"}) == 8
    assert list(world.sender.journal) == [attempt_key(REF, 1, 1)]  # nothing was sent, so the same key


async def test_a_round_that_another_publisher_took_is_followed_by_the_next(database):
    world = make_world(database)
    world.sender.simulating = False
    async with running(world.publisher):
        await started(world)
        world.chain.feed.rounds[1] = (100_000_000_000, int(START) - 5, int(START) - 5)
        world.tell(2000, 2000, 2000)
        await until(lambda: chain_state(world).round == 1 and not world.publisher._busy)
        await world.clock.advance(1)
        world.tell(2000, 2000, 2000)
        await published(world, 2)
    rows = await publications(world)
    assert [(row.round, row.attempt, row.state) for row in rows] == [
        (1, 1, PublicationState.REVERTED),
        (2, 1, PublicationState.MINED),
    ]
    assert await totals(world) == {
        ("oracle_update_errors_total", "reverted"): 1,
        ("oracle_updates_sent_total", "deviation"): 1,
        ("oracle_fees_paid_wei_total", ""): 2 * 10**14,
    }


async def test_a_reverted_attempt_is_repeated_under_the_next_key(database):
    world = make_world(database)
    world.sender.simulating = False
    world.chain.feed.publishers = set()
    async with running(world.publisher):
        await started(world)
        world.tell(2000, 2000, 2000)
        await failed(world, 1)
        world.chain.feed.publishers = {SIGNER}
        await world.clock.advance(1)
        world.tell(2000, 2000, 2000)
        await published(world, 1)
    assert list(world.sender.journal) == [attempt_key(REF, 1, 1), attempt_key(REF, 1, 2)]


@pytest.mark.parametrize("end", [TxState.FOREIGN, TxState.REPLACED])
async def test_a_transaction_that_lost_its_nonce_is_repeated_under_the_next_key(database, end):
    world = make_world(database)
    world.sender.mining = False
    async with running(world.publisher):
        await started(world)
        world.tell(2000, 2000, 2000)
        key = attempt_key(REF, 1, 1)
        await until(lambda: key in world.sender.journal)
        world.sender.set(replace(world.sender.journal[key], state=end))
        await failed(world, 1)
        world.sender.mining = True
        await world.clock.advance(1)
        world.tell(2000, 2000, 2000)
        await published(world, 1)
    rows = await publications(world)
    assert [(row.attempt, row.state) for row in rows] == [(1, PublicationState.REPLACED), (2, PublicationState.MINED)]


async def test_a_lost_reply_is_looked_up_and_never_sent_twice(database):
    world = make_world(database)
    world.sender.lost_reply = True
    async with running(world.publisher):
        await started(world)
        await publish(world, 2000, 2000, 2000)
    assert len(world.sender.submitted) == 1
    assert (await publications(world))[0].state is PublicationState.MINED


async def test_a_submission_that_never_was_is_made_again(database):
    world = make_world(database)
    world.sender.refusal = TemporaryError("no node answers")
    async with running(world.publisher):
        await started(world)
        world.tell(2000, 2000, 2000)
        await failed(world, 1)
        world.sender.refusal = None
        await world.clock.advance(1)
        await publish(world, 2000, 2000, 2000)
    assert list(world.sender.journal) == [attempt_key(REF, 1, 1)]
    assert world.sample("oracle_update_errors_total", **{"class": "submit"}) == 1


async def test_an_unreachable_chain_does_not_stop_what_is_known(database):
    world = make_world(database)
    async with running(world.publisher) as task:
        await started(world)
        world.chain.down = True
        await world.clock.advance(15)
        await until(lambda: world.sample("oracle_update_errors_total", **{"class": "chain_read"}) == 1)
        await until(lambda: len(world.clock._waiting) == 2)
        await world.clock.advance(15)
        await until(lambda: world.sample("oracle_update_errors_total", **{"class": "chain_read"}) == 2)
        assert (await topics(world)).count("oracle.failed") == 1  # once per outage
        await publish(world, 2000, 2000, 2000)
        assert not task.done()


async def test_a_chain_that_is_down_at_start_is_temporary(database):
    world = make_world(database)
    world.chain.down = True
    with pytest.raises(TemporaryError):
        await world.publisher.run()


async def test_a_database_that_fails_ends_the_service_and_the_next_run_resumes(database):
    world = make_world(database)
    original = database.write
    async with running(world.publisher) as task:
        await started(world)

        async def broken(work):
            raise TemporaryError("disk full")

        database.write = broken
        world.tell(2000, 2000, 2000)
        with pytest.raises(TemporaryError, match="disk full"):
            await task
    database.write = original
    assert await publications(world) == []
    async with running(world.publisher):
        await published(world, 1)
        await until(lambda: world.sample("oracle_updates_sent_total", reason="first"))
    (row,) = await publications(world)
    assert (row.state, row.reason, row.answer) == (PublicationState.MINED, Reason.FIRST, 200_000_000_000)


# ---- the contract's state -------------------------------------------------------------------------------------------


async def test_a_lagging_node_does_not_turn_time_back(database):
    world = make_world(database)
    async with running(world.publisher):
        await started(world)
        await publish(world, 2000, 2000, 2000)
        known = world.publisher.state
        world.chain.lag = 1
        world.chain.feed.rounds.clear()
        await world.publisher.refresh()
        assert world.publisher.state == known


async def test_a_reorg_that_takes_a_round_away_is_seen_and_the_same_transaction_counts_once(database):
    world = make_world(database)
    async with running(world.publisher):
        await started(world)
        await publish(world, 2000, 2000, 2000)
        key = attempt_key(REF, 1, 1)
        world.chain.feed.rounds.clear()
        world.chain.height += 1
        world.sender.set(replace(world.sender.journal[key], state=TxState.BROADCAST, receipt=None))
        await world.publisher.refresh()
        assert chain_state(world).round == 0
        await world.clock.advance(1)
        assert world.tell(2500, 2500, 2500) is not None  # the same key: the sender sends nothing new
        await until(lambda: world.publisher._busy)
        world.sender.mine(key)
        await published(world, 1)
        await world.clock.advance(1)
        await publish(world, 2500, 2500, 2500)
    assert len(world.sender.submitted) == 2
    assert world.chain.feed.rounds[1][0] == 200_000_000_000
    assert (await totals(world))[("oracle_updates_sent_total", "first")] == 1


async def test_a_journal_that_has_not_seen_the_reorg_yet_is_not_asked_without_pause(database):
    world = make_world(database)
    async with running(world.publisher):
        await started(world)
        await publish(world, 2000, 2000, 2000)
        world.chain.feed.rounds.clear()
        world.chain.height += 5
        await world.publisher.refresh()
        assert world.tell(2500, 2500, 2500) is not None
        await until(lambda: not world.publisher._busy)
        await world.clock.advance(0.5)
        assert world.tell(2500, 2500, 2500) is None
        await world.clock.advance(0.5)
        assert world.tell(2500, 2500, 2500) is not None


async def test_attempts_at_a_round_have_no_gaps_when_others_take_it_meanwhile(database):
    """A restart looks for keys in order and stops at the first that is missing."""
    world = make_world(database)
    world.sender.mining = False
    async with running(world.publisher):
        await started(world)
        world.tell(2000, 2000, 2000)
        await until(lambda: world.sender.journal)
        world.chain.feed.rounds[1] = (100_000_000_000, int(START) - 5, int(START) - 5)
        world.chain.height += 1
        await world.publisher.refresh()  # seen before our own transaction fails
        world.sender.simulating = False
        world.sender.mine(attempt_key(REF, 1, 1))
        await failed(world, 1)
        world.sender.mining = True
        await world.clock.advance(1)
        await publish(world, 2000, 2000, 2000)
    assert list(world.sender.journal) == [attempt_key(REF, 1, 1), attempt_key(REF, 2, 1)]


async def test_a_receipt_does_not_take_back_a_newer_round(database):
    world = make_world(database)
    world.sender.mining = False
    async with running(world.publisher):
        await started(world)
        world.tell(2000, 2000, 2000)
        await until(lambda: world.sender.journal)
        world.sender.mine(attempt_key(REF, 1, 1))
        world.chain.feed.rounds[2] = (210_000_000_000, int(START) + 1, int(START) + 1)  # another, in the same block
        await world.publisher.refresh()
        await published(world, 2)
        assert chain_state(world).answer == 210_000_000_000


async def test_a_paused_contract_is_left_alone(database):
    world = make_world(database)
    world.chain.feed.paused = True
    async with running(world.publisher):
        await started(world)
        assert world.tell(2000, 2000, 2000) is None
        assert world.sample("oracle_contract_paused") == 1
        world.chain.feed.paused = False
        while chain_state(world).paused:  # the refresh may not have gone to sleep yet when the clock moves
            await world.clock.advance(15)
            await asyncio.sleep(0.01)
        await publish(world, 2000, 2000, 2000)


async def test_an_expired_feed_is_told_once_and_its_recovery_too(database):
    world = make_world(database, poll_interval=60.0)
    async with running(world.publisher):
        await started(world)
        await publish(world, 2000, 2000, 2000)
        for _ in range(4):
            await world.clock.advance(1000)
            await asyncio.sleep(0.02)
        await until(lambda: world.publisher._stale)
        assert world.publisher.problem() == "expired on chain"
        assert world.sample("oracle_heartbeat_slack_seconds") == -400
        assert world.sample("oracle_seconds_since_update") == 4000
        await publish(world, 2000, 2000, 2000)
        await world.clock.advance(60)
        await until(lambda: not world.publisher._stale)
    assert [topic for topic in await topics(world) if topic in ("oracle.stale", "oracle.fresh")] == [
        "oracle.stale",
        "oracle.fresh",
    ]


# ---- restarts -------------------------------------------------------------------------------------------------------


async def test_a_pending_publication_is_followed_after_a_restart(database):
    world = make_world(database)
    world.sender.mining = False
    async with running(world.publisher):
        await started(world)
        world.tell(2000, 2000, 2000)
        await until(lambda: world.sample("oracle_tx_accepted_seconds_count"))
        await asyncio.sleep(0.02)
    again = make_world(database, clock=world.clock, chain=world.chain, journal=world.sender.journal)
    async with running(again.publisher):
        await until(lambda: again.publisher._busy)
        again.sender.mine(attempt_key(REF, 1, 1))
        await published(again, 1)
        assert again.tell(2000, 2000, 2000) is None
    (row,) = await publications(again)
    assert (row.state, row.reason, len(again.sender.submitted)) == (PublicationState.MINED, Reason.FIRST, 0)


@pytest.mark.parametrize(("price", "reason"), [(2010, Reason.DEVIATION), (2001, Reason.HEARTBEAT)])
async def test_what_only_the_journal_knows_gets_its_row_after_a_restart(database, price, reason):
    """Killed after the journal's commit and before ours."""
    world = make_world(database)
    world.sender.simulating = False
    async with running(world.publisher):
        await started(world)
        await publish(world, 2000, 2000, 2000)
    await world.clock.advance(10)
    planned = make_world(
        database,
        clock=world.clock,
        chain=world.chain,
        journal=world.sender.journal,
        trigger=TriggerPolicy(heartbeat=5, deviation=Ppb(5_000_000)),
    )
    await planned.publisher.refresh()
    planned.publisher._ready = True
    told = planned.tell(price, price, price)
    assert told is not None
    await planned.sender.submit(planned.publisher._intent(told))  # and then the power went

    again = make_world(database, clock=world.clock, chain=world.chain, journal=world.sender.journal)
    async with running(again.publisher):
        await published(again, 2)
        await until(lambda: again.sample("oracle_updates_sent_total", reason=str(reason)))
    row = (await publications(again))[-1]
    assert (row.round, row.state, row.reason, row.answer) == (2, PublicationState.MINED, reason, price * 10**8)


async def test_a_second_restart_counts_nothing_again(database):
    world = make_world(database)
    async with running(world.publisher):
        await started(world)
        await publish(world, 2000, 2000, 2000)
    before = await totals(world)
    for _ in range(2):
        again = make_world(database, clock=world.clock, chain=world.chain, journal=world.sender.journal)
        async with running(again.publisher):
            await started(again)
    assert await totals(world) == before
    assert len(await publications(world)) == 1


async def test_attempts_that_failed_before_a_restart_keep_their_keys(database):
    world = make_world(database)
    world.sender.simulating = False
    world.chain.feed.publishers = set()
    async with running(world.publisher):
        await started(world)
        world.tell(2000, 2000, 2000)
        await failed(world, 1)
    world.chain.feed.publishers = {SIGNER}
    again = make_world(database, clock=world.clock, chain=world.chain, journal=world.sender.journal)
    async with running(again.publisher):
        await started(again)
        await publish(again, 2000, 2000, 2000)
    assert list(again.sender.journal) == [attempt_key(REF, 1, 1), attempt_key(REF, 1, 2)]


async def test_a_round_that_was_orphaned_while_nobody_looked_is_waited_for_not_attempted_anew(database):
    world = make_world(database)
    async with running(world.publisher):
        await started(world)
        await publish(world, 2000, 2000, 2000)
    key = attempt_key(REF, 1, 1)
    before = await totals(world)
    world.chain.feed.rounds.clear()  # its block left the chain
    world.chain.height += 1
    again = make_world(database, clock=world.clock, chain=world.chain, journal=world.sender.journal)
    again.sender.set(replace(again.sender.journal[key], state=TxState.BROADCAST, receipt=None))
    async with running(again.publisher):
        await started(again)
        assert again.tell(2001, 2001, 2001) is not None
        await until(lambda: again.publisher._busy)
        again.sender.mine(key)
        await published(again, 1)
    assert list(again.sender.journal) == [key]
    assert await totals(world) == before
    (row,) = await publications(again)
    assert (row.round, row.state, row.answer) == (1, PublicationState.MINED, 2000 * 10**8)


async def test_a_lost_journal_is_no_reason_to_wait_for_ever(database):
    world = make_world(database)
    world.sender.mining = False
    async with running(world.publisher):
        await started(world)
        world.tell(2000, 2000, 2000)
        await until(lambda: world.sample("oracle_tx_accepted_seconds_count"))
        await asyncio.sleep(0.02)
    again = make_world(database, clock=world.clock, chain=world.chain, journal=Journal())
    async with running(again.publisher):
        await started(again)
        await publish(again, 2000, 2000, 2000)
    rows = await publications(again)
    assert [(row.attempt, row.state) for row in rows] == [(1, PublicationState.REPLACED), (2, PublicationState.MINED)]


async def test_a_feed_is_known_before_its_first_round(database):
    world = make_world(database)
    async with running(world.publisher):
        await started(world)
    (row,) = await database.read(list_feeds)
    assert (row.ref, row.round, row.price, row.heartbeat, row.deviation) == (REF, 0, None, 3600, 5_000_000)
    assert row.description == "ETH / USD"


async def test_two_feeds_do_not_disturb_each_other(database):
    good, bad = make_world(database), make_world(database, ref=replace(REF, name="BAD/USD"))
    bad.chain.down = True
    async with running(good.publisher):
        with pytest.raises(TemporaryError):
            await bad.publisher.run()
        await started(good)
        await publish(good, 2000, 2000, 2000)


def test_worlds_share_nothing():
    clock = FakeClock()
    assert FakeChain(clock).feed is not FakeChain(clock).feed
