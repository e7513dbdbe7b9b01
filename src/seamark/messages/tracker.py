"""From a batch of a chain's log stream to the ledger: one batch is one unit of work.

    Block      -> its facts are recorded
    Finalized  -> sends up to there are final
    Reorg      -> what the orphaned blocks told is withdrawn

Facts wait in `pending` until something happens that they must come before, so a long catch-up batch is folded once. The
stream's position is saved by the same unit of work, hence a batch is stored whole or comes again, and coming again
changes nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from sqlalchemy import Connection

from seamark.core.ids import ChainId
from seamark.evm.ports import Block, Finalized, LogBatch, LogEvent, Reorg
from seamark.messages.model import ConfigChange, Decoded, Malformed, Sighting
from seamark.messages.protocol import MessageProtocol, Watch
from seamark.messages.store import ChainView, Changes, Finality, Ledger, read_chains, save_progress
from seamark.storage.totals import TotalKey, add_totals, total_key

__all__ = ["Applied", "DecodedBatch", "apply", "decode"]

LIVE_BLOCKS = 16
"""A batch that ends so close to the head was read as it happened: then the newest block's time says when a block became
final. Behind that it is history, and nobody saw when."""


@dataclass(frozen=True, slots=True)
class DecodedBatch:
    """A batch with its facts, found before the unit of work begins because that holds the write lock."""

    batch: LogBatch
    events: tuple[tuple[LogEvent, Decoded | None], ...]

    @property
    def changes(self) -> list[ConfigChange]:
        return [change for _, decoded in self.events if decoded for change in decoded.changes]

    @property
    def malformed(self) -> list[Malformed]:
        return [log for _, decoded in self.events if decoded for log in decoded.malformed]


@dataclass(frozen=True, slots=True)
class Applied:
    """What a unit of work did."""

    changes: Changes
    view: ChainView
    reorgs: int


def decode(batch: LogBatch, watch: Watch) -> DecodedBatch:
    """Find the facts; pure, and safe in a thread."""
    events = tuple((event, watch.decode(event) if isinstance(event, Block) else None) for event in batch.events)
    return DecodedBatch(batch, events)


@dataclass(slots=True)
class _Run:
    """One pass over the events of a batch."""

    ledger: Ledger
    view: ChainView
    live: bool
    pending: list[Sighting] = field(default_factory=list)
    reorgs: int = 0
    scanned: int = 0
    scanned_time: int = 0
    finalized: int = 0

    def block(self, event: Block, decoded: Decoded) -> None:
        self.pending.extend(decoded.sightings)
        self.scanned, self.scanned_time = event.ref.number, event.ref.timestamp

    def final(self, event: Finalized) -> None:
        if event.ref.number <= self.finalized:
            return
        time = max(self.scanned_time, event.ref.timestamp) if self.live else None
        finality = Finality(ChainId(self.view.chain_id), self.finalized, time)
        self.finalized = event.ref.number
        # Facts told just before and their finality are one step for the ledger.
        self.ledger.raise_height(finality, event.ref.number)
        self.flush(finality)
        self.ledger.promote(finality)

    def reorg(self, event: Reorg) -> None:
        self.flush(None)
        self.reorgs += 1
        self.scanned, self.scanned_time = event.ancestor.number, event.ancestor.timestamp
        self.ledger.orphan(ChainId(self.view.chain_id), event.orphaned)

    def flush(self, finality: Finality | None) -> None:
        facts, self.pending = self.pending, []
        self.ledger.record(facts, finality)


def apply(connection: Connection, decoded: DecodedBatch, protocol: MessageProtocol, *, now_ms: int) -> Applied:
    """Store a batch: facts, states, transitions, events, totals and the stream's position."""
    batch = decoded.batch
    views = {ChainId(view.chain_id): view for view in read_chains(connection, protocol.name)}
    view = views.get(batch.chain_id, ChainView(protocol.name, batch.chain_id, -1, -1, 0, 0))
    ledger = Ledger(
        connection,
        protocol=protocol.name,
        names=protocol.names,
        heights={chain_id: item.finalized for chain_id, item in views.items()},
        now_ms=now_ms,
    )
    run = _Run(
        ledger,
        view,
        live=_last_block(batch.events) >= batch.head - LIVE_BLOCKS,
        scanned=view.scanned,
        scanned_time=view.scanned_time,
        finalized=view.finalized,
    )
    for event, facts in decoded.events:
        match event:
            case Block():
                assert facts is not None
                run.block(event, facts)
            case Finalized():
                run.final(event)
            case Reorg():
                run.reorg(event)
    run.flush(None)
    changes = ledger.close()
    _count_malformed(connection, protocol, decoded.malformed, changes)
    after = ChainView(
        protocol.name, batch.chain_id, run.finalized, run.scanned, run.scanned_time, view.reorgs + run.reorgs
    )
    if after != view:
        save_progress(connection, after)
    batch.save(connection)
    return Applied(changes, after, run.reorgs)


def _last_block(events: Iterable[LogEvent]) -> int:
    return max((event.ref.number for event in events if isinstance(event, (Block, Finalized))), default=-1)


def _count_malformed(
    connection: Connection, protocol: MessageProtocol, malformed: Sequence[Malformed], changes: Changes
) -> None:
    if not malformed:
        return
    labels = {"source": "", "dest": "", "version": "", "onramp": "", "class": "malformed_log"}
    added: dict[TotalKey, int] = {total_key(f"{protocol.name}_errors_total", labels): len(malformed)}
    add_totals(connection, added)
    changes.totals.update(added)
