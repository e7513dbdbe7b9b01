"""Lists with filters and cursors.

Lists are newest first by (time, no) and paged by position, never by offset, so a page costs the same at any depth and a
message that moves on while someone pages is neither skipped nor shown twice because of its stage.

A filter by lane, stage, sender or receiver is a set of *ranges* of one index, one for each lane and stage that have
messages at all (the tallies know); each range is in the order of the list. One statement looks at the newest message of
each, the ranges are then read from the one with the newest on, and reading ends when the next one begins below what is
found already. Other filters are checked on the way. So the work follows the page, not the size of the ledger.
"""

from __future__ import annotations

import heapq
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Sequence
from enum import StrEnum
from typing import Any, NamedTuple

import msgspec
from sqlalchemy import ColumnElement, Connection, and_, bindparam, false, func, or_, select, true, tuple_, union_all

from seamark.core.errors import RejectedError
from seamark.messages.model import MAX_SEQUENCE, Stage
from seamark.messages.store import tables
from seamark.messages.store.lanes import read_lanes
from seamark.messages.store.rows import MessageView, view_of

__all__ = ["MAX_LIMIT", "Flag", "LateRange", "MessageFilter", "MessagePage", "list_messages", "views_of"]

MAX_LIMIT = 500
ID_LENGTH = 66  # "0x" and 64 digits: a shorter text is a prefix
SHORT_PREFIX = 6  # "0x" and four digits: a shorter one fits so many ids that most messages on the way are looked at
MANY_RANGES = 64  # from so many on it is tried first whether the newest messages of all fill the page
NEWEST_TRIED = 5000

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
    lane's; `tx` any transaction that told of the message; `id` an id or the beginning of one, `ids` any of several;
    `reason` the class of a failure that still stands; `flags` all of them; `late` any of these ranges. `since` and
    `until` are block times in seconds, `until` exclusive.
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
    """Messages of one lane in one stage; `before` bounds their time."""

    lane_id: int
    stage: str
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
    rest = _checks(wanted)
    if wanted.tx is not None or wanted.ids or (wanted.id is not None and len(wanted.id) >= SHORT_PREFIX):
        return _newest(
            connection, [*_named(wanted), *_equal(wanted), *_within(wanted, lanes, stages), *span, *rest], limit
        )
    if wanted.sender is None and wanted.receiver is None:
        if wanted.late is None and lanes is None and not stages and wanted.reason is None:
            return _newest(connection, [*span, *rest], limit)
        if set(wanted.flags) & {Flag.MANUAL, Flag.CONFLICTING}:  # so few that all of them can be looked at
            return _newest(connection, [*_within(wanted, lanes, stages), *span, *rest], limit)
    ranges = _ranges(connection, wanted, lanes, stages)
    if len(ranges) > MANY_RANGES and wanted.sender is None and wanted.receiver is None:
        found = _among_newest(connection, [*_within(wanted, lanes, stages), *rest], span, limit)
        if len(found) == limit:
            return found
    return _merged(connection, ranges, [*_equal(wanted), *span, *rest], limit)


def _ranges(
    connection: Connection, wanted: MessageFilter, lanes: Sequence[int] | None, stages: Sequence[str]
) -> list[_Range]:
    """Every lane and stage that is asked for and has messages."""
    query = select(_tally.c.lane_id, _tally.c.name).where(_tally.c.kind == "stage", _tally.c.messages > 0)
    if lanes is not None:
        query = query.where(_tally.c.lane_id.in_(lanes))
    if wanted.reason is not None:
        stages = [stage for stage in stages or [Stage.FAILED.value] if stage == Stage.FAILED]
        failed = select(_tally.c.lane_id).where(_tally.c.kind == "reason", _tally.c.name == wanted.reason)
        query = query.where(_tally.c.lane_id.in_(failed.where(_tally.c.messages > 0)))
    if stages or wanted.reason is not None:
        query = query.where(_tally.c.name.in_(stages))
    ranges = [_Range(*row) for row in connection.execute(query)]
    if wanted.late is None:
        return ranges
    before: dict[tuple[int, str], int] = {}
    for part in wanted.late:
        key = part.lane_id, part.stage.value
        before[key] = max(part.before, before.get(key, part.before))
    return [item._replace(before=before[item[:2]]) for item in ranges if item[:2] in before]


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


