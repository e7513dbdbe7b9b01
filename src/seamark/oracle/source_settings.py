"""Settings of sources.

    sources:
      - coinbase                                   # a venue, asked over HTTP
      - {venue: kraken, stream: true}              # its websocket
      - {venue: okx, pair: ETH/USDT, via: [{venue: kraken, pair: USDT/USD}]}

Whatever a source is, its price is in the feed's quote currency in the end: by its own market, or by declared legs.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from decimal import Decimal
from typing import Annotated, Any, Self
from urllib.parse import urlsplit

from pydantic import (
    AfterValidator,
    BeforeValidator,
    Field,
    PlainSerializer,
    SecretStr,
    field_serializer,
    model_validator,
)

from seamark.core.units import Seconds, parse_decimal
from seamark.evm.settings import AddressText
from seamark.oracle.model import Pair
from seamark.oracle.sources.onchain import ChainlinkFeed, UniswapTwap, VaultRate
from seamark.oracle.sources.paths import JsonPath
from seamark.oracle.sources.source import TimeUnit
from seamark.runtime.logs import BLOT, redact_url
from seamark.runtime.settings import Duration, SettingsModel

__all__ = ["LegSettings", "MarketSettings", "Name", "PairText", "PriceText", "SourceSettings", "Span", "VenueSettings"]


_SECRET = re.compile(r"key|token|secret|passw|passphrase|auth|credential|signature|mnemonic|jwt|bearer")

_PER_SECOND = {"s": 1, "min": 60, "h": 3600}


def _to_pair(value: Any) -> Any:
    return Pair.parse(value) if isinstance(value, str) else value


def _to_path(value: Any) -> Any:
    return JsonPath.parse(value) if isinstance(value, str) else value


def _to_price(value: Any) -> Any:
    if isinstance(value, float):
        # A ValueError, as pydantic takes it: a YAML number has become binary before anybody could ask for its digits.
        raise ValueError(f'{value!r} has lost digits as a float; write it in quotes: "{value!r}"')  # noqa: TRY004
    return parse_decimal(value) if isinstance(value, str) else value


def check_url(url: str) -> str:
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError(f"{redact_url(url)!r} is no HTTP address; write https://…")
    return url


def _to_rate(value: Any) -> Any:
    number, slash, unit = value.partition("/") if isinstance(value, str) else ("", "", "")
    if not slash or unit.strip() not in _PER_SECOND or not number.strip().isdecimal() or int(number) == 0:
        raise ValueError(f"{value!r} is not a rate; write a number and s, min or h, such as 10/s or 600/min")
    return int(number) / _PER_SECOND[unit.strip()]


def _to_budget(value: Any) -> Any:
    number, slash, unit = value.partition("/") if isinstance(value, str) else ("", "", "")
    if not slash or unit.strip() != "day" or not number.strip().isdecimal() or int(number) == 0:
        raise ValueError(f"{value!r} is not a budget; write a number per day, such as 1000/day")
    return int(number)


def _check_stream_url(url: str) -> str:
    parts = urlsplit(url)
    if parts.scheme not in ("ws", "wss") or not parts.hostname:
        raise ValueError(f"{redact_url(url)!r} is no websocket address; write wss://…")
    return url


def _is_secret_name(name: str) -> bool:
    """apiKey, api_key, X-Token, clientSecret, password, auth, …"""
    return _SECRET.search(re.sub(r"[^a-z]", "", name.lower())) is not None


def check_positive(value: Any) -> Any:
    if value <= 0:
        raise ValueError("must be more than zero")
    return value


PairText = Annotated[Pair, BeforeValidator(_to_pair), PlainSerializer(str, when_used="json")]
PathText = Annotated[JsonPath, BeforeValidator(_to_path), PlainSerializer(str, when_used="json")]
PriceText = Annotated[Decimal, BeforeValidator(_to_price)]
SourceUrl = Annotated[str, AfterValidator(check_url), PlainSerializer(redact_url, when_used="json")]
StreamUrl = Annotated[str, AfterValidator(_check_stream_url), PlainSerializer(redact_url, when_used="json")]
Span = Annotated[Duration, AfterValidator(check_positive)]
RateText = Annotated[float, BeforeValidator(_to_rate), PlainSerializer(lambda rate: f"{rate:g}/s", when_used="json")]
BudgetText = Annotated[
    int, BeforeValidator(_to_budget), PlainSerializer(lambda budget: f"{budget}/day", when_used="json")
]
Decimals = Annotated[int, Field(ge=0, le=36)]
Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9 ._/-]{0,63}$")]


class VenueSettings(SettingsModel):
    """A venue of the catalogue at another address, or another venue of the same shape."""

    like: str | None = None
    """Catalogue name of the venue that answers in the same shape; the settings' key where missing."""

    base_url: SourceUrl | None = Field(None, repr=False)
    """Where it is asked instead."""

    rate: RateText | None = None
    """How often it may be asked, over all sources there: 10/s, 600/min."""

    budget: BudgetText | None = None
    """Requests per day that a plan allows, over all sources there: 1000/day. They are spread over the day."""

    stream_url: StreamUrl | None = Field(None, repr=False)
    """Where its websocket is instead; sources with `stream: true` use it."""

    quotes: tuple[str, ...] | None = None
    """Currencies that this venue quotes against, where they differ from the catalogue's (Binance.US lists USD)."""


