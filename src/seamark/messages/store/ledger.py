"""Writing what was seen, inside one unit of work.

    sightings, orphaned blocks, final heights -> touched messages -> fold -> rows, transitions, events, totals

Every entry point works the same way: store the facts, find the messages that they touch, load all facts of those,
fold, and write what differs. Because a state is always computed from all facts, the entry points need not know of
each other, and doing one of them twice changes nothing.

The caller commits; `Changes` tells it afterwards what to add to gauges and counters in memory.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

import msgspec
from sqlalchemy import Connection, select, tuple_

from seamark.core.ids import BlockRef, ChainId
from seamark.messages.model import Committed, Fact, Increment, LaneKey, MessageState, Sighting, Stage, Transition
from seamark.messages.protocol import LaneNames
from seamark.messages.rules import CommitRange, count, fold, speaker, transitions
from seamark.messages.store import tables
from seamark.messages.store.bulk import insert_rows, update_rows
from seamark.messages.store.lanes import Lane, Lanes, lane_labels
from seamark.messages.store.rows import commit_row, evidence_of, message_row, sighting_of, sighting_row, view_of
from seamark.storage.bulk import chunks, insert_new, upsert
from seamark.storage.events import Event, append_events
from seamark.storage.totals import TotalKey, add_totals, total_key

__all__ = ["LATENCY_BUCKETS_S", "NEWS_S", "Changes", "Finality", "Ledger", "TallyKey"]

LATENCY_BUCKETS_S = (5, 15, 30, 60, 120, 300, 600, 900, 1200, 1800, 2700, 3600, 7200, 14400, 28800, 86400)
"""From instant finality (seconds) over Ethereum's (15 minutes) to the slowest rollups (a day and more)."""

PROMOTED_AT_ONCE = 2000  # messages folded together when a finalized block covers many: bounds memory
NEWS_S = 86_400
"""Steps that are older than a day when they are found are history: the ledger has them, the event log does not. It
would be flooded by a catch-up over months, and its listeners want news."""

GAP = 1000  # sequence numbers closer than this are looked up in one range of commits

_message, _sighting, _commit = tables.message, tables.sighting, tables.commit
_COLUMNS = tuple(column.name for column in _message.columns)
_KNOWN = (
    _message.c.no,
    _message.c.id,
    _message.c.lane_id,
    _message.c.facts,
    _message.c.counted,
    _message.c.stage,
    _message.c.reason,
    _message.c.time,
    _message.c.finalized_time,
)
# What changes about a message whose send is known; the other columns and their indexes are left alone.
_MOVING = [
    "facts",
    "counted",
    "stage",
    "pending_block",
    "finalized_time",
    "committed_tx",
    "committed_time",
    "executed_tx",
    "executed_time",
    "attempts",
    "reason",
    "error",
    "callback",
    "manual",
    "conflicting",
]

Row = dict[str, Any]
TallyKey = tuple[int, str, str]
"""(lane id, "stage" or "reason", name)."""


@dataclass(slots=True)
class Changes:
    """What a unit of work did, to be told to metrics once it is committed."""

    totals: Counter[TotalKey] = field(default_factory=Counter)
    tallies: Counter[TallyKey] = field(default_factory=Counter)
    lanes: dict[int, Lane] = field(default_factory=dict)
    steps: Counter[str] = field(default_factory=Counter)


@dataclass(frozen=True, slots=True)
class Finality:
    """A chain's final height grew: sends above `after` became final at `time` (None: nobody saw when)."""

    chain_id: ChainId
    after: int
    time: int | None


@dataclass(slots=True)
class _Item:
    """One touched message: what is stored, what is known of it, and what of that is new."""

    id: str
    known: Any = None
    no: int = 0
    facts: dict[tuple[int, str, int, int], tuple[Sighting, bool]] = field(default_factory=dict)
    fresh: list[Sighting] = field(default_factory=list)
    orphans: list[Sighting] = field(default_factory=list)

    @property
    def live(self) -> list[Sighting]:
        return [item for item, live in self.facts.values() if live]

    @property
    def orphaned(self) -> list[Sighting]:
        return [item for item, live in self.facts.values() if not live]

    def add(self, item: Sighting) -> None:
        """A fact told now; one that is known already is not news."""
        stored = self.facts.get(item.identity)
        if stored is None or not stored[1]:
            self.facts[item.identity] = (item, True)
            self.fresh.append(item)


