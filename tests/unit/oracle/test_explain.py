"""What a publication keeps of its quotes, and the sentence that follows from it."""

from dataclasses import replace
from decimal import Decimal

import pytest

from seamark.core.units import Ppb
from seamark.oracle.explain import FAULTS, account_of, decode_votes, encode_votes
from seamark.oracle.model import Publication, PublicationState, QuoteFault, Reason, Vote

from .fakes import REF, START

ROUND = Publication(
    key="k",
    feed=REF,
    round=8,
    attempt=1,
    state=PublicationState.MINED,
    reason=Reason.DEVIATION,
    planned_at=START,
    answer=200_000_000_000,
    decimals=8,
    observed_at=int(START),
    votes=(
        Vote("a", "a", Decimal("1999.50"), 0.25),
        Vote("b", "bee", Decimal(2000), 3.0, 2),
        Vote("c", "c", Decimal("NaN"), 1.0, 1, QuoteFault.NOT_FINITE),
        Vote("d", "d", Decimal(2600), 1.0, 1, QuoteFault.OUTLIER),
    ),
)
BEFORE = replace(ROUND, round=7, answer=198_000_000_000, block_time=int(START) - 3300)


def test_votes_survive_the_column():
    quotes, votes = decode_votes(encode_votes(ROUND))
    assert quotes == (("a", "1999.50"), ("b", "2000"))
    assert repr(votes) == repr(ROUND.votes)


def test_a_column_from_before_is_read():
    old = replace(ROUND, votes=(), quotes=(("a", "1.0"), ("b", "2")))
    assert encode_votes(old) == '[["a","1.0"],["b","2"]]'
    assert decode_votes(encode_votes(old)) == (old.quotes, ())
    assert decode_votes("[]") == ((), ())


def test_each_source_and_its_distance():
    account = account_of(ROUND, BEFORE)
    assert [(line.source, line.venue, line.used, line.why_not, line.distance) for line in account.votes] == [
        ("a", "a", True, None, -250_000),
        ("b", "bee", True, None, 0),
        ("c", "c", False, "no finite number", None),
        ("d", "d", False, "too far from the others", 300_000_000),
    ]
    assert (account.price, account.before, account.moved) == (Decimal(2000), Decimal(1980), Ppb(10_101_010))


def test_where_only_pairs_were_kept_no_age_is_claimed():
    account = account_of(replace(ROUND, votes=(), quotes=(("a", "2001"),)), None)
    assert [(line.source, line.age, line.used, line.distance) for line in account.votes] == [("a", None, True, 500_000)]


@pytest.mark.parametrize(
    ("reason", "before", "why"),
    [
        (Reason.FIRST, None, "the feed had no round"),
        (Reason.DEVIATION, BEFORE, "the price was 1.010101% from that of round 7, and the threshold is 0.5%"),
        (Reason.DEVIATION, None, "the price had moved by the threshold or more, and the threshold is 0.5%"),
        (Reason.HEARTBEAT, BEFORE, "the heartbeat of 1h00m was due: round 7 was 55m old"),
        (Reason.HEARTBEAT, None, "the heartbeat of 1h00m was due"),
        (Reason.CONFIRM, None, "the contract had parked an answer near this one, and this confirmed it"),
    ],
)
def test_the_reason_in_a_sentence(reason, before, why):
    account = account_of(replace(ROUND, reason=reason), before, threshold=Ppb(5_000_000), heartbeat=3600.0)
    assert account.why == why


def test_every_fault_has_words():
    assert set(FAULTS) == set(QuoteFault)
