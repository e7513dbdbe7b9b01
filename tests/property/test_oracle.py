"""What must hold for any prices, not only for those somebody thought of."""

from dataclasses import replace
from decimal import Decimal
from fractions import Fraction

from hypothesis import assume, given
from hypothesis import strategies as st

from seamark.core.units import PPB_PER_UNIT, Ppb
from seamark.oracle.model import (
    AggregationPolicy,
    Answer,
    FeedState,
    MedianKind,
    Quote,
    Reason,
    Rejected,
    Trigger,
    TriggerPolicy,
)
from seamark.oracle.rules import (
    aggregate,
    decide,
    deviates,
    deviation,
    follow_streaks,
    heartbeat_due_at,
    median,
    outliers,
)

NOW = 1_700_000_000.0

prices = st.decimals(min_value="0.000001", max_value="1000000", places=6)
kinds = st.sampled_from(MedianKind)
answers = st.integers(-(2**191), 2**191 - 1)
thresholds = st.integers(1, PPB_PER_UNIT).map(Ppb)


def quotes_of(values, prefix="v"):
    return [Quote(f"{prefix}{at}", f"{prefix}{at}", value, NOW, NOW) for at, value in enumerate(values)]


def run(quotes, **policy):
    chosen = AggregationPolicy(**{"min_venues": 1, "max_dispersion": None, **policy})
    return aggregate(quotes, now=NOW, policy=chosen, decimals=6)


@given(st.data(), st.integers(1, 5), kinds)
def test_a_lying_minority_cannot_move_the_answer_out_of_the_honest_range(data, liars, kind):
    """f liars of 2f + 1, whatever they say: NaN, zero, infinity, a million."""
    honest = data.draw(st.lists(prices, min_size=liars + 1, max_size=liars + 1))
    any_number = st.one_of(prices, st.decimals(allow_nan=True, allow_infinity=True))
    lies = data.draw(st.lists(any_number, min_size=liars, max_size=liars))
    quotes = data.draw(st.permutations(quotes_of(honest, "honest") + quotes_of(lies, "liar")))
    result = run(quotes, median=kind, min_venues=2 * liars + 1)
    fallen = [item for item in result.rejected if item.quote.source.startswith("honest")]
    if isinstance(result, Answer):
        assert not fallen
        assert min(honest) <= result.price <= max(honest)


@given(st.data(), st.integers(2, 5))
def test_a_lying_minority_cannot_stop_the_feed_either(data, liars):
    """Honest venues within 0.2 % of each other always come to an answer that is theirs."""
    middle = data.draw(st.decimals(min_value=1, max_value=100_000, places=2))
    honest = [middle * (1 + Decimal(data.draw(st.integers(-1000, 1000))) / 10**6) for _ in range(liars + 1)]
    lies = data.draw(st.lists(st.decimals(allow_nan=True, allow_infinity=True), min_size=liars, max_size=liars))
    quotes = quotes_of(honest, "honest") + quotes_of(lies, "liar")
    result = aggregate(quotes, now=NOW, policy=AggregationPolicy(min_venues=liars + 1), decimals=8)
    assert isinstance(result, Answer)
    assert min(honest) <= result.price <= max(honest)


@given(st.data(), st.lists(st.decimals(allow_nan=True, allow_infinity=True) | prices, max_size=9), kinds)
def test_the_order_of_the_quotes_does_not_matter(data, values, kind):
    quotes = quotes_of(values)
    shuffled = data.draw(st.permutations(quotes))
    assert repr(run(shuffled, median=kind)) == repr(run(quotes, median=kind))


@given(st.lists(prices, min_size=1, max_size=12), kinds)
def test_the_median_has_half_on_either_side(values, kind):
    middle = median(values, kind)
    assert 2 * sum(value <= middle for value in values) >= len(values)
    assert 2 * sum(value >= middle for value in values) >= len(values)


@given(st.lists(prices | prices.map(lambda price: -price), min_size=1, max_size=15), kinds)
def test_the_filter_never_rejects_half(values, kind):
    far = outliers(values, AggregationPolicy(median=kind))
    assert 2 * sum(far) <= len(values)
    if len(values) < 5:
        assert not any(far)


