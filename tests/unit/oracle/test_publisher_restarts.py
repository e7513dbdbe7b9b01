"""A publisher that ends at a bad moment, and the one that comes after it."""

import asyncio
from dataclasses import replace

import pytest

from seamark.core.errors import TemporaryError
from seamark.core.units import Ppb
from seamark.evm.ports import TxState
from seamark.oracle.model import PublicationState, Reason, TriggerPolicy
from seamark.oracle.publications import attempt_key
from seamark.oracle.store import list_feeds

from .conftest import running
from .fakes import REF, SIGNER, FakeChain, FakeClock, Journal, make_world, until
from .publishing import failed, publications, publish, published, started, totals


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
