"""Who may execute a message by hand, and what is said of it."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from seamark.messages.model import Stage
from seamark.messages.recovery import Answer, ExecutionState, Gas
from seamark.messages.recovery.model import Head
from seamark.messages.recovery.rules import (
    FLOOR_GAS,
    advise,
    gas_limit,
    in_nonce_order,
    judge,
    judge_together,
    refusal,
)
from tests.unit.messages.recovery.cases import LANE, NOW, SENDER, case, message_id, standing, trial

FAILURE, SUCCESS, UNTOUCHED = ExecutionState.FAILURE, ExecutionState.SUCCESS, ExecutionState.UNTOUCHED


@pytest.mark.parametrize(
    ("stands", "answer", "words"),
    [
        (standing(FAILURE), Answer.READY, "tried and failed"),
        (standing(FAILURE, committed_at=NOW - 1), Answer.READY, "tried and failed"),  # a failure waits for nothing
        (standing(UNTOUCHED), Answer.READY, "nobody has tried it"),
        (standing(UNTOUCHED, committed_at=NOW - 3601), Answer.READY, "1h00m ago"),
        (standing(UNTOUCHED, committed_at=NOW - 3600), Answer.TOO_EARLY, "1s are left"),  # strictly later
        (standing(UNTOUCHED, committed_at=NOW - 600), Answer.TOO_EARLY, "50m01s are left"),
        (standing(SUCCESS), Answer.DONE, "with success"),
        (standing(SUCCESS, cursed="home"), Answer.DONE, "with success"),  # what is done is done
        (standing(FAILURE, cursed="home"), Answer.CURSED, "home is cursed"),
        (standing(FAILURE, obstacle="Paused."), Answer.REFUSED, "Paused."),
        (standing(ExecutionState.IN_PROGRESS), Answer.REFUSED, "being executed"),
        (standing(UNTOUCHED, committed_at=None), Answer.NOT_COMMITTED, "nobody can execute it"),
        (standing(FAILURE, committed_at=None), Answer.NOT_COMMITTED, "nobody can execute it"),  # its root was removed
        (standing(UNTOUCHED, committed_at=None, needs_commit=False), Answer.READY, "Anybody may"),
        (standing(UNTOUCHED, nonce=7, next_nonce=7), Answer.READY, "nobody has tried it"),
        (standing(UNTOUCHED, nonce=7, next_nonce=5), Answer.NONCE_BLOCKED, "nonce 7"),
        (standing(FAILURE, nonce=7, next_nonce=9), Answer.READY, "failed"),  # a failure has used its nonce
    ],
)
def test_the_answer_follows_the_contracts(stands: Any, answer: Answer, words: str) -> None:
    verdict = judge(case(), stands)
    assert verdict.answer is answer
    assert words in verdict.text
    assert verdict.allowed is (answer is Answer.READY)
    assert verdict.text.endswith(".")


def test_a_message_whose_send_was_reorganised_away_is_gone() -> None:
    assert judge(case(retracted=True), standing()).answer is Answer.RETRACTED
    assert judge(case(retracted=True), standing(SUCCESS)).answer is Answer.DONE


def test_the_transaction_that_did_it_is_named() -> None:
    assert "0xfeed" in judge(case(executed_transaction="0xfeed"), standing(SUCCESS)).text


def test_what_is_not_final_is_told_to_wait_for_that() -> None:
    waits = standing(committed_at=None)
    assert "final" in judge(case(finalized=False), waits).remedy
    assert "nobody but the network" in judge(case(finalized=True), waits).remedy


def test_a_blocked_message_names_the_head_of_its_queue() -> None:
    blocked = standing(nonce=7, next_nonce=5)
    head = Head(message_id(3), 3, 5, Stage.COMMITTED)
    remedy = judge(case(), blocked, head).remedy
    assert f"seamark messages recover {message_id(3)}" in remedy
    assert f"--sender {SENDER}" in remedy
    assert "does not know it" in judge(case(), blocked).remedy


def test_in_a_batch_each_makes_way_for_the_next() -> None:
    cases = [case(number, nonce=number) for number in (1, 2, 3)]
    stands = [standing(nonce=number, next_nonce=1) for number in (1, 2, 3)]
    assert [verdict.answer for verdict in judge_together(cases, stands)] == [Answer.READY] * 3
    backward = [verdict.answer for verdict in judge_together(cases[::-1], stands[::-1])]
    assert backward == [Answer.NONCE_BLOCKED, Answer.NONCE_BLOCKED, Answer.READY]


def test_in_a_batch_one_that_cannot_go_holds_up_the_later_ones() -> None:
    cases = [case(number, nonce=number) for number in (1, 2, 3)]
    stands = [
        standing(nonce=1, next_nonce=1),
        standing(nonce=2, next_nonce=1, committed_at=NOW),
        standing(nonce=3, next_nonce=1),
    ]
    answers = [verdict.answer for verdict in judge_together(cases, stands)]
    assert answers == [Answer.READY, Answer.TOO_EARLY, Answer.NONCE_BLOCKED]


def test_queues_of_senders_and_lanes_are_apart() -> None:
    other = LANE._replace(channel="0x" + "02" * 20)
    cases = [case(1, nonce=1), case(2, nonce=1, sender="0xother"), case(1, nonce=1, lane=other), case(3)]
    stands = [standing(nonce=1, next_nonce=1)] * 3 + [standing()]
    assert [verdict.answer for verdict in judge_together(cases, stands)] == [Answer.READY] * 4


def test_a_failed_one_takes_no_turn() -> None:
    cases = [case(1, nonce=1), case(2, nonce=2)]
    stands = [standing(FAILURE, nonce=1, next_nonce=2), standing(nonce=2, next_nonce=2)]
    assert all(verdict.allowed for verdict in judge_together(cases, stands))


@given(st.permutations(range(1, 9)))
def test_nonce_order_is_sequence_order(numbers: list[int]) -> None:
    assert [item.sequence for item in in_nonce_order([case(number) for number in numbers])] == list(range(1, 9))


@pytest.mark.parametrize(
    ("estimate", "least", "gas"),
    [
        (None, 100, FLOOR_GAS),
        (100_000, 400_000, 400_000),  # the trap: an estimate that is far too low does not count
        (322_535, 400_000, 400_000),
        (1_000_000, 400_000, 1_150_000),
        (None, 900_000, 900_000),
    ],
)
def test_gas_is_never_less_than_what_the_messages_need(estimate: int | None, least: int, gas: int) -> None:
    assert gas_limit(estimate, least) == gas


@given(st.integers(0, 10**8), st.integers(0, 10**8))
def test_gas_is_above_both(estimate: int, least: int) -> None:
    assert gas_limit(estimate, least) >= max(estimate, least, FLOOR_GAS)


@pytest.mark.parametrize(
    ("tried", "words"),
    [
        (trial(), "it would succeed"),
        (trial(gas_limit=500_000), "with 500000 gas instead of 200000"),
        (trial(callback=False), "no code would be run"),
        (trial(succeeds=False, reason="receiver_reverted", text="the receiver reverted: no"), "Repair the receiver"),
        (trial(succeeds=False, reason="token_rate_limited", text="the token pool"), "wait until it has refilled"),
        (trial(succeeds=False, reason="token_failed", text="the token pool"), "liquidity"),
        (trial(succeeds=False, reason="other", text="the off-ramp reverted"), "it would fail: the off-ramp reverted."),
        (
            trial(succeeds=False, reason="receiver_out_of_gas", text="x", helpful_gas_limit=400_000),
            "add --gas-limit 400000",
        ),
        (trial(succeeds=False, reason="receiver_out_of_gas", text="x"), "No higher limit that was tried helps"),
        (trial(succeeds=None, text="the node is down"), "could not be tried: the node is down"),
    ],
)
def test_the_advice_says_what_a_trial_means(tried: Any, words: str) -> None:
    assert words in advise(case(), tried, Gas())


def test_a_cause_that_is_gone_is_told() -> None:
    assert "What made it fail before is gone" in advise(case(reason="receiver_reverted"), trial(), Gas())
    raised = advise(case(reason="receiver_out_of_gas"), trial(gas_limit=500_000), Gas(500_000))
    assert "is gone" not in raised  # nothing is gone: more was given


def test_the_policy_names_what_it_forbids() -> None:
    allowed: dict[str, Any] = {"chains": ["remote"], "max_gas": 500_000, "per_day": 3}
    assert refusal("remote", 500_000, 2, **allowed) == ""
    assert "not among its chains (remote)" in refusal("home", 1, 0, **allowed)
    assert "above its max_gas of 500000" in refusal("remote", 500_001, 0, **allowed)
    assert "3 were sent" in refusal("remote", 1, 3, **allowed)
