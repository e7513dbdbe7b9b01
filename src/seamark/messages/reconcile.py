"""Logs that a node has left out without an error: found by the contracts' own counters, read again, counted.

    counters by view calls (how many were sent, committed), once the ledger has passed their block
    sequence numbers that lack between final sends; a message without a commit between committed ones
        -> what lacks, and in which blocks -> read those again, from another endpoint too -> the tracker's own apply()
        -> what still lacks is a finding

Nothing is healed by guessing: only logs that a node shows in a block whose hash is checked go into the ledger, through
the same unit of work as any batch, so doing it twice changes nothing. What lacks once may just be a filter that is
still being extended; it counts when it lacks twice.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import NamedTuple

import structlog
from sqlalchemy import Connection

from seamark.core.errors import RejectedError, TemporaryError
from seamark.core.ids import ChainId
from seamark.evm.ports import Block, ChainReader, LogEvent, LogReader
from seamark.evm.types import Log
from seamark.messages.judgement import store
from seamark.messages.judgement.metrics import JudgeMetrics
from seamark.messages.judgement.model import JudgedLane, LogGap
from seamark.messages.judgement.numbering import Numbering, numbered_with, numbering_of
from seamark.messages.judgement.settings import JudgeSettings
from seamark.messages.metrics import MessageMetrics
from seamark.messages.model import LaneKey
from seamark.messages.protocol import ChainRole, Counter, MessageProtocol, Watch, counters_of
from seamark.messages.store import ChainView, read_chains, read_contracts, take_turn
from seamark.messages.tracker import Applied, apply, decode
from seamark.runtime.clock import Clock
from seamark.runtime.health import Health
from seamark.storage.database import Database
from seamark.storage.totals import add_totals, read_totals, total_key

__all__ = ["Lack", "Reconciler"]

SENT, COMMITTED = "sent", "committed"
SPAN_BLOCKS = 10_000
"""Blocks that are read again at once; the reader splits further where a node wants less."""
SEEN_TWICE = 2
LONGEST_PAUSE_S = 3600.0
"""What could not be healed is tried again after growing pauses, at least so often."""
EVERY_DESTINATION = ""
"""A counter over all destinations of a source contract has this for one."""

log = structlog.get_logger("seamark.messages.reconcile")


class Lack(NamedTuple):
    """Sequence numbers first..last are not in the ledger; their logs must be in the blocks given."""

    lane: LaneKey
    kind: str
    first: int
    last: int
    from_block: int
    to_block: int

    @property
    def size(self) -> int:
        return self.last - self.first + 1

    def meets(self, later: Lack) -> bool:
        """Whether a later finding is about the same, or begins within it."""
        return (self.lane, self.kind) == (later.lane, later.kind) and self.first <= later.first <= self.last


@dataclass(frozen=True, slots=True)
class _Reading:
    """Counters of a chain, and a block that is not below the one they were read at."""

    counters: tuple[Counter, ...]
    height: int


@dataclass(slots=True)
class _Case:
    """Something that lacks: how often it was seen to, how much of it was counted, what was tried."""

    lack: Lack
    since: int
    seen: int = 0
    counted: int = 0
    tries: int = 0
    next_try: float = 0.0


@dataclass(frozen=True, slots=True)
class _Blocks:
    """Old blocks told once more (`evm.ports.LogBatch`); the stream's own position stays where it is."""

    chain_id: ChainId
    events: Sequence[LogEvent]
    head: int

    def save(self, connection: object) -> None:
        """Nothing: this is no part of the stream."""


@dataclass(slots=True)
class _Chain:
    """What is remembered of one chain between two checks. `baseline`: counters (value, block) when first read."""

    reading: _Reading | None = None
    baseline: dict[tuple[LaneKey, str], tuple[int, int]] = field(default_factory=dict)
    cases: dict[tuple[LaneKey, str, int], _Case] = field(default_factory=dict)


