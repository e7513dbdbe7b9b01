"""TWAP and VWAP, weights, and the range of an answer."""

from collections.abc import Mapping
from decimal import Decimal

import pytest

from seamark.oracle.aggregation import aggregate, follow_window
from seamark.oracle.aggregation.windows import time_weighted
from seamark.oracle.model import AggregationPolicy, Answer, Method, QuoteFault, Rejected, RejectedWhy, Sample
from tests.unit.oracle.fakes import START, quote


def answered(quotes, now, policy, window=None):
    result = aggregate(quotes, now=now, policy=policy, decimals=0, window=window)
    assert isinstance(result, Answer)
    return result


def run(*quotes, window=None, now=START, decimals=8, **changes):
    policy = AggregationPolicy(**{"min_venues": 1, "max_dispersion": None, **changes})
    return aggregate(quotes, now=now, policy=policy, decimals=decimals, window=window)


def told(policy, *rounds):
    """Window and last quotes after several polls of one source: `(second, price, volume)` each."""
    window: Mapping[str, tuple[Sample, ...]] = {}
    last = None
    for at, price, volume in rounds:
        last = quote("a", price, START + at, volume=None if volume is None else Decimal(volume))
        window = follow_window(window, [last], START + at, policy)
    return window, last


# ---- weights --------------------------------------------------------------------------------------------------------


def test_a_heavier_venue_counts_as_so_many():
    policy = AggregationPolicy(min_venues=1)
    light = [quote("a", 100), quote("b", 101), quote("c", 102)]
    heavy = [quote("a", 100, weight=3), quote("b", 101), quote("c", 102)]
    assert [answered(quotes, START, policy).value for quotes in (light, heavy)] == [101, 100]


def test_too_little_weight_is_no_answer():
    result = run(quote("a", 100), quote("b", 100, weight=2), min_weight=4)
    assert isinstance(result, Rejected)
    assert (result.why, result.detail) == (RejectedWhy.TOO_LITTLE_WEIGHT, "a weight of 3 of 4 needed")
    assert isinstance(run(quote("a", 100), quote("b", 100, weight=2), min_weight=3), Answer)


def test_weight_does_not_stand_for_venues():
    result = run(quote("a", 100, weight=9), min_venues=2)
    assert isinstance(result, Rejected)
    assert result.why is RejectedWhy.TOO_FEW_VENUES


# ---- windows --------------------------------------------------------------------------------------------------------

TWAP = AggregationPolicy(min_venues=1, method=Method.TWAP, window=100.0)
VWAP = AggregationPolicy(min_venues=1, method=Method.VWAP, window=100.0)


def test_a_price_counts_for_as_long_as_it_held():
    window, last = told(TWAP, (0, 100, None), (30, 200, None))
    answer = answered([last], START + 40, TWAP, window)
    assert answer.value == 125  # 30 s of 100, 10 s of 200
    assert answer.quotes[0].price == 125


def test_what_held_before_the_window_holds_into_it():
    window, last = told(TWAP, (-500, 7, None), (-200, 100, None), (50, 200, None))
    answer = answered([last], START + 100, TWAP, window)
    assert answer.value == 150
    assert [sample.price for sample in window["a"]] == [100, 200]  # 7 is forgotten


def test_a_spike_of_one_poll_barely_moves_a_twap():
    rounds = [(second, 100, None) for second in range(100)]
    window, last = told(TWAP, *rounds, (100, 10_000, None))
    answer = answered([last], START + 101, TWAP, window)
    assert answer.value == 199  # 1 s of 100


def test_no_time_has_passed():
    assert time_weighted([Sample(5.0, Decimal(3), None)], start=0.0, end=5.0) == 3


def test_looking_at_a_quote_twice_is_one_sample():
    window, last = told(TWAP, (0, 100, None))
    assert follow_window(window, [last], START, TWAP) == window


def test_a_median_needs_no_memory():
    assert follow_window({}, [quote("a", 1)], START, AggregationPolicy()) == {}


def test_volume_weighs_within_a_source_and_between_sources():
    window, last = told(VWAP, (0, 100, 3), (10, 200, 1))
    answer = answered([last], START + 10, VWAP, window)
    assert (answer.value, answer.quotes[0].volume) == (125, 4)
    both = [last, quote("b", 325, START + 10, volume=Decimal(4))]
    window = follow_window(window, both, START + 10, VWAP)
    policy = AggregationPolicy(min_venues=2, method=Method.VWAP, window=100.0, max_dispersion=None)
    assert answered(both, START + 10, policy, window).value == 225


def test_without_volume_there_is_no_vwap():
    result = aggregate([quote("a", 100)], now=START, policy=VWAP, decimals=0)
    assert isinstance(result, Rejected)
    assert [item.fault for item in result.rejected] == [QuoteFault.NO_VOLUME]


# ---- range ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "answered"), [(2**191 - 1, True), (2**191, False), (-(2**191), True), (-(2**191) - 1, False)]
)
def test_an_answer_fits_an_int192(value, answered):
    result = run(quote("a", value), decimals=0, allow_negative=True)
    assert isinstance(result, Answer) is answered
    if not answered:
        assert result.why is RejectedWhy.OUT_OF_RANGE


def test_an_absurd_price_is_no_answer_and_no_error():
    result = run(quote("a", "1e999999"), decimals=18)
    assert isinstance(result, Rejected)
    assert result.why is RejectedWhy.OUT_OF_RANGE
    assert len(result.detail) < 80
