"""What a study of one lane asks: more than a look, bounded all the same, and done for a few lanes at a time."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from operator import itemgetter
from typing import Any

import msgspec
from sqlalchemy import Connection, select, text

from seamark.messages.judgement.attempts import anybody_executes, is_of_the_attempt
from seamark.messages.judgement.limits import Sample, Slice, percentiles
from seamark.messages.judgement.model import BlockedSender, Few, JudgedLane, Odd, Rates, SequenceCheck
from seamark.messages.judgement.sequences import advanced, refilled
from seamark.messages.judgement.store.tables import ODD
from seamark.messages.model import MAX_SEQUENCE, Fact, NoticeKind, Stage
from seamark.messages.store import tables

__all__ = ["blocked_senders", "check_sequences", "last_sent", "longest_pause", "odd_ones", "rates", "window"]

EXAMINED = 1_000  # messages of a lane whose times are read for a rate
SLICES = 28  # parts of the window that is learned from: of a week, six hours each
PER_SLICE = 40  # messages of each: a part of a day that went wrong is one in 28, and no more
SEQUENCES_AT_ONCE = 5_000
GAPS_AT_ONCE = 50  # gaps that are looked into again: what fills them is rare
FOREVER = MAX_SEQUENCE  # seconds
MAX_BLOCKED = 20  # senders of a lane that are named

_message, _notice, _tally = tables.message, tables.notice, tables.tally
_SENT_AND_FINAL = Fact.SENT | Fact.FINALIZED


def _stages(connection: Connection, lane_id: int) -> list[str]:
    """The stages that hold messages of a lane: the index by time is one of each stage."""
    query = select(_tally.c.name).where(_tally.c.lane_id == lane_id, _tally.c.kind == "stage", _tally.c.messages > 0)
    return list(connection.execute(query).scalars())


def _of(lane_id: int, stage: str, since: int, until: int) -> Any:
    time = _message.c.time
    return (_message.c.lane_id == lane_id) & (_message.c.stage == stage) & (time >= since) & (time < until)


def last_sent(connection: Connection, lane_id: int) -> int | None:
    """When the newest message was sent."""
    return _edge_time(connection, lane_id, _stages(connection, lane_id), (0, FOREVER), newest=True)


def _edge_time(
    connection: Connection, lane_id: int, stages: Sequence[str], span: tuple[int, int], *, newest: bool
) -> int | None:
    """The time of the oldest or the newest message in a span of time."""
    time = _message.c.time
    found = []
    for stage in stages:
        query = select(time).where(_of(lane_id, stage, *span)).order_by(time.desc() if newest else time).limit(1)
        edge = connection.execute(query).scalar()
        if edge is not None:
            found.append(edge)
    return (max if newest else min)(found, default=None)


def window(connection: Connection, lane_id: int, since: int, until: int) -> list[Slice]:
    """The first messages of each part of a span of time, for `limits.learn`; a younger lane's parts are shorter."""
    stages = _stages(connection, lane_id)
    begin = _edge_time(connection, lane_id, stages, (since, until), newest=False)
    if begin is None:
        return []
    bounds = [begin + (until - begin) * part // SLICES for part in range(SLICES + 1)]
    return [_slice(connection, lane_id, stages, span) for span in itertools.pairwise(bounds)]


_TIMES = (
    _message.c.time,
    _message.c.stage,
    _message.c.manual,
    _message.c.by_hand,
    _message.c.sent_time,
    _message.c.finalized_time,
    _message.c.committed_time,
    _message.c.executed_time,
)


def _slice(connection: Connection, lane_id: int, stages: Sequence[str], span: tuple[int, int]) -> Slice:
    samples: list[Sample] = []
    for stage in stages:
        query = select(*_TIMES).where(_of(lane_id, stage, *span)).order_by(_message.c.time).limit(PER_SLICE)
        good = stage == Stage.EXECUTED
        samples += [
            Sample(time, good and not manual and not by_hand, sent, final, committed, executed)
            for time, _, manual, by_hand, sent, final, committed, executed in connection.execute(query)
        ]
    samples.sort(key=lambda sample: sample.time)
    return Slice(samples[:PER_SLICE], len(samples) < PER_SLICE)


def longest_pause(connection: Connection, lane_id: int, since: int, until: int, at_least: int) -> int | None:
    """The longest time without a send, if that is `at_least` seconds; found by jumps of that length."""
    longest: int | None = None
    edge = partial(_edge_time, connection, lane_id, _stages(connection, lane_id))
    at = edge((since, until), newest=False)
    while at is not None:
        near = edge((at + 1, min(at + at_least, until)), newest=True)
        if near is not None:
            at = near
            continue
        following = edge((at + at_least, until), newest=False)
        if following is not None:
            longest = max(longest or 0, following - at)
        at = following
    return longest


def rates(connection: Connection, lane: JudgedLane, since: int, until: int) -> Rates | None:
    """How the newest messages sent in a span of time fared; None if there are none. Retracted ones do not count, nor
    those that still wait for a hand because nobody was to execute them.
    """
    columns = [_message.c[name] for name in ("time", "facts", "sent_time", "executed_time", "by_hand", "reason")]
    rows: list[Any] = []
    for stage in _stages(connection, lane.id):
        if stage != Stage.RETRACTED:
            query = select(*columns).where(_of(lane.id, stage, since, until)).order_by(_message.c.time.desc())
            rows += connection.execute(query.limit(EXAMINED))
    rows.sort(key=itemgetter(0), reverse=True)
    del rows[EXAMINED:]
    rows = [row for row in rows if row.facts & Fact.EXECUTED or not row.by_hand]
    spans = [
        max(executed - sent, 0)
        for _, facts, sent, executed, by_hand, _ in rows
        if not by_hand and facts & Fact.EXECUTED and sent is not None and executed is not None
    ]
    if not rows:
        return None
    return Rates(
        matured=len(rows),
        delivered=sum(bool(row[1] & Fact.EXECUTED) for row in rows),
        failed=sum(_counts_as_failed(lane.version, row.facts, row.reason) for row in rows),
        since=rows[-1][0],
        total=percentiles(spans),
    )


def _counts_as_failed(version: str, facts: int, reason: str) -> bool:
    """A failure, repaired or not. Where a stranger may cause one, only one that stands and is the message's own: of one
    that was followed by a success no class is kept.
    """
    if not anybody_executes(version):
        return bool(facts & Fact.FAILED)
    return bool(facts & Fact.FAILED) and not facts & Fact.EXECUTED and not is_of_the_attempt(version, reason)


def odd_ones(connection: Connection, lane_id: int, since: int, *, news_since: int) -> Odd:
    """Rare things among the messages sent since a time; what contradicts the source is told however old it is, what was
    repaired if that happened since `news_since`.
    """
    query = (
        select(
            _message.c.id,
            _message.c.time,
            _message.c.facts,
            _message.c.size,
            _message.c.callback,
            _message.c.manual,
            _message.c.executed_time,
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
        manual=few(
            row for row in recent if row.manual and row.facts & Fact.EXECUTED and (row.executed_time or 0) >= news_since
        ),
        conflicting=few(row for row in rows if row.conflicting),
    )


# ---- sequence numbers -----------------------------------------------------------------------------------------------


def check_sequences(
    connection: Connection, lane_ids: Sequence[int], known: SequenceCheck | None
) -> SequenceCheck | None:
    """Look through final sends that are new, and whether gaps have been filled. None: there are no sends.

    Several lanes are looked at as one where their source contract counts over all destinations.
    """
    lowest = _sequences(connection, lane_ids, 0, limit=1)
    if not lowest:
        return known
    if known is None or lowest[0] < known.first:
        known = SequenceCheck(lowest[0], lowest[0])
    for first, last in known.gaps[:GAPS_AT_ONCE]:
        known = refilled(known, _sequences(connection, lane_ids, first, last))
    return advanced(known, _sequences(connection, lane_ids, known.upto + 1))


def _sequences(
    connection: Connection,
    lane_ids: Sequence[int],
    first: int,
    last: int | None = None,
    *,
    limit: int = SEQUENCES_AT_ONCE,
) -> Sequence[int]:
    """The lowest numbers of sends that are final and canonical, in order, each once."""
    sequence, facts = _message.c.sequence, _message.c.facts
    found: set[int] = set()
    for lane_id in lane_ids:
        query = select(sequence).where(
            _message.c.lane_id == lane_id, sequence >= first, facts.op("&")(_SENT_AND_FINAL) == _SENT_AND_FINAL
        )
        if last is not None:
            query = query.where(sequence <= last)
        found.update(connection.execute(query.order_by(sequence).limit(limit)).scalars())
    return sorted(found)[:limit]


# ---- ordered senders ------------------------------------------------------------------------------------------------


def blocked_senders(
    connection: Connection, protocol: str, lanes: Sequence[JudgedLane], since: int
) -> dict[int, tuple[BlockedSender, ...]]:
    """Senders of whom the network has skipped a message since a time, by lane id, with the first of theirs that was not
    tried.
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
        sender = str(details.get("sender", "")).lower()
        skipped |= {(lane.id, sender): row.time for lane in lanes if _is_of(lane, row.chain_id, details)}
    found: dict[int, tuple[BlockedSender, ...]] = {}
    for (lane_id, sender), time in skipped.items():
        known = found.get(lane_id, ())
        blocked = _blocked(connection, lane_id, sender, time) if len(known) < MAX_BLOCKED else None
        if blocked is not None:
            found[lane_id] = (*known, blocked)
    return found


def _is_of(lane: JudgedLane, chain_id: int, details: Mapping[str, Any]) -> bool:
    """Whether what a destination told is about a lane; it may not name the source contract."""
    key = lane.key
    here = lane.names.destination_chain == chain_id and details.get("source", key.source) == key.source
    return here and details.get("onramp", key.channel) == key.channel


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
