"""The tracker behind real log streams whose nodes fail, lag, answer from dead forks and leave logs out.

Two chains with messages between them are read by two streams at once, while they grow, fork and become final, and while
the process dies before or after its commits. Once all is quiet the ledger is what one process reads from the finished
chains in one go.
"""

from __future__ import annotations

import asyncio
import os
from contextlib import aclosing, suppress
from dataclasses import dataclass, field
from functools import partial
from itertools import count
from random import Random
from types import SimpleNamespace
from typing import Any

import pytest
from sqlalchemy import Connection, Table

from seamark.core.errors import TemporaryError
from seamark.core.ids import ChainId
from seamark.evm.logs import LogStream, StreamSettings
from seamark.evm.ports import Block, LogBatch
from seamark.evm.types import Log, LogFilter
from seamark.messages.model import Decoded, Evidence, Sighting
from seamark.messages.protocol import Watch
from seamark.messages.store import ChainView, read_chains, save_progress, tables
from seamark.messages.tracker import apply, decode
from seamark.storage.database import Database, open_database
from tests.property.test_tracker import truth
from tests.support.fake_chain import Event, FakeChain, FakeReader, View, address, digest, topic
from tests.support.script_clock import Idle, ScriptClock
from tests.unit.messages.history import BACK, OUT, A, B, FakeProtocol, Told, committed, executed, revoked, sent

SEEDS = int(os.environ.get("SEAMARK_SEEDS", "8"))
STEPS = 30
BEHIND = 20  # blocks that a lagging node lacks
WANTED = LogFilter((address(1),), (topic(1),))

_streams = count()


class Crash(Exception):
    """The process is gone."""


@dataclass
class Side:
    """One chain, its node, and what may happen to both."""

    chain_id: ChainId
    random: Random
    told: dict[str, Told]  # by transaction
    chain: FakeChain = field(default_factory=FakeChain)
    crashes: int = 0

    def __post_init__(self) -> None:
        self.reader = FakeReader(self.chain, chain_id=self.chain_id)
        self.reader.on_logs = self.believe_history

    def believe_history(self, _first: int, _last: int) -> None:
        """A node may lose what is fresh; what is final can only be believed."""
        for block in self.chain.path[: (self.chain.finalized or 0) + 1]:
            self.reader.omit.pop(block.header.hash, None)

    def facts(self) -> list[Event]:
        """A few facts of messages, often enough the same messages."""
        own, other = (OUT, BACK) if self.chain_id == A else (BACK, OUT)
        sequence = self.random.randint(1, 6)
        makers = (
            partial(sent, sequence, own),
            partial(sent, sequence, own),
            partial(committed, sequence, sequence + 1, other),
            partial(revoked, sequence, sequence + 1, other),
            partial(executed, sequence, other, good=True, manual=False),
            partial(executed, sequence, other, good=False, manual=False),
        )
        events = []
        for _ in range(self.random.randrange(3)):
            name = f"fact {self.chain_id} {len(self.told)}"
            self.told[digest(name)] = self.random.choice(makers)()
            events.append(Event(transaction=name))
        return events

    def step(self) -> None:
        room = max(0, self.chain.head - (self.chain.finalized or 0))
        match self.random.randrange(9):
            case 0 | 1 | 2:
                self.chain.mine(*[self.facts() for _ in range(self.random.randint(1, 8))])
            case 3:
                depth = self.random.randint(0, room)
                self.chain.reorg(depth, *[self.facts() for _ in range(depth + 1)])
            case 4:
                self.chain.finalize(self.random.randint(0, 30))
            case 5:
                self.reader.look = self.random.choice((self.honest, self.behind, self.mixed))
            case 6:
                lost = self.chain.path[max(0, self.chain.head - self.random.randrange(6))]
                self.reader.omit[lost.header.hash] = self.random.randint(1, 4)
            case 7:
                self.reader.failures.append(TemporaryError("no answer"))
            case 8:
                self.crashes += 1

    def honest(self) -> View:
        return self.chain.view

    def behind(self) -> View:
        path = self.chain.path[: max(1, len(self.chain.path) - BEHIND)]
        return View(path, min(self.chain.finalized or 0, len(path) - 1))

    def mixed(self) -> View:
        return self.random.choice((self.honest, self.behind))()

    def settle(self) -> None:
        """Everything is told, honestly."""
        self.reader.look = self.honest
        self.reader.failures.clear()
        self.reader.omit.clear()
        self.crashes = 0
        self.chain.empty(1)

    def finish(self) -> None:
        self.chain.finalize(0)


