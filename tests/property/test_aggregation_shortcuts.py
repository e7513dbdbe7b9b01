"""Aggregation takes shortcuts where a cheaper look proves the result. Here is the same, step by step and without any:
both must give equal answers, to the last digit and in every representation.
"""

from collections.abc import Mapping
from decimal import ROUND_HALF_EVEN, Decimal, localcontext

from hypothesis import example, given
from hypothesis import strategies as st

from seamark.core.units import PPB_PER_UNIT, Ppb, format_ratio, to_base_units
from seamark.oracle.aggregation import aggregate, check_quote, follow_streaks, follow_window
from seamark.oracle.aggregation.quotes import check_content
from seamark.oracle.aggregation.windows import time_weighted, volume_weighted
from seamark.oracle.model import (
    AggregationPolicy,
    Answer,
    MedianKind,
    Method,
    OutlierFilter,
    Quote,
    QuoteFault,
    Rejected,
    RejectedQuote,
    RejectedWhy,
    Sample,
    Streak,
)

NOW = 1_700_000_000.0
DIGITS = 120
DECIMALS = 8


# ---- the plain way --------------------------------------------------------------------------------------------------


def plain_fault(quote, now, policy):  # noqa: PLR0911 - a list of faults
    if not all(value is None or value.is_finite() for value in (quote.price, quote.bid, quote.ask, quote.volume)):
        return QuoteFault.NOT_FINITE
    if quote.price <= 0 and not policy.allow_negative:
        return QuoteFault.NOT_POSITIVE
    if (quote.volume is None and policy.method is Method.VWAP) or (quote.volume is not None and quote.volume <= 0):
        return QuoteFault.NO_VOLUME
    if quote.bid is not None and quote.ask is not None:
        if quote.bid > quote.ask:
            return QuoteFault.CROSSED
        if policy.max_spread is not None:
            with localcontext(prec=DIGITS):
                if (quote.ask - quote.bid) * PPB_PER_UNIT > policy.max_spread * abs(quote.price):
                    return QuoteFault.WIDE_SPREAD
    max_age = policy.max_age if quote.max_age is None else quote.max_age
    if max(now - quote.observed_at, now - quote.received_at) > max_age:
        return QuoteFault.TOO_OLD
    if max(quote.observed_at, quote.received_at) - now > policy.max_future:
        return QuoteFault.FROM_FUTURE
    return None


def plain_frozen(quote, streaks, policy):
    streak = streaks.get(quote.source)
    if (quote.max_age or 0) > policy.max_age or streak is None or streak.polls < policy.frozen_polls:
        return False
    then = [(source, price) for source, price in streak.peers if source != quote.source and source in streaks]
    with localcontext(prec=DIGITS):
        moved = [
            abs(streaks[source].price - price) * PPB_PER_UNIT >= policy.frozen_move * abs(price)
            if price
            else streaks[source].price != 0
            for source, price in then
        ]
    return len(then) >= 2 and 2 * sum(moved) > len(then)


def repeated(values, weights):
    return sorted(value for value, weight in zip(values, weights, strict=True) for _ in range(weight))


def plain_median(values, weights, kind=MedianKind.UPPER):
    ordered = repeated(values, weights)
    half = len(ordered) // 2
    if len(ordered) % 2 or kind is MedianKind.UPPER:
        return ordered[half]
    with localcontext(prec=DIGITS):
        return (ordered[half - 1] + ordered[half]) / 2


def plain_relative(distance, base):
    if base == 0:
        return 0 if distance == 0 else PPB_PER_UNIT
    with localcontext(prec=DIGITS):
        return int(distance * PPB_PER_UNIT / abs(base))


