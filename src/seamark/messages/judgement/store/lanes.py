"""Lanes, what is normal on them, and curses; what studies remember of them."""

from __future__ import annotations

from typing import Any

import msgspec
from sqlalchemy import Connection, exists, select

from seamark.messages.judgement.model import Curse, JudgedLane, LaneProfile, SequenceCheck
from seamark.messages.judgement.store.tables import profile as _profile
from seamark.messages.judgement.store.tables import sequence as _sequence
from seamark.messages.model import LaneKey
from seamark.messages.store import open_curses, tables
from seamark.messages.store.lanes import Lane, read_lanes
from seamark.storage.bulk import upsert

__all__ = [
    "judged_lanes",
    "read_checks",
    "read_curses",
    "read_profile",
    "read_profiles",
    "save_check",
    "save_profile",
]

_lane, _tally = tables.lane, tables.tally


def judged_lanes(connection: Connection, protocol: str) -> list[JudgedLane]:
    """The lanes of a protocol that hold messages, in a stable order."""
    holds_any = exists().where(_tally.c.lane_id == _lane.c.id, _tally.c.kind == "stage", _tally.c.messages > 0)
    query = select(_lane).where(_lane.c.protocol == protocol, holds_any).order_by(_lane.c.id)
    return [_judged(lane) for lane in read_lanes(connection, query)]


def _judged(lane: Lane) -> JudgedLane:
    return JudgedLane(lane.id, lane.key, lane.version, lane.names)


def read_curses(connection: Connection, protocol: str) -> list[Curse]:
    """What is cursed now. Chains are named as lanes name them; one that no lane touches by its number."""
    chains: dict[int | None, str] = {}
    numbers: dict[str, str] = {}
    for lane in judged_lanes(connection, protocol):
        names, key = lane.names, lane.key
        chains |= {names.source_chain: names.source, names.destination_chain: names.destination}
        numbers |= {key.source: names.source, key.destination: names.destination}
    return [
        Curse(chain_id, chains.get(chain_id, str(chain_id)), subject, numbers.get(subject, subject), at.time)
        for (chain_id, subject), at in sorted(open_curses(connection, protocol).items())
    ]


def read_profiles(connection: Connection, protocol: str) -> dict[int, LaneProfile]:
    """What was last known to be normal, by lane id."""
    query = select(_profile).join(_lane, _lane.c.id == _profile.c.lane_id).where(_lane.c.protocol == protocol)
    return {row.lane_id: _decode_profile(row.body) for row in connection.execute(query)}


def read_profile(connection: Connection, lane: LaneKey) -> LaneProfile | None:
    """What is normal on a lane; None before it was judged."""
    query = (
        select(_profile.c.body)
        .join(_lane, _lane.c.id == _profile.c.lane_id)
        .where(
            _lane.c.protocol == lane.protocol,
            _lane.c.source == lane.source,
            _lane.c.channel == lane.channel,
            _lane.c.destination == lane.destination,
        )
    )
    body = connection.execute(query).scalar()
    return None if body is None else _decode_profile(body)


_decode_profile = msgspec.json.Decoder(LaneProfile).decode
_decode_gaps = msgspec.json.Decoder(tuple[tuple[int, int], ...]).decode


def save_profile(connection: Connection, lane_id: int, profile: LaneProfile) -> None:
    upsert(connection, _profile, [{"lane_id": lane_id, "body": msgspec.json.encode(profile).decode()}])


def read_checks(connection: Connection, protocol: str) -> dict[int, SequenceCheck]:
    """What was found of sequence numbers so far, by lane id."""
    query = select(_sequence).join(_lane, _lane.c.id == _sequence.c.lane_id).where(_lane.c.protocol == protocol)
    return {row.lane_id: _check_of(row) for row in connection.execute(query)}


def _check_of(row: Any) -> SequenceCheck:
    return SequenceCheck(row.first, row.upto, _decode_gaps(row.gaps))


def save_check(connection: Connection, lane_id: int, check: SequenceCheck) -> None:
    row = {"lane_id": lane_id, "first": check.first, "upto": check.upto}
    upsert(connection, _sequence, [{**row, "gaps": msgspec.json.encode(check.gaps).decode()}])
