from collections import Counter
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from seamark.messages.reports import rules
from seamark.messages.reports.rules import FeeShape, Habit, TokenPrice

NOW = int(datetime(2026, 11, 21, 10, 30, tzinfo=UTC).timestamp())
LATENCIES = st.dictionaries(st.integers(0, 5000), st.integers(1, 50), min_size=1, max_size=40)


def at(text: str) -> int:
    return int(datetime.fromisoformat(f"{text}+00:00").timestamp())


# ---- periods --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "first", "last", "bucket"),
    [
        ("daily", "2026-11-20", "2026-11-21", 3600),
        ("weekly", "2026-11-14", "2026-11-21", 6 * 3600),
        ("monthly", "2026-10-01", "2026-11-01", 86_400),
    ],
)
def test_the_last_full_period(name: str, first: str, last: str, bucket: int) -> None:
    period = rules.period_of(name, NOW)
    assert (period.start, period.end, period.bucket_s) == (at(first), at(last), bucket)
    assert period.before.end == period.start
    assert period.before.length == period.length


def test_a_month_over_new_year() -> None:
    period = rules.period_of("monthly", at("2027-01-09T12:00:00"))
    assert (period.start, period.end) == (at("2026-12-01"), at("2027-01-01"))


def test_a_period_of_ones_own() -> None:
    assert rules.period_of("custom", NOW, NOW - 3600) == rules.period_of("custom", NOW, NOW - 3600, NOW)
    assert rules.period_of("weekly", NOW, None, NOW).start == NOW - 7 * 86_400
    assert rules.period_of("custom", NOW, NOW - 3600).bucket_s == 300
    with pytest.raises(ValueError, match="ends before it begins"):
        rules.period_of("custom", NOW, NOW, NOW)


# ---- distributions --------------------------------------------------------------------------------------------------


@given(LATENCIES, st.floats(0.01, 1.0))
def test_a_percentile_is_the_nearest_rank_of_the_sorted_values(counts: dict[int, int], share: float) -> None:
    values = sorted(Counter(counts).elements())
    found = rules.percentile(counts, share)
    assert found in counts
    assert sum(value <= found for value in values) >= share * len(values)
    assert sum(value < found for value in values) < share * len(values)


@given(LATENCIES)
def test_the_figures_are_in_order(counts: dict[int, int]) -> None:
    latency = rules.latency_of(counts)
    assert latency is not None
    assert min(counts) <= latency.p50 <= latency.p95 <= latency.p99 <= latency.longest == max(counts)
    assert min(counts) <= latency.average <= max(counts)
    assert latency.count == sum(counts.values())


def test_of_nothing_there_are_no_figures() -> None:
    assert rules.latency_of({}) is None
    assert rules.percentile({}, 0.5) is None
    assert rules.average_of({}) is None
    assert rules.bound_of({}) is None


@given(LATENCIES, LATENCIES)
def test_merging_keeps_every_message(one: dict[int, int], other: dict[int, int]) -> None:
    whole = rules.merged((one, other))
    assert sum(whole.values()) == sum(one.values()) + sum(other.values())


def test_maturity_follows_the_lane_and_has_a_floor() -> None:
    assert rules.matures_after({}) == rules.MATURES_UNKNOWN_S
    assert rules.matures_after({5: 19}) == rules.MATURES_UNKNOWN_S
    assert rules.matures_after({5: 100}) == rules.MATURES_LEAST_S
    assert rules.matures_after({1200: 100}) == 3600


def test_far_out_is_beyond_three_interquartile_ranges() -> None:
    steady = {10: 50, 12: 50}
    assert rules.bound_of(steady) == 12 + rules.OUTLIER_LEAST_S
    wide = {100: 50, 200: 50}
    assert rules.bound_of(wide) == 200 + 300


def test_unusual_sizes_are_far_from_the_middle_both_ways() -> None:
    assert rules.unusual_sizes({224: 90, 1000: 1, 900: 3, 20: 1}) == (224, [20, 900, 1000])
    assert rules.unusual_sizes({224: 5, 9000: 1}) == (224, [])
    assert rules.unusual_sizes({0: 30, 4: 1, 5: 1}) == (0, [5])


def test_a_change_needs_something_to_compare_with() -> None:
    assert rules.change_of(150, 100) == 0.5
    assert rules.change_of(150, 0) is None
    assert rules.change_of(None, 100) is None


# ---- savings --------------------------------------------------------------------------------------------------------


def test_bunched_sends_are_told_with_what_batching_saves() -> None:
    (found,) = rules.suggest_batches([Habit("a → b", "0x5e", 100, 40)])
    assert "60 messages (60%)" in found.text
    assert rules.suggest_batches([Habit("a → b", "0x5e", 100, 90), Habit("a → b", "0x5e", 19, 1)]) == []


def shape(points: list[tuple[float, float]]) -> FeeShape:
    xs, ys = [x for x, _ in points], [y for _, y in points]
    return FeeShape(
        "a → b",
        len(points),
        sum(xs),
        sum(ys),
        sum(x * x for x in xs),
        sum(x * y for x, y in points),
        sum(y * y for y in ys),
    )


def test_payloads_are_blamed_only_where_they_are_the_cause() -> None:
    by_size = shape([(size, 0.01 + size * 0.0001) for size in range(100, 400, 10)])
    (found,) = rules.suggest_payloads([by_size])
    assert "71%" in found.text  # 0.0001 * 245 of 0.01 + 0.0001 * 245
    flat = shape([(size, 0.01) for size in range(100, 400, 10)])
    same = shape([(224, 0.01 + (i % 2) * 0.001) for i in range(40)])
    falling = shape([(size, 1 - size * 0.0001) for size in range(100, 400, 10)])
    few = shape([(100, 0.1), (200, 0.2)])
    assert rules.suggest_payloads([flat, same, falling, few]) == []


def test_a_cheaper_token_must_be_in_use_on_the_same_lane() -> None:
    link, weth = TokenPrice("a → b", "LINK", 50, 90), TokenPrice("a → b", "WETH", 50, 100)
    (found,) = rules.suggest_tokens([weth, link])
    assert found.title == "Pay in LINK"
    assert "10% less" in found.text
    elsewhere = TokenPrice("b → a", "LINK", 50, 90)
    near, rare = TokenPrice("a → b", "LINK", 50, 99), TokenPrice("a → b", "LINK", 3, 50)
    assert rules.suggest_tokens([weth, elsewhere]) == []
    assert rules.suggest_tokens([weth, near]) == []
    assert rules.suggest_tokens([weth, rare]) == []
