"""Commits, and what takes them back: which sequence numbers of a lane are touched, and which commits cover a message.

A commit counts while its block is canonical and no live revocation of its root stands behind it. That is worked out
each time from the facts themselves, so the order in which they were told does not matter; revocations are rare enough
that nothing has to be kept for it.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from operator import itemgetter
from typing import Any, NamedTuple, cast

from sqlalchemy import Connection, select, tuple_

from seamark.core.ids import ChainId
from seamark.messages.model import Committed, Evidence, Revoked, Sighting
from seamark.messages.rules import CommitRange, revoked_by
from seamark.messages.store import tables
from seamark.messages.store.bulk import gathered_rows, insert_rows
from seamark.messages.store.lanes import Lanes
from seamark.messages.store.rows import commit_row, evidence_of, revocation_row
from seamark.storage.bulk import chunks

__all__ = ["Commits", "Span", "merged"]

GAP = 1000  # sequence numbers closer than this are looked up in one range of commits

_commit, _revocation, _lane = tables.commit, tables.revocation, tables.lane


_RANGE = tuple(
    _commit.c[name]
    for name in ("first", "last", "root", "chain_id", "block_number", "block_hash", "tx", "log_index", "time")
)
_OF_LANE = "lane_id = {} AND first BETWEEN {} AND {} AND live"


class Span(NamedTuple):
    """Sequence numbers first..last of a lane."""

    lane_id: int
    first: int
    last: int


class Commits:
    """The commits of one protocol in one unit of work."""

    def __init__(self, connection: Connection, protocol: str, lanes: Lanes) -> None:
        self._connection = connection
        self._protocol = protocol
        self._lanes = lanes
        self._own_lanes = select(_lane.c.id).where(_lane.c.protocol == protocol)
        self._any_revoked: bool | None = None

    def store(self, commits: Sequence[Sighting]) -> list[Span]:
        """Record commits; what they touch."""
        rows, touched, widths = [], [], dict[int, int]()
        for item in commits:
            lane_id, last = self._lanes.of(item.lane).id, cast(Committed, item.body).last
            rows.append(commit_row(item, lane_id, last))
            touched.append(Span(lane_id, item.sequence, last))
            widths[lane_id] = max(widths.get(lane_id, 0), last - item.sequence + 1)
        insert_rows(self._connection, _commit, rows, update=("live",))
        self._lanes.widen(widths)
        return touched

    def revoke(self, revocations: Sequence[Sighting]) -> list[Span]:
        """Record that commits were taken back; what that touches."""
        if not revocations:
            return []
        self._any_revoked = True
        rows = [revocation_row(item, self._protocol) for item in revocations]
        insert_rows(self._connection, _revocation, rows, update=("live",))
        chain_id = revocations[0].evidence.chain_id
        return self._of_roots(chain_id, [cast(Revoked, item.body).root for item in revocations])

    def orphan(self, chain_id: ChainId, blocks: Sequence[tuple[int, str]]) -> list[Span]:
        """These blocks left the chain; what that touches."""
        lost = self._bury(_commit, chain_id, blocks, _commit.c.lane_id.in_(self._own_lanes))
        touched = [Span(row.lane_id, row.first, row.last) for row in lost]
        gone = self._bury(_revocation, chain_id, blocks, _revocation.c.protocol == self._protocol)
        return touched + self._of_roots(chain_id, [row.root for row in gone])

    def covering(self, wanted: Mapping[int, Iterable[tuple[int, str]]]) -> dict[str, list[CommitRange]]:
        """The commits that may cover messages, by message id; `wanted` is (sequence, message id) by lane."""
        found: dict[str, list[CommitRange]] = {}
        for lane_id, numbers in wanted.items():
            widest = self._lanes.number(lane_id).widest_commit
            if widest:
                for group in _clusters(sorted(numbers)):
                    _match(group, self._between(lane_id, group[0][0] - widest + 1, group[-1][0]), found)
        return found

    def _bury(self, table: Any, chain_id: ChainId, blocks: Sequence[tuple[int, str]], own: Any) -> Sequence[Any]:
        in_blocks = tuple_(table.c.block_number, table.c.block_hash).in_(blocks)
        where = (table.c.chain_id == chain_id) & in_blocks & table.c.live & own
        rows = self._connection.execute(select(table).where(where)).all()
        if rows:
            self._connection.execute(table.update().where(where).values(live=False))
        return rows

    def _of_roots(self, chain_id: ChainId, roots: Sequence[str]) -> list[Span]:
        touched: list[Span] = []
        for chunk in chunks(roots):
            query = select(_commit.c.lane_id, _commit.c.first, _commit.c.last).where(
                _commit.c.root.in_(chunk), _commit.c.chain_id == chain_id, _commit.c.lane_id.in_(self._own_lanes)
            )
            touched += [Span(*row) for row in self._connection.execute(query)]
        self._lanes.fetch({span.lane_id for span in touched})
        return touched

    def _between(self, lane_id: int, lowest: int, highest: int) -> list[CommitRange]:
        rows = gathered_rows(self._connection, _RANGE, _OF_LANE, (lane_id, lowest, highest))
        found = [(first, last, Evidence(*at), root) for first, last, root, *at in rows]
        revocations = self._revocations({root for *_, root in found if root}) if self._has_revocations() else {}
        found.sort(key=itemgetter(0))
        return [
            CommitRange(first, last, at, revoked_by(at, revocations.get((at.chain_id, root), ())))
            for first, last, at, root in found
        ]

    def _has_revocations(self) -> bool:
        if self._any_revoked is None:
            query = select(_revocation.c.root).where(_revocation.c.protocol == self._protocol).limit(1)
            self._any_revoked = self._connection.execute(query).first() is not None
        return self._any_revoked

    def _revocations(self, roots: Iterable[str]) -> Mapping[tuple[ChainId, str], list[Evidence]]:
        """The live ones, by chain and root."""
        found: defaultdict[tuple[ChainId, str], list[Evidence]] = defaultdict(list)
        for chunk in chunks(sorted(roots)):
            query = select(_revocation).where(
                _revocation.c.root.in_(chunk), _revocation.c.live, _revocation.c.protocol == self._protocol
            )
            for row in self._connection.execute(query):
                found[ChainId(row.chain_id), row.root].append(evidence_of(row))
        return found


def merged(ranges: Iterable[Span]) -> Iterator[Span]:
    """Ranges of the same lane that touch, as one."""
    current: Span | None = None
    for span in sorted(ranges):
        if current and current.lane_id == span.lane_id and span.first <= current.last + 1:
            current = current._replace(last=max(current.last, span.last))
            continue
        if current:
            yield current
        current = span
    if current:
        yield current


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


def _clusters(numbers: Sequence[tuple[int, str]]) -> Iterator[Sequence[tuple[int, str]]]:
    """Sorted numbers, split where the next one is far away."""
    start = 0
    for index in range(1, len(numbers)):
        if numbers[index][0] - numbers[index - 1][0] > GAP:
            yield numbers[start:index]
            start = index
    yield numbers[start:]
