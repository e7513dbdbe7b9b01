"""The fold, the steps between two states, and what is counted."""

from __future__ import annotations

import itertools

import msgspec
import pytest

from seamark.core.ids import ChainId
from seamark.messages.model import STAGES, Counted, Evidence, Executed, Fact, LaneKey, Sent, Sighting, Stage, Step
from seamark.messages.rules import CommitRange, count, covering, fold, latencies, nonce_of, revoked_by, transitions
from tests.unit.messages.history import BACK, OUT, A, B, hash32

ID = "0x" + "11" * 32
SENT_AT, COMMITTED_AT, EXECUTED_AT = 1000, 1060, 1100


def evidence(chain: ChainId, number: int, time: int, *, index: int = 0, fork: str = "") -> Evidence:
    return Evidence(chain, number, hash32(f"{chain}{number}{fork}"), hash32(f"tx{number}{index}{fork}"), index, time)


def sent(number: int = 10, *, time: int = SENT_AT, sequence: int = 7, lane: LaneKey = OUT, fork: str = "") -> Sighting:
    body = Sent("0xsender", "0xreceiver", "0xfee", "123", "456", 3)
    return Sighting(lane, "1.6.0", evidence(A, number, time, fork=fork), sequence, body, ID)


def ran(
    number: int = 50,
    *,
    good: bool = True,
    time: int = EXECUTED_AT,
    lane: LaneKey = OUT,
    sequence: int = 7,
    reason: str = "r",
    manual: bool | None = None,
) -> Sighting:
    delivered, broken = Executed(True, callback=True, manual=manual), Executed(False, reason, f"words of {reason}")
    body = delivered if good else msgspec.structs.replace(broken, manual=manual)
    return Sighting(lane, "1.6.0", evidence(B, number, time), sequence, body, ID)


COMMIT = CommitRange(5, 9, evidence(B, 40, COMMITTED_AT))


class TestFold:
    def test_a_send_alone(self) -> None:
        state = fold([sent()], [], [], {})
        assert state.stage is Stage.SENT
        assert state.facts == Fact.SENT
        assert (state.lane, state.sequence, state.message_id) == (OUT, 7, ID)
        assert state.told is not None
        assert state.told.sender == "0xsender"

    @pytest.mark.parametrize(("height", "stage"), [(9, Stage.SENT), (10, Stage.FINALIZED), (11, Stage.FINALIZED)])
    def test_final_once_the_source_says_so(self, height: int, stage: Stage) -> None:
        assert fold([sent(10)], [], [], {A: height, B: 1000}).stage is stage

    @pytest.mark.parametrize(("first", "last", "held"), [(5, 9, True), (7, 7, True), (1, 6, False), (8, 9, False)])
    def test_a_commit_covers_its_range(self, first: int, last: int, held: bool) -> None:
        state = fold([sent()], [], [COMMIT._replace(first=first, last=last)], {})
        assert (state.stage is Stage.COMMITTED) == held

    def test_the_earliest_of_several_commits_counts(self) -> None:
        late = COMMIT._replace(evidence=evidence(B, 41, 2000))
        assert covering([late, COMMIT], 7) == COMMIT.evidence

    def test_a_commit_taken_back_does_not_count_and_the_same_root_committed_again_does(self) -> None:
        gone = COMMIT._replace(revoked=evidence(B, 45, 1090))
        state = fold([sent()], [], [gone], {})
        assert (state.stage, state.revoked) == (Stage.SENT, evidence(B, 45, 1090))
        again = COMMIT._replace(evidence=evidence(B, 50, 1200))
        state = fold([sent()], [], [again, gone], {})
        assert (state.stage, state.committed, state.revoked) == (Stage.COMMITTED, again.evidence, None)

    def test_a_revocation_takes_back_only_commits_before_it(self) -> None:
        behind, early, late = evidence(B, 45, 1090), evidence(B, 39, 1050), evidence(B, 60, 1300)
        assert revoked_by(COMMIT.evidence, [early]) is None
        assert revoked_by(COMMIT.evidence, [late, behind, early]) == behind

    @pytest.mark.parametrize(
        ("runs", "stage"),
        [
            ([ran(50)], Stage.EXECUTED),
            ([ran(50, manual=False)], Stage.EXECUTED),
            ([ran(50, manual=True)], Stage.RECOVERED),
            ([ran(50, good=False), ran(51, manual=False)], Stage.RECOVERED),
            ([ran(51, manual=False), ran(50, good=False)], Stage.RECOVERED),
            ([ran(50, manual=False), ran(51, good=False)], Stage.EXECUTED),
            ([ran(50, good=False, manual=True)], Stage.FAILED),
        ],
    )
    def test_a_recovery_is_a_success_by_hand_or_after_a_failure(self, runs: list[Sighting], stage: Stage) -> None:
        assert fold([sent(), *runs], [], [COMMIT], {}).stage is stage

    def test_success_and_failure(self) -> None:
        assert fold([sent(), ran()], [], [COMMIT], {A: 10}).stage is Stage.EXECUTED
        failed = fold([sent(), ran(good=False)], [], [COMMIT], {A: 10})
        assert failed.stage is Stage.FAILED
        assert failed.failure is not None
        assert failed.failure.error == "words of r"

    def test_a_later_success_overrides_a_failure_and_a_later_failure_does_not_undo_success(self) -> None:
        runs = [ran(50, good=False), ran(51), ran(52, good=False)]
        state = fold([sent(), *runs], [], [COMMIT], {})
        assert state.stage is Stage.RECOVERED
        assert state.facts & Fact.FAILED
        assert state.facts & Fact.EXECUTED
        assert state.executed == runs[1].evidence
        assert state.attempts == 3

    def test_the_last_failure_is_shown_and_the_first_one_classed(self) -> None:
        state = fold([sent(), ran(51, good=False, reason="second"), ran(50, good=False, reason="first")], [], [], {})
        assert state.failure is not None
        assert (state.first_reason, state.failure.reason) == ("first", "second")

    def test_a_vanished_send_is_retracted_and_no_commit_covers_it(self) -> None:
        state = fold([], [sent()], [COMMIT], {A: 100})
        assert state.stage is Stage.RETRACTED
        assert state.committed is None
        assert state.told is not None, "what it said is still known"

    def test_included_again_it_lives_in_its_new_block(self) -> None:
        state = fold([sent(12, fork="b")], [sent(10)], [], {})
        assert state.stage is Stage.SENT
        assert state.sent is not None
        assert state.sent.block_number == 12

    def test_an_execution_survives_the_loss_of_its_send_and_says_so(self) -> None:
        state = fold([ran()], [sent()], [COMMIT], {})
        assert state.stage is Stage.EXECUTED
        assert state.facts & Fact.RETRACTED

    def test_an_execution_seen_first_is_a_partial_message(self) -> None:
        unnamed = OUT._replace(channel="")
        state = fold([ran(lane=unnamed)], [], [], {})
        assert (state.stage, state.lane, state.sent, state.told) == (Stage.EXECUTED, unnamed, None, None)
        assert fold([ran(lane=unnamed), sent()], [], [], {}).lane == OUT

    @pytest.mark.parametrize(
        "stranger", [ran(sequence=8), ran(lane=BACK), ran(lane=OUT._replace(channel="0xother"))], ids=str
    )
    def test_an_execution_that_disagrees_with_its_send_is_ignored_and_told(self, stranger: Sighting) -> None:
        state = fold([sent(), stranger], [], [], {})
        assert state.stage is Stage.SENT
        assert state.conflicting

    def test_the_order_of_arrival_does_not_matter(self) -> None:
        seen = [sent(10), sent(11, fork="b"), ran(50, good=False), ran(51), ran(52, good=False)]
        expected = fold(seen, [], [COMMIT], {A: 10})
        assert all(fold(order, [], [COMMIT], {A: 10}) == expected for order in itertools.permutations(seen))

    def test_nothing_live_at_all_is_retracted(self) -> None:
        assert STAGES[Fact.NONE] is Stage.RETRACTED
        assert fold([], [ran()], [], {}).stage is Stage.RETRACTED


