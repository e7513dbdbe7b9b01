"""A stream's position: what has been told, so that after any crash exactly the rest is told.

    chain       references of consecutive blocks, linked by parent hash, that end at the last block told (the tail).
                They reach from a little below the finalized block up to the tail: enough to see which blocks a reorg
                removed, also one that happened while nobody was looking
    finalized   everything up to here will not change any more; never above the tail
    wanted      the filter that all history up to the tail has been read for, but for the `rescans`
    rescans     parts of history that still have to be read for addresses or topics that came later

Every transition is a method that returns a new position. `revision` counts the stored ones and guards the row.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from seamark.core.ids import BlockRef
from seamark.evm.ports import LogEvent
from seamark.evm.types import BlockHeader, LogFilter

__all__ = ["Heads", "Position", "Rescan", "Step", "Told"]


@dataclass(frozen=True, slots=True)
class Told:
    """A block and a fingerprint of the logs that were told for it, to compare with what the node shows at finality.

    `digest` is the exclusive or of one 128-bit hash per log: a rescan that tells more of the block can add to it.
    """

    ref: BlockRef
    logs: int = 0
    digest: int = 0

    def with_more(self, other: Told) -> Told:
        """With the fingerprint of further logs of the same block."""
        return Told(self.ref, self.logs + other.logs, self.digest ^ other.digest)


@dataclass(frozen=True, slots=True)
class Rescan:
    """Blocks first..last (inclusive) have yet to be read for `wanted`."""

    wanted: LogFilter
    first: int
    last: int


@dataclass(frozen=True, slots=True)
class Position:
    """Where a stream is. An empty `chain` means that not even block 0 was read."""

    wanted: LogFilter
    chain: tuple[Told, ...] = ()
    finalized: int = -1
    rescans: tuple[Rescan, ...] = ()
    revision: int = 0

    @property
    def tail(self) -> BlockRef | None:
        return self.chain[-1].ref if self.chain else None

    @property
    def told(self) -> int:
        """Number of the last block told; -1 before block 0."""
        return self.chain[-1].ref.number if self.chain else -1

    def at(self, number: int) -> Told | None:
        """The kept reference with this number."""
        index = number - self.chain[0].ref.number if self.chain else -1
        return self.chain[index] if 0 <= index < len(self.chain) else None

    def between(self, first: int, last: int) -> tuple[Told, ...]:
        """The kept references of blocks first..last."""
        return tuple(item for item in self.chain if first <= item.ref.number <= last)

    def stored_after(self, before: Position) -> Position:
        """Numbered as the position that takes the place of the stored `before`."""
        return replace(self, revision=before.revision + 1)

    def jumped(self, last: BlockRef) -> Position:
        """Finalized history up to `last` was told; the references before it no longer join on."""
        return replace(self, chain=(Told(last),), finalized=last.number)

    def advanced(self, blocks: tuple[Told, ...]) -> Position:
        """New blocks at the head were told."""
        return replace(self, chain=self.chain + blocks)

    def rewound(self, ancestor: int) -> Position:
        """Everything above block `ancestor` was retracted; what is told from there on is told with the whole filter."""
        kept = tuple(item for item in self.chain if item.ref.number <= ancestor)
        rescans = tuple(replace(scan, last=min(scan.last, ancestor)) for scan in self.rescans if scan.first <= ancestor)
        return replace(self, chain=kept, finalized=min(self.finalized, ancestor), rescans=rescans)

    def settled(self, number: int, keep: int, corrected: tuple[Told, ...] = ()) -> Position:
        """Blocks up to `number` are final; references more than `keep` below it are dropped."""
        kept = tuple(item for item in self.corrected(corrected).chain if item.ref.number >= number - keep)
        return replace(self, chain=kept, finalized=number)

    def rescanned(self, upto: int, corrected: tuple[Told, ...] = ()) -> Position:
        """The first rescan was told up to block `upto`; `corrected` are kept references with more logs than before."""
        scan, *others = self.rescans
        left = (replace(scan, first=upto + 1),) if upto < scan.last else ()
        return replace(self.corrected(corrected), rescans=(*left, *others))

    def corrected(self, items: tuple[Told, ...]) -> Position:
        """Some kept references have new fingerprints."""
        fixed = {item.ref.number: item for item in items}
        return replace(self, chain=tuple(fixed.get(item.ref.number, item) for item in self.chain)) if fixed else self


@dataclass(frozen=True, slots=True)
class Step:
    """Events, and the position once they are stored."""

    events: tuple[LogEvent, ...]
    position: Position
    head: int


@dataclass(frozen=True, slots=True)
class Heads:
    """What a poll saw.

    `finalized` is the newest block that may be taken as final; `proof` is a block at or above it: a node whose chain
    holds `proof` is on the chain that this poll saw.
    """

    latest: BlockHeader
    finalized: int
    proof: BlockHeader