def _equal(wanted: MessageFilter) -> _Conditions:
    named = ((_message.c.sender, wanted.sender), (_message.c.receiver, wanted.receiver))
    return [column == text.lower() for column, text in named if text is not None]


def _checks(wanted: MessageFilter) -> _Conditions:
    """What is checked on the way."""
    conditions = [_FLAGGED[flag] for flag in wanted.flags]
    if wanted.reason is not None:
        conditions.append(_message.c.reason == wanted.reason)
    if wanted.id is not None and len(wanted.id) < SHORT_PREFIX:
        conditions.append(func.substr(_message.c.id, 1, len(wanted.id)) == wanted.id.lower())
    return conditions


def _within(wanted: MessageFilter, lanes: Sequence[int] | None, stages: Sequence[str]) -> _Conditions:
    """Lanes and stages, where they are no ranges."""
    conditions: _Conditions = []
    if lanes is not None:
        conditions.append(_message.c.lane_id.in_(lanes))
    if stages:
        conditions.append(_message.c.stage.in_(stages))
    if wanted.late is not None:
        parts = [
            and_(_message.c.lane_id == lane, _message.c.stage == stage.value, _message.c.time < before)
            for lane, stage, before in wanted.late
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


def _newest(connection: Connection, conditions: _Conditions, limit: int) -> list[_Place]:
    query = select(*_PLACE).where(*conditions).order_by(*_ORDER).limit(limit)
    return [_Place(*row) for row in connection.execute(query)]


def _among_newest(connection: Connection, conditions: _Conditions, span: _Conditions, limit: int) -> list[_Place]:
    """Those of the newest few thousand of all that fit."""
    newest = select(_message.c.no).where(*span).order_by(*_ORDER).limit(NEWEST_TRIED)
    return _newest(connection, [_message.c.no.in_(newest), *conditions], limit)


def _merged(connection: Connection, ranges: Sequence[_Range], conditions: _Conditions, limit: int) -> list[_Place]:
    """The newest of all ranges."""
    one = (_message.c.lane_id == bindparam("lane"), _message.c.stage == bindparam("range_stage"))
    query = select(*_PLACE).where(*one, _message.c.time < bindparam("before"), *conditions)
    query = query.order_by(*_ORDER).limit(limit)
    found: list[_Place] = []
    for head, part in _by_head(connection, ranges, conditions):
        if len(found) == limit and head < found[-1].time:
            break
        given = {"lane": part.lane_id, "range_stage": part.stage, "before": part.before}
        rows = [_Place(*row) for row in connection.execute(query, given)]
        found = heapq.nlargest(limit, [*found, *rows])
    return found


def _by_head(connection: Connection, ranges: Sequence[_Range], conditions: _Conditions) -> list[tuple[int, _Range]]:
    """Ranges with the time of their newest message, newest first; without those that have none."""
    if len(ranges) <= 1:
        return [(MAX_SEQUENCE, item) for item in ranges]
    by_key = {item[:2]: item for item in ranges}
    own = (_message.c.lane_id == _tally.c.lane_id, _message.c.stage == _tally.c.name)
    head = select(_message.c.time).where(*own, *conditions).order_by(*_ORDER).limit(1).scalar_subquery()
    query = select(_tally.c.lane_id, _tally.c.name, head).where(
        _tally.c.kind == "stage",
        _tally.c.lane_id.in_({item.lane_id for item in ranges}),
        _tally.c.name.in_({item.stage for item in ranges}),
    )
    found = [
        (newest, by_key[lane_id, stage])
        for lane_id, stage, newest in connection.execute(query)
        if newest is not None and (lane_id, stage) in by_key
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
