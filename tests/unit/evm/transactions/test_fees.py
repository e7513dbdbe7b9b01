"""What is offered, by hand-made numbers. (That every offer is well formed is tests/property/test_transactions.py.)"""

from __future__ import annotations

import pytest

from seamark.evm.transactions.fees import FeePolicy, Hold, Market, is_free, mean_reward, next_fees, pays, quote
from seamark.evm.transactions.model import Fees

GWEI = 10**9
POLICY = FeePolicy(ceiling=100 * GWEI, min_tip=0, max_tip=5 * GWEI)


def test_a_first_offer_survives_four_full_blocks():
    fees = quote(Market(8**4 * GWEI, GWEI, 0), FeePolicy(ceiling=10**6 * GWEI))
    assert fees == Fees(9**4 * GWEI + GWEI, GWEI)


@pytest.mark.parametrize(("market_tip", "offered"), [(2 * GWEI, 2 * GWEI), (50 * GWEI, 5 * GWEI), (0, 0)])
def test_the_tip_is_what_others_pay_up_to_a_limit(market_tip, offered):
    assert quote(Market(GWEI, market_tip, 0), POLICY).tip == offered


def test_the_least_tip_is_paid_where_nobody_else_pays_one():
    assert quote(Market(GWEI, 0, GWEI), FeePolicy(min_tip=30 * GWEI)).tip == 30 * GWEI


def test_a_market_above_the_ceiling_is_offered_the_ceiling():
    fees = quote(Market(1000 * GWEI, GWEI, 0), POLICY)
    assert fees.cap == 100 * GWEI
    assert not pays(fees, Market(1000 * GWEI, GWEI, 0), POLICY)


def test_before_eip_1559_it_is_a_gas_price():
    assert quote(Market(None, 0, 20 * GWEI), POLICY) == Fees(20 * GWEI, 20 * GWEI, legacy=True)


@pytest.mark.parametrize(
    ("market", "policy", "free"),
    [
        (Market(0, 0, 0), POLICY, True),
        (Market(None, 0, 0), POLICY, True),
        (Market(0, 0, GWEI), POLICY, False),
        (Market(0, 0, GWEI), FeePolicy(ceiling=0), True),
        (Market(7, 0, 0), POLICY, False),
    ],
)
def test_when_a_chain_takes_no_fees(market, policy, free):
    assert is_free(market, policy) is free


def test_a_chain_without_fees_is_offered_nothing_and_never_more():
    free = Market(0, 0, 0)
    assert quote(free, POLICY) == Fees(0, 0)
    assert quote(Market(None, 0, 0), POLICY) == Fees(0, 0, legacy=True)
    assert next_fees(Fees(0, 0), free, POLICY) is Hold.ZERO_FEE


def test_a_replacement_is_an_eighth_more_rounded_up_on_both():
    assert next_fees(Fees(1001, 101), Market(1, 0, 1), POLICY) == Fees(1127, 114)


def test_a_replacement_offers_the_market_where_that_is_more():
    assert next_fees(Fees(GWEI, 1), Market(8**4 * 10**6, GWEI, 0), POLICY) == Fees(9**4 * 10**6 + GWEI, GWEI)


@pytest.mark.parametrize("fee", [0, 1, 2, 3, 7, 9, 10, 19])
def test_small_numbers_still_grow_by_more_than_a_tenth(fee):
    raised = next_fees(Fees(fee, fee), Market(1, 0, 1), POLICY)
    assert isinstance(raised, Fees)
    assert raised.cap * 100 > fee * 110
    assert raised.tip * 100 > fee * 110


def test_a_legacy_replacement_stays_legacy():
    assert next_fees(Fees(80, 80, legacy=True), Market(None, 0, 10), POLICY) == Fees(90, 90, legacy=True)


def test_the_last_step_before_the_ceiling_may_be_smaller_than_an_eighth():
    policy = FeePolicy(ceiling=111)
    assert next_fees(Fees(100, 10), Market(1, 0, 1), policy) == Fees(111, 12)


@pytest.mark.parametrize("ceiling", [100, 105, 110])
def test_a_step_that_a_pool_would_refuse_is_not_taken(ceiling):
    assert next_fees(Fees(100, 10), Market(1, 0, 1), FeePolicy(ceiling=ceiling)) is Hold.CEILING


def test_a_tip_at_the_ceiling_cannot_grow():
    assert next_fees(Fees(100, 100), Market(1, 0, 1), FeePolicy(ceiling=105)) is Hold.CEILING


def test_the_mean_leaves_out_blocks_in_which_nobody_paid():
    assert mean_reward([[0], [10], [20], []]) == 15
    assert mean_reward([[0], []]) is None
    assert mean_reward([]) is None


def test_whether_an_offer_pays_for_the_next_block():
    market = Market(10, 3, 0)
    assert pays(Fees(10, 0), market, POLICY)
    assert not pays(Fees(9, 9), market, POLICY)
    assert not pays(Fees(10, 0), market, FeePolicy(min_tip=1))
    assert pays(Fees(5, 5, legacy=True), Market(None, 0, 5), POLICY)
    assert not pays(Fees(4, 4, legacy=True), Market(None, 0, 5), POLICY)


def test_type_0_by_choice_pays_one_price():
    policy = FeePolicy(ceiling=10**12, legacy=True)
    assert quote(Market(8 * GWEI, GWEI, 9 * GWEI), policy) == Fees(10 * GWEI, 10 * GWEI, legacy=True)
    assert quote(Market(0, 0, 0), policy) == Fees(0, 0, legacy=True)
    assert quote(Market(8 * GWEI, GWEI, 9 * GWEI), FeePolicy(ceiling=GWEI, legacy=True)).cap == GWEI


@pytest.mark.parametrize("market", [Market(8 * GWEI, GWEI, 9 * GWEI), Market(None, 0, 9 * GWEI)])
def test_a_replacement_keeps_the_type(market):
    policy = FeePolicy(ceiling=10**12, legacy=market.next_base is not None)
    first = quote(market, policy)
    raised = next_fees(first, market, policy)
    assert isinstance(raised, Fees)
    assert raised.legacy
    assert raised.cap == raised.tip > first.cap * 11 // 10