class Ledger:
    """The tables of messages, for one protocol and one unit of work.

    Args:
        names: Labels and coverage of a lane.
        heights: Final height by chain; `set_height` raises them.
        now_ms: The wall clock, for the log of transitions.
    """

    def __init__(
        self,
        connection: Connection,
        *,
        protocol: str,
        names: Callable[[LaneKey], LaneNames],
        heights: dict[ChainId, int],
        now_ms: int,
    ) -> None:
        self._connection = connection
        self._protocol = protocol
        self._heights = heights
        self._now_ms = now_ms
        self._news_from = now_ms // 1000 - NEWS_S
        self._lanes = Lanes(connection, names)
        self._next_no: int | None = None
        self._transitions: list[dict[str, Any]] = []
        self._events: list[Event] = []
        self._added: Counter[tuple[int, str, str]] = Counter()
        self.changes = Changes()

    # ---- entry points -----------------------------------------------------------------------------------------------

    def record(self, sightings: Sequence[Sighting], finality: Finality | None = None) -> None:
        """Facts of canonical blocks."""
        if not sightings:
            return
        self._lock()
        self._lanes.ensure({item.lane: item.version for item in sightings})
        commits = [item for item in sightings if type(item.body) is Committed]
        items: dict[str, _Item] = {}
        for sighting in sightings:
            if sighting.message_id:
                items.setdefault(sighting.message_id, _Item(sighting.message_id)).fresh.append(sighting)
        told = {key: item.fresh for key, item in items.items()}
        for item in items.values():
            item.fresh = []
        self._find(items, _message.c.id, list(items))
        self._store_commits(commits, items)
        self._load_facts(items.values())
        for key, news in told.items():
            for sighting in news:
                items[key].add(sighting)
        self._refold(items.values(), finality)

    def orphan(self, chain_id: ChainId, blocks: Sequence[BlockRef]) -> None:
        """Blocks that left the canonical chain: what they told is true no longer."""
        self._lock()
        items: dict[str, _Item] = {}
        gone: set[tuple[int, str, int, int]] = set()
        for chunk in chunks([(block.number, block.hash) for block in blocks]):
            for table in (_sighting, _commit):
                where = (
                    (table.c.chain_id == chain_id)
                    & tuple_(table.c.block_number, table.c.block_hash).in_(chunk)
                    & table.c.live
                )
                rows = self._connection.execute(select(table).where(where)).all()
                if rows:
                    self._connection.execute(table.update().where(where).values(live=False))
                if table is _sighting:
                    gone.update((chain_id, row.block_hash, row.log_index, row.part) for row in rows)
                    self._find(items, _message.c.no, sorted({row.message_no for row in rows}))
                else:
                    self._find_covered(items, [(row.lane_id, row.first, row.last) for row in rows])
        self._load_facts(items.values())
        for item in items.values():
            item.orphans = [fact for key, (fact, _) in item.facts.items() if key in gone]
        self._refold(items.values(), None)

    def set_height(self, finality: Finality, height: int) -> None:
        """Everything up to `height` is final from now on; facts recorded from here on are folded with that."""
        self._heights[finality.chain_id] = height

    def promote(self, finality: Finality) -> None:
        """Promote the stored sends that waited for the chain's height."""
        waiting = (_message.c.source_chain == finality.chain_id) & (
            _message.c.pending_block <= self._heights[finality.chain_id]
        )
        last = 0
        while numbers := self._numbers(waiting & (_message.c.no > last)):
            last = numbers[-1]
            self._lock()
            items: dict[str, _Item] = {}
            self._find(items, _message.c.no, numbers)
            self._load_facts(items.values())
            self._refold(items.values(), finality)

    def _numbers(self, where: Any) -> list[int]:
        query = select(_message.c.no).where(where).order_by(_message.c.no).limit(PROMOTED_AT_ONCE)
        return list(self._connection.execute(query).scalars())

    def close(self) -> Changes:
        """Write what was gathered; the unit of work is complete then."""
        insert_rows(self._connection, tables.transition, self._transitions)
        append_events(self._connection, self._events)
        if self._next_no is not None:
            self._connection.execute(tables.number.update().values(next=self._next_no))
        self._close_totals()
        self._close_tallies()
        return self.changes

    # ---- finding what is touched ------------------------------------------------------------------------------------

    def _lock(self) -> None:
        """Trackers of several chains take turns: each folds rows that another one may be changing."""
        if self._next_no is not None:
            return
        insert_new(self._connection, tables.number, [{"id": 1, "next": 1}])
        self._next_no = self._connection.execute(select(tables.number.c.next).with_for_update()).scalar_one()

    def _find(self, items: dict[str, _Item], column: Any, values: Sequence[Any]) -> None:
        for chunk in chunks(values):
            self._take(items, select(*_KNOWN).where(column.in_(chunk)))

    def _find_covered(self, items: dict[str, _Item], ranges: Iterable[tuple[int, int, int]]) -> None:
        for lane_id, first, last in _merged(ranges):
            where = (_message.c.lane_id == lane_id) & _message.c.sequence.between(first, last)
            self._take(items, select(*_KNOWN).where(where))

    def _take(self, items: dict[str, _Item], query: Any) -> None:
        for row in self._connection.execute(query):
            item = items.setdefault(row.id, _Item(row.id))
            item.known, item.no = row, row.no

    def _load_facts(self, items: Iterable[_Item]) -> None:
        by_no = {item.no: item for item in items if item.no and not item.facts}
        for chunk in chunks(list(by_no)):
            rows = self._connection.execute(select(_sighting).where(_sighting.c.message_no.in_(chunk))).all()
            self._lanes.fetch({row.lane_id for row in rows})
            for row in rows:
                item = by_no[row.message_no]
                fact = sighting_of(row, item.id, self._lanes.number(row.lane_id))
                item.facts[fact.identity] = (fact, row.live)

    def _store_commits(self, commits: Sequence[Sighting], items: dict[str, _Item]) -> None:
        ranges, widths = [], dict[int, int]()
        rows = []
        for item in commits:
            assert isinstance(item.body, Committed)
            lane_id, last = self._lanes.of(item.lane).id, item.body.last
            rows.append(commit_row(item, lane_id, last))
            ranges.append((lane_id, item.sequence, last))
            widths[lane_id] = max(widths.get(lane_id, 0), last - item.sequence + 1)
        insert_rows(self._connection, _commit, rows, update=("live",))
        self._lanes.widen(widths)
        self._find_covered(items, ranges)

    # ---- folding ----------------------------------------------------------------------------------------------------

    def _refold(self, items: Iterable[_Item], finality: Finality | None) -> None:
        new: list[Row] = []
        moved: list[Row] = []
        changed: list[Row] = []
        facts: list[Row] = []
        work = [item for item in items if item.facts]
        commits = self._commits_for(work)
        for item in work:
            state, before = self._fold(item, commits, finality)
            row, narrow = self._settle(item, state, before)
            if row is None:
                continue
            (new if item.known is None else moved if narrow else changed).append(row)
            facts.extend(sighting_row(fact, item.no, self._lanes.of(fact.lane).id, live=True) for fact in item.fresh)
        insert_rows(self._connection, _message, new)
        update_rows(self._connection, _message, "no", moved, _MOVING)
        update_rows(self._connection, _message, "no", changed, [name for name in _COLUMNS if name != "no"])
        insert_rows(self._connection, _sighting, facts, update=("live",))

    def _fold(
        self, item: _Item, commits: Mapping[str, Sequence[CommitRange]], finality: Finality | None
    ) -> tuple[MessageState, int | None]:
        known = item.known
        state = fold(
            item.live,
            item.orphaned,
            commits.get(item.id, ()),
            self._heights,
            known.finalized_time if known is not None else None,
        )
        before = known.facts if known is not None else None
        became_final = state.facts & ~(before or 0) & Fact.FINALIZED
        if became_final and finality is not None and finality.time is not None:
            sent = state.sent
            if sent is not None and sent.chain_id == finality.chain_id and sent.block_number > finality.after:
                state = msgspec.structs.replace(state, finalized_time=max(finality.time, sent.time))
        return state, before

    def _settle(self, item: _Item, state: MessageState, before: int | None) -> tuple[dict[str, Any] | None, bool]:
        """Take a new state into the books; the row to write, and whether only its moving parts differ."""
        known = item.known
        if known is not None and state.facts == before and not item.fresh and not item.orphans:
            return None, False
        if not item.no:
            item.no = self._take_number()
        lane = self._lanes.of(state.lane)
        counted, increments = count(state, known.counted if known is not None else 0)
        first_seen = min(fact.evidence.time for fact in item.live or item.orphaned)
        row = message_row(state, lane.id, counted, first_seen)
        row["no"] = item.no
        self._count(lane, increments)
        self._tally(known, row, state)
        self._tell(item.no, transitions(before, state, item.orphans), row, lane)
        same_send = known is not None and before is not None and before & state.facts & Fact.SENT
        return row, bool(same_send) and known.lane_id == lane.id and known.time == row["time"]

    def _take_number(self) -> int:
        assert self._next_no is not None
        self._next_no += 1
        return self._next_no - 1

    def _commits_for(self, items: Sequence[_Item]) -> dict[str, list[CommitRange]]:
        """The live commits that may cover each message, by message id."""
        wanted: defaultdict[int, list[tuple[int, str]]] = defaultdict(list)
        for item in items:
            said = speaker(item.live, item.orphaned)
            wanted[self._lanes.of(said.lane).id].append((said.sequence, item.id))
        found: dict[str, list[CommitRange]] = {}
        for lane_id, numbers in wanted.items():
            widest = self._lanes.number(lane_id).widest_commit
            if widest:
                for group in _clusters(sorted(numbers)):
                    self._match(group, self._commits_between(lane_id, group[0][0] - widest + 1, group[-1][0]), found)
        return found

    def _commits_between(self, lane_id: int, lowest: int, highest: int) -> list[CommitRange]:
        where = (_commit.c.lane_id == lane_id) & _commit.c.first.between(lowest, highest) & _commit.c.live
        rows = self._connection.execute(select(_commit).where(where).order_by(_commit.c.first)).all()
        return [CommitRange(row.first, row.last, evidence_of(row)) for row in rows]

    @staticmethod
    def _match(
        numbers: Sequence[tuple[int, str]], commits: Sequence[CommitRange], found: dict[str, list[CommitRange]]
    ) -> None:
        """Both are sorted; ranges rarely overlap, so each is looked at about once."""
        open_: list[CommitRange] = []
        rest = iter(commits)
        upcoming = next(rest, None)
        for sequence, message_id in numbers:
            while upcoming is not None and upcoming.first <= sequence:
                open_.append(upcoming)
                upcoming = next(rest, None)
            open_ = [item for item in open_ if item.last >= sequence]
            if open_:
                found[message_id] = list(open_)

    # ---- books ------------------------------------------------------------------------------------------------------

    def _count(self, lane: Lane, increments: Iterable[Increment]) -> None:
        for metric, label, amount in increments:
            if metric == "message_latency_seconds":
                bucket = next((str(bound) for bound in LATENCY_BUCKETS_S if amount <= bound), "+Inf")
                self._added[lane.id, f"{metric}_bucket", f"{label}|{bucket}"] += 1
                self._added[lane.id, f"{metric}_sum", label] += amount
            else:
                self._added[lane.id, metric, label] += amount

    def _tally(self, known: Any, row: Mapping[str, Any], state: MessageState) -> None:
        if known is not None:
            self.changes.tallies[known.lane_id, "stage", known.stage] -= 1
            if known.stage == Stage.FAILED:
                self.changes.tallies[known.lane_id, "reason", known.reason] -= 1
        self.changes.tallies[row["lane_id"], "stage", row["stage"]] += 1
        if state.stage is Stage.FAILED:
            self.changes.tallies[row["lane_id"], "reason", row["reason"]] += 1

    def _tell(self, no: int, steps: Sequence[Transition], row: Mapping[str, Any], lane: Lane) -> None:
        payload: dict[str, Any] | None = None
        for step in steps:
            at = step.evidence
            back = step.step in ("retracted", "reorged")
            self._transitions.append(
                {
                    "message_no": no,
                    "step": step.step.value,
                    "before": step.before.value if step.before else None,
                    "after": step.after.value,
                    "time": step.time,
                    "seen_ms": self._now_ms,
                    "chain_id": at.chain_id if at else None,
                    "block_number": at.block_number if at else None,
                    "block_hash": at.block_hash if at and back else None,
                    "log_index": at.log_index if at else None,
                }
            )
            self.changes.steps[step.step.value] += 1
            if back or (step.time or row["time"]) >= self._news_from:
                payload = payload or msgspec.to_builtins(view_of(row, lane))
                told = {"step": step.step.value, "before": step.before.value if step.before else None, **payload}
                self._events.append(Event(f"message.{step.step}", row["id"], told, at_ms=self._now_ms))

    def _close_totals(self) -> None:
        self._lanes.fetch({lane_id for lane_id, _, _ in self._added})
        for (lane_id, metric, label), amount in self._added.items():
            lane = self._lanes.number(lane_id)
            labels = {**lane_labels(lane), **_own_labels(metric, label)}
            self.changes.totals[total_key(f"{self._protocol}_{metric}", labels)] += amount
        add_totals(self._connection, {key: Decimal(amount) for key, amount in self.changes.totals.items()})

    def _close_tallies(self) -> None:
        tallies = self.changes.tallies = Counter({key: delta for key, delta in self.changes.tallies.items() if delta})
        self._lanes.fetch({lane_id for lane_id, _, _ in tallies})
        self.changes.lanes = {lane_id: self._lanes.number(lane_id) for lane_id, _, _ in tallies}
        table = tables.tally
        columns = (table.c.lane_id, table.c.kind, table.c.name)
        for chunk in chunks(list(tallies)):
            rows = self._connection.execute(select(table).where(tuple_(*columns).in_(chunk)))
            stored = {(row.lane_id, row.kind, row.name): row.messages for row in rows}
            upsert(
                self._connection,
                table,
                [
                    {"lane_id": key[0], "kind": key[1], "name": key[2], "messages": stored.get(key, 0) + tallies[key]}
                    for key in chunk
                ],
            )


