"""A venue that speaks websockets in the shapes of the real ones, and does what tests tell it to."""

import gzip
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any, Self

from aiohttp import WSMsgType, web

START_MS = 1_700_000_000_000


def _binance(symbol: str, price: str) -> Any:
    ticker = {
        "e": "24hrTicker", "E": START_MS, "s": symbol, "c": price, "b": price, "a": price, "v": "100.5", "q": "7",
        "C": START_MS - 5,
    }  # fmt: skip
    return {"stream": f"{symbol.lower()}@ticker", "data": ticker}


def _coinbase(symbol: str, price: str) -> Any:
    return {
        "type": "ticker", "sequence": 1, "product_id": symbol, "price": price, "open_24h": "1", "volume_24h": "100.5",
        "best_bid": price, "best_ask": price, "side": "buy", "time": "2023-11-14T22:13:20.000000Z", "last_size": "1",
    }  # fmt: skip


def _kraken(symbol: str, price: str) -> Any:
    number = RawNumber(price)
    row = {"symbol": symbol, "bid": number, "ask": number, "last": number, "volume": RawNumber("100.5"), "vwap": 1}
    return {"channel": "ticker", "type": "update", "data": [row]}


def _bitstamp(symbol: str, price: str) -> Any:
    trade = {
        "id": 1, "amount": 0.1, "amount_str": "0.1", "price": 1, "price_str": price, "type": 0,
        "timestamp": str(START_MS // 1000), "microtimestamp": str(START_MS * 1000),
    }  # fmt: skip
    return {"data": trade, "channel": f"live_trades_{symbol}", "event": "trade"}


def _okx(symbol: str, price: str) -> Any:
    row = {"instType": "SPOT", "instId": symbol, "last": price, "bidPx": price, "askPx": price, "vol24h": "100.5"}
    return {"arg": {"channel": "tickers", "instId": symbol}, "data": [{**row, "ts": str(START_MS)}]}


def _bybit(symbol: str, price: str) -> Any:
    data = {"symbol": symbol, "lastPrice": price, "volume24h": "100.5", "turnover24h": "7"}
    return {"topic": f"tickers.{symbol}", "ts": START_MS, "type": "snapshot", "cs": 1, "data": data}


def _gemini(symbol: str, price: str) -> Any:
    return {
        "type": "trade", "symbol": symbol, "event_id": 122278173770, "timestamp": START_MS, "price": price,
        "quantity": "0.04", "side": "buy",
    }  # fmt: skip


def _gate(symbol: str, price: str) -> Any:
    row = {
        "currency_pair": symbol, "last": price, "lowest_ask": price, "highest_bid": price, "change_percentage": "-4.0",
        "base_volume": "100.5", "quote_volume": "7", "high_24h": "47698", "low_24h": "42721.03",
    }  # fmt: skip
    return {"time": START_MS // 1000, "channel": "spot.tickers", "event": "update", "result": row}


def _htx(symbol: str, price: str) -> Any:
    number = RawNumber(price)
    tick = {"open": 1, "close": number, "amount": RawNumber("100.5"), "bid": number, "ask": number, "lastPrice": number}
    return {"ch": f"market.{symbol}.ticker", "ts": START_MS, "tick": tick}


def _bitfinex(symbol: str, price: str) -> Any:
    """Two messages: the number of the subscription, and a row under it."""
    number = RawNumber(price)
    row = [number, 1, number, 1, 0, 0, number, RawNumber("100.5"), 1, 1]
    return [{"event": "subscribed", "channel": "ticker", "chanId": 7, "symbol": symbol}, [7, row]]


class RawNumber(float):
    """A JSON number with the digits it was given."""

    text: str

    def __new__(cls, text: str) -> Self:
        made = super().__new__(cls, text)
        made.text = text
        return made

    def __repr__(self) -> str:
        return self.text


TICKS: dict[str, Callable[[str, str], Any]] = {
    "binance": _binance, "coinbase": _coinbase, "kraken": _kraken, "bitstamp": _bitstamp, "okx": _okx, "bybit": _bybit,
    "gemini": _gemini, "gate": _gate, "htx": _htx, "bitfinex": _bitfinex,
}  # fmt: skip
SYMBOLS = {
    "binance": "ETHUSDT", "coinbase": "ETH-USD", "kraken": "ETH/USD", "bitstamp": "ethusd", "okx": "ETH-USDT",
    "bybit": "ETHUSDT", "gemini": "ETHUSD", "gate": "ETH_USDT", "htx": "ethusdt", "bitfinex": "tETHUSD",
}  # fmt: skip
QUOTES = {"binance": "USDT", "okx": "USDT", "bybit": "USDT", "gate": "USDT", "htx": "USDT"}
MANY = {"bitfinex"}
"""Whose tick is several messages."""


def dumps(document: Any) -> str:
    """JSON in which a `RawNumber` keeps its digits."""
    marks: dict[str, str] = {}

    def mark(value: Any) -> Any:
        if isinstance(value, RawNumber):
            key = f"@{len(marks)}@"
            marks[f'"{key}"'] = value.text
            return key
        if isinstance(value, dict):
            return {name: mark(item) for name, item in value.items()}
        return [mark(item) for item in value] if isinstance(value, list) else value

    text = json.dumps(mark(document))
    for key, number in marks.items():
        text = text.replace(key, number)
    return text


class StreamVenue:
    """Serves one websocket address. `greeting` is sent to each connection after its first message."""

    def __init__(self) -> None:
        self.url = ""
        self.heard: list[str] = []
        self.sockets: list[web.WebSocketResponse] = []
        self.greeting: list[Any] = []
        self.connections = 0
        self.refuse = False
        self.elsewhere = ""
        self.gzip = False

    async def handle(self, request: web.Request) -> web.StreamResponse:
        self.connections += 1
        if self.refuse:
            return web.Response(status=503)
        if self.elsewhere:
            raise web.HTTPFound(self.elsewhere)
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        self.sockets.append(socket)
        async for message in socket:
            if message.type is WSMsgType.TEXT:
                await self._heard(socket, message.data)
        return socket

    async def _heard(self, socket: web.WebSocketResponse, text: str) -> None:
        self.heard.append(text)
        if text == "ping":
            await socket.send_str("pong")
        for item in self.greeting if "ubscri" in text.lower() or '"sub":' in text else []:
            await self._send(socket, item)

    async def tell(self, item: Any) -> None:
        await self._send(self.sockets[-1], item)

    async def _send(self, socket: web.WebSocketResponse, item: Any) -> None:
        text = item if isinstance(item, str) else dumps(item)
        if self.gzip:
            await socket.send_bytes(gzip.compress(text.encode()))
        else:
            await socket.send_str(text)


@asynccontextmanager
async def stream_venue() -> AsyncIterator[StreamVenue]:
    """Serves on loopback."""
    made = StreamVenue()
    runner = web.AppRunner(web.Application(), shutdown_timeout=0.1)
    runner.app.router.add_get("/", made.handle)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    made.url = f"ws://127.0.0.1:{runner.addresses[0][1]}/"
    yield made
    await runner.cleanup()
