"""From a batch of a chain's log stream to the ledger: one batch is one unit of work.

    Block      -> its facts are recorded
    Finalized  -> sends up to there are final
    Reorg      -> what the orphaned blocks told is withdrawn

Facts wait in `pending` until something happens that they must come before, so a long catch-up batch is folded once. The
stream's position is saved by the same unit of work, hence a batch is stored whole or comes again, and coming again
changes nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import msgspec
from sqlalchemy import Connection

from seamark.core.ids import ChainId
from seamark.evm.ports import Block, Finalized, LogBatch, LogEvent, Reorg
from seamark.messages.model import ConfigChange, Decoded, Malformed, Notice, Sighting
from seamark.messages.protocol import MessageProtocol, Watch
from seamark.messages.store import ChainView, Changes, Finality, Ledger, read_chains, save_progress, take_turn
from seamark.storage.totals import TotalKey, add_totals, total_key

__all__ = ["Applied", "DecodedBatch", "apply", "decode"]

LIVE_BLOCKS = 16
"""A chain that is read up to so close to its head is seen as it happens: then the newest block's time says when a block
became final, however far behind that one is. Before that it is history, and nobody saw when."""


@dataclass(frozen=True, slots=True)
class DecodedBatch:
    """A batch with its facts, found before the unit of work begins because that holds the write lock."""

    batch: LogBatch
    events: tuple[tuple[LogEvent, Decoded | None], ...]
    scanned: int
    scanned_time: int

    @property
    def moves_messages(self) -> bool:
        """False for blocks without facts: most of a quiet chain, stored with the least possible."""
        return any(
            facts.sightings or facts.notices if facts else not isinstance(event, Block) for event, facts in self.events
        )

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


def decode(batch: LogBatch, watch: Watch, view: ChainView) -> DecodedBatch:
    """Find the facts; pure, and safe in a thread. `view` is where the chain stood before."""
    scanned, time = view.scanned, view.scanned_time
    events: list[tuple[LogEvent, Decoded | None]] = []
    for event in batch.events:
        match event:
            case Block(ref=ref):
                # A block that was passed before is told again for logs of new contracts, without its other logs.
                events.append((event, watch.decode(event, ref.number > scanned)))
                if ref.number > scanned:
                    scanned, time = ref.number, ref.timestamp
            case Finalized(ref=ref):
                events.append((event, None))
                if ref.number > scanned:
                    scanned, time = ref.number, ref.timestamp
            case Reorg(ancestor=ref):
                events.append((event, None))
                scanned, time = ref.number, ref.timestamp
    return DecodedBatch(batch, tuple(events), scanned, time)


@dataclass(slots=True)
class _Run:
    """One pass over the events of a batch."""

    ledger: Ledger
    chain_id: ChainId
    live: bool
    finalized: int
    newest_time: int
    pending: list[Sighting] = field(default_factory=list)
    notices: list[Notice] = field(default_factory=list)
    reorgs: int = 0

    def block(self, event: Block, decoded: Decoded) -> None:
        self.pending.extend(decoded.sightings)
        self.notices.extend(decoded.notices)
        self.newest_time = max(self.newest_time, event.ref.timestamp)

    def final(self, event: Finalized) -> None:
        if event.ref.number <= self.finalized:
            return
        time = max(self.newest_time, event.ref.timestamp) if self.live else None
        finality = Finality(self.chain_id, self.finalized, time)
        self.finalized = event.ref.number
        # Facts told just before and their finality are one step for the ledger.
        self.ledger.set_height(finality, event.ref.number)
        self.flush(finality)
        self.ledger.promote(finality)

    def reorg(self, event: Reorg) -> None:
        self.flush(None)
        self.reorgs += 1
        self.newest_time = event.ancestor.timestamp
        if event.ancestor.number < self.finalized:  # the chain broke its promise: trust it from here only
            self.finalized = event.ancestor.number
            self.ledger.set_height(Finality(self.chain_id, self.finalized, None), self.finalized)
        self.ledger.orphan(self.chain_id, event.orphaned)

    def flush(self, finality: Finality | None) -> None:
        facts, self.pending = self.pending, []
        self.ledger.record(facts, finality)
        notices, self.notices = self.notices, []
        self.ledger.notice(notices)


def apply(connection: Connection, decoded: DecodedBatch, protocol: MessageProtocol, *, now_ms: int) -> Applied:
    """Store a batch: facts, states, transitions, events, totals and the stream's position."""
    batch = decoded.batch
    next_no = take_turn(connection) if decoded.moves_messages else 0
    views = {ChainId(view.chain_id): view for view in read_chains(connection, protocol.name)}
    view = views[batch.chain_id]
    ledger = Ledger(
        connection,
        protocol=protocol.name,
        names=protocol.names,
        heights={chain_id: item.finalized for chain_id, item in views.items()},
        next_no=next_no,
        now_ms=now_ms,
    )
    run = _Run(
        ledger,
        batch.chain_id,
        live=decoded.scanned >= batch.head - LIVE_BLOCKS,
        finalized=view.finalized,
        newest_time=view.scanned_time,
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
    after = msgspec.structs.replace(
        view,
        finalized=run.finalized,
        scanned=decoded.scanned,
        scanned_time=decoded.scanned_time,
        reorgs=view.reorgs + run.reorgs,
    )
    if after != view:
        save_progress(connection, after)
    batch.save(connection)
    return Applied(changes, after, run.reorgs)


def _count_malformed(
    connection: Connection, protocol: MessageProtocol, malformed: Sequence[Malformed], changes: Changes
) -> None:
    if not malformed:
        return
    labels = {"source": "", "dest": "", "version": "", "onramp": "", "class": "malformed_log"}
    added: dict[TotalKey, int] = {total_key(f"{protocol.name}_errors_total", labels): len(malformed)}
    add_totals(connection, added)
    changes.totals.update(added)
