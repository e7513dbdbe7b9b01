"""The oracle's tables and everything that is asked of them. Functions of a `Connection`, to run in a unit of work.

`oracle_feed` holds, for each feed on each chain, what its contract said last. `oracle_publication` holds one row per
attempt to publish a round, by its natural key. The transaction journal is what is durable *before* a broadcast; a row
here follows from it and can be written again at any time: `add_publication` and `settle_publication` are idempotent,
and totals and events are written in the unit of work in which a row really changes, never again.

A row changes until it is closed: a reorg may undo any end that is not final on its chain.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from enum import IntFlag
from typing import Any, Final

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Connection,
    Index,
    Integer,
    Row,
    SmallInteger,
    Table,
    Text,
    select,
    text,
    update,
)

from seamark.core.ids import Address, ChainId, Hash32
from seamark.core.units import Ppb, from_base_units
from seamark.oracle.explain import decode_votes, encode_votes
from seamark.oracle.model import (
    FeedRef,
    FeedState,
    Publication,
    PublicationState,
    Reason,
    Role,
)
from seamark.storage.bulk import insert_new, upsert
from seamark.storage.events import Event, append_events
from seamark.storage.schema import AUTO_ID, metadata
from seamark.storage.totals import TotalKey, add_totals, total_key

__all__ = [
    "ERRORS_TOTAL",
    "FEES_TOTAL",
    "PARKED_TOTAL",
    "REPLACED_TOTAL",
    "SENT_TOTAL",
    "FeedRow",
    "add_publication",
    "add_replacement",
    "known_publications",
    "list_feeds",
    "list_publications",
    "open_publications",
    "recent_fees",
    "record_failure",
    "record_freshness",
    "record_held",
    "record_state",
    "record_states",
    "register_feed",
    "register_feeds",
    "settle_publication",
    "unconfirmed_publications",
]

SENT_TOTAL: Final = "oracle_updates_sent_total"
ERRORS_TOTAL: Final = "oracle_update_errors_total"
FEES_TOTAL: Final = "oracle_fees_paid_wei_total"
PARKED_TOTAL: Final = "oracle_answers_parked_total"
REPLACED_TOTAL: Final = "oracle_updates_replaced_total"
MAX_PAGE: Final = 500
_UNCONFIRMED_AT_ONCE: Final = 200


class Counted(IntFlag):
    """What of an attempt is in the totals, each at most once."""

    NONE = 0
    SENT = 1
    FAILED = 2  # or parked
    FEE = 4


_feed = Table(
    "oracle_feed",
    metadata,
    Column("name", Text, primary_key=True),
    Column("chain_id", BigInteger, primary_key=True),
    Column("address", Text, primary_key=True),
    Column("chain", Text, nullable=False),
    Column("role", Text, nullable=False),
    Column("heartbeat_ms", BigInteger),
    Column("deviation_ppb", BigInteger),
    Column("description", Text, nullable=False),
    Column("decimals", Integer, nullable=False),
    Column("round", Text, nullable=False),
    Column("answer", Text, nullable=False),
    Column("started_at", BigInteger, nullable=False),
    Column("updated_at", BigInteger, nullable=False),
    Column("paused", Boolean, nullable=False),
    Column("block_number", BigInteger, nullable=False),
    Column("seen_at_ms", BigInteger, nullable=False),
)

_publication = Table(
    "oracle_publication",
    metadata,
    Column("id", AUTO_ID, primary_key=True, autoincrement=True),
    Column("key", Text, nullable=False, unique=True),
    Column("feed", Text, nullable=False),
    Column("chain", Text, nullable=False),
    Column("chain_id", BigInteger, nullable=False),
    Column("address", Text, nullable=False),
    Column("round", Text, nullable=False),
    Column("attempt", Integer, nullable=False),
    Column("state", Text, nullable=False),
    Column("counted", SmallInteger, nullable=False),  # `Counted`
    Column("closed", Boolean, nullable=False),
    Column("reason", Text, nullable=False),
    Column("answer", Text),
    Column("decimals", Integer, nullable=False),
    Column("observed_at", BigInteger),
    Column("planned_at_ms", BigInteger, nullable=False),
    Column("quotes", Text, nullable=False),
    Column("transaction_hash", Text),
    Column("block_number", BigInteger),
    Column("block_time", BigInteger),
    Column("fee", Text),
    Column("mined_at_ms", BigInteger),
    Index("ix_oracle_publication_feed_id", "feed", "id"),
    Index("ix_oracle_publication_state_id", "state", "id"),
    Index(
        "ix_oracle_publication_open",
        "id",
        sqlite_where=text("closed = 0"),
        postgresql_where=text("NOT closed"),
    ),
    sqlite_autoincrement=True,
)

Additions = dict[TotalKey, int | Decimal]


# ---- feeds ----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class FeedRow:
    """A feed on one chain, as last seen. `round` 0: nothing was published yet; times in seconds since the epoch."""

    ref: FeedRef
    heartbeat: float | None
    deviation: Ppb | None
    description: str
    decimals: int
    round: int
    answer: int
    started_at: int
    updated_at: int
    paused: bool
    block_number: int
    seen_at: float

    @property
    def price(self) -> Decimal | None:
        return from_base_units(self.answer, self.decimals) if self.round else None


def register_feeds(connection: Connection, feeds: Iterable[tuple[FeedRef, float | None, Ppb | None]]) -> None:
    """Several, `(ref, heartbeat, deviation)` each."""
    for ref, heartbeat, deviation in feeds:
        register_feed(connection, ref, heartbeat=heartbeat, deviation=deviation)


def register_feed(
    connection: Connection, ref: FeedRef, *, heartbeat: float | None = None, deviation: Ppb | None = None
) -> None:
    """Make a feed known, or change what the settings say of it; what was seen of it stays."""
    row = {
        **_ref_columns(ref),
        "role": str(ref.role),
        "heartbeat_ms": None if heartbeat is None else round(heartbeat * 1000),
        "deviation_ppb": deviation,
        "description": "",
        "decimals": 0,
        "round": "0",
        "answer": "0",
        "started_at": 0,
        "updated_at": 0,
        "paused": False,
        "block_number": 0,
        "seen_at_ms": 0,
    }
    upsert(connection, _feed, [row], update=("chain", "role", "heartbeat_ms", "deviation_ppb"))


def record_state(connection: Connection, ref: FeedRef, state: FeedState, *, now: float) -> bool:
    """Note what a registered feed's contract says; true, with an event "feed.updated", if that is news.

    A state of an older block than the one known is ignored: it comes from a node that lags behind.
    """
    known = connection.execute(select(_feed).where(_is_feed(ref))).one_or_none()
    if known is None or state.block_number < known.block_number:
        return False
    news = {
        "description": state.description,
        "decimals": state.decimals,
        "round": str(state.round),
        "answer": str(state.answer),
        "started_at": state.started_at,
        "updated_at": state.updated_at,
        "paused": state.paused,
    }
    changed = any(getattr(known, name) != value for name, value in news.items())
    values = {**news, "block_number": state.block_number, "seen_at_ms": round(now * 1000)}
    connection.execute(update(_feed).where(_is_feed(ref)).values(values))
    if changed:
        append_events(connection, [_feed_event(ref, state)])
    return changed


def record_states(connection: Connection, states: Iterable[tuple[FeedRef, FeedState]], *, now: float) -> None:
    """Several."""
    for ref, state in states:
        record_state(connection, ref, state, now=now)


def list_feeds(connection: Connection) -> list[FeedRow]:
    """All feeds by name, the source first."""
    rows = connection.execute(select(_feed).order_by(_feed.c.name, _feed.c.role.desc(), _feed.c.chain_id))
    return [_to_feed(row) for row in rows]


def _is_feed(ref: FeedRef) -> Any:
    return (_feed.c.name == ref.name) & (_feed.c.chain_id == ref.chain_id) & (_feed.c.address == ref.address)


def _ref_columns(ref: FeedRef) -> dict[str, Any]:
    return {"name": ref.name, "chain": ref.chain, "chain_id": ref.chain_id, "address": ref.address}


def _to_feed(row: Row[Any]) -> FeedRow:
    return FeedRow(
        ref=FeedRef(row.name, row.chain, ChainId(row.chain_id), Address(row.address), Role(row.role)),
        heartbeat=None if row.heartbeat_ms is None else row.heartbeat_ms / 1000,
        deviation=None if row.deviation_ppb is None else Ppb(row.deviation_ppb),
        description=row.description,
        decimals=row.decimals,
        round=int(row.round),
        answer=int(row.answer),
        started_at=row.started_at,
        updated_at=row.updated_at,
        paused=row.paused,
        block_number=row.block_number,
        seen_at=row.seen_at_ms / 1000,
    )


# ---- publications ---------------------------------------------------------------------------------------------------


def add_publication(connection: Connection, publication: Publication) -> bool:
    """Note a publication that was broadcast, with an event "oracle.planned"; false if its key is known already."""
    if connection.execute(select(_publication.c.id).where(_publication.c.key == publication.key)).first():
        return False
    insert_new(connection, _publication, [_to_row(publication)])
    append_events(connection, [_publication_event("oracle.planned", publication)])
    return True


def add_replacement(connection: Connection, publication: Publication, *, replaces: str) -> Additions:
    """As `add_publication`, for one that took the nonce of an unmined one (its key), with an event "oracle.replaced".

    Returns:
        What was added to the totals.
    """
    if not add_publication(connection, publication):
        return {}
    event = _publication_event("oracle.replaced", publication)
    append_events(connection, [Event(event.topic, event.key, {**event.payload, "replaces": replaces})])
    additions: Additions = {_feed_total(REPLACED_TOTAL, publication.feed): 1}
    add_totals(connection, additions)
    return additions


def settle_publication(
    connection: Connection, publication: Publication, *, state: FeedState | None = None, now: float = 0.0
) -> Additions:
    """Store how a publication stands; adds to the totals, and tells by an event, what was not so before.

    Args:
        connection: The unit of work.
        publication: As it stands now.
        state: What the receipt tells of the feed, to be noted with it.
        now: Seconds since the epoch.

    Returns:
        What was added to the totals, for the counters of this process.
    """
    if state is not None:
        record_state(connection, publication.feed, state, now=now)
    known = connection.execute(select(_publication).where(_publication.c.key == publication.key)).one_or_none()
    if known is None:
        insert_new(connection, _publication, [_to_row(publication)])
        before, counted = None, Counted.NONE
    elif known.closed:
        return {}
    else:
        before, counted = PublicationState(known.state), Counted(known.counted)
    due = _due(publication, counted)
    additions = _additions(publication, due)
    changes = {**_result_columns(publication), "counted": int(counted | due)}
    connection.execute(update(_publication).where(_publication.c.key == publication.key).values(changes))
    add_totals(connection, additions)
    if before != publication.state and (topic := _topic(before, publication.state)) is not None:
        append_events(connection, [_publication_event(topic, publication)])
    return additions


def record_failure(connection: Connection, ref: FeedRef, kind: str, detail: str, *, tell: bool = True) -> Additions:
    """Count an update that never became a transaction, with an event "oracle.failed" unless told not to."""
    additions: Additions = {total_key(ERRORS_TOTAL, {"feed": ref.name, "chain": ref.chain, "class": kind}): 1}
    add_totals(connection, additions)
    if tell:
        payload = {**_ref_payload(ref), "class": kind, "detail": detail}
        append_events(connection, [Event("oracle.failed", ref.name, payload)])
    return additions


def record_freshness(connection: Connection, ref: FeedRef, *, stale: bool, detail: str) -> None:
    """Tell that a feed went stale, or recovered: events "oracle.stale" and "oracle.fresh"."""
    topic = "oracle.stale" if stale else "oracle.fresh"
    append_events(connection, [Event(topic, ref.name, {**_ref_payload(ref), "detail": detail})])


def record_held(connection: Connection, ref: FeedRef, *, held: bool, detail: str) -> None:
    """Tell that a jump waits for confirmation, or no longer does: events "oracle.held" and "oracle.released"."""
    topic = "oracle.held" if held else "oracle.released"
    append_events(connection, [Event(topic, ref.name, {**_ref_payload(ref), "detail": detail})])


def open_publications(connection: Connection, ref: FeedRef) -> list[Publication]:
    """Those of a feed that were sent and whose end is not known, oldest first."""
    clause = (_publication.c.state == str(PublicationState.BROADCAST)) & _is_publication_of(ref)
    return [_to_publication(row) for row in connection.execute(select(_publication).where(clause).order_by("id"))]


def unconfirmed_publications(
    connection: Connection, after: int = 0, limit: int = _UNCONFIRMED_AT_ONCE
) -> list[Publication]:
    """Ended ones that a reorg could still undo, or has undone, with an id above `after`; oldest first."""
    ended = (_publication.c.state != str(PublicationState.BROADCAST)) | (_publication.c.counted != 0)
    query = select(_publication).where(~_publication.c.closed, ended, _publication.c.id > after)
    query = query.order_by(_publication.c.id).limit(limit)
    return [_to_publication(row) for row in connection.execute(query)]


def known_publications(connection: Connection, ref: FeedRef, limit: int) -> list[Publication]:
    """A feed's newest publications, newest first."""
    query = select(_publication).where(_is_publication_of(ref)).order_by(_publication.c.id.desc()).limit(limit)
    return [_to_publication(row) for row in connection.execute(query)]


