"""From a price change to the raw transaction accepted by anvil, with 100 feeds active on one signer.

Everything is real but the venues: Aggregator contracts on anvil (a block each second), the journal on SQLite on disk,
signing, and the node's answer to eth_sendRawTransaction. Prices are handed to the publishers as their sources would;
the clock runs from there until the sender has the node's acceptance.
"""

from __future__ import annotations

import asyncio
import os
import tempfile
import time
from decimal import Decimal
from pathlib import Path

from prometheus_client import CollectorRegistry

from bench.feeds_deployed import deploy
from bench.latency_web3 import NAME, push_all
from bench.priority import go_at_once, load_average
from bench.report import Row, percentile
from seamark.core.ids import Address, ChainId
from seamark.devnet.accounts import Role, account
from seamark.devnet.anvil import Anvil, AnvilOptions
from seamark.devnet.node_client import NodeClient
from seamark.evm.ports import Intent, Outcome, TransactionSender, TxState
from seamark.evm.rpc import Chain
from seamark.evm.signers import RawKeySigner
from seamark.evm.transactions import Sender, SenderSettings
from seamark.oracle.metrics import FeedMeter, OracleMetrics
from seamark.oracle.model import FeedRef, Pair, Quote
from seamark.oracle.plan import FeedPlan, make_plan, make_venues
from seamark.oracle.publisher import FeedPublisher
from seamark.oracle.settings import FeedSettings
from seamark.runtime.clock import SystemClock
from seamark.runtime.http import make_session
from seamark.runtime.process import calm_collector, settle_heap, tune_for_latency
from seamark.runtime.service import Service
from seamark.storage.database import Database, open_database

HOW = (
    "100 feeds on one signer, each with three venues and new quotes every second, spread over the second. In each "
    "second 20 prices move by 1 % and are published; in the second row all 100 move, more than a feed can follow (a "
    "round must be mined before the next). anvil mines a block each second; the journal is SQLite on disk, "
    "synchronous=FULL. Ours waits for the disk before it sends, so its times are the disk's: how long that needs for "
    "12 kB, written and flushed beside the machine's other work, stands in the row. Peer: a pusher as small as web3.py "
    "allows, without a journal, one push after the other on the same node (no price pusher is to be had from npm)."
)
CHAIN = ChainId(31337)
FEEDS = 100
MOVERS = 20
ROUNDS = 20
WARM_UP = 3
VENUES = ("coinbase", "kraken", "bitstamp")
DISK_TRIES, DISK_BYTES = 400, 12_288  # a commit of the journal is three pages
P50_TARGET_MS, P99_TARGET_MS = 5.0, 25.0


class Stopwatch:
    """A sender that notes when each intent was accepted."""

    def __init__(self, sender: TransactionSender) -> None:
        self._sender = sender
        self.accepted: dict[str, float] = {}

    @property
    def address(self) -> Address:
        return self._sender.address

    async def submit(self, intent: Intent) -> Outcome:
        outcome = await self._sender.submit(intent)
        self.accepted[intent.key] = time.perf_counter()
        return outcome

    async def wait(self, key: str, *, until: TxState = TxState.MINED) -> Outcome:
        return await self._sender.wait(key, until=until)

    async def find(self, key: str) -> Outcome | None:
        return await self._sender.find(key)

    async def replace(self, key: str, intent: Intent) -> Outcome:
        return await self._sender.replace(key, intent)

    def limit_spending(self, owner: str, wei: int | None) -> None:
        self._sender.limit_spending(owner, wei)

    def spent(self, owner: str) -> int:
        return self._sender.spent(owner)


def make_publisher(
    number: int, address: Address, *, chain: Chain, sender: Stopwatch, database: Database, metrics: OracleMetrics
) -> FeedPublisher:
    pair = Pair(f"F{number}", "USD")
    ref = FeedRef(str(pair), "bench", CHAIN, address)
    settings = FeedSettings.model_validate(
        {"pair": str(pair), "chain": "bench", "aggregator": address, "heartbeat": "1h", "deviation": "0.5%",
         "sources": list(VENUES), "gas_limit": 300_000}
    )  # fmt: skip
    plan: FeedPlan = make_plan(settings, ref, pair, make_venues({}), at="bench")
    clock = SystemClock()
    meter = FeedMeter(metrics, ref, plan.trigger, clock=clock)
    return FeedPublisher(plan=plan, chain=chain, sender=sender, database=database, clock=clock, meter=meter)


def quotes(publisher: FeedPublisher, price: Decimal) -> list[Quote]:
    now = time.time()
    return [Quote(source.name, source.venue, price, now, now) for source in publisher.plan.sources]


