"""Submitting, waiting, finding, replacing."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import msgspec
import pytest
from tests.support.mempool import GWEI, refusal
from tests.support.sending import TO, Rig, price

from seamark.core.errors import RejectedError, StopError, TemporaryError
from seamark.evm.ports import TransactionSender, TxState
from seamark.evm.transactions import CannotReplace, FeePolicy
from seamark.evm.transactions.ports import GapFilled, Refused, Replaced, Submitted


async def test_it_is_what_the_capabilities_ask_for(rig: Rig):
    sender: TransactionSender = rig.sender
    assert sender.address == "0x19e7e376e7c213b7e7e7e46cc70a5dd086daff2a"


async def test_a_submitted_transaction_is_at_the_node_when_submit_returns(rig: Rig):
    outcome = await rig.sender.submit(price(1))
    (tx,) = rig.node.accepted
    assert (outcome.state, outcome.nonce, outcome.hashes) == (TxState.BROADCAST, 0, (tx.hash,))
    assert (tx.to, tx.data, tx.gas, tx.nonce) == (TO, b"price-1", 60_000, 0)
    assert [event.key for event in rig.told(Submitted)] == ["price-1"]


async def test_the_journal_is_written_before_the_node_is_asked(rig: Rig):
    stored: list[TxState | None] = []

    def look_into_the_journal(method: str) -> None:
        if method == "send_raw":
            raise TemporaryError("time-out")

    rig.node.before = look_into_the_journal
    with pytest.raises(TemporaryError, match="journalled with nonce 0"):
        await rig.sender.submit(price(1))
    stored.append(await rig.stored(1))
    assert stored == [TxState.SIGNED]


async def test_a_warm_submit_makes_one_request(rig: Rig):
    await rig.sender.submit(price(1))
    rig.node.calls.clear()
    await rig.sender.submit(price(2))
    assert rig.node.calls == ["send_raw"]


async def test_the_same_key_is_sent_once(rig: Rig):
    first = await rig.sender.submit(price(1))
    second = await rig.sender.submit(price(1))
    assert first == second
    assert len(rig.node.accepted) == 1


async def test_the_same_key_at_the_same_time_is_sent_once(rig: Rig):
    outcomes = await asyncio.gather(*(rig.sender.submit(price(1)) for _ in range(5)))
    assert len(set(outcomes)) == 1
    assert len(rig.node.accepted) == 1


async def test_a_key_of_an_earlier_process_is_known_after_it_is_confirmed(rig: Rig):
    await rig.sender.submit(price(1))
    rig.node.mine()
    await rig.look()
    rig.start()
    outcome = await rig.sender.submit(price(1))
    assert outcome.state is TxState.CONFIRMED
    assert outcome.receipt is not None
    assert outcome.receipt.block_number == 1
    assert len(rig.node.accepted) == 1


async def test_known_and_new_keys_in_one_group_leave_no_gap(rig: Rig):
    await rig.sender.submit(price(1))
    rig.node.mine()
    await rig.look()
    rig.start()
    await rig.sender.look()
    await asyncio.gather(*(rig.sender.submit(price(number)) for number in (1, 2, 3)))
    assert sorted(tx.nonce for tx in rig.node.accepted) == [0, 1, 2]


async def test_many_at_once_share_commits_and_count_up(rig: Rig):
    await rig.sender.look()
    writes = 0
    write = rig.database.write

    async def counted(work, **options):
        nonlocal writes
        writes += 1
        return await write(work, **options)

    rig.database.write = counted  # type: ignore[method-assign]
    await asyncio.gather(*(rig.sender.submit(price(number)) for number in range(50)))
    assert sorted(tx.nonce for tx in rig.node.accepted) == list(range(50))
    assert writes <= 3


async def test_nonces_continue_behind_the_chain_and_the_pool(rig: Rig):
    rig.node.mine_foreign(rig.sender.address)
    rig.node.mine_foreign(rig.sender.address)
    assert (await rig.sender.submit(price(1))).nonce == 2


async def test_a_revert_is_told_and_not_journalled(rig: Rig):
    rig.node.revert = RejectedError("execution reverted: stale round")
    with pytest.raises(RejectedError, match="stale round"):
        await rig.sender.submit(price(1, gas_limit=None))
    assert await rig.sender.find("price-1") is None
    rig.node.revert = None
    assert (await rig.sender.submit(price(1, gas_limit=None))).nonce == 0


async def test_simulation_looks_first_where_it_is_wanted(rig: Rig):
    rig.start(simulate=True)
    rig.node.revert = RejectedError("execution reverted: paused")
    with pytest.raises(RejectedError, match="paused"):
        await rig.sender.submit(price(1))
    assert rig.node.accepted == []
    assert await rig.stored(1) is None


async def test_a_journalled_key_is_not_simulated_again(rig: Rig):
    rig.start(simulate=True)
    await rig.sender.submit(price(1))
    rig.node.mine()
    await rig.look()
    rig.node.revert = RejectedError("execution reverted: stale round")  # as it would be now that it is mined
    assert (await rig.sender.submit(price(1))).state is TxState.CONFIRMED


async def test_a_gas_limit_that_cannot_be_enough_is_refused(rig: Rig):
    with pytest.raises(RejectedError, match="below the 21"):
        await rig.sender.submit(price(1, gas_limit=21_000))
    assert await rig.stored(1) is None


async def test_gas_is_estimated_once_per_recipient_and_selector(rig: Rig):
    await rig.sender.submit(price(1, gas_limit=None))
    await rig.sender.submit(price(2, gas_limit=None))
    assert rig.node.calls.count("estimate_gas") == 1
    assert {tx.gas for tx in rig.node.accepted} == {60_000}  # 50,000 and a fifth


async def test_no_funds_is_told_before_anything_is_journalled(rig: Rig):
    rig.node.funds = 5 * 10**13
    with pytest.raises(RejectedError, match="fund the address"):
        await rig.sender.submit(price(1))
    assert await rig.stored(1) is None
    rig.node.funds = 10**18
    assert (await rig.sender.submit(price(1))).state is TxState.BROADCAST


async def test_what_is_in_flight_counts_against_the_balance(rig: Rig):
    await rig.sender.submit(price(1))
    (first,) = rig.node.accepted
    rig.node.funds = first.gas * first.cap * 3 // 2
    await rig.look()
    with pytest.raises(RejectedError, match="in flight"):
        await rig.sender.submit(price(2))


async def test_a_lost_answer_is_a_temporary_error_and_the_node_may_have_it(rig: Rig):
    lost = [True]

    def lose(method: str) -> None:
        if method == "send_raw" and lost:
            lost.clear()
            raise TemporaryError("time-out")

    rig.node.after = lose
    with pytest.raises(TemporaryError, match="sent again by itself"):
        await rig.sender.submit(price(1))
    assert len(rig.node.accepted) == 1
    await rig.look()
    assert await rig.state(1) is TxState.BROADCAST  # "already known" is as good as accepted
    assert len(rig.node.accepted) == 1


async def test_what_no_node_will_ever_take_frees_its_nonce(rig: Rig):
    await rig.sender.look()

    def never(method: str) -> None:
        if method == "send_raw" and not rig.node.accepted and len(rig.node.calls) == 1:
            raise refusal("exceeds block gas limit")

    rig.node.before = never
    rig.node.calls.clear()
    with pytest.raises(RejectedError, match="no node will take it"):
        await rig.sender.submit(price(1))
    rig.node.before = lambda _method: None
    await rig.sender.submit(price(2))
    rig.node.mine()
    await rig.look()
    assert [tx.data for tx in rig.node.mined] == [b"", b"price-2"]
    assert await rig.state(1) is TxState.REPLACED
    assert await rig.state(2) is TxState.CONFIRMED


async def test_a_nonce_that_somebody_used_meanwhile_is_told_and_the_next_is_right(rig: Rig):
    await rig.sender.look()
    rig.node.mine_foreign(rig.sender.address)
    with pytest.raises(TemporaryError, match="nonce too low"):
        await rig.sender.submit(price(1))
    assert (await rig.sender.submit(price(2))).nonce == 1


async def test_a_nonce_called_too_low_while_another_is_committed_is_forgotten_all_the_same(rig: Rig):
    await rig.sender.look()
    committer, database = rig.sender._crew.committer, rig.sender._crew.database
    write = database.write

    async def interrupted(work, **options):
        committer.forget_nonce()
        return await write(work, **options)

    database.write = interrupted  # type: ignore[method-assign]
    await rig.sender.submit(price(1))
    database.write = write  # type: ignore[method-assign]
    rig.node.mine()
    rig.node.mine_foreign(rig.sender.address)
    assert (await rig.sender.submit(price(2))).nonce == 2


async def test_a_pool_without_gaps_gets_the_earlier_nonce_first(rig: Rig):
    rig.node.keeps_gaps = False
    await rig.sender.look()
    failing = [True]

    def lose_the_first(method: str) -> None:
        if method == "send_raw" and failing:
            failing.clear()
            raise TemporaryError("time-out")

    rig.node.before = lose_the_first
    results = await asyncio.gather(*(rig.sender.submit(price(n)) for n in (1, 2)), return_exceptions=True)
    assert all(isinstance(result, TemporaryError) for result in results)
    await rig.look()
    assert [tx.nonce for tx in rig.node.accepted] == [0, 1]
    assert [event.reason for event in rig.told(Refused)] == ["unavailable", "nonce_too_high"]


async def test_reserved_keys_are_refused(rig: Rig):
    with pytest.raises(RejectedError, match="sender's own"):
        await rig.sender.submit(replace(price(1), key="seamark:fill:0"))


async def test_a_caller_that_gives_up_does_not_stop_the_broadcast(rig: Rig):
    await rig.sender.look()
    task = asyncio.create_task(rig.sender.submit(price(1)))
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert (await rig.sender.submit(price(1))).state is TxState.BROADCAST
    assert len(rig.node.accepted) == 1


# ---- waiting ---------------------------------------------------------------------------------------------------------


async def test_wait_returns_at_the_state_asked_for(rig: Rig):
    rig.start(confirmations=3)
    await rig.sender.submit(price(1))
    mined = asyncio.create_task(rig.sender.wait("price-1"))
    confirmed = asyncio.create_task(rig.sender.wait("price-1", until=TxState.CONFIRMED))
    await asyncio.sleep(0.01)
    rig.node.mine()
    await rig.look()
    outcome = await mined
    assert outcome.state is TxState.MINED
    assert outcome.receipt is not None
    assert not confirmed.done()
    rig.node.mine(2)
    await rig.look()
    assert (await confirmed).state is TxState.CONFIRMED


async def test_wait_for_what_is_long_done_returns_at_once(rig: Rig):
    await rig.sender.submit(price(1))
    rig.node.mine()
    await rig.look()
    rig.start()
    assert (await rig.sender.wait("price-1", until=TxState.CONFIRMED)).receipt is not None


async def test_wait_for_an_unknown_key_does_not_hang(rig: Rig):
    with pytest.raises(RejectedError, match="no such transaction"):
        await rig.sender.wait("price-9")


async def test_find_knows_what_the_journal_knows(rig: Rig):
    assert await rig.sender.find("price-1") is None
    await rig.sender.submit(price(1))
    assert (await rig.found(1)).state is TxState.BROADCAST


# ---- replacing -------------------------------------------------------------------------------------------------------


async def test_a_newer_price_takes_the_nonce_of_the_unmined_one(rig: Rig):
    await rig.sender.submit(price(1))
    outcome = await rig.sender.replace("price-1", price(2))
    assert outcome.nonce == 0
    rig.node.mine()
    await rig.look()
    assert [tx.data for tx in rig.node.mined] == [b"price-2"]
    assert (await rig.state(1), await rig.state(2)) == (TxState.REPLACED, TxState.CONFIRMED)
    assert [event.key for event in rig.told(Replaced)] == ["price-2"]


async def test_when_the_older_one_wins_after_all_both_know(rig: Rig):
    await rig.sender.submit(price(1))
    old = dict(rig.node.pool)
    await rig.sender.replace("price-1", price(2))
    rig.node.pool = old
    rig.node.mine()
    await rig.look()
    assert (await rig.state(1), await rig.state(2)) == (TxState.CONFIRMED, TxState.REPLACED)
    assert (await rig.sender.wait("price-2")).state is TxState.REPLACED


async def test_a_mined_one_cannot_be_replaced(rig: Rig):
    rig.start(confirmations=5)
    await rig.sender.submit(price(1))
    rig.node.mine()
    await rig.look()
    for key in ("price-1", "price-7"):
        with pytest.raises(CannotReplace):
            await rig.sender.replace(key, price(2))
    assert await rig.stored(2) is None


async def test_a_chain_without_fees_is_asked_once_whether_nothing_replaces_nothing(rig: Rig):
    rig.node.base_fee = rig.node.market_tip = 0
    await rig.sender.submit(price(1))
    with pytest.raises(TemporaryError, match="journalled"):
        await rig.sender.replace("price-1", price(2))
    with pytest.raises(CannotReplace, match="without fees"):
        await rig.sender.replace("price-2", price(3))
    assert await rig.stored(3) is None


async def test_replacing_keeps_the_ceiling(rig: Rig):
    rig.start(fees=FeePolicy(ceiling=2 * GWEI))
    await rig.sender.submit(price(1))
    with pytest.raises(CannotReplace, match="ceiling"):
        await rig.sender.replace("price-1", price(2))


# ---- the journal's chain ---------------------------------------------------------------------------------------------


async def test_a_chain_that_was_started_anew_is_refused(rig: Rig):
    await rig.sender.submit(price(1))
    header = rig.node.blocks[0].header
    rig.node.blocks[0] = replace(rig.node.blocks[0], header=msgspec.structs.replace(header, hash="0x" + "ee" * 32))
    rig.start()
    with pytest.raises(StopError, match="another one than before"):
        await rig.sender.submit(price(2))


async def test_a_second_sender_for_the_same_key_is_noticed(rig: Rig):
    other = rig.start()
    await other.look()
    mine = rig.start()
    await mine.look()
    await other.submit(price(1))
    with pytest.raises(TemporaryError, match="another process sends"):
        await mine.submit(price(2))
    assert (await mine.submit(price(2))).nonce == 1
    assert rig.told(GapFilled) == []