class UniswapSettings(SettingsModel):
    """The mean price of a Uniswap v3 pool over a window."""

    chain: str
    pool: AddressText
    decimals: tuple[Decimals, Decimals]
    """Of token0 and token1."""

    window: Annotated[Span, Field(ge=60, le=86_400)] = Seconds(1800.0)
    """The longer, the more it costs to move the mean, and the more it lags."""

    invert: bool = False
    """False: token0 in units of token1. True: token1 in units of token0."""

    min_liquidity: int = Field(0, ge=0)
    """Least harmonic mean of the liquidity over the window; below it the pool is too easy to move."""


class ChainlinkSettings(SettingsModel):
    """Another feed that speaks AggregatorV3Interface."""

    chain: str
    feed: AddressText


class AdapterSettings(SettingsModel):
    """A Chainlink external adapter."""

    url: SourceUrl = Field(repr=False)
    data: dict[str, str] = Field(default_factory=dict, repr=False)
    """What it is asked; base and quote of the pair where empty. A value may be `${NAME}`, and is not shown where its
    name says that it is a secret (apiKey, token, password)."""

    @field_serializer("data", when_used="json")
    def _show_data(self, data: Mapping[str, str]) -> dict[str, str]:
        return {name: BLOT if _is_secret_name(name) else value for name, value in data.items()}


class VaultSettings(SettingsModel):
    """What a share of an ERC-4626 vault is worth, in its asset."""

    chain: str
    vault: AddressText
    asset_decimals: Decimals


def make_reading(settings: MarketSettings) -> UniswapTwap | ChainlinkFeed | VaultRate | None:
    """What is read on a chain, or None for other kinds."""
    if (pool := settings.uniswap_v3) is not None:
        low, high = pool.decimals
        return UniswapTwap(pool.chain, pool.pool, low, high, int(pool.window), pool.invert, pool.min_liquidity)
    if (feed := settings.chainlink) is not None:
        return ChainlinkFeed(feed.chain, feed.feed)
    if (vault := settings.erc4626) is not None:
        return VaultRate(vault.chain, vault.vault, vault.asset_decimals)
    return None


