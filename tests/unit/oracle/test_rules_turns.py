"""When an oracle of several publishes, and the absolute threshold beside the ratio."""

from decimal import Decimal

import pytest

from seamark.core.units import Ppb
from seamark.oracle.explain import account_of
from seamark.oracle.model import (
    Answer,
    FeedRef,
    FeedState,
    Hold,
    HoldReason,
    Publication,
    PublicationState,
    Reason,
    Trigger,
    TriggerPolicy,
    Turn,
)
from seamark.oracle.rules import decide, follow_jump, moved, replaces

from .fakes import REF, START

POLICY = TriggerPolicy(heartbeat=3600, deviation=Ppb(5_000_000))
NOW = START + 100


def state(turn: Turn | None, *, round_: int = 6, answer: int = 1000) -> FeedState:
    return FeedState(
        round=round_,
        answer=answer,
        started_at=int(START),
        updated_at=int(START),
        decimals=2,
        description="ETH / USD",
        block_number=1,
        block_time=int(START),
        turn=turn,
    )


def answer(value: int, observed_at: float = NOW) -> Answer:
    return Answer(value, 2, Decimal(value) / 100, int(observed_at), (), (), Ppb(0))


BEGIN = Turn(7, eligible=True)
JOIN = Turn(7, eligible=True, started_at=int(START) + 90)
WAIT = Turn(7, eligible=False, why="answered")


@pytest.mark.parametrize(
    ("turn", "value", "decision"),
    [
        (None, 1010, Trigger(Reason.DEVIATION)),
        (BEGIN, 1010, Trigger(Reason.DEVIATION)),
        (BEGIN, 1004, Hold(HoldReason.CURRENT)),
        (JOIN, 1004, Trigger(Reason.JOIN)),
        (JOIN, 1010, Trigger(Reason.JOIN)),
        (WAIT, 1010, Hold(HoldReason.NOT_OUR_TURN)),
        (WAIT, 1004, Hold(HoldReason.NOT_OUR_TURN)),
    ],
)
def test_whose_turn_it_is(turn, value, decision):
    assert decide(state(turn), answer(value), NOW, POLICY) == decision


def test_the_heartbeat_begins_a_round_but_not_out_of_turn():
    late = START + 3600
    assert decide(state(BEGIN), answer(1000, late), late, POLICY) == Trigger(Reason.HEARTBEAT)
    assert decide(state(WAIT), answer(1000, late), late, POLICY) == Hold(HoldReason.NOT_OUR_TURN)


def test_the_first_round_is_begun_or_joined():
    assert decide(state(Turn(1, eligible=True), round_=0), answer(5), NOW, POLICY) == Trigger(Reason.FIRST)
    begun = Turn(1, eligible=True, started_at=5)
    assert decide(state(begun, round_=0), answer(5), NOW, POLICY) == Trigger(Reason.JOIN)


def test_an_observation_of_before_the_last_round_is_good_enough_to_join():
    """The contract keeps no observation times; what has become too old for us is no answer at all."""
    assert decide(state(JOIN), answer(1000, START - 5), NOW, POLICY) == Trigger(Reason.JOIN)
    assert decide(state(BEGIN), answer(1010, START - 5), NOW, POLICY) == Hold(HoldReason.SAME_OBSERVATION)


def test_a_jump_is_held_back_from_others_rounds_too():
    policy = TriggerPolicy(heartbeat=3600, deviation=Ppb(5_000_000), max_step=Ppb(100_000_000))
    wild = answer(2000)
    jump = follow_jump(state(JOIN), wild, None, NOW, policy)
    assert decide(state(JOIN), wild, NOW, policy, jump) == Hold(HoldReason.JUMP)
    assert decide(state(JOIN), answer(1050), NOW, policy) == Trigger(Reason.JOIN)


@pytest.mark.parametrize(
    ("old", "new", "absolute", "far"),
    [
        (1000, 1010, None, True),
        (1000, 1010, "0.05", True),
        (1000, 1010, "0.10", False),  # more than, not as much as
        (1000, 1010, "0.09", True),
        (1000, 1004, "0.01", False),  # both, not either
        (3, 4, "0.05", False),  # a third, and one cent
        (0, 4, "0.05", False),
        (0, 6, "0.05", True),
        (-1000, -1010, "0.05", True),
        (3, -3, "0.05", True),
    ],
)
def test_the_absolute_threshold(old, new, absolute, far):
    least = None if absolute is None else Decimal(absolute)
    policy = TriggerPolicy(heartbeat=3600, deviation=Ppb(5_000_000), absolute_deviation=least)
    assert moved(old, new, policy, 2) is far
    decision = decide(state(BEGIN, answer=old), answer(new), NOW, policy)
    assert decision == (Trigger(Reason.DEVIATION) if far else Hold(HoldReason.CURRENT))
    assert replaces(state(JOIN), old, 0, answer(new), waited=100, policy=policy) is far


def test_it_does_not_keep_the_heartbeat_back():
    policy = TriggerPolicy(heartbeat=3600, deviation=Ppb(5_000_000), absolute_deviation=Decimal(5))
    late = START + 3600
    assert decide(state(None), answer(1000, late), late, policy) == Trigger(Reason.HEARTBEAT)


def test_an_explanation_says_that_another_began():
    ref: FeedRef = REF
    told = Publication("k", ref, 7, 1, PublicationState.MINED, Reason.JOIN, NOW, 1000, 2, int(NOW))
    assert account_of(told, None).why == "another oracle had begun the round, and each answers every round"
