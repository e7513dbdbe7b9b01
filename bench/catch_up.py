"""Catching up: a CCIP 1.6 history on two anvil chains, from their nodes to stored messages in SQLite on disk.

The whole running monitor is measured, from the first request to the commit of the last batch: log streams, decoding,
ledger, positions, metrics. What is stored is compared with what was emitted before any time is believed.
"""

from __future__ import annotations

import asyncio
import tempfile
import time
from collections.abc import Iterable, Sequence
from contextlib import AsyncExitStack
from pathlib import Path

from prometheus_client import CollectorRegistry

from bench import ccip_history as history
from bench.report import Row
from seamark.core.ids import ChainId
from seamark.devnet.anvil import Anvil, AnvilOptions
from seamark.evm.logs import LogStream, StreamSettings
from seamark.evm.ports import ChainReader
from seamark.evm.rpc import Chain
from seamark.evm.types import LogFilter
from seamark.messages.metrics import ChainObserver, MessageMetrics
from seamark.messages.model import Contract
from seamark.messages.protocol import ChainRole
from seamark.messages.protocols.ccip import CcipChain, CcipProtocol
from seamark.messages.service import ChainTracker, chain_trackers, load_metrics
from seamark.messages.store import count_by_stage
from seamark.runtime.clock import SystemClock
from seamark.runtime.events import Signal
from seamark.runtime.http import make_session
from seamark.runtime.process import calm_collector, tune_for_latency
from seamark.storage.database import Database, open_database

TURNS = 3
TARGET = 20_000
YEAR_S = 31_536_000
HOW = (
    f"{history.LOGS:,} logs over {history.SEND_BLOCKS + history.RUN_BLOCKS:,} blocks of two local anvil chains: "
    f"{history.SEND_BLOCKS * history.SENDS_PER_BLOCK:,} sends; commits, executions, and the router's and the network's "
    "own events of most of them. The running monitor reads both at once into SQLite on disk (synchronous=FULL). "
    "Best of the turns; the two nodes share the machine's cores with us."
)


class Known(CcipProtocol):
    """Its contracts are known: discovery asks contracts that a few bytes of EVM do not answer for."""

    async def check(self, reader: ChainReader) -> None: ...

    async def discover(self, reader: ChainReader, known: Iterable[Contract]) -> list[Contract]:  # noqa: ARG002
        return history.contracts(reader.chain_id)

    async def identify(self, *_: object) -> list[Contract]:
        return []


class NextYear(SystemClock):
    """What the chains tell is history: nobody waits for news of it."""

    def now(self) -> float:
        return super().now() + YEAR_S


def make_protocol() -> CcipProtocol:
    ends = ((history.SOURCE, history.SOURCE_SELECTOR), (history.DESTINATION, history.DESTINATION_SELECTOR))
    return Known([CcipChain(chain, selector, f"chain {chain}", history.ROUTER, 0, "bench") for chain, selector in ends])


async def run() -> list[Row]:
    tune_for_latency()  # as the application does
    calm_collector()
    async with AsyncExitStack() as stack:
        nodes = {}
        for chain_id, blocks in (
            (history.SOURCE, history.source_blocks()),
            (history.DESTINATION, history.destination_blocks()),
        ):
            nodes[chain_id] = await stack.enter_async_context(Anvil(AnvilOptions(chain_id=chain_id)))
            await history.fill(nodes[chain_id].url, list(blocks))
        urls = {chain_id: node.url for chain_id, node in nodes.items()}
        spent = [await one_turn(urls) for _ in range(TURNS)]
    best = min(wall for wall, _ in spent)
    cpu = min(cpu for _, cpu in spent)
    return [
        Row(
            f"catch up {history.LOGS:,} CCIP logs to stored messages",
            f"{best:.2f} s ({history.LOGS / best:,.0f} logs/s; {cpu * 1e6 / history.LOGS:.0f} us of CPU a log)",
            target=f">= {TARGET:,} logs/s",
            met=history.LOGS / best >= TARGET,
        )
    ]


async def one_turn(urls: dict[ChainId, str]) -> tuple[float, float]:
    """Seconds of wall time and of our CPU time."""
    protocol = make_protocol()
    with tempfile.TemporaryDirectory(prefix="seamark-bench-") as folder:
        database = await open_database(f"sqlite:///{Path(folder) / 'messages.db'}")
        metrics = MessageMetrics(protocol, CollectorRegistry())
        try:
            await load_metrics(database, protocol, metrics)
            async with make_session() as session:
                readers = {chain_id: Chain(chain_id, [url], session=session) for chain_id, url in urls.items()}
                started, cpu = time.perf_counter(), time.process_time()
                await follow(make_trackers(protocol, readers, database, metrics), metrics)
                spent = time.perf_counter() - started, time.process_time() - cpu
                for reader in readers.values():
                    await reader.close()
            await check(database)
        finally:
            await database.close()
    return spent


def make_trackers(
    protocol: CcipProtocol, readers: dict[ChainId, Chain], database: Database, metrics: MessageMetrics
) -> list[ChainTracker]:
    clock = NextYear()

    def open_stream(
        role: ChainRole, *, name: str, wanted: LogFilter, start_block: int, observer: ChainObserver
    ) -> LogStream:
        settings = StreamSettings(start_block=start_block)
        return LogStream(
            name,
            reader=readers[role.chain_id],
            database=database,
            wanted=wanted,
            settings=settings,
            observer=observer,
            clock=clock,
        )

    return chain_trackers(
        protocol,
        readers=readers,
        open_stream=open_stream,
        database=database,
        metrics=metrics,
        signal=Signal(),
        clock=clock,
    )


async def follow(trackers: Sequence[ChainTracker], metrics: MessageMetrics) -> None:
    """Until all of both chains is stored."""
    last = {
        history.SOURCE: history.SEND_BLOCKS,
        history.DESTINATION: history.RUN_BLOCKS,
    }
    tasks = [asyncio.create_task(tracker.run()) for tracker in trackers]
    try:
        while True:
            await asyncio.sleep(0.005)
            for task in tasks:
                if task.done():
                    task.result()
            stored = metrics.stored_blocks()
            if all(stored.get(chain_id, -1) >= number for chain_id, number in last.items()):
                return
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def check(database: Database) -> None:
    """Every message is there, at the stage that its logs say."""
    stages = await database.read(count_by_stage)
    sends, runs = history.SEND_BLOCKS * history.SENDS_PER_BLOCK, history.RUN_BLOCKS * history.RUNS_PER_BLOCK
    assert stages == {"executed": runs, "finalized": sends - runs}, stages
