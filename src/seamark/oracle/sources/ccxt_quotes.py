"""All exchanges of ccxt through one adapter: `fetch_ticker` over REST.

The library is an optional extra and is loaded with the first source that needs it. It is told to keep numbers as the
text that the exchange wrote; where an exchange's module computes a number itself, that is the text of its result. One
object per exchange serves all markets there and holds ccxt's own rate limit.
"""

from __future__ import annotations

import asyncio
import importlib
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from functools import partial
from typing import Any, Final

from seamark.core.errors import SettingsError
from seamark.core.units import parse_decimal
from seamark.oracle.model import Quote
from seamark.oracle.sources.outlet import Outlet, SourceHealth, Subscriber
from seamark.oracle.sources.source import ContentError
from seamark.oracle.tasks import Loops
from seamark.runtime.clock import Clock

__all__ = ["CcxtQuotes", "CcxtSource", "load_exchange", "read_ticker"]

# ccxt's error classes, the most special first: https://docs.ccxt.com, "Error Handling"
_KINDS: Final = (
    ("RateLimitExceeded", "rate_limited"),
    ("DDoSProtection", "rate_limited"),
    ("RequestTimeout", "timeout"),
    ("BadSymbol", "symbol"),
    ("NetworkError", "connect"),
    ("BaseError", "venue"),
)


@dataclass(frozen=True, slots=True)
class CcxtSource:
    """One market. `venue` is ccxt's name of the exchange, `symbol` its unified name of the market ("ETH/USD")."""

    name: str
    venue: str
    symbol: str
    deadline: float = 10.0
    weight: int = 1
    max_age: float | None = None


def load_exchange(name: str) -> Any:
    """An exchange object of `ccxt.async_support`.

    Raises:
        SettingsError: ccxt is not installed, or knows no such exchange.
    """
    try:
        library = importlib.import_module("ccxt.async_support")
    except ImportError as error:
        raise SettingsError(
            "oracle.feeds", f"ccxt is not installed, and the source {name} needs it", remedy="install seamark[ccxt]"
        ) from error
    if name not in library.exchanges:
        raise SettingsError("oracle.feeds", f"ccxt knows no exchange {name!r}", remedy="use one of ccxt's identifiers")
    exchange = getattr(library, name)({"enableRateLimit": True})
    exchange.number = str
    return exchange


def read_ticker(source: CcxtSource, ticker: Any, received_at: float) -> Quote:
    """Read a unified ticker.

    Raises:
        ContentError: It holds no price, or a value is not a number.
    """
    if not isinstance(ticker, Mapping):
        raise ContentError("shape", "the ticker is no object")
    if ticker.get("symbol") not in (None, source.symbol):
        raise ContentError("shape", f"the ticker is of {str(ticker['symbol'])[:40]!r}, not of {source.symbol}")
    price = _number(ticker, "last")
    if price is None:
        raise ContentError("shape", "the ticker holds no last price")
    time = _number(ticker, "timestamp")
    return Quote(
        source=source.name,
        venue=source.venue,
        price=price,
        observed_at=received_at if time is None else float(time) / 1000,
        received_at=received_at,
        untimed=time is None,
        bid=_number(ticker, "bid"),
        ask=_number(ticker, "ask"),
        volume=_number(ticker, "baseVolume"),
    )


def _number(ticker: Mapping[str, Any], name: str) -> Decimal | None:
    value = ticker.get(name)
    if value is None:
        return None
    try:
        if isinstance(value, bool) or (isinstance(value, float) and not math.isfinite(value)):
            raise ValueError(name)
        return parse_decimal(str(value))
    except ValueError as error:
        raise ContentError("number", f"{name} is {str(value)[:40]!r}, not a number") from error


@dataclass(frozen=True, slots=True)
class _Subscription:
    source: CcxtSource
    interval: float
    outlet: Outlet


class CcxtQuotes:
    """Asks exchanges through ccxt. A `SourceHub`.

    Args:
        clock: Time.
        load: Makes the object of an exchange by its name.
    """

    name = "oracle-ccxt"

    def __init__(self, *, clock: Clock, load: Callable[[str], Any] = load_exchange) -> None:
        self._clock = clock
        self._load = load
        self._exchanges: dict[str, Any] = {}
        self._markets: dict[tuple[str, str], list[_Subscription]] = {}
        self._loops = Loops()

    def subscribe(self, source: CcxtSource, *, interval: float, subscriber: Subscriber, feed: str = "") -> SourceHealth:
        """Ask for this market every `interval` seconds.

        Raises:
            SettingsError: ccxt or the exchange is not there.
        """
        if source.venue not in self._exchanges:
            self._exchanges[source.venue] = self._load(source.venue)
        outlet = Outlet(source, subscriber, feed, self._clock)
        key = (source.venue, source.symbol)
        self._markets.setdefault(key, []).append(_Subscription(source, interval, outlet))
        self._loops.start(key, partial(self._follow, key))
        return outlet.health

    def drop(self, feed: str) -> None:
        """Ask no more for this feed."""
        for key, items in list(self._markets.items()):
            items[:] = [item for item in items if item.outlet.feed != feed]
            if not items:
                del self._markets[key]
                self._loops.stop(key)

    async def run(self) -> None:
        """Until cancelled; then the exchanges' connections are closed."""
        try:
            await self._loops.run()
        finally:
            for exchange in self._exchanges.values():
                await exchange.close()

    async def _follow(self, key: tuple[str, str]) -> None:
        while True:
            await self.ask_once(key)
            await self._clock.sleep(min(item.interval for item in self._markets[key]))

    async def ask_once(self, key: tuple[str, str]) -> None:
        """One question about (exchange, symbol), for all who subscribed to it."""
        venue, symbol = key
        items = self._markets[key]
        deadline = max(item.source.deadline for item in items)
        started = self._clock.monotonic()
        try:
            async with asyncio.timeout(deadline):
                ticker = await self._exchanges[venue].fetch_ticker(symbol)
        except TimeoutError:
            _fail(items, "timeout", f"no complete reply within {deadline:g} s")
            return
        except Exception as error:  # noqa: BLE001 - a hundred modules of others; whatever one raises, the others go on
            _fail(items, _kind_of(error), f"ccxt: {type(error).__name__}")  # its text may quote addresses with keys
            return
        now = self._clock.now()
        for item in items:
            try:
                quote = read_ticker(item.source, ticker, now)
            except ContentError as error:
                item.outlet.failure(error.kind, str(error))
                continue
            item.outlet.quote(quote, latency=self._clock.monotonic() - started)


def _fail(items: list[_Subscription], kind: str, detail: str) -> None:
    for item in items:
        item.outlet.failure(kind, detail)


def _kind_of(error: Exception) -> str:
    names = {cls.__name__ for cls in type(error).__mro__}
    return next((kind for name, kind in _KINDS if name in names), "library")
