"""Questions to the ledger that judging asks, and what it remembers of the answers.

The cost of a look is lanes x stages x index lookups, whatever the number of messages: nothing here walks over messages
that are merely under way. How many are late is counted from whichever end of the stage's index is nearer, up to
`COUNTED`; beyond that a lower bound is given. What needs more (percentiles, rates, sequence numbers) is a *study* of
one lane, bounded too, and done for a few lanes at a time.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import msgspec
from sqlalchemy import BigInteger, Column, Connection, Index, Integer, Table, Text, func, select, text

from seamark.messages.judgement.limits import Sample, Slice, percentiles
from seamark.messages.judgement.model import (
    BlockedSender,
    Curse,
    Few,
    JudgedLane,
    LaneProfile,
    Odd,
    Rates,
    SequenceCheck,
    Waiting,
)
from seamark.messages.judgement.sequences import advanced, refilled
from seamark.messages.model import Fact, LaneKey, NoticeKind, Stage
from seamark.messages.store import tables
from seamark.messages.store.lanes import Lane, read_lanes
from seamark.messages.store.notices import open_curses
from seamark.storage.bulk import upsert
from seamark.storage.schema import metadata

__all__ = [
    "COUNTED",
    "blocked_senders",
    "check_sequences",
    "count_late",
    "eligible",
    "failed_by_reason",
    "judged_lanes",
    "last_commit",
    "last_delivery",
    "last_sent",
    "longest_pause",
    "odd_ones",
    "rates",
    "read_checks",
    "read_curses",
    "read_profile",
    "read_profiles",
    "save_check",
    "save_profile",
    "waiting",
    "window",
]

COUNTED = 2_000  # messages counted one by one at most: a millisecond
EXAMINED = 1_000  # messages of a lane whose times are read for a rate
SLICES = 28  # parts of the window that is learned from: of a week, six hours each
PER_SLICE = 40  # messages of each: a part of a day that went wrong is one in 28, and no more
SEQUENCES_AT_ONCE = 5_000
MAX_BLOCKED = 20  # senders of a lane that are named

ODD = "(callback = false OR manual = true OR conflicting = true OR (facts & 48) = 48)"
"""Executed without a callback, by hand, in contradiction, or though retracted (Fact.EXECUTED | Fact.RETRACTED). Index
and query must say it in the same words."""

_message, _tally, _commit, _lane, _notice = tables.message, tables.tally, tables.commit, tables.lane, tables.notice

_profile = Table(
    "judgement_profile",
    metadata,
    Column("lane_id", Integer, primary_key=True, autoincrement=False),
    Column("body", Text, nullable=False),  # JSON of `LaneProfile`
)

_sequence = Table(
    "judgement_sequence",
    metadata,
    Column("lane_id", Integer, primary_key=True, autoincrement=False),
    Column("first", BigInteger, nullable=False),
    Column("upto", BigInteger, nullable=False),
    Column("gaps", Text, nullable=False),  # JSON: [[first, last], …]
)

Index(
    "ix_message_odd",
    _message.c.lane_id,
    _message.c.time,
    _message.c.no,
    sqlite_where=text(ODD),
    postgresql_where=text(ODD),
)

_UNDER_WAY = (Stage.SENT, Stage.FINALIZED, Stage.COMMITTED, Stage.FAILED)
_DELIVERED = (Stage.EXECUTED.value, Stage.RECOVERED.value)
_SENT_AND_FINAL = Fact.SENT | Fact.FINALIZED


# ---- lanes ----------------------------------------------------------------------------------------------------------


def judged_lanes(connection: Connection, protocol: str) -> list[JudgedLane]:
    """All lanes of a protocol, in a stable order."""
    query = select(_lane).where(_lane.c.protocol == protocol).order_by(_lane.c.id)
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


def save_profile(connection: Connection, lane_id: int, profile: LaneProfile) -> None:
    upsert(connection, _profile, [{"lane_id": lane_id, "body": msgspec.json.encode(profile).decode()}])


# ---- each look ------------------------------------------------------------------------------------------------------


def waiting(connection: Connection, protocol: str) -> dict[int, dict[str, Waiting]]:
    """Messages under way by lane id and stage, with the oldest and newest send: one statement, two lookups for each
    lane and stage that holds any.
    """

    def edge(order: Any) -> Any:
        inner = select(_message.c.time).where(_message.c.lane_id == _tally.c.lane_id, _message.c.stage == _tally.c.name)
        return inner.order_by(order).limit(1).correlate(_tally).scalar_subquery()

    query = (
        select(_tally.c.lane_id, _tally.c.name, _tally.c.messages, edge(_message.c.time), edge(_message.c.time.desc()))
        .join(_lane, _lane.c.id == _tally.c.lane_id)
        .where(
            _lane.c.protocol == protocol,
            _tally.c.kind == "stage",
            _tally.c.messages > 0,
            _tally.c.name.in_([stage.value for stage in _UNDER_WAY]),
        )
    )
    found: dict[int, dict[str, Waiting]] = {}
    for lane_id, stage, count, oldest, newest in connection.execute(query):
        if oldest is not None:
            found.setdefault(lane_id, {})[stage] = Waiting(count, oldest, newest)
    return found


def count_late(connection: Connection, lane_id: int, stage: str, known: Waiting, before: int) -> Waiting:
    """The same with the number of those sent before a time."""
    if known.oldest >= before:
        return known
    if known.newest < before:
        return _with(known, known.count, exact=True)
    in_stage = (_message.c.lane_id == lane_id) & (_message.c.stage == stage)

    def up_to(where: Any) -> int:
        some = select(_message.c.time).where(in_stage & where).limit(COUNTED).subquery()
        return int(connection.execute(select(func.count()).select_from(some)).scalar_one())

    late = up_to(_message.c.time < before)
    if late < COUNTED:
        return _with(known, late, exact=True)
    timely = up_to(_message.c.time >= before)
    if timely < COUNTED:
        return _with(known, max(known.count - timely, late), exact=True)
    return _with(known, late, exact=False)


def _with(known: Waiting, late: int, *, exact: bool) -> Waiting:
    return Waiting(known.count, known.oldest, known.newest, late, exact)


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


def last_sent(connection: Connection, lane_id: int) -> int | None:
    """When the newest message was sent."""
    query = select(_message.c.time).where(_message.c.lane_id == lane_id).order_by(_message.c.time.desc()).limit(1)
    return connection.execute(query).scalar()


def last_commit(connection: Connection, lane_id: int) -> int | None:
    """When the commit of the highest sequence numbers came."""
    query = (
        select(_commit.c.time)
        .where(_commit.c.lane_id == lane_id, _commit.c.live)
        .order_by(_commit.c.first.desc())
        .limit(1)
    )
    return connection.execute(query).scalar()


def last_delivery(connection: Connection, lane_id: int) -> int | None:
    """When the newest message that was delivered had been sent."""
    times = []
    for stage in _DELIVERED:
        query = (
            select(_message.c.time)
            .where(_message.c.lane_id == lane_id, _message.c.stage == stage)
            .order_by(_message.c.time.desc())
            .limit(1)
        )
        times.append(connection.execute(query).scalar())
    return max((time for time in times if time is not None), default=None)


def eligible(connection: Connection, lane_id: int, held: Mapping[str, Waiting], before: int | None) -> Few:
    """What may be executed by hand: failed ones, and those committed before a time (None: it is not known)."""
    failed = held.get(Stage.FAILED)
    example = _oldest_id(connection, lane_id, Stage.FAILED) if failed else ""
    count, since, exact = (failed.count, failed.oldest, True) if failed else (0, 0, True)
    committed = held.get(Stage.COMMITTED)
    if committed and before is not None and committed.oldest < before:
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
        if ripe:
            since = min(since, ripe[0].time) if failed else ripe[0].time
            example = example or ripe[0].id
            count, exact = count + len(ripe), len(rows) < EXAMINED
    return Few(count, since, example, exact)


def _oldest_id(connection: Connection, lane_id: int, stage: Stage) -> str:
    query = (
        select(_message.c.id)
        .where(_message.c.lane_id == lane_id, _message.c.stage == stage.value)
        .order_by(_message.c.time, _message.c.no)
        .limit(1)
    )
    return connection.execute(query).scalar() or ""


# ---- studies of one lane --------------------------------------------------------------------------------------------


def window(connection: Connection, lane_id: int, since: int, until: int) -> list[Slice]:
    """The first messages of each part of a span of time, for `limits.learn`."""
    bounds = [since + (until - since) * part // SLICES for part in range(SLICES + 1)]
    return [_slice(connection, lane_id, first, last) for first, last in itertools.pairwise(bounds)]


_TIMES = (
    _message.c.time,
    _message.c.stage,
    _message.c.manual,
    _message.c.sent_time,
    _message.c.finalized_time,
    _message.c.committed_time,
    _message.c.executed_time,
)


def _slice(connection: Connection, lane_id: int, first: int, last: int) -> Slice:
    query = (
        select(*_TIMES)
        .where(_message.c.lane_id == lane_id, _message.c.time >= first, _message.c.time < last)
        .order_by(_message.c.time)
        .limit(PER_SLICE)
    )
    samples = [
        Sample(time, stage == Stage.EXECUTED.value and not manual, sent, final, committed, executed)
        for time, stage, manual, sent, final, committed, executed in connection.execute(query)
    ]
    return Slice(samples, len(samples) < PER_SLICE)


def longest_pause(connection: Connection, lane_id: int, since: int, until: int, at_least: int) -> int | None:
    """The longest time without a send, if that is `at_least` seconds; found by jumps of that length."""
    longest: int | None = None
    at = _edge_time(connection, lane_id, since, until, newest=False)
    while at is not None:
        near = _edge_time(connection, lane_id, at + 1, min(at + at_least, until), newest=True)
        if near is not None:
            at = near
            continue
        following = _edge_time(connection, lane_id, at + at_least, until, newest=False)
        if following is not None:
            longest = max(longest or 0, following - at)
        at = following
    return longest


def _edge_time(connection: Connection, lane_id: int, since: int, until: int, *, newest: bool) -> int | None:
    time = _message.c.time
    query = select(time).where(_message.c.lane_id == lane_id, time >= since, time < until)
    return connection.execute(query.order_by(time.desc() if newest else time).limit(1)).scalar()


def rates(connection: Connection, lane_id: int, since: int, until: int) -> Rates | None:
    """How the newest messages sent in a span of time fared; None if there are none. Retracted ones do not count."""
    query = (
        select(_message.c.facts, _message.c.time, _message.c.sent_time, _message.c.executed_time)
        .where(_message.c.lane_id == lane_id, _message.c.time >= since, _message.c.time < until)
        .order_by(_message.c.time.desc())
        .limit(EXAMINED)
    )
    matured = delivered = failed = 0
    oldest = until
    spans: list[int] = []
    for facts, time, sent, executed in connection.execute(query):
        if facts & Fact.RETRACTED and not facts & Fact.EXECUTED:
            continue
        matured += 1
        oldest = time
        failed += bool(facts & Fact.FAILED)
        if facts & Fact.EXECUTED:
            delivered += 1
            if sent is not None and executed is not None:
                spans.append(max(executed - sent, 0))
    return Rates(matured, delivered, failed, oldest, percentiles(spans)) if matured else None


def odd_ones(connection: Connection, lane_id: int, since: int) -> Odd:
    """Rare things among the messages sent since a time; what contradicts the source is told however old it is."""
    query = (
        select(
            _message.c.id,
            _message.c.time,
            _message.c.facts,
            _message.c.size,
            _message.c.callback,
            _message.c.manual,
            _message.c.conflicting,
        )
        .where(_message.c.lane_id == lane_id, text(ODD))
        .order_by(_message.c.time.desc())
        .limit(EXAMINED)
    )
    rows = connection.execute(query).all()
    exact = len(rows) < EXAMINED
    recent = [row for row in rows if row.time >= since]
    both = Fact.EXECUTED | Fact.RETRACTED

    def few(found: Iterable[Any]) -> Few:
        some = list(found)
        return Few(len(some), some[-1].time, some[0].id, exact) if some else Few()

    return Odd(
        uncalled=few(row for row in recent if row.callback is False and row.size > 0 and row.facts & Fact.EXECUTED),
        reorged=few(row for row in rows if row.facts & both == both),
        manual=few(row for row in recent if row.manual and row.facts & Fact.EXECUTED),
        conflicting=few(row for row in rows if row.conflicting),
    )


# ---- sequence numbers -----------------------------------------------------------------------------------------------


def read_checks(connection: Connection, protocol: str) -> dict[int, SequenceCheck]:
    """What was found of sequence numbers so far, by lane id."""
    query = select(_sequence).join(_lane, _lane.c.id == _sequence.c.lane_id).where(_lane.c.protocol == protocol)
    return {row.lane_id: _check_of(row) for row in connection.execute(query)}


def _check_of(row: Any) -> SequenceCheck:
    return SequenceCheck(row.first, row.upto, msgspec.json.decode(row.gaps, type=tuple[tuple[int, int], ...]))


def save_check(connection: Connection, lane_id: int, check: SequenceCheck) -> None:
    row = {"lane_id": lane_id, "first": check.first, "upto": check.upto}
    upsert(connection, _sequence, [{**row, "gaps": msgspec.json.encode(check.gaps).decode()}])


def check_sequences(connection: Connection, lane_id: int, known: SequenceCheck | None) -> SequenceCheck | None:
    """Look through final sends that are new, and whether gaps have been filled. None: there are no sends."""
    lowest = _sequences(connection, lane_id, 0, limit=1)
    if not lowest:
        return known
    if known is None or lowest[0] < known.first:
        known = SequenceCheck(lowest[0], lowest[0])
    for first, last in known.gaps:
        known = refilled(known, _sequences(connection, lane_id, first, last))
    return advanced(known, _sequences(connection, lane_id, known.upto + 1))


def _sequences(
    connection: Connection, lane_id: int, first: int, last: int | None = None, *, limit: int = SEQUENCES_AT_ONCE
) -> Sequence[int]:
    """Numbers of sends that are final and canonical, in order, each once."""
    sequence, facts = _message.c.sequence, _message.c.facts
    query = select(sequence).where(
        _message.c.lane_id == lane_id, sequence >= first, facts.op("&")(_SENT_AND_FINAL) == _SENT_AND_FINAL
    )
    if last is not None:
        query = query.where(sequence <= last)
    return connection.execute(query.order_by(sequence).distinct().limit(limit)).scalars().all()


# ---- ordered senders ------------------------------------------------------------------------------------------------


def blocked_senders(
    connection: Connection, protocol: str, lanes: Mapping[tuple[str, int], int], since: int
) -> dict[int, list[BlockedSender]]:
    """Senders of whom the network has skipped a message, by lane id, with the first of theirs that was not tried.

    Args:
        lanes: Lane ids by (source, destination's chain id).
        since: Skips before this time are history.
    """
    query = (
        select(_notice.c.chain_id, _notice.c.details, _notice.c.time)
        .where(
            _notice.c.protocol == protocol,
            _notice.c.kind == NoticeKind.NONCE_SKIPPED.value,
            _notice.c.live,
            _notice.c.time >= since,
        )
        .order_by(_notice.c.time.desc())
        .limit(EXAMINED)
    )
    skipped: dict[tuple[int, str], int] = {}
    for row in connection.execute(query):
        details = msgspec.json.decode(row.details)
        for (source, chain), lane_id in lanes.items():
            if chain == row.chain_id and str(details.get("source", source)) == source:
                skipped[lane_id, str(details.get("sender", "")).lower()] = row.time
    found: dict[int, list[BlockedSender]] = {}
    for (lane_id, sender), time in list(skipped.items())[:EXAMINED]:
        blocked = _blocked(connection, lane_id, sender, time)
        if blocked is not None and len(found.setdefault(lane_id, [])) < MAX_BLOCKED:
            found[lane_id].append(blocked)
    return found


def _blocked(connection: Connection, lane_id: int, sender: str, since: int) -> BlockedSender | None:
    """An ordered message blocks later ones while it was never tried: a failure counts its nonce up."""
    untried = (
        select(_message.c.id, _message.c.nonce, _message.c.stage)
        .where(
            _message.c.lane_id == lane_id,
            _message.c.sender == sender,
            _message.c.nonce.is_not(None),
            _message.c.facts.op("&")(Fact.EXECUTED | Fact.FAILED | Fact.RETRACTED) == 0,
        )
        .order_by(_message.c.nonce)
        .limit(EXAMINED)
    )
    rows = connection.execute(untried).all()
    if len(rows) < 2:  # noqa: PLR2004 - a head and somebody who waits for it
        return None
    head = rows[0]
    return BlockedSender(sender, head.id, head.nonce, head.stage, len(rows) - 1, since)
