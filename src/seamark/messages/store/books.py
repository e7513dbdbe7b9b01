"""The books of one unit of work: counters, tallies by stage, the log of transitions, events.

Everything is gathered while messages are folded and written once at the end, so a batch of thousands of messages
costs a few statements here.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from functools import cache
from typing import Any

import msgspec
from sqlalchemy import Connection, select, tuple_

from seamark.messages.model import Evidence, Fact, Increment, Sent, Stage, Step, Transition
from seamark.messages.rules import gains
from seamark.messages.store import tables
from seamark.messages.store.bulk import insert_tuples
from seamark.messages.store.lanes import Lane, Lanes, lane_labels
from seamark.messages.store.notices import NEWS_S
from seamark.messages.store.rows import MESSAGE_COLUMNS, STAGE_TEXTS, view_of
from seamark.storage.bulk import chunks, upsert
from seamark.storage.events import Event, append_events
from seamark.storage.totals import TotalKey, add_totals, total_key

__all__ = ["LATENCY_BUCKETS_S", "NEWS_S", "Books", "Changes", "Life", "TallyKey"]

LATENCY_BUCKETS_S = (5, 15, 30, 60, 120, 300, 600, 900, 1200, 1800, 2700, 3600, 7200, 14400, 28800, 86400)
"""From instant finality (seconds) over Ethereum's (15 minutes) to the slowest rollups (a day and more)."""

TallyKey = tuple[int, str, str]
"""(lane id, "stage" or "reason", name)."""

Life = tuple[int, int, int]
"""(lane id, facts before, facts after); before is 0 for a message that nobody knew."""


@dataclass(slots=True)
class Changes:
    """What a unit of work did, to be told to metrics once it is committed."""

    totals: Counter[TotalKey] = field(default_factory=Counter)
    tallies: Counter[TallyKey] = field(default_factory=Counter)
    lanes: dict[int, Lane] = field(default_factory=dict)
    steps: Counter[str] = field(default_factory=Counter)


