"""Reading: lists with filters and cursors, one message with all that is known of it, lanes.

Lists are newest first by (time, no) and paged by position, never by offset, so a page costs the same at any depth and a
message that moves on while someone pages is neither skipped nor shown twice because of its stage.

Chains are filtered through lanes: there are few, and a short range of the index is read for each and merged, where an
`IN` over lanes would sort all their messages. So it is for each of several stages.
"""

from __future__ import annotations

import itertools
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Sequence
from enum import StrEnum
from typing import Any, NamedTuple

import msgspec
from sqlalchemy import Connection, Select, exists, func, literal, select, tuple_, union_all

from seamark.core.errors import RejectedError
from seamark.messages.model import MAX_SEQUENCE, Fact, Stage
from seamark.messages.store import tables
from seamark.messages.store.lanes import Lane, read_lanes
from seamark.messages.store.rows import MessageView, view_of
from seamark.storage.bulk import chunks

__all__ = [
    "MAX_LIMIT",
    "Flag",
    "LaneView",
    "Late",
    "LateRange",
    "MessageDetail",
    "MessageFilter",
    "MessagePage",
    "SightingView",
    "TallyRow",
    "TransitionView",
    "count_by_stage",
    "find_message",
    "late",
    "list_lanes",
    "list_messages",
    "read_tallies",
]

MAX_LIMIT = 500
RANGES_AT_ONCE = 100  # SQLite joins at most 500 selects in one statement
ID_LENGTH = 66  # "0x" and 64 digits: a shorter text is a prefix

_message, _lane, _sighting = tables.message, tables.lane, tables.sighting
_commit, _transition, _tally, _revocation = tables.commit, tables.transition, tables.tally, tables.revocation


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


class Late(NamedTuple):
    """How many there are, and the time of the oldest (None: none)."""

    messages: int
    oldest: int | None


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


class SightingView(msgspec.Struct, frozen=True):
    """One fact with its evidence. `kind` is sent, committed, revoked (the commit was taken back) or executed; `live` is
    false where a reorg took the block away.
    """

    kind: str
    live: bool
    chain_id: int
    block_number: int
    block_hash: str
    tx: str
    log_index: int
    time: int
    body: dict[str, Any]


class TransitionView(msgspec.Struct, frozen=True):
    """One step in the life of a message. `time` is the block's, `seen_ms` ours."""

    step: str
    before: str | None
    after: str
    time: int | None
    seen_ms: int
    chain_id: int | None
    block_number: int | None
    block_hash: str | None


class MessageDetail(msgspec.Struct, frozen=True):
    """One message and all evidence, in the order of time."""

    message: MessageView
    sightings: list[SightingView]
    transitions: list[TransitionView]


class TallyRow(msgspec.Struct, frozen=True):
    """How many messages of a lane are in a stage (`kind` "stage") or failed for a reason ("reason")."""

    lane_id: int
    kind: str
    name: str
    messages: int


class LaneView(msgspec.Struct, frozen=True, kw_only=True):
    """One lane: messages by stage, and the highest sequence number that got so far (None: none yet)."""

    id: int = 0
    protocol: str
    version: str
    source: str
    destination: str
    source_name: str
    destination_name: str
    source_chain: int | None
    destination_chain: int | None
    source_watched: bool
    destination_watched: bool
    channel: str
    stages: dict[str, int]
    total: int
    last_sent: int | None
    last_committed: int | None
    last_executed: int | None


def list_messages(
    connection: Connection, wanted: MessageFilter | None = None, *, limit: int = 50, cursor: str | None = None
) -> MessagePage:
    """One page.

    Raises:
        RejectedError: A cursor that no page has given.
    """
    wanted = wanted or MessageFilter()
    limit = max(1, min(limit, MAX_LIMIT))
    query = _filtered(wanted, _read_cursor(cursor))
    rows: list[Any] = []
    for chunk in chunks(_ranges(connection, wanted), RANGES_AT_ONCE):
        rows += _fetch(connection, [_narrowed(query, *part) for part in chunk], limit + 1)
    rows.sort(key=lambda row: (row["time"], row["no"]), reverse=True)
    page = rows[:limit]
    following = _write_cursor(page[-1]) if len(rows) > limit else None
    return MessagePage(_views(connection, page), following)


