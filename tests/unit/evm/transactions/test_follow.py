"""Recovery, reorgs, drops, replacement for higher fees, foreign nonces: one branch at a time, on whole looks."""

from __future__ import annotations

import asyncio

import pytest
from structlog.testing import capture_logs
from tests.support.crashes import Crash
from tests.support.mempool import GWEI, refusal
from tests.support.sending import Rig, price, stop_all_tasks

from seamark.core.errors import TemporaryError
from seamark.evm.ports import TxState
from seamark.evm.transactions import FeePolicy, Patience
from seamark.evm.transactions.fees import Hold
from seamark.evm.transactions.ports import BalanceRead, GapFilled, Held, InFlight, Mined, Orphaned, Replaced, Settled


async def crash_in_submit(rig: Rig, point: str, number: int = 1) -> None:
    """Submit, and die at `point`."""
    await rig.sender.look()
    rig.fuse.arm(point)
    with pytest.raises((Crash, asyncio.CancelledError)):
        await rig.sender.submit(price(number))
    await stop_all_tasks()


# ---- recovery -------------------------------------------------------------------------------------------------------


async def test_killed_before_the_commit_nothing_happened(rig: Rig):
    await crash_in_submit(rig, "before write")
    rig.start()
    await rig.look()
    assert await rig.sender.find("price-1") is None
    assert (await rig.sender.submit(price(1))).nonce == 0


async def test_killed_between_journal_and_broadcast_the_same_bytes_go_out(rig: Rig):
    await crash_in_submit(rig, "after write")
    assert rig.node.accepted == []
    journalled = (await rig.found(1)).hashes
    rig.start()
    await rig.look()
    assert tuple(tx.hash for tx in rig.node.accepted) == journalled
    assert (await rig.sender.submit(price(2))).nonce == 1


async def test_killed_after_the_node_accepted_it_is_not_sent_anew(rig: Rig):
    await crash_in_submit(rig, "after send_raw")
    rig.start()
    await rig.look()
    assert len(rig.node.accepted) == 1
    assert await rig.state(1) is TxState.BROADCAST


async def test_mined_while_we_were_away(rig: Rig):
    await rig.sender.submit(price(1))
    rig.node.mine()
    rig.start()
    await rig.look()
    assert await rig.state(1) is TxState.CONFIRMED
    assert len(rig.node.accepted) == 1


async def test_an_older_attempt_may_have_won_while_we_were_away(rig: Rig):
    await rig.sender.submit(price(1))
    first = dict(rig.node.pool)
    rig.node.base_fee = 20 * GWEI
    rig.node.mine()
    await rig.look(31)
    await rig.look()
    assert len((await rig.found(1)).hashes) == 2
    rig.node.pool, rig.node.base_fee = first, GWEI
    rig.node.mine()
    rig.start()
    await rig.look()
    outcome = await rig.found(1)
    assert outcome.state is TxState.CONFIRMED
    assert outcome.receipt is not None
    assert outcome.receipt.transaction_hash == outcome.hashes[0]


async def test_a_hole_is_filled_with_a_transfer_to_ourselves(rig: Rig):
    rig.node.mine_foreign(rig.sender.address)
    await rig.sender.submit(price(1))  # nonce 1, behind somebody else's 0
    rig.node.reorg(1)  # which leaves the chain and is never seen again
    rig.start()
    await rig.look()
    rig.node.mine()
    await rig.look()
    first = rig.node.mined[0]
    assert (first.nonce, first.to, first.value) == (0, rig.sender.address, 0)
    assert [event.nonce for event in rig.told(GapFilled)] == [0]
    assert await rig.state(1) is TxState.CONFIRMED


async def test_recovery_waits_for_a_chain_that_cannot_be_reached(rig: Rig):
    await crash_in_submit(rig, "after write")
    rig.start()

    def unreachable(_method: str) -> None:
        raise TemporaryError("no endpoint")

    rig.node.before = unreachable
    with pytest.raises(TemporaryError):
        await rig.look()
    rig.node.before = lambda _method: None
    await rig.look()
    assert len(rig.node.accepted) == 1


