"""One look at twenty sources that take 100 ms each: how long until there is an answer?"""

from __future__ import annotations

import asyncio
import contextlib
import json
import multiprocessing
import os
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import replace
from decimal import Decimal
from importlib.metadata import version
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import ccxt.async_support as ccxt

from bench.priority import go_first, load_average
from bench.report import Row, percentile
from seamark.oracle.aggregation import aggregate, median
from seamark.oracle.model import AggregationPolicy, Answer, Pair, Quote, SourceReport
from seamark.oracle.sources.poller import QuotePoller
from seamark.oracle.sources.venues import CATALOGUE, source_at
from seamark.runtime.clock import SystemClock
from seamark.runtime.http import make_session

HOW = (
    "Twenty sources in the shape of Coinbase Exchange, each answering 100 ms after it is asked (a process of its own, "
    "keep-alive). A cycle: from the first request until the answer is aggregated. Peers against the same server: ccxt "
    "(asyncio, one exchange object per source, tickers gathered, their median), telliot-feeds (PriceAggregator over "
    "its own CoinbaseSpotPriceSource, its service pointed here; an environment of its own, because it pins old "
    "libraries)."
)
SOURCES = 20
DELAY_S = 0.1
CYCLES = 30
TELLIOT_CYCLES = 3  # each takes seconds
TARGET_MS = 130.0
PAIR = Pair("BTC", "USD")
TELLIOT = "0.2.2"
TELLIOT_PYTHON = "SEAMARK_BENCH_TELLIOT"
"""An interpreter that has telliot-feeds; without it an environment is made in .venv/telliot."""

_HERE = Path(__file__).resolve().parent


# ---- the venue ------------------------------------------------------------------------------------------------------


class _Venue(asyncio.Protocol):
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport: Any = transport

    def data_received(self, data: bytes) -> None:
        for _ in range(data.count(b"\r\n\r\n")):
            asyncio.get_running_loop().call_later(DELAY_S, self._answer)

    def _answer(self) -> None:
        now = time.time()
        moment = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(now)) + f".{int(now % 1 * 1e6):06d}Z"
        quoted = {"price": "64000.12", "bid": "64000.11", "ask": "64000.13", "volume": "1234.5", "time": moment}
        body = json.dumps({**quoted, "trade_id": 1, "size": "0.01"}).encode()
        head = f"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
        self._transport.write(head.encode() + body)


def serve(told: Connection) -> None:
    """In a process of its own; ends with it."""

    async def run() -> None:
        server = await asyncio.get_running_loop().create_server(_Venue, "127.0.0.1", 0, backlog=256)
        told.send(server.sockets[0].getsockname()[1])
        await server.serve_forever()

    asyncio.run(run())


@contextlib.contextmanager
def slow_venue() -> Any:
    """Its address."""
    spawn = multiprocessing.get_context("spawn")
    ours, theirs = spawn.Pipe()
    process = spawn.Process(target=serve, args=(theirs,), daemon=True)
    process.start()
    try:
        yield f"http://127.0.0.1:{ours.recv()}"
    finally:
        process.terminate()
        process.join()


async def timed(cycle: Callable[[], Awaitable[object]], count: int) -> list[float]:
    """Milliseconds of each cycle but the first, which connects."""
    taken = []
    for _ in range(count + 1):
        began = time.perf_counter()
        await cycle()
        taken.append((time.perf_counter() - began) * 1000)
    return taken[1:]


# ---- ours -----------------------------------------------------------------------------------------------------------


async def ours(url: str) -> list[float]:
    shape = CATALOGUE["coinbase"]
    venues = [replace(shape, name=f"venue{number}", base_url=f"{url}/{number}") for number in range(SOURCES)]
    async with make_session() as session:

        async def cycle() -> None:
            clock, told = SystemClock(), asyncio.Queue[SourceReport]()
            poller = QuotePoller(session=session, clock=clock)
            for venue in venues:
                poller.subscribe(source_at(venue, PAIR, deadline=5.0), interval=60.0, subscriber=told.put_nowait)
            running = asyncio.create_task(poller.run())
            reports = [await told.get() for _ in venues]
            quotes = [report for report in reports if isinstance(report, Quote)]
            assert len(quotes) == SOURCES, reports
            answer = aggregate(quotes, now=clock.now(), policy=AggregationPolicy(min_venues=SOURCES), decimals=8)
            assert isinstance(answer, Answer), answer
            running.cancel()
            await asyncio.wait([running])

        return await timed(cycle, CYCLES)


