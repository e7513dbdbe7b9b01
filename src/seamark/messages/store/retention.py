"""Messages that are over and old leave the ledger, a few in each unit of work.

A message goes when all of this holds: it was delivered, its send and its last fact are older than wanted, every block
that told of it is final, it is not its lane's newest, and none of its lane that is still under way has a number near
it: a delivery by hand needs all messages of one commit. So what is late, failed, retracted or stuck stays for ever,
and so does each lane's place in its contract's count.

The counts of a lane by stage, and all totals, go on counting what has left.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final, NamedTuple

from sqlalchemy import Connection, delete, func, or_, select, tuple_

from seamark.messages.model import Stage
from seamark.messages.store import tables
from seamark.messages.store.blocks import PLACE_BITS
from seamark.storage.bulk import chunks

__all__ = ["OVER", "Trimmed", "trim_lane", "trimmed_lanes"]

OVER: Final = (Stage.EXECUTED, Stage.RECOVERED)
LOOKED_AT: Final = 300
"""Messages per unit of work: some thousand rows, a few tens of milliseconds."""

NEAR: Final = 256
"""Numbers that one commit spans at most (CCIP 1.2 to 1.6: leaves of a root)."""

MAX_OPEN: Final = 5_000
"""A lane with more messages under way than this is left alone."""

_message, _sighting = tables.message, tables.sighting


class Trimmed(NamedTuple):
    """`deleted` messages; `next`: where to go on, None at the end of the lane's range."""

    deleted: int
    next: tuple[int, int] | None


def trimmed_lanes(connection: Connection) -> list[tuple[int, str]]:
    """(lane id, protocol) of all lanes."""
    return [(row.id, row.protocol) for row in connection.execute(select(tables.lane.c.id, tables.lane.c.protocol))]


def trim_lane(
    connection: Connection,
    lane_id: int,
    protocol: str,
    stage: Stage,
    before: int,
    *,
    after: tuple[int, int] | None = None,
    limit: int = LOOKED_AT,
) -> Trimmed:
    """Look at the next messages of one lane and stage, oldest first, and delete those that may go.

    Args:
        connection: Of the running unit of work.
        lane_id: The lane.
        protocol: The lane's.
        stage: One of `OVER`.
        before: Seconds since the epoch; what is as old or younger stays.
        after: (time, no) of the last message that an earlier call looked at.
        limit: How many are looked at.

    Raises:
        ValueError: A stage in which messages are not over.
    """
    if stage not in OVER:
        raise ValueError(f"messages that are {stage} are not over")
    rows = _old(connection, lane_id, stage, before, after=after, limit=limit)
    if not rows:
        return Trimmed(0, None)
    spare = _spared(connection, lane_id)
    ripe = [row.no for row in rows if _is_ripe(row, before) and (spare is not None and row.sequence not in spare)]
    going = sorted(set(ripe) - _unfinal(connection, protocol, ripe)) if ripe else []
    _delete(connection, going)
    last = (rows[-1].time, rows[-1].no)
    return Trimmed(len(going), last if len(rows) == limit else None)


def _old(
    connection: Connection, lane_id: int, stage: Stage, before: int, *, after: tuple[int, int] | None, limit: int
) -> Sequence[Any]:
    """A range of the index over (lane, stage, time, no)."""
    columns = _message.c
    query = (
        select(columns.no, columns.time, columns.sequence, columns.executed_time, columns.pending_block)
        .where(columns.lane_id == lane_id, columns.stage == stage.value, columns.time < before)
        .order_by(columns.time, columns.no)
        .limit(limit)
    )
    if after is not None:
        query = query.where(tuple_(columns.time, columns.no) > after)
    return connection.execute(query).all()


def _is_ripe(row: Any, before: int) -> bool:
    return row.pending_block is None and row.executed_time is not None and row.executed_time < before


def _spared(connection: Connection, lane_id: int) -> set[int] | None:
    """Numbers that stay whatever they are; None: all of them."""
    columns = _message.c
    newest = connection.execute(select(func.max(columns.sequence)).where(columns.lane_id == lane_id)).scalar()
    under_way = [stage.value for stage in Stage if stage not in OVER]
    query = select(columns.sequence).where(columns.lane_id == lane_id, columns.stage.in_(under_way))
    found = connection.execute(query.limit(MAX_OPEN + 1)).scalars().all()
    if len(found) > MAX_OPEN:
        return None
    if newest is None:
        return set()
    return {newest, *(near for number in found for near in range(number - NEAR, number + NEAR + 1))}


def _unfinal(connection: Connection, protocol: str, numbers: Sequence[int]) -> set[int]:
    """Those of which a block tells that may still leave its chain."""
    final = {
        row.chain_id: row.finalized
        for row in connection.execute(select(tables.chain).where(tables.chain.c.protocol == protocol))
    }
    told: dict[int, set[int]] = {}
    for some in chunks(numbers):
        query = select(_sighting.c.message_no, _sighting.c.place).where(_sighting.c.message_no.in_(some))
        for row in connection.execute(query):
            told.setdefault(row.place >> PLACE_BITS, set()).add(row.message_no)
    young: set[int] = set()
    block = tables.block.c
    for some in chunks(sorted(told)):
        for place in connection.execute(select(block.no, block.chain_id, block.number).where(block.no.in_(some))):
            if place.number > final.get(place.chain_id, -1):
                young |= told[place.no]
    return young


def _delete(connection: Connection, numbers: Sequence[int]) -> None:
    steps = tables.transition.c.id
    for some in chunks(numbers):
        connection.execute(delete(_sighting).where(_sighting.c.message_no.in_(some)))
        connection.execute(delete(tables.verification).where(tables.verification.c.message_no.in_(some)))
        connection.execute(delete(_message).where(_message.c.no.in_(some)))
    for at in range(0, len(numbers), _RANGES):
        ranges = [
            steps.between(number << tables.STEP_BITS, ((number + 1) << tables.STEP_BITS) - 1)
            for number in numbers[at : at + _RANGES]
        ]
        connection.execute(delete(tables.transition).where(or_(*ranges)))


_RANGES: Final = 100
"""Ranges in one statement: SQLite bounds the depth of an expression."""
