from __future__ import annotations

import dataclasses

import pytest

from seamark.core.ids import Address, Hash32
from seamark.devnet.ccip.faults import NO_FAULT, Fault, FaultKind, Faults, Plan
from seamark.devnet.ccip.ramp_messages import LaneId, RampMessage
from tests.unit.devnet.ccip_golden import LANE, MESSAGE

BACK = LaneId(LANE.dest, LANE.source)


def message(sequence: int = 4, **changes) -> RampMessage:
    number = Hash32("0x" + f"{sequence:064x}")
    return dataclasses.replace(MESSAGE, **{"message_id": number, "sequence": sequence, **changes})


def test_without_rules_everything_goes_its_way():
    assert Faults().plan(message()) == NO_FAULT == Plan()


@pytest.mark.parametrize(
    ("kind", "plan"),
    [
        (FaultKind.DELAY_COMMIT, Plan(commit_delay=9)),
        (FaultKind.DELAY_EXECUTE, Plan(execute_delay=9)),
        (FaultKind.NEVER_COMMIT, Plan(commit=False)),
        (FaultKind.NEVER_EXECUTE, Plan(execute=False)),
        (FaultKind.FAIL, Plan(fail=True)),
    ],
)
def test_each_kind_has_its_plan(kind, plan):
    assert Faults([Fault(kind, seconds=9)]).plan(message()) == plan


@pytest.mark.parametrize(
    ("fault", "hit"),
    [
        (Fault(FaultKind.FAIL, lane=LANE), True),
        (Fault(FaultKind.FAIL, lane=BACK), False),
        (Fault(FaultKind.FAIL, message_id=message().message_id), True),
        (Fault(FaultKind.FAIL, message_id=message(5).message_id), False),
        (Fault(FaultKind.FAIL, receiver=MESSAGE.receiver), True),
        (Fault(FaultKind.FAIL, receiver=Address("0x" + "99" * 20)), False),
        (Fault(FaultKind.FAIL, every=2), True),
        (Fault(FaultKind.FAIL, every=3), False),
        (Fault(FaultKind.FAIL, lane=LANE, every=2, receiver=MESSAGE.receiver), True),
        (Fault(FaultKind.FAIL, lane=BACK, every=2, receiver=MESSAGE.receiver), False),
    ],
)
def test_all_given_conditions_must_hold(fault, hit):
    assert Faults([fault]).plan(message()).fail is hit


def test_the_next_n_messages_are_picked_once_each():
    faults = Faults([Fault(FaultKind.FAIL, times=2)])
    for _ in range(3):
        assert [faults.plan(message(number)).fail for number in (1, 2, 3, 4)] == [True, True, False, False]


def test_each_rule_counts_for_itself_even_when_they_are_equal():
    rule = Fault(FaultKind.FAIL, times=1)
    faults = Faults([rule, Fault(FaultKind.DELAY_COMMIT, seconds=3, times=2), rule])
    plans = [faults.plan(message(number)) for number in (1, 2, 3)]
    assert [plan.commit_delay for plan in plans] == [3, 3, 0]
    assert faults.plan(message(1)).fail
    assert not faults.plan(message(2)).fail


def test_rules_add_up_and_the_longest_delay_counts():
    faults = Faults(
        [
            Fault(FaultKind.DELAY_COMMIT, seconds=5),
            Fault(FaultKind.DELAY_COMMIT, seconds=2),
            Fault(FaultKind.NEVER_EXECUTE),
        ]
    )
    assert faults.plan(message()) == Plan(commit_delay=5, execute=False)


def test_a_rule_that_comes_later_picks_only_what_none_has_picked():
    faults = Faults([Fault(FaultKind.DELAY_COMMIT, seconds=5, every=2)])
    assert faults.plan(message(2)) == Plan(commit_delay=5)
    assert faults.plan(message(3)) == NO_FAULT
    faults.add(Fault(FaultKind.FAIL))
    assert faults.plan(message(2)) == Plan(commit_delay=5)
    assert faults.plan(message(3)) == Plan(fail=True)


def test_every_nth_decides_the_same_after_a_restart():
    rule = Fault(FaultKind.FAIL, every=5)
    decided = [
        [number for number in order if Faults([rule]).plan(message(number)).fail]
        for order in (range(1, 20), range(7, 20))
    ]
    assert decided == [[5, 10, 15], [10, 15]]


def test_clearing_lets_everything_go_on():
    faults = Faults([Fault(FaultKind.NEVER_COMMIT)])
    assert not faults.plan(message()).commit
    faults.clear()
    assert faults.plan(message()) == NO_FAULT
    faults.add(Fault(FaultKind.FAIL, times=1))
    assert faults.plan(message()).fail


def test_a_finished_message_is_forgotten():
    faults = Faults([Fault(FaultKind.FAIL, times=1)])
    assert faults.plan(message()).fail
    faults.forget(message())
    faults.forget(message(9))
    assert not faults.plan(message()).fail