def find_message(connection: Connection, message_id: str) -> MessageDetail | None:
    """One message by its full id; None when it is not known."""
    row = connection.execute(select(_message).where(_message.c.id == message_id.lower())).mappings().first()
    if row is None:
        return None
    return MessageDetail(
        _views(connection, [row])[0], _sightings_of(connection, row), _transitions_of(connection, row["no"])
    )


def list_lanes(connection: Connection, protocol: str | None = None) -> list[LaneView]:
    """All lanes with their counts, ordered by names."""
    query = select(_lane).order_by(_lane.c.source_name, _lane.c.destination_name, _lane.c.version, _lane.c.id)
    if protocol is not None:
        query = query.where(_lane.c.protocol == protocol)
    stages: dict[int, dict[str, int]] = {}
    for row in connection.execute(select(_tally).where(_tally.c.kind == "stage", _tally.c.messages != 0)):
        stages.setdefault(row.lane_id, {})[row.name] = row.messages
    views = [_lane_view(connection, lane, stages.get(lane.id, {})) for lane in read_lanes(connection, query)]
    # A lane of which only commits are known is worth showing; one left empty by a better-known twin is not.
    return [view for view in views if view.total or view.last_committed is not None]


def read_tallies(connection: Connection, protocol: str) -> list[TallyRow]:
    """Messages by lane and stage, and failed ones by lane and reason."""
    query = select(_tally).join(_lane, _lane.c.id == _tally.c.lane_id).where(_lane.c.protocol == protocol)
    return [TallyRow(row.lane_id, row.kind, row.name, row.messages) for row in connection.execute(query)]


def count_by_stage(connection: Connection, protocol: str | None = None) -> dict[str, int]:
    """How many messages are in each stage."""
    query = select(_tally.c.name, func.sum(_tally.c.messages)).where(_tally.c.kind == "stage").group_by(_tally.c.name)
    if protocol is not None:
        query = query.join(_lane, _lane.c.id == _tally.c.lane_id).where(_lane.c.protocol == protocol)
    return {name: int(total) for name, total in connection.execute(query) if total}


def late(connection: Connection, lane_id: int, stage: Stage, before: int) -> Late:
    """Messages of a lane that are in a stage and whose time (of the send) is before `before`: a range of one index."""
    query = select(func.count(), func.min(_message.c.time)).where(
        _message.c.lane_id == lane_id, _message.c.stage == stage.value, _message.c.time < before
    )
    count, oldest = connection.execute(query).one()
    return Late(count, oldest)


_FLAGGED: dict[Flag, Any] = {
    Flag.NO_CALLBACK: _message.c.callback.is_(False),
    Flag.MANUAL: _message.c.manual.is_(True),
    Flag.CONFLICTING: _message.c.conflicting.is_(True),
}


def _filtered(wanted: MessageFilter, after: tuple[int, int] | None) -> Select[Any]:
    """All that is asked but lanes and stages."""
    query = _named(select(_message), wanted)
    if wanted.sender is not None:
        query = query.where(_message.c.sender == wanted.sender.lower())
    if wanted.receiver is not None:
        query = query.where(_message.c.receiver == wanted.receiver.lower())
    if wanted.reason is not None:
        query = query.where(_message.c.reason == wanted.reason)
    for flag in wanted.flags:
        query = query.where(_FLAGGED[flag])
    if wanted.since is not None:
        query = query.where(_message.c.time >= wanted.since)
    if wanted.until is not None:
        query = query.where(_message.c.time < wanted.until)
    if after is not None:
        query = query.where(tuple_(_message.c.time, _message.c.no) < tuple_(literal(after[0]), literal(after[1])))
    return query


def _named(query: Select[Any], wanted: MessageFilter) -> Select[Any]:
    if wanted.tx is not None:
        query = query.where(_message.c.no.in_(_of_transaction(wanted.tx.lower())))
    if wanted.id is not None:
        query = query.where(_starting_with(wanted.id.lower()))
    if wanted.ids:
        query = query.where(_message.c.id.in_([text.lower() for text in wanted.ids]))
    return query


