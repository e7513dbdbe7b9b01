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
from typing import Any

import msgspec
from sqlalchemy import Connection, select

from seamark.core.ids import BlockRef, ChainId, Hash32
from seamark.messages.model import Committed, Evidence, Fact, LaneKey, MessageState, Notice, Revoked, Sighting, Verified
from seamark.messages.protocol import LaneNames
from seamark.messages.rules import CommitRange, completed, count, fold, speaker, transitions
from seamark.messages.store import tables
from seamark.messages.store.blocks import Blocks, block_no_of, places_in
from seamark.messages.store.books import Books, Changes
from seamark.messages.store.bulk import find_rows, gathered_rows, insert_tuples, update_tuples
from seamark.messages.store.commits import Commits, Span, merged
from seamark.messages.store.lanes import Lane, Lanes
from seamark.messages.store.notices import orphan_notices, record_notices
from seamark.messages.store.rows import MESSAGE_COLUMNS, SIGHTING_COLUMNS, decode_body, message_values, sighting_values
from seamark.messages.store.straight import KNOWN, MOVING, MOVING_PART, Finality, Known, Straight
from seamark.storage.bulk import chunks, insert_new

__all__ = ["Finality", "Ledger", "take_turn"]

PROMOTED_AT_ONCE = 2000  # messages folded together when a finalized block covers many: bounds memory

_message, _sighting = tables.message, tables.sighting


_FACT = tuple(
    _sighting.c[name] for name in ("place", "live", "message_no", "lane_id", "tx", "version", "sequence", "body")
)

_OF_LANE = "lane_id = {} AND sequence BETWEEN {} AND {}"

Values = tuple[Any, ...]


