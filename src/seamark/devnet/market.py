"""A market that never happened: prices as a pure function of (seed, symbol, time).

Model: the logarithm of a price is the sum of smooth noises, one for each scale of time from a second to hours, each as
large as a Brownian motion's movement over that span; so it wanders like a market on every scale, and stays within some
percent of where it started, however long it runs. On top come a drift and jumps: in each window of time there may be
one, at a moment and of a size that the seed decides, and it fades as the market digests it.

No state: the same seed and time give the same price in every process, before and after a restart, and one may ask for
any moment in any order. What a venue shows is the market a little late, a little off, with a spread, and possibly
broken (see `VenueFault`). Floats stay inside: prices leave as decimals of the venue's tick size.
"""

from __future__ import annotations

import hashlib
import math
from dataclasses import dataclass, field
from decimal import ROUND_HALF_EVEN, Decimal
from enum import StrEnum
from functools import lru_cache
from statistics import NormalDist

__all__ = ["DEFAULT_ASSETS", "Asset", "Market", "MarketModel", "Ticker", "VenueFault", "VenueFaultKind", "VenueModel"]

# Spans of the noises. Each is twice the one before, so that all together look alike on every scale.
_SHORTEST_S = 1.0
_SCALES = 14  # up to 1 s * 2**13 = 2.3 h; the sum then stays within a few percent of the start
# Ratio between a Brownian motion's deviation over a second and the amplitude of the shortest noise. Found by measuring
# the sum: with it the deviation of the logarithm over a second equals `volatility`.
_AMPLITUDE = 0.48
_DAY_S = 86_400.0
_JUMP_FADE_S = 90.0  # a jump loses 63 % of its size in this time
_JUMP_MEMORY = 6.0  # fades after which nothing of it is left (0.2 %)
_UINT64 = 1 << 64


@dataclass(frozen=True, slots=True)
class Asset:
    """One traded thing: its symbol ("BTC/USD"), where its price starts, its daily volume in units and the tick size."""

    symbol: str
    start: Decimal
    daily_volume: Decimal
    tick: Decimal

    @property
    def base(self) -> str:
        return self.symbol.split("/")[0]


DEFAULT_ASSETS = (
    Asset("BTC/USD", Decimal(64_000), Decimal(18_000), Decimal("0.01")),
    Asset("ETH/USD", Decimal(3_200), Decimal(210_000), Decimal("0.01")),
    Asset("LINK/USD", Decimal("15.50"), Decimal(2_400_000), Decimal("0.0001")),
)


@dataclass(frozen=True, slots=True)
class MarketModel:
    """How the market moves.

    `volatility` is the deviation of the logarithm of a price over one second: 0.0013 crosses 0.5 % about every 15 s
    (a real market has a hundredth of it). `drift_per_day` is a ratio. In each window of `jump_every_s` there is a jump
    with `jump_chance`, of a size around `jump_size` either way.
    """

    seed: int = 1
    volatility: float = 0.0013
    drift_per_day: float = 0.0
    jump_every_s: float = 120.0
    jump_chance: float = 0.5
    jump_size: float = 0.012
    epoch_s: float = 0.0


class VenueFaultKind(StrEnum):
    """How a venue may be broken."""

    STALE = "stale"  # price and time stand still
    FROZEN = "frozen"  # the price stands still, the time goes on: harder to notice
    LIE = "lie"  # the price is off by a factor
    DOWN = "down"  # the connection is closed without an answer
    ERROR = "error"  # HTTP 500
    LIMIT = "limit"  # HTTP 429 with Retry-After
    HALF = "half"  # the first half of the answer
    DELAY = "delay"  # the answer comes late


@dataclass(frozen=True, slots=True)
class VenueFault:
    """A fault. `factor` is what a lying venue multiplies with (1.1 is 10 % too high, 1000 a wrong unit); `seconds` is
    how late a delayed answer comes; `since` is the moment at which a stale or frozen venue stopped.
    """

    kind: VenueFaultKind
    factor: float = 1.1
    seconds: float = 2.0
    since: float = 0.0


@dataclass(frozen=True, slots=True)
class VenueModel:
    """What makes one venue differ from the market: `lag_s` late, off by some `noise` (ratio), with a `spread` (ratio)
    and its `share` of the volume.
    """

    name: str
    lag_s: float = 0.2
    noise: float = 0.00015
    spread: float = 0.0002
    share: float = 0.15


@dataclass(frozen=True, slots=True)
class Ticker:
    """What a venue knows of one symbol. `time` is seconds since the epoch by the venue's clock; volumes are of 24 h."""

    symbol: str
    last: Decimal
    bid: Decimal
    ask: Decimal
    vwap: Decimal
    volume: Decimal
    time: float

    @property
    def quote_volume(self) -> Decimal:
        return (self.volume * self.vwap).quantize(Decimal("0.01"))


