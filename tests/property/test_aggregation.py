"""What must hold for any prices and weights: order, votes, honest ranges, monotony."""

from collections.abc import Mapping
from dataclasses import replace
from decimal import Decimal

from hypothesis import given
from hypothesis import strategies as st

from seamark.core.units import Ppb
from seamark.oracle.aggregation import aggregate, follow_jump, follow_window, is_held, outliers, weighted_median
from seamark.oracle.aggregation.statistics import median, quartiles
from seamark.oracle.aggregation.windows import time_weighted, volume_weighted
from seamark.oracle.model import (
    AggregationPolicy,
    Answer,
    FeedState,
    MedianKind,
    Method,
    OutlierFilter,
    Quote,
    Sample,
    TriggerPolicy,
)

NOW = 1_700_000_000.0

prices = st.decimals(min_value="0.000001", max_value="1000000", places=6)
weights = st.integers(1, 9)
kinds = st.sampled_from(MedianKind)
filters = st.sampled_from(OutlierFilter)
votes = st.lists(st.tuples(prices, weights), min_size=1, max_size=9)


def quotes_of(pairs, prefix="v"):
    return [
        Quote(f"{prefix}{at}", f"{prefix}{at}", price, NOW, NOW, volume=Decimal(weight), weight=weight)
        for at, (price, weight) in enumerate(pairs)
    ]


def run(quotes, **policy):
    chosen = AggregationPolicy(**{"min_venues": 1, "max_dispersion": None, **policy})
    return aggregate(quotes, now=NOW, policy=chosen, decimals=6)


@given(votes, kinds)
def test_a_weight_is_a_number_of_votes(pairs, kind):
    repeated = [price for price, weight in pairs for _ in range(weight)]
    told, heavy = zip(*pairs, strict=True)
    assert weighted_median(told, heavy, kind) == median(repeated, kind)
    assert quartiles(told, heavy) == quartiles(repeated, [1] * len(repeated))


@given(st.lists(st.tuples(prices, weights), min_size=5, max_size=9), filters, kinds)
def test_a_weight_is_a_number_of_venues(pairs, chosen, kind):
    heavy = run(quotes_of(pairs), outlier_filter=chosen, median=kind)
    many = run(quotes_of([(p, 1) for p, weight in pairs for _ in range(weight)]), outlier_filter=chosen, median=kind)
    assert isinstance(heavy, Answer)
    assert isinstance(many, Answer)
    assert (heavy.value, heavy.spread) == (many.value, many.spread)


@given(st.data(), votes, filters, st.sampled_from(Method))
def test_the_order_of_the_quotes_does_not_matter(data, pairs, chosen, method):
    quotes = quotes_of(pairs)
    shuffled = data.draw(st.permutations(quotes))
    assert repr(run(shuffled, outlier_filter=chosen, method=method)) == repr(
        run(quotes, outlier_filter=chosen, method=method)
    )


@given(st.data(), st.integers(1, 4), filters, kinds)
def test_liars_with_less_than_half_of_the_weight_cannot_move_the_answer_out(data, liars, chosen, kind):
    """Whoever the filter leaves: more than twice the liars' weight in use keeps the answer in the honest range."""
    lies = data.draw(st.lists(st.tuples(prices, weights), min_size=liars, max_size=liars))
    lying = sum(weight for _, weight in lies)
    honest = data.draw(st.lists(st.tuples(prices, weights), min_size=1, max_size=9))
    quotes = data.draw(st.permutations(quotes_of(honest, "honest") + quotes_of(lies, "liar")))
    result = run(quotes, outlier_filter=chosen, median=kind, min_weight=2 * lying + 1)
    if isinstance(result, Answer):
        told = [price for price, _ in honest]
        assert min(told) <= result.price <= max(told)


@given(votes, kinds, st.data())
def test_a_higher_price_never_lowers_the_median(pairs, kind, data):
    told, heavy = map(list, zip(*pairs, strict=True))
    index = data.draw(st.integers(0, len(told) - 1))
    raised = [*told]
    raised[index] += data.draw(prices)
    assert weighted_median(raised, heavy, kind) >= weighted_median(told, heavy, kind)


@given(votes, filters)
def test_no_filter_rejects_more_than_half_of_the_votes(pairs, chosen):
    told, heavy = zip(*pairs, strict=True)
    far = outliers(told, AggregationPolicy(outlier_filter=chosen), heavy)
    assert 2 * sum(weight for weight, is_far in zip(heavy, far, strict=True) if is_far) <= sum(heavy)


@given(st.lists(prices, min_size=1, max_size=9), st.lists(st.integers(0, 10_000), min_size=9, max_size=9))
def test_an_average_over_time_lies_within_what_was_told(told, gaps):
    moments = [NOW + sum(gaps[: index + 1]) / 1000 for index in range(len(told))]
    samples = [Sample(at, price, None) for at, price in zip(moments, told, strict=True)]
    average = time_weighted(samples, start=NOW, end=moments[-1] + 1)
    assert min(told) <= average <= max(told)


@given(st.lists(st.tuples(prices, prices), min_size=1, max_size=9))
def test_an_average_by_volume_lies_within_what_was_told(pairs):
    average, volume = volume_weighted(pairs)
    assert min(pairs)[0] <= average <= max(pairs)[0]
    assert volume == sum(pair[1] for pair in pairs)


@given(st.data(), st.integers(1, 3))
def test_liars_cannot_move_a_twap_out_either(data, liars):
    """Each venue is averaged by itself, so f liars stay f votes."""
    policy = AggregationPolicy(min_venues=2 * liars + 1, method=Method.TWAP, window=60.0, max_dispersion=None)
    told: list[Decimal] = []
    window: Mapping[str, tuple[Sample, ...]] = {}
    quotes: list[Quote] = []
    for second in range(3):
        quotes = []
        for at in range(2 * liars + 1):
            price = data.draw(prices)
            quotes.append(Quote(f"v{at}", f"v{at}", price, NOW + second, NOW + second))
            if at >= liars:
                told.append(price)
        window = follow_window(window, quotes, NOW + second, policy)
    result = aggregate(quotes, now=NOW + 5, policy=policy, decimals=6, window=window)
    if isinstance(result, Answer):
        assert min(told) <= result.price <= max(told)


@given(st.lists(st.integers(1, 1000), min_size=1, max_size=12), st.integers(1, 500), st.integers(1, 40))
def test_a_held_answer_is_never_the_first_of_its_jump_and_a_steady_one_is_released(values, step, every):
    policy = TriggerPolicy(heartbeat=10**6, deviation=Ppb(1), max_step=Ppb(step * 10**6), confirm_after=15)
    state = FeedState(1, 500, 0, 0, 0, "X / Y", 1, 0)
    jump = None
    for index, value in enumerate([*values, values[-1], values[-1]]):
        at = int(NOW) + (index * every if index <= len(values) else index * every + 15)
        told = Answer(value, 0, Decimal(value), at, (), (), Ppb(0))
        fresh = jump is None
        jump = follow_jump(state, told, jump, float(at), policy)
        if fresh and jump is not None:
            assert is_held(state, told, jump, policy)
    assert not is_held(state, told, jump, policy)
    moved = replace(state, answer=values[-1])
    assert follow_jump(moved, told, jump, float(at), policy) is None