def _of_transaction(tx: str) -> Any:
    """Numbers of the messages that a transaction sent, executed or committed."""
    told = select(_sighting.c.message_no).where(_sighting.c.tx == tx)
    committed = (
        select(_message.c.no)
        .join(_commit, (_commit.c.lane_id == _message.c.lane_id))
        .where(_commit.c.tx == tx, _message.c.sequence.between(_commit.c.first, _commit.c.last))
    )
    return union_all(told, committed)


def _starting_with(text: str) -> Any:
    if len(text) >= ID_LENGTH:
        return _message.c.id == text
    # A range instead of LIKE, which SQLite answers from an index only under special collations.
    return (_message.c.id >= text) & (_message.c.id < text + "\x7f")


_Range = tuple[int | None, str | None, int | None]
"""(lane, stage, time before); None for any."""


def _ranges(connection: Connection, wanted: MessageFilter) -> list[_Range]:
    """The lanes to look in, each with every stage to look for."""
    chosen = _chosen_lanes(connection, wanted)
    stages: list[str | None] = [*dict.fromkeys(stage.value for stage in wanted.stage)]
    if wanted.late is not None:
        lanes_wanted = None if chosen is None else {lane.id for lane in chosen}
        return [
            (part.lane_id, part.stage.value, part.before)
            for part in wanted.late
            if (lanes_wanted is None or part.lane_id in lanes_wanted) and (not stages or part.stage in stages)
        ]
    lanes: list[int | None] = [None] if chosen is None else [lane.id for lane in chosen]
    return [(lane, stage, None) for lane, stage in itertools.product(lanes, stages or [None])]


def _narrowed(query: Select[Any], lane: int | None, stage: str | None, before: int | None) -> Select[Any]:
    if lane is not None:
        query = query.where(_message.c.lane_id == lane)
    if before is not None:
        query = query.where(_message.c.time < before)
    return query if stage is None else query.where(_message.c.stage == stage)


def _chosen_lanes(connection: Connection, wanted: MessageFilter) -> list[Lane] | None:
    """The lanes to look in; None for all."""
    given = (wanted.protocol, wanted.source, wanted.destination, wanted.channel, wanted.version, wanted.lane)
    if all(item is None for item in given):
        return None
    query = select(_lane)
    if wanted.protocol is not None:
        query = query.where(_lane.c.protocol == wanted.protocol)
    if wanted.source is not None:
        query = query.where((_lane.c.source == wanted.source) | (_lane.c.source_name == wanted.source))
    if wanted.destination is not None:
        query = query.where(
            (_lane.c.destination == wanted.destination) | (_lane.c.destination_name == wanted.destination)
        )
    if wanted.version is not None:
        query = query.where(_lane.c.version == wanted.version)
    if wanted.lane is not None:
        query = query.where(_lane.c.id == wanted.lane)
    if wanted.channel is not None:
        query = query.where(_lane.c.channel == wanted.channel.lower())
    chosen = list(read_lanes(connection, query))
    everything = connection.execute(select(func.count()).select_from(_lane)).scalar_one()
    return None if chosen and len(chosen) == everything else chosen


def _newest(query: Any, table: Any, limit: int) -> Any:
    return query.order_by(table.c.time.desc(), table.c.no.desc()).limit(limit)


def _fetch(connection: Connection, queries: Sequence[Select[Any]], limit: int) -> list[Any]:
    """The newest of what several queries find."""
    parts = [_newest(query, _message, limit) for query in queries]
    if len(parts) == 1:
        return list(connection.execute(parts[0]).mappings())
    merged = union_all(*(select(part.subquery()) for part in parts)).subquery()
    return list(connection.execute(_newest(select(merged), merged, limit)).mappings())


def _views(connection: Connection, rows: Sequence[Any]) -> list[MessageView]:
    ids = {row["lane_id"] for row in rows}
    lanes = {lane.id: lane for lane in read_lanes(connection, select(_lane).where(_lane.c.id.in_(ids)))}
    return [view_of(row, lanes[row["lane_id"]]) for row in rows]


def _sightings_of(connection: Connection, message: Any) -> list[SightingView]:
    found = [
        _sighting_view(row)
        for row in connection.execute(select(_sighting).where(_sighting.c.message_no == message["no"]))
    ]
    found += _commits_of(connection, message)
    return sorted(found, key=lambda view: (view.time, _KINDS.index(view.kind), view.block_number, view.log_index))


