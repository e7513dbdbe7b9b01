"""What a list is asked for, and how each part of that is said to an engine.

A part is said in one of two ways: *openly*, so that an index may answer it, or *hidden* (`lane_id + 0`), to be checked
on the way. One part at a time is said openly: an engine without statistics, or with old ones, would choose the wrong
one of two.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Sequence
from enum import StrEnum
from typing import Any, NamedTuple

import msgspec
from sqlalchemy import (
    ColumnElement,
    Connection,
    and_,
    any_,
    bindparam,
    false,
    func,
    or_,
    select,
    text,
    true,
    tuple_,
    union_all,
)
from sqlalchemy.dialects.postgresql import ARRAY

from seamark.messages.model import Stage
from seamark.messages.store import tables

__all__ = [
    "Conditions",
    "Flag",
    "LateRange",
    "MessageFilter",
    "Place",
    "accounts",
    "checks",
    "flagged",
    "named",
    "one_of",
    "prefix",
    "reason_is",
    "span_of",
]

ID_LENGTH = 66  # "0x" and 64 digits: a shorter text is a prefix
BEHIND_DIGITS = "g"  # sorts behind every hexadecimal digit, whatever the language of the database

_message, _sighting, _commit = tables.message, tables.sighting, tables.commit

Conditions = list[ColumnElement[bool]]


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


class Place(NamedTuple):
    """Where a message stands in lists."""

    time: int
    no: int


def span_of(wanted: MessageFilter, after: Place | None, *, openly: bool = True) -> Conditions:
    """The time, and what lies behind the cursor."""
    conditions: Conditions = []
    time = _message.c.time if openly else _message.c.time + 0
    if wanted.since is not None:
        conditions.append(time >= wanted.since)
    if wanted.until is not None:
        conditions.append(time < wanted.until)
    if after is not None:
        conditions.append(tuple_(time, _message.c.no) < tuple_(after.time, after.no))
    return conditions


def named(wanted: MessageFilter) -> Conditions:
    """Parts that name single messages; openly."""
    conditions: Conditions = []
    if wanted.tx is not None:
        conditions.append(_message.c.no.in_(_of_transaction(wanted.tx.lower())))
    if wanted.id is not None and len(wanted.id) >= ID_LENGTH:
        conditions.append(_message.c.id == wanted.id.lower())
    if wanted.ids:
        conditions.append(_message.c.id.in_([item.lower() for item in wanted.ids]))
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


def prefix(start: str) -> ColumnElement[bool]:
    """Ids that begin so; openly: a range instead of LIKE, which an index answers only under special collations."""
    return and_(_message.c.id >= start.lower(), _message.c.id < start.lower() + BEHIND_DIGITS)


def accounts(wanted: MessageFilter) -> dict[str, ColumnElement[bool]]:
    """Sender and receiver, openly."""
    given = {"sender": wanted.sender, "receiver": wanted.receiver}
    return {name: _message.c[name] == address.lower() for name, address in given.items() if address is not None}


def flagged(flag: Flag) -> ColumnElement[bool]:
    """In the words of the partial indexes."""
    return _FLAGGED[flag]


def reason_is(reason: str) -> ColumnElement[bool]:
    """Openly, in the words of the partial index."""
    return and_(text("message.reason <> ''"), _message.c.reason == reason)


_FLAGGED: dict[Flag, ColumnElement[bool]] = {
    Flag.NO_CALLBACK: _message.c.callback == false(),
    Flag.MANUAL: _message.c.manual == true(),
    Flag.CONFLICTING: _message.c.conflicting == true(),
}
_HIDDEN_FLAG: dict[Flag, ColumnElement[bool]] = {
    Flag.NO_CALLBACK: func.coalesce(_message.c.callback, true()) == false(),
    Flag.MANUAL: func.coalesce(_message.c.manual, false()) == true(),
    Flag.CONFLICTING: func.coalesce(_message.c.conflicting, false()) == true(),
}


def checks(
    wanted: MessageFilter, lanes: Collection[int] | None, stages: Sequence[str], said: Collection[str] = ()
) -> Conditions:
    """Everything but times and what names single messages, hidden; without the parts whose names are in `said`."""
    parts: dict[str, ColumnElement[bool]] = {}
    lane, stage = _message.c.lane_id + 0, func.coalesce(_message.c.stage, "")
    if lanes is not None:
        parts["lanes"] = lane.in_(lanes)
    if stages:
        parts["stages"] = stage.in_(stages)
    if wanted.late is not None:
        parts["late"] = _late(wanted.late, lane, stage)
    for name, address in (("sender", wanted.sender), ("receiver", wanted.receiver)):
        if address is not None:
            parts[name] = func.coalesce(_message.c[name], "") == address.lower()
    if wanted.reason is not None:
        parts["reason"] = func.coalesce(_message.c.reason, "") == wanted.reason
    if wanted.id is not None and len(wanted.id) < ID_LENGTH:
        parts["id"] = func.substr(_message.c.id, 1, len(wanted.id)) == wanted.id.lower()
    for flag in wanted.flags:
        parts[flag.value] = _HIDDEN_FLAG[flag]
    return [condition for name, condition in parts.items() if name not in said]


def _late(late: Sequence[LateRange], lane: Any, stage: Any) -> ColumnElement[bool]:
    """In any of the ranges; what waits for a hand is never late."""
    groups: defaultdict[tuple[str, int], set[int]] = defaultdict(set)
    for part in late:
        groups[part.stage.value, part.before].add(part.lane_id)
    parts = [
        and_(stage == name, _message.c.time + 0 < before, lane.in_(some)) for (name, before), some in groups.items()
    ]
    return and_(or_(false(), *parts), _message.c.by_hand.is_(None))


def one_of(connection: Connection, column: Any, values: Collection[Any]) -> ColumnElement[bool]:
    """`column IN (…)`, openly; on PostgreSQL as one value, so that the statement is the same for any number of them."""
    some = list(values)
    if len(some) == 1:
        return column == some[0]  # type: ignore[no-any-return]
    if connection.dialect.name == "postgresql":
        return column == any_(bindparam(None, some, type_=ARRAY(column.type), unique=True))  # type: ignore[no-any-return]
    return column.in_(some)  # type: ignore[no-any-return]
