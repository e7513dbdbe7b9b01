"""Writing what was seen, inside one unit of work.

    sightings, orphaned blocks, final heights -> touched messages -> fold -> rows, transitions, events, totals

Every entry point works the same way: store the facts, find the messages that they touch, load all facts of those,
fold, and write what differs. Because a state is always computed from all facts, the entry points need not know of
each other, and doing one of them twice changes nothing.

The caller commits; `Changes` tells it afterwards what to add to gauges and counters in memory.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import msgspec
from sqlalchemy import Connection, select, tuple_

from seamark.core.ids import BlockRef, ChainId
from seamark.messages.model import Committed, Fact, LaneKey, MessageState, Notice, Revoked, Sighting
from seamark.messages.protocol import LaneNames
from seamark.messages.rules import CommitRange, completed, count, fold, speaker, transitions
from seamark.messages.store import tables
from seamark.messages.store.books import Books, Changes
from seamark.messages.store.bulk import insert_rows, update_rows
from seamark.messages.store.commits import Commits, Span, merged
from seamark.messages.store.lanes import Lanes
from seamark.messages.store.notices import orphan_notices, record_notices
from seamark.messages.store.rows import message_row, sighting_of, sighting_row
from seamark.storage.bulk import chunks, insert_new

__all__ = ["Finality", "Ledger", "take_turn"]

PROMOTED_AT_ONCE = 2000  # messages folded together when a finalized block covers many: bounds memory

_message, _sighting = tables.message, tables.sighting
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
        """A fact told now; one that is known already is news only where more was seen of it."""
        stored, live = self.facts.get(item.identity, (None, False))
        if stored is not None and live:
            item = completed(stored, item)
        if item != stored or not live:
            self.facts[item.identity] = (item, True)
            self.fresh.append(item)


def take_turn(connection: Connection) -> int:
    """Wait for the other trackers and give the next free message number; do this before reading anything else.

    Trackers of several chains fold the same rows: on PostgreSQL each must see what the one before has committed, so
    they take turns by locking a row. On SQLite there is one writer anyway.
    """
    insert_new(connection, tables.number, [{"id": 1, "next": 1}])
    next_no: int = connection.execute(select(tables.number.c.next).with_for_update()).scalar_one()
    return next_no


class Ledger:
    """The tables of messages, for one protocol and one unit of work.

    Args:
        names: Labels and coverage of a lane.
        heights: Final height by chain, read after `take_turn`; `set_height` changes them.
        next_no: What `take_turn` gave.
        now_ms: The wall clock, for the log of transitions.
    """

    def __init__(
        self,
        connection: Connection,
        *,
        protocol: str,
        names: Callable[[LaneKey], LaneNames],
        heights: dict[ChainId, int],
        next_no: int,
        now_ms: int,
    ) -> None:
        self._connection = connection
        self._protocol = protocol
        self._now_ms = now_ms
        self._heights = heights
        self._lanes = Lanes(connection, names)
        self._commits = Commits(connection, protocol, self._lanes)
        # Several protocols read the same chain, each at its own pace: what one learns of a block is true for it alone.
        self._own_lanes = select(tables.lane.c.id).where(tables.lane.c.protocol == protocol)
        self._first_no = self._next_no = next_no
        self._books = Books(connection, protocol=protocol, lanes=self._lanes, now_ms=now_ms)

    # ---- entry points -----------------------------------------------------------------------------------------------

    def record(self, sightings: Sequence[Sighting], finality: Finality | None = None) -> None:
        """Facts of canonical blocks."""
        if not sightings:
            return
        revocations = [item for item in sightings if type(item.body) is Revoked]
        commits = [item for item in sightings if type(item.body) is Committed]
        self._lanes.ensure({item.lane: item.version for item in sightings if type(item.body) is not Revoked})
        items: dict[str, _Item] = {}
        for sighting in sightings:
            if sighting.message_id:
                items.setdefault(sighting.message_id, _Item(sighting.message_id)).fresh.append(sighting)
        told = {key: item.fresh for key, item in items.items()}
        for item in items.values():
            item.fresh = []
        self._find(items, _message.c.id, list(items))
        self._find_covered(items, self._commits.store(commits))
        self._find_covered(items, self._commits.revoke(revocations))
        self._load_facts(items.values())
        for key, news in told.items():
            for sighting in news:
                items[key].add(sighting)
        self._refold(items.values(), finality)

    def notice(self, notices: Sequence[Notice]) -> None:
        """What contracts of canonical blocks tell beside messages."""
        if notices:
            self._books.add_events(record_notices(self._connection, self._protocol, notices, self._now_ms))

    def orphan(self, chain_id: ChainId, blocks: Sequence[BlockRef]) -> None:
        """Blocks that left the canonical chain: what they told is true no longer."""
        items: dict[str, _Item] = {}
        gone: set[tuple[int, str, int, int]] = set()
        for chunk in chunks([(block.number, block.hash) for block in blocks]):
            in_blocks = tuple_(_sighting.c.block_number, _sighting.c.block_hash).in_(chunk)
            where = (_sighting.c.chain_id == chain_id) & in_blocks & _sighting.c.live & self._own(_sighting)
            rows = self._connection.execute(select(_sighting).where(where)).all()
            if rows:
                self._connection.execute(_sighting.update().where(where).values(live=False))
            gone.update((chain_id, row.block_hash, row.log_index, row.part) for row in rows)
            self._find(items, _message.c.no, sorted({row.message_no for row in rows}))
            self._find_covered(items, self._commits.orphan(chain_id, chunk))
            self._books.add_events(orphan_notices(self._connection, self._protocol, chain_id, chunk, self._now_ms))
        self._load_facts(items.values())
        for item in items.values():
            item.orphans = [fact for key, (fact, _) in item.facts.items() if key in gone]
        self._refold(items.values(), None)

    def set_height(self, finality: Finality, height: int) -> None:
        """Everything up to `height` is final from now on; facts recorded from here on are folded with that."""
        self._heights[finality.chain_id] = height

    def promote(self, finality: Finality) -> None:
        """Promote the stored sends that waited for the chain's height."""
        height = self._heights[finality.chain_id]
        waiting = (
            (_message.c.source_chain == finality.chain_id) & (_message.c.pending_block <= height) & self._own(_message)
        )
        last = 0
        while numbers := self._numbers(waiting & (_message.c.no > last)):
            last = numbers[-1]
            items: dict[str, _Item] = {}
            self._find(items, _message.c.no, numbers)
            self._load_facts(items.values())
            self._refold(items.values(), finality)

    def _own(self, table: Any) -> Any:
        return table.c.lane_id.in_(self._own_lanes)

    def _numbers(self, where: Any) -> list[int]:
        query = select(_message.c.no).where(where).order_by(_message.c.no).limit(PROMOTED_AT_ONCE)
        return list(self._connection.execute(query).scalars())

    def close(self) -> Changes:
        """Write what was gathered; the unit of work is complete then."""
        if self._next_no != self._first_no:
            self._connection.execute(tables.number.update().values(next=self._next_no))
        return self._books.close()

    # ---- finding what is touched ------------------------------------------------------------------------------------

    def _find(self, items: dict[str, _Item], column: Any, values: Sequence[Any]) -> None:
        for chunk in chunks(values):
            self._take(items, select(*_KNOWN).where(column.in_(chunk)))

    def _find_covered(self, items: dict[str, _Item], ranges: Iterable[Span]) -> None:
        for lane_id, first, last in merged(ranges):
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

    # ---- folding ----------------------------------------------------------------------------------------------------

    def _refold(self, items: Iterable[_Item], finality: Finality | None) -> None:
        new: list[Row] = []
        moved: list[Row] = []
        changed: list[Row] = []
        facts: list[Row] = []
        work = [item for item in items if item.facts]
        commits = self._covering(work)
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
        insert_rows(self._connection, _sighting, facts, update=("live", "body"))

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
        self._books.count(lane, increments)
        self._books.tally(known, row, state)
        self._books.tell(item.no, transitions(before, state, item.orphans), row, lane)
        same_send = known is not None and before is not None and before & state.facts & Fact.SENT
        return row, bool(same_send) and known.lane_id == lane.id and known.time == row["time"]

    def _take_number(self) -> int:
        self._next_no += 1
        return self._next_no - 1

    def _covering(self, items: Iterable[_Item]) -> dict[str, list[CommitRange]]:
        """The commits that may cover each message, by message id."""
        wanted: defaultdict[int, list[tuple[int, str]]] = defaultdict(list)
        for item in items:
            said = speaker(item.live, item.orphaned)
            wanted[self._lanes.of(said.lane).id].append((said.sequence, item.id))
        return self._commits.covering(wanted)