def recent_fees(connection: Connection, chain_id: ChainId, limit: int) -> list[int]:
    """Fees in wei of the newest publications on a chain that paid one."""
    query = select(_publication.c.fee).where(_publication.c.chain_id == chain_id, _publication.c.fee.is_not(None))
    return [int(fee) for fee in connection.execute(query.order_by(_publication.c.id.desc()).limit(limit)).scalars()]


def list_publications(
    connection: Connection,
    *,
    feed: str | None = None,
    chain_id: int | None = None,
    states: tuple[PublicationState, ...] = (),
    round_id: int | None = None,
    before: int | None = None,
    limit: int = 50,
) -> list[Publication]:
    """Newest first; `before` is the cursor: the id of the last row of the page before."""
    query = select(_publication).order_by(_publication.c.id.desc()).limit(min(limit, MAX_PAGE))
    if feed is not None:
        query = query.where(_publication.c.feed == feed)
    if chain_id is not None:
        query = query.where(_publication.c.chain_id == chain_id)
    if states:
        query = query.where(_publication.c.state.in_([str(state) for state in states]))
    if round_id is not None:
        query = query.where(_publication.c.round == str(round_id))
    if before is not None:
        query = query.where(_publication.c.id < before)
    return [_to_publication(row) for row in connection.execute(query)]


