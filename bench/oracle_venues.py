"""The exchanges of the oracle benchmarks, in a process of its own: raw sockets, so that a core is enough to serve them.

    python -m bench.oracle_venues FEEDS TICKS_PER_SECOND CORE

It prints its port, takes another number of ticks per second (of all websockets together) with each line of its input,
and serves until that is closed.

Nine venues tell tickers over websockets in the shapes of six exchanges; over HTTP with keep-alive one answers with all
markets at once (/tickers), one with a market a reply. Each shows every market, F0/USD to Fn/USD. A market's tick is due
once a period at each venue, spread evenly over the period and the venues. Values change with every tick. A price
wanders by some hundredths of a percent and seldom by more. Where a shape has a time it is that of the sending, in the
venue's unit: the reader can tell how old it is when it is used.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import os
import random
import socket
import sys
import time
from collections.abc import Callable

HOST = "127.0.0.1"
SLOT_S = 0.01
STEP = 40e-6  # deviation of a price's step, relative: 0.5 % is crossed in some hours
NOISE = 50e-6  # between venues
STREAMS = ("binance", "coinbase", "kraken", "bitstamp", "okx", "bybit", "binance-b", "coinbase-b", "okx-b")
LISTED = "listed"
"""Over HTTP: all markets in one reply, as most exchanges offer them (/tickers)."""

ASKED = "gemini"
"""Over HTTP: one market a reply."""

_KEY = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"  # RFC 6455


def _iso(now: float) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(now)) + f".{int(now % 1 * 1e6):06d}Z"


def _binance(n: int, price: str, low: str, high: str, now: float) -> str:
    ms = int(now * 1000)
    return (
        f'{{"stream":"f{n}usd@ticker","data":{{"e":"24hrTicker","E":{ms},"s":"F{n}USD","p":"-12.40","P":"-0.620",'
        f'"w":"{price}","x":"{price}","c":"{price}","Q":"0.10000000","b":"{low}","B":"3.00000000","a":"{high}",'
        f'"A":"2.10000000","o":"{price}","h":"{high}","l":"{low}","v":"18234.12345000","q":"36512345.12000000",'
        f'"O":{ms},"C":{ms},"F":1,"L":9,"n":9}}}}'
    )


def _coinbase(n: int, price: str, low: str, high: str, now: float) -> str:
    return (
        f'{{"type":"ticker","sequence":{int(now * 1000)},"product_id":"F{n}-USD","price":"{price}",'
        f'"open_24h":"{price}","volume_24h":"9123.12345678","low_24h":"{low}","high_24h":"{high}","volume_30d":"312345.1","best_bid":"{low}",'
        f'"best_bid_size":"1.1","best_ask":"{high}","best_ask_size":"0.9","side":"buy","time":"{_iso(now)}",'
        f'"trade_id":1234567,"last_size":"0.01"}}'
    )


def _kraken(n: int, price: str, low: str, high: str, _now: float) -> str:
    return (
        f'{{"channel":"ticker","type":"update","data":[{{"symbol":"F{n}/USD","bid":{low},"bid_qty":1.5,"ask":{high},'
        f'"ask_qty":2.5,"last":{price},"volume":3123.12345678,"vwap":{price},"low":{low},"high":{high},"change":-1.2,'
        f'"change_pct":-0.06}}]}}'
    )


def _bitstamp(n: int, price: str, _low: str, _high: str, now: float) -> str:
    return (
        f'{{"data":{{"id":312345678,"timestamp":"{int(now)}","amount":0.01,"amount_str":"0.01000000","price":{price},'
        f'"price_str":"{price}","type":0,"microtimestamp":"{int(now * 1e6)}","buy_order_id":1,"sell_order_id":2}},'
        f'"channel":"live_trades_f{n}usd","event":"trade"}}'
    )


def _okx(n: int, price: str, low: str, high: str, now: float) -> str:
    return (
        f'{{"arg":{{"channel":"tickers","instId":"F{n}-USD"}},"data":[{{"instType":"SPOT","instId":"F{n}-USD",'
        f'"last":"{price}","lastSz":"0.1","askPx":"{high}","askSz":"1","bidPx":"{low}","bidSz":"2","open24h":"{price}",'
        f'"high24h":"{high}","low24h":"{low}","sodUtc0":"{price}","sodUtc8":"{price}","volCcy24h":"36512345.12",'
        f'"vol24h":"18234.12345","ts":"{int(now * 1000)}"}}]}}'
    )


def _bybit(n: int, price: str, low: str, high: str, now: float) -> str:
    return (
        f'{{"topic":"tickers.F{n}USD","ts":{int(now * 1000)},"type":"snapshot","cs":2588407389,"data":{{"symbol":'
        f'"F{n}USD","lastPrice":"{price}","highPrice24h":"{high}","lowPrice24h":"{low}","prevPrice24h":"{price}",'
        f'"volume24h":"6780.866843","turnover24h":"141946527.22","price24hPcnt":"0.0196","usdIndexPrice":""}}}}'
    )


def _gemini(n: int, price: str, low: str, high: str, now: float) -> str:
    return (
        f'{{"bid":"{low}","ask":"{high}","volume":{{"F{n}":"2210.505","USD":"2135477.46","timestamp":'
        f'{int(now * 1000)}}},"last":"{price}"}}'
    )


def _listed(n: int, price: str, low: str, high: str, now: float) -> str:
    return f'"F{n}":{{"last":"{price}","bid":"{low}","ask":"{high}","volume":"2210.505","time":{int(now * 1000)}}}'


SHAPES: dict[str, Callable[[int, str, str, str, float], str]] = {
    "binance": _binance,
    "coinbase": _coinbase,
    "kraken": _kraken,
    "bitstamp": _bitstamp,
    "okx": _okx,
    "bybit": _bybit,
    "gemini": _gemini,
    "listed": _listed,
}


class Markets:
    """Prices, and how a venue tells one."""

    def __init__(self, count: int) -> None:
        self.count = count
        self._prices = [1000.0 + at for at in range(count)]

    def ticker(self, venue: str, number: int) -> bytes:
        self._prices[number] *= 1 + random.gauss(0, STEP)
        price = self._prices[number] * (1 + random.gauss(0, NOISE))
        texts = f"{price:.4f}", f"{price * 0.9999:.4f}", f"{price * 1.0001:.4f}"
        return SHAPES[venue.partition("-")[0]](number, *texts, time.time()).encode()

    def answer(self, path: str) -> bytes:
        """To a request over HTTP."""
        if path == "/tickers":
            return b"{" + b",".join(self.ticker(LISTED, number) for number in range(self.count)) + b"}"
        return self.ticker(ASKED, int(path.rpartition("/")[2].removeprefix("f").removesuffix("usd")))


def frame(payload: bytes) -> bytes:
    """A text frame from a server (RFC 6455, 5.2)."""
    size = len(payload)
    head = bytes((0x81, size)) if size < 126 else b"\x81\x7e" + size.to_bytes(2, "big")
    return head + payload


class Client(asyncio.Protocol):
    """One connection: HTTP until it asks for a websocket. What a websocket client sends is taken for a subscription to
    all markets, whatever it says.
    """

    def __init__(self, markets: Markets, listening: dict[str, set[Client]]) -> None:
        self._markets = markets
        self._listening = listening
        self._head = b""
        self._venue = ""
        self.transport: asyncio.Transport | None = None
        self.told = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - of no interest
        self._listening.get(self._venue, set()).discard(self)

    def data_received(self, data: bytes) -> None:
        if self._venue:
            self._listening[self._venue].add(self)
            return
        self._head += data
        while b"\r\n\r\n" in self._head:
            head, _, self._head = self._head.partition(b"\r\n\r\n")
            self._answer(head)

    def _answer(self, head: bytes) -> None:
        assert self.transport is not None
        path = head.split(b" ", 2)[1].decode()
        key = next((line[19:] for line in head.split(b"\r\n") if line.lower().startswith(b"sec-websocket-key: ")), None)
        if key is not None:
            accept = base64.b64encode(hashlib.sha1(key.strip() + _KEY).digest())
            self.transport.write(
                b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                b"Sec-WebSocket-Accept: " + accept + b"\r\n\r\n"
            )
            self._venue = path.strip("/")
            return
        body = self._markets.answer(path)
        size = str(len(body)).encode()
        head = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: " + size + b"\r\n\r\n"
        self.transport.write(head + body)


class Teller:
    """Sends each market's ticks when they are due; what is late is sent as soon as it can be."""

    def __init__(self, markets: Markets, listening: dict[str, set[Client]]) -> None:
        self._markets = markets
        self._listening = listening
        self._due: list[list[tuple[str, int]]] = []
        self._began, self._turn = 0.0, 0

    def pace(self, rate: float) -> None:
        """Ticks per second of all websockets together, from now on."""
        slots = max(1, round(self._markets.count * len(STREAMS) / rate / SLOT_S))
        self._due = [[] for _ in range(slots)]
        for at, venue in enumerate(STREAMS):
            for number in range(self._markets.count):
                self._due[(number * 37 + at * slots // len(STREAMS)) % slots].append((venue, number))
        self._began, self._turn = time.monotonic(), 0

    async def run(self) -> None:
        while True:
            await asyncio.sleep(max(0.0, self._began + self._turn * SLOT_S - time.monotonic()))
            self._tell(self._due[self._turn % len(self._due)])
            self._turn += 1

    def _tell(self, due: list[tuple[str, int]]) -> None:
        chunks: dict[str, list[bytes]] = {}
        for venue, number in due:
            if self._listening[venue]:
                chunks.setdefault(venue, []).append(frame(self._markets.ticker(venue, number)))
        for venue, frames in chunks.items():
            for client in self._listening[venue]:
                assert client.transport is not None
                client.transport.write(b"".join(frames))


async def main(feeds: int, rate: float, core: int) -> None:
    if core >= 0:
        os.sched_setaffinity(0, {core})
    markets = Markets(feeds)
    listening: dict[str, set[Client]] = {venue: set() for venue in STREAMS}
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: Client(markets, listening), HOST, 0, backlog=1024)
    listener: socket.socket = server.sockets[0]
    print(listener.getsockname()[1], flush=True)
    teller = Teller(markets, listening)
    teller.pace(rate)
    telling = asyncio.create_task(teller.run())
    while line := await asyncio.to_thread(sys.stdin.readline):  # until whoever started us is gone
        teller.pace(float(line))
    telling.cancel()


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]), float(sys.argv[2]), int(sys.argv[3])))
