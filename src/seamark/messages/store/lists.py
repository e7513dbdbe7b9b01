"""Lists with filters and cursors.

Lists are newest first by (time, no) and paged by position, never by offset, so a page costs the same at any depth and a
message that moves on while someone pages is neither skipped nor shown twice because of its stage.

A filter by lane and stage is a set of *ranges* of one index, one for each lane and stage that have messages at all (the
tallies know), and one by sender or receiver a range for each lane; each range is in the order of the list. One
statement looks at the newest message of each, the ranges are then read from the one with the newest on, and reading
ends when the next one begins below what is found already. What names few messages (an id, a transaction, a rare flag,
a sender of some hundred) is looked up first. All other filters are checked on the way, in words that no index fits
(`lane_id + 0`): an engine without statistics would choose the wrong one. So the work follows the page, not the size of
the ledger.
"""

from __future__ import annotations

import heapq
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections import defaultdict
from collections.abc import Sequence
from enum import StrEnum
from typing import Any, NamedTuple

import msgspec
from sqlalchemy import (
    ColumnElement,
    Connection,
    and_,
    bindparam,
    false,
    func,
    null,
    or_,
    select,
    true,
    tuple_,
    union_all,
)
from sqlalchemy.sql.util import ClauseAdapter

from seamark.core.errors import RejectedError
from seamark.messages.model import MAX_SEQUENCE, Stage
from seamark.messages.store import tables
from seamark.messages.store.lanes import read_lanes
from seamark.messages.store.rows import MessageView, view_of
from seamark.storage.bulk import chunks

__all__ = ["MAX_LIMIT", "Flag", "LateRange", "MessageFilter", "MessagePage", "list_messages", "views_of"]

MAX_LIMIT = 500
ID_LENGTH = 66  # "0x" and 64 digits: a shorter text is a prefix
SHORT_PREFIX = 6  # "0x" and four digits: a shorter one fits so many ids that a page is found on the way
RARE = 5000  # messages in the stages that are asked for: looked through for those of an account
FEW = 400  # messages of an account: looked at one by one
MANY_RANGES = 16  # from so many on it is tried first whether the newest messages of all fill the page
NEWEST_TRIED = 1600  # enough for a page of whatever is a twentieth of all

_message, _lane, _sighting = tables.message, tables.lane, tables.sighting
_commit, _tally = tables.commit, tables.tally


class Flag(StrEnum):
    """What may be said of a message beside its stage."""

    NO_CALLBACK = "no_callback"  # delivered, and the receiver's code did not run
    MANUAL = "manual"  # its last attempt came by hand
    CONFLICTING = "conflicting"  # the destination told of another lane or sequence number for its id


class LateRange(NamedTuple):
    """Messages of a lane that are still in a stage though their time (seconds) is before `before`."""

    lane_id: int
    stage: Stage
    before: int


class MessageFilter(msgspec.Struct, frozen=True, kw_only=True):
    """What to list; None means any. Everything given must hold.

    `source` and `destination` take a selector or a chain's name; `lane` a lane's number (`LaneView.id`); `version` the
    lane's; `tx` any transaction that told of the message; `id` an id or the beginning of one (four digits and more are
    looked up, fewer are searched for), `ids` any of several; `reason` the class of a failure that still stands; `flags`
    all of them; `late` any of these ranges. `since` and `until` are block times in seconds, `until` exclusive.
    """

    protocol: str | None = None
    source: str | None = None
    destination: str | None = None
    channel: str | None = None
    stage: Sequence[Stage] = ()
    sender: str | None = None
    receiver: str | None = None
    tx: str | None = None
    id: str | None = None
    since: int | None = None
    until: int | None = None
    version: str | None = None
    lane: int | None = None
    reason: str | None = None
    flags: Sequence[Flag] = ()
    ids: Sequence[str] = ()
    late: Sequence[LateRange] | None = None


class MessagePage(msgspec.Struct, frozen=True):
    """Messages, newest first; `next` is the cursor of the page behind, None at the end."""

    messages: list[MessageView]
    next: str | None


_Conditions = list[ColumnElement[bool]]


class _Range(NamedTuple):
    """Messages of one lane in one stage (None: in any); `before` bounds their time."""

    lane_id: int
    stage: str | None
    before: int = MAX_SEQUENCE


class _Place(NamedTuple):
    """Where a message stands in lists."""

    time: int
    no: int