def _is_publication_of(ref: FeedRef) -> Any:
    table = _publication.c
    return (table.feed == ref.name) & (table.chain_id == ref.chain_id) & (table.address == ref.address)


def _due(publication: Publication, counted: Counted) -> Counted:
    """What of an attempt is to be added now.

    Whatever reorgs do to it: its round counts once, its fee counts once, and it counts as failed only if it was
    nothing before.
    """
    if publication.state is PublicationState.BROADCAST:
        return Counted.NONE
    due = Counted.FEE if publication.fee else Counted.NONE
    if publication.state in (PublicationState.MINED, PublicationState.FINAL):
        due |= Counted.SENT
    elif publication.state is not PublicationState.SUPERSEDED and not counted & (Counted.SENT | Counted.FAILED):
        due |= Counted.FAILED
    return due & ~counted


def _feed_total(metric: str, ref: FeedRef) -> TotalKey:
    return total_key(metric, {"feed": ref.name, "chain": ref.chain})


def _additions(publication: Publication, due: Counted) -> Additions:
    labels = {"feed": publication.feed.name, "chain": publication.feed.chain}
    additions: Additions = {}
    if due & Counted.SENT:
        additions[total_key(SENT_TOTAL, {**labels, "reason": str(publication.reason)})] = 1
    if due & Counted.FAILED and publication.state is PublicationState.PARKED:
        additions[total_key(PARKED_TOTAL, labels)] = 1
    elif due & Counted.FAILED:
        additions[total_key(ERRORS_TOTAL, {**labels, "class": str(publication.state)})] = 1
    if due & Counted.FEE and publication.fee:
        additions[total_key(FEES_TOTAL, labels)] = publication.fee
    return additions


