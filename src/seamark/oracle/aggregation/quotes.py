"""One quote by itself, and sources that stand still.

Invariant: a quote is judged by its own fields and the time, a standing source by what its peers did meanwhile; nothing
here knows what the answer will be.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal, localcontext
from typing import Final

from seamark.core.units import PPB_PER_UNIT
from seamark.oracle.aggregation.statistics import DIGITS, deviates_exactly
from seamark.oracle.model import AggregationPolicy, Method, Quote, QuoteFault, Streak

__all__ = ["check_quote", "follow_streaks", "is_frozen"]

_MIN_PEERS: Final = 2  # one peer alone cannot prove that a source stands still: the peer may be the one that lies


def check_quote(quote: Quote, now: float, policy: AggregationPolicy) -> QuoteFault | None:
    """What is wrong with a quote by itself, or None."""
    if not all(value is None or value.is_finite() for value in (quote.price, quote.bid, quote.ask, quote.volume)):
        return QuoteFault.NOT_FINITE
    if quote.price <= 0 and not policy.allow_negative:
        return QuoteFault.NOT_POSITIVE
    if (quote.volume is None and policy.method is Method.VWAP) or (quote.volume is not None and quote.volume <= 0):
        return QuoteFault.NO_VOLUME
    return _check_spread(quote, policy) or _check_age(quote, now, policy)


def _check_spread(quote: Quote, policy: AggregationPolicy) -> QuoteFault | None:
    if quote.bid is None or quote.ask is None:
        return None
    if quote.bid > quote.ask:
        return QuoteFault.CROSSED
    if policy.max_spread is None:
        return None
    with localcontext(prec=DIGITS):
        too_wide = (quote.ask - quote.bid) * PPB_PER_UNIT > policy.max_spread * abs(quote.price)
    return QuoteFault.WIDE_SPREAD if too_wide else None


def _check_age(quote: Quote, now: float, policy: AggregationPolicy) -> QuoteFault | None:
    # Both times count: an old trade told just now, and a trade told long ago by a source that has since gone silent.
    max_age = policy.max_age if quote.max_age is None else quote.max_age
    if max(now - quote.observed_at, now - quote.received_at) > max_age:
        return QuoteFault.TOO_OLD
    if max(quote.observed_at, quote.received_at) - now > policy.max_future:
        return QuoteFault.FROM_FUTURE
    return None


# ---- sources that stand still ---------------------------------------------------------------------------------------


def follow_streaks(streaks: Mapping[str, Streak], quotes: Sequence[Quote]) -> dict[str, Streak]:
    """Count how long each source has told the same price. A quote that was counted before is not counted again."""
    peers = tuple(sorted((quote.source, quote.price) for quote in quotes))
    return {quote.source: _continue(streaks.get(quote.source), quote, peers) for quote in quotes}


def _continue(streak: Streak | None, quote: Quote, peers: tuple[tuple[str, Decimal], ...]) -> Streak:
    if streak is None or streak.price != quote.price:
        return Streak(quote.price, 1, quote.received_at, peers)
    if streak.received_at == quote.received_at:
        return streak
    return Streak(streak.price, streak.polls + 1, quote.received_at, streak.peers)


def is_frozen(quote: Quote, streaks: Mapping[str, Streak], policy: AggregationPolicy) -> bool:
    """Whether a source has told one price for `frozen_polls` polls while more than half of its peers moved."""
    if quote.max_age is not None and quote.max_age > policy.max_age:
        return False  # a source that is told more patience than the feed's speaks rarely by nature
    streak = streaks.get(quote.source)
    if streak is None or streak.polls < policy.frozen_polls:
        return False
    then = [(source, price) for source, price in streak.peers if source != quote.source and source in streaks]
    moved = sum(deviates_exactly(price, streaks[source].price, policy.frozen_move) for source, price in then)
    return len(then) >= _MIN_PEERS and 2 * moved > len(then)
