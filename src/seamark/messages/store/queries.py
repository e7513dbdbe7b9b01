"""Reading: one message with all that is known of it, lanes, counts. Lists are in `lists`."""

from __future__ import annotations

from typing import Any, NamedTuple

import msgspec
from sqlalchemy import Connection, exists, func, literal_column, select, tuple_

from seamark.messages.model import Fact, Stage
from seamark.messages.store import tables
from seamark.messages.store.blocks import PLACE_BITS, log_index_of
from seamark.messages.store.lanes import Lane, read_lanes
from seamark.messages.store.lists import views_of
from seamark.messages.store.rows import MessageView
from seamark.messages.store.verifications import VerificationView, read_verification

__all__ = [
    "LaneView",
    "Late",
    "MessageDetail",
    "SightingView",
    "TallyRow",
    "TransitionView",
    "count_by_stage",
    "find_message",
    "late",
    "list_lanes",
    "read_tallies",
]

_message, _lane, _sighting = tables.message, tables.lane, tables.sighting
_FACT = (_sighting.c.body, _sighting.c.live, _sighting.c.tx, _sighting.c.place)
_block = tables.block
_commit, _transition, _tally, _revocation = tables.commit, tables.transition, tables.tally, tables.revocation


class Late(NamedTuple):
    """How many there are, and the time of the oldest (None: none)."""

    messages: int
    oldest: int | None


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
    verification: VerificationView | None = None  # what verifiers said off chain, where that is known


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


def find_message(connection: Connection, message_id: str) -> MessageDetail | None:
    """One message by its full id; None when it is not known."""
    row = connection.execute(select(_message).where(_message.c.id == message_id.lower())).mappings().first()
    if row is None:
        return None
    return MessageDetail(
        views_of(connection, [row])[0],
        _sightings_of(connection, row),
        _transitions_of(connection, row["no"]),
        read_verification(connection, row["no"]),
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
    """Messages of a lane that are in a stage and whose time (of the send) is before `before`: a range of one index.
    Those that wait for a hand are left out.
    """
    query = select(func.count(), func.min(_message.c.time)).where(
        _message.c.lane_id == lane_id,
        _message.c.stage == stage.value,
        _message.c.time < before,
        _message.c.by_hand.is_(None),
    )
    count, oldest = connection.execute(query).one()
    return Late(count, oldest)


def _sightings_of(connection: Connection, message: Any) -> list[SightingView]:
    query = (
        select(*_FACT, _block.c.chain_id, _block.c.number, _block.c.hash, _block.c.time)
        .select_from(_sighting)
        .join(_block, _block.c.no == _sighting.c.place.op(">>")(literal_column(str(PLACE_BITS))))
        .where(_sighting.c.message_no == message["no"])
    )
    found = [_fact_view(row, row.number, row.hash, log_index_of(row.place)) for row in connection.execute(query)]
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
    """Of a commit or a revocation."""
    view = _fact_view(row, row.block_number, row.block_hash, row.log_index)
    if view.kind == "committed":
        view.body["first"] = row.first
    return view


def _fact_view(row: Any, number: int, block_hash: str, log_index: int) -> SightingView:
    told = msgspec.json.decode(row.body)
    kind = told.pop("type")
    return SightingView(kind, row.live, row.chain_id, number, block_hash, row.tx, log_index, row.time, told)


def _transitions_of(connection: Connection, number: int) -> list[TransitionView]:
    bits = tables.STEP_BITS
    own = _transition.c.id.between(number << bits, (number + 1 << bits) - 1)
    query = select(_transition).where(own).order_by(_transition.c.id)
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
