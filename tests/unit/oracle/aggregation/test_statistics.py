"""Weights are votes; quartiles are as far from either end."""

from decimal import Decimal

import pytest

from seamark.oracle.aggregation.statistics import quantile, quartiles, relative, weighted_median
from seamark.oracle.model import MedianKind


def decimals(*numbers):
    return [Decimal(number) for number in numbers]


@pytest.mark.parametrize(
    ("prices", "weights", "upper", "mean"),
    [
        ([1, 2, 3], [1, 1, 1], "2", "2"),
        ([1, 2, 3], [5, 1, 1], "1", "1"),
        ([1, 2, 3], [1, 1, 5], "3", "3"),
        ([1, 2], [1, 1], "2", "1.5"),
        ([1, 2], [3, 1], "1", "1"),
        ([1, 2], [2, 2], "2", "1.5"),  # exactly half on either side
        ([3, 1, 2], [1, 3, 2], "2", "1.5"),
    ],
)
def test_the_weighted_median(prices, weights, upper, mean):
    assert weighted_median(decimals(*prices), weights) == Decimal(upper)
    assert weighted_median(decimals(*prices), weights, MedianKind.MEAN) == Decimal(mean)


def test_the_weighted_median_of_nothing_is_an_error():
    with pytest.raises(ValueError, match="does not exist"):
        weighted_median([], [])


def test_beyond_the_last_vote_there_is_no_price():
    with pytest.raises(ValueError, match="no price at 3 of 3"):
        quantile(decimals(1, 2), [1, 2], 3)


@pytest.mark.parametrize(
    ("prices", "expected"),
    [([1], (1, 1)), ([1, 2, 3, 4], (2, 3)), ([1, 2, 3, 4, 5], (2, 4)), ([1, 2, 3, 4, 5, 6, 7, 8], (3, 6))],
)
def test_quartiles_are_prices_as_far_from_either_end(prices, expected):
    assert quartiles(decimals(*prices), [1] * len(prices)) == expected


@pytest.mark.parametrize(("distance", "base", "ppb"), [("0", "0", 0), ("1", "0", 10**9), ("1", "-3", 333_333_333)])
def test_a_relative_distance(distance, base, ppb):
    assert relative(Decimal(distance), Decimal(base)) == ppb
