"""From a venue's tick to the block that holds the network's answer: 4, 16 and 31 nodes as processes on loopback.

Each node is `seamark run oracle` with its own keys, certificate and SQLite file; three venues tell a new price over
websockets to all of them at the same moment, anvil mines each transaction at once. The clock runs from before the first
venue speaks until anvil tells, over a websocket, of the log with the new answer. All of it shares this machine's cores.
"""

from __future__ import annotations

import asyncio
import json
import os
import random
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import aiohttp
import yaml
from aiohttp import web

from bench.report import Row, percentile
from seamark.app.reporting_network import NetworkTerms, NodeProcess, lay_out
from seamark.core.ids import Address
from seamark.devnet.reporting import ReportingWorld, WorldPlan, read_gauges
from seamark.evm.artifacts import load
from seamark.oracle.reporting.ceremony import TimingPlan

HOW = (
    "A reporting network of processes on one machine, TLS between all of them, rounds one after another (DeltaRound "
    "and DeltaGrace as in the row). The price moves by 1 % at three venues at once, at a random moment of a round; the "
    "time runs from there until anvil, which mines at once, tells of the report's log. Every node shares the same "
    "cores with all others, anvil and the venues, so this is the sum of the work of all nodes, not a network's delay."
)
FEED = "BTC/USD"
SYMBOL = "BTC-USD"
VENUES = ("one", "two", "three")
START = Decimal(60_000)
STEP = Decimal("0.01")
TICKS = int(os.environ.get("SEAMARK_BENCH_TICKS", "60"))
WARM_UP = 5
PAUSE_S = (0.4, 0.9)  # between an answer and the next tick
ANSWER_LIMIT_S = 60.0
IDLE_LOAD = 1.5  # of a machine that does little else
CALM_LIMIT_S = 600.0  # until all nodes run and speak to each other


@dataclass(frozen=True)
class Size:
    """A network, its timing, and what is asked of it."""

    nodes: int
    round_ms: int
    grace_ms: int
    p50_ms: float

    @property
    def timing(self) -> TimingPlan:
        return TimingPlan.model_validate(
            {
                "progress": "30s",
                "resend": "5s",
                "round": f"{self.round_ms}ms",
                "grace": f"{self.grace_ms}ms",
                "stage": "30s",
                "max_rounds": 254,
                "observation": "5s",
                "report": "10s",
                "accept": "5s",
                "transmit": "10s",
            }
        )


SIZES = (Size(4, 40, 5, 150.0), Size(16, 250, 15, 400.0), Size(31, 700, 30, 1_000.0))


class Ticker:
    """Three venues in Coinbase's shape; what they say is decided here."""

    def __init__(self) -> None:
        self.price = START
        self._listeners: set[web.WebSocketResponse] = set()
        self._runner: web.AppRunner | None = None
        self.port = 0

    async def __aenter__(self) -> Self:
        application = web.Application()
        application.router.add_get("/{venue}", self._serve)
        self._runner = web.AppRunner(application, access_log=None)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", 0)
        await site.start()
        self.port = int(self._runner.addresses[0][1])
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._runner is not None
        for listener in list(self._listeners):
            await listener.close()
        await self._runner.cleanup()

    async def _serve(self, request: web.Request) -> web.WebSocketResponse:
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        await socket.receive()  # the subscription
        await socket.send_str(self._message())
        self._listeners.add(socket)
        try:
            async for _ in socket:
                pass
        finally:
            self._listeners.discard(socket)
        return socket

    async def say(self, price: Decimal) -> None:
        """To all listeners."""
        self.price = price
        text = self._message()
        await asyncio.gather(*(listener.send_str(text) for listener in self._listeners))

    async def keep_alive(self) -> None:
        """Repeat the price, so that it does not grow old."""
        while True:
            await asyncio.sleep(20)
            await self.say(self.price)

    def _message(self) -> str:
        price = str(self.price)
        return json.dumps(
            {
                "type": "ticker",
                "product_id": SYMBOL,
                "price": price,
                "best_bid": price,
                "best_ask": price,
                "volume_24h": "9123.1",
                "time": datetime.now(UTC).isoformat().replace("+00:00", "Z"),
            }
        )


