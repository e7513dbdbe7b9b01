"""One quote by itself, and sources that stand still.

Invariant: a quote is judged by its own fields and the time, a standing source by what its peers did meanwhile; nothing
here knows what the answer will be.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from seamark.core.units import PPB_PER_UNIT
from seamark.oracle.aggregation.statistics import deviates_exactly, exactly
from seamark.oracle.model import AggregationPolicy, Method, Quote, QuoteFault, Streak

__all__ = ["check_age", "check_content", "check_quote", "follow_streaks", "is_frozen"]

_MIN_PEERS: Final = 2  # one peer alone cannot prove that a source stands still: the peer may be the one that lies


def check_quote(quote: Quote, now: float, policy: AggregationPolicy) -> QuoteFault | None:
    """What is wrong with a quote by itself, or None."""
    return check_content(quote, policy) or check_age(quote, now, policy)


@exactly
def check_content(quote: Quote, policy: AggregationPolicy) -> QuoteFault | None:  # noqa: PLR0911 - a list of faults
    """What is wrong with a quote by itself, whatever the time is."""
    bid, ask, volume = quote.bid, quote.ask, quote.volume
    if not all(value is None or value.is_finite() for value in (quote.price, bid, ask, volume)):
        return QuoteFault.NOT_FINITE
    if quote.price <= 0 and not policy.allow_negative:
        return QuoteFault.NOT_POSITIVE
    if (volume is None and policy.method is Method.VWAP) or (volume is not None and volume <= 0):
        return QuoteFault.NO_VOLUME
    if bid is None or ask is None:
        return None
    if bid > ask:
        return QuoteFault.CROSSED
    if policy.max_spread is not None and (ask - bid) * PPB_PER_UNIT > policy.max_spread * abs(quote.price):
        return QuoteFault.WIDE_SPREAD
    return None


def check_age(quote: Quote, now: float, policy: AggregationPolicy) -> QuoteFault | None:
    """Whether a quote is too old, or from the future."""
    # Both times count: an old trade told just now, and a trade told long ago by a source that has since gone silent.
    max_age = policy.max_age if quote.max_age is None else quote.max_age
    first, last = quote.observed_at, quote.received_at
    if first > last:
        first, last = last, first
    if now - first > max_age:
        return QuoteFault.TOO_OLD
    return QuoteFault.FROM_FUTURE if last - now > policy.max_future else None


# ---- sources that stand still ---------------------------------------------------------------------------------------


def follow_streaks(
    streaks: Mapping[str, Streak], quotes: Sequence[Quote], told: Iterable[Quote] | None = None
) -> dict[str, Streak]:
    """Count how long each source has told the same price. A quote that was counted before is not counted again.

    Args:
        streaks: So far.
        quotes: The newest of every source.
        told: Those that are new; all, where missing.
    """
    followed = {} if told is None else dict(streaks)
    for quote in quotes if told is None else told:
        streak = streaks.get(quote.source)
        if streak is None or streak.price != quote.price:
            peers = tuple([(peer.source, peer.price) for peer in quotes])
            followed[quote.source] = Streak(quote.price, 1, quote.received_at, peers)
        elif streak.received_at != quote.received_at:
            followed[quote.source] = Streak(streak.price, streak.polls + 1, quote.received_at, streak.peers)
        else:
            followed[quote.source] = streak
    return followed


def is_frozen(quote: Quote, streaks: Mapping[str, Streak], policy: AggregationPolicy) -> bool:
    """Whether a source has told one price for `frozen_polls` polls while more than half of its peers moved."""
    streak = streaks.get(quote.source)
    if streak is None or streak.polls < policy.frozen_polls:
        return False
    if quote.max_age is not None and quote.max_age > policy.max_age:
        return False  # a source that is told more patience than the feed's speaks rarely by nature
    then = [(source, price) for source, price in streak.peers if source != quote.source and source in streaks]
    moved = sum(deviates_exactly(price, streaks[source].price, policy.frozen_move) for source, price in then)
    return len(then) >= _MIN_PEERS and 2 * moved > len(then)
