"""The circuit breaker: what jumps waits, and what is confirmed goes."""

from dataclasses import replace
from decimal import Decimal

import pytest

from seamark.core.units import Ppb
from seamark.oracle.aggregation import follow_jump, is_held
from seamark.oracle.model import Answer, FeedState, Hold, HoldReason, Jump, Reason, Trigger, TriggerPolicy
from seamark.oracle.rules import decide, replaces
from tests.unit.oracle.fakes import START, quote

NOW = int(START)
POLICY = TriggerPolicy(
    heartbeat=3600, deviation=Ppb(5_000_000), max_step=Ppb(100_000_000), confirm_after=15, confirm_within=600
)
STATE = FeedState(7, 100_000, NOW - 100, NOW - 99, 3, "X / USD", 10, NOW - 1)


def answer(value, at=NOW, quotes=()):
    return Answer(value, 3, Decimal(value) / 1000, at, tuple(quotes), (), Ppb(0))


def seen(*answers, state=STATE, policy=POLICY):
    jump = None
    for item in answers:
        jump = follow_jump(state, item, jump, float(item.observed_at), policy)
    return jump


@pytest.mark.parametrize(("value", "held"), [(110_000, False), (110_001, True), (90_000, False), (89_999, True)])
def test_only_what_is_beyond_the_step_is_held(value, held):
    told = answer(value)
    assert is_held(STATE, told, seen(told), POLICY) is held
    decision = decide(STATE, told, START, POLICY, seen(told))
    assert decision == (Hold(HoldReason.JUMP) if held else Trigger(Reason.DEVIATION))


def test_without_memory_a_jump_is_held():
    """As after a restart: the reference is the chain's, so it is not forgotten."""
    assert decide(STATE, answer(150_000), START, POLICY) == Hold(HoldReason.JUMP)


@pytest.mark.parametrize(
    ("value", "later", "held"),
    [
        (150_000, 14, True),  # too soon: these may be the very same quotes
        (150_000, 15, False),
        (160_000, 60, False),  # within a step of the first
        (170_000, 60, True),  # another jump
        (60_000, 60, True),  # the other way
        (150_000, 600, False),
        (150_000, 601, True),  # not within the time: it waits anew
    ],
)
def test_a_later_answer_near_it_confirms(value, later, held):
    second = answer(value, NOW + later)
    assert is_held(STATE, second, seen(answer(150_000), second), POLICY) is held


def test_a_price_that_comes_back_resets_the_breaker():
    assert seen(answer(150_000), answer(100_001, NOW + 5)) is None
    again = answer(150_000, NOW + 20)
    assert is_held(STATE, again, seen(answer(150_000), answer(100_001, NOW + 5), again), POLICY)


def test_a_jump_belongs_to_the_round_it_jumped_from():
    jump = seen(answer(150_000))
    moved = replace(STATE, answer=120_000)
    assert is_held(moved, answer(150_000, NOW + 60), jump, POLICY)
    assert follow_jump(moved, answer(150_000, NOW + 60), jump, START + 60, POLICY) == Jump(
        120_000, 150_000, NOW + 60, START + 60
    )


@pytest.mark.parametrize(
    ("prices", "held"), [((150, 151, 149), False), ((150, 151, 109), True), ((150, 151, 50), True)]
)
def test_enough_venues_confirm_at_once(prices, held):
    policy = replace(POLICY, agreeing_venues=3)
    told = answer(150_000, quotes=[quote(name, price) for name, price in zip("abc", prices, strict=True)])
    assert is_held(STATE, told, seen(told, policy=policy), policy) is held


def test_the_first_answer_is_no_jump_and_without_a_limit_nothing_is():
    assert not is_held(replace(STATE, round=0, answer=0), answer(10**9), None, POLICY)
    assert not is_held(STATE, answer(10**9), None, replace(POLICY, max_step=None))


def test_the_heartbeat_does_not_let_a_jump_through():
    late = replace(STATE, updated_at=NOW - 9999)
    assert decide(late, answer(150_000), START, POLICY) == Hold(HoldReason.JUMP)


def test_a_jump_takes_nobodys_nonce():
    newer = answer(150_000, NOW + 60)
    assert not replaces(STATE, 101_000, NOW, newer, waited=999.0, policy=POLICY)
    assert replaces(STATE, 101_000, NOW, newer, waited=999.0, policy=POLICY, jump=seen(answer(150_000)))
    assert replaces(STATE, 101_000, NOW, answer(108_000, NOW + 60), waited=999.0, policy=POLICY)
