"""Limits on what may be spent in a day: by owner and by all, replacements counted, remembered by the journal."""

from __future__ import annotations

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support.mempool import GWEI
from tests.support.sending import Rig, price

from seamark.core.errors import TemporaryError
from seamark.core.times import DAY_MS
from seamark.evm.ports import TxState
from seamark.evm.transactions import OverBudget
from seamark.evm.transactions.fees import Hold
from seamark.evm.transactions.ports import Held, Spent
from seamark.evm.transactions.spending import ALL, Cost, Spending, owner_of

NOW = 10 * DAY_MS
FIRST = 156_108_398_460_000  # wei: 60,000 gas at the first offer, four blocks' growth of 1 gwei and a tip of 1 gwei


def feed(name: str, number: int, **changes):
    return price(number, key=f"31337:{name}:round:{number}", **changes)


# ---- the rule --------------------------------------------------------------------------------------------------------


def test_the_owner_is_what_stands_before_the_last_colon():
    assert owner_of("31337:0xfe:round:7#2") == "31337:0xfe:round"
    assert owner_of("price-1") == "price-1"


def test_a_day_later_it_may_be_spent_again():
    spending = Spending(100)
    spending.put(0, Cost("a", NOW, 60, settled=True))
    assert spending.problem("a:1", 41, NOW) is not None
    assert spending.problem("a:1", 40, NOW) is None
    assert spending.problem("a:1", 41, NOW + DAY_MS - 1) is not None
    assert spending.problem("a:1", 100, NOW + DAY_MS) is None


def test_what_is_not_mined_counts_for_as_long_as_it_takes():
    spending = Spending(100)
    spending.put(0, Cost("a", NOW, 60, settled=False))
    assert spending.spent("a", NOW + 3 * DAY_MS) == 60
    spending.put(0, Cost("a", NOW, 10, settled=True))
    assert spending.spent("a", NOW + DAY_MS) == 0


def test_each_owner_has_a_limit_and_all_have_one():
    spending = Spending(100)
    spending.limit("a", 30)
    spending.put(0, Cost("b", NOW, 80, settled=True))
    assert "a has spent 0 wei in 24 hours" in (spending.problem("a:1", 31, NOW) or "")
    assert "this account has spent 80" in (spending.problem("a:1", 21, NOW) or "")
    assert spending.problem("a:1", 20, NOW) is None
    assert spending.problem("b:1", 20, NOW) is None
    spending.limit("a", None)
    spending.put(0, Cost("b", NOW, 0, settled=True))
    assert spending.problem("a:1", 100, NOW) is None


def test_what_is_reserved_cannot_be_spent_by_another():
    spending = Spending(100)
    with spending.reserved("a:1", 60, NOW):
        with pytest.raises(OverBudget, match="60 wei"), spending.reserved("b:1", 41, NOW):
            pass
        assert spending.spent(ALL, NOW) == 60
    assert spending.spent(ALL, NOW) == 0


@given(st.lists(st.tuples(st.integers(0, 6), st.sampled_from("abc"), st.integers(0, 50), st.booleans())))
def test_the_sums_are_those_of_the_newest_costs(steps):
    spending, truth = Spending(), {}
    for at, (nonce, owner, wei, settled) in enumerate(steps):
        truth[nonce] = Cost(owner, NOW + at, wei, settled)
        spending.put(nonce, truth[nonce])
    for owner in "abc":
        assert spending.spent(owner, NOW) == sum(cost.wei for cost in truth.values() if cost.owner == owner)
    assert spending.spent(ALL, NOW) == sum(cost.wei for cost in truth.values())


# ---- the sender ------------------------------------------------------------------------------------------------------


async def test_what_would_break_the_limit_is_refused_and_not_journalled(rig: Rig):
    rig.start(spend_per_day=2 * FIRST)
    for number in (1, 2):
        await rig.sender.submit(price(number))
    with pytest.raises(OverBudget, match="the limit is"):
        await rig.sender.submit(price(3))
    assert await rig.sender.find("price-3") is None
    assert len(rig.node.accepted) == 2


