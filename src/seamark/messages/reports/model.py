"""What a report says, before anybody decides how it looks. JSON-ready values, all frozen.

The figures come from SQL aggregates: latencies are whole seconds by the chains' own blocks, so a count per second and
lane is the exact distribution, however many messages there are. Times are seconds since the epoch, amounts are text in
base units (they exceed 2**53), ratios are floats between 0 and 1, None means: nothing to compute it from.
"""

from __future__ import annotations

from typing import Final

import msgspec

__all__ = [
    "SPANS",
    "AccessChange",
    "Bucket",
    "ChainEnd",
    "Comparison",
    "Contract",
    "Cost",
    "ErrorKind",
    "Formats",
    "LaneReport",
    "Latency",
    "Outlier",
    "Party",
    "Period",
    "Replays",
    "Report",
    "Right",
    "SizeAnomaly",
    "Suggestion",
    "Totals",
]

SPANS: Final = ("finality", "commit", "execution", "total")
"""Sent to final, sent to committed, committed to executed, sent to executed."""


class ChainEnd(msgspec.Struct, frozen=True):
    """An end of a lane: the protocol's number for the chain, its name in lists, its chain id where that is known."""

    number: str
    name: str
    chain_id: int | None


class Period(msgspec.Struct, frozen=True):
    """From `start` up to, not including, `end`. Charts have one point per `bucket_s` seconds."""

    name: str
    start: int
    end: int
    bucket_s: int

    @property
    def length(self) -> int:
        return self.end - self.start

    @property
    def before(self) -> Period:
        """The period of the same length just before."""
        return Period(self.name, self.start - self.length, self.start, self.bucket_s)


class Latency(msgspec.Struct, frozen=True):
    """A distribution of seconds; the percentiles are exact (nearest rank)."""

    count: int
    average: float
    p50: int
    p95: int
    p99: int
    longest: int


class Totals(msgspec.Struct, frozen=True, kw_only=True):
    """What became of the messages sent in the period.

    `matured` are those old enough, for their lane, that their end must be known; `success_rate` is over them alone, so
    that messages still on their way neither flatter nor harm it. A retracted send is none of either.
    """

    sent: int = 0
    delivered: int = 0
    failed: int = 0
    open: int = 0
    retracted: int = 0
    matured: int = 0
    succeeded: int = 0
    by_hand: int = 0
    no_callback: int = 0
    retried: int = 0

    @property
    def success_rate(self) -> float | None:
        return self.succeeded / self.matured if self.matured else None


class LaneReport(msgspec.Struct, frozen=True, kw_only=True):
    """One lane. `latencies` has an entry for each of `SPANS` that has any message."""

    protocol: str
    version: str
    source: str
    destination: str
    channel: str
    destination_watched: bool
    totals: Totals
    success_rate: float | None
    latencies: dict[str, Latency]
    matures_after: int


class Bucket(msgspec.Struct, frozen=True, kw_only=True):
    """The messages sent within one step of a chart, by where they are now, and how long they took in all."""

    start: int
    sent: int = 0
    delivered: int = 0
    failed: int = 0
    open: int = 0
    p50: int | None = None
    p95: int | None = None
    fees_juels: str = "0"


class Outlier(msgspec.Struct, frozen=True, kw_only=True):
    """A message that took, or is taking, far longer than its lane's others. `bound`: what would still be usual."""

    id: str
    source: str
    destination: str
    sequence: int
    stage: str
    seconds: int
    bound: int
    sent_time: int


class Cost(msgspec.Struct, frozen=True, kw_only=True):
    """Fees in one token on one chain. `symbol` and `decimals` are None where nobody has told them.

    `change`: of the average fee against the period before. Components (`part` other than "") are parts of the total,
    told by protocols that charge them apart; they are not counted again.
    """

    chain: str
    token: str
    symbol: str | None
    decimals: int | None
    messages: int
    total: str
    average: str
    juels: str
    average_juels: str
    change: float | None
    part: str = ""


class ErrorKind(msgspec.Struct, frozen=True, kw_only=True):
    """Failed deliveries of one class and one cause, newest example first."""

    reason: str
    cause: str
    messages: int
    examples: tuple[str, ...]


class Party(msgspec.Struct, frozen=True):
    """An account that sent or received; `new`: never seen before the period (None: too many to look all up)."""

    account: str
    messages: int
    new: bool | None


class AccessChange(msgspec.Struct, frozen=True, kw_only=True):
    """A change of configuration, roles or pauses, as a watched contract told it."""

    time: int
    chain_id: int
    contract: str
    kind: str
    subject: str
    details: dict[str, object]
    tx: str


class Right(msgspec.Struct, frozen=True, kw_only=True):
    """Who may do something with one of our contracts at the end of the period: the holder of a role, a sender that is
    let in, a receiver that is sent to. `since` is when that was told.
    """

    chain_id: int
    contract: str
    right: str
    account: str
    since: int


class Contract(msgspec.Struct, frozen=True):
    """A contract whose events this report rests on."""

    chain_id: int
    address: str
    role: str
    version: str


class SizeAnomaly(msgspec.Struct, frozen=True, kw_only=True):
    """Messages of a lane whose payload is far from that lane's usual size (bytes)."""

    source: str
    destination: str
    size: int
    usual: int
    messages: int
    examples: tuple[str, ...]


class Formats(msgspec.Struct, frozen=True, kw_only=True):
    """What does not look as expected. `malformed_ever` counts since the database was begun, by protocol."""

    sizes: tuple[SizeAnomaly, ...]
    sizes_more: int
    conflicting: tuple[str, ...]
    unsupported: tuple[Contract, ...]
    malformed_ever: int


class Replays(msgspec.Struct, frozen=True, kw_only=True):
    """Whether anything was delivered twice.

    `twice` are messages with more than one successful execution: none, if every contract keeps its word. `updates` are
    price rounds that several delivered messages carried to the same receiver. `same_payload` counts groups of messages
    with the same sender, receiver and payload, `largest` the size of the largest group: legal, and worth a look.
    """

    checked: int
    attempts: int
    twice: tuple[str, ...]
    updates: tuple[tuple[str, ...], ...]
    same_payload: int
    largest: int
    payloads_known: int


class Suggestion(msgspec.Struct, frozen=True):
    """A way to pay less that the period's own figures speak for."""

    title: str
    text: str


class Comparison(msgspec.Struct, frozen=True, kw_only=True):
    """The period before, in short."""

    sent: int
    success_rate: float | None
    average: float | None
    p50: int | None
    p95: int | None
    p99: int | None
    fees_juels: str


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """All of it."""

    made: int
    period: Period
    lanes_chosen: str
    totals: Totals
    success_rate: float | None
    latencies: dict[str, Latency]
    fees_juels: str
    before: Comparison | None
    lanes: tuple[LaneReport, ...]
    buckets: tuple[Bucket, ...]
    hours: tuple[int, ...]
    peak_hour: tuple[int, int] | None
    peak_day: tuple[int, int] | None
    outliers: tuple[Outlier, ...]
    outliers_more: int
    costs: tuple[Cost, ...]
    errors: tuple[ErrorKind, ...]
    access: tuple[AccessChange, ...]
    access_more: int
    contracts: tuple[Contract, ...]
    senders: tuple[Party, ...]
    receivers: tuple[Party, ...]
    senders_in_all: int
    receivers_in_all: int
    formats: Formats
    replays: Replays
    suggestions: tuple[Suggestion, ...]
    data_from: int | None
    rights: tuple[Right, ...] = ()