class _Item:
    """One touched message: what is stored, what is known of it, and what of that is new. Facts are keyed by place."""

    __slots__ = ("fresh", "id", "known", "live", "lost", "no", "orphaned", "orphans", "verified")

    def __init__(self, message_id: str) -> None:
        self.id = message_id
        self.known: Known | None = None
        self.no = 0
        self.live: dict[int, Sighting] = {}
        self.orphaned: dict[int, Sighting] = {}
        self.fresh: dict[int, Sighting] = {}
        self.orphans: list[Sighting] = []
        self.verified: int | None = None

    def add(self, place: int, item: Sighting) -> None:
        """A fact told now; one that is known already is news only where more was seen of it."""
        stored = self.live.get(place)
        if stored is not None:
            item = completed(stored, item)
            if item == stored:
                return
        self.orphaned.pop(place, None)
        self.live[place] = self.fresh[place] = item


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
        self._blocks = Blocks(connection, protocol)
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
        commits, revocations, told = _sorted_out(sightings)
        self._lanes.ensure({item.lane: item.version for item in sightings if type(item.body) is not Revoked})
        self._blocks.ensure(item.evidence for facts in told.values() for item in facts)
        items: dict[str, _Item] = {message_id: _Item(message_id) for message_id in told}
        self._find_covered(items, self._commits.store(commits))
        self._find_covered(items, self._commits.revoke(revocations))
        # Most deliveries come with their commit, which has just found their messages.
        self._find(items, _message.c.id, [message_id for message_id in told if items[message_id].known is None])
        for item in items.values():
            item.no = item.no or self._take_number()
        if not revocations and _is_past(sightings, self._books.news_from):
            items = self._go_straight(items, told, finality)
        self._load_facts(items.values())
        place = self._blocks.place
        for message_id, item in items.items():
            for fact in told.get(message_id, ()):
                item.add(place(fact.evidence, fact.part), fact)
        self._refold(items.values(), finality)

    def _go_straight(
        self, items: Mapping[str, _Item], told: Mapping[str, Sequence[Sighting]], finality: Finality | None
    ) -> dict[str, _Item]:
        """Fold what can be folded in one pass; the others are left."""
        straight = Straight(self._lanes, self._blocks, self._books, self._heights)
        commits = self._covering_of(items.values(), told)
        left = {}
        for message_id, item in items.items():
            facts, covering = told.get(message_id, ()), commits.get(message_id, ())
            if len(facts) > 1:
                taken = False
            elif item.known is not None:
                taken = straight.moved(item.known, facts[0] if facts else None, covering)
            else:
                taken = straight.sent(item.no, facts[0], covering, finality)
            if not taken:
                left[message_id] = item
        straight.write(self._connection)
        return left

    def _covering_of(
        self, items: Iterable[_Item], told: Mapping[str, Sequence[Sighting]]
    ) -> Mapping[str, Sequence[CommitRange]]:
        """The commits that may cover messages, by message id; as far as one fact or what is stored names their lane."""
        wanted: defaultdict[int, list[tuple[int, str]]] = defaultdict(list)
        for item in items:
            known = item.known
            if known is not None:
                wanted[known.lane_id].append((known.sequence, item.id))
            else:
                fact = told[item.id][0]
                wanted[self._lanes.of(fact.lane).id].append((fact.sequence, item.id))
        self._lanes.fetch(wanted)
        return self._commits.covering(wanted)

    def notice(self, notices: Sequence[Notice]) -> None:
        """What contracts of canonical blocks tell beside messages."""
        if notices:
            self._books.add_events(record_notices(self._connection, self._protocol, notices, self._now_ms))

    def verify(self, found: Sequence[Verified]) -> None:
        """What verifiers said of messages that are known; the first word of each counts."""
        by_id = {item.message_id: item for item in found}
        items: dict[str, _Item] = {}
        self._find(items, _message.c.id, list(by_id))
        rows = []
        for item in items.values():
            said = by_id[item.id]
            if item.known is not None and not item.known.facts & Fact.COMMITTED:
                item.verified = said.time
                rows.append(
                    {
                        "message_no": item.no,
                        "time": said.time,
                        "seen_ms": self._now_ms,
                        "details": _encode(said.details).decode(),
                    }
                )
        insert_new(self._connection, tables.verification, rows)
        self._load_facts(items.values())
        self._refold(items.values(), None)

    def orphan(self, chain_id: ChainId, blocks: Sequence[BlockRef]) -> None:
        """Blocks that left the canonical chain: what they told is true no longer."""
        items: dict[str, _Item] = {}
        gone: set[int] = set()
        for chunk in chunks([(block.number, block.hash) for block in blocks]):
            for block in self._blocks.find(chain_id, chunk):
                gone |= self._bury(block.no, items)
            self._find_covered(items, self._commits.orphan(chain_id, chunk))
            self._books.add_events(orphan_notices(self._connection, self._protocol, chain_id, chunk, self._now_ms))
        self._load_facts(items.values())
        for item in items.values():
            item.orphans = [fact for place, fact in item.orphaned.items() if place in gone]
        self._refold(items.values(), None)

    def set_height(self, finality: Finality, height: int) -> None:
        """Everything up to `height` is final from now on; facts recorded from here on are folded with that."""
        self._heights[finality.chain_id] = height

    def promote(self, finality: Finality) -> None:
        """Promote the stored sends that waited for the chain's height."""
        height = self._heights[finality.chain_id]
        waiting = (
            (_message.c.source_chain == finality.chain_id)
            & (_message.c.pending_block <= height)
            & _message.c.lane_id.in_(self._own_lanes)
        )
        last = 0
        while numbers := self._numbers(waiting & (_message.c.no > last)):
            last = numbers[-1]
            items: dict[str, _Item] = {}
            self._find(items, _message.c.no, numbers)
            self._load_facts(items.values())
            self._refold(items.values(), finality)

    def _numbers(self, where: Any) -> list[int]:
        query = select(_message.c.no).where(where).order_by(_message.c.no).limit(PROMOTED_AT_ONCE)
        return list(self._connection.execute(query).scalars())

    def close(self) -> Changes:
        """Write what was gathered; the unit of work is complete then."""
        if self._next_no != self._first_no:
            self._connection.execute(tables.number.update().values(next=self._next_no))
        return self._books.close()

    # ---- finding what is touched ------------------------------------------------------------------------------------

    def _bury(self, block_no: int, items: dict[str, _Item]) -> set[int]:
        """The facts of a block are live no longer: finds their messages, gives their places."""
        where = _sighting.c.place.between(*places_in(block_no)) & _sighting.c.live
        rows = self._connection.execute(select(_sighting.c.place, _sighting.c.message_no).where(where)).all()
        if rows:
            self._connection.execute(_sighting.update().where(where).values(live=False))
            self._find(items, _message.c.no, sorted({row.message_no for row in rows}))
        return {row.place for row in rows}

    def _find(self, items: dict[str, _Item], column: Any, values: Sequence[Any]) -> None:
        self._take(items, find_rows(self._connection, KNOWN, column, values))

    def _find_covered(self, items: dict[str, _Item], ranges: Iterable[Span]) -> None:
        for lane_id, first, last in merged(ranges):
            self._take(items, gathered_rows(self._connection, KNOWN, _OF_LANE, (lane_id, first, last)))

    @staticmethod
    def _take(items: dict[str, _Item], rows: Iterable[Any]) -> None:
        for row in rows:
            known = Known._make(row)
            item = items.get(known.id)
            if item is None:
                item = items[known.id] = _Item(known.id)
            item.known, item.no = known, known.no

    def _load_facts(self, items: Iterable[_Item]) -> None:
        by_no = {item.no: item for item in items if item.known is not None and not item.live and not item.orphaned}
        rows = list(find_rows(self._connection, _FACT, _sighting.c.message_no, list(by_no)))
        self._lanes.fetch({row[3] for row in rows})
        self._blocks.fetch({block_no_of(row[0]) for row in rows})
        for place, live, no, lane_id, tx, version, sequence, body in rows:
            block, log_index, part = self._blocks.of_place(place)
            at = Evidence(block.chain_id, block.number, block.hash, Hash32(tx), log_index, block.time)
            item = by_no[no]
            lane = self._lanes.number(lane_id).key
            facts = item.live if live else item.orphaned
            facts[place] = Sighting(lane, version, at, sequence, decode_body(body), item.id, part)

    # ---- folding ----------------------------------------------------------------------------------------------------

    def _refold(self, items: Iterable[_Item], finality: Finality | None) -> None:
        new: list[Values] = []
        moved: list[Values] = []
        changed: list[Values] = []
        facts: list[Values] = []
        work = [
            (item, [*item.live.values()], [*item.orphaned.values()]) for item in items if item.live or item.orphaned
        ]
        commits = self._covering(work)
        for item, live, orphaned in work:
            state = self._fold(item, live, orphaned, commits.get(item.id, ()), finality)
            values, narrow = self._settle(item, state, live or orphaned)
            if values is None:
                continue
            (new if item.known is None else moved if narrow else changed).append(values)
            for place, fact in item.fresh.items():
                facts.append(sighting_values(fact, place, item.no, self._lanes.of(fact.lane).id))
        insert_tuples(self._connection, _message, MESSAGE_COLUMNS, new)
        update_tuples(self._connection, _message, "no", MOVING, [*map(MOVING_PART, moved)])
        update_tuples(self._connection, _message, "no", MESSAGE_COLUMNS[1:], changed)
        insert_tuples(self._connection, _sighting, SIGHTING_COLUMNS, facts, update=("live", "body"))

    def _fold(
        self,
        item: _Item,
        live: Sequence[Sighting],
        orphaned: Sequence[Sighting],
        commits: Sequence[CommitRange],
        finality: Finality | None,
    ) -> MessageState:
        known = item.known
        final, verified = (known.finalized_time, known.verified_time) if known else (None, None)
        verified = verified if item.verified is None else item.verified
        state = fold(live, orphaned, commits, self._heights, final, verified_time=verified)
        became_final = state.facts & ~(known.facts if known else 0) & Fact.FINALIZED
        if became_final and finality is not None and finality.time is not None:
            sent = state.sent
            if sent is not None and sent.chain_id == finality.chain_id and sent.block_number > finality.after:
                state = msgspec.structs.replace(state, finalized_time=max(finality.time, sent.time))
        return state

    def _settle(self, item: _Item, state: MessageState, facts: Sequence[Sighting]) -> tuple[Values | None, bool]:
        """Take a new state into the books; the row to write, and whether only its moving parts differ."""
        known = item.known
        if known is not None and not item.fresh and not item.orphans and _shows(known, state):
            return None, False
        lane = self._lanes.of(state.lane)
        counted, increments = count(state, known.counted if known else 0)
        steps = transitions(known.facts if known else None, state, item.orphans)
        taken = known.steps if known else 0
        time = state.sent.time if state.sent else min(fact.evidence.time for fact in facts)
        values = message_values(state, item.no, lane.id, time=time, counted=counted, steps=taken + len(steps))
        self._books.count(lane, increments)
        self._tally(known, values, lane)
        self._books.tell(item.no, taken, steps, values, lane)
        same_send = known is not None and known.facts & state.facts & Fact.SENT
        return values, bool(known and same_send and known.lane_id == lane.id and known.time == time)

    def _tally(self, known: Known | None, values: Values, lane: Lane) -> None:
        stage, reason = values[_STAGE], values[_REASON]
        if known is None:
            self._books.tally(lane.id, stage, reason, 1)
        elif (known.lane_id, known.stage, known.reason) != (lane.id, stage, reason):
            self._books.tally(known.lane_id, known.stage, known.reason, -1)
            self._books.tally(lane.id, stage, reason, 1)

    def _take_number(self) -> int:
        self._next_no += 1
        return self._next_no - 1

    def _covering(
        self, work: Iterable[tuple[_Item, list[Sighting], list[Sighting]]]
    ) -> Mapping[str, list[CommitRange]]:
        """The commits that may cover each message, by message id."""
        wanted: defaultdict[LaneKey, list[tuple[int, str]]] = defaultdict(list)
        for item, live, orphaned in work:
            said = live[0] if len(live) == 1 and not orphaned else speaker(live, orphaned)
            wanted[said.lane].append((said.sequence, item.id))
        return self._commits.covering({self._lanes.of(lane).id: numbers for lane, numbers in wanted.items()})