class Reconciler:
    """Compares counters with the ledger for one protocol; a `runtime.service.Service`.

    Args:
        metrics: Counts what lacked and what was found.
        messages: The tracker's metrics, which follow what is healed.
        witnesses: Other endpoints of a chain, asked after its reader.
    """

    def __init__(
        self,
        protocol: MessageProtocol,
        *,
        readers: Mapping[ChainId, ChainReader],
        database: Database,
        settings: JudgeSettings,
        metrics: JudgeMetrics,
        messages: MessageMetrics,
        clock: Clock,
        witnesses: Mapping[ChainId, LogReader | None] | None = None,
    ) -> None:
        self.name = f"{protocol.name}-reconcile"
        self._protocol = protocol
        self._readers = readers
        self._witnesses = witnesses or {}
        self._database = database
        self._settings = settings
        self._metrics = metrics
        self._messages = messages
        self._clock = clock
        self._numbering = numbering_of(protocol)
        self._chains = {role.chain_id: _Chain() for role in protocol.chains}
        self._errors: dict[str, str] = {}

    def gaps(self) -> tuple[LogGap, ...]:
        """What lacks although its blocks were read again."""
        names = {role.chain_id: role.name for role in self._protocol.chains}
        return tuple(
            LogGap(
                lane=case.lack.lane,
                chain_id=chain_id,
                chain=names[chain_id],
                kind=case.lack.kind,
                first=case.lack.first,
                last=case.lack.last,
                from_block=case.lack.from_block,
                to_block=case.lack.to_block,
                since=case.since,
                tries=case.tries,
            )
            for chain_id, chain in self._chains.items()
            for case in chain.cases.values()
            if case.tries
        )

    async def run(self) -> None:
        """Until cancelled. A chain that does not answer is asked again the next time."""
        await self.load()
        while True:
            for role in self._protocol.chains:
                try:
                    await self.check(role)
                except (TemporaryError, RejectedError) as error:  # the other chains are looked at all the same
                    self._errors[role.name] = str(error)
                    log.warning("not reconciled", chain=role.name, error=str(error))
                else:
                    self._errors.pop(role.name, None)
            await self._clock.sleep(self._settings.reconcile_every)

    async def health(self) -> Health:
        if self._errors:
            return Health.degraded("; ".join(f"{name}: {error}" for name, error in self._errors.items()))
        return Health.ok(f"{len(self.gaps())} gaps that nothing heals")

    async def load(self) -> None:
        """What was counted by earlier processes."""
        prefix = f"{self._protocol.name}_log_gap_"

        def work(connection: Connection) -> dict[str, dict[str, Decimal]]:
            found: dict[str, dict[str, Decimal]] = {}
            for total in read_totals(connection, prefix):
                found.setdefault(total.metric.removeprefix(prefix), {})[total.labels["chain"]] = total.value
            return found

        totals = await self._database.read(work)
        self._metrics.load_gaps(totals.get("detected_total", {}), totals.get("healed_total", {}))

    # ---- one chain --------------------------------------------------------------------------------------------------

    async def check(self, role: ChainRole) -> None:
        """Compare, heal, remember.

        Raises:
            TemporaryError: The chain or the database does not answer.
        """
        chain, name = self._chains[role.chain_id], self._protocol.name
        views = await self._database.read(lambda connection: read_chains(connection, name))
        view = next((view for view in views if view.chain_id == role.chain_id), None)
        if view is None:
            return  # the tracker has not begun
        if chain.reading is None:
            chain.reading = await self._read_counters(role.chain_id)
        reading = chain.reading if view.finalized >= chain.reading.height else None
        lacks = await self._database.read(lambda connection: self._lacks(connection, view, chain, reading))
        if reading is not None:
            chain.reading = None
        await self._follow(chain, lacks)
        for case in list(chain.cases.values()):
            if case.seen >= SEEN_TWICE and self._clock.monotonic() >= case.next_try:
                await self._heal(role, chain, case)

    async def _read_counters(self, chain_id: ChainId) -> _Reading:
        reader, name = self._readers[chain_id], self._protocol.name
        contracts = await self._database.read(lambda connection: read_contracts(connection, name, chain_id))
        counters = await counters_of(self._protocol, reader, contracts)
        # Counters are as of the final block where the node knows one: a later final block is not below it.
        header = await reader.header("finalized") or await reader.header("latest")
        if header is None:
            raise TemporaryError(f"chain {chain_id} has no newest block")
        return _Reading(tuple(counters), header.number)

    async def _follow(self, chain: _Chain, lacks: Sequence[Lack]) -> None:
        """New cases, cases that grew, and cases that ended by themselves."""
        for lack in lacks:
            known = next((case for case in chain.cases.values() if case.lack.meets(lack)), None)
            if known is None:
                chain.cases[lack.lane, lack.kind, lack.first] = _Case(lack, int(self._clock.now()))
            elif lack.last > known.lack.last:
                known.lack = known.lack._replace(last=lack.last, to_block=max(lack.to_block, known.lack.to_block))
        for key, case in list(chain.cases.items()):
            if await self._missing(case.lack):
                case.seen += 1
            else:
                del chain.cases[key]

    # ---- what lacks -------------------------------------------------------------------------------------------------

    def _lacks(self, connection: Connection, view: ChainView, chain: _Chain, reading: _Reading | None) -> list[Lack]:
        """Reads only; without a reading, what lacks in between."""
        lanes = store.judged_lanes(connection, self._protocol.name)
        found = [] if self._numbering is Numbering.NONE else self._missing_numbers(connection, view, lanes)
        for lane in lanes:
            hole = (
                store.commit_hole(connection, lane.id, view.started)
                if lane.names.destination_chain == view.chain_id and self._numbering is Numbering.LANE
                else None
            )
            if hole is not None and hole[1].block <= view.finalized:
                first, last = hole
                found.append(Lack(lane.key, COMMITTED, first.sequence, last.sequence, first.block, last.block))
        return [*found, *(self._behind(connection, chain, reading) if reading else ())]

    def _missing_numbers(self, connection: Connection, view: ChainView, lanes: Sequence[JudgedLane]) -> list[Lack]:
        """Numbers that the judge found missing between final sends of this chain."""
        found = []
        checks = store.read_checks(connection, self._protocol.name)
        for lane in lanes:
            check = checks.get(lane.id)
            if check is None or lane.names.source_chain != view.chain_id:
                continue
            together = numbered_with(lane, lanes, self._numbering)
            for first, last in check.gaps:
                before, after = store.neighbours(connection, together, first, last)
                if before is not None and after is not None and after.sequence - before.sequence > 1:
                    # The numbers of the newest state: some may have come since the judge looked.
                    found.append(Lack(self._counted_as(lane), SENT, first, last, before.block, after.block))
        return found

    def _counted_as(self, lane: JudgedLane) -> LaneKey:
        if self._numbering is Numbering.LANE:
            return lane.key
        return lane.key._replace(destination=EVERY_DESTINATION)

    @staticmethod
    def _behind(connection: Connection, chain: _Chain, reading: _Reading) -> Iterator[Lack]:
        """Counters that are ahead of the ledger."""
        for lane, kind, value in reading.counters:
            lanes = store.lanes_of_counter(connection, lane, EVERY_DESTINATION)
            place = (store.highest_sent if kind == SENT else store.highest_commit)(connection, lanes)
            first = store.Place(*chain.baseline.setdefault((lane, kind), (value, reading.height)))
            # What was before the monitor began is not in its ledger: without any, only what came since the first look.
            place = place or first
            if value > place.sequence:
                yield Lack(lane, kind, place.sequence + 1, value, place.block, reading.height)

    async def _missing(self, lack: Lack) -> int:
        """How many still lack."""

        def work(connection: Connection) -> int:
            lanes = store.lanes_of_counter(connection, lack.lane, EVERY_DESTINATION)
            count = store.missing_sends if lack.kind == SENT else store.missing_commits
            return count(connection, lanes, lack.first, lack.last)

        return await self._database.read(work)

    # ---- healing ----------------------------------------------------------------------------------------------------

    async def _heal(self, role: ChainRole, chain: _Chain, case: _Case) -> None:
        lack, missing = case.lack, await self._missing(case.lack)
        await self._count(role, "detected", max(lack.size - case.counted, 0))
        case.counted = max(lack.size, case.counted)
        place = {"chain": role.name, "direction": lack.kind, "first": lack.first, "last": lack.last}
        log.warning("logs are missing", from_block=lack.from_block, to_block=lack.to_block, **place)
        case.next_try = self._clock.monotonic() + min(self._settings.reconcile_every * 2.0**case.tries, LONGEST_PAUSE_S)
        left = missing
        for source in (self._readers[role.chain_id], self._witnesses.get(role.chain_id)):
            if source is not None and left:
                await self._read_again(role, source, lack)
                left = await self._missing(lack)
        case.tries += 1
        await self._count(role, "healed", missing - left)
        if left:
            log.error("logs are still missing", left=left, tries=case.tries, **place)
        else:
            log.info("missing logs found", **place)
            del chain.cases[lack.lane, lack.kind, lack.first]

    async def _read_again(self, role: ChainRole, source: LogReader, lack: Lack) -> None:
        name = self._protocol.name
        contracts = await self._database.read(lambda connection: read_contracts(connection, name, role.chain_id))
        watch = self._protocol.watch(role.chain_id, contracts)
        for first in range(lack.from_block, lack.to_block + 1, SPAN_BLOCKS):
            last = min(first + SPAN_BLOCKS - 1, lack.to_block)
            logs = await source.logs(watch.filter, first, last)
            if logs:
                await self._store(role, watch, await self._blocks(role, logs))

    async def _blocks(self, role: ChainRole, logs: Sequence[Log]) -> list[Block]:
        """Logs by block, each with a header of that very hash."""
        by_number: dict[int, list[Log]] = {}
        for item in logs:
            by_number.setdefault(item.block_number, []).append(item)
        numbers = sorted(by_number)
        headers = await self._readers[role.chain_id].headers(numbers)
        blocks: list[Block] = []
        for number, header in zip(numbers, headers, strict=True):
            if header is None or any(item.block_hash != header.hash for item in by_number[number]):
                raise TemporaryError(f"chain {role.name}: block {number} differs between two endpoints")
            blocks.append(Block(header.ref, tuple(by_number[number])))
        return blocks

    async def _store(self, role: ChainRole, watch: Watch, blocks: Sequence[Block]) -> None:
        batch = _Blocks(role.chain_id, blocks, 0)
        now_ms = int(self._clock.now() * 1000)

        def work(connection: Connection) -> Applied | None:
            take_turn(connection)  # before the view is read: the tracker moves it
            for view in read_chains(connection, self._protocol.name):
                if view.chain_id == role.chain_id and blocks[-1].ref.number <= view.finalized:
                    return apply(connection, decode(batch, watch, view), self._protocol, now_ms=now_ms)
            return None

        applied = await self._database.write(work)
        if applied is not None:
            self._messages.follow(applied.changes, applied.view)

    async def _count(self, role: ChainRole, what: str, number: int) -> None:
        """Counted in the database first: the metric is what is stored."""
        if not number:
            return
        key = total_key(f"{self._protocol.name}_log_gap_{what}_total", {"chain": role.name})
        await self._database.write(lambda connection: add_totals(connection, {key: number}))
        self._metrics.count_gaps(role.name, **{what: number})