def plain_outliers(prices, weights, policy):
    if len(prices) < 5 or policy.outlier_filter is OutlierFilter.NONE:
        return [False] * len(prices)
    with localcontext(prec=DIGITS):
        middle = plain_median(prices, weights, policy.median)
        floor = abs(middle) * policy.outlier_floor / PPB_PER_UNIT
        if policy.outlier_filter is OutlierFilter.IQR:
            ordered = repeated(prices, weights)
            lower, upper = ordered[len(ordered) // 4], ordered[len(ordered) - 1 - len(ordered) // 4]
            reach = (upper - lower) * policy.quartile_factor / PPB_PER_UNIT
            low, high = min(lower - reach, middle - floor), max(upper + reach, middle + floor)
            return [not low <= price <= high for price in prices]
        distances = [abs(price - middle) for price in prices]
        mad = plain_median(distances, weights, policy.median)
        limit = max(policy.outlier_factor * Decimal("1.4826") * mad, floor)
        return [distance > limit for distance in distances]


def plain_average(quote, window, now, policy):
    samples = window.get(quote.source, ())
    if policy.method is Method.MEDIAN or not samples:
        return quote
    if policy.method is Method.TWAP:
        return quote.but(price=time_weighted(samples, start=now - policy.window, end=now))
    inside = [sample for sample in samples if sample.at > now - policy.window and sample.volume]
    if not inside:
        return quote
    price, volume = volume_weighted([(sample.price, sample.volume) for sample in inside])
    return quote.but(price=price, volume=volume)


def plain_aggregate(quotes, *, now, policy, decimals, streaks, feed_bounds, window):
    rejected, usable = [], []
    for quote in sorted(quotes, key=lambda item: item.source):
        fault = plain_fault(quote, now, policy)
        if fault is None and plain_frozen(quote, streaks, policy):
            fault = QuoteFault.FROZEN
        rejected.extend([] if fault is None else [RejectedQuote(quote, fault)])
        usable.extend([quote] if fault is None else [])
    newest: dict[str, Quote] = {}
    for quote in sorted(usable, key=lambda item: (item.observed_at, item.received_at, item.source)):
        if quote.venue in newest:
            rejected.append(RejectedQuote(newest[quote.venue], QuoteFault.SAME_VENUE))
        newest[quote.venue] = quote
    voting = [plain_average(one, window, now, policy) for one in sorted(newest.values(), key=lambda item: item.source)]
    far = plain_outliers([one.price for one in voting], [one.weight for one in voting], policy)
    rejected += [RejectedQuote(one, QuoteFault.OUTLIER) for one, is_far in zip(voting, far, strict=True) if is_far]
    used = tuple(one for one, is_far in zip(voting, far, strict=True) if not is_far)
    if len(used) < max(policy.min_venues, 1):
        detail = f"{len(used)} of {max(policy.min_venues, 1)} venues needed"
        return Rejected(RejectedWhy.TOO_FEW_VENUES, detail, tuple(rejected))
    weights, prices = [one.weight for one in used], [one.price for one in used]
    if policy.method is Method.VWAP:
        price = volume_weighted([(one.price, one.volume * one.weight) for one in used])[0]
    else:
        price = plain_median(prices, weights, policy.median)
    with localcontext(prec=DIGITS):
        dispersion = plain_relative(plain_median([abs(one - price) for one in prices], weights), price)
        spread = plain_relative(max(prices) - min(prices), price)
        value = int(price.scaleb(decimals).quantize(Decimal(1), rounding=ROUND_HALF_EVEN))
    if policy.max_dispersion is not None and dispersion > policy.max_dispersion:
        detail = f"half of the venues are {format_ratio(dispersion)} or more from the median"
        return Rejected(RejectedWhy.DISPERSED, detail, tuple(rejected))
    if feed_bounds is not None and not feed_bounds[0] <= value <= feed_bounds[1]:
        detail = f"{value} is not within the contract's {feed_bounds[0]}..{feed_bounds[1]}"
        return Rejected(RejectedWhy.OUT_OF_FEED_BOUNDS, detail, tuple(rejected))
    observed_at = int(min(now, max(one.received_at for one in used)))
    return Answer(value, decimals, price, observed_at, used, tuple(rejected), Ppb(spread))


# ---- any quotes -----------------------------------------------------------------------------------------------------

near = st.decimals(min_value="1990", max_value="2010", places=4)  # what honest venues tell
finite = st.one_of(
    near,
    near,
    st.decimals(min_value="-10", max_value="5000", places=8),
    st.decimals(min_value="1e-18", max_value="1e18", places=18),
    st.sampled_from([Decimal(0), Decimal("-0.0"), Decimal("2000.0000")]),
)
anything = st.one_of(finite, st.sampled_from([Decimal("NaN"), Decimal("Infinity")]))
sides = st.one_of(st.none(), near, near, anything)
moments = st.one_of(
    st.floats(NOW - 90, NOW + 2), st.floats(NOW - 200, NOW + 20), st.sampled_from([NOW - 120, NOW, NOW + 10])
)
ratios = st.sampled_from([0, 1, 1_000_000, 5_000_000, 20_000_000, 500_000_000])


@st.composite
def one_quote(draw, number, prices=finite):
    return Quote(
        f"s{number}",
        f"v{draw(st.sampled_from([number, number, number, 0]))}",
        draw(prices),
        draw(moments),
        draw(moments),
        bid=draw(sides),
        ask=draw(sides),
        volume=draw(st.one_of(st.none(), near, near, st.just(Decimal(0)))),
        weight=draw(st.sampled_from([1, 1, 1, 2, 5])),
        max_age=draw(st.sampled_from([None, None, None, 30.0, 86_400.0])),
    )


@st.composite
def all_quotes(draw):
    quotes = [draw(one_quote(number)) for number in range(draw(st.integers(0, 9)))]
    return draw(st.permutations(quotes))


policies = st.builds(
    AggregationPolicy,
    min_venues=st.integers(0, 4),
    max_spread=st.one_of(st.none(), ratios),
    max_dispersion=st.one_of(st.none(), ratios),
    outlier_floor=ratios,
    outlier_factor=st.integers(1, 5),
    frozen_polls=st.integers(2, 3),
    median=st.sampled_from(MedianKind),
    allow_negative=st.booleans(),
    method=st.sampled_from(Method),
    window=st.sampled_from([60.0, 300.0]),
    outlier_filter=st.sampled_from(OutlierFilter),
    quartile_factor=ratios,
)


@given(st.lists(all_quotes(), min_size=1, max_size=4), policies, st.booleans())
def test_shortcuts_change_nothing(turns, policy, keeps_faults):
    known: dict[str, Quote] = {}
    streaks: Mapping[str, Streak] = {}
    window: Mapping[str, tuple[Sample, ...]] = {}
    for turn in turns:
        known |= {quote.source: quote for quote in turn}
        streaks = follow_streaks(streaks, list(known.values()))
        window = follow_window(window, known.values(), NOW, policy)
        faults = {source: check_content(quote, policy) for source, quote in known.items()} if keeps_faults else None
        given_to_both = {
            "now": NOW,
            "policy": policy,
            "decimals": DECIMALS,
            "streaks": streaks,
            "feed_bounds": (1, 10**15),
            "window": window,
        }
        found = aggregate(known.values(), **given_to_both, faults=faults)
        assert repr(found) == repr(plain_aggregate(known.values(), **given_to_both))


@given(one_quote(1, anything), policies)
def test_a_quote_by_itself(quote, policy):
    assert check_quote(quote, NOW, policy) == plain_fault(quote, NOW, policy)


@given(st.decimals(allow_nan=False, allow_infinity=False, min_value=-(10**40), max_value=10**40), st.integers(0, 18))
@example(Decimal("0.5"), 0)
@example(Decimal("1.5"), 0)
@example(Decimal("1e-60"), 18)
def test_base_units_whatever_the_context(price, decimals):
    with localcontext(prec=DIGITS):
        expected = int(price.scaleb(decimals).quantize(Decimal(1), rounding=ROUND_HALF_EVEN))
    with localcontext(prec=5):
        assert to_base_units(price, decimals) == expected