class Books:
    """What is written beside the messages themselves."""

    def __init__(self, connection: Connection, *, protocol: str, lanes: Lanes, now_ms: int) -> None:
        self._connection = connection
        self._protocol = protocol
        self._lanes = lanes
        self._now_ms = now_ms
        self.news_from = now_ms // 1000 - NEWS_S
        self._transitions: list[tuple[Any, ...]] = []
        self._events: list[Event] = []
        self._added: defaultdict[tuple[int, str, str], int] = defaultdict(int)
        self._tallies: defaultdict[TallyKey, int] = defaultdict(int)
        self._changes = Changes()

    def close(self) -> Changes:
        """Write all of it."""
        insert_tuples(self._connection, tables.transition, _TRANSITION_COLUMNS, self._transitions)
        append_events(self._connection, self._events)
        self._close_totals()
        self._close_tallies()
        return self._changes

    def add_events(self, events: Iterable[Event]) -> None:
        self._events.extend(events)

    def count(self, lane: Lane, increments: Iterable[Increment]) -> None:
        added, lane_id = self._added, lane.id
        for item in increments:
            metric, label, amount = item.metric, item.label, item.amount
            if metric == "message_latency_seconds":
                added[lane_id, "message_latency_seconds_bucket", _bucket(label, amount)] += 1
                added[lane_id, "message_latency_seconds_sum", label] += amount
            else:
                added[lane_id, metric, label] += amount

    def count_spans(self, found: Mapping[tuple[int, str], Sequence[int]]) -> None:
        """Seconds that many messages took, by lane and span; none is negative."""
        for (lane_id, label), spans in found.items():
            self._added[lane_id, "message_latency_seconds_sum", label] += sum(spans)
            for seconds, messages in Counter(spans).items():
                self._added[lane_id, "message_latency_seconds_bucket", _bucket(label, seconds)] += messages

    def count_fee(self, lane_id: int, told: Sent) -> None:
        """What a send that was not counted before has cost."""
        if told.fee_token:
            self._added[lane_id, "fees_total", told.fee_token] += int(told.fee_amount)
        if told.fee_juels is not None:
            self._added[lane_id, "fees_juels_total", ""] += int(told.fee_juels)

    def count_lives(self, lives: Mapping[Life, int]) -> None:
        """Messages that moved on in the same way: none of them was counted with what it gained, and none failed."""
        for (lane_id, before, after), messages in lives.items():
            gained = after & ~before
            if gained & Fact.SENT:
                self._added[lane_id, "messages_sent_total", ""] += messages
            if gained & Fact.EXECUTED:
                self._added[lane_id, "messages_received_total", "success"] += messages
            if before:
                self.tally(lane_id, STAGE_TEXTS[before], "", -messages)
            self.tally(lane_id, STAGE_TEXTS[after], "", messages)
            for step, _, _ in gains(before, gained):
                self._changes.steps[step.value] += messages

    def tally(self, lane_id: int, stage: str, reason: str, change: int) -> None:
        """Messages of a lane that are in a stage now; failed ones also by reason."""
        self._tallies[lane_id, "stage", stage] += change
        if stage == _FAILED:
            self._tallies[lane_id, "reason", reason] += change

    def tell(self, no: int, taken: int, steps: Sequence[Transition], values: Sequence[Any], lane: Lane) -> None:
        """The steps of a message that has `taken` some before; `values` is its row."""
        for number, step in enumerate(steps, taken):
            at, kind = step.evidence, _STEPS[step.step]
            back = step.step in _BACK
            before = None if step.before is None else _STAGES[step.before]
            if number >> tables.STEP_BITS == 0:
                self._transitions.append(
                    (
                        no << tables.STEP_BITS | number,
                        kind,
                        before,
                        _STAGES[step.after],
                        step.time,
                        self._now_ms,
                        *(
                            (at.chain_id, at.block_number, at.block_hash if back else None, at.log_index)
                            if at
                            else _NOWHERE
                        ),
                    )
                )
            self._changes.steps[kind] += 1
            if back or (step.time or values[_TIME]) >= self.news_from:
                self._announce(kind, before, values, lane)

    def tell_past(
        self,
        no: int,
        taken: int,
        steps: Sequence[tuple[str, str | None, str, int]],
        shown: Sequence[Evidence | None],
        finalized_time: int | None,
    ) -> None:
        """Steps forward that are no news: kind, stage before and after, and which of `shown` is the evidence."""
        number, now_ms, rows = no << tables.STEP_BITS | taken, self._now_ms, self._transitions
        for kind, before, after, index in steps:
            at = shown[index]
            rows.append(
                (number, kind, before, after, finalized_time, now_ms, None, None, None, None)
                if at is None
                else (number, kind, before, after, at.time, now_ms, at.chain_id, at.block_number, None, at.log_index)
            )
            number += 1

    def _announce(self, kind: str, before: str | None, values: Sequence[Any], lane: Lane) -> None:
        shown = msgspec.to_builtins(view_of(dict(zip(MESSAGE_COLUMNS, values, strict=True)), lane))
        told = {"step": kind, "before": before, **shown}
        self._events.append(Event(f"message.{kind}", shown["id"], told, at_ms=self._now_ms))

    def _close_totals(self) -> None:
        self._lanes.fetch({lane_id for lane_id, _, _ in self._added})
        for (lane_id, metric, label), amount in self._added.items():
            lane = self._lanes.number(lane_id)
            labels = {**lane_labels(lane), **_own_labels(metric, label)}
            self._changes.totals[total_key(f"{self._protocol}_{metric}", labels)] += amount
        add_totals(self._connection, {key: Decimal(amount) for key, amount in self._changes.totals.items()})

    def _close_tallies(self) -> None:
        tallies = self._changes.tallies = Counter({key: delta for key, delta in self._tallies.items() if delta})
        self._lanes.fetch({lane_id for lane_id, _, _ in tallies})
        self._changes.lanes = {lane_id: self._lanes.number(lane_id) for lane_id, _, _ in tallies}
        table = tables.tally
        columns = (table.c.lane_id, table.c.kind, table.c.name)
        for chunk in chunks(list(tallies)):
            rows = self._connection.execute(select(table).where(tuple_(*columns).in_(chunk)))
            stored = {(row.lane_id, row.kind, row.name): row.messages for row in rows}
            upsert(
                self._connection,
                table,
                [
                    {"lane_id": key[0], "kind": key[1], "name": key[2], "messages": stored.get(key, 0) + tallies[key]}
                    for key in chunk
                ],
            )


_BACK = (Step.RETRACTED, Step.REORGED, Step.REVOKED)

# Plain text: drivers take longer over an enum.
_STEPS = {step: step.value for step in Step}
_STAGES = {stage: stage.value for stage in Stage}
_FAILED = Stage.FAILED.value
_TIME = MESSAGE_COLUMNS.index("time")
_NOWHERE = (None, None, None, None)
_TRANSITION_COLUMNS = (
    "id",
    "step",
    "before",
    "after",
    "time",
    "seen_ms",
    "chain_id",
    "block_number",
    "block_hash",
    "log_index",
)


def _bucket(span: str, seconds: int) -> str:
    return _bucket_names(span)[bisect_left(LATENCY_BUCKETS_S, seconds)]


@cache
def _bucket_names(span: str) -> list[str]:
    return [f"{span}|{bound}" for bound in (*LATENCY_BUCKETS_S, "+Inf")]


_LABEL_OF = {
    "messages_received_total": "state",
    "fees_total": "fee_token",
    "errors_total": "class",
    "message_latency_seconds_sum": "stage",
}


def _own_labels(metric: str, label: str) -> dict[str, str]:
    if metric == "message_latency_seconds_bucket":
        stage, _, bound = label.partition("|")
        return {"stage": stage, "le": bound}
    name = _LABEL_OF.get(metric)
    return {name: label} if name else {}
