"""Many live messages: what a block costs beside them, a block with a thousand messages, memory.

    python -m bench live                                  500,000 live messages
    SEAMARK_BENCH_LIVE=500000 python -m bench live

Facts go straight to the tracker (decoding is measured elsewhere) and into SQLite on disk. A live message is one that is
sent and not final.
"""

from __future__ import annotations

import os
import resource
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from random import Random
from statistics import median

from bench import ccip_history as history
from bench.catch_up import make_protocol
from bench.report import Row
from seamark.core.ids import BlockRef, ChainId, Hash32
from seamark.evm.ports import Block, Finalized, LogEvent
from seamark.evm.types import LogFilter
from seamark.messages.model import Decoded, Evidence, Executed, LaneKey, Sent, Sighting
from seamark.messages.protocol import Watch
from seamark.messages.store import ChainView, read_chains, save_progress
from seamark.messages.tracker import apply, decode
from seamark.runtime.process import calm_collector
from seamark.storage.database import Database, open_database

LIVE = int(os.environ.get("SEAMARK_BENCH_LIVE", "500000"))
FEW = 8_000
PER_BLOCK, BLOCKS = 10, 60
BIG_BLOCK = 1_000
MEMORY_TARGET_MB, BIG_TARGET_S, GROWTH_TARGET = 1_000, 1.0, 1.5
HOW = (
    f"{LIVE:,} messages that are sent and not final (`SEAMARK_BENCH_LIVE` sets how many). A block sends {PER_BLOCK} "
    f"messages, executes {PER_BLOCK} others and makes 100 final; CPU time of its units of work, median."
)
LANE = LaneKey("ccip", str(history.SOURCE_SELECTOR), history.ON_RAMP, str(history.DESTINATION_SELECTOR))
SECONDS_PER_BLOCK = 2


class Batch:
    """A batch whose stream keeps no position."""

    def __init__(self, chain_id: ChainId, events: Sequence[LogEvent]) -> None:
        self.chain_id, self.events = chain_id, events
        self.head = max(event.ref.number for event in events if not hasattr(event, "orphaned"))

    def save(self, connection: object) -> None: ...


class Chains:
    """Tells blocks to the tracker."""

    def __init__(self, database: Database) -> None:
        self.database = database
        self.protocol = make_protocol()
        self.facts: dict[str, Decoded] = {}
        self.watch = Watch(LogFilter((history.ROUTER,), (Hash32("0x" + "00" * 32),)), self._read)
        self.height = {history.SOURCE: 0, history.DESTINATION: 0}
        self.sent = 0
        self.final = 0

    def next_final(self) -> Finalized:
        """One of the blocks that grew the ledger, of a hundred sends, becomes final."""
        self.final += 1
        parent = _hash(history.SOURCE, self.final - 1)
        return Finalized(
            BlockRef(self.final, _hash(history.SOURCE, self.final), parent, 1_700_000_000 + 2 * self.final)
        )

    def _read(self, block: Block, _whole: bool) -> Decoded:
        return self.facts.pop(block.ref.hash)

    def block(self, chain_id: ChainId, runs: Sequence[int] = (), sends: int = 0) -> Block:
        number = self.height[chain_id] = self.height[chain_id] + 1
        ref = BlockRef(number, _hash(chain_id, number), _hash(chain_id, number - 1), 1_700_000_000 + 2 * number)
        facts = [self._send(ref, index) for index in range(sends)]
        facts += [_run(ref, sequence, index) for index, sequence in enumerate(runs)]
        self.facts[ref.hash] = Decoded(tuple(facts))
        return Block(ref, ())

    def _send(self, ref: BlockRef, index: int) -> Sighting:
        self.sent += 1
        body = Sent(f"0x{self.sent % 5000:040x}", f"0x{self.sent % 7000:040x}", "0x" + "ee" * 20, "1", "1", 224)
        at = Evidence(
            history.SOURCE, ref.number, ref.hash, _hash(history.SOURCE, ref.number, index), index, ref.timestamp
        )
        return Sighting(LANE, "1.6.0", at, self.sent, body, _message(self.sent))

    async def tell(self, chain_id: ChainId, *events: LogEvent) -> float:
        """The CPU seconds of the unit of work."""
        spent = 0.0

        def work(connection: object) -> None:
            nonlocal spent
            started = time.thread_time()
            views = read_chains(connection, "ccip")  # type: ignore[arg-type]
            view = next(item for item in views if item.chain_id == chain_id)
            decoded = decode(Batch(chain_id, events), self.watch, view)
            apply(connection, decoded, self.protocol, now_ms=int(time.time() * 1000))  # type: ignore[arg-type]
            spent = time.thread_time() - started

        await self.database.write(work)
        return spent


