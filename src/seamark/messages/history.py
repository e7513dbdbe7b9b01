"""Backfill: the blocks before the one that a chain's monitor began with, read into the same ledger.

It has a log stream and a stored position of its own, so it never touches that of a running monitor, and whatever kills
it, the next run goes on from the last batch. It tells final blocks alone: facts of them are stored by the same unit of
work as live ones, where a fact that is known already changes nothing. At the end, in one commit, the chain counts as
read from the new start, and the backfill's positions are gone.

Contracts that only history names (a ramp since removed) are found on the way; the range is then read once more for all
contracts together, which adds what the first pass could not ask for.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass, replace
from typing import Protocol

import msgspec
from sqlalchemy import Connection

from seamark.core.errors import SettingsError, TemporaryError
from seamark.core.ids import ChainId, Hash32
from seamark.evm.logs import store as positions
from seamark.evm.ports import Block, ChainReader, Finalized, LogBatch
from seamark.evm.types import BlockHeader, BlockTag, Log, LogFilter
from seamark.messages.model import ConfigChange, Contract
from seamark.messages.protocol import ChainRole, MessageProtocol, Watch
from seamark.messages.store import ChainView, read_chains, read_contracts, save_contracts, save_progress
from seamark.messages.tracker import DecodedBatch, apply, decode
from seamark.runtime.clock import Clock
from seamark.storage.database import Database

__all__ = ["Backfill", "HistoryStream", "Progress", "Span", "UpTo"]


class HistoryStream(Protocol):
    """A log stream of final blocks (`evm.logs.LogStream`)."""

    def batches(self) -> AsyncGenerator[LogBatch, None]: ...


HistoryFactory = Callable[[ChainReader, str, LogFilter, int], HistoryStream]
"""(reader, name of the position, filter, first block) -> stream."""


@dataclass(frozen=True, slots=True)
class Span:
    """Blocks first..last, inclusive; none where `last` is below `first`."""

    first: int
    last: int

    @property
    def blocks(self) -> int:
        return max(self.last - self.first + 1, 0)


@dataclass(frozen=True, slots=True)
class Progress:
    """How far it is: the last block stored, sends found, and which pass over the blocks this is."""

    span: Span
    block: int
    messages: int
    logs: int
    passes: int = 1

    @property
    def done(self) -> int:
        return max(self.block - self.span.first + 1, 0)


class UpTo:
    """A `ChainReader` whose chain ends at a block: a stream on it stops there by itself."""

    def __init__(self, reader: ChainReader, last: int) -> None:
        self._reader = reader
        self._last = last

    @property
    def chain_id(self) -> ChainId:
        return self._reader.chain_id

    async def header(self, tag: BlockTag | int) -> BlockHeader | None:
        return await self._reader.header(self._last if isinstance(tag, str) else min(tag, self._last))

    async def headers(self, numbers: Sequence[int]) -> list[BlockHeader | None]:
        return await self._reader.headers(numbers)

    async def logs(self, wanted: LogFilter, first: int, last: int, *, end: Hash32 | None = None) -> list[Log]:
        return await self._reader.logs(wanted, first, last, end=end)

    def __getattr__(self, name: str) -> object:
        return getattr(self._reader, name)


class Backfill:
    """Reads earlier blocks of one chain for one protocol.

    Args:
        protocol: What to look for.
        role: The chain, as the protocol wants it watched.
        reader: The chain.
        open_stream: Makes the log stream over final blocks.
        database: The ledger's.
        clock: Time.
    """

    def __init__(
        self,
        protocol: MessageProtocol,
        role: ChainRole,
        *,
        reader: ChainReader,
        open_stream: HistoryFactory,
        database: Database,
        clock: Clock,
    ) -> None:
        self._protocol = protocol
        self._role = role
        self._reader = reader
        self._open_stream = open_stream
        self._database = database
        self._clock = clock

    async def plan(self, first: int) -> Span:
        """The blocks to read for a start at `first`: up to the one before the monitor's own start.

        Raises:
            SettingsError: The chain was never watched: there is no start to go back from.
            TemporaryError: Some of these blocks are not final yet.
        """
        view = await self._database.read(self._view)
        if view is None:
            remedy = f"run its monitor once; it may keep running: seamark run {self._protocol.name}-monitor"
            raise SettingsError(
                "CHAIN", f"{self._protocol.name} has not been watched on {self._role.name}", remedy=remedy
            )
        span = Span(first, view.started - 1)
        final = await self._reader.header("finalized") if span.blocks else None
        if final is not None and final.number < span.last:
            raise TemporaryError(
                f"block {span.last} of {self._role.name} is not final yet", remedy="try again in a while"
            )
        return span

    async def run(self, span: Span, told: Callable[[Progress], None]) -> Progress:
        """Read the blocks; returns once all are stored.

        Raises:
            SettingsError: The settings do not fit the chain.
            TemporaryError: Try again; nothing is lost.
        """
        progress = Progress(span, span.first - 1, 0, 0)
        if not span.blocks:
            return progress
        contracts = await self._discover()
        used: set[str] = set()
        while True:
            name = self._name(span, contracts.values())
            used.add(name)
            progress, found = await self._pass(span, name, contracts, progress, told)
            if not found:
                break
            contracts.update((item.address, item) for item in found)
            progress = replace(progress, block=span.first - 1, passes=progress.passes + 1)
        await self._database.write(lambda connection: self._finish(connection, span, used))
        return progress

    async def _pass(
        self,
        span: Span,
        name: str,
        contracts: Mapping[str, Contract],
        progress: Progress,
        told: Callable[[Progress], None],
    ) -> tuple[Progress, list[Contract]]:
        """All blocks once for these contracts; the new contracts that they name."""
        watch = self._protocol.watch(self._role.chain_id, list(contracts.values()))
        stored = await self._database.read(lambda connection: positions.load(connection, name, self._role.chain_id))
        found: dict[str, Contract] = {}
        if stored is not None:
            progress = replace(progress, block=stored.told)
            told(progress)
        if progress.block >= span.last:
            return progress, []
        stream = self._open_stream(UpTo(self._reader, span.last), name, watch.filter, span.first)  # type: ignore[arg-type]
        async with aclosing(stream.batches()) as batches:
            async for batch in batches:
                changes, sent = await self._take(batch, watch)
                found.update((item.address, item) for item in await self._new(changes, contracts))
                progress = replace(
                    progress,
                    block=max(progress.block, _reached(batch)),
                    messages=progress.messages + sent,
                    logs=progress.logs + sum(len(event.logs) for event in batch.events if isinstance(event, Block)),
                )
                told(progress)
                if progress.block >= span.last:
                    break
        return progress, list(found.values())

    async def _take(self, batch: LogBatch, watch: Watch) -> tuple[Sequence[ConfigChange], int]:
        # Every block is told whole, so the absence of a log in it means something: the view is that of a chain of which
        # nothing was read before.
        blank = ChainView(self._protocol.name, batch.chain_id, 0, -1, -1, 0, 0)
        decoded = await asyncio.to_thread(decode, batch, watch, blank)
        now_ms = int(self._clock.now() * 1000)

        def work(connection: Connection) -> int:
            view = self._view(connection)
            assert view is not None
            # How far the monitor has read is its own business: it stays as it is.
            kept: DecodedBatch = replace(decoded, scanned=view.scanned, scanned_time=view.scanned_time)
            return apply(connection, kept, self._protocol, now_ms=now_ms).changes.steps["sent"]

        return decoded.changes, await self._database.write(work)

    # ---- contracts --------------------------------------------------------------------------------------------------

    async def _discover(self) -> dict[str, Contract]:
        name, chain_id = self._protocol.name, self._role.chain_id
        known = await self._database.read(lambda connection: read_contracts(connection, name, chain_id))
        found = await self._protocol.discover(self._reader, known)
        return {item.address: item for item in found}

    async def _new(self, changes: Sequence[ConfigChange], known: Mapping[str, Contract]) -> list[Contract]:
        """Contracts that configuration events name and nobody knew; remembered at once."""
        if not changes:
            return []
        found = await self._protocol.identify(self._reader, changes, known.values())
        new = [item for item in found if item.address not in known]
        if new:
            await self._database.write(lambda connection: save_contracts(connection, self._protocol.name, new))
        return new

    # ---- positions --------------------------------------------------------------------------------------------------

    def _name(self, span: Span, contracts: object) -> str:
        """Of the position: another one for each range and each set of contracts, which must be read from its start."""
        watch = self._protocol.watch(self._role.chain_id, list(contracts))  # type: ignore[call-overload]
        return f"{self._protocol.name}:backfill:{span.first}-{span.last}:{len(watch.filter.addresses)}"

    def _view(self, connection: Connection) -> ChainView | None:
        views = read_chains(connection, self._protocol.name)
        return next((view for view in views if view.chain_id == self._role.chain_id), None)

    def _finish(self, connection: Connection, span: Span, used: set[str]) -> None:
        view = self._view(connection)
        if view is not None and view.started > span.first:
            save_progress(connection, msgspec.structs.replace(view, started=span.first))
        for name in used:
            positions.forget(connection, name, self._role.chain_id)


def _reached(batch: LogBatch) -> int:
    return max((event.ref.number for event in batch.events if isinstance(event, (Block, Finalized))), default=-1)