def list_messages(
    connection: Connection, wanted: MessageFilter | None = None, *, limit: int = 50, cursor: str | None = None
) -> MessagePage:
    """One page.

    Raises:
        RejectedError: A cursor that no page has given.
    """
    wanted = wanted or MessageFilter()
    limit = max(1, min(limit, MAX_LIMIT))
    found = _places(connection, wanted, _span(wanted, _read_cursor(cursor)), limit + 1)
    page = found[:limit]
    following = _write_cursor(page[-1]) if len(found) > limit else None
    rows = connection.execute(select(_message).where(_message.c.no.in_([place.no for place in page]))).mappings()
    by_no = {row["no"]: row for row in rows}
    return MessagePage(views_of(connection, [by_no[place.no] for place in page]), following)


def views_of(connection: Connection, rows: Sequence[Any]) -> list[MessageView]:
    """Rows of the message table, for the world."""
    ids = {row["lane_id"] for row in rows}
    lanes = {lane.id: lane for lane in read_lanes(connection, select(_lane).where(_lane.c.id.in_(ids)))}
    return [view_of(row, lanes[row["lane_id"]]) for row in rows]


# ---- what to look through -------------------------------------------------------------------------------------------


def _places(connection: Connection, wanted: MessageFilter, span: _Conditions, limit: int) -> list[_Place]:
    """Chooses the way; the newest `limit` places."""
    lanes = _chosen_lanes(connection, wanted)
    stages = [*dict.fromkeys(stage.value for stage in wanted.stage)]
    checks = [*span, *_checks(wanted)]
    rest = [*_within(wanted, lanes, stages), *checks]
    few = _few(connection, wanted)
    if few is not None:
        return _among(connection, few, [*_equal(wanted, looked_up=False), *rest], limit)
    if set(wanted.flags) & {Flag.MANUAL, Flag.CONFLICTING}:  # so few that all of them can be looked at
        return _newest(connection, [*_equal(wanted, looked_up=False), *rest], limit)
    if not (_equal(wanted) or wanted.late is not None or lanes is not None or stages or wanted.reason is not None):
        return _newest(connection, rest, limit)
    ranges, size = _ranges(connection, wanted, lanes, stages)
    account = _equal(wanted)
    if account and wanted.late is None and (size > RARE or not stages):
        in_stage = [func.coalesce(_message.c.stage, "") == stage for stage in stages]
        checks = [*checks, or_(*in_stage)] if in_stage else checks
        ranges = [_Range(lane_id, None) for lane_id in {item.lane_id for item in ranges}]
    else:
        checks = [*checks, *_equal(wanted, looked_up=False)]
        account = []
    if len(ranges) > MANY_RANGES and wanted.late is None:
        found = _among_newest(
            connection, [*span, *_checks(wanted)], [*_equal(wanted), *_within(wanted, lanes, stages)], limit
        )
        if len(found) == limit:
            return found
    return _merged(connection, _by_head(connection, ranges, [*account, *span]), [*account, *checks], limit)


def _few(connection: Connection, wanted: MessageFilter) -> list[int] | None:
    """The numbers of the messages that a filter names, where it names few; else None."""
    named = _named(wanted)
    if named:
        return list(connection.execute(select(_message.c.no).where(*named)).scalars())
    for account in _equal(wanted):
        numbers = list(connection.execute(select(_message.c.no).where(account).limit(FEW)).scalars())
        if len(numbers) < FEW:
            return numbers
    return None


def _ranges(
    connection: Connection, wanted: MessageFilter, lanes: Sequence[int] | None, stages: Sequence[str]
) -> tuple[list[_Range], int]:
    """Every lane and stage that is asked for and has messages, and how many these are."""
    query = select(_tally.c.lane_id, _tally.c.name, _tally.c.messages).where(
        _tally.c.kind == "stage", _tally.c.messages > 0
    )
    if lanes is not None:
        query = query.where(_tally.c.lane_id.in_(lanes))
    if wanted.reason is not None:
        stages = [stage for stage in stages or [Stage.FAILED.value] if stage == Stage.FAILED]
        failed = select(_tally.c.lane_id).where(_tally.c.kind == "reason", _tally.c.name == wanted.reason)
        query = query.where(_tally.c.lane_id.in_(failed.where(_tally.c.messages > 0)))
    if stages or wanted.reason is not None:
        query = query.where(_tally.c.name.in_(stages))
    rows = connection.execute(query).all()
    ranges, size = [_Range(row.lane_id, row.name) for row in rows], sum(row.messages for row in rows)
    if wanted.late is None:
        return ranges, size
    before: dict[tuple[int, str | None], int] = {}
    for part in wanted.late:
        key = part.lane_id, part.stage.value
        before[key] = max(part.before, before.get(key, part.before))
    return [item._replace(before=before[item[:2]]) for item in ranges if item[:2] in before], 0


