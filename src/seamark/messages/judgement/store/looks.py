"""What each look asks. Its cost is lanes x stages x index lookups, whatever the number of messages: nothing here walks
over messages that are merely under way. How many are late is counted from whichever end of the stage's index is nearer,
up to a limit; beyond that a lower bound is given.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import Connection, case, func, select, text, true

from seamark.messages.judgement.model import Few, Waiting
from seamark.messages.model import Stage
from seamark.messages.store import tables

__all__ = [
    "COUNTED",
    "committed_before",
    "count_late",
    "failed_by_reason",
    "first_of",
    "last_commit",
    "stage_edges",
]

COUNTED = 2_000  # late messages of a lane and stage that are counted one by one: a millisecond
EXAMINED = 1_000  # committed messages whose times are looked at

WAITING = (Stage.SENT.value, Stage.FINALIZED.value, Stage.COMMITTED.value)

_message, _tally, _commit, _lane = tables.message, tables.tally, tables.commit, tables.lane
# As text, because they run for every lane and stage: building an expression takes longer than the answer.
_COUNT = (
    "SELECT count(*) FROM (SELECT 1 FROM message"
    " WHERE lane_id = :lane AND stage = :stage AND time {} :before{} LIMIT :most) AS some"
)
_COUNT_LATE, _COUNT_TIMELY = text(_COUNT.format("<", "")), text(_COUNT.format(">=", ""))
_BUT_BY_HAND = " AND by_hand IS NULL"
_COUNT_LATE_OTHERS, _COUNT_TIMELY_OTHERS = (text(_COUNT.format(side, _BUT_BY_HAND)) for side in ("<", ">="))


def stage_edges(connection: Connection, protocol: str) -> dict[int, dict[str, Waiting]]:
    """How many messages of each lane are in each stage, with the times of the oldest and the newest send: one
    statement, two lookups for each lane and stage that holds any. Those that wait for a hand are left out; where there
    are such, the edges cost as much as there are.
    """

    def edge(order: Any) -> Any:
        inner = select(_message.c.time).where(_message.c.lane_id == _tally.c.lane_id, _message.c.stage == _tally.c.name)
        return inner.order_by(order).limit(1).correlate(_tally).scalar_subquery()

    own = (_message.c.lane_id == _tally.c.lane_id) & (_message.c.stage == _tally.c.name)
    by_hand = select(func.count()).select_from(_message).where(own, _message.c.by_hand == true()).correlate(_tally)
    waits = case((_tally.c.name.in_(WAITING), by_hand.scalar_subquery()), else_=0)
    edges = edge(_message.c.time), edge(_message.c.time.desc())
    query = (
        select(_tally.c.lane_id, _tally.c.name, _tally.c.messages, *edges, waits)
        .join(_lane, _lane.c.id == _tally.c.lane_id)
        .where(_lane.c.protocol == protocol, _tally.c.kind == "stage", _tally.c.messages > 0)
    )
    found: dict[int, dict[str, Waiting]] = {}
    for lane_id, stage, count, oldest, newest, hands in connection.execute(query).all():
        known = None if oldest is None else Waiting(count, oldest, newest)
        if hands:
            known = _but_by_hand(connection, lane_id, stage, count, hands)
        if known is not None:
            found.setdefault(lane_id, {})[stage] = known
    return found


def _but_by_hand(connection: Connection, lane_id: int, stage: str, count: int, hands: int) -> Waiting | None:
    """The messages of a stage without those that wait for a hand; None: there are no others."""
    time = _message.c.time
    others = (_message.c.lane_id == lane_id) & (_message.c.stage == stage) & _message.c.by_hand.is_(None)
    oldest, newest = (
        connection.execute(select(time).where(others).order_by(order).limit(1)).scalar()
        for order in (time, time.desc())
    )
    if oldest is None or newest is None:
        return None
    return Waiting(count - hands, oldest, newest, by_hand=hands)


def count_late(
    connection: Connection, lane_id: int, stage: str, known: Waiting, before: int, *, most: int = COUNTED
) -> Waiting:
    """The same with the number of those sent before a time; at most so many are counted from either end."""
    if known.oldest >= before:
        return known
    if known.newest < before:
        return _with(known, known.count, exact=True)
    span = {"lane": lane_id, "stage": stage, "before": before, "most": most}
    count_late, count_timely = (
        (_COUNT_LATE_OTHERS, _COUNT_TIMELY_OTHERS) if known.by_hand else (_COUNT_LATE, _COUNT_TIMELY)
    )
    late: int = connection.execute(count_late, span).scalar_one()
    if late < most:
        return _with(known, late, exact=True)
    timely: int = connection.execute(count_timely, span).scalar_one()
    if timely < most:
        return _with(known, max(known.count - timely, late), exact=True)
    return _with(known, late, exact=False)


def _with(known: Waiting, late: int, *, exact: bool) -> Waiting:
    return Waiting(known.count, known.oldest, known.newest, late, exact, known.by_hand)


def failed_by_reason(connection: Connection, protocol: str) -> dict[int, dict[str, int]]:
    """Failed messages that were not repaired, by lane id and reason."""
    query = (
        select(_tally)
        .join(_lane, _lane.c.id == _tally.c.lane_id)
        .where(_lane.c.protocol == protocol, _tally.c.kind == "reason", _tally.c.messages > 0)
    )
    found: dict[int, dict[str, int]] = {}
    for row in connection.execute(query):
        found.setdefault(row.lane_id, {})[row.name] = row.messages
    return found


def last_commit(connection: Connection, lane_id: int) -> int | None:
    """When the commit of the highest sequence numbers came."""
    query = (
        select(_commit.c.time)
        .where(_commit.c.lane_id == lane_id, _commit.c.live)
        .order_by(_commit.c.first.desc())
        .limit(1)
    )
    return connection.execute(query).scalar()


def committed_before(connection: Connection, lane_id: int, known: Waiting, before: int) -> Few:
    """Messages that wait for their execution and were committed before a time."""
    if known.oldest >= before:
        return Few()
    query = (
        select(_message.c.id, _message.c.time, _message.c.committed_time)
        .where(
            _message.c.lane_id == lane_id,
            _message.c.stage == Stage.COMMITTED.value,
            _message.c.time < before,
        )
        .order_by(_message.c.time)
        .limit(EXAMINED)
    )
    rows = connection.execute(query).all()
    ripe = [row for row in rows if row.committed_time is not None and row.committed_time < before]
    return Few(len(ripe), ripe[0].time, ripe[0].id, len(rows) < EXAMINED) if ripe else Few()


def first_of(connection: Connection, lane_id: int, stage: Stage) -> str:
    """The id of the oldest message in a stage; "" without any."""
    query = (
        select(_message.c.id)
        .where(_message.c.lane_id == lane_id, _message.c.stage == stage.value)
        .order_by(_message.c.time, _message.c.no)
        .limit(1)
    )
    return connection.execute(query).scalar() or ""