async def test_once_mined_only_what_was_paid_counts(rig: Rig):
    rig.start(spend_per_day=2 * FIRST)
    await rig.sender.submit(feed("a", 1))
    assert rig.sender.spent("31337:a:round") == FIRST
    rig.node.mine()
    await rig.look()
    paid = 50_000 * 2 * GWEI
    assert rig.sender.spent("31337:a:round") == paid
    assert rig.told(Spent)[-1] == Spent(paid, 2 * FIRST)
    await rig.sender.submit(feed("a", 2))


async def test_an_owner_has_a_limit_of_its_own(rig: Rig):
    rig.sender.limit_spending("31337:a:round", FIRST)
    await rig.sender.submit(feed("a", 1))
    with pytest.raises(OverBudget, match="31337:a:round has spent"):
        await rig.sender.submit(feed("a", 2))
    await rig.sender.submit(feed("b", 3))


async def test_the_journal_remembers(rig: Rig):
    rig.start(spend_per_day=3 * FIRST)
    for number in (1, 2):
        await rig.sender.submit(price(number))
        rig.node.mine()
        await rig.look()
    await rig.sender.submit(price(3, gas_limit=50_000))
    before = rig.sender.spent(ALL)
    rig.start()
    await rig.look()
    assert rig.sender.spent(ALL) == before
    with pytest.raises(OverBudget):
        await rig.sender.submit(price(4))
    rig.node.mine()
    await rig.look(DAY_MS / 1000)
    rig.start()
    await rig.look()
    assert rig.sender.spent(ALL) == 0


async def test_two_at_the_same_time_do_not_both_take_the_last(rig: Rig):
    rig.start(spend_per_day=FIRST)
    answers = await asyncio.gather(*(rig.sender.submit(price(number)) for number in (1, 2)), return_exceptions=True)
    assert sorted(type(answer).__name__ for answer in answers) == ["Outcome", "OverBudget"]
    assert len(rig.node.accepted) == 1


async def test_a_higher_offer_waits_for_money(rig: Rig):
    rig.start(spend_per_day=FIRST)
    await rig.sender.submit(price(1))
    rig.node.room = 0
    for _ in range(3):
        rig.node.mine()
        await rig.look(31)
    assert len({tx.hash for tx in rig.node.accepted}) == 1
    assert [event.reason for event in rig.told(Held)] == [Hold.BUDGET]
    rig.node.room = 1
    rig.node.mine()
    await rig.look()
    assert await rig.state(1) is TxState.CONFIRMED


async def test_a_replacement_counts_by_what_it_adds(rig: Rig):
    rig.start(spend_per_day=FIRST * 5 // 4)
    rig.node.room = 0
    await rig.sender.submit(price(1))
    await rig.sender.replace("price-1", price(2))
    assert rig.sender.spent(ALL) == max(tx.cost for tx in rig.node.accepted)
    with pytest.raises(OverBudget):
        await rig.sender.replace("price-2", price(3))
    assert [tx.data for tx in rig.node.pool.values()] == [b"price-2"]


async def test_what_a_reorg_takes_back_may_cost_again(rig: Rig):
    rig.start(confirmations=3)
    await rig.sender.submit(price(1))
    rig.node.mine()
    await rig.look()
    rig.node.reorg(1, keep=False)
    await rig.look()
    assert rig.sender.spent(ALL) == FIRST


async def test_a_strangers_nonce_costs_nothing(rig: Rig):
    def lost(method: str) -> None:
        if method == "send_raw":
            raise TemporaryError("time-out")

    await rig.look()
    before, rig.node.before = rig.node.before, lost
    with pytest.raises(TemporaryError):
        await rig.sender.submit(price(1))
    rig.node.before = before
    rig.node.mine_foreign(rig.sender.address)
    for _ in range(3):
        await rig.look(6)
    assert await rig.state(1) is TxState.FOREIGN
    assert rig.sender.spent(ALL) == 0
