"""Prices by way of other markets: ETH/USDT x USDT/USD = ETH/USD.

A route is a first market and legs. A leg in whose base the price is so far multiplies; one in whose quote it is
divides. Nothing is ever assumed to be worth something else: a price in USDT becomes one in dollars through a declared
USDT/USD leg alone (in March 2023 the assumption would have been wrong by 14 %).

Invariants: the cross is as old as the oldest part; the ages of the parts, summed, may not exceed its `max_age`; a part
that could not be used by itself (not positive, crossed, no volume, too old) makes no cross; a cross that was made lasts
only until the first of its parts would be too old.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal, localcontext
from enum import StrEnum
from functools import partial
from typing import Final

from seamark.oracle.model import AggregationPolicy, Pair, Quote, SourceFailure, SourceReport
from seamark.oracle.rules import check_quote
from seamark.oracle.sources.outlet import AnySource, Outlet, SourceHealth, Subscriber
from seamark.runtime.clock import Clock

__all__ = ["CrossError", "CrossMaker", "CrossSource", "Leg", "Operation", "combine", "make_route"]

DIGITS: Final = 60  # of a quotient; a feed keeps at most 36 decimals
PART_MAX_AGE_S: Final = 120.0  # of a part that declares none


class Operation(StrEnum):
    """What a leg's price does to the price so far."""

    MULTIPLY = "mul"
    DIVIDE = "div"


@dataclass(frozen=True, slots=True)
class Leg:
    """One market of a route. The operation of the first is to multiply (with 1)."""

    source: AnySource
    pair: Pair
    operation: Operation = Operation.MULTIPLY


@dataclass(frozen=True, slots=True)
class CrossSource:
    """A price by way of several markets. The vote is the first market's venue.

    `max_age` limits the summed ages of the parts; None: what the parts may be by themselves, summed.
    """

    name: str
    venue: str
    legs: tuple[Leg, ...]
    max_age: float | None = None
    weight: int = 1

    @property
    def deadline(self) -> float:
        """All parts are needed, and asked at the same time."""
        return max(leg.source.deadline for leg in self.legs)


class CrossError(Exception):
    """The parts make no price. `kind` is one word for metrics: "leg_fault", "leg_missing", "leg_age"."""

    def __init__(self, kind: str, detail: str) -> None:
        super().__init__(detail)
        self.kind = kind


def make_route(pairs: Sequence[Pair], wanted: Pair) -> tuple[Operation, ...]:
    """What each market does on the way to a price in `wanted.quote`; the base is the first market's.

    Raises:
        ValueError: A leg does not go on from where the route is, or the route ends elsewhere.
    """
    operations = [Operation.MULTIPLY]
    at = pairs[0].quote
    for pair in pairs[1:]:
        if at not in (pair.base, pair.quote):
            raise ValueError(f"{pair} does not lead on from {at}; use a market of {at}, in the order of the route")
        forward = pair.base == at
        operations.append(Operation.MULTIPLY if forward else Operation.DIVIDE)
        at = pair.quote if forward else pair.base
    if at != wanted.quote:
        raise ValueError(f"the route ends in {at}, not in {wanted.quote}; add a leg such as {at}/{wanted.quote}")
    return tuple(operations)


def combine(source: CrossSource, quotes: Sequence[Quote], now: float) -> Quote:
    """The price that the parts make, in the order of the legs.

    Raises:
        CrossError: A part is of no use, or their ages sum up to too much.
    """
    expires_at = _check_parts(source, quotes, now)
    observed_at = min(quote.observed_at for quote in quotes)
    with localcontext(prec=DIGITS):
        price = bid = ask = None
        for leg, quote in zip(source.legs, quotes, strict=True):
            # A seller on the way is a buyer of the leg that divides, so its book is turned round.
            divides = leg.operation is Operation.DIVIDE
            far_bid, far_ask = (quote.ask, quote.bid) if divides else (quote.bid, quote.ask)
            begun = price is not None
            bid = _step(bid, far_bid, divides=divides, begun=begun)
            ask = _step(ask, far_ask, divides=divides, begun=begun)
            price = _step(price, quote.price, divides=divides, begun=begun)
    assert price is not None, "a route has a first market"
    return Quote(
        source=source.name,
        venue=source.venue,
        price=price,
        observed_at=observed_at,
        received_at=max(quote.received_at for quote in quotes),
        untimed=any(quote.untimed for quote in quotes),
        bid=bid,
        ask=ask,
        volume=quotes[0].volume,
        max_age=expires_at - observed_at,
    )