async def drive(publishers: list[FeedPublisher], sender: Stopwatch, movers: int) -> list[float]:
    """Quote every feed once a second and move `movers` of them, in turns.

    Milliseconds from each move to its acceptance, the warm-up left out.
    """
    started: dict[str, float] = {}
    prices = [Decimal(2000)] * len(publishers)
    groups = len(publishers) // movers
    for turn in range(ROUNDS + WARM_UP):
        began = time.perf_counter()
        for index, publisher in enumerate(publishers):
            await asyncio.sleep(max(0.0, began + index / FEEDS - time.perf_counter()))
            if index % groups == turn % groups:
                prices[index] *= Decimal("1.01") if turn // groups % 2 else Decimal("0.98")
            moved = time.perf_counter()
            planned = publisher.on_quotes(quotes(publisher, prices[index]))
            if planned is not None and turn >= WARM_UP:
                started[planned.key] = moved
        await asyncio.sleep(max(0.0, began + 1.0 - time.perf_counter()))
    await asyncio.sleep(2)
    return [(sender.accepted[key] - at) * 1000 for key, at in started.items() if key in sender.accepted]


async def measure(folder: Path, movers: int, peer: list[float] | None = None) -> list[float]:
    """Milliseconds of each publication; into `peer` go those of the peer, who comes after us."""
    tune_for_latency()
    calm_collector()
    go_at_once(os.getpid())
    options = AnvilOptions(chain_id=CHAIN)
    async with Anvil(options) as anvil, NodeClient(anvil.url, CHAIN) as node, make_session() as session:
        go_at_once(anvil.pid or 0)
        addresses = await deploy(node, FEEDS)
        await anvil.set_block_time(1)
        database = await open_database(f"sqlite:///{folder}/bench.db", busy=True)
        chain = Chain(CHAIN, [anvil.url], session=session)
        signer = RawKeySigner.from_hex(account(Role.PUBLISHER).private_key)
        real = Sender(
            chain=chain, signer=signer, database=database, clock=SystemClock(), settings=SenderSettings(poll_s=0.5)
        )
        sender = Stopwatch(real)
        metrics = OracleMetrics(CollectorRegistry())
        publishers = [
            make_publisher(number, address, chain=chain, sender=sender, database=database, metrics=metrics)
            for number, address in enumerate(addresses)
        ]
        services: list[Service] = [real, *publishers]
        tasks = [asyncio.create_task(service.run()) for service in services]
        try:
            while any(publisher.state is None for publisher in publishers):  # noqa: ASYNC110 - plain waiting will do
                await asyncio.sleep(0.1)
            settle_heap()
            taken = await drive(publishers, sender, movers)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            await real.close()
            await chain.close()
            await database.close()
        if peer is not None:
            peer += await asyncio.to_thread(push_all, anvil.url, addresses, every_s=1 / movers)
        return taken


def disk(folder: Path) -> tuple[float, float]:
    """Milliseconds (p50, p99) until 12 kB in a file that has its length are on disk."""
    taken = []
    with (folder / "disk").open("wb") as file:
        file.write(bytes(DISK_TRIES * DISK_BYTES))
        file.flush()
        os.fsync(file.fileno())
        for at in range(DISK_TRIES):
            os.pwrite(file.fileno(), b"x" * DISK_BYTES, at * DISK_BYTES)
            began = time.perf_counter()
            os.fdatasync(file.fileno())
            taken.append((time.perf_counter() - began) * 1000)
            time.sleep(1 / MOVERS / 5)
    return percentile(taken, 0.5), percentile(taken, 0.99)


async def run() -> list[Row]:
    rows = []
    for movers, targets in ((MOVERS, (P50_TARGET_MS, P99_TARGET_MS)), (FEEDS, None)):
        peer: list[float] = []
        with tempfile.TemporaryDirectory() as folder:
            taken = await measure(Path(folder), movers, peer if targets else None)
            flushed = disk(Path(folder))
        assert len(taken) > FEEDS, f"only {len(taken)} publications: this measures nothing"
        rows.append(_row(taken, movers, targets, peer, flushed))
    return rows


def _row(
    taken: list[float],
    movers: int,
    targets: tuple[float, float] | None,
    peer: list[float],
    flushed: tuple[float, float],
) -> Row:
    p50, p99 = percentile(taken, 0.5), percentile(taken, 0.99)
    what = f"price change to transaction accepted, 100 feeds, {movers} moves a second ({len(taken)} publications)"
    beside = f"the disk p50 {flushed[0]:.1f} ms, p99 {flushed[1]:.1f} ms; {load_average()}"
    ours = f"p50 {p50:.1f} ms, p99 {p99:.1f} ms ({beside})"
    if targets is None:
        return Row(what, ours)
    theirs = percentile(peer, 0.5), percentile(peer, 0.99)
    shown = f"{NAME}: p50 {theirs[0]:.1f} ms, p99 {theirs[1]:.1f} ms"
    target = f"p50 <= {targets[0]:.0f} ms, p99 <= {targets[1]:.0f} ms"
    met = p50 <= targets[0] and p99 <= targets[1]
    return Row(what, ours, shown, f"{theirs[0] / p50:.2g}x", target, met)


if __name__ == "__main__":
    for row in asyncio.run(run()):
        print(row)
