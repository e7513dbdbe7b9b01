"""Reads of one chain, checked: what comes out of here belongs to one chain, or an error is raised and nothing is told.

The proofs, from weakest to strongest assumption avoided:
- headers of one call come from one endpoint; consecutive ones must link;
- a log range is answered only by an endpoint that has the range's last block under the very hash expected (`end`);
- finalized history is read from an endpoint that also holds the block that proves finality (`Heads.proof`), so an
  endpoint stuck on a dead fork can neither add logs nor hide them;
- a block whose bloom promises logs and that shows none is asked for again, of a witness where there is one;
- before blocks are final, the logs that were told are compared with what reader and witness show together.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import structlog

from seamark.core.errors import TemporaryError
from seamark.core.ids import BlockRef, Hash32
from seamark.evm.logs import rules
from seamark.evm.logs.errors import ChainMismatchError, InconsistentReplyError
from seamark.evm.logs.model import Heads, Position, Told
from seamark.evm.logs.observer import Doubt, StreamObserver
from seamark.evm.logs.settings import StreamSettings
from seamark.evm.ports import Block, ChainReader, LogReader
from seamark.evm.types import BlockHeader, Log, LogFilter
from seamark.runtime.clock import Clock

__all__ = ["CheckedReads", "HistoryRange", "Rival"]

log = structlog.get_logger("seamark.evm.logs")

UNREAD_PARENT = Hash32("")
"""Parent of a block of finalized history whose header was not needed."""

FIRST_FORK_SEARCH = 16  # headers; nearly every reorg is shorter, the next searches are 4 times as long each
EXTRA_CONFIRMATIONS = 3  # reads that must agree before a shorter fork, or one below finality, is believed


@dataclass(frozen=True, slots=True)
class HistoryRange:
    """Finalized blocks first.number..last.number and the ones with wanted logs among them."""

    first: BlockHeader
    last: BlockHeader
    blocks: tuple[Block, ...]
    logs: int


@dataclass(frozen=True, slots=True)
class Rival:
    """The chain left ours after `ancestor`: `header` now stands where another block was told."""

    ancestor: BlockRef
    header: BlockHeader


class CheckedReads:
    """The questions a log stream asks."""

    def __init__(
        self,
        reader: ChainReader,
        settings: StreamSettings,
        *,
        clock: Clock,
        observer: StreamObserver,
        witness: LogReader | None = None,
    ) -> None:
        self._reader = reader
        self._witness = witness
        self._settings = settings
        self._clock = clock
        self._observer = observer
        self._final: tuple[int, BlockHeader] | None = None
        """What may be taken as final, and its proof, as of the last answer."""

        self._final_read_at = 0.0

    async def heads(self) -> Heads:
        """The newest block, and what may be taken as final."""
        tag = self._settings.finality_tag
        age = self._clock.monotonic() - self._final_read_at
        if self._final is not None and age < self._settings.finality_interval_s:
            latest = await self._latest()
            return Heads(latest, *self._final)
        if tag is None:
            latest, final = await self._latest(), None
        else:
            latest, final = await asyncio.gather(self._latest(), self._reader.header(tag))
        if final is None:
            final_number, proof = max(0, latest.number - self._settings.finality_depth), latest
        else:
            final_number, proof = final.number, final
        self._final, self._final_read_at = (final_number, proof), self._clock.monotonic()
        return Heads(latest, final_number, proof)

    async def headers(self, numbers: Sequence[int]) -> list[BlockHeader]:
        """One header per number, all from one endpoint."""
        answers = await self._reader.headers(numbers)
        found = [header for header in answers if header is not None]
        if len(found) != len(numbers) or any(a.number != n for a, n in zip(found, numbers, strict=True)):
            raise InconsistentReplyError(
                f"no header for some of blocks {min(numbers)} to {max(numbers)}: the node is behind"
            )
        return found

    async def proven(self, numbers: Sequence[int], proof: BlockHeader) -> list[BlockHeader]:
        """Headers from an endpoint whose chain holds `proof`, at or above all of them: so they are ancestors of it."""
        if list(numbers) == [proof.number]:
            return [proof]
        if max(numbers) > proof.number:
            raise InconsistentReplyError(f"block {max(numbers)} is above {proof.ref}: the node is behind")
        found = {header.number: header for header in await self.headers(list(dict.fromkeys([*numbers, proof.number])))}
        seen = found[proof.number]
        if seen.hash != proof.hash:
            raise InconsistentReplyError(f"block {proof.number} was {proof.hash}, now the node says {seen.hash}")
        return [found[number] for number in numbers]

    # ---- logs -------------------------------------------------------------------------------------------------------

    async def logs_of(self, wanted: LogFilter, refs: Sequence[BlockRef]) -> dict[int, tuple[Log, ...]]:
        """The logs of these consecutive blocks, by number; blocks without any are left out."""
        logs = await self._logs(self._reader, wanted, {ref.number: ref.hash for ref in refs})
        return {group.number: group.logs for group in rules.group_by_block(logs)}

    async def all_logs_of(self, wanted: LogFilter, refs: Sequence[BlockRef]) -> dict[int, tuple[Log, ...]]:
        """As `logs_of`, with what only the witness shows."""
        hashes = {ref.number: ref.hash for ref in refs}
        ours, theirs = await asyncio.gather(
            self._logs(self._reader, wanted, hashes), self._second_opinion(wanted, hashes)
        )
        return {group.number: group.logs for group in rules.group_by_block(rules.merged(ours, theirs or []))}

    async def _second_opinion(self, wanted: LogFilter, hashes: Mapping[int, Hash32]) -> list[Log] | None:
        """Of the witness; None where there is none, or none that can tell now."""
        if self._witness is None:
            return None
        try:
            return await self._logs(self._witness, wanted, hashes)
        except TemporaryError as error:
            log.debug("no second opinion", error=str(error))
            return None

    async def _logs(self, reader: LogReader, wanted: LogFilter, hashes: Mapping[int, Hash32]) -> list[Log]:
        """From the lowest to the highest number in `hashes`, all belonging to those blocks where one is named."""
        first, last = min(hashes), max(hashes)
        return rules.check_logs(await reader.logs(wanted, first, last, end=hashes[last]), wanted, first, last, hashes)

    async def _trusted_logs(self, wanted: LogFilter, headers: Sequence[BlockHeader]) -> list[Log]:
        """From the first to the last header; asked again while a bloom promises more than the node shows."""
        hashes = {header.number: header.hash for header in headers}
        logs = await self._logs(self._reader, wanted, hashes)
        doubtful = rules.suspects(headers, logs, wanted)
        for attempt in range(self._settings.suspect_tries):
            if not doubtful:
                return logs
            if attempt:
                await self._clock.sleep(self._settings.confirm_pause_s)
            seen = await self._second_opinion(wanted, hashes)
            logs = rules.merged(logs, seen if seen is not None else await self._logs(self._reader, wanted, hashes))
            still = rules.suspects(headers, logs, wanted)
            if len(still) < len(doubtful):
                self._observer.doubted(Doubt.MISSING_LOGS, len(doubtful) - len(still))
            doubtful = still
        if doubtful:
            self._observer.doubted(Doubt.FALSE_BLOOM, len(doubtful))
        return logs

    # ---- history ----------------------------------------------------------------------------------------------------

    async def history(self, wanted: LogFilter, first: int, last: int, proof: BlockHeader) -> HistoryRange:
        """A range of finalized blocks."""
        ends = await self.proven([first] if first == last else [first, last], proof)
        logs = await self._trusted_logs(wanted, ends)
        groups = rules.group_by_block(logs)
        known = {header.number: header.ref for header in ends}
        unread = [group.number for group in groups if group.timestamp is None and group.number not in known]
        for start in range(0, len(unread), self._settings.head_range):
            found = await self.proven(unread[start : start + self._settings.head_range], proof)
            known.update((header.number, header.ref) for header in found)
        blocks = tuple(Block(_ref_of(group, known), group.logs) for group in groups)
        return HistoryRange(ends[0], ends[-1], blocks, len(logs))

    # ---- the head ---------------------------------------------------------------------------------------------------

    async def following(
        self, base: BlockRef, latest: BlockHeader, wanted: LogFilter, *, via: BlockHeader | None = None
    ) -> list[Block] | None:
        """The blocks after `base` up to `latest`, at most `head_range`; None when the chain no longer holds `base`.

        With `via` the first of them must be that one.
        """
        if via is None and base.number < latest.number <= base.number + self._settings.head_range:
            # Both ends are known: what is between them joins them, or the chain is another one.
            between = range(base.number + 1, latest.number)
            joined = [*(await self.headers(between) if between else ()), latest]
            if joined[0].parent_hash != base.hash:
                return None
            rules.check_linked(joined)
            return await self._with_logs(wanted, joined)
        last = min(latest.number, base.number + self._settings.head_range)
        headers = await self.headers(range(base.number, last + 1))
        if headers[0].hash != base.hash:
            return None
        rules.check_linked(headers)
        if last == latest.number and headers[-1].hash != latest.hash:
            raise InconsistentReplyError(f"block {last} was {latest.hash}, now the node says {headers[-1].hash}")
        new = headers[1:]
        if via is not None and (not new or new[0].hash != via.hash):
            raise InconsistentReplyError(f"block {via.number} was {via.hash}, now the node says otherwise")
        if not new:
            return []
        return await self._with_logs(wanted, new)

    async def _with_logs(self, wanted: LogFilter, new: Sequence[BlockHeader]) -> list[Block]:
        logs = {group.number: group.logs for group in rules.group_by_block(await self._trusted_logs(wanted, new))}
        return [Block(header.ref, logs.get(header.number, ())) for header in new]

    # ---- reorgs -----------------------------------------------------------------------------------------------------

    async def rival(self, position: Position, heads: Heads) -> Rival:
        """Where the chain left ours, seen at least twice.

        Raises:
            InconsistentReplyError: There is no such place, or not on a second look: read again.
            ChainMismatchError: Even the oldest kept reference is not on the chain.
        """
        found = await self._fork(position, heads.latest.number)
        if found is None:
            await self._confirm_mismatch(position, heads)
            raise _mismatch(position)
        shorter = heads.latest.number < position.told
        below_finality = found.ancestor.number < position.finalized
        if below_finality and heads.finalized <= found.ancestor.number:
            raise InconsistentReplyError(f"a node shows other blocks after {found.ancestor}, which is below finality")
        pause = self._settings.confirm_pause_s
        for _ in range(EXTRA_CONFIRMATIONS if shorter or below_finality else 1):
            await self._clock.sleep(pause)
            await self._confirm(found, heads.latest)
        return found

    async def _fork(self, position: Position, highest: int) -> Rival | None:
        """Walk back along the kept references until the node has the same block; None when it has none of them."""
        oldest, top, size = position.chain[0].ref.number, min(position.told, highest), FIRST_FORK_SEARCH
        if top < oldest:
            raise InconsistentReplyError(f"block {oldest} was read before, the node ends at {highest}: it is behind")
        above: BlockHeader | None = None
        while top >= oldest:
            low = max(oldest, top - size + 1)
            for header in reversed(await self.headers(range(low, top + 1))):
                ours = position.at(header.number)
                if ours is not None and ours.ref.hash == header.hash:
                    if above is None:
                        raise InconsistentReplyError(f"{ours.ref} is on the chain after all")
                    return Rival(ours.ref, above)
                above = header
            top, size = low - 1, size * 4
        return None

    async def _confirm(self, found: Rival, latest: BlockHeader) -> None:
        """One endpoint must have the ancestor, the other block on top of it, and the head that raised the question."""
        numbers = (found.ancestor.number, found.header.number, latest.number)
        ancestor, other, head = await self.headers(numbers)
        agrees = ancestor.hash == found.ancestor.hash and other.hash == found.header.hash and head.hash == latest.hash
        if not agrees or other.parent_hash != ancestor.hash:
            raise InconsistentReplyError(f"nodes disagree on the blocks after {found.ancestor}")

    async def _confirm_mismatch(self, position: Position, heads: Heads) -> None:
        oldest = position.chain[0].ref
        for _ in range(EXTRA_CONFIRMATIONS):
            await self._clock.sleep(self._settings.confirm_pause_s)
            seen, head = await self.headers((oldest.number, heads.latest.number))
            if seen.hash == oldest.hash or head.hash != heads.latest.hash:
                raise InconsistentReplyError(f"nodes disagree on block {oldest.number}")

    async def _latest(self) -> BlockHeader:
        latest = await self._reader.header("latest")
        if latest is None:
            raise InconsistentReplyError("the node has no newest block")
        return latest


def _ref_of(group: rules.BlockLogs, known: Mapping[int, BlockRef]) -> BlockRef:
    ref = known.get(group.number)
    if ref is None:
        assert group.timestamp is not None
        return BlockRef(group.number, group.hash, UNREAD_PARENT, group.timestamp)
    if ref.hash != group.hash:
        raise InconsistentReplyError(f"a log names block {group.number} {group.hash}, but the header says {ref.hash}")
    return ref


def _mismatch(position: Position) -> ChainMismatchError:
    oldest: Told = position.chain[0]
    return ChainMismatchError(
        f"{oldest.ref} was read as final and is no longer on the chain",
        remedy="if the chain was started afresh, start with an empty database; else raise this chain's finality depth",
    )