class TestTransitions:
    def test_a_calm_life_in_one_look(self) -> None:
        state = fold([sent(), ran()], [], [COMMIT], {A: 10}, 1030)
        told = transitions(None, state)
        assert [(item.step, item.before, item.after, item.time) for item in told] == [
            (Step.SENT, None, Stage.SENT, 1000),
            (Step.FINALIZED, Stage.SENT, Stage.FINALIZED, 1030),
            (Step.COMMITTED, Stage.FINALIZED, Stage.COMMITTED, 1060),
            (Step.EXECUTED, Stage.COMMITTED, Stage.EXECUTED, 1100),
        ]

    def test_nothing_new_is_nothing_told(self) -> None:
        state = fold([sent(), ran()], [], [COMMIT], {})
        assert transitions(state.facts, state) == []

    def test_a_send_found_late_does_not_move_the_stage_back(self) -> None:
        state = fold([sent(), ran()], [], [], {})
        (step,) = transitions(Fact.EXECUTED, state)
        assert (step.step, step.before, step.after) == (Step.SENT, Stage.EXECUTED, Stage.EXECUTED)

    def test_failure_then_success(self) -> None:
        state = fold([sent(), ran(50, good=False), ran(51, time=1200)], [], [], {})
        told = transitions(Fact.SENT, state)
        assert [(item.step, item.time) for item in told] == [(Step.FAILED, 1100), (Step.RECOVERED, 1200)]

    def test_a_failure_found_late_makes_a_recovery_of_a_success(self) -> None:
        state = fold([sent(), ran(51), ran(50, good=False)], [], [], {})
        told = transitions(Fact.SENT | Fact.EXECUTED, state)
        assert [(item.step, item.before, item.after) for item in told] == [
            (Step.FAILED, Stage.EXECUTED, Stage.EXECUTED),
            (Step.RECOVERED, Stage.EXECUTED, Stage.RECOVERED),
        ]

    def test_what_seemed_to_come_by_hand_was_an_ordinary_success(self) -> None:
        state = fold([sent(), ran(51)], [], [], {})
        (step,) = transitions(Fact.SENT | Fact.EXECUTED | Fact.RECOVERED, state)
        assert (step.step, step.before, step.after) == (Step.EXECUTED, Stage.RECOVERED, Stage.EXECUTED)

    def test_a_commit_taken_back_says_by_what(self) -> None:
        state = fold([sent()], [], [COMMIT._replace(revoked=evidence(B, 45, 1090))], {A: 10})
        (step,) = transitions(Fact.SENT | Fact.FINALIZED | Fact.COMMITTED, state)
        assert (step.step, step.before, step.after) == (Step.REVOKED, Stage.COMMITTED, Stage.FINALIZED)
        assert (step.evidence, step.time) == (evidence(B, 45, 1090), 1090)

    def test_a_retraction_names_the_orphaned_block(self) -> None:
        lost = sent()
        state = fold([], [lost], [], {})
        (step,) = transitions(Fact.SENT | Fact.FINALIZED, state, [lost])
        assert (step.step, step.before, step.after) == (Step.RETRACTED, Stage.FINALIZED, Stage.RETRACTED)
        assert step.evidence == lost.evidence

    def test_a_reorg_at_the_destination_falls_back_and_names_its_block(self) -> None:
        gone = ran()
        state = fold([sent()], [gone], [COMMIT], {})
        (step,) = transitions(Fact.SENT | Fact.COMMITTED | Fact.EXECUTED, state, [gone])
        assert (step.step, step.before, step.after) == (Step.REORGED, Stage.EXECUTED, Stage.COMMITTED)
        assert step.evidence == gone.evidence

    def test_included_again(self) -> None:
        (step,) = transitions(Fact.RETRACTED, fold([sent(12, fork="b")], [sent()], [], {}))
        assert (step.step, step.before, step.after) == (Step.SENT, Stage.RETRACTED, Stage.SENT)