def _hash(*parts: int) -> Hash32:
    return Hash32("0x" + "".join(f"{part:016x}" for part in parts).rjust(64, "0"))


def _message(sequence: int) -> str:
    return f"0x{sequence * 2_654_435_761 % 2**64:064x}"


def _run(ref: BlockRef, sequence: int, index: int) -> Sighting:
    chain_id = history.DESTINATION
    at = Evidence(chain_id, ref.number, ref.hash, _hash(chain_id, ref.number, index), index, ref.timestamp)
    return Sighting(LANE, "1.6.0", at, sequence, Executed(True, callback=True, manual=False), _message(sequence))


async def run() -> list[Row]:
    calm_collector()
    with tempfile.TemporaryDirectory(prefix="seamark-bench-") as folder:
        database = await open_database(f"sqlite:///{Path(folder) / 'messages.db'}")
        try:
            chains = Chains(database)
            for chain_id in chains.height:
                first = ChainView("ccip", chain_id, 0, -1, -1, 0, 0)
                await database.write(lambda connection, first=first: save_progress(connection, first))  # type: ignore[misc]
            return await _measure(chains)
        finally:
            await database.close()


async def _measure(chains: Chains) -> list[Row]:
    await _grow(chains, FEW)
    few = await _typical(chains)
    await _grow(chains, LIVE)
    many = await _typical(chains)
    started = time.perf_counter()
    await chains.tell(history.SOURCE, chains.block(history.SOURCE, sends=BIG_BLOCK))
    big = time.perf_counter() - started
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    growth = many / few
    return [
        Row(
            f"a block beside {LIVE:,} live messages",
            f"{many * 1000:.1f} ms ({growth:.2f}x of beside {FEW:,})",
            target=f"< {GROWTH_TARGET}x",
            met=growth < GROWTH_TARGET,
        ),
        Row(
            f"a block with {BIG_BLOCK:,} messages stored",
            f"{big:.2f} s",
            target=f"< {BIG_TARGET_S:.0f} s",
            met=big < BIG_TARGET_S,
        ),
        Row(
            f"memory of the whole process beside {LIVE:,} live messages",
            f"{memory:.0f} MB",
            target=f"< {MEMORY_TARGET_MB:,} MB",
            met=memory < MEMORY_TARGET_MB,
        ),
    ]


async def _grow(chains: Chains, live: int) -> None:
    while chains.sent < live:
        blocks = [chains.block(history.SOURCE, sends=100) for _ in range(min(50, -(-(live - chains.sent) // 100)))]
        await chains.tell(history.SOURCE, *blocks)


async def _typical(chains: Chains) -> float:
    random, spent = Random(1), []
    for number in range(1, BLOCKS + 1):
        block = chains.block(history.SOURCE, sends=PER_BLOCK)
        cost = await chains.tell(history.SOURCE, block)
        runs = random.sample(range(1, chains.sent), PER_BLOCK)
        cost += await chains.tell(history.DESTINATION, chains.block(history.DESTINATION, runs=runs))
        if number > BLOCKS // 2:  # what is final moves only in the second half
            cost += await chains.tell(history.SOURCE, chains.next_final())
        spent.append(cost)
    return median(spent[BLOCKS // 2 :])
