"""What a publisher does when a submission fails, and when the contract is not as it was."""

import asyncio
from dataclasses import replace

import pytest

from seamark.core.errors import RejectedError, TemporaryError
from seamark.evm.ports import TxState
from seamark.evm.transactions import OverBudget
from seamark.oracle.model import PublicationState, Reason
from seamark.oracle.publications import attempt_key, spender

from .conftest import running
from .fakes import REF, SIGNER, START, make_world, until
from .publishing import chain_state, failed, publications, publish, published, started, topics, totals

# ---- errors ----------------------------------------------------------------------------------------------------------


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
        refusal = "insufficient funds for gas * price + value"
        assert world.publisher.problem() == f"8 failed publications in a row: {refusal}"
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


# ---- the contract's state --------------------------------------------------------------------------------------------


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
        await until(lambda: world.publisher.telling.stale)
        assert world.publisher.problem() == "expired on chain"
        assert world.sample("oracle_heartbeat_slack_seconds") == -400
        assert world.sample("oracle_seconds_since_update") == 4000
        await publish(world, 2000, 2000, 2000)
        await world.clock.advance(60)
        await until(lambda: not world.publisher.telling.stale)
    assert [topic for topic in await topics(world) if topic in ("oracle.stale", "oracle.fresh")] == [
        "oracle.stale",
        "oracle.fresh",
    ]


async def test_beyond_the_days_money_updates_are_held_for_a_clear_reason(database):
    world = make_world(database, spend_per_day=1000)
    owner = spender(REF)
    assert world.sender.limits == {owner: 1000}
    assert attempt_key(REF, 7, 2).rpartition(":")[0] == owner
    async with running(world.publisher):
        await started(world)
        world.sender.refusal = OverBudget("round 1: the feed has spent 990 wei in 24 hours")
        for times in range(1, 6):
            assert world.tell(2000, 2000, 2000) is not None
            await failed(world, times)
            await world.clock.advance(61)
        assert world.publisher.problem() == (
            "5 failed publications in a row: round 1: the feed has spent 990 wei in 24 hours"
        )
        assert world.sample("oracle_update_errors_total", **{"class": "over_budget"}) == 5
        assert world.sample("oracle_spend_limit_wei") == 1000
        world.sender.refusal = None
        await publish(world, 2000, 2000, 2000)
        assert world.publisher.problem() is None
    assert world.sample("oracle_spent_day_wei") == 5
