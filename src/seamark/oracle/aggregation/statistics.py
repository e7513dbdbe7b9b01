"""Exact order statistics and ratios of prices.

A weight is a whole number of votes: a price of weight 3 counts as three equal prices, in every statistic here. Results
do not depend on the order of the arguments. Sums and products keep `DIGITS` digits, more than two int256 need.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from decimal import Context, Decimal, getcontext, setcontext
from functools import wraps
from typing import Final, ParamSpec, TypeVar

from seamark.core.units import PPB_PER_UNIT, Ppb
from seamark.oracle.model import MedianKind

__all__ = [
    "DIGITS",
    "EXACT",
    "deviates_exactly",
    "exactly",
    "median",
    "quantile",
    "quartiles",
    "relative",
    "weighted_median",
]

DIGITS: Final = 120  # as in core.units: sums and differences of any two prices stay exact
EXACT: Final = Context(prec=DIGITS)

P = ParamSpec("P")
T = TypeVar("T")


def exactly(function: Callable[P, T]) -> Callable[P, T]:
    """Have all arithmetic in there, and in what it calls, done in `EXACT`.

    Entered once for all of an aggregation: a `localcontext` around each step costs more than the steps.
    """

    @wraps(function)
    def run(*args: P.args, **kwargs: P.kwargs) -> T:
        outer = getcontext()
        if outer is EXACT:
            return function(*args, **kwargs)
        setcontext(EXACT)
        try:
            return function(*args, **kwargs)
        finally:
            setcontext(outer)

    return run


def median(prices: Sequence[Decimal], kind: MedianKind = MedianKind.UPPER) -> Decimal:
    """The middle; for an even number the upper of the two in the middle, or their mean. Exact.

    Raises:
        ValueError: No prices.
    """
    if not prices:
        raise ValueError("the median of nothing does not exist")
    ordered = sorted(prices)
    half = len(ordered) // 2
    if len(ordered) % 2 or kind is MedianKind.UPPER:
        return ordered[half]
    return _mean(ordered[half - 1], ordered[half])


def weighted_median(prices: Sequence[Decimal], weights: Sequence[int], kind: MedianKind = MedianKind.UPPER) -> Decimal:
    """The median of each price repeated as often as its weight says.

    Args:
        prices: At least one.
        weights: As many, each a whole number of 1 or more.
        kind: What the middle of an even total is.

    Raises:
        ValueError: No prices.
    """
    total = sum(weights)
    if total == len(prices):
        return median(prices, kind)
    upper = quantile(prices, weights, total // 2)
    if total % 2 or kind is MedianKind.UPPER:
        return upper
    return _mean(quantile(prices, weights, total // 2 - 1), upper)


def quantile(prices: Sequence[Decimal], weights: Sequence[int], index: int) -> Decimal:
    """The price at an index (from 0) of the sorted list in which each is repeated as its weight says."""
    seen = 0
    for price, weight in sorted(zip(prices, weights, strict=True)):
        seen += weight
        if seen > index:
            return price
    raise ValueError(f"there is no price at {index} of {seen}")


def quartiles(prices: Sequence[Decimal], weights: Sequence[int]) -> tuple[Decimal, Decimal]:
    """The lower and the upper quarter's bounds: prices of the list, as far from either end."""
    total = sum(weights)
    quarter = total // 4
    return quantile(prices, weights, quarter), quantile(prices, weights, total - 1 - quarter)


@exactly
def relative(distance: Decimal, base: Decimal) -> Ppb:
    """A distance as a part of |base|, rounded down; from zero every distance is the whole."""
    if base == 0:
        return Ppb(0 if distance == 0 else PPB_PER_UNIT)
    return Ppb(int(distance * PPB_PER_UNIT / abs(base)))


@exactly
def deviates_exactly(old: Decimal, new: Decimal, threshold: Ppb) -> bool:
    """Whether |new - old| / |old| >= threshold, exactly; from zero every other price deviates."""
    return new != 0 if old == 0 else abs(new - old) * PPB_PER_UNIT >= threshold * abs(old)


@exactly
def _mean(low: Decimal, high: Decimal) -> Decimal:
    return (low + high) / 2
