"""Every decision of the oracle, as pure functions of values: no I/O, clock, loop or logging.

    quotes --check, one per venue, outliers, median, bounds--> Answer | Rejected --decide--> Trigger | Hold

Invariants:
- Arithmetic is exact. A price is a `Decimal` until the one rounding (half to even) to the feed's decimals; thresholds
  are compared by cross-multiplied integers.
- The order of the quotes has no influence, and no argument is changed.
- With one vote per venue, up to f lying venues of 2f + 1 cannot move the answer outside the range of the honest ones.
- Nothing is clamped: an answer out of bounds is no answer.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal, localcontext

from seamark.core.units import PPB_PER_UNIT, Ppb, format_ratio, to_base_units
from seamark.oracle.model import (
    AggregationPolicy,
    Answer,
    Decision,
    FeedState,
    Hold,
    HoldReason,
    MedianKind,
    Quote,
    QuoteFault,
    Reason,
    Rejected,
    RejectedQuote,
    RejectedWhy,
    Streak,
    Trigger,
    TriggerPolicy,
)

__all__ = [
    "aggregate",
    "chain_now",
    "check_quote",
    "decide",
    "deviates",
    "deviation",
    "explain",
    "follow_streaks",
    "heartbeat_due_at",
    "is_frozen",
    "median",
    "outliers",
    "replaces",
]

MAD_TO_SIGMA = Decimal("1.4826")  # the median absolute deviation of a normal distribution is its sigma / 1.4826
MIN_FOR_OUTLIERS = 5  # with fewer values the median absolute deviation says nothing about who is wrong
BPS = 10_000
_MIN_PEERS = 2  # one peer alone cannot prove that a source stands still: the peer may be the one that lies
_DIGITS = 120  # as in core.units: sums and differences of any two prices stay exact


# ---- one quote ------------------------------------------------------------------------------------------------------


def check_quote(quote: Quote, now: float, policy: AggregationPolicy) -> QuoteFault | None:
    """What is wrong with a quote by itself, or None."""
    if not all(value is None or value.is_finite() for value in (quote.price, quote.bid, quote.ask, quote.volume)):
        return QuoteFault.NOT_FINITE
    if quote.price <= 0 and not policy.allow_negative:
        return QuoteFault.NOT_POSITIVE
    if quote.volume is not None and quote.volume <= 0:
        return QuoteFault.NO_VOLUME
    return _check_spread(quote, policy) or _check_age(quote, now, policy)


def _check_spread(quote: Quote, policy: AggregationPolicy) -> QuoteFault | None:
    if quote.bid is None or quote.ask is None:
        return None
    if quote.bid > quote.ask:
        return QuoteFault.CROSSED
    if policy.max_spread is None:
        return None
    with localcontext(prec=_DIGITS):
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


# ---- many quotes ----------------------------------------------------------------------------------------------------


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
    with localcontext(prec=_DIGITS):
        return (ordered[half - 1] + ordered[half]) / 2


def outliers(prices: Sequence[Decimal], policy: AggregationPolicy) -> list[bool]:
    """Which prices are too far from the rest: |x - m| > max(k * 1.4826 * MAD, floor * |m|), with five or more prices.

    At least half of the prices lie within one MAD of the median, so never are all of them outliers. Where most prices
    are equal, MAD is 0 and the floor alone decides.
    """
    if len(prices) < MIN_FOR_OUTLIERS:
        return [False] * len(prices)
    with localcontext(prec=_DIGITS):
        middle = median(prices, policy.median)
        distances = [abs(price - middle) for price in prices]
        by_spread = policy.outlier_factor * MAD_TO_SIGMA * median(distances, policy.median)
        limit = max(by_spread, abs(middle) * policy.outlier_floor / PPB_PER_UNIT)
        return [distance > limit for distance in distances]


def aggregate(
    quotes: Iterable[Quote],
    *,
    now: float,
    policy: AggregationPolicy,
    decimals: int,
    streaks: Mapping[str, Streak] | None = None,
    feed_bounds: tuple[int, int] | None = None,
) -> Answer | Rejected:
    """What the quotes come to, in units of 10^-decimals.

    `observed_at` of the answer is when the newest quote in use was received: a price told now is the price now, however
    long ago the venue's last trade was (how long ago that may be is `max_age`). `feed_bounds` are the contract's own.
    """
    known = streaks or {}
    usable: list[Quote] = []
    rejected: list[RejectedQuote] = []
    for quote in sorted(quotes, key=lambda item: item.source):
        fault = check_quote(quote, now, policy) or (QuoteFault.FROZEN if is_frozen(quote, known, policy) else None)
        if fault is None:
            usable.append(quote)
        else:
            rejected.append(RejectedQuote(quote, fault))
    used = _without_outliers(_one_per_venue(usable, rejected), rejected, policy)
    if len(used) < policy.min_venues:
        return Rejected(
            RejectedWhy.TOO_FEW_VENUES, f"{len(used)} of {policy.min_venues} venues needed", tuple(rejected)
        )
    price = median([quote.price for quote in used], policy.median)
    problem = _check_price(price, used, policy)
    if problem is not None:
        return Rejected(*problem, tuple(rejected))
    value = to_base_units(price, decimals)
    if feed_bounds is not None and not feed_bounds[0] <= value <= feed_bounds[1]:
        detail = f"{value} is not within the contract's {feed_bounds[0]}..{feed_bounds[1]}"
        return Rejected(RejectedWhy.OUT_OF_FEED_BOUNDS, detail, tuple(rejected))
    observed_at = int(min(now, max(quote.received_at for quote in used)))
    return Answer(value, decimals, price, observed_at, used, tuple(rejected), _spread(used, price))


def _one_per_venue(quotes: Sequence[Quote], rejected: list[RejectedQuote]) -> list[Quote]:
    """One vote per venue: its newest quote."""
    newest: dict[str, Quote] = {}
    for quote in sorted(quotes, key=lambda item: (item.observed_at, item.received_at, item.source)):
        if quote.venue in newest:
            rejected.append(RejectedQuote(newest[quote.venue], QuoteFault.SAME_VENUE))
        newest[quote.venue] = quote
    return sorted(newest.values(), key=lambda item: item.source)


def _without_outliers(
    quotes: Sequence[Quote], rejected: list[RejectedQuote], policy: AggregationPolicy
) -> tuple[Quote, ...]:
    far = outliers([quote.price for quote in quotes], policy)
    pairs = list(zip(quotes, far, strict=True))
    rejected.extend(RejectedQuote(quote, QuoteFault.OUTLIER) for quote, is_far in pairs if is_far)
    return tuple(quote for quote, is_far in pairs if not is_far)


def _check_price(price: Decimal, used: Sequence[Quote], policy: AggregationPolicy) -> tuple[RejectedWhy, str] | None:
    """What keeps a price from being an answer."""
    dispersion = _dispersion([quote.price for quote in used], price)
    if policy.max_dispersion is not None and dispersion > policy.max_dispersion:
        return RejectedWhy.DISPERSED, f"half of the venues are {format_ratio(dispersion)} or more from the median"
    low, high = policy.min_price, policy.max_price
    if (low is not None and price < low) or (high is not None and price > high):
        return RejectedWhy.OUT_OF_BOUNDS, f"{price} is not within {low}..{high}"
    return None


def _spread(used: Sequence[Quote], middle: Decimal) -> Ppb:
    prices = [quote.price for quote in used]
    return _relative(max(prices) - min(prices), middle)


def _dispersion(prices: Sequence[Decimal], middle: Decimal) -> Ppb:
    """The distance from the middle within which more than half of the prices lie, relative to it.

    A minority that lies cannot widen it, so it cannot stop the feed either.
    """
    with localcontext(prec=_DIGITS):
        return _relative(median([abs(price - middle) for price in prices]), middle)


def _relative(distance: Decimal, base: Decimal) -> Ppb:
    if base == 0:
        return Ppb(0 if distance == 0 else PPB_PER_UNIT)
    with localcontext(prec=_DIGITS):
        return Ppb(int(distance * PPB_PER_UNIT / abs(base)))


# ---- when to publish ------------------------------------------------------------------------------------------------


def deviates(old: int, new: int, threshold: Ppb) -> bool:
    """Whether |new - old| / |old| >= threshold, exactly; from zero every other answer deviates."""
    return new != 0 if old == 0 else abs(new - old) * PPB_PER_UNIT >= threshold * abs(old)


def deviates_exactly(old: Decimal, new: Decimal, threshold: Ppb) -> bool:
    """As `deviates`, for prices."""
    with localcontext(prec=_DIGITS):
        return new != 0 if old == 0 else abs(new - old) * PPB_PER_UNIT >= threshold * abs(old)


def deviation(old: int, new: int) -> Ppb:
    """|new - old| / |old| in parts per billion, rounded down; for display."""
    if old == 0:
        return Ppb(0 if new == 0 else PPB_PER_UNIT)
    return Ppb(abs(new - old) * PPB_PER_UNIT // abs(old))


def chain_now(state: FeedState, now: float) -> float:
    """The time that a consumer on the chain may see: ours or that of the newest block, whichever is later."""
    return max(now, float(state.block_time))


def heartbeat_due_at(state: FeedState, policy: TriggerPolicy) -> float:
    """When the next round is due, early enough that no consumer sees the feed expired."""
    return state.updated_at + policy.heartbeat * (PPB_PER_UNIT - policy.heartbeat_margin) / PPB_PER_UNIT


def decide(state: FeedState, answer: Answer, now: float, policy: TriggerPolicy) -> Decision:
    """Whether an answer is published, given what the chain itself says (never what this process remembers sending)."""
    if state.paused:
        return Hold(HoldReason.FEED_PAUSED)
    reason = explain(state, answer.value, policy)
    if reason is None and chain_now(state, now) >= heartbeat_due_at(state, policy):
        reason = Reason.HEARTBEAT
    if reason is None:
        return Hold(HoldReason.CURRENT)
    if answer.observed_at <= state.started_at:
        return Hold(HoldReason.SAME_OBSERVATION)
    return _beside_parked(state, answer, now, policy, reason)


def explain(state: FeedState, value: int, policy: TriggerPolicy) -> Reason | None:
    """Why `value` would follow the state's round, from the answers alone; None: only the heartbeat could ask for it."""
    if state.round == 0:
        return Reason.FIRST
    return Reason.DEVIATION if deviates(state.answer, value, policy.deviation) else None