class Answers:
    """The contract's answers as anvil tells of them: answer -> when."""

    def __init__(self, url: str, contract: Address) -> None:
        self._url = url
        self._contract = contract
        self._event = load("ReportingAggregator").abi.event("NewTransmission")
        self.seen: dict[int, float] = {}
        self.news = asyncio.Event()

    @asynccontextmanager
    async def listening(self) -> AsyncIterator[None]:
        async with aiohttp.ClientSession() as session, session.ws_connect(self._url) as socket:
            wanted = {"address": self._contract, "topics": [self._event.topic0]}
            await socket.send_json({"jsonrpc": "2.0", "id": 1, "method": "eth_subscribe", "params": ["logs", wanted]})
            await socket.receive()
            task = asyncio.create_task(self._listen(socket))
            try:
                yield
            finally:
                task.cancel()
                await asyncio.gather(task, return_exceptions=True)

    async def _listen(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        async for message in socket:
            now = time.perf_counter()
            data = json.loads(message.data)["params"]["result"]["data"]
            answer = int(data[2:66], 16)  # the first word that is not indexed
            self.seen.setdefault(answer, now)
            self.news.set()

    async def of(self, answer: int) -> float:
        """When it was mined."""
        async with asyncio.timeout(ANSWER_LIMIT_S):
            while answer not in self.seen:
                self.news.clear()
                await self.news.wait()
        return self.seen[answer]


def _listen_to(nodes: list[NodeProcess], ticker: Ticker) -> None:
    """Nodes listen to the bench's venues instead of asking the devnet's."""
    venues = {name: {"like": "coinbase", "stream_url": f"ws://127.0.0.1:{ticker.port}/{name}"} for name in VENUES}
    for node in nodes:
        values: dict[str, Any] = yaml.safe_load(node.files.settings.read_text())
        values["oracle"]["venues"] = venues
        for feed in values["oracle"]["reporting"]["feeds"]:
            feed["sources"] = [{"venue": name, "stream": True} for name in VENUES]
        values["oracle"]["watch_interval"] = "30s"
        values["oracle"]["reporting"]["config_interval"] = "15s"
        values["chains"]["devnet"]["poll_interval"] = "2s"
        values["logs"]["level"] = "warning"
        node.files.settings.write_text(yaml.safe_dump(values))


async def _all_connected(nodes: list[NodeProcess]) -> None:
    async with asyncio.timeout(CALM_LIMIT_S):
        while True:
            found = await read_gauges([node.ports.metrics for node in nodes])
            told = [gauges.of("reporting_connected_nodes") if gauges is not None else None for gauges in found]
            if all(count == len(nodes) for count in told):
                return
            await asyncio.sleep(1.0)


async def measure(size: Size, folder: Path) -> list[float]:
    """Milliseconds from tick to mined."""
    chance = random.Random(size.nodes)
    terms = NetworkTerms(deviation="0.1%", heartbeat="1h", timing=size.timing, poll_interval="1s")
    async with ReportingWorld(WorldPlan(feeds=(FEED,))) as world, Ticker() as ticker:
        nodes = await lay_out(folder, size.nodes, world, terms)
        _listen_to(nodes, ticker)
        answers = Answers(world.anvil.url.replace("http", "ws"), world.contracts[FEED])
        repeating = asyncio.create_task(ticker.keep_alive())
        try:
            await asyncio.gather(*(node.start() for node in nodes))
            await _all_connected(nodes)
            async with answers.listening():
                return [await _tick(ticker, answers, chance) for _ in range(TICKS + WARM_UP)][WARM_UP:]
        finally:
            repeating.cancel()
            await asyncio.gather(*(node.stop() for node in nodes))


async def _tick(ticker: Ticker, answers: Answers, chance: random.Random) -> float:
    await asyncio.sleep(chance.uniform(*PAUSE_S))
    price = (ticker.price * (1 + STEP if chance.random() < 0.5 else 1 - STEP)).quantize(Decimal("0.01"))
    wanted = int(price.scaleb(8))
    answers.seen.pop(wanted, None)
    began = time.perf_counter()
    await ticker.say(price)
    return (await answers.of(wanted) - began) * 1000


async def run() -> list[Row]:
    rows = []
    wanted = os.environ.get("SEAMARK_BENCH_NODES", "")
    for size in SIZES:
        if wanted and str(size.nodes) not in wanted.split(","):
            continue
        busy = os.getloadavg()[0]
        with tempfile.TemporaryDirectory() as folder:
            taken = await measure(size, Path(folder))
        p50, p99 = percentile(taken, 0.5), percentile(taken, 0.99)
        what = (
            f"venue's tick to mined, {size.nodes} nodes, DeltaRound {size.round_ms} ms, DeltaGrace {size.grace_ms} ms "
            f"({len(taken)} ticks{_beside(busy)})"
        )
        ours = f"p50 {p50:.0f} ms, p99 {p99:.0f} ms"
        rows.append(Row(what, ours, target=f"p50 <= {size.p50_ms:.0f} ms", met=p50 <= size.p50_ms))
    return rows


def _beside(load: float) -> str:
    """The machine's load before the nodes started: they need all its cores, so what else it did belongs to the row."""
    return f", beside a load of {load:.0f}" if load > IDLE_LOAD else ""