@dataclass(frozen=True, slots=True)
class Market:
    """The market of one seed; all methods are pure."""

    model: MarketModel = field(default_factory=MarketModel)
    assets: tuple[Asset, ...] = DEFAULT_ASSETS

    def asset(self, symbol: str) -> Asset:
        """The asset of that symbol; raises `KeyError`."""
        for asset in self.assets:
            if asset.symbol == symbol:
                return asset
        raise KeyError(symbol)

    def price(self, asset: Asset, at: float) -> Decimal:
        """The price at a moment (seconds since the epoch), to the tick."""
        return _to_tick(self._price(asset, at), asset.tick)

    def ticker(self, venue: VenueModel, asset: Asset, at: float, fault: VenueFault | None = None) -> Ticker:
        """What a venue shows at a moment; `fault` may be one of those that concern prices."""
        priced_at = timed_at = at - venue.lag_s
        factor = 1.0
        if fault is not None:
            if fault.kind in (VenueFaultKind.STALE, VenueFaultKind.FROZEN):
                priced_at = min(at, fault.since) - venue.lag_s
            if fault.kind is VenueFaultKind.STALE:
                timed_at = priced_at
            if fault.kind is VenueFaultKind.LIE:
                factor = fault.factor
        off = venue.noise * _gauss(self.model.seed, f"{venue.name}/{asset.symbol}", 0, math.floor(priced_at))
        middle = self._price(asset, priced_at) * (1 + off) * factor
        half = middle * venue.spread / 2
        average = self._average(asset, priced_at) * factor
        volume = asset.daily_volume * Decimal(repr(venue.share))
        return Ticker(
            symbol=asset.symbol,
            last=_to_tick(middle, asset.tick),
            bid=_to_tick(middle - half, asset.tick),
            ask=max(_to_tick(middle + half, asset.tick), _to_tick(middle - half, asset.tick) + asset.tick),
            vwap=_to_tick(average, asset.tick),
            volume=volume.quantize(Decimal("0.00000001")),
            time=timed_at,
        )

    def _price(self, asset: Asset, at: float) -> float:
        model = self.model
        walked = sum(_wander(model, asset.symbol, scale, at) for scale in range(_SCALES))
        drifted = math.log1p(model.drift_per_day) * (at - model.epoch_s) / _DAY_S if model.drift_per_day else 0.0
        return float(asset.start) * math.exp(walked + drifted + _jumps(model, asset.symbol, at))

    def _average(self, asset: Asset, at: float) -> float:
        """A mean over the last hour stands in for the day's."""
        hours = [self._price(asset, math.floor(at / 60) * 60 - 600 * step) for step in range(6)]
        return sum(hours) / len(hours)


def _wander(model: MarketModel, symbol: str, scale: int, at: float) -> float:
    """The noise of one scale: values at whole multiples of its span, joined by a smooth curve."""
    span = _SHORTEST_S * 2**scale
    place = at / span
    left = math.floor(place)
    part = place - left
    blend = part * part * (3 - 2 * part)
    before, after = _gauss(model.seed, symbol, scale, left), _gauss(model.seed, symbol, scale, left + 1)
    return float(model.volatility * _AMPLITUDE * math.sqrt(span) * (before + (after - before) * blend))


def _jumps(model: MarketModel, symbol: str, at: float) -> float:
    if model.jump_chance <= 0 or model.jump_every_s <= 0:
        return 0.0
    window = math.floor(at / model.jump_every_s)
    remembered = math.ceil(_JUMP_MEMORY * _JUMP_FADE_S / model.jump_every_s) + 1
    total = 0.0
    for number in range(window - remembered, window + 1):
        moment, size = _jump(model, symbol, number)
        if size and moment <= at:
            total += size * math.exp(-(at - moment) / _JUMP_FADE_S)
    return total


def _jump(model: MarketModel, symbol: str, window: int) -> tuple[float, float]:
    """(moment, size) of a window's jump; size 0 where there is none."""
    if _uniform(model.seed, f"{symbol}/jump?", 0, window) >= model.jump_chance:
        return 0.0, 0.0
    moment = (window + _uniform(model.seed, f"{symbol}/when", 0, window)) * model.jump_every_s
    size = _gauss(model.seed, f"{symbol}/size", 0, window) / 3
    return moment, math.copysign(model.jump_size, size) * (1 + abs(size))


@lru_cache(maxsize=65_536)
def _uniform(seed: int, name: str, scale: int, index: int) -> float:
    """Evenly spread in (0, 1), decided by the arguments alone."""
    digest = hashlib.blake2b(f"{seed}|{name}|{scale}|{index}".encode(), digest_size=8).digest()
    return (int.from_bytes(digest, "big") + 0.5) / _UINT64


@lru_cache(maxsize=65_536)
def _gauss(seed: int, name: str, scale: int, index: int) -> float:
    # The ends are cut so that (0, 1) stays open after rounding.
    return NormalDist().inv_cdf(min(max(_uniform(seed, name, scale, index), 1e-12), 1 - 1e-12))


def _to_tick(value: float, tick: Decimal) -> Decimal:
    """The nearest multiple of the tick, never below one tick."""
    ticks = (Decimal(repr(value)) / tick).quantize(Decimal(1), rounding=ROUND_HALF_EVEN)
    return max(ticks, Decimal(1)) * tick
