"""Executing messages, stored with the batch of the log stream in which they stand.

The tracker of messages stores a batch in one unit of work and calls the batch's `save` at its end. This wraps the
stream: its batches carry what they hold for the inbox, and their `save` stores that too. So one reading of a chain
feeds both views, jobs and messages move together with the position, and the tracker does not know (decision 0009).
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import aclosing
from typing import Protocol

from sqlalchemy import Connection

from seamark.core.ids import ChainId
from seamark.evm.ports import Block, Finalized, LogBatch, LogEvent, Reorg
from seamark.evm.types import LogFilter
from seamark.messages.protocols.op_interop.model import Found, Level
from seamark.messages.protocols.op_interop.network import Network
from seamark.messages.protocols.op_interop.rules import find_executing
from seamark.messages.protocols.op_interop.store import JobBook, JobChanges

__all__ = ["JobStream", "Recorded", "record"]

Followed = Callable[[JobChanges], None]


class Stream(Protocol):
    """A log stream that can grow."""

    def batches(self) -> AsyncGenerator[LogBatch, None]: ...

    def extend(self, addition: LogFilter, from_block: int) -> None: ...


class Recorded:
    """A batch that stores its executing messages when it is saved. A `LogBatch`."""

    def __init__(self, batch: LogBatch, network: Network, now_ms: int) -> None:
        self._batch = batch
        self._network = network
        self._now_ms = now_ms
        self._found = [_read(batch.chain_id, event) for event in batch.events]
        self.changes: JobChanges | None = None

    @property
    def chain_id(self) -> ChainId:
        return self._batch.chain_id

    @property
    def events(self) -> Sequence[LogEvent]:
        return self._batch.events

    @property
    def head(self) -> int:
        return self._batch.head

    def save(self, connection: object) -> None:
        assert isinstance(connection, Connection)
        # Runs again where the unit of work is tried again: the last run is the one that counts.
        self.changes = record(connection, self._batch, self._found, self._network, now_ms=self._now_ms)
        self._batch.save(connection)


class JobStream:
    """A log stream whose batches are `Recorded`; `followed` is told what each committed one did."""

    def __init__(self, stream: Stream, network: Network, *, now: Callable[[], float], followed: Followed) -> None:
        self._stream = stream
        self._network = network
        self._now = now
        self._followed = followed

    def extend(self, addition: LogFilter, from_block: int) -> None:
        self._stream.extend(addition, from_block)

    async def batches(self) -> AsyncGenerator[LogBatch, None]:
        async with aclosing(self._stream.batches()) as batches:
            async for batch in batches:
                recorded = Recorded(batch, self._network, int(self._now() * 1000))
                yield recorded
                if recorded.changes is not None:  # asked for more: the last one is stored
                    self._followed(recorded.changes)


def record(
    connection: Connection, batch: LogBatch, found: Sequence[Found], network: Network, *, now_ms: int
) -> JobChanges:
    """Store what a batch tells of executing messages."""
    book = JobBook(connection, network, now_ms=now_ms)
    chain_id, scanned = batch.chain_id, -1
    for event, here in zip(batch.events, found, strict=True):
        match event:
            case Block(ref=ref):
                book.record(here.messages, here.bad)
                scanned = max(scanned, ref.number)
            case Finalized(ref=ref):
                scanned = max(scanned, ref.number)
                book.raise_level(chain_id, Level.FINALIZED, ref.number)
            case Reorg(ancestor=ref):
                book.retract(chain_id, ref)
                scanned = ref.number
    book.advance(chain_id, scanned)
    return book.close()


def _read(chain_id: ChainId, event: LogEvent) -> Found:
    return find_executing(chain_id, event) if isinstance(event, Block) else Found()