async def test_a_bump_that_was_journalled_and_not_sent_is_sent(rig: Rig):
    await rig.sender.submit(price(1))
    rig.node.base_fee = 20 * GWEI
    rig.node.mine()
    rig.clock.advance(31)
    rig.fuse.arm("before send_raw")
    with pytest.raises(Crash):
        await rig.look()
    rig.start()
    await rig.look()
    (tx,) = rig.node.pool.values()
    assert tx.cap >= 20 * GWEI
    assert tx.hash == (await rig.found(1)).hashes[-1]


# ---- mined, confirmed, orphaned -------------------------------------------------------------------------------------


async def test_mined_then_confirmed_at_depth(rig: Rig):
    rig.start(confirmations=3)
    await rig.sender.submit(price(1))
    rig.node.mine()
    await rig.look(2)
    assert await rig.state(1) is TxState.MINED
    assert await rig.stored(1) is TxState.MINED
    rig.node.mine()
    await rig.look()
    assert await rig.state(1) is TxState.MINED
    rig.node.mine()
    await rig.look()
    assert await rig.state(1) is TxState.CONFIRMED
    assert [(event.seconds, event.succeeded) for event in rig.told(Mined)] == [(2.0, True)]
    assert [event.state for event in rig.told(Settled)] == [TxState.CONFIRMED]


async def test_a_recovery_during_a_look_waits_for_its_end(rig: Rig):
    await rig.sender.submit(price(1))
    rig.node.mine()
    open_, asked, receipts = asyncio.Event(), [], rig.node.receipts

    async def held(hashes):
        asked.append(hashes)
        await open_.wait()
        return await receipts(hashes)

    rig.node.receipts = held  # type: ignore[method-assign]
    look = asyncio.create_task(rig.sender.look())
    while not asked:  # noqa: ASYNC110 - a list, not an event
        await asyncio.sleep(0)
    rig.sender._crew.committer.in_doubt = True
    submit = asyncio.create_task(rig.sender.submit(price(2)))
    for _ in range(50):  # long enough for a second look to come as far as the first
        await asyncio.sleep(0.001)
    assert len(asked) == 1
    open_.set()
    await asyncio.gather(look, submit)
    assert [event.key for event in rig.told(Mined)] == ["price-1"]
    assert (await submit).nonce == 1


async def test_the_fee_paid_is_told(rig: Rig):
    await rig.sender.submit(price(1))
    rig.node.mine()
    await rig.look()
    assert [event.fee for event in rig.told(Mined)] == [50_000 * 2 * GWEI]


async def test_a_final_tag_decides_where_the_node_has_one(rig: Rig):
    rig.start(final_tag="finalized", confirmations=2)
    header = rig.node.header

    async def with_finality(block):
        return rig.node.blocks[0].header if block == "finalized" else await header(block)

    rig.node.header = with_finality  # type: ignore[method-assign]
    await rig.sender.submit(price(1))
    rig.node.mine(5)
    await rig.look()
    assert await rig.state(1) is TxState.MINED
    rig.node.header = header  # type: ignore[method-assign]
    await rig.look()  # this node has no such block: depth decides
    assert await rig.state(1) is TxState.CONFIRMED


async def test_a_node_that_lags_is_no_reorg(rig: Rig):
    """Neither for what is mined nor for what is confirmed."""
    rig.start(confirmations=2)
    for number in (1, 2):
        await rig.sender.submit(price(number))
        rig.node.mine()
    await rig.look()
    states = [await rig.state(1), await rig.state(2)]
    assert states == [TxState.CONFIRMED, TxState.MINED]
    whole, rig.node.blocks = rig.node.blocks, rig.node.blocks[:1]
    for _ in range(4):
        await rig.look(6)
    assert [await rig.state(1), await rig.state(2)] == states
    rig.node.blocks = whole
    await rig.look()
    rig.node.mine()
    await rig.look()
    assert [await rig.state(1), await rig.state(2)] == [TxState.CONFIRMED, TxState.CONFIRMED]
    assert rig.told(Orphaned) == []
    assert [event.nonce for event in rig.told(Settled)] == [0, 1]


async def test_a_lost_receipt_is_no_reorg_while_its_block_is_there(rig: Rig):
    rig.start(confirmations=3)
    await rig.sender.submit(price(1))
    rig.node.mine()
    await rig.look()
    receipts = rig.node.receipts

    async def lagging(transactions):
        return [None for _ in transactions]

    rig.node.receipts = lagging  # type: ignore[method-assign]
    for _ in range(5):
        rig.node.mine()
        await rig.look(6)
    assert await rig.state(1) is TxState.MINED
    rig.node.receipts = receipts  # type: ignore[method-assign]
    rig.node.mine()
    await rig.look()
    assert await rig.state(1) is TxState.CONFIRMED
    assert rig.told(Orphaned) == []


