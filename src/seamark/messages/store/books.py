"""The books of one unit of work: counters, tallies by stage, the log of transitions, events.

Everything is gathered while messages are folded and written once at the end, so a batch of thousands of messages
costs a few statements here.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

import msgspec
from sqlalchemy import Connection, select, tuple_

from seamark.messages.model import Increment, MessageState, Stage, Step, Transition
from seamark.messages.store import tables
from seamark.messages.store.bulk import insert_rows
from seamark.messages.store.lanes import Lane, Lanes, lane_labels
from seamark.messages.store.notices import NEWS_S
from seamark.messages.store.rows import view_of
from seamark.storage.bulk import chunks, upsert
from seamark.storage.events import Event, append_events
from seamark.storage.totals import TotalKey, add_totals, total_key

__all__ = ["LATENCY_BUCKETS_S", "NEWS_S", "Books", "Changes", "TallyKey"]

LATENCY_BUCKETS_S = (5, 15, 30, 60, 120, 300, 600, 900, 1200, 1800, 2700, 3600, 7200, 14400, 28800, 86400)
"""From instant finality (seconds) over Ethereum's (15 minutes) to the slowest rollups (a day and more)."""

TallyKey = tuple[int, str, str]
"""(lane id, "stage" or "reason", name)."""


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
        self._news_from = now_ms // 1000 - NEWS_S
        self._transitions: list[dict[str, Any]] = []
        self._events: list[Event] = []
        self._added: Counter[tuple[int, str, str]] = Counter()
        self._changes = Changes()

    def close(self) -> Changes:
        """Write all of it."""
        insert_rows(self._connection, tables.transition, self._transitions)
        append_events(self._connection, self._events)
        self._close_totals()
        self._close_tallies()
        return self._changes

    def add_events(self, events: Iterable[Event]) -> None:
        self._events.extend(events)

    def count(self, lane: Lane, increments: Iterable[Increment]) -> None:
        for metric, label, amount in increments:
            if metric == "message_latency_seconds":
                bucket = next((str(bound) for bound in LATENCY_BUCKETS_S if amount <= bound), "+Inf")
                self._added[lane.id, f"{metric}_bucket", f"{label}|{bucket}"] += 1
                self._added[lane.id, f"{metric}_sum", label] += amount
            else:
                self._added[lane.id, metric, label] += amount

    def tally(self, known: Any, row: Mapping[str, Any], state: MessageState) -> None:
        if known is not None:
            self._changes.tallies[known.lane_id, "stage", known.stage] -= 1
            if known.stage == Stage.FAILED:
                self._changes.tallies[known.lane_id, "reason", known.reason] -= 1
        self._changes.tallies[row["lane_id"], "stage", row["stage"]] += 1
        if state.stage is Stage.FAILED:
            self._changes.tallies[row["lane_id"], "reason", row["reason"]] += 1

    def tell(self, no: int, steps: Sequence[Transition], row: Mapping[str, Any], lane: Lane) -> None:
        payload: dict[str, Any] | None = None
        for step in steps:
            at = step.evidence
            back = step.step in _BACK
            self._transitions.append(
                {
                    "message_no": no,
                    "step": step.step.value,
                    "before": step.before.value if step.before else None,
                    "after": step.after.value,
                    "time": step.time,
                    "seen_ms": self._now_ms,
                    "chain_id": at.chain_id if at else None,
                    "block_number": at.block_number if at else None,
                    "block_hash": at.block_hash if at and back else None,
                    "log_index": at.log_index if at else None,
                }
            )
            self._changes.steps[step.step.value] += 1
            if back or (step.time or row["time"]) >= self._news_from:
                payload = payload or msgspec.to_builtins(view_of(row, lane))
                told = {"step": step.step.value, "before": step.before.value if step.before else None, **payload}
                self._events.append(Event(f"message.{step.step}", row["id"], told, at_ms=self._now_ms))

    def _close_totals(self) -> None:
        self._lanes.fetch({lane_id for lane_id, _, _ in self._added})
        for (lane_id, metric, label), amount in self._added.items():
            lane = self._lanes.number(lane_id)
            labels = {**lane_labels(lane), **_own_labels(metric, label)}
            self._changes.totals[total_key(f"{self._protocol}_{metric}", labels)] += amount
        add_totals(self._connection, {key: Decimal(amount) for key, amount in self._changes.totals.items()})

    def _close_tallies(self) -> None:
        tallies = self._changes.tallies = Counter({key: delta for key, delta in self._changes.tallies.items() if delta})
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
