"""The catalogue of websocket tickers: what to send and where a message holds what. Pure.

    subscribe(symbols) -> messages to send        read(document) -> ticks, an acknowledgement, a refusal, or nothing

A tick is the symbol and the part of the message that holds its values; `source.read_quote` reads it like a reply over
HTTP. Shapes follow the venues' public websocket documentation and the parsers of ccxt 4.5 (`pro`). A market against
USDT or USDC is never one against USD.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, TypeAlias

from seamark.oracle.model import Pair
from seamark.oracle.sources.source import Fields, TimeUnit
from seamark.oracle.sources.venues import FieldPaths, to_fields, words_of

__all__ = [
    "STREAMS",
    "Event",
    "Nothing",
    "Reader",
    "Reconnect",
    "Refused",
    "Reply",
    "Stream",
    "StreamSource",
    "Ticks",
    "stream_at",
]

BYBIT_ARGS: Final = 10  # topics in one request on the spot market
BINANCE_ARGS: Final = 200  # well below the 1024 streams of one connection
OKX_ARGS: Final = 100  # a request may have 4096 bytes; one argument has about 40


@dataclass(frozen=True, slots=True)
class Ticks:
    """New values: (symbol as subscribed, the document that holds them)."""

    items: tuple[tuple[str, Any], ...]


@dataclass(frozen=True, slots=True)
class Refused:
    """The venue does not take a subscription. `symbol` is empty where it does not say which."""

    detail: str
    symbol: str = ""


@dataclass(frozen=True, slots=True)
class Reconnect:
    """The venue asks us to come back on a new connection."""


@dataclass(frozen=True, slots=True)
class Nothing:
    """A heartbeat, an acknowledgement, a pong: a sign of life and no more."""


@dataclass(frozen=True, slots=True)
class Reply:
    """The venue wants this said back at once."""

    text: str


Event: TypeAlias = Ticks | Refused | Reconnect | Reply | Nothing
Reader: TypeAlias = Callable[[Any], Event]


@dataclass(frozen=True, slots=True)
class Stream:
    """One venue's ticker over a websocket.

    `symbol` is a template as in `venues`. `subscribe` makes the messages for many symbols. `ping` is sent every
    `ping_every` seconds where the venue wants one (text, as is); the websocket's own pings are answered anyway.
    `make_reader` makes one for each connection, in place of `read`, where messages mean what earlier ones said.
    `gzip`: each message is compressed by itself.
    """

    name: str
    url: str
    symbol: str
    quotes: frozenset[str]
    fields: FieldPaths
    subscribe: Callable[[Sequence[str]], list[str]]
    read: Callable[[Any], Event]
    ping: str | None = None
    ping_every: float = 20.0
    aliases: Mapping[str, str] = field(default_factory=dict)
    make_reader: Callable[[], Reader] | None = None
    gzip: bool = False

    def reader(self) -> Reader:
        """What reads the messages of one connection."""
        return self.read if self.make_reader is None else self.make_reader()

    def lists(self, pair: Pair) -> bool:
        """Whether it quotes against this very currency."""
        return pair.quote in self.quotes


@dataclass(frozen=True, slots=True)
class StreamSource:
    """One market at one venue, over the venue's websocket.

    `silence` is after how many seconds without a value the source counts as failing.
    """

    name: str
    venue: str
    stream: Stream
    symbol: str
    fields: Fields
    deadline: float = 10.0
    silence: float = 60.0
    weight: int = 1
    max_age: float | None = None


def stream_at(stream: Stream, pair: Pair, *, name: str, deadline: float, silence: float) -> StreamSource:
    """The source for a pair.

    Raises:
        ValueError: The venue does not quote against that currency.
    """
    if not stream.lists(pair):
        raise ValueError(
            f"{stream.name} lists no market against {pair.quote}; use one of {', '.join(sorted(stream.quotes))}"
        )
    words = words_of(pair, stream.aliases)
    symbol = stream.symbol.format(**words)
    return StreamSource(name, stream.name, stream, symbol, to_fields(stream.fields, words), deadline, silence)


def _text(message: Mapping[str, Any]) -> str:
    return json.dumps(message, separators=(",", ":"))


def _chunks(symbols: Sequence[str], size: int) -> list[Sequence[str]]:
    return [symbols[start : start + size] for start in range(0, len(symbols), size)]


def _rows(value: Any) -> list[dict[str, Any]]:
    return [row for row in value if isinstance(row, dict)] if isinstance(value, list) else []


# ---- Binance --------------------------------------------------------------------------------------------------------


def _binance_subscribe(symbols: Sequence[str]) -> list[str]:
    chunks = _chunks([f"{symbol.lower()}@ticker" for symbol in symbols], BINANCE_ARGS)
    return [_text({"method": "SUBSCRIBE", "params": chunk, "id": number}) for number, chunk in enumerate(chunks, 1)]


def _binance_read(message: Any) -> Event:
    if not isinstance(message, dict):
        return Nothing()
    if "error" in message or ("code" in message and "msg" in message):
        error = message["error"] if isinstance(message.get("error"), dict) else message
        return Refused(str(error.get("msg")))
    data = message.get("data")
    if isinstance(data, dict) and data.get("e") == "24hrTicker":
        return Ticks(((str(data.get("s")), data),))
    return Reconnect() if isinstance(data, dict) and data.get("e") == "serverShutdown" else Nothing()


# ---- Coinbase Exchange ----------------------------------------------------------------------------------------------


def _coinbase_subscribe(symbols: Sequence[str]) -> list[str]:
    # The heartbeat comes every second: a quiet market and a dead connection are told apart.
    return [_text({"type": "subscribe", "product_ids": list(symbols), "channels": ["ticker", "heartbeat"]})]


def _coinbase_read(message: Any) -> Event:
    if not isinstance(message, dict):
        return Nothing()
    if message.get("type") == "error":
        return Refused(f"{message.get('message')}: {message.get('reason')}")
    if message.get("type") == "ticker":
        return Ticks(((str(message.get("product_id")), message),))
    return Nothing()


# ---- Kraken, version 2 ----------------------------------------------------------------------------------------------


def _kraken_subscribe(symbols: Sequence[str]) -> list[str]:
    return [_text({"method": "subscribe", "params": {"channel": "ticker", "symbol": list(symbols)}})]


def _kraken_read(message: Any) -> Event:
    if not isinstance(message, dict):
        return Nothing()
    if message.get("success") is False:
        return Refused(str(message.get("error")), str(message.get("symbol") or ""))
    if message.get("channel") == "ticker":
        return Ticks(tuple((str(row.get("symbol")), row) for row in _rows(message.get("data"))))
    return Nothing()


# ---- Bitstamp -------------------------------------------------------------------------------------------------------

_BITSTAMP_CHANNEL: Final = "live_trades_"


def _bitstamp_subscribe(symbols: Sequence[str]) -> list[str]:
    return [_text({"event": "bts:subscribe", "data": {"channel": f"{_BITSTAMP_CHANNEL}{item}"}}) for item in symbols]


def _bitstamp_read(message: Any) -> Event:
    if not isinstance(message, dict):
        return Nothing()
    data, channel = message.get("data"), str(message.get("channel") or "")
    match message.get("event"):
        case "trade" if isinstance(data, dict):
            return Ticks(((channel.removeprefix(_BITSTAMP_CHANNEL), data),))
        case "bts:request_reconnect":
            return Reconnect()
        case "bts:error":
            detail = data.get("message") if isinstance(data, dict) else data
            return Refused(str(detail), channel.removeprefix(_BITSTAMP_CHANNEL))
    return Nothing()


# ---- OKX ------------------------------------------------------------------------------------------------------------


def _okx_subscribe(symbols: Sequence[str]) -> list[str]:
    arguments = [{"channel": "tickers", "instId": symbol} for symbol in symbols]
    return [_text({"op": "subscribe", "args": chunk}) for chunk in _chunk_arguments(arguments)]


def _chunk_arguments(arguments: list[dict[str, str]]) -> list[list[dict[str, str]]]:
    return [arguments[start : start + OKX_ARGS] for start in range(0, len(arguments), OKX_ARGS)]


def _okx_read(message: Any) -> Event:
    if not isinstance(message, dict):
        return Nothing()
    if message.get("event") == "error":
        return Refused(f"{message.get('code')} {message.get('msg')}")
    if message.get("event") == "notice":  # 64008: the service is upgraded soon, come again
        return Reconnect()
    return Ticks(tuple((str(row.get("instId")), row) for row in _rows(message.get("data"))))


# ---- Bybit, version 5, spot -----------------------------------------------------------------------------------------


def _bybit_subscribe(symbols: Sequence[str]) -> list[str]:
    chunks = _chunks([f"tickers.{symbol}" for symbol in symbols], BYBIT_ARGS)
    return [_text({"op": "subscribe", "args": chunk}) for chunk in chunks]


def _bybit_read(message: Any) -> Event:
    if not isinstance(message, dict):
        return Nothing()
    if message.get("success") is False:
        return Refused(str(message.get("ret_msg")))
    data = message.get("data")
    if str(message.get("topic") or "").startswith("tickers.") and isinstance(data, dict):
        return Ticks(((str(data.get("symbol")), message),))
    return Nothing()


# ---- Gemini, market data version 2 ----------------------------------------------------------------------------------


def _gemini_subscribe(symbols: Sequence[str]) -> list[str]:
    return [_text({"type": "subscribe", "subscriptions": [{"name": "l2", "symbols": list(symbols)}]})]


def _gemini_read(message: Any) -> Event:
    if not isinstance(message, dict):
        return Nothing()
    if message.get("result") == "error":
        return Refused(f"{message.get('reason')}: {message.get('message')}")
    if message.get("type") == "trade":
        return Ticks(((str(message.get("symbol")), message),))
    if message.get("type") == "l2_updates":  # the first one brings the latest trades, the newest first
        return Ticks(tuple((str(row.get("symbol")), row) for row in _rows(message.get("trades"))[:1]))
    return Nothing()


# ---- Gate, version 4 ------------------------------------------------------------------------------------------------

# Its requests hold a time, which the venue checks with signed ones alone.
_GATE_PING: Final = '{"time":1,"channel":"spot.ping"}'


def _gate_subscribe(symbols: Sequence[str]) -> list[str]:
    return [_text({"time": 1, "channel": "spot.tickers", "event": "subscribe", "payload": list(symbols)})]


def _gate_read(message: Any) -> Event:
    if not isinstance(message, dict):
        return Nothing()
    if isinstance(error := message.get("error"), dict):
        return Refused(f"{error.get('code')} {error.get('message')}")
    result = message.get("result")
    if message.get("channel") == "spot.tickers" and message.get("event") == "update" and isinstance(result, dict):
        return Ticks(((str(result.get("currency_pair")), message),))
    return Nothing()


# ---- HTX ------------------------------------------------------------------------------------------------------------


def _htx_subscribe(symbols: Sequence[str]) -> list[str]:
    return [_text({"sub": f"market.{symbol}.ticker", "id": symbol}) for symbol in symbols]


def _htx_read(message: Any) -> Event:
    if not isinstance(message, dict):
        return Nothing()
    if "ping" in message:  # two unanswered ones, and the venue hangs up
        return Reply(_text({"pong": message["ping"]}))
    if message.get("status") == "error":
        return Refused(f"{message.get('err-code')} {message.get('err-msg')}", str(message.get("id") or ""))
    parts = str(message.get("ch") or "").split(".")
    if parts[0] == "market" and parts[2:] == ["ticker"] and isinstance(message.get("tick"), dict):
        return Ticks(((parts[1], message),))
    return Nothing()


# ---- Bitfinex, version 2 --------------------------------------------------------------------------------------------

_BITFINEX_COMES_BACK: Final = frozenset({20051, 20061})  # "reconnect", and the end of maintenance


def _bitfinex_subscribe(symbols: Sequence[str]) -> list[str]:
    return [_text({"event": "subscribe", "channel": "ticker", "symbol": symbol}) for symbol in symbols]


def _bitfinex_reader() -> Reader:
    """Rows come under a number that the venue gave the subscription."""
    channels: dict[Any, str] = {}

    def read(message: Any) -> Event:
        if isinstance(message, dict):
            return _bitfinex_event(message, channels)
        if isinstance(message, list) and len(message) == 2 and isinstance(message[1], list):  # noqa: PLR2004 - id, row
            symbol = channels.get(message[0])
            return Nothing() if symbol is None else Ticks(((symbol, {"row": message[1]}),))
        return Nothing()

    return read


def _bitfinex_event(message: Mapping[str, Any], channels: dict[Any, str]) -> Event:
    match message.get("event"):
        case "subscribed":
            channels[message.get("chanId")] = str(message.get("symbol"))
        case "error":
            return Refused(f"{message.get('code')} {message.get('msg')}", str(message.get("symbol") or ""))
        case "info" if message.get("code") in _BITFINEX_COMES_BACK:
            return Reconnect()
    return Nothing()


_CATALOGUE: Final = (
    Stream(
        name="binance",
        url="wss://stream.binance.com:9443/stream",
        symbol="{base}{quote}",
        quotes=frozenset({"USDT", "USDC", "FDUSD", "BTC", "ETH", "BNB", "EUR", "TRY", "JPY", "BRL"}),
        fields=FieldPaths("c", bid="b", ask="a", volume="v", time="E"),
        subscribe=_binance_subscribe,
        read=_binance_read,
    ),
    Stream(
        name="coinbase",
        url="wss://ws-feed.exchange.coinbase.com",
        symbol="{base}-{quote}",
        quotes=frozenset({"USD", "EUR", "GBP", "BTC", "ETH", "USDT"}),
        fields=FieldPaths(
            "price", bid="best_bid", ask="best_ask", volume="volume_24h", time="time", time_unit=TimeUnit.ISO8601
        ),
        subscribe=_coinbase_subscribe,
        read=_coinbase_read,
    ),
    Stream(
        name="kraken",
        url="wss://ws.kraken.com/v2",
        symbol="{base}/{quote}",
        quotes=frozenset({"USD", "EUR", "GBP", "CAD", "CHF", "JPY", "AUD", "BTC", "ETH", "USDT", "USDC"}),
        # Its ticker has no time in older deployments of version 2, so none is relied on.
        fields=FieldPaths("last", bid="bid", ask="ask", volume="volume"),
        subscribe=_kraken_subscribe,
        read=_kraken_read,
        ping='{"method":"ping"}',
    ),
    Stream(
        name="bitstamp",
        url="wss://ws.bitstamp.net",
        symbol="{base_lower}{quote_lower}",
        quotes=frozenset({"USD", "EUR", "GBP", "BTC", "USDT", "USDC"}),
        fields=FieldPaths("price_str", time="microtimestamp", time_unit=TimeUnit.MICROSECONDS),  # trades, no book
        subscribe=_bitstamp_subscribe,
        read=_bitstamp_read,
        ping='{"event":"bts:heartbeat"}',
    ),
    Stream(
        name="okx",
        url="wss://ws.okx.com:8443/ws/v5/public",
        symbol="{base}-{quote}",
        quotes=frozenset({"USDT", "USDC", "BTC", "ETH", "EUR"}),
        fields=FieldPaths("last", bid="bidPx", ask="askPx", volume="vol24h", time="ts"),
        subscribe=_okx_subscribe,
        read=_okx_read,
        ping="ping",  # text, not JSON; so is the answer
    ),
    Stream(
        name="bybit",
        url="wss://stream.bybit.com/v5/public/spot",
        symbol="{base}{quote}",
        quotes=frozenset({"USDT", "USDC", "BTC", "ETH", "EUR"}),
        fields=FieldPaths("data.lastPrice", volume="data.volume24h", time="ts"),  # spot tickers show no book
        subscribe=_bybit_subscribe,
        read=_bybit_read,
        ping='{"op":"ping"}',
    ),
    Stream(
        name="gemini",
        url="wss://api.gemini.com/v2/marketdata",
        symbol="{base}{quote}",
        quotes=frozenset({"USD", "EUR", "GBP", "SGD", "BTC", "ETH", "USDT"}),
        fields=FieldPaths("price", time="timestamp"),  # trades; its book would have to be kept
        subscribe=_gemini_subscribe,
        read=_gemini_read,
    ),
    Stream(
        name="gate",
        url="wss://api.gateio.ws/ws/v4/",
        symbol="{base}_{quote}",
        quotes=frozenset({"USDT", "USDC", "BTC", "ETH"}),
        fields=FieldPaths(
            "result.last",
            bid="result.highest_bid",
            ask="result.lowest_ask",
            volume="result.base_volume",
            time="time",
            time_unit=TimeUnit.SECONDS,
        ),
        subscribe=_gate_subscribe,
        read=_gate_read,
        ping=_GATE_PING,
    ),
    Stream(
        name="htx",
        url="wss://api.huobi.pro/ws",
        symbol="{base_lower}{quote_lower}",
        quotes=frozenset({"USDT", "USDC", "BTC", "ETH"}),
        fields=FieldPaths("tick.lastPrice", bid="tick.bid", ask="tick.ask", volume="tick.amount", time="ts"),
        subscribe=_htx_subscribe,
        read=_htx_read,
        gzip=True,
    ),
    Stream(
        name="bitfinex",
        url="wss://api-pub.bitfinex.com/ws/2",
        symbol="t{base}{colon}{quote}",
        quotes=frozenset({"USD", "EUR", "GBP", "JPY", "BTC", "ETH", "USDT"}),
        fields=FieldPaths("row[6]", bid="row[0]", ask="row[2]", volume="row[7]"),
        subscribe=_bitfinex_subscribe,
        read=lambda _: Nothing(),
        make_reader=_bitfinex_reader,
        ping='{"event":"ping"}',
        aliases={"USDT": "UST", "USDC": "UDC"},
    ),
)

STREAMS: Final[Mapping[str, Stream]] = {stream.name: stream for stream in _CATALOGUE}