@given(st.lists(prices, min_size=5, max_size=12), prices)
def test_equal_prices_are_never_outliers(values, common):
    far = outliers([*values, *[common] * (len(values) + 1)], AggregationPolicy())
    assert not any(far[len(values) :])


@given(st.lists(prices, min_size=1, max_size=9))
def test_aggregation_changes_none_of_its_arguments(values):
    quotes = quotes_of(values)
    before = list(quotes)
    streaks = follow_streaks({}, quotes)
    kept = dict(streaks)
    aggregate(quotes, now=NOW, policy=AggregationPolicy(), decimals=8, streaks=streaks)
    assert quotes == before
    assert streaks == kept


@given(prices, st.integers(0, 18))
def test_an_answer_is_within_half_a_unit_of_its_price(price, decimals):
    result = aggregate(quotes_of([price]), now=NOW, policy=AggregationPolicy(min_venues=1), decimals=decimals)
    assert isinstance(result, Answer)
    assert abs(Fraction(result.value, 10**decimals) - Fraction(price)) * 2 <= Fraction(1, 10**decimals)


@given(st.lists(prices, min_size=1, max_size=6), st.integers(1, 10))
def test_fewer_venues_than_needed_is_never_an_answer(values, needed):
    result = run(quotes_of(values), min_venues=needed, outlier_floor=Ppb(10**18))
    assert isinstance(result, Rejected) is (len(values) < needed)


# ---- thresholds -----------------------------------------------------------------------------------------------------


@given(answers, answers, thresholds)
def test_deviation_is_the_exact_rational_comparison(old, new, threshold):
    assume(old != 0)
    assert deviates(old, new, threshold) is (Fraction(abs(new - old), abs(old)) >= Fraction(threshold, PPB_PER_UNIT))


@given(answers, thresholds)
def test_the_boundary_itself_triggers_and_one_unit_less_does_not(old, threshold):
    assume(old != 0)
    least = -(-threshold * abs(old) // PPB_PER_UNIT)  # the smallest distance that reaches the threshold
    for sign in (1, -1):
        assert deviates(old, old + sign * least, threshold)
        assert not deviates(old, old + sign * (least - 1), threshold)


@given(answers, answers)
def test_deviation_is_symmetric_in_sign_and_zero_only_for_equal_answers(old, new):
    assert deviation(old, new) == deviation(-old, -new)
    assert deviation(old, old) == 0
    assert deviates(old, new, Ppb(1)) or deviation(old, new) == 0


@given(
    st.integers(1, 2**63),
    st.integers(1, 2**63),
    st.floats(2, 10**7),
    st.integers(0, PPB_PER_UNIT - 1).map(Ppb),
    st.floats(0, 2),
)
def test_the_heartbeat_fires_before_the_feed_expires_and_never_before_it_is_due(old, new, heartbeat, margin, share):
    policy = TriggerPolicy(heartbeat=heartbeat, deviation=Ppb(PPB_PER_UNIT), heartbeat_margin=margin)
    state = FeedState(1, old, int(NOW) - 10, int(NOW), 8, "X / Y", 1, int(NOW))
    now = NOW + heartbeat * share
    answer = Answer(new, 8, Decimal(new), int(NOW) + 1, (), (), Ppb(0))
    decision = decide(state, answer, now, policy)
    due = now >= heartbeat_due_at(state, policy)
    assert heartbeat_due_at(state, policy) <= NOW + heartbeat
    if deviates(old, new, policy.deviation):
        assert decision == Trigger(Reason.DEVIATION)
    else:
        assert isinstance(decision, Trigger) is due
        assert (
            decide(replace(state, block_time=int(now) + 1), answer, NOW, policy) == Trigger(Reason.HEARTBEAT) or not due
        )


@given(st.integers(0, 2**40), st.integers(0, 2**40), answers)
def test_no_observation_is_ever_sent_twice_or_backwards(known, observed, value):
    state = FeedState(1, 1, known, 0, 8, "X / Y", 1, 0)
    answer = Answer(value, 8, Decimal(value), observed, (), (), Ppb(0))
    decision = decide(state, answer, 2.0**41, TriggerPolicy(heartbeat=1, deviation=Ppb(1)))
    assert isinstance(decision, Trigger) is (observed > known)
