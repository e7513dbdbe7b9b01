"""Rules that need no ledger: what a generation changes, what is said when numbers are only known from below."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from seamark.core.findings import Finding, Severity
from seamark.core.ids import ChainId
from seamark.messages.judgement.limits import lane_profile
from seamark.messages.judgement.model import (
    ChainNow,
    Curse,
    Few,
    JudgedLane,
    LaneNow,
    Learned,
    Now,
    Odd,
    Rates,
    Waiting,
)
from seamark.messages.judgement.rules import judge, judge_chain, judge_lane
from seamark.messages.judgement.settings import LaneRule
from seamark.messages.model import Stage
from seamark.messages.protocol import LaneNames, Profile
from tests.unit.messages.history import OUT
from tests.unit.messages.judgement.scene import settings

NOW = 1_700_000_000
PLAIN = settings()
NAMES = LaneNames("alpha", "beta", ChainId(1), ChainId(2), source_watched=True, destination_watched=True)
PROFILE = lane_profile(OUT, Profile(600.0), Learned(), LaneRule(), PLAIN)
LATE = PROFILE.executed.warn + 1


def lane(version: str = "1.6.0", **changes: Any) -> LaneNow:
    return replace(LaneNow(JudgedLane(1, OUT, version, NAMES), PROFILE, NOW, NOW), **changes)


def kinds(now: LaneNow) -> dict[str, Finding]:
    return {finding.kind: finding for finding in judge_lane(now, PLAIN)}


class TestFailuresWhereAnybodyMayTry:
    def failed(self, version: str, late: int, **reasons: int) -> LaneNow:
        waiting = Waiting(sum(reasons.values()), NOW - 60, NOW - 60, late)
        return lane(version, failed=reasons, waiting={Stage.FAILED: waiting}, failed_first="0x1")

    def test_a_bad_attempt_of_a_stranger_is_waited_for(self) -> None:
        assert kinds(self.failed("2.0.0", 0, verification_failed=3)) == {}
        assert kinds(self.failed("1.6.0", 0, verification_failed=3))["message_failed"].count == 3

    def test_what_the_message_causes_counts_at_once(self) -> None:
        found = kinds(self.failed("2.0.0", 0, verification_failed=3, receiver_reverted=1))["message_failed"]
        assert (found.count, found.text) == (1, "1 refused by the receiver")

    def test_so_does_everything_once_it_is_late(self) -> None:
        found = kinds(self.failed("2.0.0", 3, verification_failed=3))["message_failed"]
        assert (found.count, found.text) == (3, "3 without a valid proof")

    def test_no_more_of_them_than_are_late(self) -> None:
        found = kinds(self.failed("2.0.0", 1, not_enough_gas=3, receiver_reverted=1))["message_failed"]
        assert found.text == "1 ran out of gas, 1 refused by the receiver"

    def test_a_class_without_words_is_told_as_it_is_called(self) -> None:
        assert kinds(self.failed("1.6.0", 0, brand_new=2))["message_failed"].text == "2 brand new"


def test_lower_bounds_are_said_to_be_some() -> None:
    now = lane(waiting={Stage.COMMITTED: Waiting(10_000, NOW - LATE, NOW, 222, exact=False)})
    assert "at least 222 messages" in kinds(now)["message_stuck"].title
    odd = Odd(manual=Few(1000, NOW - 5, "0x1", exact=False))
    assert "at least 1000 messages" in kinds(lane(odd=odd))["manual_execution"].title


def test_an_unwatched_source_has_no_finality_to_wait_for() -> None:
    names = LaneNames("alpha", "beta", ChainId(1), ChainId(2), source_watched=False, destination_watched=True)
    waiting = {Stage.SENT: Waiting(1, NOW - LATE, NOW - LATE, 1)}
    assert kinds(lane(lane=JudgedLane(1, OUT, "1.6.0", names), waiting=waiting)) == {}


@given(st.integers(0, 2000), st.integers(0, 2000), st.integers(0, 2000))
def test_rates_are_exact(matured: int, delivered: int, failed: int) -> None:
    """The borders are integers' own: 95 of 100 is allowed, 94 is not, whatever floats make of it."""
    rates = Rates(matured, min(delivered, matured), min(failed, matured), NOW)
    found = kinds(lane(rates=rates))
    enough = matured >= PLAIN.min_rated
    assert ("success_rate_low" in found) == (enough and rates.delivered * 100 < 95 * matured)
    assert ("error_rate_high" in found) == (enough and rates.failed * 100 > 5 * matured)


class TestChains:
    def chain(self, **changes: Any) -> ChainNow:
        return replace(ChainNow(1, "alpha", 100, 100, NOW, NOW), **changes)

    def test_a_good_one(self) -> None:
        assert judge_chain(self.chain(), PLAIN, NOW) == []

    def test_how_urgent_grows_with_time(self) -> None:
        (warned,) = judge_chain(self.chain(good_at=NOW - 121, error="x"), PLAIN, NOW)
        (urgent,) = judge_chain(self.chain(good_at=NOW - 601, error="x"), PLAIN, NOW)
        assert (warned.severity, urgent.severity) == (Severity.WARNING, Severity.CRITICAL)
        assert judge_chain(self.chain(good_at=NOW - 119, error="x"), PLAIN, NOW) == []

    def test_a_few_blocks_behind_is_normal(self) -> None:
        assert judge_chain(self.chain(good_at=NOW - 999, scanned=60), PLAIN, NOW) == []


WAITING = st.builds(
    lambda age, count: Waiting(count, NOW - age, NOW, min(count, age // 600)), st.integers(0, 10**6), st.integers(1, 99)
)


@given(
    st.dictionaries(st.sampled_from(list(Stage)), WAITING),
    st.booleans(),
    st.sampled_from([(), (Curse(2, "beta", "*", "*", NOW),), (Curse(2, "beta", "99", "other", NOW),)]),
)
def test_findings_are_well_made(waiting: Any, commits: bool, curses: Any) -> None:
    """Names are unique, texts are lines, labels are few and hold no id, a curse leaves no other urgent word of time."""
    profile = lane_profile(OUT, Profile(600.0, commits=commits), Learned(), LaneRule(), PLAIN)
    found = judge(Now("ccip", NOW, (lane(waiting=waiting, profile=profile),), (), curses), PLAIN)
    names = [(item.kind, item.subject) for item in found]
    assert len(names) == len(set(names))
    for item in found:
        assert item.title
        assert "\n" not in f"{item.title}{item.text}{item.remedy}"
        assert item.count >= 1
        assert set(item.labels) <= {"source", "dest", "version", "onramp", "stage", "cause", "chain", "direction"}
    if curses and curses[0].subject == "*":
        urgent = [item.kind for item in found if item.severity is not Severity.INFO]
        assert set(urgent) <= {"cursed"}
