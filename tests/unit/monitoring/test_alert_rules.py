"""Pure decisions about alerts: delays, damping, folding, silences."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from seamark.core.findings import Severity
from seamark.monitoring.alerts.model import Ack, Matcher, Silence, Source, Standing
from seamark.monitoring.alerts.rules import (
    Delay,
    Fold,
    Policy,
    Step,
    calm_needed_ms,
    decide,
    find_silent,
    fold,
    merge,
    standing,
)
from tests.unit.monitoring.makers import MINUTE, NOW, alert, finding

POLICY = Policy()


def silence(*matchers: str, until_ms: int = NOW + MINUTE, **changes: object) -> Silence:
    values = {"id": 1, "created_ms": NOW, "who": "ann", "why": "upgrade", **changes}
    return Silence(matchers=tuple(map(Matcher.parse, matchers)), until_ms=until_ms, **values)  # type: ignore[arg-type]


# ---- one name ----


def test_a_new_finding_is_an_alert_at_once_without_a_delay() -> None:
    assert decide(finding(), NOW, None, NOW, POLICY) is Step.OPEN


@pytest.mark.parametrize(("kind", "after", "step"), [
    ("feed_stale", 0, Step.WAIT),
    ("feed_stale", 2 * MINUTE - 1, Step.WAIT),
    ("feed_stale", 2 * MINUTE, Step.OPEN),
    ("message_stuck", 0, Step.OPEN),
])  # fmt: skip
def test_a_delay_holds_back_the_kinds_it_names(kind: str, after: int, step: Step) -> None:
    policy = Policy(delays=(Delay("feed_*", 2 * MINUTE), Delay("feed_stale", 0)))
    assert decide(finding(kind), NOW, None, NOW + after, policy) is step


def test_a_finding_that_says_the_same_changes_nothing() -> None:
    same = finding(title="t", text="", remedy="")
    stored = alert(title="t", subject=same.subject)
    assert decide(same, NOW, stored, NOW, POLICY) is Step.NOTHING


@pytest.mark.parametrize("change", [
    {"severity": Severity.CRITICAL}, {"count": 2}, {"title": "u"}, {"text": "u"}, {"remedy": "u"}, {"group": "u"},
    {"since": 5}, {"labels": {"chain": "besu"}},
])  # fmt: skip
def test_any_difference_is_an_update(change: dict[str, Any]) -> None:
    stored = alert(title="t")
    assert (
        decide(finding(**{"title": "t", "text": "", "remedy": "", **change}), NOW, stored, NOW, POLICY) is Step.UPDATE
    )


def test_the_first_end_counts_at_once_the_next_must_last() -> None:
    assert decide(None, NOW, alert(), NOW, POLICY) is Step.RESOLVE
    flapping = alert(returns=1)
    assert decide(None, NOW, flapping, NOW, POLICY) is Step.GO
    gone = alert(returns=1, absent_ms=NOW)
    assert decide(None, NOW, gone, NOW + MINUTE - 1, POLICY) is Step.WAIT
    assert decide(None, NOW, gone, NOW + MINUTE, POLICY) is Step.RESOLVE
    assert decide(finding(), NOW, gone, NOW + 5, POLICY) is Step.RETURN


def test_calm_doubles_to_its_limit() -> None:
    spans = [calm_needed_ms(returns, POLICY) // MINUTE for returns in range(8)]
    assert spans == [0, 1, 2, 4, 8, 16, 30, 30]
    assert calm_needed_ms(10**9, POLICY) == POLICY.calm_limit_ms


@given(st.integers(0, 200), st.integers(0, 200))
def test_calm_never_shrinks(first: int, second: int) -> None:
    few, many = sorted((first, second))
    assert calm_needed_ms(few, POLICY) <= calm_needed_ms(many, POLICY)


def test_nothing_and_nothing_is_nothing() -> None:
    assert decide(None, NOW, None, NOW, POLICY) is Step.NOTHING


def test_of_several_reports_the_most_severe_speaks() -> None:
    mild, bad = finding(count=9), finding(severity=Severity.CRITICAL)
    assert merge([mild, bad, mild]) is bad


# ---- how it stands ----


def test_standing_is_the_first_that_applies() -> None:
    held = Ack("bob", "on it", NOW)
    everything = alert(ack=held, folded_under=9)
    quiet = [silence("kind=message_*")]
    assert standing(everything, quiet, NOW) is Standing.FOLDED
    assert standing(alert(ack=held), quiet, NOW) is Standing.SILENCED
    assert standing(alert(ack=held), [], NOW) is Standing.ACKNOWLEDGED
    assert standing(alert(), [], NOW) is Standing.FIRING
    assert standing(alert(resolved_ms=NOW), quiet, NOW) is Standing.RESOLVED


def test_an_acknowledgement_runs_out() -> None:
    timed = alert(ack=Ack("bob", "", NOW, NOW + MINUTE))
    assert standing(timed, [], NOW + MINUTE - 1) is Standing.ACKNOWLEDGED
    assert standing(timed, [], NOW + MINUTE) is Standing.FIRING


@pytest.mark.parametrize(("matchers", "covered"), [
    (["kind=message_stuck"], True),
    (["kind=message_*"], True),
    (["kind=Message_*"], False),
    (["kind!=message_*"], False),
    (["group=besu to *", "label.source=besu"], True),
    (["group=besu to *", "label.source=anvil"], False),
    (["severity=warning"], True),
    (["label.absent=*"], True),
    (["label.absent=?*"], False),
    (["subject=subject ?"], True),
])  # fmt: skip
def test_all_matchers_of_a_silence_must_match(matchers: list[str], covered: bool) -> None:
    assert silence(*matchers).covers(alert(labels={"source": "besu"})) is covered


def test_a_silence_ends_by_time_or_by_hand() -> None:
    assert silence("kind=*").holds(NOW)
    assert not silence("kind=*").holds(NOW + MINUTE)
    assert not silence("kind=*", ended_ms=NOW).holds(NOW)


@pytest.mark.parametrize("text", ["", "kind", "kind=", "colour=red", "label.=x", "label.a b=x", "kind~x"])
def test_what_is_no_matcher_is_refused_with_the_way_to_write_it(text: str) -> None:
    with pytest.raises(ValueError, match=r"no matcher; write kind="):
        Matcher.parse(text)


_GLOBS = st.text("ab*?[]=! ", min_size=1).map(str.strip).filter(bool)


@given(st.sampled_from(["kind", "group", "label.chain"]), st.booleans(), _GLOBS)
def test_a_matcher_reads_what_it_writes(field: str, negated: bool, glob: str) -> None:
    written = str(Matcher(field, glob, negated))
    read = Matcher.parse(written)
    assert str(read) == written
    if not glob.startswith("="):
        assert read == Matcher(field, glob, negated)


# ---- folding ----


def cursed(number: int = 1, **changes: object):
    return alert(number, "cursed", **{"group": "besu", "labels": {"chain": "besu"}, **changes})


def late(number: int, source: str = "besu", dest: str = "anvil", **changes: object):
    labels = {"source": source, "dest": dest}
    return alert(number, "message_stuck", **{"group": f"{source} to {dest}", "labels": labels, **changes})


def test_a_curse_has_all_lanes_of_its_chain_below_it() -> None:
    lanes = [late(number, *("besu", "anvil") if number % 2 else ("anvil", "besu")) for number in range(2, 1002)]
    other = late(5000, "anvil", "other")
    assert fold([cursed(), *lanes, other], POLICY) == {item.id: 1 for item in lanes}


def test_a_curse_of_one_lane_leaves_the_others_alone() -> None:
    upper = cursed(labels={"chain": "anvil", "source": "besu", "dest": "anvil"})
    assert fold([upper, late(2), late(3, "other", "anvil")], POLICY) == {2: 1}


def test_a_curse_of_a_part_of_a_chain_explains_what_its_producer_puts_into_its_group() -> None:
    upper = cursed(subject="138/777", group="curse of besu")
    assert fold([upper, late(2), late(3, group="curse of besu")], POLICY) == {3: 1}
    whole = cursed(subject="138/*", group="curse of besu")
    assert fold([whole, late(2), late(3, group="curse of besu")], POLICY) == {2: 1, 3: 1}


def test_what_names_no_chain_explains_its_own_group() -> None:
    upper = cursed(labels={}, group="g")
    assert fold([upper, late(2, group="g"), late(3)], POLICY) == {2: 1}


def test_the_upper_one_and_unrelated_kinds_are_not_folded() -> None:
    balance = alert(3, "link_balance_low", group="besu", labels={"chain": "besu"})
    assert fold([cursed(1), cursed(2), balance], POLICY) == {}


def test_after_the_curse_they_stay_folded_while_it_is_listed() -> None:
    """Who calls lists what resolved within the grace."""
    assert fold([cursed(resolved_ms=NOW), late(2)], POLICY) == {2: 1}
    assert fold([cursed(), late(2, resolved_ms=NOW)], POLICY) == {}


def test_folds_are_the_policy_s() -> None:
    policy = Policy(folds=(Fold("down", ("*",)),))
    assert fold([alert(1, "down"), alert(2, "message_stuck"), alert(3, "down")], policy) == {2: 1}


# ---- producers ----


def test_silence_of_a_producer_is_three_of_its_rounds_or_the_policy_s_span() -> None:
    span = POLICY.silence_of_source_ms
    fast, slow, unknown = (Source("fast", NOW, 1000, 1), Source("slow", NOW, span, 1), Source("unknown", NOW, None, 1))
    assert find_silent([fast, slow, unknown], NOW + span, POLICY) == []
    assert find_silent([fast, slow, unknown], NOW + span + 1, POLICY) == [fast, unknown]
    assert find_silent([slow], NOW + 3 * span + 1, POLICY) == [slow]
    assert find_silent([fast], NOW + span + 1, POLICY, own=("fast",)) == []