def _chosen_lanes(connection: Connection, wanted: MessageFilter) -> list[int] | None:
    """The lanes to look in; None for all."""
    conditions: _Conditions = []
    for name in ("protocol", "version"):
        if (value := getattr(wanted, name)) is not None:
            conditions.append(_lane.c[name] == value)
    for name in ("source", "destination"):
        if (value := getattr(wanted, name)) is not None:
            conditions.append((_lane.c[name] == value) | (_lane.c[f"{name}_name"] == value))
    if wanted.channel is not None:
        conditions.append(_lane.c.channel == wanted.channel.lower())
    if wanted.lane is not None:
        conditions.append(_lane.c.id == wanted.lane)
    if not conditions:
        return None
    chosen = list(connection.execute(select(_lane.c.id).where(*conditions)).scalars())
    everything = connection.execute(select(func.count()).select_from(_lane)).scalar_one()
    return None if chosen and len(chosen) == everything else chosen


# ---- conditions -----------------------------------------------------------------------------------------------------


def _span(wanted: MessageFilter, after: _Place | None) -> _Conditions:
    conditions: _Conditions = []
    if wanted.since is not None:
        conditions.append(_message.c.time >= wanted.since)
    if wanted.until is not None:
        conditions.append(_message.c.time < wanted.until)
    if after is not None:
        conditions.append(tuple_(_message.c.time, _message.c.no) < tuple_(after.time, after.no))
    return conditions


def _equal(wanted: MessageFilter, *, looked_up: bool = True) -> _Conditions:
    """Sender and receiver: in an index, or checked on the way."""
    named = ((_message.c.sender, wanted.sender), (_message.c.receiver, wanted.receiver))
    return [
        (column if looked_up else func.coalesce(column, "")) == text.lower()
        for column, text in named
        if text is not None
    ]


def _checks(wanted: MessageFilter) -> _Conditions:
    """What is checked on the way."""
    conditions = [_FLAGGED[flag] for flag in wanted.flags]
    if wanted.reason is not None:
        conditions.append(_message.c.reason == wanted.reason)
    if wanted.id is not None and len(wanted.id) < SHORT_PREFIX:
        conditions.append(func.substr(_message.c.id, 1, len(wanted.id)) == wanted.id.lower())
    return conditions


def _within(wanted: MessageFilter, lanes: Sequence[int] | None, stages: Sequence[str]) -> _Conditions:
    """Lanes and stages, where they are checked on the way."""
    conditions: _Conditions = []
    lane, stage = _message.c.lane_id + 0, func.coalesce(_message.c.stage, "")
    if lanes is not None:
        conditions.append(lane.in_(lanes))
    if stages:
        conditions.append(stage.in_(stages))
    if wanted.late is not None:
        groups: defaultdict[tuple[str, int], list[int]] = defaultdict(list)
        for part in wanted.late:
            groups[part.stage.value, part.before].append(part.lane_id)
        parts = [
            and_(stage == name, _message.c.time < before, lane.in_(some)) for (name, before), some in groups.items()
        ]
        conditions.append(or_(false(), *parts))
    return conditions


def _named(wanted: MessageFilter) -> _Conditions:
    conditions: _Conditions = []
    if wanted.tx is not None:
        conditions.append(_message.c.no.in_(_of_transaction(wanted.tx.lower())))
    if wanted.id is not None and len(wanted.id) >= SHORT_PREFIX:
        conditions.append(_starting_with(wanted.id.lower()))
    if wanted.ids:
        conditions.append(_message.c.id.in_([text.lower() for text in wanted.ids]))
    return conditions


def _of_transaction(tx: str) -> Any:
    """Numbers of the messages that a transaction sent, executed or committed."""
    told = select(_sighting.c.message_no).where(_sighting.c.tx == tx)
    committed = (
        select(_message.c.no)
        .join(_commit, (_commit.c.lane_id == _message.c.lane_id))
        .where(_commit.c.tx == tx, _message.c.sequence.between(_commit.c.first, _commit.c.last))
    )
    return union_all(told, committed)


def _starting_with(text: str) -> ColumnElement[bool]:
    if len(text) >= ID_LENGTH:
        return _message.c.id == text
    # A range instead of LIKE, which SQLite answers from an index only under special collations.
    return (_message.c.id >= text) & (_message.c.id < text + "\x7f")


# In the words of the partial indexes.
_FLAGGED: dict[Flag, ColumnElement[bool]] = {
    Flag.NO_CALLBACK: _message.c.callback == false(),
    Flag.MANUAL: _message.c.manual == true(),
    Flag.CONFLICTING: _message.c.conflicting == true(),
}


# ---- reading --------------------------------------------------------------------------------------------------------

_ORDER = (_message.c.time.desc(), _message.c.no.desc())
_PLACE = (_message.c.time, _message.c.no)
_LOOKED_AT = (*_PLACE, *(_message.c[name] for name in ("lane_id", "stage", "sender", "receiver")))