def _topic(before: PublicationState | None, after: PublicationState) -> str | None:
    match after:
        case PublicationState.MINED:
            return "oracle.published"
        case PublicationState.FINAL:
            return None if before is PublicationState.MINED else "oracle.published"
        case PublicationState.PARKED:
            return "oracle.parked"
        case PublicationState.BROADCAST:
            return "oracle.planned" if before is None else "oracle.orphaned"
        case PublicationState.SUPERSEDED:
            return "oracle.superseded"
    return "oracle.failed"


def _to_row(publication: Publication) -> dict[str, Any]:
    ref = publication.feed
    return {
        "key": publication.key,
        "feed": ref.name,
        "chain": ref.chain,
        "chain_id": ref.chain_id,
        "address": ref.address,
        "round": str(publication.round),
        "attempt": publication.attempt,
        "counted": int(Counted.NONE),
        "reason": str(publication.reason),
        "planned_at_ms": round(publication.planned_at * 1000),
        "quotes": encode_votes(publication),
        **_result_columns(publication),
    }


def _result_columns(publication: Publication) -> dict[str, Any]:
    """What becomes known, or may change, after the broadcast."""
    return {
        "state": str(publication.state),
        "answer": _text(publication.answer),
        "decimals": publication.decimals,
        "observed_at": publication.observed_at,
        "transaction_hash": publication.transaction,
        "block_number": publication.block_number,
        "block_time": publication.block_time,
        "fee": _text(publication.fee),
        "mined_at_ms": None if publication.mined_at is None else round(publication.mined_at * 1000),
        "closed": publication.closed or publication.state is PublicationState.FINAL,
    }