def _beside_parked(state: FeedState, answer: Answer, now: float, policy: TriggerPolicy, reason: Reason) -> Decision:
    """An answer that waits for confirmation is confirmed by a later observation of about the same price.

    A submission too early only parks again and costs a transaction, so there is a pause after each.
    """
    parked = state.parked
    if parked is None or parked.round != state.round + 1 or within_step(state.answer, answer.value, state.max_step_bps):
        return Trigger(reason)
    if answer.observed_at <= parked.observed_at or chain_now(state, now) - parked.observed_at < policy.confirm_after:
        return Hold(HoldReason.PARKED)
    return Trigger(Reason.CONFIRM if within_step(parked.answer, answer.value, state.max_step_bps) else reason)


def replaces(
    state: FeedState, pending: int, observed_at: int, newer: Answer, *, waited: float, policy: TriggerPolicy
) -> bool:
    """Whether a newer answer should take the nonce of one that waits to be mined.

    It is worth it where the newer answer would itself be published right after the pending one: then one transaction
    does for two, and nobody reads the outdated price. That holds also where the price came back to what the chain has.
    Each replacement costs an eighth more, so there is time between them; and what waits for confirmation by the
    contract is left to it.

    Args:
        state: What the contract says.
        pending: The answer that waits.
        observed_at: When that was observed.
        newer: What the quotes come to now.
        waited: Seconds since the pending one was handed in.
        policy: The feed's thresholds.
    """
    if not policy.replace_after or waited < policy.replace_after or state.paused or state.parked is not None:
        return False
    return newer.observed_at > observed_at and deviates(pending, newer.value, policy.deviation)


def within_step(old: int, new: int, max_step_bps: int) -> bool:
    """The contract's own rule: not more than `max_step_bps` away; 0 is no limit."""
    return max_step_bps == 0 or abs(new - old) * BPS <= abs(old) * max_step_bps