class TestCount:
    def test_everything_once(self) -> None:
        state = fold([sent(), ran()], [], [COMMIT], {A: 10}, 1030)
        counted, added = count(state, Counted.NONE)
        assert {(item.metric, item.label): item.amount for item in added} == {
            ("messages_sent_total", ""): 1,
            ("fees_total", "0xfee"): 123,
            ("fees_juels_total", ""): 456,
            ("messages_received_total", "success"): 1,
            ("message_latency_seconds", "finality"): 30,
            ("message_latency_seconds", "commit"): 60,
            ("message_latency_seconds", "execution"): 40,
            ("message_latency_seconds", "total"): 100,
        }
        assert count(state, counted) == (counted, [])

    def test_a_failure_counts_even_when_a_success_came_along(self) -> None:
        state = fold([sent(), ran(50, good=False), ran(51)], [], [], {})
        labels = {(item.metric, item.label) for item in count(state, Counted.NONE)[1]}
        assert {("messages_received_total", "failure"), ("errors_total", "r")} <= labels
        assert ("messages_received_total", "success") in labels

    def test_by_hand_without_a_failure_is_not_counted_as_a_repair(self) -> None:
        """It follows from a log that is not there, which a node may have left out."""
        state = fold([sent(), ran(50, manual=True)], [], [], {})
        assert state.stage is Stage.RECOVERED
        assert "messages_recovered_total" not in {item.metric for item in count(state, Counted.NONE)[1]}

    def test_a_recovery_counts_as_one_and_as_a_success(self) -> None:
        state = fold([sent(), ran(49, good=False), ran(50, manual=True)], [], [], {})
        counted, added = count(state, Counted.NONE)
        labels = [(item.metric, item.label) for item in added]
        assert labels.count(("messages_recovered_total", "")) == 1
        assert labels.count(("messages_received_total", "success")) == 1
        assert count(state, counted) == (counted, [])

    def test_a_clock_that_runs_behind_is_clamped_and_counted(self) -> None:
        state = fold([sent(), ran(time=990)], [], [], {})
        assert latencies(state).total == -10
        added = count(state, Counted.NONE)[1]
        assert ("message_latency_seconds", "total", 0) in [(item.metric, item.label, item.amount) for item in added]
        assert ("errors_total", "clock_skew", 1) in [(item.metric, item.label, item.amount) for item in added]

    def test_a_failure_has_no_delivery_time(self) -> None:
        state = fold([sent(), ran(good=False)], [], [COMMIT], {})
        spans = latencies(state)
        assert (spans.execution, spans.total) == (None, None)
        assert spans.commit == 60


class TestNonce:
    @pytest.mark.parametrize(
        ("told", "nonce"),
        [
            (Sent(nonce=4), 4),
            (Sent(nonce=0), 0),
            (Sent(), None),
            (Sent(details={"nonce": "0"}), None),
            (Sent(details={"nonce": "7"}), 7),
            (Sent(nonce=4, details={"nonce": "7"}), 4),
            (Sent(details={"nonce": str(2**64 - 1)}), None),
            (Sent(details={"nonce": "-1"}), None),
            (Sent(details={"nonce": None}), None),
        ],
    )
    def test_zero_in_the_details_is_no_order(self, told: Sent, nonce: int | None) -> None:
        assert nonce_of(told) == nonce
