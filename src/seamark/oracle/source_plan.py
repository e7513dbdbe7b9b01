"""What the settings of sources come to: frozen values that the hubs understand, resolved and checked."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from seamark.core.errors import SettingsError
from seamark.oracle.model import Pair
from seamark.oracle.settings import FeedSettings
from seamark.oracle.source_settings import MarketSettings, SourceSettings, VenueSettings, make_reading
from seamark.oracle.sources.adapters import AdapterSource, adapter_request
from seamark.oracle.sources.allowance import DAY_S
from seamark.oracle.sources.ccxt_quotes import CcxtSource
from seamark.oracle.sources.cross import CrossSource, Leg, make_route
from seamark.oracle.sources.onchain import ChainSource
from seamark.oracle.sources.outlet import AnySource
from seamark.oracle.sources.paths import JsonPath
from seamark.oracle.sources.source import Fields, Request, Source
from seamark.oracle.sources.streams import STREAMS, Stream, stream_at
from seamark.oracle.sources.venues import CATALOGUE, Venue, source_at

__all__ = ["Venues", "make_sources", "make_venues"]

DEFAULT_DEADLINE_S = 5.0


@dataclass(frozen=True, slots=True)
class Venues:
    """The venues that settings may name: asked over HTTP, and listened to; and the chains."""

    asked: Mapping[str, Venue]
    streams: Mapping[str, Stream]
    chains: frozenset[str] = frozenset()


def make_venues(settings: Mapping[str, VenueSettings], chains: Iterable[str] = ()) -> Venues:
    """The catalogue with what the settings change and add.

    Raises:
        SettingsError: A venue that resembles none of the catalogue.
    """
    venues, streams = dict(CATALOGUE), dict(STREAMS)
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
            quotes=_quotes(shape.quotes, change),
            rate=change.rate,
            budget=change.budget,
        )
        stream = STREAMS.get(change.like or name)
        if stream is not None:
            url, quotes = change.stream_url or stream.url, _quotes(stream.quotes, change)
            streams[name] = replace(stream, name=name, url=url, quotes=quotes)
        elif change.stream_url is not None:
            raise SettingsError(
                f"oracle.venues.{name}.stream_url",
                f"no stream of {change.like or name!r} is known",
                remedy=f"set like to one of {', '.join(sorted(STREAMS))}, or leave stream_url out",
            )
    return Venues(venues, streams, frozenset(chains))


def _quotes(known: frozenset[str], change: VenueSettings) -> frozenset[str]:
    return known if change.quotes is None else frozenset(item.upper() for item in change.quotes)


def make_sources(settings: FeedSettings, pair: Pair, venues: Venues, at: str) -> tuple[AnySource, ...]:
    """The sources of a feed; all venues that list the pair's quote currency, where none are named.

    Raises:
        SettingsError: One of them cannot give a price of this pair; names it by its place below `at`.
    """
    if settings.sources:
        made = tuple(
            _make_source(source, settings, pair, venues, f"{at}.sources[{index}]")
            for index, source in enumerate(settings.sources)
        )
        _check_different(made, at)
        for index, source in enumerate(made):
            _check_pace(source, settings.max_age, f"{at}.sources[{index}]")
        return made
    listing = [venue for venue in venues.asked.values() if venue.by_default and venue.lists(pair)]
    if not listing:
        raise SettingsError(
            f"{at}.sources", f"no venue of the catalogue lists a market against {pair.quote}", remedy="declare sources"
        )
    return tuple(source_at(venue, pair, deadline=DEFAULT_DEADLINE_S) for venue in listing)


def _check_different(sources: tuple[AnySource, ...], at: str) -> None:
    names = [source.name for source in sources]
    for index, name in enumerate(names):
        if name in names[:index]:
            raise SettingsError(f"{at}.sources[{index}].name", f"two sources are called {name}", remedy="rename one")


def _check_pace(source: AnySource, feed_max_age: float, at: str) -> None:
    """A budget may make a source so slow that its price is always too old."""
    budget = source.budget if isinstance(source, (Source, AdapterSource)) else None
    max_age = source.max_age or feed_max_age
    if budget is not None and DAY_S / budget > max_age:
        raise SettingsError(
            at,
            f"{budget} requests a day are one in {DAY_S / budget:.0f} s, and its price lasts {max_age:g} s",
            remedy="raise its max_age or the budget",
        )


def _make_source(settings: SourceSettings, feed: FeedSettings, pair: Pair, venues: Venues, at: str) -> AnySource:
    if not settings.via:
        asked = settings.pair or pair
        if asked.quote != pair.quote:
            raise SettingsError(
                f"{at}.pair",
                f"{asked} is not a price in {pair.quote}",
                remedy=f"use a market against {pair.quote}, or add via with one such as {asked.quote}/{pair.quote}",
            )
        return _with_terms(_make_market(settings, asked, venues, at), settings.max_age, settings.weight)
    markets: list[tuple[MarketSettings, Pair, str]] = [(settings, settings.pair or pair, at)]
    markets += [(leg, leg.pair, f"{at}.via[{index}]") for index, leg in enumerate(settings.via)]
    try:
        operations = make_route([asked for _, asked, _ in markets], pair)
    except ValueError as error:
        problem, _, remedy = str(error).partition("; ")
        raise SettingsError(f"{at}.via", problem, remedy=remedy) from None
    parts = [
        _with_terms(_make_market(market, asked, venues, where), market.max_age or feed.max_age, 1)
        for market, asked, where in markets
    ]
    legs = tuple(
        Leg(part, asked, operation) for part, (_, asked, _), operation in zip(parts, markets, operations, strict=True)
    )
    return CrossSource(parts[0].name, parts[0].venue, legs, weight=settings.weight)


def _with_terms(source: Any, max_age: float | None, weight: int) -> AnySource:
    made: AnySource = replace(source, max_age=max_age, weight=weight)
    return made


def _make_market(settings: MarketSettings, asked: Pair, venues: Venues, at: str) -> AnySource:
    if settings.url is not None:
        return _own_source(settings)
    reading = make_reading(settings)
    if reading is not None:
        if reading.chain not in venues.chains:
            known_chains = ", ".join(sorted(venues.chains)) or "none"
            raise SettingsError(
                at, f"there is no chain {reading.chain!r}", remedy=f"name one of those under chains: {known_chains}"
            )
        assert settings.name is not None, "checked with the settings"
        return ChainSource(settings.name, settings.venue or settings.name, reading, settings.timeout)
    if settings.adapter is not None:
        assert settings.name is not None, "checked with the settings"
        data = settings.adapter.data or {"base": asked.base, "quote": asked.quote}
        request = adapter_request(settings.adapter.url, data, _headers(settings))
        return AdapterSource(
            settings.name,
            settings.venue or settings.name,
            request,
            settings.timeout,
            budget=settings.budget,
            rate=settings.rate,
        )
    if settings.ccxt is not None:
        return CcxtSource(settings.name or settings.ccxt, settings.ccxt, str(asked), settings.timeout)
    known: Mapping[str, Venue | Stream] = venues.streams if settings.stream else venues.asked
    venue = known.get(settings.venue or "")
    if venue is None:
        what = "stream of a venue" if settings.stream else "venue"
        remedy = f"use one of {', '.join(sorted(known))}" + ("" if settings.stream else ", or declare a url")
        raise SettingsError(at, f"no {what} {settings.venue!r} is known", remedy=remedy)
    name = settings.name or venue.name
    try:
        if isinstance(venue, Stream):
            return stream_at(venue, asked, name=name, deadline=settings.timeout, silence=settings.silence)
        return source_at(venue, asked, deadline=settings.timeout, name=name)
    except ValueError as error:
        problem, _, remedy = str(error).partition("; ")
        raise SettingsError(at, problem, remedy=remedy) from None


def _own_source(settings: MarketSettings) -> Source:
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
    headers = _headers(settings)
    return Source(
        settings.name,
        settings.venue or settings.name,
        Request(settings.url, headers),
        fields,
        settings.timeout,
        budget=settings.budget,
        rate=settings.rate,
    )


def _headers(settings: MarketSettings) -> tuple[tuple[str, str], ...]:
    return tuple((name, value.get_secret_value()) for name, value in sorted(settings.headers.items()))
