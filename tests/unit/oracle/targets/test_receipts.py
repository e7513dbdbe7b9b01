"""What receipts tell, and what becomes of a publication and of the state by them."""

from dataclasses import replace

import pytest

from seamark.core.ids import Address
from seamark.evm.ports import Outcome, TxState
from seamark.evm.types import Receipt
from seamark.oracle.model import FeedState, Publication, PublicationState, Reason, Turn
from seamark.oracle.publications import came_to_nothing, settle, state_after
from seamark.oracle.targets.receipts import PublishedLog, SubmittedLog, read_receipt
from tests.unit.oracle.fakes import FEED, REF, SIGNER, hash_of, to_log

OTHER = Address("0x" + "0b" * 20)
BEGAN = ("NewRound", (3, SIGNER, 100))
PART = ("SubmissionReceived", (-7, 3, SIGNER))
ANSWER = ("AnswerUpdated", (-6, 3, 105))
STATE = FeedState(
    round=2,
    answer=-8,
    started_at=50,
    updated_at=60,
    decimals=8,
    description="ETH / USD",
    block_number=4,
    block_time=99,
    turn=Turn(3, eligible=True, unpaid="soon"),
)


def receipt(*events, succeeded=True, block=5) -> Receipt:
    logs = tuple(to_log(name, values, block) for name, values in events)
    return Receipt(hash_of(1), block, hash_of(block), succeeded, 10, 3, logs)


def outcome(*events, state=TxState.MINED, **options) -> Outcome:
    return Outcome("k", 0, state, (hash_of(1),), receipt(*events, **options))


def publication() -> Publication:
    return Publication("k", REF, 3, 1, PublicationState.BROADCAST, Reason.JOIN, 90.0, -7, 8, 88)


@pytest.mark.parametrize(
    ("events", "told"),
    [
        ((PART,), SubmittedLog(3, -7, started=False, published=None)),
        ((BEGAN, PART), SubmittedLog(3, -7, started=True, published=None)),
        ((PART, ANSWER), SubmittedLog(3, -7, started=False, published=PublishedLog(3, -6, 105, 105))),
        ((BEGAN, PART, ANSWER), SubmittedLog(3, -7, started=True, published=PublishedLog(3, -6, 100, 105))),
        ((BEGAN, ANSWER), PublishedLog(3, -6, 100, 105)),
        ((BEGAN,), None),
        ((), None),
    ],
)
def test_what_the_events_of_a_feed_come_to(events, told):
    assert read_receipt(receipt(*events), FEED) == told


def test_events_of_another_contract_are_not_ours():
    found = receipt(BEGAN, PART, ANSWER)
    assert read_receipt(found, OTHER) is None


# ---- the publication ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("answered", "block_time"), [(True, 105), (False, None)])
@pytest.mark.parametrize(("state", "end"), [(TxState.MINED, "mined"), (TxState.CONFIRMED, "final")])
def test_our_part_is_what_was_published(answered, block_time, state, end):
    events = (PART, ANSWER) if answered else (PART,)
    settled = settle(publication(), outcome(*events, state=state), now=110.0)
    assert (settled.state, settled.answer, settled.observed_at) == (end, -7, 88)
    assert (settled.block_time, settled.block_number, settled.fee) == (block_time, 5, 30)


def test_no_part_is_a_revert():
    assert settle(publication(), outcome(), now=110.0).state is PublicationState.REVERTED
    assert settle(publication(), outcome(PART, succeeded=False), now=110.0).state is PublicationState.REVERTED


def test_a_part_that_is_in_came_to_something():
    assert not came_to_nothing(outcome(PART), REF)
    assert came_to_nothing(outcome(succeeded=False), REF)


# ---- the state ------------------------------------------------------------------------------------------------------


def test_a_part_without_an_answer_only_ends_our_turn():
    after = state_after(STATE, outcome(PART), REF)
    assert after == replace(STATE, block_number=5, turn=Turn(4, eligible=False, why="answered round 3", unpaid="soon"))
    assert not after.asks_for(3)
    assert not after.asks_for(4)  # whose turn that is the contract has not said


def test_the_part_that_completes_the_round_brings_its_answer():
    after = state_after(STATE, outcome(BEGAN, PART, ANSWER), REF)
    assert after is not None
    assert after.turn is not None
    assert (after.round, after.answer, after.started_at, after.updated_at) == (3, -6, 100, 105)
    assert (after.block_number, after.block_time) == (5, 105)
    assert not after.turn.eligible


def test_a_receipt_of_before_the_state_tells_nothing():
    assert state_after(STATE, outcome(PART, block=3), REF) is None
    assert state_after(STATE, outcome(succeeded=False), REF) is None
    assert state_after(STATE, outcome(), REF) is None