# ---- peers ----------------------------------------------------------------------------------------------------------


@contextlib.asynccontextmanager
async def exchanges(url: str) -> AsyncIterator[list[Any]]:
    names = {"id": "BTC-USD", "symbol": "BTC/USD", "base": "BTC", "quote": "USD", "baseId": "BTC", "quoteId": "USD"}
    precision = {"price": 0.01, "amount": 1e-8}
    market = {**names, "type": "spot", "spot": True, "active": True, "precision": precision, "limits": {}}
    made = []
    for number in range(SOURCES):
        exchange = ccxt.coinbaseexchange({"enableRateLimit": False})
        exchange.urls["api"] = dict.fromkeys(exchange.urls["api"], f"{url}/{number}")
        exchange.set_markets([market])
        made.append(exchange)
    try:
        yield made
    finally:
        await asyncio.gather(*(exchange.close() for exchange in made))


async def by_ccxt(url: str) -> list[float]:
    async with exchanges(url) as made:

        async def cycle() -> None:
            tickers = await asyncio.gather(*(exchange.fetch_ticker("BTC/USD") for exchange in made))
            assert median([Decimal(str(ticker["last"])) for ticker in tickers])

        return await timed(cycle, CYCLES)


def telliot_python() -> Path:
    """With telliot-feeds, installed on first use."""
    if TELLIOT_PYTHON in os.environ:
        return Path(os.environ[TELLIOT_PYTHON])
    bin_folder = Path(sys.prefix) / "bin"
    folder = Path(sys.prefix) / "telliot"
    python = folder / "bin" / "python"
    if not (folder / "installed").exists():
        uv = bin_folder / "uv"
        subprocess.run([uv, "venv", "-q", folder], check=True)
        subprocess.run(
            [uv, "pip", "install", "-q", "--system-certs", "--python", python, f"telliot-feeds=={TELLIOT}"], check=True
        )
        (folder / "installed").touch()
    return python


async def by_telliot(url: str) -> list[float]:
    process = await asyncio.create_subprocess_exec(
        telliot_python(), _HERE / "oracle_cycle_telliot.py", url, str(SOURCES), str(TELLIOT_CYCLES),
        stdout=subprocess.PIPE,
    )  # fmt: skip
    output, _ = await process.communicate()
    if process.returncode:
        raise RuntimeError(f"telliot-feeds ended with status {process.returncode}")
    return list(json.loads(output.splitlines()[-1]))


async def run() -> list[Row]:
    go_first(os.getpid())
    with slow_venue() as url:
        taken = await ours(url)
        peers = {
            f"ccxt {version('ccxt')}": await by_ccxt(url),
            f"telliot-feeds {TELLIOT}": await by_telliot(url),
        }
    longest = max(taken)
    what = f"{SOURCES} sources at {DELAY_S * 1000:.0f} ms each, one cycle ({CYCLES} cycles; {load_average()})"
    rows = []
    for name, theirs in peers.items():
        ratio = percentile(theirs, 0.5) / percentile(taken, 0.5)
        rows.append(
            Row(
                what,
                _shown(taken),
                f"{name}: {_shown(theirs)}",
                f"{ratio:.2g}x",
                f"<= {TARGET_MS:.0f} ms",
                longest <= TARGET_MS,
            )
        )
    return rows


def _shown(taken: list[float]) -> str:
    return f"p50 {percentile(taken, 0.5):.0f} ms, longest {max(taken):.0f} ms"


if __name__ == "__main__":
    for row in asyncio.run(run()):
        print(row)
