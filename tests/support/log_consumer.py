"""A consumer of a log stream as simple as one can be: a table of logs, kept by the three rules of the stream."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import aclosing

from sqlalchemy import BigInteger, Column, Connection, MetaData, Table, Text, select

from seamark.core.ids import BlockRef
from seamark.evm.logs import Batch, LogStream
from seamark.evm.ports import Block, Finalized, LogEvent, Reorg
from seamark.storage.bulk import insert_new
from seamark.storage.database import Database

_metadata = MetaData()
seen = Table(
    "seen_log",
    _metadata,
    Column("block_hash", Text, primary_key=True),
    Column("log_index", BigInteger, primary_key=True, autoincrement=False),
    Column("block_number", BigInteger, nullable=False),
)


class Crash(Exception):
    """The consumer's process died here."""


class LogTable:
    """Stores what a stream tells; remembers the events for a closer look.

    `crash` is asked before each batch: None goes on, "before" dies with nothing committed, "after" when all is.
    """

    def __init__(self, database: Database) -> None:
        self.database = database
        self.events: list[LogEvent] = []
        self.busy = False
        self.batches: list[Batch] = []
        self.crash: Callable[[], str | None] = lambda: None

    async def create(self) -> None:
        await self.database.write(_metadata.create_all)

    async def run(self, stream: LogStream, *, until: Callable[[], bool]) -> None:
        """Consume until `until()` holds; it is asked after every batch."""
        async with aclosing(stream.batches()) as batches:
            async for batch in batches:
                await self.take(batch)
                if until():
                    return

    async def take(self, batch: Batch) -> None:
        fate = self.crash()

        def work(connection: Connection) -> None:
            for event in batch.events:
                _apply(connection, event)
            batch.save(connection)
            if fate == "before":
                raise Crash

        self.busy = True
        await self.database.write(work)
        self.batches.append(batch)
        self.events.extend(batch.events)
        self.busy = False
        if fate == "after":
            raise Crash

    async def rows(self) -> list[tuple[str, int]]:
        query = select(seen.c.block_hash, seen.c.log_index).order_by(seen.c.block_number, seen.c.log_index)
        return await self.database.read(lambda connection: [(row[0], row[1]) for row in connection.execute(query)])

    @property
    def blocks(self) -> list[Block]:
        return [event for event in self.events if isinstance(event, Block)]

    @property
    def reorgs(self) -> list[Reorg]:
        return [event for event in self.events if isinstance(event, Reorg)]

    @property
    def finalized(self) -> list[BlockRef]:
        return [event.ref for event in self.events if isinstance(event, Finalized)]


def _apply(connection: Connection, event: LogEvent) -> None:
    if isinstance(event, Block):
        rows = [
            {"block_hash": log.block_hash, "log_index": log.log_index, "block_number": log.block_number}
            for log in event.logs
        ]
        insert_new(connection, seen, rows)
    elif isinstance(event, Reorg):
        hashes = [ref.hash for ref in event.orphaned]
        connection.execute(seen.delete().where(seen.c.block_hash.in_(hashes)))