async def test_a_chain_that_lost_its_end_gets_the_same_bytes_again(rig: Rig):
    """As after a node's crash: shorter than before, and no other block in the place of ours."""
    rig.start(confirmations=2)
    await rig.sender.submit(price(1))
    rig.node.mine()
    await rig.look()
    del rig.node.blocks[1:]
    await rig.look(6)
    rig.node.mine()
    await rig.look()
    assert [tx.data for tx in rig.node.mined] == [b"price-1"]
    assert await rig.state(1) is TxState.MINED
    assert len({tx.hash for tx in rig.node.accepted}) == 1


async def test_a_chain_that_lost_what_was_confirmed_is_believed_after_a_minute(rig: Rig):
    await rig.sender.submit(price(1))
    rig.node.mine()
    await rig.look()
    assert await rig.state(1) is TxState.CONFIRMED
    del rig.node.blocks[1:]
    await rig.look()
    await rig.look(59)
    assert await rig.state(1) is TxState.CONFIRMED
    await rig.look(1)
    rig.node.mine()
    await rig.look()
    assert [tx.data for tx in rig.node.mined] == [b"price-1"]


@pytest.mark.parametrize("keep", [True, False])
async def test_a_reorg_sends_the_same_bytes_again(rig: Rig, keep: bool):
    rig.start(confirmations=5)
    await rig.sender.submit(price(1))
    rig.node.mine()
    await rig.look()
    rig.node.reorg(1, keep=keep)
    await rig.look()
    assert await rig.state(1) is TxState.BROADCAST
    assert (await rig.found(1)).receipt is None
    assert [event.key for event in rig.told(Orphaned)] == ["price-1"]
    rig.node.mine()
    await rig.look()
    assert await rig.state(1) is TxState.MINED
    assert len({tx.hash for tx in rig.node.accepted}) == 1


async def test_mined_again_in_another_block_keeps_its_state_and_takes_the_new_receipt(rig: Rig):
    rig.start(confirmations=5)
    await rig.sender.submit(price(1))
    rig.node.mine()
    await rig.look()
    before = (await rig.found(1)).receipt
    rig.node.reorg(1)
    rig.node.mine()
    await rig.look()
    after = (await rig.found(1)).receipt
    assert before is not None
    assert after is not None
    assert (before.block_number, after.block_number) == (1, 2)
    assert len(rig.told(Mined)) == 1


async def test_a_reorg_deeper_than_confirmed_reopens(rig: Rig):
    for number in (1, 2, 3):
        await rig.sender.submit(price(number))
        rig.node.mine()
    await rig.look()
    assert await rig.state(3) is TxState.CONFIRMED
    rig.node.reorg(2, keep=False)
    await rig.look()
    assert await rig.state(3) is TxState.CONFIRMED, "one look may be a node that lags"
    await rig.look()
    rig.node.mine()
    await rig.look()
    assert [tx.data for tx in rig.node.mined] == [b"price-1", b"price-2", b"price-3"]
    assert await rig.state(3) is TxState.CONFIRMED
    assert (await rig.sender.submit(price(4))).nonce == 3


async def test_a_reorg_that_outlived_a_restart_reopens_too(rig: Rig):
    await rig.sender.submit(price(1))
    rig.node.mine()
    await rig.look()
    rig.node.reorg(1, keep=False)
    rig.start()
    await rig.look()
    await rig.look()
    rig.node.mine()
    await rig.look()
    assert [tx.data for tx in rig.node.mined] == [b"price-1"]


# ---- pushing --------------------------------------------------------------------------------------------------------


async def test_dropped_by_the_pool_it_is_sent_again(rig: Rig):
    await rig.sender.submit(price(1))
    rig.node.drop_pool()
    await rig.look(1)
    assert len(rig.node.accepted) == 1, "not at once: the pool's count may lag"
    await rig.look(5)
    assert len(rig.node.accepted) == 2
    assert len((await rig.found(1)).hashes) == 1


async def test_what_pays_and_waits_for_its_turn_is_left_alone(rig: Rig):
    await rig.sender.submit(price(1))
    await rig.look(31)
    await rig.look(300)
    assert len((await rig.found(1)).hashes) == 1, "no block came: money does not help"