@dataclass
class Run:
    """A ledger that is fed by streams of both sides."""

    database: Database
    sides: list[Side]
    protocol: FakeProtocol = field(default_factory=FakeProtocol)

    async def start(self) -> None:
        self.name = f"stream {next(_streams)}"

        def work(connection: Connection) -> None:
            for table in vars(tables).values():
                if isinstance(table, Table):
                    connection.execute(table.delete())
            for side in self.sides:
                save_progress(connection, ChainView("ccip", side.chain_id, 0, -1, -1, 0, 0))

        await self.database.write(work)

    async def follow(self, side: Side, clock: ScriptClock) -> None:
        """Process after process, until nothing is left to do."""
        while True:
            stream = LogStream(
                self.name, reader=side.reader, database=self.database, wanted=WANTED, settings=SETTINGS, clock=clock
            )
            with suppress(Crash):
                try:
                    async with aclosing(stream.batches()) as batches:
                        async for batch in batches:
                            await self.take(side, batch)
                except Idle:
                    return

    async def take(self, side: Side, batch: LogBatch) -> None:
        watch = Watch(WANTED, partial(self.decode, side))
        dies = side.random.choice(("before", "after")) if side.crashes else ""
        side.crashes = max(side.crashes - 1, 0)

        def work(connection: Connection) -> None:
            view = next(item for item in read_chains(connection, "ccip") if item.chain_id == side.chain_id)
            apply(connection, decode(batch, watch, view), self.protocol, now_ms=1)
            if dies == "before":
                raise Crash

        await self.database.write(work)
        if dies == "after":
            raise Crash

    @staticmethod
    def decode(side: Side, block: Block, _whole: bool) -> Decoded:
        return Decoded(tuple(_sighting(side, block, log) for log in block.logs))

    async def truth(self) -> dict[str, Any]:
        return await self.database.read(lambda connection: truth(SimpleNamespace(connection=connection)))  # type: ignore[arg-type]


SETTINGS = StreamSettings(head_range=8, max_batch_logs=7, first_range=9)


def _sighting(side: Side, block: Block, log: Log) -> Sighting:
    told, ref = side.told[log.transaction_hash], block.ref
    at = Evidence(side.chain_id, ref.number, ref.hash, log.transaction_hash, log.log_index, ref.timestamp)
    return Sighting(told.lane, "1.6.0", at, told.sequence, told.body, told.message_id)


@pytest.mark.timeout(120)
@pytest.mark.parametrize("seed", range(SEEDS))
async def test_the_ledger_is_what_the_finished_chains_say(seed: int) -> None:
    random = Random(seed)
    told: dict[str, Told] = {}
    sides = [Side(chain_id, Random(random.random()), told) for chain_id in (A, B)]
    database = await open_database("sqlite://")
    try:
        disturbed = Run(database, sides)
        await disturbed.start()
        scripts = [ScriptClock(*[side.step] * STEPS) for side in sides]
        await asyncio.gather(*(disturbed.follow(side, clock) for side, clock in zip(sides, scripts, strict=True)))
        for side in sides:
            side.settle()
        quiet = [ScriptClock(lambda: None, side.finish) for side in sides]
        await asyncio.gather(*(disturbed.follow(side, clock) for side, clock in zip(sides, quiet, strict=True)))
        found = await disturbed.truth()

        plain = Run(database, sides)
        await plain.start()
        for side in sides:
            await plain.follow(side, ScriptClock())
        expected = await plain.truth()
        for part, value in expected.items():
            assert found[part] == value, part
        assert expected["messages"], "the history is worth telling"
    finally:
        await database.close()
