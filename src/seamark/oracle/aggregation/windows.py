"""Averages of each source over a window: what TWAP and VWAP feeds put in place of its newest price.

TWAP: a price holds from the moment it was received until the next one, or until now; the average weighs each by that
time (in whole milliseconds). VWAP: each observation weighs by its volume. Both are per source; how sources come
together is in `aggregate`. A window that is not filled yet, after a start, is averaged over what there is.

Invariant: an average lies within the range of the prices that it was made of.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal, localcontext
from itertools import pairwise

from seamark.oracle.aggregation.statistics import DIGITS
from seamark.oracle.model import AggregationPolicy, Method, Quote, Sample

__all__ = ["follow_window", "in_window", "time_weighted", "volume_weighted"]

_MS = 1000

Window = Mapping[str, tuple[Sample, ...]]


def follow_window(window: Window, quotes: Iterable[Quote], now: float, policy: AggregationPolicy) -> Window:
    """Add what sources told, and forget what has left the window. A quote that was added before is not added again.

    The newest sample before the window stays: its price holds into it.
    """
    if policy.method is Method.MEDIAN:
        return window
    grown = dict(window)
    for quote in quotes:
        known = grown.get(quote.source, ())
        if (not known or known[-1].at < quote.received_at) and quote.price.is_finite():
            grown[quote.source] = _trim((*known, Sample(quote.received_at, quote.price, quote.volume)), now, policy)
    return grown


def _trim(samples: tuple[Sample, ...], now: float, policy: AggregationPolicy) -> tuple[Sample, ...]:
    before = sum(1 for sample in samples if sample.at <= now - policy.window)
    return samples[max(before - 1, 0) :]


def in_window(quote: Quote, window: Window, now: float, policy: AggregationPolicy) -> Quote:
    """The quote with its source's average in place of its price; as it is where the method looks at the newest only."""
    samples = window.get(quote.source, ())
    if policy.method is Method.MEDIAN or not samples:
        return quote
    if policy.method is Method.TWAP:
        return quote.but(price=time_weighted(samples, start=now - policy.window, end=now))
    inside = [sample for sample in samples if sample.at > now - policy.window and sample.volume]
    if not inside:
        return quote
    price, volume = volume_weighted([(sample.price, sample.volume or Decimal(0)) for sample in inside])
    return quote.but(price=price, volume=volume)


def time_weighted(samples: Sequence[Sample], *, start: float, end: float) -> Decimal:
    """Sum of price x time over time, to `DIGITS` digits; the newest price where no time has passed."""
    moments = [max(_ms(sample.at), _ms(start)) for sample in samples] + [_ms(end)]
    spans = [max(after - before, 0) for before, after in pairwise(moments)]
    total = sum(spans)
    if not total:
        return samples[-1].price
    with localcontext(prec=DIGITS):
        return sum((sample.price * span for sample, span in zip(samples, spans, strict=True)), Decimal(0)) / total


def volume_weighted(pairs: Sequence[tuple[Decimal, Decimal]]) -> tuple[Decimal, Decimal]:
    """Sum of price x volume over volume, and the volume. Volumes are above zero."""
    with localcontext(prec=DIGITS):
        volume = sum((volume for _, volume in pairs), Decimal(0))
        return sum((price * volume for price, volume in pairs), Decimal(0)) / volume, volume


def _ms(at: float) -> int:
    return round(at * _MS)
