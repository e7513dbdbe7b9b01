"""A publisher that is one oracle of a FluxAggregator: whose turn it is comes from the contract alone."""

import asyncio

import pytest

from seamark.core.units import Ppb
from seamark.evm.ports import TxState
from seamark.evm.rpc.errors import CallReverted
from seamark.oracle.model import ContractKind, PublicationState, Reason, TriggerPolicy
from seamark.oracle.targets.flux import ABI, GAS_LIMIT, LOOK_EVERY_S

from .conftest import running
from .fakes import FEED, SIGNER, FakeChain, FakeClock, make_world, until
from .publishing import chain_state, failed, publications, started, topics, totals
from .targets.flux_chain import OTHER, FakeFlux

PRICE = 2000 * 10**8


def flux_world(database, *, chain=None, journal=None, **changes):
    clock = chain.clock if chain is not None else FakeClock()
    if chain is None:
        chain = FakeChain(clock)
        chain.feeds[FEED] = FakeFlux()
    world = make_world(
        database,
        clock=clock,
        chain=chain,
        journal=journal,
        contract=ContractKind.FLUX,
        refresh_interval=3600,
        **changes,
    )
    world.sender.simulating = False  # the fake contract is changed by what is tried on it
    return world


def others_begin(world, round_id, value=PRICE):
    world.chain.height += 1
    world.chain.feed.take(OTHER, round_id, value, int(world.clock.now()))


async def look(world):
    """As time does: the contract is read again."""
    before = world.chain.reads
    while world.chain.reads == before:  # what an earlier look stores may still be on its way to the database
        await world.clock.advance(LOOK_EVERY_S)
        await asyncio.sleep(0.001)


async def idle(world):
    await until(lambda: not world.publisher._busy)


def submitted(world):
    return [tuple(ABI.function("submit").decode_call(intent.data)) for intent in world.sender.submitted]


async def test_the_first_round_is_begun_and_then_waited_for(database):
    world = flux_world(database)
    async with running(world.publisher):
        await started(world)
        planned = world.tell("2000", "2000", "2000")
        assert planned is not None
        assert (planned.round, planned.reason) == (1, Reason.FIRST)
        await idle(world)
        assert world.tell("2100", "2100", "2100") is None  # ours is in: only one part each
        await look(world)
        assert world.tell("2100", "2100", "2100") is None
        assert chain_state(world).round == 0
    (row,) = await publications(world)
    assert (row.state, row.answer, row.reason) == (PublicationState.MINED, PRICE, Reason.FIRST)
    assert submitted(world) == [(1, PRICE)]
    assert world.sender.submitted[0].gas_limit == GAS_LIMIT


async def test_a_round_of_another_is_joined_though_nothing_has_moved(database):
    world = flux_world(database)
    async with running(world.publisher):
        await started(world)
        world.tell("2000", "2000", "2000")
        await idle(world)
        others_begin(world, 1)
        await look(world)
        assert chain_state(world).round == 1
        assert world.tell("2001", "2001", "2001") is None  # 0.05 %: nothing to begin a round for
        others_begin(world, 2)
        await look(world)  # nobody quotes in between: the look itself leads to the answer
        await until(lambda: len(world.sender.submitted) == 2)
        await idle(world)
        await look(world)
        assert chain_state(world).round == 2
    rows = await publications(world)
    assert [(row.round, row.reason, row.answer) for row in rows] == [
        (1, Reason.FIRST, PRICE),
        (2, Reason.JOIN, 2001 * 10**8),
    ]
    assert await totals(world) == {
        ("oracle_updates_sent_total", "first"): 1,
        ("oracle_updates_sent_total", "join"): 1,
        ("oracle_fees_paid_wei_total", ""): 2 * 10**14,
    }


async def test_who_must_wait_to_begin_waits(database):
    world = flux_world(database)
    async with running(world.publisher):
        await started(world)
        world.tell("2000", "2000", "2000")
        await idle(world)
        others_begin(world, 1)
        world.chain.feed.delayed = True
        await look(world)
        assert world.tell("2500", "2500", "2500") is None
        world.chain.feed.delayed = False
        await look(world)
        await until(lambda: len(world.sender.submitted) == 2)
    assert [number for number, _ in submitted(world)] == [1, 2]


async def test_a_round_that_was_over_is_no_failure(database):
    world = flux_world(database)
    async with running(world.publisher):
        await started(world)
        world.sender.refusal = CallReverted("execution reverted: round not accepting submissions")
        assert world.tell("2000", "2000", "2000") is not None
        await idle(world)
        assert world.publisher._failures == 0
        assert world.publisher.problem() is None
        world.sender.refusal = None
        assert world.tell("2000", "2000", "2000") is None  # a moment, so that the contract can be read anew
        await world.clock.advance(1.0)
        world.tell("2000", "2000", "2000")
        await until(lambda: len(world.sender.submitted) == 1)
    assert "oracle.failed" not in await topics(world)


