"""Why an answer is what it is, source by source: what a publication keeps of its quotes, and what that tells. Pure.

    Publication.votes --encode_votes--> one text column --decode_votes--> account_of --> Account

A column written before votes were kept holds pairs of source and price, all of them used; both forms are read.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Final

import msgspec

from seamark.core.units import Ppb, format_duration, format_ratio, from_base_units
from seamark.oracle.aggregation.statistics import relative
from seamark.oracle.model import Publication, QuoteFault, Reason, Vote
from seamark.oracle.rules import deviation

__all__ = ["FAULTS", "Account", "VoteLine", "account_of", "decode_votes", "encode_votes"]

FAULTS: Final = {
    QuoteFault.NOT_FINITE: "no finite number",
    QuoteFault.NOT_POSITIVE: "not above zero",
    QuoteFault.NO_VOLUME: "no volume",
    QuoteFault.CROSSED: "bid above ask",
    QuoteFault.WIDE_SPREAD: "bid and ask too far apart",
    QuoteFault.TOO_OLD: "too old",
    QuoteFault.FROM_FUTURE: "from the future",
    QuoteFault.FROZEN: "stood still while others moved",
    QuoteFault.SAME_VENUE: "a newer quote of its venue counts",
    QuoteFault.OUTLIER: "too far from the others",
}


class _StoredVote(msgspec.Struct, frozen=True, omit_defaults=True):
    source: str
    venue: str
    price: str
    age: float
    weight: int = 1
    fault: str | None = None


_COLUMN: Final = msgspec.json.Decoder(list[tuple[str, str] | _StoredVote])


@dataclass(frozen=True, slots=True)
class VoteLine:
    """One source. `distance` from the answer in parts per billion, signed; None where the price is no number or 0."""

    source: str
    venue: str
    price: Decimal
    age: float | None
    weight: int
    used: bool
    why_not: str | None
    distance: int | None


@dataclass(frozen=True, slots=True)
class Account:
    """A publication explained. `why` is one sentence; `moved` against the round before, where that is known."""

    feed: str
    chain: str
    round: int
    attempt: int
    state: str
    reason: str
    why: str
    price: Decimal | None
    observed_at: int | None
    planned_at: float
    transaction: str | None
    before: Decimal | None
    moved: Ppb | None
    votes: tuple[VoteLine, ...]


def encode_votes(publication: Publication) -> str:
    """The text column: every source's vote, or only the pairs that are known."""
    if not publication.votes:
        return msgspec.json.encode(publication.quotes).decode()
    stored = [
        _StoredVote(
            vote.source,
            vote.venue,
            _written(vote.price),
            round(vote.age, 3),
            vote.weight,
            None if vote.fault is None else str(vote.fault),
        )
        for vote in publication.votes
    ]
    return msgspec.json.encode(stored).decode()


def decode_votes(text: str) -> tuple[tuple[tuple[str, str], ...], tuple[Vote, ...]]:
    """The pairs of those used, and the votes of all (none where only pairs were kept)."""
    stored = _COLUMN.decode(text)
    votes = tuple(_vote(item) for item in stored if isinstance(item, _StoredVote))
    pairs = [
        item if isinstance(item, tuple) else (item.source, item.price)
        for item in stored
        if isinstance(item, tuple) or item.fault is None
    ]
    return tuple(pairs), votes


def _vote(item: _StoredVote) -> Vote:
    fault = None if item.fault is None else QuoteFault(item.fault)
    return Vote(item.source, item.venue, Decimal(item.price), item.age, item.weight, fault)


def _written(price: Decimal) -> str:
    return f"{price:f}" if price.is_finite() else str(price)


# ---- what it tells --------------------------------------------------------------------------------------------------


def account_of(
    publication: Publication,
    before: Publication | None,
    *,
    threshold: Ppb | None = None,
    heartbeat: float | None = None,
) -> Account:
    """Explain a publication.

    Args:
        publication: As stored.
        before: The one that published the round before, if it is known here.
        threshold: The feed's deviation.
        heartbeat: The feed's, in seconds.
    """
    price = None if publication.answer is None else from_base_units(publication.answer, publication.decimals)
    known = before is not None and before.answer is not None and publication.answer is not None
    moved = deviation(before.answer or 0, publication.answer or 0) if known and before is not None else None
    earlier = (
        from_base_units(before.answer, before.decimals) if before is not None and before.answer is not None else None
    )
    return Account(
        feed=publication.feed.name,
        chain=publication.feed.chain,
        round=publication.round,
        attempt=publication.attempt,
        state=str(publication.state),
        reason=str(publication.reason),
        why=_why(publication, before, moved, threshold, heartbeat),
        price=price,
        observed_at=publication.observed_at,
        planned_at=publication.planned_at,
        transaction=publication.transaction,
        before=earlier,
        moved=moved,
        votes=tuple(_lines(publication, price)),
    )


def _why(
    publication: Publication,
    before: Publication | None,
    moved: Ppb | None,
    threshold: Ppb | None,
    heartbeat: float | None,
) -> str:
    match publication.reason:
        case Reason.FIRST:
            return "the feed had no round"
        case Reason.JOIN:
            return "another oracle had begun the round, and each answers every round"
        case Reason.CONFIRM:
            return "the contract had parked an answer near this one, and this confirmed it"
        case Reason.HEARTBEAT:
            age = ""
            if before is not None and before.block_time is not None:
                old = max(publication.planned_at - before.block_time, 0)
                age = f": round {before.round} was {format_duration(old)} old"
            return f"the heartbeat{'' if heartbeat is None else f' of {format_duration(heartbeat)}'} was due{age}"
    limit = "" if threshold is None else f", and the threshold is {format_ratio(threshold)}"
    if moved is None or before is None:
        return f"the price had moved by the threshold or more{limit}"
    return f"the price was {format_ratio(moved)} from that of round {before.round}{limit}"


def _lines(publication: Publication, price: Decimal | None) -> Sequence[VoteLine]:
    if publication.votes:
        return [_line(vote, vote.age, price) for vote in publication.votes]
    return [_line(Vote(source, source, Decimal(told), 0.0), None, price) for source, told in publication.quotes]


def _line(vote: Vote, age: float | None, price: Decimal | None) -> VoteLine:
    distance = None
    if price and vote.price.is_finite():
        distance = relative(abs(vote.price - price), price) * (1 if vote.price >= price else -1)
    why_not = None if vote.fault is None else FAULTS[vote.fault]
    return VoteLine(vote.source, vote.venue, vote.price, age, vote.weight, vote.fault is None, why_not, distance)
