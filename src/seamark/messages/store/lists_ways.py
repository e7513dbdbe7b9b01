"""The ways to the messages that a filter asks for: each is one index and the part of the filter that it answers.

A way that is made of *ranges* (an account's messages in each lane, a lane's in each stage) is in the order of time
within each. It is read in slices of time, newest first, all ranges of a slice by one statement; how wide a slice is
follows from how many messages the way has, and the next one from what the last one gave. So no range is read deeper
than the page needs, and a page takes few statements on both engines.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from sqlalchemy import Connection, func, literal, select

from seamark.messages.store import tables
from seamark.messages.store.lists_filter import (
    ID_LENGTH,
    Conditions,
    MessageFilter,
    Place,
    accounts,
    flagged,
    one_of,
    prefix,
    reason_is,
)

__all__ = ["ORDER", "PLACE", "Reach", "Way", "measured", "read_in_order", "read_in_slices", "read_sorted", "ways_of"]

_message, _tally = tables.message, tables.tally

PLACE = (_message.c.time, _message.c.no)
ORDER = (_message.c.time.desc(), _message.c.no.desc())
_SORTED = ((_message.c.time + 0).desc(), _message.c.no.desc())  # in words that call for no index
WIDEN = 8  # a slice is at most so many times as wide as the one before
LOOKED_AT = 1000  # rows that a first slice is to have, where each is looked at
INDEX_ONLY = 400  # where the index says all
CROWDED = 4  # times as many make a slice too wide


class Way(NamedTuple):
    """`said` are the parts of the filter that it answers. `ranges`: it has several, else it is in the order of time.
    `timed`: its index ends with the time within each range. `messages`: how many it has, where `exact`; else as many
    were counted or more (`tallied`: or fewer, within the times asked for).
    """

    name: str
    said: frozenset[str]
    conditions: Conditions
    ranges: bool = False
    timed: bool = True
    messages: int = 0
    exact: bool = False
    tallied: bool = False


def ways_of(
    connection: Connection, wanted: MessageFilter, lanes: Sequence[int], stages: Sequence[str], everywhere: bool
) -> list[Way]:
    """All ways that this filter opens; `everywhere`: the lanes are all there are."""
    if not lanes:
        return []
    one_lane = len(lanes) == 1
    in_lanes = [one_of(connection, _message.c.lane_id, lanes)]
    found = [
        Way(name, frozenset((name, "lanes")), [same, *in_lanes], ranges=not one_lane)
        for name, same in accounts(wanted).items()
    ]
    found += [Way(flag.value, frozenset((flag.value,)), [flagged(flag)]) for flag in wanted.flags]
    if wanted.id is not None and len(wanted.id) < ID_LENGTH:
        found.append(Way("id", frozenset(("id",)), [prefix(wanted.id)], timed=False))
    if wanted.reason is not None:
        found.append(_by_reason(connection, wanted.reason, lanes, everywhere))
    elif stages or not everywhere or wanted.late is not None:
        found.append(_by_stage(connection, wanted, lanes, stages, everywhere))
    if wanted.since is not None:
        found.append(Way("time", frozenset(), []))
    return found


def _by_reason(connection: Connection, reason: str, lanes: Sequence[int], everywhere: bool) -> Way:
    there = _tallied(connection, "reason", [reason], None if everywhere else lanes)
    return Way(
        "reason",
        frozenset(("reason", "lanes", "stages")),
        [reason_is(reason), one_of(connection, _message.c.lane_id, lanes)],
        ranges=len(lanes) > 1,
        messages=sum(there.values()),
        tallied=True,
    )


def _by_stage(
    connection: Connection, wanted: MessageFilter, lanes: Sequence[int], stages: Sequence[str], everywhere: bool
) -> Way:
    """Every lane and stage that is asked for."""
    more: Conditions = []
    if wanted.late is not None:
        late_lanes, late_stages = {part.lane_id for part in wanted.late}, {part.stage.value for part in wanted.late}
        lanes, everywhere = [lane for lane in lanes if lane in late_lanes], False
        stages = [stage for stage in stages or late_stages if stage in late_stages] or [""]
        more = [_message.c.time < max((part.before for part in wanted.late), default=0)]
    there = _tallied(connection, "stage", stages, None if everywhere else lanes)
    return Way(
        "stages",
        frozenset(("lanes", "stages")),  # but not "late": not every stage is late in every lane
        [
            one_of(connection, _message.c.lane_id, lanes),
            one_of(connection, _message.c.stage, list(there) or [""]),
            *more,
        ],
        ranges=len(there) * len(lanes) > 1,
        messages=sum(there.values()),
        tallied=True,
    )


def _tallied(connection: Connection, kind: str, names: Sequence[str], lanes: Sequence[int] | None) -> dict[str, int]:
    """Messages in each stage, or failed for a reason (no names: all), in these lanes (None: in all)."""
    query = select(_tally.c.name, func.sum(_tally.c.messages)).where(_tally.c.kind == kind, _tally.c.messages > 0)
    if names:
        query = query.where(_tally.c.name.in_(names))
    if lanes is not None:
        query = query.where(one_of(connection, _tally.c.lane_id, lanes))
    return {name: int(messages) for name, messages in connection.execute(query.group_by(_tally.c.name))}


def measured(connection: Connection, ways: Sequence[Way], span: Conditions, most: int) -> list[Way]:
    """How many messages each way has within the span, counted up to `most` where that is not known."""
    ways = [way._replace(exact=True) if way.tallied and (not span or way.messages <= most) else way for way in ways]
    vague = [way for way in ways if not way.exact]
    if not vague:
        return ways
    row = connection.execute(select(*(_counted(way, span, most) for way in vague))).one()
    counts = {way.name: count for way, count in zip(vague, row, strict=True)}
    return [_with_count(way, counts.get(way.name), most) for way in ways]


def _counted(way: Way, span: Conditions, most: int) -> Any:
    return _up_to([*way.conditions, *(span if way.timed else ())], most).scalar_subquery()


def _with_count(way: Way, count: int | None, most: int) -> Way:
    if count is None or (count > most and way.tallied):
        return way
    return way._replace(messages=count, exact=count <= most)


def _up_to(conditions: Conditions, most: int) -> Any:
    some = select(literal(1).label("one")).select_from(_message).where(*conditions).limit(most + 1).subquery()
    return select(func.count()).select_from(some)


# ---- reading --------------------------------------------------------------------------------------------------------


def read_sorted(connection: Connection, conditions: Conditions, limit: int) -> list[Place]:
    """All that fit, sorted; the newest `limit` of them. For what is known to be few."""
    query = select(*PLACE).where(*conditions).order_by(*_SORTED).limit(limit)
    return [Place(*row) for row in connection.execute(query)]


def read_in_order(connection: Connection, conditions: Conditions, limit: int) -> list[Place]:
    """Along an index that has the order of the list."""
    query = select(*PLACE).where(*conditions).order_by(*ORDER).limit(limit)
    return [Place(*row) for row in connection.execute(query)]


class Reach(NamedTuple):
    """No message that fits is older than `low` or as new as `high` (seconds); `messages` lie between at most, spread
    evenly or not.
    """

    low: int
    high: int
    messages: int
    even: bool = False

    def width(self, messages: int) -> int:
        """Seconds that hold so many, were they spread evenly."""
        return (self.high - self.low) * messages // max(self.messages, 1)


def read_in_slices(
    connection: Connection, conditions: Conditions, checks: Conditions, reach: Reach, limit: int
) -> list[Place]:
    """From the newest on. `conditions` is what the index answers, `checks` what is looked at in each row."""
    budget = LOOKED_AT if checks else max(INDEX_ONLY, 2 * limit)
    found: list[Place] = []
    upper, width = reach.high, max(reach.width(budget), 1)
    while upper > reach.low and len(found) < limit:
        lower, upper_was = max(reach.low, upper - width), upper
        inside = [*conditions, _message.c.time >= lower, _message.c.time < upper]
        # Where the index says all and messages come evenly, counting costs more than reading a few more.
        counted = bool(checks) or not reach.even
        there = connection.execute(_up_to(inside, budget * CROWDED)).scalar_one() if counted else 1
        if there > budget * CROWDED and width > 1:  # messages come in waves: no slice costs more than this
            width = max((upper - lower) // WIDEN, 1)
            continue
        rows = read_sorted(connection, [*inside, *checks], limit - len(found)) if there else []
        found += rows
        upper, width = lower, _wider(width, len(rows), limit - len(found))
        if counted and there:  # but not so wide that it is taken for a wave
            width = min(width, (upper_was - lower) * 2 * budget // there + 1)
        budget *= 2
    return found


def _wider(width: int, found: int, missing: int) -> int:
    """Wide enough for what is missing, going by the last slice and a half more."""
    return min(width * WIDEN, width * 3 * missing // (2 * found) + 1) if found else width * WIDEN