def _text(number: int | None) -> str | None:
    return None if number is None else str(number)


def _number(text: str | None) -> int | None:
    return None if text is None else int(text)


def _to_publication(row: Row[Any]) -> Publication:
    quotes, votes = decode_votes(row.quotes)
    return Publication(
        key=row.key,
        feed=FeedRef(row.feed, row.chain, ChainId(row.chain_id), Address(row.address)),
        round=int(row.round),
        attempt=row.attempt,
        state=PublicationState(row.state),
        reason=Reason(row.reason),
        planned_at=row.planned_at_ms / 1000,
        answer=_number(row.answer),
        decimals=row.decimals,
        observed_at=row.observed_at,
        quotes=quotes,
        votes=votes,
        transaction=None if row.transaction_hash is None else Hash32(row.transaction_hash),
        block_number=row.block_number,
        block_time=row.block_time,
        fee=_number(row.fee),
        mined_at=None if row.mined_at_ms is None else row.mined_at_ms / 1000,
        closed=row.closed,
        id=row.id,
    )


# ---- events ---------------------------------------------------------------------------------------------------------


def _ref_payload(ref: FeedRef) -> dict[str, Any]:
    return {"feed": ref.name, "chain": ref.chain, "chain_id": ref.chain_id, "address": ref.address}


def _feed_event(ref: FeedRef, state: FeedState) -> Event:
    payload = {
        **_ref_payload(ref),
        "role": str(ref.role),
        "round": str(state.round),
        "answer": str(state.answer),
        "decimals": state.decimals,
        "price": None if state.price is None else f"{state.price:f}",
        "started_at": state.started_at,
        "updated_at": state.updated_at,
        "paused": state.paused,
    }
    return Event("feed.updated", ref.name, payload)


def _publication_event(topic: str, publication: Publication) -> Event:
    answer = publication.answer
    payload: Mapping[str, Any] = {
        **_ref_payload(publication.feed),
        "key": publication.key,
        "round": str(publication.round),
        "attempt": publication.attempt,
        "state": str(publication.state),
        "reason": str(publication.reason),
        "answer": _text(answer),
        "price": None if answer is None else f"{from_base_units(answer, publication.decimals):f}",
        "observed_at": publication.observed_at,
        "transaction": publication.transaction,
        "block_number": publication.block_number,
        "block_time": publication.block_time,
        "fee": _text(publication.fee),
        "quotes": len(publication.quotes),
    }
    return Event(topic, publication.feed.name, dict(payload))
