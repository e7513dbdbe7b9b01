"""The interquartile filter beside MAD, and votes by weight."""

from decimal import Decimal

import pytest

from seamark.core.units import Ppb
from seamark.oracle.aggregation.filters import outliers
from seamark.oracle.model import AggregationPolicy, OutlierFilter

IQR = AggregationPolicy(outlier_filter=OutlierFilter.IQR)


def decimals(*numbers):
    return [Decimal(number) for number in numbers]


@pytest.mark.parametrize(
    ("prices", "far"),
    [
        ([100, 101, 102, 900], [False] * 4),  # fewer than five: nobody is called wrong
        ([100, 100, 100, 100, 900], [False] * 4 + [True]),  # IQR 0: the floor decides
        ([100, 100, 100, 100, "100.5"], [False] * 5),
        ([100, 100, 100, 100, "100.5001"], [False] * 4 + [True]),
        ([100, 100, 100, 100, 100], [False] * 5),
        ([98, 99, 100, 101, "104"], [False] * 5),  # quartiles 99 and 101, so up to 101 + 1.5 * 2
        ([98, 99, 100, 101, "104.0001"], [False] * 4 + [True]),
        ([-98, -99, -100, -101, -105], [False] * 4 + [True]),
    ],
)
def test_outside_the_quartiles(prices, far):
    assert outliers(decimals(*prices), IQR) == far


def test_the_factor_is_a_setting():
    wide = AggregationPolicy(outlier_filter=OutlierFilter.IQR, quartile_factor=Ppb(3_000_000_000))
    assert outliers(decimals(98, 99, 100, 101, 107), wide) == [False] * 5


def test_the_filter_can_be_switched_off():
    assert not any(outliers(decimals(1, 1, 1, 1, 10**6), AggregationPolicy(outlier_filter=OutlierFilter.NONE)))


@pytest.mark.parametrize("kind", [OutlierFilter.MAD, OutlierFilter.IQR])
def test_a_heavy_source_is_the_middle_that_others_are_far_from(kind):
    policy = AggregationPolicy(outlier_filter=kind)
    prices = decimals(100, 200, 200, 200, 200)
    assert outliers(prices, policy, [1] * 5) == [True, False, False, False, False]
    assert outliers(prices, policy, [20, 1, 1, 1, 1]) == [False, True, True, True, True]
