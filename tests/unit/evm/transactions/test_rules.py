"""The decisions, one table row each."""

from __future__ import annotations

from dataclasses import replace

import pytest
from tests.support.sending import TO

from seamark.core.ids import Hash32
from seamark.evm.ports import TxState
from seamark.evm.transactions.fees import FeePolicy, Hold, Market
from seamark.evm.transactions.model import Attempt, Entry, Fees, Slot, filler_intent, is_at_least
from seamark.evm.transactions.rules import (
    Bump,
    Keep,
    Patience,
    Plan,
    Resend,
    UsedSince,
    Verdict,
    View,
    judge,
    may_be_foreign,
    needs_receipts,
    next_move,
    next_nonce,
    plan_recovery,
)
from seamark.evm.types import Receipt

GWEI = 10**9
PATIENCE = Patience(resend_ms=5_000, remind_ms=60_000, bump_ms=30_000, foreign_ms=5_000)
MARKET = Market(GWEI, GWEI, 2 * GWEI)
POLICY = FeePolicy(ceiling=100 * GWEI)
NOW = 1_000_000


def hash_of(number: int) -> Hash32:
    return Hash32(f"0x{number:064x}")


def attempt(number: int, cap: int = 3 * GWEI, *, at_ms: int = NOW, head: int = 10) -> Attempt:
    return Attempt(hash_of(number), b"raw", Fees(cap, GWEI), at_ms, head)


def entry(*attempts: Attempt, number: int = 1, nonce: int = 5, state: TxState = TxState.BROADCAST) -> Entry:
    return Entry(
        id=number,
        key=f"price-{number}",
        nonce=nonce,
        to=TO,
        data=b"",
        value=0,
        gas=60_000,
        state=state,
        created_ms=NOW,
        current=True,
        attempts=attempts or (attempt(number),),
    )


def slot(*entries: Entry) -> Slot:
    return Slot(entries[0].nonce, entries)


def receipt(number: int, block: int = 8, fork: int = 0) -> Receipt:
    return Receipt(hash_of(number), block, hash_of(1000 + block + fork), True, 50_000, GWEI, ())


def view(*receipts: Receipt, head: int = 10, final: int = 8, latest: int = 5, pending: int = 6, now: int = NOW) -> View:
    return View(head, final, latest, pending, now, {one.transaction_hash: one for one in receipts})


# ---- recovery -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("nonces", "latest", "pending", "plan"),
    [
        ([], 0, 0, Plan((), (), ())),
        ([3, 4], 5, 5, Plan((), (), (3, 4))),
        ([4, 5, 6], 5, 6, Plan((), (5, 6), (4,))),
        ([5, 8], 5, 6, Plan((6, 7), (5, 8), ())),
        ([8], 5, 7, Plan((7,), (8,), ())),  # 5 and 6 are somebody else's, in the pool
        ([8], 5, 2, Plan((5, 6, 7), (8,), ())),  # a pool behind the chain
    ],
)
def test_the_plan_of_a_start(nonces, latest, pending, plan):
    assert plan_recovery(nonces, latest, pending) == plan


@pytest.mark.parametrize(
    ("highest", "latest", "pending", "first"),
    [(None, 0, 0, 0), (None, 4, 6, 6), (9, 4, 6, 10), (3, 4, 4, 4), (4, 4, 4, 5)],
)
def test_the_first_free_nonce(highest, latest, pending, first):
    assert next_nonce(highest, latest, pending) == first


# ---- state ----------------------------------------------------------------------------------------------------------


def test_a_receipt_makes_it_mined_or_confirmed():
    ours = slot(entry())
    assert judge(ours, view(receipt(1, block=9), latest=6), None, PATIENCE) == Verdict(
        TxState.MINED, ours.current, receipt(1, block=9)
    )
    verdict = judge(ours, view(receipt(1, block=8), latest=6), None, PATIENCE)
    assert isinstance(verdict, Verdict)
    assert verdict.state is TxState.CONFIRMED


def test_any_attempt_of_any_entry_may_have_won():
    old = replace(entry(attempt(1), attempt(2)), current=False)
    verdict = judge(slot(old, entry(attempt(3), number=2)), view(receipt(1), latest=6), None, PATIENCE)
    assert isinstance(verdict, Verdict)
    assert verdict.winner == old


def test_nothing_new_is_no_verdict():
    mined = slot(replace(entry(), state=TxState.MINED, receipt=receipt(1, block=9)))
    assert judge(mined, view(receipt(1, block=9), latest=6), None, PATIENCE) == Keep()
    assert judge(slot(entry()), view(), None, PATIENCE) == Keep()


def test_another_block_is_told_though_the_state_is_the_same():
    mined = slot(replace(entry(), state=TxState.MINED, receipt=receipt(1, block=9)))
    moved = receipt(1, block=9, fork=1)
    assert judge(mined, view(moved, latest=6), None, PATIENCE) == Verdict(TxState.MINED, mined.current, moved)


def test_a_receipt_that_vanished_is_an_orphan_where_another_block_took_its_place():
    mined = slot(replace(entry(), state=TxState.MINED, receipt=receipt(1, block=9)))
    assert judge(mined, view(), None, PATIENCE) == Keep(), "the node may lag"
    proven = replace(view(), orphaned=frozenset({mined.nonce}))
    assert judge(mined, proven, None, PATIENCE) == Verdict(TxState.BROADCAST)