def _commits_of(connection: Connection, message: Any) -> list[SightingView]:
    """The commit that counts, and those that were taken back, with what did it."""
    widest = select(_lane.c.widest_commit).where(_lane.c.id == message["lane_id"]).scalar_subquery()
    covering = (
        (_commit.c.lane_id == message["lane_id"])
        & _commit.c.first.between(message["sequence"] - widest + 1, message["sequence"])
        & (_commit.c.last >= message["sequence"])
    )
    by = _commit.c.tx == message["committed_tx"]
    taken_back = _commit.c.live & exists().where(_revoking)
    found = [_sighting_view(row) for row in connection.execute(select(_commit).where(covering, by | taken_back))]
    query = select(_revocation).join(_commit, _revoking).where(covering, _commit.c.live).distinct()
    return found + [_sighting_view(row) for row in connection.execute(query)]


_revoking = (
    (_revocation.c.root == _commit.c.root)
    & (_revocation.c.chain_id == _commit.c.chain_id)
    & _revocation.c.live
    & (
        tuple_(_revocation.c.block_number, _revocation.c.log_index)
        > tuple_(_commit.c.block_number, _commit.c.log_index)
    )
)

# in the order of a message's life, for facts of the same second
_KINDS = ("sent", "committed", "revoked", "executed")


def _sighting_view(row: Any) -> SightingView:
    body = msgspec.json.decode(row.body)
    kind = body.pop("type")
    if kind == "committed":
        body["first"] = row.first
    return SightingView(
        kind, row.live, row.chain_id, row.block_number, row.block_hash, row.tx, row.log_index, row.time, body
    )


def _transitions_of(connection: Connection, number: int) -> list[TransitionView]:
    query = select(_transition).where(_transition.c.message_no == number).order_by(_transition.c.id)
    return [
        TransitionView(
            row.step, row.before, row.after, row.time, row.seen_ms, row.chain_id, row.block_number, row.block_hash
        )
        for row in connection.execute(query)
    ]


_TRIED = {Stage.EXECUTED.value, Stage.RECOVERED.value, Stage.FAILED.value}


def _lane_view(connection: Connection, lane: Lane, stages: dict[str, int]) -> LaneView:
    def highest(facts: int) -> int | None:
        query = (
            select(_message.c.sequence)
            .where(_message.c.lane_id == lane.id, _message.c.facts.op("&")(facts) != 0)
            .order_by(_message.c.sequence.desc())
            .limit(1)
        )
        return connection.execute(query).scalar()

    committed = (
        select(_commit.c.last)
        .where(_commit.c.lane_id == lane.id, _commit.c.live, ~exists().where(_revoking))
        .order_by(_commit.c.first.desc())
        .limit(1)
    )
    names = lane.names
    return LaneView(
        id=lane.id,
        protocol=lane.key.protocol,
        version=lane.version,
        source=lane.key.source,
        destination=lane.key.destination,
        source_name=names.source,
        destination_name=names.destination,
        source_chain=names.source_chain,
        destination_chain=names.destination_chain,
        source_watched=names.source_watched,
        destination_watched=names.destination_watched,
        channel=lane.key.channel,
        stages=stages,
        total=sum(stages.values()),
        # Asked only where there is an answer: else every message of the lane would be looked at.
        last_sent=highest(Fact.SENT) if names.source_watched else None,
        last_committed=connection.execute(committed).scalar(),
        last_executed=highest(Fact.EXECUTED | Fact.FAILED) if _TRIED & stages.keys() else None,
    )


def _write_cursor(row: Any) -> str:
    return urlsafe_b64encode(f"{row['time']}.{row['no']}".encode()).decode().rstrip("=")


def _read_cursor(cursor: str | None) -> tuple[int, int] | None:
    if cursor is None:
        return None
    try:
        text = urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)).decode("ascii")
        time, _, number = text.partition(".")
        place = int(time), int(number)
    except ValueError as error:
        raise _bad_cursor() from error
    if not all(abs(part) <= MAX_SEQUENCE for part in place):  # more than the databases hold
        raise _bad_cursor()
    return place


def _bad_cursor() -> RejectedError:
    return RejectedError("the cursor is not one that a page has given", remedy="start again without it")
