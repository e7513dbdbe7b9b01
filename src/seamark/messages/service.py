"""The running message monitor: one service per chain, so that a failing chain never holds up the others.

    discover contracts -> open the log stream -> for each batch: decode, one unit of work, then metrics and a wake-up
    call

Contracts change while we watch: a batch that holds a configuration event is followed by a look at the addresses it
names, and the stream is extended by new ones from that block on. If the process dies in between, discovery at the
next start finds the same contracts, and the stream reads for them what it has not read yet.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import aclosing
from typing import Protocol

import structlog
from sqlalchemy import Connection

from seamark.core.errors import TemporaryError
from seamark.core.ids import ChainId
from seamark.evm.ports import ChainReader, LogBatch
from seamark.evm.types import LogFilter
from seamark.messages.metrics import ChainObserver, MessageMetrics
from seamark.messages.model import ConfigChange, Contract
from seamark.messages.protocol import ChainRole, MessageProtocol, Watch
from seamark.messages.store import (
    ChainView,
    all_lanes,
    read_chains,
    read_contracts,
    read_tallies,
    refresh_lanes,
    save_contracts,
    save_progress,
)
from seamark.messages.tracker import DecodedBatch, apply, decode
from seamark.runtime.clock import Clock
from seamark.runtime.events import Signal
from seamark.runtime.health import Health
from seamark.storage.database import Database
from seamark.storage.totals import read_totals

__all__ = ["ChainTracker", "MessageStream", "StreamFactory", "chain_trackers", "load_metrics"]

DECODE_IN_THREAD = 200  # logs; fewer are decoded faster than a thread is woken
SILENT_AFTER_S = 120.0  # without a successful look at the chain: the monitor is blind
LAG_BLOCKS = 50  # more blocks behind the head than this is worth a word

log = structlog.get_logger("seamark.messages")


class MessageStream(Protocol):
    """A log stream that can grow (`evm.logs.LogStream`)."""

    def batches(self) -> AsyncGenerator[LogBatch, None]: ...

    def extend(self, addition: LogFilter, from_block: int) -> None: ...


class StreamFactory(Protocol):
    """Opens the stream of one chain. The position's name is the protocol's name."""

    def __call__(
        self, role: ChainRole, *, name: str, wanted: LogFilter, start_block: int, observer: ChainObserver
    ) -> MessageStream: ...


async def load_metrics(database: Database, protocol: MessageProtocol, metrics: MessageMetrics) -> None:
    """Fill the metrics from the database; before the trackers start."""

    def work(connection: Connection) -> None:
        metrics.load(
            read_totals(connection, f"{protocol.name}_"),
            read_tallies(connection, protocol.name),
            all_lanes(connection, protocol.name),
            read_chains(connection, protocol.name),
        )

    await database.read(work)


def chain_trackers(
    protocol: MessageProtocol,
    *,
    readers: Mapping[ChainId, ChainReader],
    open_stream: StreamFactory,
    database: Database,
    metrics: MessageMetrics,
    signal: Signal,
    clock: Clock,
) -> list[ChainTracker]:
    """One service for each chain of the protocol."""
    return [
        ChainTracker(
            protocol,
            role,
            reader=readers[role.chain_id],
            open_stream=open_stream,
            database=database,
            metrics=metrics,
            signal=signal,
            clock=clock,
        )
        for role in protocol.chains
    ]


class ChainTracker:
    """Follows one chain for one protocol; a `runtime.service.Service` for the supervisor."""

    def __init__(
        self,
        protocol: MessageProtocol,
        role: ChainRole,
        *,
        reader: ChainReader,
        open_stream: StreamFactory,
        database: Database,
        metrics: MessageMetrics,
        signal: Signal,
        clock: Clock,
    ) -> None:
        self.name = f"{protocol.name}-monitor:{role.name}"
        self._protocol = protocol
        self._role = role
        self._reader = reader
        self._open_stream = open_stream
        self._database = database
        self._metrics = metrics
        self._signal = signal
        self._clock = clock
        self._contracts: dict[str, Contract] = {}
        self._view: ChainView | None = None
        self._last_batch = clock.monotonic()

    @property
    def observer(self) -> ChainObserver:
        return self._metrics.observers[self._role.chain_id]

    async def run(self) -> None:
        """Until cancelled.

        Raises:
            SettingsError: The settings do not fit the chain.
            TemporaryError: Try again; nothing is lost.
        """
        await self._protocol.check(self._reader)
        self._view = await self._begin()
        watch = await self._discover()
        stream = self._open_stream(
            self._role,
            name=self._protocol.name,
            wanted=watch.filter,
            start_block=self._view.started,
            observer=self.observer,
        )
        async with aclosing(stream.batches()) as batches:
            async for batch in batches:
                changes = await self._take(batch, watch)
                if changes:
                    watch = await self._reconfigure(stream, watch, changes)

    async def health(self) -> Health:
        """Is this chain being read, and how far behind is what is stored?"""
        error = self.observer.last_error
        if self._view is None:
            return Health.degraded(error or "starting")
        if self._clock.monotonic() - self._last_batch > SILENT_AFTER_S and error:
            return Health.down(f"chain {self._role.name} cannot be read: {error}")
        lag = self.observer.head - self._view.scanned
        if lag > LAG_BLOCKS:
            return Health.degraded(f"chain {self._role.name}: {lag} blocks behind block {self.observer.head}")
        return Health.ok(f"chain {self._role.name}: block {self._view.scanned}, final {self._view.finalized}")

    # ---- one batch --------------------------------------------------------------------------------------------------

    async def _take(self, batch: LogBatch, watch: Watch) -> Sequence[ConfigChange]:
        assert self._view is not None
        decoded = await self._decode(batch, watch, self._view)
        now_ms = int(self._clock.now() * 1000)

        applied = await self._database.write(
            lambda connection: apply(connection, decoded, self._protocol, now_ms=now_ms)
        )
        self._view = applied.view
        self._last_batch = self._clock.monotonic()
        self._metrics.follow(applied.changes, applied.view)
        for bad in decoded.malformed:
            log.warning("malformed log", chain=self._role.name, transaction=bad.transaction, problem=bad.problem)
        if applied.changes.steps:
            log.debug("messages moved", chain=self._role.name, **applied.changes.steps)
            self._signal.fire()
        return decoded.changes

    @staticmethod
    async def _decode(batch: LogBatch, watch: Watch, view: ChainView) -> DecodedBatch:
        logs = sum(len(getattr(event, "logs", ())) for event in batch.events)
        if logs < DECODE_IN_THREAD:
            return decode(batch, watch, view)
        return await asyncio.to_thread(decode, batch, watch, view)

    # ---- contracts --------------------------------------------------------------------------------------------------

    async def _begin(self) -> ChainView:
        """Where the chain stands; at the very first start that is decided here and stored."""
        name, chain_id = self._protocol.name, self._role.chain_id
        views = await self._database.read(lambda connection: read_chains(connection, name))
        for view in views:
            if view.chain_id == chain_id:
                return view
        started = self._role.start_block
        if started is None:
            header = await self._reader.header("latest")
            if header is None:
                raise TemporaryError(f"chain {self._role.name} has no newest block yet")
            started = header.number
        first = ChainView(name, chain_id, started, -1, started - 1, 0, 0)
        await self._database.write(lambda connection: save_progress(connection, first))
        return first

    async def _discover(self) -> Watch:
        name, chain_id = self._protocol.name, self._role.chain_id
        known = await self._database.read(lambda connection: read_contracts(connection, name, chain_id))
        found = await self._protocol.discover(self._reader, known)

        def work(connection: Connection) -> None:
            save_contracts(connection, name, found)
            refresh_lanes(connection, name, self._protocol.names)

        await self._database.write(work)
        self._contracts = {item.address: item for item in found}
        watch = self._protocol.watch(chain_id, found)
        for item in found:
            if item.address in watch.filter.addresses:  # others are stored for their names
                log.info("watching", chain=self._role.name, role=item.role, version=item.version, address=item.address)
        return watch

    async def _reconfigure(self, stream: MessageStream, watch: Watch, changes: Sequence[ConfigChange]) -> Watch:
        found = await self._protocol.identify(self._reader, changes, self._contracts.values())
        if not found:
            return watch
        await self._database.write(lambda connection: save_contracts(connection, self._protocol.name, found))
        new = [item for item in found if item.address not in self._contracts]
        self._contracts.update((item.address, item) for item in found)
        watch = self._protocol.watch(self._role.chain_id, list(self._contracts.values()))
        if added := [item.address for item in new if item.address in watch.filter.addresses]:
            log.info("new contracts", chain=self._role.name, addresses=added)
            stream.extend(watch.filter, min(change.block_number for change in changes))
        return watch
