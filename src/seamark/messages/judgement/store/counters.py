"""What reconciliation asks: how far the ledger is by its own account, and in which blocks something lacks."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from sqlalchemy import Connection, select

from seamark.messages.judgement.sequences import holes
from seamark.messages.model import Fact, LaneKey, Stage
from seamark.messages.store import tables

__all__ = [
    "Place",
    "commit_hole",
    "highest_commit",
    "highest_sent",
    "lanes_of_counter",
    "missing_commits",
    "missing_sends",
    "neighbours",
]

_message, _commit, _lane, _revocation = tables.message, tables.commit, tables.lane, tables.revocation
_SENT_AND_FINAL = Fact.SENT | Fact.FINALIZED


class Place(NamedTuple):
    """A sequence number and the block that told of it."""

    sequence: int
    block: int


def lanes_of_counter(connection: Connection, key: LaneKey, everywhere: str) -> list[int]:
    """The lanes that a counter counts: one, or all of a source contract where it counts over all destinations."""
    query = select(_lane.c.id).where(
        _lane.c.protocol == key.protocol, _lane.c.source == key.source, _lane.c.channel == key.channel
    )
    if key.destination != everywhere:
        query = query.where(_lane.c.destination == key.destination)
    return list(connection.execute(query.order_by(_lane.c.id)).scalars())


def highest_sent(connection: Connection, lane_ids: Sequence[int]) -> Place | None:
    """The last send that is known, final or not: a counter that was read a little later may count it too."""
    return _edge(connection, lane_ids, None, _message.c.sequence.desc(), facts=Fact.SENT)


def neighbours(
    connection: Connection, lane_ids: Sequence[int], first: int, last: int
) -> tuple[Place | None, Place | None]:
    """The final sends before and after some sequence numbers."""
    before = _edge(connection, lane_ids, _message.c.sequence < first, _message.c.sequence.desc())
    return before, _edge(connection, lane_ids, _message.c.sequence > last, _message.c.sequence)


def _edge(
    connection: Connection, lane_ids: Sequence[int], where: Any, order: Any, *, facts: int = _SENT_AND_FINAL
) -> Place | None:
    found = []
    for lane_id in lane_ids:
        query = select(_message.c.sequence, _message.c.sent_block).where(
            _message.c.lane_id == lane_id, _message.c.facts.op("&")(facts) == facts
        )
        if where is not None:
            query = query.where(where)
        row = connection.execute(query.order_by(order).limit(1)).first()
        if row is not None:
            found.append(Place(row.sequence, row.sent_block))
    if not found:
        return None
    return min(found) if order is _message.c.sequence else max(found)


def highest_commit(connection: Connection, lane_ids: Sequence[int]) -> Place | None:
    """The end of the last commit on the canonical chain."""
    found = []
    for lane_id in lane_ids:
        query = (
            select(_commit.c.last, _commit.c.block_number)
            .where(_commit.c.lane_id == lane_id, _commit.c.live)
            .order_by(_commit.c.first.desc())
            .limit(1)
        )
        row = connection.execute(query).first()
        if row is not None:
            found.append(Place(row.last, row.block_number))
    return max(found, default=None)


def missing_sends(connection: Connection, lane_ids: Sequence[int], first: int, last: int) -> int:
    """How many of first..last no send has."""
    found: set[int] = set()
    for lane_id in lane_ids:
        query = select(_message.c.sequence).where(
            _message.c.lane_id == lane_id,
            _message.c.sequence.between(first, last),
            _message.c.facts.op("&")(Fact.SENT) == Fact.SENT,
        )
        found.update(connection.execute(query).scalars())
    return last - first + 1 - len(found)


def missing_commits(connection: Connection, lane_ids: Sequence[int], first: int, last: int) -> int:
    """How many of first..last no commit covers."""
    covered: set[int] = set()
    for lane_id in lane_ids:
        query = select(_commit.c.first, _commit.c.last).where(
            _commit.c.lane_id == lane_id, _commit.c.live, _commit.c.first <= last, _commit.c.last >= first
        )
        for start, end in connection.execute(query):
            covered.update(range(max(start, first), min(end, last) + 1))
    return sum(end - start + 1 for start, end in holes(first, last, sorted(covered)))


def commit_hole(connection: Connection, lane_id: int, started: int) -> tuple[Place, Place] | None:
    """A message that waits for its commit though later ones have theirs: the first number and the block of the commit
    before, the last number that lacks and the block of the commit after. None where commits have been taken back.
    """
    query = (
        select(_message.c.sequence)
        .where(_message.c.lane_id == lane_id, _message.c.stage == Stage.FINALIZED.value)
        .order_by(_message.c.time, _message.c.no)
        .limit(1)
    )
    waiting = connection.execute(query).scalar()
    if waiting is None:
        return None
    live = (_commit.c.lane_id == lane_id) & _commit.c.live
    around = select(_commit.c.first, _commit.c.last, _commit.c.block_number, _commit.c.chain_id)
    after = connection.execute(around.where(live, _commit.c.first > waiting).order_by(_commit.c.first).limit(1)).first()
    if (
        after is None
        or connection.execute(
            select(_revocation.c.root).where(_revocation.c.chain_id == after.chain_id).limit(1)
        ).first()
    ):
        return None
    before = connection.execute(
        around.where(live, _commit.c.first <= waiting).order_by(_commit.c.first.desc()).limit(1)
    ).first()
    if before is not None and before.last >= waiting:
        return None
    first = Place(before.last + 1, before.block_number) if before is not None else Place(waiting, started)
    return first, Place(after.first - 1, after.block_number)
