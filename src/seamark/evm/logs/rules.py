"""The decisions of a log stream, as plain functions: what belongs together, what is doubtful, what to do next.

Node replies are never trusted alone: headers must link, logs must name the hash of the header with their number, and a
block whose bloom promises logs must show some.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from enum import Enum, auto
from hashlib import blake2b
from itertools import groupby, pairwise
from operator import attrgetter

from seamark.core.ids import BlockRef, Hash32
from seamark.evm.logs.bloom import may_contain
from seamark.evm.logs.errors import InconsistentReplyError
from seamark.evm.logs.model import Position, Rescan, Told
from seamark.evm.ports import Block
from seamark.evm.types import BlockHeader, Log, LogFilter

__all__ = [
    "Action",
    "BlockLogs",
    "check_linked",
    "check_logs",
    "extend",
    "fingerprint",
    "group_by_block",
    "has_window_rescan",
    "late_blocks",
    "merged",
    "next_action",
    "next_span",
    "pieces",
    "short_answer",
    "suspects",
    "unread",
]

_DIGEST_BYTES = 16
_order = attrgetter("block_number", "log_index")
_number = attrgetter("block_number")


@dataclass(frozen=True, slots=True)
class BlockLogs:
    """The wanted logs of one block, in order."""

    number: int
    hash: Hash32
    logs: tuple[Log, ...]

    @property
    def timestamp(self) -> int | None:
        """Of the block, where the node sends it along."""
        return self.logs[0].block_timestamp


# ---- what belongs together ------------------------------------------------------------------------------------------


def check_linked(headers: Sequence[BlockHeader]) -> None:
    """Consecutive headers must be linked by parent hash.

    Raises:
        InconsistentReplyError: They are of different chains: a reorg ran while they were read.
    """
    for parent, child in pairwise(headers):
        if child.parent_hash != parent.hash or child.number != parent.number + 1:
            raise InconsistentReplyError(
                f"block {child.number} {child.hash} names parent {child.parent_hash}, "
                f"but block {parent.number} is {parent.hash}"
            )


def check_logs(logs: list[Log], wanted: LogFilter, first: int, last: int, hashes: Mapping[int, Hash32]) -> list[Log]:
    """The logs in order, each once, after checking that they answer the question and belong to the blocks in `hashes`.

    Raises:
        InconsistentReplyError: A log outside the range or the filter, or of another block with the same number.
    """
    addresses, topics = frozenset(wanted.addresses), frozenset(wanted.topics)
    logs.sort(key=_order)
    result: list[Log] = []
    previous: Log | None = None
    for log in logs:
        if (
            not first <= log.block_number <= last
            or log.address not in addresses
            or not log.topics
            or log.topics[0] not in topics
        ):
            raise InconsistentReplyError(
                f"asked for logs of blocks {first} to {last}, got one that was not asked for: "
                f"block {log.block_number}, log {log.log_index}, address {log.address}"
            )
        expected = hashes.get(log.block_number)
        if expected is not None and log.block_hash != expected:
            raise InconsistentReplyError(
                f"a log names block {log.block_number} {log.block_hash}, but the header says {expected}"
            )
        if previous is not None and previous.block_number == log.block_number:
            if previous.block_hash != log.block_hash:
                raise InconsistentReplyError(f"logs of two different blocks {log.block_number} in one answer")
            if previous.log_index == log.log_index:
                continue
        result.append(log)
        previous = log
    return result


def merged(logs: Sequence[Log], others: Sequence[Log]) -> list[Log]:
    """Two answers to the same question as one, in order."""
    found = {_order(item): item for item in (*others, *logs)}
    return [found[place] for place in sorted(found)]


def group_by_block(logs: Sequence[Log]) -> list[BlockLogs]:
    """Ordered logs, block by block."""
    groups = [tuple(items) for _, items in groupby(logs, _number)]
    return [BlockLogs(items[0].block_number, items[0].block_hash, items) for items in groups]


def suspects(headers: Sequence[BlockHeader], logs: Sequence[Log], wanted: LogFilter) -> list[BlockHeader]:
    """Blocks whose bloom says that they may hold wanted logs, while the node shows none."""
    shown = {log.block_number for log in logs}
    return [header for header in headers if header.number not in shown and may_contain(header.logs_bloom, wanted)]


# ---- what was told against what is there ----------------------------------------------------------------------------


def fingerprint(ref: BlockRef, logs: Sequence[Log]) -> Told:
    """The block with the number of its logs and a digest of their identities, whatever their order."""
    digest = 0
    for log in logs:
        identity = f"{log.transaction_hash}{log.log_index}".encode()
        digest ^= int.from_bytes(blake2b(identity, digest_size=_DIGEST_BYTES).digest(), "big")
    return Told(ref, len(logs), digest)


def late_blocks(told: Sequence[Told], seen: Mapping[int, tuple[Log, ...]]) -> list[Block]:
    """Blocks that show other logs than were told for them, and not fewer: they are told again, with all there is."""
    late = []
    for item in told:
        logs = seen.get(item.ref.number, ())
        if len(logs) >= item.logs and fingerprint(item.ref, logs) != item:
            late.append(Block(item.ref, logs))
    return late


def short_answer(told: Sequence[Told], seen: Mapping[int, tuple[Log, ...]]) -> int:
    """How many blocks show fewer logs than were told for them: the node has lost some."""
    return sum(len(seen.get(item.ref.number, ())) < item.logs for item in told)


# ---- a filter that grows --------------------------------------------------------------------------------------------


def unread(known: LogFilter, wanted: LogFilter) -> tuple[LogFilter, ...]:
    """Filters that together match exactly the pairs of address and topic in `wanted` and not in `known`."""
    new_addresses = tuple(item for item in wanted.addresses if item not in known.addresses)
    old_addresses = tuple(item for item in wanted.addresses if item in known.addresses)
    new_topics = tuple(item for item in wanted.topics if item not in known.topics)
    parts = []
    if new_addresses:
        parts.append(LogFilter(new_addresses, wanted.topics))
    if old_addresses and new_topics:
        parts.append(LogFilter(old_addresses, new_topics))
    return tuple(parts)


def extend(position: Position, wanted: LogFilter, from_block: int) -> Position:
    """The position with the filter `wanted`, and what has to be read again for it.

    Blocks that are not final come first and by themselves: their fingerprints must be whole before they are finalized.
    """
    parts = unread(position.wanted, wanted)
    fresh_from = max(from_block, position.finalized + 1)
    fresh = [Rescan(part, fresh_from, position.told) for part in parts if fresh_from <= position.told]
    old = [Rescan(part, from_block, position.finalized) for part in parts if from_block <= position.finalized]
    return replace(position, wanted=wanted, rescans=(*fresh, *position.rescans, *old))


# ---- what to do next ------------------------------------------------------------------------------------------------


class Action(Enum):
    """One round of a stream."""

    FOLLOW = auto()  # the head, header by header
    SETTLE = auto()  # far behind with blocks that were not final when told: finalize them first
    CATCH_UP = auto()  # finalized history, in ranges


def has_window_rescan(position: Position) -> bool:
    """Whether blocks that are not final have to be read again: nothing is finalized before that is done."""
    return bool(position.rescans) and position.rescans[0].last > position.finalized


def next_action(position: Position, finalized: int, head_range: int) -> Action:
    """What a poll that saw block `finalized` as final leads to."""
    if has_window_rescan(position):
        return Action.FOLLOW
    if not position.chain:
        return Action.CATCH_UP
    if finalized - position.told > head_range:
        return Action.SETTLE if position.finalized < position.told else Action.CATCH_UP
    return Action.FOLLOW


def next_span(span: int, logs: int, target: int, longest: int) -> int:
    """How many blocks to ask for after a range of `span` blocks had `logs` logs, to get about `target`."""
    if logs > target:
        return max(1, span * target // logs)
    return min(longest, span * 2) if logs * 2 < target else span


def pieces(blocks: Sequence[Block], limit: int) -> list[tuple[Block, ...]]:
    """Consecutive groups that end after the block that reaches `limit` logs."""
    groups: list[tuple[Block, ...]] = []
    start = count = 0
    for index, block in enumerate(blocks, 1):
        count += len(block.logs)
        if count >= limit or index == len(blocks):
            groups.append(tuple(blocks[start:index]))
            start, count = index, 0
    return groups
