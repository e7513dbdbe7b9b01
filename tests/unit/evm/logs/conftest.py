"""A chain, a node, a database in memory and a consumer; `follow` runs the stream until it has nothing left to do."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from typing import Any

import pytest

from seamark.core.errors import SeamarkError
from seamark.evm.logs import Doubt, LogStream, SilentObserver, StreamSettings
from seamark.evm.types import LogFilter
from seamark.storage.database import Database, open_database
from tests.support.fake_chain import FakeChain, FakeReader, address, topic
from tests.support.log_consumer import LogTable
from tests.support.script_clock import Idle, ScriptClock

WANTED = LogFilter((address(1),), (topic(1),))


@dataclass
class Record(SilentObserver):
    """Everything the stream told its observer."""

    blocks: int = 0
    logs: int = 0
    reorgs: list[int] = field(default_factory=list)
    healed: int = 0
    doubts: list[tuple[Doubt, int]] = field(default_factory=list)
    positions: list[tuple[int, int, int]] = field(default_factory=list)
    errors: list[SeamarkError] = field(default_factory=list)

    def told(self, blocks: int, logs: int) -> None:
        self.blocks += blocks
        self.logs += logs

    def reorg(self, depth: int) -> None:
        self.reorgs.append(depth)

    def gap_healed(self, logs: int) -> None:
        self.healed += logs

    def doubted(self, why: Doubt, blocks: int) -> None:
        self.doubts.append((why, blocks))

    def position(self, head: int, told: int, finalized: int) -> None:
        self.positions.append((head, told, finalized))

    def poll_failed(self, error: SeamarkError) -> None:
        self.errors.append(error)


class World:
    """One test's chain and everything around it."""

    def __init__(self, database: Database) -> None:
        self.database = database
        self.chain = FakeChain()
        self.reader = FakeReader(self.chain)
        self.table = LogTable(database)
        self.seen = Record()
        self.wanted = WANTED

    def stream(self, clock: ScriptClock | None = None, **options: Any) -> LogStream:
        settings = {"head_range": 20, "max_range": 50, "first_range": 10, "max_batch_logs": 100} | options
        witness = settings.pop("witness", None)
        return LogStream(
            "test",
            reader=self.reader,
            database=self.database,
            wanted=self.wanted,
            settings=StreamSettings(**settings),
            clock=clock or ScriptClock(),
            observer=self.seen,
            witness=witness,
        )

    async def follow(self, *steps: Callable[[], object], rest: int = 4, **options: Any) -> LogTable:
        """Run a new stream; every sleep runs the next step; ends when nothing is left to do."""
        with pytest.raises(Idle):
            await self.table.run(self.stream(ScriptClock(*steps, rest=rest), **options), until=lambda: False)
        return self.table

    async def assert_whole(self) -> None:
        """The consumer holds exactly the canonical chain's logs."""
        assert await self.table.rows() == [(log.block_hash, log.log_index) for log in self.chain.logs(self.wanted)]


@pytest.fixture
async def world() -> AsyncIterator[World]:
    database = await open_database("sqlite://")
    made = World(database)
    await made.table.create()
    yield made
    await database.close()
