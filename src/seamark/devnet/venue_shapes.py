"""The public ticker answers of real exchanges, byte shapes and habits included.

One entry in `VENUES` for each venue: where its ticker lives, how it names symbols, what it answers and how it says that
it knows no such symbol. Pure: a `Ticker` in, JSON-able values out. Numbers are text where the venue sends text.
Sources: the exchanges' public REST documentation (Binance spot v3, Coinbase Exchange, Kraken Spot REST, Bitstamp v2,
Gemini v1, OKX v5, Bybit v5).
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from seamark.devnet.market import Ticker, VenueModel

__all__ = ["VENUES", "Answer", "Request", "Venue"]

_KRAKEN_CODES = {"BTC": "XBT", "DOGE": "XDG"}  # Kraken's own names
_KRAKEN_LEGACY = {"XBT", "ETH", "LTC", "XRP", "XDG", "ETC", "ZEC", "XLM", "XMR"}  # answered as X…Z…, as XXBTZUSD


@dataclass(frozen=True, slots=True)
class Request:
    """What the path and the query of a request say."""

    path: Mapping[str, str]
    query: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Answer:
    """An HTTP status and its JSON body."""

    status: int
    body: Any


@dataclass(frozen=True, slots=True)
class Venue:
    """One exchange.

    `route` is the path after the venue's prefix, in aiohttp's form; `wanted` reads the venue's name of a symbol from a
    request; `name_of` gives the venue's name of "BTC/USD"; `render` and `unknown` make the answers.
    """

    model: VenueModel
    route: str
    path_of: Callable[[str], str]
    wanted: Callable[[Request], str]
    name_of: Callable[[str], str]
    render: Callable[[str, Ticker], Any]
    unknown: Callable[[str], Answer]

    @property
    def name(self) -> str:
        return self.model.name

    def url_path(self, symbol: str) -> str:
        """Path and query of a symbol's ticker, with the venue's prefix."""
        return f"/{self.name}{self.path_of(self.name_of(symbol))}"


def _text(value: Decimal) -> str:
    return f"{value:f}"


def _ms(seconds: float) -> int:
    return int(seconds * 1000)


def _iso(seconds: float) -> str:
    moment = dt.datetime.fromtimestamp(seconds, dt.UTC)
    return moment.strftime("%Y-%m-%dT%H:%M:%S.%f") + "Z"


def _joined(mark: str = "", quote: str | None = None, *, lower: bool = False) -> Callable[[str], str]:
    """Turns "BTC/USD" into "BTCUSDT", "BTC-USD", "btcusd": the separator and, if it differs, the quote currency."""

    def name(symbol: str) -> str:
        base, written = symbol.split("/")
        text = f"{base}{mark}{quote or written}"
        return text.lower() if lower else text

    return name


def _kraken_name(symbol: str) -> str:
    base, quote = symbol.split("/")
    return f"{_KRAKEN_CODES.get(base, base)}{quote}"


def _kraken_key(name: str) -> str:
    """Kraken answers under another name than the one asked for: XBTUSD comes back as XXBTZUSD, LINKUSD as it is."""
    base, quote = name[:-3], name[-3:]
    return f"X{base}Z{quote}" if base in _KRAKEN_LEGACY else name


def _binance(name: str, ticker: Ticker) -> Any:
    change = ticker.last - ticker.vwap
    return {
        "symbol": name,
        "priceChange": _text(change),
        "priceChangePercent": _text((change / ticker.vwap * 100).quantize(Decimal("0.001"))),
        "weightedAvgPrice": _text(ticker.vwap),
        "prevClosePrice": _text(ticker.vwap),
        "lastPrice": _text(ticker.last),
        "lastQty": "0.01000000",
        "bidPrice": _text(ticker.bid),
        "bidQty": "1.50000000",
        "askPrice": _text(ticker.ask),
        "askQty": "1.20000000",
        "openPrice": _text(ticker.vwap),
        "highPrice": _text(max(ticker.last, ticker.vwap)),
        "lowPrice": _text(min(ticker.last, ticker.vwap)),
        "volume": _text(ticker.volume),
        "quoteVolume": _text(ticker.quote_volume),
        "openTime": _ms(ticker.time) - 86_400_000,
        "closeTime": _ms(ticker.time),
        "firstId": 1,
        "lastId": _ms(ticker.time),
        "count": 100_000,
    }


def _coinbase(_: str, ticker: Ticker) -> Any:
    return {
        "ask": _text(ticker.ask),
        "bid": _text(ticker.bid),
        "volume": _text(ticker.volume),
        "trade_id": _ms(ticker.time),
        "price": _text(ticker.last),
        "size": "0.01",
        "time": _iso(ticker.time),
        "rfq_volume": "0.000000",
    }


def _kraken(name: str, ticker: Ticker) -> Any:
    last, vwap, volume = _text(ticker.last), _text(ticker.vwap), _text(ticker.volume)
    entry = {
        "a": [_text(ticker.ask), "1", "1.000"],
        "b": [_text(ticker.bid), "1", "1.000"],
        "c": [last, "0.01000000"],
        "v": [volume, volume],
        "p": [vwap, vwap],
        "t": [50_000, 100_000],
        "l": [_text(min(ticker.last, ticker.vwap))] * 2,
        "h": [_text(max(ticker.last, ticker.vwap))] * 2,
        "o": vwap,
    }
    return {"error": [], "result": {_kraken_key(name): entry}}


def _bitstamp(_: str, ticker: Ticker) -> Any:
    return {
        "timestamp": str(int(ticker.time)),
        "open": _text(ticker.vwap),
        "high": _text(max(ticker.last, ticker.vwap)),
        "low": _text(min(ticker.last, ticker.vwap)),
        "last": _text(ticker.last),
        "volume": _text(ticker.volume),
        "vwap": _text(ticker.vwap),
        "bid": _text(ticker.bid),
        "ask": _text(ticker.ask),
        "side": "0",
        "open_24": _text(ticker.vwap),
        "percent_change_24": "0.00",
    }


def _gemini(name: str, ticker: Ticker) -> Any:
    base, quote = name[:-3].upper(), name[-3:].upper()
    volume = {base: _text(ticker.volume), quote: _text(ticker.quote_volume), "timestamp": _ms(ticker.time)}
    return {"bid": _text(ticker.bid), "ask": _text(ticker.ask), "last": _text(ticker.last), "volume": volume}


def _okx(name: str, ticker: Ticker) -> Any:
    row = {
        "instType": "SPOT",
        "instId": name,
        "last": _text(ticker.last),
        "lastSz": "0.01",
        "askPx": _text(ticker.ask),
        "askSz": "1",
        "bidPx": _text(ticker.bid),
        "bidSz": "1",
        "open24h": _text(ticker.vwap),
        "high24h": _text(max(ticker.last, ticker.vwap)),
        "low24h": _text(min(ticker.last, ticker.vwap)),
        "volCcy24h": _text(ticker.quote_volume),
        "vol24h": _text(ticker.volume),
        "ts": str(_ms(ticker.time)),
    }
    return {"code": "0", "msg": "", "data": [row]}


def _bybit(name: str, ticker: Ticker) -> Any:
    row = {
        "symbol": name,
        "bid1Price": _text(ticker.bid),
        "bid1Size": "1",
        "ask1Price": _text(ticker.ask),
        "ask1Size": "1",
        "lastPrice": _text(ticker.last),
        "prevPrice24h": _text(ticker.vwap),
        "price24hPcnt": "0.0000",
        "highPrice24h": _text(max(ticker.last, ticker.vwap)),
        "lowPrice24h": _text(min(ticker.last, ticker.vwap)),
        "turnover24h": _text(ticker.quote_volume),
        "volume24h": _text(ticker.volume),
    }
    result = {"category": "spot", "list": [row]}
    return {"retCode": 0, "retMsg": "OK", "result": result, "retExtInfo": {}, "time": _ms(ticker.time)}


def _in_query(key: str) -> Callable[[Request], str]:
    return lambda request: request.query.get(key, "")


def _in_path(request: Request) -> str:
    return request.path["symbol"]


_LIST = (
    Venue(
        VenueModel("binance", lag_s=0.1, share=0.45),
        "/api/v3/ticker/24hr",
        lambda name: f"/api/v3/ticker/24hr?symbol={name}",
        _in_query("symbol"),
        _joined("", "USDT"),
        _binance,
        lambda _: Answer(400, {"code": -1121, "msg": "Invalid symbol."}),
    ),
    Venue(
        VenueModel("coinbase", lag_s=0.2, share=0.16),
        "/products/{symbol}/ticker",
        lambda name: f"/products/{name}/ticker",
        _in_path,
        _joined("-"),
        _coinbase,
        lambda _: Answer(404, {"message": "NotFound"}),
    ),
    Venue(
        VenueModel("kraken", lag_s=0.3, share=0.08),
        "/0/public/Ticker",
        lambda name: f"/0/public/Ticker?pair={name}",
        _in_query("pair"),
        _kraken_name,
        _kraken,
        lambda _: Answer(200, {"error": ["EQuery:Unknown asset pair"]}),
    ),
    Venue(
        VenueModel("bitstamp", lag_s=0.4, noise=0.0002, share=0.04),
        "/api/v2/ticker/{symbol}/",
        lambda name: f"/api/v2/ticker/{name}/",
        _in_path,
        _joined(lower=True),
        _bitstamp,
        lambda _: Answer(404, {"code": "404", "message": "Not Found"}),
    ),
    Venue(
        VenueModel("gemini", lag_s=0.4, noise=0.00025, spread=0.0004, share=0.02),
        "/v1/pubticker/{symbol}",
        lambda name: f"/v1/pubticker/{name}",
        _in_path,
        _joined(lower=True),
        _gemini,
        lambda name: Answer(
            400,
            {"result": "error", "reason": "Bad Request", "message": f"Supplied value '{name}' is not a valid symbol"},
        ),
    ),
    Venue(
        VenueModel("okx", lag_s=0.15, share=0.13),
        "/api/v5/market/ticker",
        lambda name: f"/api/v5/market/ticker?instId={name}",
        _in_query("instId"),
        _joined("-", "USDT"),
        _okx,
        lambda name: Answer(200, {"code": "51001", "msg": f"Instrument ID, {name}, doesn't exist.", "data": []}),
    ),
    Venue(
        VenueModel("bybit", lag_s=0.2, share=0.12),
        "/v5/market/tickers",
        lambda name: f"/v5/market/tickers?category=spot&symbol={name}",
        _in_query("symbol"),
        _joined("", "USDT"),
        _bybit,
        lambda _: Answer(
            200, {"retCode": 10001, "retMsg": "Not supported symbols", "result": {}, "retExtInfo": {}, "time": 0}
        ),
    ),
)

VENUES: Mapping[str, Venue] = {venue.name: venue for venue in _LIST}
