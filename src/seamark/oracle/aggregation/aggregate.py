"""What the quotes come to: each checked by itself, one vote per venue, outliers out, the middle, and what guards it.

Invariants:
- The order of the quotes has no influence, and no argument is changed. A weight of n is n venues that say the same.
- A median lies within the range of the honest prices whenever honest votes outnumber the others among those used, so
  with `min_venues` of 2f + 1 (or a `min_weight` above twice theirs) f liars cannot move it out. A volume-weighted
  price has no such bound: it lies within the range of all prices used.
- Nothing is clamped: an answer out of bounds is no answer.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal
from operator import attrgetter
from typing import Final

from seamark.core.units import PPB_PER_UNIT, format_ratio, to_base_units
from seamark.oracle.aggregation.filters import outliers
from seamark.oracle.aggregation.quotes import check_age, check_content, is_frozen
from seamark.oracle.aggregation.statistics import DIGITS, exactly, relative, weighted_median
from seamark.oracle.aggregation.windows import in_window, volume_weighted
from seamark.oracle.model import (
    AggregationPolicy,
    Answer,
    Method,
    Quote,
    QuoteFault,
    Rejected,
    RejectedQuote,
    RejectedWhy,
    Sample,
    Streak,
)

__all__ = ["aggregate"]

INT192: Final = (-(2**191), 2**191 - 1)  # the answer's type in OCR2 reports, and in all readers that followed
_INT192_DIGITS: Final = 58
_BY_SOURCE: Final = attrgetter("source")


@exactly
def aggregate(
    quotes: Iterable[Quote],
    *,
    now: float,
    policy: AggregationPolicy,
    decimals: int,
    streaks: Mapping[str, Streak] | None = None,
    feed_bounds: tuple[int, int] | None = None,
    window: Mapping[str, tuple[Sample, ...]] | None = None,
    faults: Mapping[str, QuoteFault | None] | None = None,
) -> Answer | Rejected:
    """What the quotes come to, in units of 10^-decimals.

    `observed_at` of the answer is when the newest quote in use was received: a price told now is the price now, however
    long ago the venue's last trade was (how long ago that may be is `max_age`). `feed_bounds` are the contract's own.
    `window` is what `follow_window` gathered, for the methods that average over time; the quotes of an answer then have
    their source's average as their price. `faults` is what `check_content` said of each of these quotes, by source,
    where the caller has kept that.
    """
    rejected: list[RejectedQuote] = []
    usable = _usable(quotes, now, policy, streaks or {}, faults or {}, rejected)
    voting = _one_per_venue(usable, rejected)
    if policy.method is not Method.MEDIAN:
        voting = [in_window(quote, window or {}, now, policy) for quote in voting]
    calm = _calm(voting, policy)
    used = _without_outliers(voting, rejected, policy) if calm is None else tuple(voting)
    missing = _missing_votes(used, policy)
    if missing is not None:
        return Rejected(*missing, tuple(rejected))
    price, spread = calm or _middle_and_spread(used, policy)
    problem = _check_range(price, decimals) or (None if calm else _check_dispersion(price, used, policy))
    problem = problem or _check_bounds(price, policy)
    if problem is not None:
        return Rejected(*problem, tuple(rejected))
    value = to_base_units(price, decimals)
    outside = _check_value(value, feed_bounds)
    if outside is not None:
        return Rejected(*outside, tuple(rejected))
    observed_at = int(min(now, max(quote.received_at for quote in used)))
    return Answer(value, decimals, price, observed_at, used, tuple(rejected), relative(spread, price))


def _calm(voting: Sequence[Quote], policy: AggregationPolicy) -> tuple[Decimal, Decimal] | None:
    """Middle and spread where one look proves that no filter and no gate has a say, as it is nearly always: all prices
    are within the outliers' floor and the largest dispersion. None: take the long way.
    """
    if policy.method is Method.VWAP or not voting:
        return None
    prices = [quote.price for quote in voting]
    middle = weighted_median(prices, [quote.weight for quote in voting], policy.median)
    low, high = min(prices), max(prices)
    if max(low.adjusted(), high.adjusted()) > DIGITS:
        return None
    reach = max(high - middle, middle - low)
    limit = policy.outlier_floor if policy.max_dispersion is None else min(policy.outlier_floor, policy.max_dispersion)
    return (middle, high - low) if reach * PPB_PER_UNIT <= limit * abs(middle) else None


# ---- who votes ------------------------------------------------------------------------------------------------------


def _usable(  # noqa: PLR0917 - of one caller
    quotes: Iterable[Quote],
    now: float,
    policy: AggregationPolicy,
    streaks: Mapping[str, Streak],
    faults: Mapping[str, QuoteFault | None],
    rejected: list[RejectedQuote],
) -> list[Quote]:
    usable: list[Quote] = []
    for quote in sorted(quotes, key=_BY_SOURCE):
        fault = faults[quote.source] if quote.source in faults else check_content(quote, policy)
        fault = fault or check_age(quote, now, policy)
        if fault is None and is_frozen(quote, streaks, policy):
            fault = QuoteFault.FROZEN
        if fault is None:
            usable.append(quote)
        else:
            rejected.append(RejectedQuote(quote, fault))
    return usable


def _one_per_venue(quotes: Sequence[Quote], rejected: list[RejectedQuote]) -> list[Quote]:
    """One vote per venue: its newest quote. The quotes come and go sorted by source."""
    if len({quote.venue for quote in quotes}) == len(quotes):
        return list(quotes)
    newest: dict[str, Quote] = {}
    for quote in sorted(quotes, key=lambda item: (item.observed_at, item.received_at, item.source)):
        if quote.venue in newest:
            rejected.append(RejectedQuote(newest[quote.venue], QuoteFault.SAME_VENUE))
        newest[quote.venue] = quote
    return sorted(newest.values(), key=_BY_SOURCE)


def _without_outliers(
    quotes: Sequence[Quote], rejected: list[RejectedQuote], policy: AggregationPolicy
) -> tuple[Quote, ...]:
    far = outliers([quote.price for quote in quotes], policy, [quote.weight for quote in quotes])
    if True not in far:
        return tuple(quotes)
    pairs = list(zip(quotes, far, strict=True))
    rejected.extend(RejectedQuote(quote, QuoteFault.OUTLIER) for quote, is_far in pairs if is_far)
    return tuple(quote for quote, is_far in pairs if not is_far)


def _missing_votes(used: Sequence[Quote], policy: AggregationPolicy) -> tuple[RejectedWhy, str] | None:
    if len(used) < max(policy.min_venues, 1):
        return RejectedWhy.TOO_FEW_VENUES, f"{len(used)} of {max(policy.min_venues, 1)} venues needed"
    weight = sum(quote.weight for quote in used)
    if weight < policy.min_weight:
        return RejectedWhy.TOO_LITTLE_WEIGHT, f"a weight of {weight} of {policy.min_weight} needed"
    return None


# ---- the middle, and what guards it ---------------------------------------------------------------------------------


def _middle_and_spread(used: Sequence[Quote], policy: AggregationPolicy) -> tuple[Decimal, Decimal]:
    prices = [quote.price for quote in used]
    spread = max(prices) - min(prices)
    if policy.method is Method.VWAP:
        pairs = [(quote.price, (quote.volume or Decimal(0)) * quote.weight) for quote in used]
        return volume_weighted(pairs)[0], spread
    return weighted_median(prices, [quote.weight for quote in used], policy.median), spread


def _check_range(price: Decimal, decimals: int) -> tuple[RejectedWhy, str] | None:
    if price and price.adjusted() + decimals > _INT192_DIGITS:  # before it is written out with all its zeros
        return RejectedWhy.OUT_OF_RANGE, f"{price:.3e} with {decimals} decimals is no int192"
    return None


def _check_bounds(price: Decimal, policy: AggregationPolicy) -> tuple[RejectedWhy, str] | None:
    low, high = policy.min_price, policy.max_price
    if (low is not None and price < low) or (high is not None and price > high):
        return RejectedWhy.OUT_OF_BOUNDS, f"{price} is not within {low}..{high}"
    return None


def _check_dispersion(
    price: Decimal, used: Sequence[Quote], policy: AggregationPolicy
) -> tuple[RejectedWhy, str] | None:
    """The distance from the middle within which more than half of the votes lie, relative to it, has a limit. A
    minority that lies cannot widen it, so it cannot stop the feed either.
    """
    distances = [abs(quote.price - price) for quote in used]
    dispersion = relative(weighted_median(distances, [quote.weight for quote in used]), price)
    if policy.max_dispersion is None or dispersion <= policy.max_dispersion:
        return None
    return RejectedWhy.DISPERSED, f"half of the venues are {format_ratio(dispersion)} or more from the median"


def _check_value(value: int, feed_bounds: tuple[int, int] | None) -> tuple[RejectedWhy, str] | None:
    if not INT192[0] <= value <= INT192[1]:
        return RejectedWhy.OUT_OF_RANGE, f"{value} is no int192"
    if feed_bounds is not None and not feed_bounds[0] <= value <= feed_bounds[1]:
        return (
            RejectedWhy.OUT_OF_FEED_BOUNDS,
            f"{value} is not within the contract's {feed_bounds[0]}..{feed_bounds[1]}",
        )
    return None
