"""From measurements and settings to limits: authority, order, and that nothing learned can be absurd."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from seamark.messages.judgement.limits import (
    Sample,
    Slice,
    default_limits,
    lane_profile,
    learn,
    percentiles,
    silence_limit,
)
from seamark.messages.judgement.model import LaneProfile, Learned, Origin, Percentiles
from seamark.messages.judgement.settings import LaneRule
from seamark.messages.protocol import Profile
from tests.unit.messages.history import OUT
from tests.unit.messages.judgement.scene import settings

MINUTE = 60
PLAIN = settings()


def spans(p95: int) -> Percentiles:
    return Percentiles(p95 // 2, p95, p95 * 2, 100)


def profile(learned: Learned | None = None, **rule: str) -> LaneProfile:
    """Of a lane whose source is final after 15 minutes."""
    return lane_profile(OUT, Profile(900.0), learned or Learned(), LaneRule.model_validate(rule), PLAIN)


class TestDefaults:
    def test_ethereum(self) -> None:
        final, committed, executed = default_limits(900.0)
        assert (executed.warn, executed.critical) == (900 * 1.5 + 5 * MINUTE, 900 * 2 + 15 * MINUTE)
        assert final.warn < committed.warn < executed.warn

    def test_instant_finality_is_the_runbooks_five_minutes(self) -> None:
        assert default_limits(None, instant=True)[2].warn == 5 * MINUTE
        assert default_limits(0.0)[2].warn == 5 * MINUTE

    def test_unknown_finality_is_that_of_a_slow_rollup(self) -> None:
        assert default_limits(None)[2].warn == 35 * MINUTE


class TestAuthority:
    def test_settings_over_learned_over_default(self) -> None:
        learned = Learned(total=spans(400))
        assert (profile().executed.warn, profile().executed.origin) == (1650, Origin.DEFAULT)
        assert (profile(learned).executed.warn, profile(learned).executed.origin) == (1200, Origin.LEARNED)
        told = profile(learned, executed="50m").executed
        assert (told.warn, told.critical, told.origin) == (3000, 6000, Origin.SETTINGS)

    def test_nothing_learned_is_below_the_floor(self) -> None:
        assert profile(Learned(total=spans(3))).executed.warn == 2 * MINUTE

    def test_a_weaker_limit_gives_way(self) -> None:
        fast = profile(Learned(total=spans(60)))
        assert fast.final.warn == fast.committed.warn == fast.executed.warn == 180, "defaults below what was learned"
        slow = profile(Learned(total=spans(60)), final="30m")
        assert slow.executed.warn == 1800, "what was learned above the settings"

    def test_latency(self) -> None:
        assert profile().latency_s == profile().executed.warn
        instant = lane_profile(OUT, Profile(0.0, instant=True), Learned(), LaneRule(), PLAIN)
        assert instant.latency_s == 5 * MINUTE
        assert profile(latency="90s").latency_s == 90


SPANS = st.one_of(st.none(), st.integers(0, 10**6).map(spans))
RULE = st.one_of(st.none(), st.integers(0, 10**5).map(lambda seconds: f"{seconds}s"))


@given(st.tuples(SPANS, SPANS, SPANS), st.tuples(RULE, RULE, RULE), st.one_of(st.none(), st.floats(0, 10**5)))
def test_limits_are_always_in_order(
    learned: tuple[Percentiles | None, ...], written: tuple[str | None, ...], seconds: float | None
) -> None:
    """Whatever is measured and written: a message cannot be late in a stage later than in the next."""
    rule = {name: text for name, text in zip(("final", "committed", "executed"), written, strict=True) if text}
    finality, commit, total = learned
    known = Learned(finality=finality, commit=commit, total=total)
    found = lane_profile(OUT, Profile(seconds), known, LaneRule.model_validate(rule), PLAIN)
    limits = [found.final, found.committed, found.executed]
    assert [item.warn for item in limits] == sorted(item.warn for item in limits)
    assert [item.critical for item in limits] == sorted(item.critical for item in limits)
    assert all(item.warn <= item.critical for item in limits)
    strongest = max(item.origin for item in limits)
    if strongest is Origin.SETTINGS:
        given_last = [name for name in ("final", "committed", "executed") if name in rule][-1]
        assert getattr(found, given_last).warn == int(rule[given_last][:-1]), "the last one written holds as it is"


@given(st.lists(st.integers(0, 10**6), min_size=1))
def test_percentiles_are_of_the_values(values: list[int]) -> None:
    found = percentiles(values)
    assert found is not None
    assert {found.p50, found.p95, found.p99} <= set(values)
    assert found.p50 <= found.p95 <= found.p99 <= max(values)
    assert sum(value <= found.p95 for value in values) >= 0.95 * len(values)
    assert found.count == len(values)


def test_percentiles_of_nothing() -> None:
    assert percentiles([]) is None


def sample(time: int, took: int = 60, *, good: bool = True) -> Sample:
    return Sample(time, good, time, time + 10, time + 30, time + took)


class TestLearn:
    def test_spans_since_the_send(self) -> None:
        learned = learn([Slice([sample(t * 60) for t in range(60)], whole=True)], 50)
        assert learned.finality == Percentiles(10, 10, 10, 60)
        assert learned.commit == Percentiles(30, 30, 30, 60)
        assert learned.total == Percentiles(60, 60, 60, 60)
        assert (learned.messages, learned.gap_p99, learned.skewed) == (60, 60, 0)

    def test_an_hour_that_went_wrong_is_not_normal(self) -> None:
        """One part of 28, all of it slow: the 95th percentile does not move."""
        parts = [Slice([sample(part * 10_000 + n) for n in range(40)], whole=False) for part in range(27)]
        parts.append(Slice([sample(300_000 + n, took=50_000) for n in range(40)], whole=False))
        learned = learn(parts, 50)
        assert learned.total is not None
        assert learned.total.p95 == 60
        assert learned.total.p99 == 50_000

    def test_recovered_ones_teach_no_span(self) -> None:
        learned = learn([Slice([sample(t, good=t % 2 == 0) for t in range(60)], whole=True)], 50)
        assert (learned.messages, learned.total) == (30, None)

    def test_negative_spans_count_as_zero_and_as_skew(self) -> None:
        learned = learn([Slice([sample(t, took=-5) for t in range(60)], whole=True)], 50)
        assert learned.total is not None
        assert (learned.total.p95, learned.skewed) == (0, 60)

    def test_a_gap_is_known_only_where_nothing_was_left_out(self) -> None:
        first, second = [sample(t) for t in range(30)], [sample(10_000 + t) for t in range(30)]
        whole = learn([Slice(first, whole=True), Slice(second, whole=True)], 10)
        cut = learn([Slice(first, whole=False), Slice(second, whole=True)], 10)
        assert (whole.gap_p99, cut.gap_p99) == (9971, 1)

    def test_nothing(self) -> None:
        assert learn([], 1) == Learned()


class TestSilence:
    def test_of_a_busy_lane(self) -> None:
        assert profile(Learned(gap_p99=60)).silence_s == 1800, "never before half an hour"
        assert profile(Learned(gap_p99=600)).silence_s == 3000
        assert profile().silence_s is None

    def test_by_settings(self) -> None:
        assert profile(Learned(gap_p99=60), silence="2h").silence_s == 7200
        assert profile(silence="10m").silence_s == 600
        assert profile(Learned(gap_p99=60), silence="0s").silence_s is None

    @pytest.mark.parametrize(("pause", "limit"), [(None, 1800), (600, 1800), (6 * 3600, 9 * 3600)])
    def test_longer_than_it_ever_paused(self, pause: int | None, limit: int) -> None:
        assert silence_limit(profile(Learned(gap_p99=60)), pause) == limit

    def test_of_a_lane_that_is_not_busy(self) -> None:
        assert silence_limit(profile(), 6 * 3600) is None
