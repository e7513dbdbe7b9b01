"""Several publishers as processes, with a market, a chain and a database that can each be taken away from each of them.

async with Harbour.open(folder, replicas=3, lease={...}) as harbour:
    await harbour.start_all()
    leader = await harbour.leader()
    await leader.process.kill()
    took = await harbour.next_round()
"""

from __future__ import annotations

import asyncio
import signal
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

from aiohttp import web

from seamark.core.ids import Address
from seamark.devnet.accounts import Role, account
from seamark.devnet.anvil import Anvil
from seamark.evm.artifacts import load
from seamark.evm.crypto import keccak256
from seamark.storage.database import Database, open_database
from seamark.storage.fencing import list_fences
from tests.support.anvil import ACCOUNT, anvil, send
from tests.support.faulty_rpc import FaultyRpc
from tests.support.postgres import new_database
from tests.support.process import SOURCE, Seamark, write_settings
from tests.support.tcp_proxy import TcpProxy

PUBLISHER = account(Role.PUBLISHER)
OWN_SIGNERS = (PUBLISHER, account(Role.SECOND_PUBLISHER), account(Role.OPERATOR))
"""One for each replica that has a database of its own."""

SENDERS = frozenset(signer.address for signer in OWN_SIGNERS)
KEY_NAME = "PUBLISHER_KEY"
FUSED = "tests.support.fused_publisher"
SUBMIT = load("Aggregator").abi.function("submit")
PATIENCE_S = 60.0
LOOK_S = 0.1
VENUES = ("coinbase", "kraken", "bitstamp")
START_PRICE = 2000.0


class Market:
    """Three venues with one price, which moves a little with each question unless it is told to stand still."""

    def __init__(self) -> None:
        self.moves = True
        self.base = ""
        self._asked = 0

    @property
    def price(self) -> str:
        if self.moves:
            self._asked += 1
        return f"{START_PRICE + (self._asked % 400) * 0.5:.2f}"

    async def coinbase(self, _: web.Request) -> web.Response:
        price = self.price
        told = {"price": price, "bid": price, "ask": price, "volume": "5"}
        return web.json_response(told | {"time": datetime.now(UTC).isoformat()})

    async def kraken(self, _: web.Request) -> web.Response:
        price = self.price
        pair = {"a": [price], "b": [price], "c": [price], "v": ["1", "5"]}
        return web.json_response({"error": [], "result": {"XETHZUSD": pair}})

    async def bitstamp(self, _: web.Request) -> web.Response:
        price = self.price
        told = {"last": price, "bid": price, "ask": price, "volume": "5", "timestamp": str(int(time.time()))}
        return web.json_response(told)

    @asynccontextmanager
    async def serving(self) -> AsyncIterator[Market]:
        runner = web.AppRunner(web.Application(), access_log=None, shutdown_timeout=0.1)
        runner.app.router.add_get("/products/ETH-USD/ticker", self.coinbase)
        runner.app.router.add_get("/0/public/Ticker", self.kraken)
        runner.app.router.add_get("/api/v2/ticker/ethusd/", self.bitstamp)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        self.base = f"http://127.0.0.1:{runner.addresses[0][1]}"
        try:
            yield self
        finally:
            await runner.cleanup()


@dataclass
class Replica:
    """One publisher: its process, and its own ways to the node and to the database (PostgreSQL)."""

    name: str
    folder: Path
    rpcs: list[FaultyRpc]
    way: TcpProxy | None
    environment: dict[str, str]
    module: str = "seamark"
    process: Seamark = field(init=False)
    log: str = ""

    async def start(self) -> None:
        """A new process; what the one before said is kept in `log`."""
        if hasattr(self, "process"):
            self.log += self.process.text()
        self.process = Seamark(
            "run", "oracle", "--config", "seamark.yaml",
            folder=self.folder, environment=self.environment, module=self.module,
        )  # fmt: skip
        await self.process.start()

    def stop(self) -> None:
        """SIGSTOP."""
        self.process.process.send_signal(signal.SIGSTOP)

    def go_on(self) -> None:
        """SIGCONT."""
        self.process.process.send_signal(signal.SIGCONT)

    @property
    def lives(self) -> bool:
        return hasattr(self, "process") and self.process.process.returncode is None


