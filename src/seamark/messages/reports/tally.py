"""One pass over the messages of a period: every figure of a report that is a sum, a count or a distribution. Pure.

Rows come in the order of time, in parts; what is kept grows with lanes, steps of time, different seconds, sizes and
accounts, not with messages. A database could add all this up too, in a dozen passes that each sort a million rows; one
pass here takes a fifth of that time, and amounts of any length stay exact integers.
"""

from __future__ import annotations

import heapq
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from math import gcd
from typing import Any, Final

from seamark.messages.reports.rules import BATCH_WINDOW_S, HOUR_S

__all__ = ["COLUMNS", "Tally"]

COLUMNS: Final = (
    "no",
    "lane_id",
    "stage",
    "time",
    "sent_time",
    "finalized_time",
    "committed_time",
    "executed_time",
    "size",
    "fee_token",
    "fee_amount",
    "fee_juels",
    "attempts",
    "manual",
    "callback",
    "sender",
    "receiver",
    "reason",
    "error",
)
"""Of the message table, in the order in which rows hold them."""

DELIVERED: Final = frozenset({"executed", "recovered"})
SLOWEST: Final = 10  # of each lane, by number
PAIRS: Final = 200_000  # (lane, sender, receiver) that are told apart; messages of further ones count in sums alone
CAUSES: Final = 5_000  # different causes of failures; what comes after is counted by class
NEWEST: Final = 3  # examples of each cause
JUELS: Final = 1e18

Row = Sequence[Any]


class Tally:
    """What the rows add up to.

    `spans` has a distribution of seconds by span and lane; `stages` counts, by lane and stage, messages and those by
    hand, without callback and with several attempts; `steps` counts by step of `unit_s` seconds and stage; `latency`
    is sent to executed by step of the chart; `fees` sums (messages, token, LINK's base units) by lane, token and step
    of the chart; `sizes` sums (messages, those with a fee in LINK, fees, squares of fees) by lane and size; `pairs`
    counts (messages, windows of time with any, the last window) by lane, sender and receiver; `causes` holds the
    newest numbers and the count by class and words of a failure; `slow` the slowest deliveries of each lane as
    (seconds, number).
    """

    def __init__(self, bucket_s: int) -> None:
        self.bucket_s = bucket_s
        self.unit_s = gcd(bucket_s, HOUR_S)
        self.messages = 0
        self.spans: dict[str, defaultdict[int, Counter[int]]] = {
            name: defaultdict(Counter) for name in ("finality", "commit", "execution", "total")
        }
        self.stages: defaultdict[tuple[int, str], list[int]] = defaultdict(lambda: [0, 0, 0, 0])
        self.steps: Counter[tuple[int, str]] = Counter()
        self.latency: defaultdict[int, Counter[int]] = defaultdict(Counter)
        self.fees: defaultdict[tuple[int, str, int], list[int]] = defaultdict(lambda: [0, 0, 0])
        self.sizes: defaultdict[tuple[int, int], list[float]] = defaultdict(lambda: [0, 0, 0.0, 0.0])
        self.pairs: dict[tuple[int, str, str], list[int]] = {}
        self.causes: dict[tuple[str, str], tuple[int, list[int]]] = {}
        self.slow: defaultdict[int, list[tuple[int, int]]] = defaultdict(list)

    def add(self, rows: Iterable[Row]) -> None:  # noqa: C901 - one loop: a call costs as much as the counting
        """Rows of `COLUMNS`, later ones than before."""
        unit, bucket, stages, steps = self.unit_s, self.bucket_s, self.stages, self.steps
        # fmt: off
        for (
            no, lane, stage, time, sent, final, committed, executed, size, token, amount, juels,
            attempts, manual, callback, sender, receiver, reason, error,
        ) in rows:
        # fmt: on
            self.messages += 1
            steps[time // unit * unit, stage] += 1
            count = stages[lane, stage]
            count[0] += 1
            if manual:
                count[1] += 1
            if attempts > 1:
                count[3] += 1
            if stage in DELIVERED:
                if callback is not None and not callback:
                    count[2] += 1
                self._delivered(no, lane, time // bucket * bucket, sent, committed, executed)
            elif stage == "failed":
                self._failed(no, reason, error)
            if sent is not None:
                if final is not None:
                    self.spans["finality"][lane][max(final - sent, 0)] += 1
                if committed is not None:
                    self.spans["commit"][lane][max(committed - sent, 0)] += 1
                self._size(lane, size, juels)
            if token:
                fees = self.fees[lane, token, time // bucket * bucket]
                fees[0] += 1
                fees[1] += int(amount)
                if juels is not None:
                    fees[2] += int(juels)
            if sender:
                self._pair(lane, sender, receiver, time // BATCH_WINDOW_S)

    def _delivered(  # noqa: PLR0917 - as above
        self, no: int, lane: int, step: int, sent: int | None, committed: int | None, executed: int | None
    ) -> None:
        if executed is None:
            return
        if committed is not None:
            self.spans["execution"][lane][max(executed - committed, 0)] += 1
        if sent is not None:
            total = max(executed - sent, 0)
            self.spans["total"][lane][total] += 1
            self.latency[step][total] += 1
            slow = self.slow[lane]
            if len(slow) < SLOWEST:
                heapq.heappush(slow, (total, no))
            elif total > slow[0][0]:
                heapq.heapreplace(slow, (total, no))

    def _failed(self, no: int, reason: str, error: str) -> None:
        key = (reason, error)
        if key not in self.causes and len(self.causes) >= CAUSES:
            key = (reason, "")
        count, newest = self.causes.get(key, (0, []))
        self.causes[key] = count + 1, [*newest[-NEWEST + 1 :], no]

    def _size(self, lane: int, size: int, juels: str | None) -> None:
        sums = self.sizes[lane, size]
        sums[0] += 1
        if juels is not None:
            fee = int(juels) / JUELS
            sums[1] += 1
            sums[2] += fee
            sums[3] += fee * fee

    def _pair(self, lane: int, sender: str, receiver: str, window: int) -> None:
        pair = self.pairs.get((lane, sender, receiver))
        if pair is None:
            if len(self.pairs) < PAIRS:
                self.pairs[lane, sender, receiver] = [1, 1, window]
            return
        pair[0] += 1
        if pair[2] != window:
            pair[1] += 1
            pair[2] = window
