"""What the settings of one feed come to: everything its publisher needs, resolved and checked."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from seamark.core.errors import SettingsError
from seamark.core.units import Ppb
from seamark.oracle.model import AggregationPolicy, FeedRef, Pair, TriggerPolicy
from seamark.oracle.settings import FeedSettings, SourceSettings, VenueSettings
from seamark.oracle.sources.paths import JsonPath
from seamark.oracle.sources.source import Fields, Request, Source
from seamark.oracle.sources.venues import CATALOGUE, Venue, source_at

__all__ = ["FeedPlan", "aggregation_policy", "make_plan", "make_venues", "trigger_policy"]

DEFAULT_DEADLINE_S = 5.0


@dataclass(frozen=True, slots=True)
class FeedPlan:
    """One feed to publish. Intervals in seconds, `value` in wei.

    `gas_limit` None: what the contract asks for, or what earlier submissions used, or an estimate. `spend_per_day` in
    wei, None: without limit.
    """

    ref: FeedRef
    pair: Pair
    sources: tuple[Source, ...]
    aggregation: AggregationPolicy
    trigger: TriggerPolicy
    poll_interval: float = 1.0
    refresh_interval: float = 15.0
    gas_limit: int | None = None
    value: int = 0
    spend_per_day: int | None = None


def make_venues(settings: Mapping[str, VenueSettings]) -> dict[str, Venue]:
    """The catalogue with what the settings change and add.

    Raises:
        SettingsError: A venue that resembles none of the catalogue.
    """
    venues = dict(CATALOGUE)
    for name, change in settings.items():
        shape = CATALOGUE.get(change.like or name)
        if shape is None:
            known = ", ".join(sorted(CATALOGUE))
            raise SettingsError(
                f"oracle.venues.{name}",
                f"no venue {change.like or name!r} is known",
                remedy=f"set like to one of {known}",
            )
        venues[name] = replace(
            shape,
            name=name,
            base_url=change.base_url or shape.base_url,
            quotes=shape.quotes if change.quotes is None else frozenset(item.upper() for item in change.quotes),
        )
    return venues


def make_plan(settings: FeedSettings, ref: FeedRef, pair: Pair, venues: Mapping[str, Venue], *, at: str) -> FeedPlan:
    """Resolve sources and rules of a feed.

    Args:
        settings: As written.
        ref: The contract.
        pair: As written, or as the contract describes itself.
        venues: What `make_venues` gave.
        at: Where the settings stand, for messages: "oracle.feeds[0]".

    Raises:
        SettingsError: No venue lists the pair, or a source does not fit it.
    """
    sources = _make_sources(settings, pair, venues, at)
    voters = len({source.venue for source in sources})
    min_venues = settings.min_venues or voters // 2 + 1
    if min_venues > voters:
        problem = f"{min_venues} venues are needed and {voters} configured"
        raise SettingsError(f"{at}.min_venues", problem, remedy="lower it or add sources")
    return FeedPlan(
        ref=ref,
        pair=pair,
        sources=sources,
        aggregation=aggregation_policy(settings, min_venues),
        trigger=trigger_policy(settings),
        poll_interval=settings.poll_interval,
        refresh_interval=settings.refresh_interval,
        gas_limit=settings.gas_limit,
        value=settings.value,
        spend_per_day=settings.spend_per_day,
    )


def trigger_policy(settings: FeedSettings) -> TriggerPolicy:
    """When an answer goes on chain."""
    return TriggerPolicy(
        heartbeat=settings.heartbeat,
        deviation=settings.deviation,
        heartbeat_margin=settings.heartbeat_margin,
        confirm_after=settings.confirm_after,
        replace_after=settings.replace_after,
        max_step=settings.max_step,
        confirm_within=settings.confirm_within,
        agreeing_venues=settings.agreeing_venues,
    )


def aggregation_policy(settings: FeedSettings, min_venues: int) -> AggregationPolicy:
    """How quotes become an answer."""
    return AggregationPolicy(
        min_venues=min_venues,
        max_age=settings.max_age,
        max_future=settings.max_future,
        max_spread=settings.max_spread or None,
        max_dispersion=settings.max_dispersion or None,
        outlier_factor=settings.outlier_factor,
        outlier_floor=settings.outlier_floor,
        frozen_polls=settings.frozen_polls,
        frozen_move=Ppb(settings.frozen_move),
        median=settings.median,
        allow_negative=settings.allow_negative,
        min_price=settings.min_price,
        max_price=settings.max_price,
        method=settings.method,
        window=settings.window,
        min_weight=settings.min_weight or 0,
        outlier_filter=settings.outlier_filter,
        quartile_factor=settings.quartile_factor,
    )


def _make_sources(settings: FeedSettings, pair: Pair, venues: Mapping[str, Venue], at: str) -> tuple[Source, ...]:
    if settings.sources:
        numbered = enumerate(settings.sources)
        return tuple(_make_source(source, pair, venues, f"{at}.sources[{index}]") for index, source in numbered)
    found = tuple(source_at(venue, pair, deadline=DEFAULT_DEADLINE_S) for venue in venues.values() if venue.lists(pair))
    if not found:
        raise SettingsError(
            f"{at}.sources", f"no venue of the catalogue lists a market against {pair.quote}", remedy="declare sources"
        )
    return found


def _make_source(settings: SourceSettings, pair: Pair, venues: Mapping[str, Venue], at: str) -> Source:
    if settings.url is not None:
        return _own_source(settings)
    venue = venues.get(settings.venue or "")
    if venue is None:
        known = ", ".join(sorted(venues))
        raise SettingsError(at, f"no venue {settings.venue!r} is known", remedy=f"use one of {known}, or declare a url")
    asked = settings.pair or pair
    if asked.quote != pair.quote:
        raise SettingsError(
            f"{at}.pair", f"{asked} is not a price in {pair.quote}", remedy=f"use a market against {pair.quote}"
        )
    try:
        return source_at(venue, asked, deadline=settings.timeout, name=settings.name)
    except ValueError as error:
        problem, _, remedy = str(error).partition("; ")
        raise SettingsError(at, problem, remedy=remedy) from None


def _own_source(settings: SourceSettings) -> Source:
    assert settings.url is not None
    assert settings.price is not None
    assert settings.name is not None
    fields = Fields(
        price=settings.price,
        bid=settings.bid,
        ask=settings.ask,
        volume=settings.volume,
        time=settings.time,
        time_unit=settings.time_unit,
        require=tuple((JsonPath.parse(path), expected) for path, expected in settings.require.items()),
    )
    headers = tuple((name, value.get_secret_value()) for name, value in sorted(settings.headers.items()))
    return Source(
        settings.name, settings.venue or settings.name, Request(settings.url, headers), fields, settings.timeout
    )