@dataclass
class Harbour:
    folder: Path
    node: Anvil
    feed: Address
    market: Market
    database_url: str
    stored: Database
    replicas: list[Replica]
    lease: str
    who: Callable[[], str] | None = None
    """Who leads, where the database does not tell."""

    @classmethod
    @asynccontextmanager
    async def open(
        cls,
        folder: Path,
        *,
        replicas: int = 3,
        lease: dict[str, Any],
        heartbeat: str = "10s",
        chain: dict[str, Any] | None = None,
        own_database: bool = False,
        block_time_s: int = 0,
        fused: bool = False,
        endpoints: int = 1,
    ) -> AsyncIterator[Harbour]:
        """Everything but the processes.

        Args:
            own_database: Each has a SQLite file and a signer of its own; else they share PostgreSQL and a signer.
            fused: They can be armed (see tests.support.fused_publisher).
            endpoints: So many ways to the node has each.
        """
        async with AsyncExitStack() as stack:
            node = await stack.enter_async_context(anvil(block_time_s=block_time_s))
            feed = await deploy_feed(node)
            market = await stack.enter_async_context(Market().serving())
            url = f"sqlite:///{folder}/look.db" if own_database else await stack.enter_async_context(new_database())
            stored = await open_database(url)
            stack.push_async_callback(stored.close)
            made = []
            for number in range(1, replicas + 1):
                place = folder / f"replica-{number}"
                place.mkdir()
                rpcs = [await stack.enter_async_context(FaultyRpc(node.url)) for _ in range(endpoints)]
                urls = [rpc.url for rpc in rpcs]
                way = None if own_database else await stack.enter_async_context(TcpProxy(_socket(url)))
                database = f"sqlite:///{place}/seamark.db" if way is None else _through(url, way)
                values = {
                    "database": database,
                    "chains": {"home": {"chain_id": 31337, "rpc": urls, "poll_interval": "200ms", **(chain or {})}},
                    "oracle": {
                        "signer": {"private_key_env": KEY_NAME},
                        "feeds": [
                            {
                                "pair": "ETH/USD",
                                "chain": "home",
                                "aggregator": feed,
                                "heartbeat": heartbeat,
                                "deviation": "0.01%",
                                "poll_interval": "400ms",
                                "refresh_interval": "500ms",
                                "sources": list(VENUES),
                            }
                        ],
                        "venues": {name: {"base_url": market.base} for name in VENUES},
                        "replicas": {"identity": f"replica-{number}", **lease},
                    },
                    "metrics": {"port": 0},
                    "health": {"port": 0},
                    "logs": {"form": "json", "level": "info"},
                }
                write_settings(place, values)
                signer = OWN_SIGNERS[number - 1] if own_database else PUBLISHER
                environment = {KEY_NAME: signer.private_key}
                if fused:
                    environment["PYTHONPATH"] = f"{SOURCE}:{SOURCE.parent}"
                made.append(Replica(f"replica-{number}", place, rpcs, way, environment))
                if fused:
                    made[-1].module = FUSED
            name = lease.get("name", f"publisher-{PUBLISHER.address}")
            harbour = cls(folder, node, feed, market, url, stored, made, name)
            try:
                yield harbour
            finally:
                for replica in made:
                    if replica.lives:
                        replica.go_on()
                        await replica.process.kill()

    async def start_all(self) -> None:
        for replica in self.replicas:
            await replica.start()
        await asyncio.gather(*(replica.process.running() for replica in self.replicas))

    # ---- who leads ----

    async def leader(self) -> Replica:
        """Who began the newest term, by the fence of the shared database; waits for the first."""
        async with asyncio.timeout(PATIENCE_S):
            while not (holder := await self._holder()):  # noqa: ASYNC110 - another process
                await asyncio.sleep(LOOK_S)
        return next(one for one in self.replicas if holder.startswith(f"{one.name}-"))

    async def _holder(self) -> str:
        if self.who is not None:
            return self.who()
        fences = await self.stored.read(list_fences)
        return next((fence.holder for fence in fences if fence.name == self.lease), "")

    async def another_leads(self, than: Replica) -> Replica:
        async with asyncio.timeout(PATIENCE_S):
            while (found := await self.leader()) is than:  # noqa: ASYNC110 - another process
                await asyncio.sleep(LOOK_S)
        return found

    # ---- the chain ----

    async def latest(self) -> int:
        """The newest round."""
        call = {"to": self.feed, "data": "0x" + load("Aggregator").abi.function("latestRound").selector.hex()}
        return int(await self.node.request("eth_call", call, "latest"), 16)

    async def next_round(self, number: int = 1) -> float:
        """Wait for so many more rounds on the chain; the seconds it took."""
        began = time.monotonic()
        wanted = await self.latest() + number
        async with asyncio.timeout(PATIENCE_S):
            while await self.latest() < wanted:  # noqa: ASYNC110 - another process
                await asyncio.sleep(LOOK_S)
        return time.monotonic() - began

    async def calls(self) -> list[dict[str, Any]]:
        """Every transaction of the publishers in a block of the chain as it is, with its receipt's status."""
        newest = int(await self.node.request("eth_blockNumber"), 16)
        found = []
        for number in range(newest + 1):
            block = await self.node.request("eth_getBlockByNumber", hex(number), True)
            for transaction in block["transactions"]:
                if transaction["from"] in SENDERS:
                    receipt = await self.node.request("eth_getTransactionReceipt", transaction["hash"])
                    found.append({**transaction, "succeeded": receipt["status"] == "0x1"})
        return found

    async def rounds(self, *, succeeded: bool | None = None) -> Counter[int]:
        """How many transactions submitted each round: all, or those that succeeded or reverted."""
        return Counter(
            SUBMIT.decode_call(bytes.fromhex(call["input"][2:]))[0]
            for call in await self.calls()
            if call["input"].startswith("0x" + SUBMIT.selector.hex())
            and (succeeded is None or call["succeeded"] is succeeded)
        )

    async def nonce_gaps(self) -> int:
        """Nonces of the journal between zero and its newest that no transaction of the chain has."""
        used = {int(call["nonce"], 16) for call in await self.calls()}
        known = await self.stored.read(
            lambda c: [row[0] for row in c.exec_driver_sql("SELECT DISTINCT nonce FROM evm_transaction")]
        )
        return len(set(range(max(known, default=-1) + 1)) - used)

    async def settles(self) -> None:
        """The market stands still; until nothing is on its way any more."""
        self.market.moves = False
        async with asyncio.timeout(PATIENCE_S):
            while True:
                before = await self.latest()
                await asyncio.sleep(2.0)
                if await self.latest() == before and await self._count("latest") == await self._count("pending"):
                    return

    async def _count(self, block: str) -> list[str]:
        return [await self.node.request("eth_getTransactionCount", one, block) for one in sorted(SENDERS)]

    def texts(self) -> str:
        return "\n".join(f"--- {one.name}\n{(one.log + one.process.text())[-6000:]}" for one in self.replicas)


def _socket(url: str) -> str:
    (folder,) = parse_qs(urlsplit(url).query)["host"]
    return f"{folder}/.s.PGSQL.5432"


def _through(url: str, way: TcpProxy) -> str:
    parts = urlsplit(url)
    return f"postgresql://{parts.username}@127.0.0.1:{way.port}{parts.path}"


async def deploy_feed(node: Anvil) -> Address:
    """Our own aggregator, with the publishers' accounts as its publishers."""
    artifact = load("Aggregator")
    config = (keccak256(b"ETH/USD"), "ETH / USD", 8, 1, 10**15, 0)
    receipt = await send(node, to=None, data="0x" + artifact.creation(config, ACCOUNT).hex())
    feed = Address(receipt["contractAddress"].lower())
    for publisher in sorted(SENDERS):
        grant = artifact.abi.encode_call("grantRole", keccak256(b"PUBLISHER_ROLE"), publisher)
        await send(node, to=feed, data="0x" + grant.hex())
    return feed
