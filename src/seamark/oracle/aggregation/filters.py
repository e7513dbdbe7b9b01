"""Which prices are too far from the rest.

MAD: |x - m| > max(k * 1.4826 * MAD, floor * |m|) around the median m, where MAD is the median distance from it. At
least half of the votes lie within one MAD, so never are all of them outliers.
IQR: outside [q1 - k' * IQR, q3 + k' * IQR], and farther from m than the floor, where IQR = q3 - q1. The middle half
always stays.

Where most prices are equal MAD and IQR are 0, and the floor alone decides: honest venues are never thrown out for a
difference that is usual between venues.
"""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from typing import Final

from seamark.core.units import PPB_PER_UNIT
from seamark.oracle.aggregation.statistics import exactly, quartiles, weighted_median
from seamark.oracle.model import AggregationPolicy, OutlierFilter

__all__ = ["MIN_FOR_OUTLIERS", "outliers"]

MAD_TO_SIGMA: Final = Decimal("1.4826")  # the median absolute deviation of a normal distribution is its sigma / 1.4826
MIN_FOR_OUTLIERS: Final = 5  # with fewer values neither filter can say who is wrong


@exactly
def outliers(prices: Sequence[Decimal], policy: AggregationPolicy, weights: Sequence[int] | None = None) -> list[bool]:
    """One flag per price, by the policy's filter; with fewer than five prices nobody is called wrong."""
    if len(prices) < MIN_FOR_OUTLIERS or policy.outlier_filter is OutlierFilter.NONE:
        return [False] * len(prices)
    votes = weights if weights is not None else [1] * len(prices)
    middle = weighted_median(prices, votes, policy.median)
    floor = abs(middle) * policy.outlier_floor / PPB_PER_UNIT
    distances = [abs(price - middle) for price in prices]
    if max(distances) <= floor:  # the usual case: whatever else comes out, nobody is farther
        return [False] * len(prices)
    if policy.outlier_filter is OutlierFilter.IQR:
        return _outside_quartiles(prices, votes, policy, middle, floor)
    limit = max(policy.outlier_factor * MAD_TO_SIGMA * weighted_median(distances, votes, policy.median), floor)
    return [distance > limit for distance in distances]


def _outside_quartiles(
    prices: Sequence[Decimal], votes: Sequence[int], policy: AggregationPolicy, middle: Decimal, floor: Decimal
) -> list[bool]:
    lower, upper = quartiles(prices, votes)
    reach = (upper - lower) * policy.quartile_factor / PPB_PER_UNIT
    low, high = min(lower - reach, middle - floor), max(upper + reach, middle + floor)
    return [not low <= price <= high for price in prices]
