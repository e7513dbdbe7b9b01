"""Calm lives of the past, each folded in one straight pass.

    a send that nobody knew, with its finality and its commit                    -> `sent`
    the commit and the first delivery of a message of which only the send is known  -> `moved`

A catch-up is made of these. What `rules.fold`, `transitions` and `count` would find for them is written down at once,
without loading the facts that are stored and without values in between: that takes a third of the time. Whatever is not
exactly of these kinds is refused, and left to the rules; so is all that somebody may still wait for as news.

Invariant: the tables end the same, whichever way a message took (tests/property/test_straight.py).
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from functools import cache
from operator import itemgetter
from typing import Any, NamedTuple

from sqlalchemy import Connection

from seamark.core.ids import ChainId
from seamark.messages.model import Counted, Evidence, Executed, Fact, Sent, Sighting, Step
from seamark.messages.rules import COMMIT, EXECUTION, FINALITY, TOTAL, CommitRange, gains
from seamark.messages.store import tables
from seamark.messages.store.blocks import Blocks
from seamark.messages.store.books import Books, Life
from seamark.messages.store.bulk import insert_tuples, update_tuples
from seamark.messages.store.lanes import Lanes
from seamark.messages.store.rows import MESSAGE_COLUMNS, SIGHTING_COLUMNS, STAGE_TEXTS, sighting_values, told_values

__all__ = ["KNOWN", "MOVING", "MOVING_PART", "Finality", "Known", "Straight"]

_message, _sighting = tables.message, tables.sighting


class Finality(NamedTuple):
    """A chain's final height grew: sends above `after` became final at `time` (None: nobody saw when)."""

    chain_id: ChainId
    after: int
    time: int | None


class Known(NamedTuple):
    """What is stored of a message, as far as it matters for what comes next."""

    no: int
    id: str
    lane_id: int
    sequence: int
    facts: int
    counted: int
    stage: str
    reason: str
    time: int
    source_chain: int | None
    sent_block: int | None
    finalized_time: int | None
    committed_tx: str | None
    committed_time: int | None
    attempts: int
    steps: int
    conflicting: bool

    @property
    def verified_time(self) -> int | None:
        """Of a commit that no transaction made."""
        return self.committed_time if self.committed_tx is None else None


KNOWN = tuple(_message.c[name] for name in Known._fields)

# What changes about a message whose send is known; the other columns and their indexes are left alone.
MOVING = (
    "facts",
    "counted",
    "stage",
    "pending_block",
    "finalized_time",
    "committed_tx",
    "committed_time",
    "executed_tx",
    "executed_time",
    "attempts",
    "steps",
    "reason",
    "error",
    "callback",
    "manual",
    "conflicting",
)
MOVING_PART = itemgetter(*(MESSAGE_COLUMNS.index(name) for name in ("no", *MOVING)))

_WAITING = Fact.SENT | Fact.FINALIZED | Fact.COMMITTED  # all that a message is before anybody tried to deliver it
_COUNTED_BEFORE = Counted.SENT | Counted.FINALITY_TIME | Counted.COMMIT_TIME
_FEW_STEPS = 1 << tables.STEP_BITS - 1

_Values = tuple[Any, ...]