def _newest(connection: Connection, conditions: _Conditions, limit: int) -> list[_Place]:
    query = select(*_PLACE).where(*conditions).order_by(*_ORDER).limit(limit)
    return [_Place(*row) for row in connection.execute(query)]


def _among(connection: Connection, numbers: Sequence[int], conditions: _Conditions, limit: int) -> list[_Place]:
    """The newest of these messages that fit."""
    found: list[_Place] = []
    for chunk in chunks(numbers):
        query = select(*_PLACE).where(_message.c.no.in_(chunk), *conditions)
        found += [_Place(*row) for row in connection.execute(query)]
    return heapq.nlargest(limit, found)


def _among_newest(connection: Connection, checks: _Conditions, conditions: _Conditions, limit: int) -> list[_Place]:
    """Of the newest that pass the checks those that fit. An engine cannot look into a limited query, so it reads these
    and no more.
    """
    newest = select(*_LOOKED_AT).where(*checks).order_by(*_ORDER).limit(NEWEST_TRIED).subquery()
    fitting = [ClauseAdapter(newest).traverse(condition) for condition in conditions]
    query = select(newest.c.time, newest.c.no).where(*fitting)
    return heapq.nlargest(limit, (_Place(*row) for row in connection.execute(query)))


def _merged(
    connection: Connection, ranges: Sequence[tuple[int, _Range]], conditions: _Conditions, limit: int
) -> list[_Place]:
    """The newest of all ranges, which come with the time of their heads."""
    one = [_message.c.lane_id == bindparam("lane")]
    if ranges and ranges[0][1].stage is not None:
        one.append(_message.c.stage == bindparam("range_stage"))
    query = select(*_PLACE).where(*one, _message.c.time < bindparam("before"), *conditions)
    compiled = query.order_by(*_ORDER).limit(limit).compile(dialect=connection.dialect)
    text = str(compiled)
    found: list[_Place] = []
    for head, part in ranges:
        if len(found) == limit and head < found[-1].time:
            break
        values = compiled.construct_params({"lane": part.lane_id, "range_stage": part.stage, "before": part.before})
        # Straight to the driver: there may be hundreds of ranges, and this takes a quarter of the time.
        rows = connection.exec_driver_sql(text, tuple(values[name] for name in compiled.positiontup or ()))
        found = heapq.nlargest(limit, [*found, *(_Place(*row) for row in rows)])
    return found


def _by_head(connection: Connection, ranges: Sequence[_Range], conditions: _Conditions) -> list[tuple[int, _Range]]:
    """Ranges with the time of their newest message, newest first; without those that have none. What is checked on the
    way is left out here: the heads are bounds.
    """
    if len(ranges) <= 1:
        return [(MAX_SEQUENCE, item) for item in ranges]
    by_key = {item[:2]: item for item in ranges}
    by_stage = ranges[0].stage is not None
    own = [_message.c.lane_id == (_tally.c.lane_id if by_stage else _lane.c.id)]
    own += [_message.c.stage == _tally.c.name] if by_stage else []
    before = max(item.before for item in ranges)
    newest = select(_message.c.time).where(*own, _message.c.time < before, *conditions).order_by(*_ORDER).limit(1)
    lanes = {item.lane_id for item in ranges}
    if by_stage:
        query = select(_tally.c.lane_id, _tally.c.name, newest.scalar_subquery()).where(
            _tally.c.kind == "stage", _tally.c.lane_id.in_(lanes), _tally.c.name.in_({item.stage for item in ranges})
        )
    else:
        query = select(_lane.c.id, null(), newest.scalar_subquery()).where(_lane.c.id.in_(lanes))
    found = [
        (time, by_key[lane_id, stage])
        for lane_id, stage, time in connection.execute(query)
        if time is not None and (lane_id, stage) in by_key
    ]
    return sorted(found, key=lambda item: item[0], reverse=True)


# ---- cursors --------------------------------------------------------------------------------------------------------


def _write_cursor(place: _Place) -> str:
    return urlsafe_b64encode(f"{place.time}.{place.no}".encode()).decode().rstrip("=")


def _read_cursor(cursor: str | None) -> _Place | None:
    if cursor is None:
        return None
    try:
        text = urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)).decode("ascii")
        time, _, number = text.partition(".")
        place = _Place(int(time), int(number))
    except ValueError as error:
        raise _bad_cursor() from error
    if not all(abs(part) <= MAX_SEQUENCE for part in place):  # more than the databases hold
        raise _bad_cursor()
    return place


def _bad_cursor() -> RejectedError:
    return RejectedError("the cursor is not one that a page has given", remedy="start again without it")