class MarketSettings(SettingsModel):
    """One market at one place: a venue of the catalogue, a URL with JSON paths, a contract, an adapter, an exchange."""

    venue: str | None = None
    """A venue by name; for a source with a URL of its own, whose vote it is (its name where missing)."""

    pair: PairText | None = None
    """The market asked for, where the venue names the asset differently. Its quote currency must be the feed's, unless
    `via` leads there."""

    name: Name | None = None
    url: SourceUrl | None = Field(None, repr=False)
    price: PathText | None = None
    bid: PathText | None = None
    ask: PathText | None = None
    volume: PathText | None = None
    time: PathText | None = None
    """Where the venue's own time stands; without it the time of receipt counts."""

    time_unit: TimeUnit = TimeUnit.MILLISECONDS
    require: dict[str, str] = Field(default_factory=dict)
    """Paths and the text expected there in a usable reply, such as {code: "0"}."""

    headers: dict[str, SecretStr] = Field(default_factory=dict, repr=False)
    """Sent along; for keys of data providers."""

    uniswap_v3: UniswapSettings | None = None
    chainlink: ChainlinkSettings | None = None
    erc4626: VaultSettings | None = None
    adapter: AdapterSettings | None = None
    ccxt: Annotated[str, Field(pattern=r"^[a-z0-9]{2,40}$")] | None = None
    """An exchange by its identifier in ccxt, an optional extra: `pip install seamark[ccxt]`."""

    timeout: Span = Seconds(5.0)

    rate: RateText | None = None
    """How often its venue may be asked: 10/s, 600/min."""

    budget: BudgetText | None = None
    """Requests per day that a plan allows: 1000/day. They are spread over the day."""

    stream: bool = False
    """Listen to the venue's websocket instead of asking it."""

    silence: Span = Seconds(60.0)
    """A stream without a price for this long counts as failing, and is connected anew if all of its markets are."""

    max_age: Span | None = None
    """How old its prices may be, where that differs from the feed's (daily rates)."""

    @model_validator(mode="after")
    def _one_kind(self) -> Self:
        own = [field for field in (self.price, self.bid, self.ask, self.volume, self.time) if field is not None]
        if self.stream and (self.url is not None or self.venue is None):
            raise ValueError("only venues of the catalogue can be streams; name a venue, or leave stream out")
        if (self.rate or self.budget) and self.url is None and self.adapter is None:
            raise ValueError("rate and budget go with a url or adapter; of a venue write them under oracle.venues")
        readings = [item for item in (self.uniswap_v3, self.chainlink, self.erc4626, self.adapter) if item is not None]
        if len(readings) + (self.url is not None) > 1:
            raise ValueError("names more than one kind of source; write each as a source of its own")
        if self.ccxt is not None:
            return self._check_ccxt(bool(own or readings))
        if readings:
            return self._check_reading(own)
        if self.url is None and self.venue is None:
            raise ValueError("names neither a venue nor a url; write a venue's name, or url and price")
        if self.url is None and (own or self.require or self.headers):
            raise ValueError("JSON paths and headers belong to a source with a url; add url, or leave them out")
        if self.url is not None and (self.price is None or self.name is None):
            raise ValueError("a source with a url needs a name and the path of its price; add name and price")
        for path in self.require:
            JsonPath.parse(path)
        return self

    def _check_ccxt(self, is_more: bool) -> Self:
        if is_more or self.venue or self.require or self.headers or self.url or self.stream:
            raise ValueError("a ccxt source needs no venue, url, path or header; leave them out")
        return self

    def _check_reading(self, own: list[JsonPath]) -> Self:
        if self.name is None:
            raise ValueError("a source on a chain or behind an adapter needs a name; add name")
        if own or self.require or self.stream or (self.headers and self.adapter is None):
            raise ValueError("JSON paths, headers and streams do not go with a contract or adapter; leave them out")
        if self.chainlink is not None and self.max_age is None:
            raise ValueError("a Chainlink feed speaks once per heartbeat; add max_age, a little above its heartbeat")
        return self


class LegSettings(MarketSettings):
    """A market on the way to the feed's quote currency."""

    pair: PairText
    """Which market; the price so far is multiplied by it, or divided where it is the other way round."""


class SourceSettings(MarketSettings):
    """One source of a feed: a market, perhaps with legs that lead on from it."""

    via: tuple[LegSettings, ...] = ()
    """Markets that turn the price into one in the feed's quote currency, in order. A stable coin needs one."""

    weight: int = Field(1, ge=1, le=1_000)
    """Counts in a weighted median."""

    @model_validator(mode="after")
    def _route_has_a_start(self) -> Self:
        if self.via and self.pair is None:
            raise ValueError("via needs the pair that it leads on from; add pair, such as ETH/USDT")
        return self