class Straight:
    """Takes what it can; `write` stores it."""

    def __init__(self, lanes: Lanes, blocks: Blocks, books: Books, heights: Mapping[ChainId, int]) -> None:
        self._lanes = lanes
        self._blocks = blocks
        self._books = books
        self._heights = heights
        self._new: list[_Values] = []
        self._moved: list[_Values] = []
        self._facts: list[_Values] = []
        self._lives: Counter[Life] = Counter()
        self._spans: defaultdict[tuple[int, str], list[int]] = defaultdict(list)

    def sent(self, no: int, fact: Sighting, commits: Sequence[CommitRange], finality: Finality | None) -> bool:
        """A message of which nothing is stored and this is all that is told; `commits` are those that cover it.

        False: not of this kind, and nothing was taken.
        """
        told, at, news_from = fact.body, fact.evidence, self._books.news_from
        time = at.time
        if type(told) is not Sent or time >= news_from:
            return False
        committed = None
        if commits:
            committed = _only(commits)
            if committed is None or not time <= committed.time < news_from:
                return False
        facts, finalized_time = Fact.SENT, None
        if at.block_number <= self._heights.get(at.chain_id, -1):
            facts |= Fact.FINALIZED
            finalized_time = _seen_final(at, finality)
            if finalized_time is not None and finalized_time >= news_from:
                return False
        counted = Counted.SENT
        lane_id = self._lanes.of(fact.lane).id
        if finalized_time is not None:
            counted |= Counted.FINALITY_TIME
            self._spans[lane_id, FINALITY].append(finalized_time - time)
        if committed is not None:
            facts |= Fact.COMMITTED
            counted |= Counted.COMMIT_TIME
            self._spans[lane_id, COMMIT].append(committed.time - time)
        self._lives[lane_id, Fact.NONE, facts] += 1
        self._books.count_fee(lane_id, told)
        shown = (at, None, committed, None)
        self._books.tell_past(no, 0, _steps(Fact.NONE, facts), shown, finalized_time)
        self._facts.append(sighting_values(fact, self._blocks.place(at, fact.part), no, lane_id))
        self._new.append(
            (
                no,
                fact.message_id,
                lane_id,
                fact.version,
                fact.sequence,
                facts,
                counted,
                STAGE_TEXTS[facts],
                time,
                *told_values(told),
                at.chain_id,
                at.block_number,
                at.transaction,
                time,
                None if facts & Fact.FINALIZED else at.block_number,
                finalized_time,
                *((committed.transaction, committed.time) if committed else _NEVER),
                *_NEVER,  # executed
                0,
                facts.bit_count(),
                "",
                "",
                None,
                None,
                False,
            )
        )
        return True

    def moved(self, known: Known, fact: Sighting | None, commits: Sequence[CommitRange]) -> bool:
        """A message of which a live send is all that is stored, and what is told now: its delivery, or a commit alone.

        False: not of this kind, and nothing was taken.
        """
        before, news_from = known.facts, self._books.news_from
        if not self._is_waiting(known):
            return False
        committed = _only(commits)
        if committed is None:
            if commits or before & Fact.COMMITTED:
                return False  # a commit was taken back
        elif not known.time <= committed.time < news_from:
            return False
        facts = before if committed is None else before | Fact.COMMITTED
        run = None
        if fact is not None:
            run = fact.evidence
            since = known.time if committed is None else max(known.time, committed.time)
            if not (since <= run.time < news_from and self._is_plain_delivery(known, fact)):
                return False
            facts |= Fact.EXECUTED
        if facts == before:
            return False
        counted = self._count_spans(known, committed, run)
        steps = _steps(before, facts)
        self._lives[known.lane_id, before, facts] += 1
        self._books.tell_past(known.no, known.steps, steps, (None, None, committed, run), None)
        callback = manual = None
        if fact is not None and type(fact.body) is Executed:
            counted |= Counted.SUCCESS
            callback, manual = fact.body.callback, fact.body.manual
            place = self._blocks.place(fact.evidence, fact.part)
            self._facts.append(sighting_values(fact, place, known.no, known.lane_id))
        self._moved.append(
            (
                known.no,
                facts,
                counted,
                STAGE_TEXTS[facts],
                None if facts & Fact.FINALIZED else known.sent_block,
                known.finalized_time,
                *((committed.transaction, committed.time) if committed else _NEVER),
                *((run.transaction, run.time) if run else _NEVER),
                1 if run else 0,
                known.steps + len(steps),
                "",
                "",
                callback,
                manual,
                False,
            )
        )
        return True

    def write(self, connection: Connection) -> None:
        """Store what was taken."""
        insert_tuples(connection, _message, MESSAGE_COLUMNS, self._new)
        update_tuples(connection, _message, "no", MOVING, self._moved)
        insert_tuples(connection, _sighting, SIGHTING_COLUMNS, self._facts, update=("live", "body"))
        self._books.count_lives(self._lives)
        self._books.count_spans(self._spans)

    def _is_waiting(self, known: Known) -> bool:
        """Nobody tried to deliver it, and what is stored of it is what would be found again."""
        facts, counted = known.facts, known.counted
        if facts & ~_WAITING or not facts & Fact.SENT or known.attempts or known.conflicting:
            return False
        if counted & ~_COUNTED_BEFORE or not counted & Counted.SENT or known.steps > _FEW_STEPS:
            return False
        if facts & Fact.COMMITTED and known.committed_tx is None:
            return False  # verified, off chain
        if known.finalized_time is not None and not counted & Counted.FINALITY_TIME:
            return False
        assert known.source_chain is not None
        assert known.sent_block is not None
        final = known.sent_block <= self._heights.get(ChainId(known.source_chain), -1)
        return final == bool(facts & Fact.FINALIZED)

    def _is_plain_delivery(self, known: Known, fact: Sighting) -> bool:
        """The network delivered on the first try, and the send's own lane and sequence number are named."""
        ran = fact.body
        return (
            type(ran) is Executed
            and ran.succeeded
            and ran.manual is not True
            and fact.sequence == known.sequence
            and self._lanes.of(fact.lane).id == known.lane_id
        )

    def _count_spans(self, known: Known, committed: Evidence | None, run: Evidence | None) -> int:
        """What has been counted of the message then."""
        counted, spans, lane_id = known.counted, self._spans, known.lane_id
        if committed is not None and not counted & Counted.COMMIT_TIME:
            counted |= Counted.COMMIT_TIME
            spans[lane_id, COMMIT].append(committed.time - known.time)
        if run is not None:
            counted |= Counted.TOTAL_TIME
            spans[lane_id, TOTAL].append(run.time - known.time)
            if committed is not None:
                counted |= Counted.EXECUTION_TIME
                spans[lane_id, EXECUTION].append(run.time - committed.time)
        return counted


_NEVER = (None, None)


def _only(commits: Sequence[CommitRange]) -> Evidence | None:
    """The one commit there is, if it stands."""
    return commits[0].evidence if len(commits) == 1 and commits[0].revoked is None else None


def _seen_final(sent: Evidence, finality: Finality | None) -> int | None:
    """When somebody saw that this send became final just now."""
    if finality is None or finality.time is None:
        return None
    fresh = sent.chain_id == finality.chain_id and sent.block_number > finality.after
    return max(finality.time, sent.time) if fresh else None


_SHOWN_BY = {Step.SENT: 0, Step.FINALIZED: 1, Step.COMMITTED: 2, Step.EXECUTED: 3}


@cache
def _steps(before: int, after: int) -> tuple[tuple[str, str | None, str, int], ...]:
    """The steps between two masks: kind, stage before and after, and which evidence shows it."""
    stage = STAGE_TEXTS[before] if before else None
    found = []
    for step, reached, _ in gains(before, after & ~before):
        found.append((step.value, stage, reached.value, _SHOWN_BY[step]))
        stage = reached.value
    return tuple(found)