def _check_parts(source: CrossSource, quotes: Sequence[Quote], now: float) -> float:
    """Whether the parts are of use, and until when they will be (seconds since the epoch)."""
    limits = [PART_MAX_AGE_S if quote.max_age is None else quote.max_age for quote in quotes]
    for leg, quote, limit in zip(source.legs, quotes, limits, strict=True):
        fault = check_quote(quote, now, AggregationPolicy(max_age=limit, max_spread=None))
        if fault is not None:
            raise CrossError("leg_fault", f"{leg.pair} at {quote.venue} is {fault}")
    most = sum(limits) if source.max_age is None else source.max_age
    age = sum(max(now - quote.observed_at, 0.0) for quote in quotes)
    if age > most:
        raise CrossError("leg_age", f"the parts are {age:.0f} s old in sum, {most:g} s at most")
    ends = [min(quote.observed_at, quote.received_at) + limit for quote, limit in zip(quotes, limits, strict=True)]
    return min(*ends, now + (most - age) / len(quotes))  # the sum grows by a second for each part in each second


def _step(so_far: Decimal | None, factor: Decimal | None, *, divides: bool, begun: bool) -> Decimal | None:
    if not begun:
        return factor
    if so_far is None or factor is None or factor <= 0:  # one market shows no book, so the cross has none
        return None
    return so_far / factor if divides else so_far * factor


Subscribe = Callable[..., SourceHealth]


class CrossMaker:
    """Follows the parts of every cross and hands over a price whenever one of them is new.

    Args:
        subscribe: Subscribes to a part, of whatever kind it is (as `SourceHub.subscribe`).
        clock: Time.
    """

    def __init__(self, *, subscribe: Subscribe, clock: Clock) -> None:
        self._subscribe = subscribe
        self._clock = clock

    def subscribe(
        self, source: CrossSource, *, interval: float, subscriber: Subscriber, feed: str = ""
    ) -> SourceHealth:
        """Subscribe to all parts."""
        # Its own limit is what `combine` enforces on the sum; the feed's would be for a single market.
        outlet = Outlet(source, subscriber, feed, self._clock)
        newest: list[Quote | None] = [None] * len(source.legs)
        for index, leg in enumerate(source.legs):
            part = replace(leg.source, name=f"{source.name}:{leg.pair}")  # type: ignore[type-var]
            take = partial(self._take, source, outlet, newest, index)
            self._subscribe(part, interval=interval, subscriber=take, feed=feed)
        return outlet.health

    def drop(self, feed: str) -> None:
        """The parts go by themselves: they are subscribed under the same feed."""

    async def run(self) -> None:
        """Nothing of its own to do: the parts push."""

    def _take(
        self, source: CrossSource, outlet: Outlet, newest: list[Quote | None], index: int, report: SourceReport
    ) -> None:
        leg = source.legs[index]
        if isinstance(report, SourceFailure):
            outlet.failure(report.kind, f"{leg.pair}: {report.detail}")
            return
        newest[index] = report
        known = [quote for quote in newest if quote is not None]
        if len(known) < len(newest):
            return  # the other parts are on their way, or tell their own failure
        try:
            quote = combine(source, known, self._clock.now())
        except CrossError as error:
            outlet.failure(error.kind, str(error))
            return
        outlet.quote(quote)