_LABEL_OF = {
    "messages_received_total": "state",
    "fees_total": "fee_token",
    "errors_total": "class",
    "message_latency_seconds_sum": "stage",
}


def _own_labels(metric: str, label: str) -> dict[str, str]:
    if metric == "message_latency_seconds_bucket":
        stage, _, bound = label.partition("|")
        return {"stage": stage, "le": bound}
    name = _LABEL_OF.get(metric)
    return {name: label} if name else {}


def _merged(ranges: Iterable[tuple[int, int, int]]) -> Iterator[tuple[int, int, int]]:
    """Ranges of the same lane that touch, as one."""
    current: tuple[int, int, int] | None = None
    for lane_id, first, last in sorted(ranges):
        if current and current[0] == lane_id and first <= current[2] + 1:
            current = (lane_id, current[1], max(current[2], last))
            continue
        if current:
            yield current
        current = (lane_id, first, last)
    if current:
        yield current


def _clusters(numbers: Sequence[tuple[int, str]]) -> Iterator[Sequence[tuple[int, str]]]:
    """Sorted numbers, split where the next one is far away."""
    start = 0
    for index in range(1, len(numbers)):
        if numbers[index][0] - numbers[index - 1][0] > GAP:
            yield numbers[start:index]
            start = index
    yield numbers[start:]