async def test_stuck_it_offers_an_eighth_more_and_at_least_the_market(rig: Rig):
    await rig.sender.submit(price(1))
    (first,) = rig.node.accepted
    rig.node.base_fee = 10 * GWEI
    rig.node.mine()
    await rig.look(31)
    await rig.look()
    last = rig.node.accepted[-1]
    assert last.nonce == first.nonce
    assert last.cap >= 10 * GWEI
    assert last.tip * 8 >= first.tip * 9
    assert [event.cap for event in rig.told(Replaced)] == [last.cap]
    rig.node.mine()
    await rig.look()
    outcome = await rig.found(1)
    assert outcome.receipt is not None
    assert outcome.receipt.transaction_hash == last.hash


@pytest.mark.parametrize("rule", ["geth", "besu"])
async def test_it_goes_on_until_it_is_mined(rig: Rig, rule):
    rig.node.rule = rule
    await rig.sender.submit(price(1))
    for base in (5 * GWEI, 20 * GWEI, 80 * GWEI):
        rig.node.base_fee = base
        rig.node.mine()
        await rig.look(31)
    rig.node.mine()
    await rig.look()
    assert await rig.state(1) is TxState.CONFIRMED


async def test_the_ceiling_holds_and_is_told_once(rig: Rig):
    rig.start(fees=FeePolicy(ceiling=3 * GWEI))
    await rig.sender.submit(price(1))
    rig.node.base_fee = 10 * GWEI
    for _ in range(4):
        rig.node.mine()
        await rig.look(31)
    assert all(tx.cap <= 3 * GWEI for tx in rig.node.accepted)
    assert [event.reason for event in rig.told(Held)] == [Hold.CEILING]
    rig.node.base_fee = GWEI
    rig.node.mine()
    await rig.look()
    assert await rig.state(1) is TxState.CONFIRMED


async def test_without_fees_only_the_same_bytes_go_out(rig: Rig):
    rig.node.base_fee = rig.node.market_tip = 0
    await rig.sender.submit(price(1))
    rig.node.drop_pool()
    for _ in range(5):
        rig.node.blocks.append(rig.node.blocks[-1])  # blocks come, ours is not in them
        rig.node.drop_pool()
        await rig.look(40)
    assert {tx.hash for tx in rig.node.accepted} == {rig.node.accepted[0].hash}
    assert rig.node.accepted[0].cap == 0
    assert len(rig.node.accepted) > 2


async def test_an_underpriced_refusal_raises_the_offer(rig: Rig):
    await rig.sender.look()
    rig.node.min_tip = 2 * GWEI
    with pytest.raises(TemporaryError, match="underpriced"):
        await rig.sender.submit(price(1))
    for _ in range(10):
        await rig.look(6)
    rig.node.mine()
    await rig.look()
    assert await rig.state(1) is TxState.CONFIRMED


async def test_an_unmined_one_behind_a_stuck_one_is_not_raised_while_it_pays(rig: Rig):
    rig.start(patience=Patience(bump_ms=10_000))
    await rig.sender.submit(price(1))
    await rig.sender.submit(price(2))
    rig.node.gas_needed = 50_000
    first = rig.node.pool.pop((rig.sender.address, 0))
    rig.node.mine()  # a block without the first, so the second had no turn
    rig.node.pool[first.sender, 0] = first
    await rig.look(11)
    assert len((await rig.found(1)).hashes) == 2
    assert len((await rig.found(2)).hashes) == 1


async def test_no_funds_is_tried_again(rig: Rig):
    await rig.sender.look()
    short = [True]

    def refuse(method: str) -> None:
        if method == "send_raw" and short:
            raise refusal("insufficient funds for gas * price + value")

    rig.node.before = refuse
    with pytest.raises(TemporaryError, match="fund 0x"):
        await rig.sender.submit(price(1))
    short.clear()
    await rig.look(6)
    assert len(rig.node.accepted) == 1


async def test_what_becomes_impossible_later_gives_its_nonce_away(rig: Rig):
    await rig.sender.submit(price(1))
    await rig.sender.submit(price(2))
    rig.node.drop_pool()

    def refuse(method: str) -> None:
        if method == "send_raw" and len(rig.node.accepted) == 2:
            rig.node.before = lambda _method: None
            raise refusal("exceeds block gas limit")

    rig.node.before = refuse
    await rig.look(6)
    rig.node.mine()
    await rig.look()
    assert [tx.data for tx in rig.node.mined] == [b"", b"price-2"]
    assert await rig.state(1) is TxState.REPLACED