async def test_who_is_no_oracle_any_more_waits_long_and_says_so(database):
    world = flux_world(database)
    async with running(world.publisher):
        await started(world)
        world.sender.refusal = CallReverted("execution reverted: no longer allowed oracle")
        world.tell("2000", "2000", "2000")
        await failed(world, 1)
        world.sender.refusal = None
        await world.clock.advance(30.0)
        assert world.sender.submitted == []
        await world.clock.advance(31.0)
        world.tell("2000", "2000", "2000")
        await until(lambda: world.sender.submitted)
    assert (await totals(world))["oracle_update_errors_total", "not_oracle"] == 1


async def test_a_part_that_reverts_is_tried_again_while_the_round_is_open(database):
    world = flux_world(database)
    async with running(world.publisher):
        await started(world)
        world.chain.feed.closed = True
        assert world.tell("2000", "2000", "2000") is not None
        await failed(world, 1)
        world.chain.feed.closed = False
        await world.clock.advance(2.0)
        world.tell("2000", "2000", "2000")
        await until(lambda: len(world.sender.submitted) == 2)
    assert [intent.key.rpartition(":")[2] for intent in world.sender.submitted] == ["1", "1#2"]


async def test_after_a_restart_the_part_that_was_on_its_way_is_not_given_twice(database):
    first = flux_world(database)
    first.sender.mining = False
    async with running(first.publisher):
        await started(first)
        first.tell("2000", "2000", "2000")
        await until(lambda: first.sender.submitted)
    again = flux_world(database, chain=first.chain, journal=first.sender.journal)
    async with running(again.publisher):
        await until(lambda: again.publisher.state is not None)
        assert again.tell("2500", "2500", "2500") is None
        again.sender.mine(next(iter(again.sender.journal)))
        await started(again)
        assert again.tell("2500", "2500", "2500") is None
    assert again.sender.submitted == []
    (row,) = await publications(again)
    assert (row.round, row.state, row.answer) == (1, PublicationState.MINED, PRICE)


@pytest.mark.parametrize(("others", "reason"), [(False, Reason.FIRST), (True, Reason.JOIN)])
async def test_what_only_the_journal_knows_gets_its_row_and_its_reason(database, others, reason):
    first = flux_world(database)
    if others:
        others_begin(first, 1, PRICE)
    async with running(first.publisher):
        await started(first)
        first.tell("2000", "2000", "2000")
        await idle(first)

    await database.write(lambda connection: connection.exec_driver_sql("DELETE FROM oracle_publication"))
    again = flux_world(database, chain=first.chain, journal=first.sender.journal)
    async with running(again.publisher):
        await started(again)
    (row,) = await publications(again)
    assert (row.round, row.state, row.answer, row.reason) == (1, PublicationState.MINED, PRICE, reason)


async def test_a_reorg_gives_the_turn_back_and_the_same_transaction_takes_it(database):
    world = flux_world(database)
    async with running(world.publisher):
        await started(world)
        world.tell("2000", "2000", "2000")
        await idle(world)
        (key,) = world.sender.journal
        mined = world.sender.journal[key]
        world.chain.feed.parts.clear()
        world.chain.height += 1
        world.sender.set(type(mined)(key, mined.nonce, TxState.BROADCAST, mined.hashes))
        await look(world)
        assert chain_state(world).asks_for(1)
        world.tell("2100", "2100", "2100")
        await until(lambda: world.publisher._busy)
        world.sender.mine(key)
        await idle(world)
    assert len(world.sender.submitted) == 1
    assert world.chain.feed.parts == {1: {SIGNER: PRICE}}


async def test_a_newer_price_for_the_same_round_takes_the_nonce(database):
    policy = TriggerPolicy(heartbeat=3600, deviation=Ppb(5_000_000), replace_after=10)
    world = flux_world(database, trigger=policy)
    world.sender.mining = False
    async with running(world.publisher):
        await started(world)
        others_begin(world, 1)
        await look(world)
        world.tell("2000", "2000", "2000")
        await until(lambda: world.publisher._pending is not None)
        await world.clock.advance(11)
        newer = world.tell("2100", "2100", "2100")
        assert newer is not None
        assert (newer.round, newer.attempt, newer.reason) == (1, 2, Reason.JOIN)
        await until(lambda: len(world.sender.submitted) == 2)
        world.sender.mine(newer.key)
        await idle(world)
    assert world.chain.feed.parts[1][SIGNER] == 2100 * 10**8


async def test_payments_that_run_out_are_a_problem_until_they_are_there(database):
    world = flux_world(database)
    world.chain.feed.payment, world.chain.feed.funds = 10, 35
    async with running(world.publisher):
        await started(world)
        world.tell("2000", "2000", "2000")
        await idle(world)
        assert world.publisher.problem() == "the contract can pay for 3 more submissions: fund it with LINK"
        world.chain.feed.funds = 40
        world.chain.height += 1
        await look(world)
        assert world.publisher.problem() is None


async def test_a_round_that_waits_for_an_answer_that_is_not_there_is_told(database):
    world = flux_world(database)
    async with running(world.publisher):
        await started(world)
        others_begin(world, 1)
        began = world.clock.now()
        await look(world)
        assert world.tell("2000") is None  # one venue of the two that are needed
        left = 60 - (world.clock.now() - began)
        problem = world.publisher.problem()
        assert problem is not None
        assert problem.endswith(f"; round 1 waits for it, and times out in {left:g}s")
    assert world.sender.submitted == []