_encode = msgspec.json.Encoder().encode
_STAGE, _REASON = MESSAGE_COLUMNS.index("stage"), MESSAGE_COLUMNS.index("reason")


def _shows(known: Known, state: MessageState) -> bool:
    """Whether a state that came without news of the message's own facts is what is stored: another commit may cover it
    now.
    """
    at = state.committed
    commit = (at.transaction, at.time) if at else (None, state.verified_time)
    return state.facts == known.facts and commit == (known.committed_tx, known.committed_time)


def _is_past(sightings: Sequence[Sighting], news_from: int) -> bool:
    """Whether nobody waits for any of it: the facts are in the order of their blocks."""
    return sightings[-1].evidence.time < news_from


def _sorted_out(
    sightings: Iterable[Sighting],
) -> tuple[list[Sighting], list[Sighting], dict[str, list[Sighting]]]:
    """Commits, revocations, and what is told of each message."""
    commits: list[Sighting] = []
    revocations: list[Sighting] = []
    told: dict[str, list[Sighting]] = {}
    for item in sightings:
        kind = type(item.body)
        if kind is Committed:
            commits.append(item)
        elif kind is Revoked:
            revocations.append(item)
        elif item.message_id in told:
            told[item.message_id].append(item)
        else:
            told[item.message_id] = [item]
    return commits, revocations, told