# ---- somebody else's transactions -----------------------------------------------------------------------------------


async def test_a_foreign_nonce_is_told_after_a_while_and_the_key_may_be_sent_anew(rig: Rig):
    rig.start(confirmations=2)
    await rig.sender.submit(price(1))
    waiting = asyncio.create_task(rig.sender.wait("price-1"))
    rig.node.mine_foreign(rig.sender.address)
    await rig.look()
    await rig.look(6)
    assert await rig.state(1) is TxState.BROADCAST, "its block is not final yet"
    rig.node.mine()
    await rig.look()
    assert (await waiting).state is TxState.FOREIGN
    assert await rig.stored(1) is TxState.FOREIGN
    again = await rig.sender.submit(price(1))
    assert (again.nonce, again.state) == (1, TxState.BROADCAST)
    rig.node.mine(2)
    await rig.look()
    assert await rig.state(1) is TxState.CONFIRMED
    assert [tx.data for tx in rig.node.mined] == [b"price-1"]


async def test_a_receipt_that_comes_late_is_not_foreign(rig: Rig):
    await rig.sender.submit(price(1))
    rig.node.mine()
    receipts = rig.node.receipts

    async def lagging(transactions):
        return [None for _ in transactions]

    rig.node.receipts = lagging  # type: ignore[method-assign]
    await rig.look()
    await rig.look(3)
    assert await rig.state(1) is TxState.BROADCAST
    rig.node.receipts = receipts  # type: ignore[method-assign]
    await rig.look(3)
    assert await rig.state(1) is TxState.CONFIRMED


async def test_a_foreign_block_that_was_orphaned_changes_nothing(rig: Rig):
    rig.start(confirmations=3)
    await rig.sender.submit(price(1))
    pool = dict(rig.node.pool)
    rig.node.mine_foreign(rig.sender.address)
    await rig.look()
    rig.node.reorg(1)
    rig.node.pool = pool
    await rig.look(10)
    rig.node.mine(3)
    await rig.look()
    assert await rig.state(1) is TxState.CONFIRMED


# ---- telling --------------------------------------------------------------------------------------------------------


async def test_every_look_tells_what_is_in_flight_and_what_is_owned(rig: Rig):
    await rig.sender.submit(price(1))
    await rig.sender.submit(price(2))
    await rig.look(7)
    assert rig.told(InFlight)[-1] == InFlight(2, 7.0)
    assert rig.told(BalanceRead)[-1] == BalanceRead(rig.node.funds)
    rig.node.mine()
    await rig.look()
    assert rig.told(InFlight)[-1] == InFlight(0, 0.0)


async def test_the_service_recovers_follows_and_survives_a_bad_hour(rig: Rig):
    await crash_in_submit(rig, "after write")
    rig.start(poll_s=0.01)
    rig.node.before = lambda _method: (_ for _ in ()).throw(TemporaryError("no endpoint"))
    running = asyncio.create_task(rig.sender.run())
    await asyncio.sleep(0.03)
    arrived = asyncio.Event()
    rig.node.before = lambda _method: None
    rig.node.after = lambda _method: arrived.set()
    outcome = asyncio.create_task(rig.sender.wait("price-1"))
    await asyncio.wait_for(arrived.wait(), 5)
    rig.node.mine()
    rig.sender.poke()
    assert (await outcome).state is TxState.CONFIRMED
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running


async def test_an_outage_is_told_once(rig: Rig):
    await rig.look()
    rig.start(poll_s=0.001)
    rig.node.before = lambda _method: (_ for _ in ()).throw(TemporaryError("no endpoint"))
    with capture_logs() as lines:
        running = asyncio.create_task(rig.sender.run())
        while len(rig.node.calls) < 100:  # noqa: ASYNC110 - a node in memory has no events
            await asyncio.sleep(0.001)
        rig.node.before = lambda _method: None
        await rig.sender.submit(price(1))
        rig.node.mine()
        await rig.sender.wait("price-1")
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running
    told = [line["event"] for line in lines if line["event"] != "background refresh failed"]
    assert told == ["chain not followed", "chain followed again"]