def test_what_was_mined_is_never_called_foreign_because_its_receipt_is_gone():
    mined = slot(replace(entry(), state=TxState.MINED, receipt=receipt(1, block=9)))
    seen = view(head=30, final=20, latest=6, now=NOW + 60_000)
    assert judge(mined, seen, UsedSince(10, NOW), PATIENCE) == Keep()


@pytest.mark.parametrize(
    ("used", "final", "waited_ms", "settled", "foreign"),
    [
        (None, 10, 9_000, None, False),  # first seen now
        (UsedSince(10, NOW), 9, 9_000, None, False),  # not final yet
        (UsedSince(10, NOW), 10, 4_999, None, False),  # the receipt may come late
        (UsedSince(10, NOW), 10, 5_000, None, True),
        (UsedSince(10, NOW), 10, 5_000, 6, True),
        (UsedSince(10, NOW), 10, 5_000, 5, False),  # what used it is not in a final block
    ],
)
def test_when_a_used_nonce_is_foreign(used, final, waited_ms, settled, foreign):
    seen = replace(view(head=12, final=final, latest=6, now=NOW + waited_ms), settled=settled)
    verdict = judge(slot(entry()), seen, used, PATIENCE)
    assert verdict == (Verdict(TxState.FOREIGN) if foreign else Keep())


def test_only_candidates_cost_a_question():
    long_ago = UsedSince(1, NOW - 60_000)
    assert may_be_foreign(slot(entry()), view(latest=6), long_ago, PATIENCE)
    assert not may_be_foreign(slot(entry()), view(latest=5), long_ago, PATIENCE)
    assert not may_be_foreign(slot(entry()), view(receipt(1), latest=6), long_ago, PATIENCE)


def test_receipts_are_asked_for_where_they_can_exist():
    assert not needs_receipts(slot(entry()), 5)
    assert needs_receipts(slot(entry()), 6)
    assert needs_receipts(slot(entry(state=TxState.MINED)), 5)


# ---- pushing --------------------------------------------------------------------------------------------------------


def move(ours: Slot, seen: View, *, sent_ms: int | None = NOW, refused: bool = False, market: Market = MARKET):
    return next_move(ours, seen, sent_ms=sent_ms, refused=refused, market=market, policy=POLICY, patience=PATIENCE)


def test_what_was_mined_and_is_not_seen_goes_out_again_with_the_same_bytes_alone():
    mined = slot(replace(entry(), state=TxState.MINED, receipt=receipt(1, block=9)))
    later = NOW + 60_000
    assert move(mined, view(head=30, pending=5, now=later), refused=True) == Resend()
    assert move(mined, view(head=30, pending=5, now=later), sent_ms=later - 4_999, refused=True) is None
    assert move(mined, view(head=30, pending=6, now=later), refused=True) is None


def test_what_was_not_sent_yet_is_sent():
    assert move(slot(entry()), view(), sent_ms=None) == Resend()


@pytest.mark.parametrize(
    ("pending", "waited", "again"), [(6, 59_999, False), (6, 60_000, True), (5, 4_999, False), (5, 5_000, True)]
)
def test_sent_again_soon_when_the_pool_lost_it_and_now_and_then_otherwise(pending, waited, again):
    calm = slot(entry(attempt(1, head=10)))
    assert move(calm, view(pending=pending, now=NOW + waited)) == (Resend() if again else None)


def test_more_is_offered_when_blocks_pass_it_by():
    assert isinstance(move(slot(entry()), view(head=11, now=NOW + 30_000)), Bump)
    assert move(slot(entry()), view(head=11, now=NOW + 29_999)) is None
    assert move(slot(entry()), view(head=10, now=NOW + 30_000)) is None, "no block came"


def test_behind_another_nonce_only_what_no_longer_pays_is_raised():
    waiting = entry(nonce=6)
    later = view(head=11, pending=7, now=NOW + 30_000)
    assert move(slot(waiting), later) is None
    assert isinstance(move(slot(waiting), later, market=Market(50 * GWEI, GWEI, 0)), Bump)


def test_a_refusal_raises_it_sooner_but_not_at_once():
    assert move(slot(entry()), view(now=NOW + 4_999), refused=True) is None
    assert isinstance(move(slot(entry()), view(now=NOW + 5_000), refused=True), Bump)


def test_the_highest_offer_of_the_slot_is_what_has_to_be_beaten():
    old = replace(entry(attempt(1, cap=40 * GWEI)), current=False)
    bump = move(slot(old, entry(attempt(2), number=2)), view(head=11, now=NOW + 30_000))
    assert isinstance(bump, Bump)
    assert bump.fees.cap == 45 * GWEI


def test_why_it_is_held():
    late = view(head=11, now=NOW + 30_000)
    assert move(slot(entry()), late, market=Market(0, 0, 0)) is Hold.ZERO_FEE
    assert move(slot(entry(attempt(1, cap=95 * GWEI))), late) is Hold.CEILING


# ---- words ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("state", [TxState.REPLACED, TxState.FOREIGN])
def test_whoever_waits_for_what_will_not_come_is_told(state):
    assert is_at_least(state, TxState.CONFIRMED)


def test_states_in_order():
    order = [TxState.SIGNED, TxState.BROADCAST, TxState.MINED, TxState.CONFIRMED]
    for position, state in enumerate(order):
        assert [is_at_least(state, wanted) for wanted in order] == [place <= position for place in range(4)]


def test_a_filler_moves_nothing_to_ourselves():
    intent = filler_intent(7, TO)
    assert (intent.to, intent.value, intent.data, intent.gas_limit) == (TO, 0, b"", 21_000)
