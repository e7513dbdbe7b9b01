"""The log stream of one chain for one consumer: `Block | Finalized | Reorg`, each log once per block that holds it.

One round looks at the newest and the finalized block and does what `rules.next_action` says: read finalized history in
ranges, or follow the head header by header. Every batch carries the position behind it; the stream goes on from there
only after reading back that the position was committed. So whatever happens between two batches, the next process
continues with exactly what is missing, and finds a reorg that ran while nobody was looking.

What a consumer can rely on:
- A `Block` is told again only when more of its logs became known: they were lost by a node at the head and found at
  finality, or the filter grew. Storing logs by (block hash, log index) makes that harmless.
- A node that is merely behind never causes a `Reorg`; that takes another block at the same height, seen twice.
- `Finalized` never goes back. The exception: a chain that reorganised below what was final is retracted block by block
  where the references are kept (`kept_finalized`), and stops the stream with `ChainMismatchError` where they are not.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence

from sqlalchemy import Connection

from seamark.core.errors import SeamarkError, TemporaryError
from seamark.core.ids import ChainId
from seamark.evm.logs import rules, store
from seamark.evm.logs.errors import InconsistentReplyError, PositionMovedError, UnsavedBatchError
from seamark.evm.logs.history import HistoryAhead
from seamark.evm.logs.model import Heads, Position, Rescan, Step, Told
from seamark.evm.logs.observer import Doubt, SilentObserver, StreamObserver
from seamark.evm.logs.reads import CheckedReads
from seamark.evm.logs.settings import StreamSettings
from seamark.evm.ports import Block, ChainReader, Finalized, LogEvent, LogReader, Reorg
from seamark.evm.types import LogFilter
from seamark.runtime.clock import Clock, SystemClock
from seamark.storage.database import Database

__all__ = ["Batch", "LogStream"]

HEADS_AGE_S = 5.0  # while reading history the heads matter only for the lag that is shown


class Batch:
    """Events in order and the position behind them (`evm.ports.LogBatch`)."""

    def __init__(self, stream: str, chain_id: ChainId, before: Position, step: Step) -> None:
        self._stream = stream
        self._before = before
        self._step = step
        self.chain_id = chain_id
        self.saved = False

    @property
    def events(self) -> Sequence[LogEvent]:
        return self._step.events

    @property
    def head(self) -> int:
        return self._step.head

    def save(self, connection: object) -> None:
        """Store the position in the running unit of work.

        Raises:
            PositionMovedError: Another process moved it; the unit of work must fail.
        """
        assert isinstance(connection, Connection)
        self.saved = True
        store.save(connection, self._stream, self.chain_id, self._before, self._step.position)


class LogStream:
    """Endless batches from the stored position on (`evm.ports.LogStream`).

    Args:
        name: Names the position, together with the chain id: keep it over restarts.
        wanted: What to tell, besides all that the stored position was ever asked for. What it does not know yet is read
            from history too, from `settings.start_block` and for the new addresses and topics alone.
        witness: Other endpoints of the same chain; asked when the reader seems to lack logs, and before blocks are
            final.
    """

    def __init__(
        self,
        name: str,
        *,
        reader: ChainReader,
        database: Database,
        wanted: LogFilter,
        settings: StreamSettings | None = None,
        clock: Clock | None = None,
        observer: StreamObserver | None = None,
        witness: LogReader | None = None,
    ) -> None:
        self._name = name
        self._reader = reader
        self._database = database
        self._wanted = wanted
        self._settings = settings or StreamSettings()
        self._clock = clock or SystemClock()
        self._observer = observer or SilentObserver()
        self._reads = CheckedReads(reader, self._settings, clock=self._clock, observer=self._observer, witness=witness)
        self._position = Position(wanted)
        self._additions: list[tuple[LogFilter, int]] = []
        self._rescan_span = self._settings.first_range
        self._heads: Heads | None = None
        self._looked_at = 0.0

    @property
    def wanted(self) -> LogFilter:
        """What is told from here on: all that was ever asked for."""
        return _union(self._position.wanted, self._wanted)

    def extend(self, addition: LogFilter, from_block: int) -> None:
        """Tell these addresses and topics too: from the next batch on, and for passed blocks from `from_block`.

        The new filter is every address with every topic, old or new. Passed blocks come as further `Block` events, with
        a `Finalized` after them where they are final. The next saved batch stores that this is to be done; until then a
        restart with the bigger `wanted` does the same from `start_block`. So construct the stream with all that the
        consumer has discovered by then.
        """
        self._additions.append((addition, from_block))
        self._wanted = _union(self._wanted, addition)

    async def batches(self) -> AsyncGenerator[Batch, None]:
        """Read, and wait for each batch to be saved.

        Close it when leaving early (`contextlib.aclosing`), so that what is being read ahead is given up at once.

        Raises:
            UnsavedBatchError: The next batch was asked for and the last one never saved.
            PositionMovedError: It was saved, but the unit of work was not committed; start again.
            ChainMismatchError: See the module.
        """
        await self._load()
        ahead = HistoryAhead(self._reads, self._settings)
        steps = self._steps(ahead)
        try:
            async for step in steps:
                batch = Batch(self._name, self._reader.chain_id, self._position, step)
                yield batch
                await self._require_saved(batch, step.position)
                self._position = step.position
                self._report(step)
        finally:
            await steps.aclose()
            await ahead.close()

    # ---- the position -----------------------------------------------------------------------------------------------

    async def _load(self) -> None:
        chain_id = self._reader.chain_id
        stored = await self._database.read(lambda connection: store.load(connection, self._name, chain_id))
        self._position = stored or Position(self._wanted)
        self._heads = None
        self._additions.append((self._wanted, self._settings.start_block))

    async def _require_saved(self, batch: Batch, position: Position) -> None:
        if not batch.saved:
            raise UnsavedBatchError(f"log stream {self._name!r}: the consumer did not save its batch")
        chain_id = self._reader.chain_id
        stored = await self._database.read(lambda connection: store.revision(connection, self._name, chain_id))
        if stored != position.revision:
            raise PositionMovedError(f"log stream {self._name!r}: the position of the last batch was not committed")

    def _grow(self) -> None:
        """Take in what `extend` asked for; it is stored with the next step."""
        additions, self._additions = self._additions, []
        for addition, from_block in additions:
            whole = _union(self._position.wanted, addition)
            self._position = rules.extend(self._position, whole, from_block)

    def _step(self, events: Sequence[LogEvent], position: Position, heads: Heads) -> Step:
        return Step(tuple(events), position.stored_after(self._position), heads.latest.number)

    # ---- rounds -----------------------------------------------------------------------------------------------------

    async def _steps(self, ahead: HistoryAhead) -> AsyncGenerator[Step, None]:
        pause = self._settings.poll_interval_s
        while True:
            before = self._position.revision
            try:
                heads = await self._look()
                self._grow()
                async for step in self._round(heads, ahead):
                    yield step
            except TemporaryError as error:
                self._failed(error)
                await self._clock.sleep(max(pause, error.retry_after or 0))
                pause = min(pause * 2, self._settings.longest_pause_s)
                continue
            pause = self._settings.poll_interval_s
            if self._position.revision == before or self._is_level(heads):
                await self._clock.sleep(pause)
                self._heads = None

    async def _look(self) -> Heads:
        """The heads: new at the head, kept while reading finalized history."""
        if self._heads is None or self._clock.monotonic() - self._looked_at > HEADS_AGE_S:
            self._heads = await self._reads.heads()
            self._looked_at = self._clock.monotonic()
            if not self._position.chain:
                await self._begin(self._heads)
            told, finalized = self._position.told, self._position.finalized
            self._observer.position(self._heads.latest.number, told, finalized)
        return self._heads

    async def _begin(self, heads: Heads) -> None:
        """Without a stored position: start after the block before the first, or after the final one if lower."""
        anchor = min(self._settings.start_block - 1, heads.finalized)
        if anchor >= 0:
            (header,) = await self._reads.proven([anchor], heads.proof)
            self._position = self._position.jumped(header.ref)

    async def _round(self, heads: Heads, ahead: HistoryAhead) -> AsyncGenerator[Step, None]:
        action = rules.next_action(self._position, heads.finalized, self._settings.head_range)
        if action is rules.Action.CATCH_UP:
            async for step in self._catch_up(heads, ahead):
                yield step
        elif action is rules.Action.FOLLOW and (followed := await self._follow(heads)):
            yield followed
        if action is not rules.Action.CATCH_UP:
            self._heads = None
            # Only now: where these blocks have left the chain, they can no longer be read.
            if rules.has_window_rescan(self._position) and not self._additions:
                yield await self._rescan_window(heads)
            if settled := await self._settle(heads):
                yield settled
        if self._position.rescans and not self._additions and not rules.has_window_rescan(self._position):
            yield await self._rescan_history(heads)

    async def _catch_up(self, heads: Heads, ahead: HistoryAhead) -> AsyncGenerator[Step, None]:
        """One range of finalized history, cut into batches."""
        position = self._position
        found = await ahead.next(position.wanted, position.told + 1, heads)
        if position.tail is not None and found.first.parent_hash != position.tail.hash:
            yield await self._reorg(heads)
            return
        *groups, last_group = rules.pieces(found.blocks, self._settings.max_batch_logs) or [()]
        ends = [*((group, group[-1].ref) for group in groups), (last_group, found.last.ref)]
        for group, ref in ends:
            yield self._step([*group, Finalized(ref)], self._position.jumped(ref), heads)
            if self._additions:
                return  # what is left was read for a smaller filter

    async def _follow(self, heads: Heads) -> Step | None:
        """Blocks after the tail, or a reorg; None when there is nothing new or the node is behind."""
        tail, latest = self._position.tail, heads.latest
        assert tail is not None
        if latest.number < self._position.finalized:
            return None
        ours = self._position.at(latest.number)
        if ours is not None:
            return None if ours.ref.hash == latest.hash else await self._reorg(heads)
        blocks = await self._reads.following(tail, latest, self._position.wanted)
        if blocks is None:
            return await self._reorg(heads)
        blocks = _first_batch(blocks, self._settings.max_batch_logs)
        return self._step(blocks, self._position.advanced(_fingerprints(blocks)), heads)

    async def _reorg(self, heads: Heads) -> Step:
        """Retract what left the chain and tell what took its place, in one batch."""
        self._heads = None
        rival = await self._reads.rival(self._position, heads)
        kept = self._position.rewound(rival.ancestor.number)
        blocks = await self._reads.following(rival.ancestor, heads.latest, kept.wanted, via=rival.header)
        if blocks is None:
            raise InconsistentReplyError(f"{rival.ancestor} left the chain while a reorg was read")
        blocks = _first_batch(blocks, self._settings.max_batch_logs)
        orphaned = tuple(item.ref for item in reversed(self._position.chain) if item.ref.number > rival.ancestor.number)
        return self._step([Reorg(rival.ancestor, orphaned), *blocks], kept.advanced(_fingerprints(blocks)), heads)

    async def _settle(self, heads: Heads) -> Step | None:
        """Finalize what is told, after comparing it once more with what the node shows."""
        position = self._position
        number = min(heads.finalized, position.told, position.finalized + self._settings.max_range)
        if number <= position.finalized or self._additions or rules.has_window_rescan(position):
            return None
        told = position.between(position.finalized + 1, number)
        (seen,) = await self._reads.proven([number], heads.proof)
        if seen.hash != told[-1].ref.hash:
            return await self._reorg(heads)
        late = await self._late(told)
        corrected = _fingerprints(late)
        settled = position.settled(number, self._settings.kept_finalized, corrected)
        return self._step([*late, Finalized(told[-1].ref)], settled, heads)

    async def _late(self, told: Sequence[Told]) -> list[Block]:
        """Blocks of which more is seen now than was told."""
        refs = [item.ref for item in told]
        for _ in range(self._settings.suspect_tries + 1):
            seen = await self._reads.all_logs_of(self._position.wanted, refs)
            if not (short := rules.short_answer(told, seen)):
                break
            self._observer.doubted(Doubt.SHORT_ANSWER, short)
        late = rules.late_blocks(told, seen)
        before = {item.ref.number: item.logs for item in told}
        if late:
            self._observer.gap_healed(sum(max(1, len(block.logs) - before[block.ref.number]) for block in late))
        return late

    # ---- a filter that grew -----------------------------------------------------------------------------------------

    async def _rescan_window(self, heads: Heads) -> Step:
        """All of the blocks that are not final, for new addresses or topics."""
        scan = self._position.rescans[0]
        told = self._position.between(scan.first, scan.last)
        logs = await self._reads.logs_of(scan.wanted, [item.ref for item in told])
        blocks = [Block(item.ref, logs[item.ref.number]) for item in told if item.ref.number in logs]
        corrected = tuple(item.with_more(rules.fingerprint(item.ref, logs.get(item.ref.number, ()))) for item in told)
        return self._step(blocks, self._position.rescanned(scan.last, corrected), heads)

    async def _rescan_history(self, heads: Heads) -> Step:
        """A range of finalized blocks, for new addresses or topics."""
        scan: Rescan = self._position.rescans[0]
        last = min(scan.last, scan.first + self._rescan_span - 1)
        found = await self._reads.history(scan.wanted, scan.first, last, heads.proof)
        limit, longest = self._settings.max_batch_logs, self._settings.max_range
        self._rescan_span = rules.next_span(last - scan.first + 1, found.logs, limit, longest)
        blocks = _first_batch(found.blocks, limit)
        upto = last if len(blocks) == len(found.blocks) else blocks[-1].ref.number
        events: list[LogEvent] = list(blocks)
        final = self._position.at(self._position.finalized)
        if blocks and final is not None:
            events.append(Finalized(final.ref))
        return self._step(events, self._position.rescanned(upto), heads)

    # ---- telling ----------------------------------------------------------------------------------------------------

    def _is_level(self, heads: Heads) -> bool:
        """Whether all that this poll saw has been dealt with."""
        position = self._position
        told, settled = position.told >= heads.latest.number, position.finalized >= min(heads.finalized, position.told)
        return told and settled and not position.rescans and not self._additions

    def _failed(self, error: SeamarkError) -> None:
        self._heads = None
        self._observer.poll_failed(error)

    def _report(self, step: Step) -> None:
        blocks = [event for event in step.events if isinstance(event, Block)]
        self._observer.told(len(blocks), sum(len(block.logs) for block in blocks))
        for event in step.events:
            if isinstance(event, Reorg):
                self._observer.reorg(len(event.orphaned))
        self._observer.position(step.head, step.position.told, step.position.finalized)


def _fingerprints(blocks: Sequence[Block]) -> tuple[Told, ...]:
    return tuple(rules.fingerprint(block.ref, block.logs) for block in blocks)


def _first_batch(blocks: Sequence[Block], limit: int) -> list[Block]:
    return list(next(iter(rules.pieces(blocks, limit)), ()))


def _union(one: LogFilter, other: LogFilter) -> LogFilter:
    addresses = dict.fromkeys((*one.addresses, *other.addresses))
    return LogFilter(tuple(addresses), tuple(dict.fromkeys((*one.topics, *other.topics))))
