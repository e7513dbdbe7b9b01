"""The oracle's nouns, all frozen.

    Quote  ->  Answer | Rejected  ->  Decision  ->  Planned  ->  Publication

A *quote* is one venue's price. An *answer* is what the quotes come to, in the feed's own decimals. A *decision* says
whether the answer goes on chain and why. A *publication* is one attempt to publish one round, followed to its end.

Prices are `Decimal` off chain and `int` (units of 10^-decimals) on chain, never floats. Times are seconds since the
epoch. What is made with every tick is a `Struct`: made in a tenth of a dataclass's time, and unknown to the cycle
collector.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from decimal import Decimal
from enum import StrEnum
from typing import Any, Final, TypeAlias

import msgspec

from seamark.core.ids import Address, ChainId, Hash32
from seamark.core.units import Ppb, from_base_units

__all__ = [
    "AggregationPolicy",
    "Answer",
    "ContractKind",
    "Decision",
    "FeedRef",
    "FeedState",
    "Hold",
    "HoldReason",
    "Jump",
    "MedianKind",
    "Method",
    "OutlierFilter",
    "Pair",
    "Parked",
    "Planned",
    "Publication",
    "PublicationState",
    "Quote",
    "QuoteFault",
    "Reason",
    "Rejected",
    "RejectedQuote",
    "RejectedWhy",
    "Role",
    "Sample",
    "SourceFailure",
    "SourceReport",
    "Streak",
    "Trigger",
    "TriggerPolicy",
    "Turn",
    "Vote",
]

DEFAULT_MAX_SPREAD: Final = Ppb(20_000_000)  # 2 %: a wider book is one that nobody trades in
DEFAULT_MAX_DISPERSION: Final = Ppb(20_000_000)  # 2 % from the median for half of the venues: nobody knows the price
DEFAULT_OUTLIER_FLOOR: Final = Ppb(5_000_000)  # 0.5 %: honest venues differ by up to 0.2 % in a fast minute
DEFAULT_FROZEN_MOVE: Final = Ppb(1_000_000)  # 0.1 %: what peers must move to prove that a source stands still
DEFAULT_QUARTILE_FACTOR: Final = Ppb(1_500_000_000)  # 150 % of the middle half's width: Tukey's fences
DEFAULT_MARGIN: Final = Ppb(100_000_000)  # 10 % of the heartbeat for the transaction to be mined


@dataclass(frozen=True, slots=True)
class Pair:
    """What is priced (base), and in what (quote): "ETH/USD". Upper case."""

    base: str
    quote: str

    def __str__(self) -> str:
        return f"{self.base}/{self.quote}"

    @classmethod
    def parse(cls, text: str) -> Pair:
        """Read "ETH/USD" or, as published feeds describe themselves, "ETH / USD".

        Raises:
            ValueError: Anything else.
        """
        parts = [part.strip().upper() for part in text.split("/")]
        if len(parts) != 2 or not all(part.isascii() and part.isalnum() for part in parts):  # noqa: PLR2004 - base, quote
            raise ValueError(f"{text[:40]!r} is not a pair; write base and quote, such as ETH/USD")
        return cls(parts[0], parts[1])


# ---- quotes ---------------------------------------------------------------------------------------------------------


class Quote(msgspec.Struct, frozen=True, gc=False):
    """One venue's price, in units of the quote currency.

    `observed_at` is the venue's own time. A venue that tells none is `untimed`: then it is when we received the reply.
    `weight` counts in a weighted median, as so many venues that say the same. `max_age` in seconds stands in for the
    feed's, for what is told daily.
    """

    source: str
    venue: str
    price: Decimal
    observed_at: float
    received_at: float
    untimed: bool = False
    bid: Decimal | None = None
    ask: Decimal | None = None
    volume: Decimal | None = None
    weight: int = 1
    max_age: float | None = None

    def but(self, **changes: Any) -> Quote:
        """The same with other values."""
        return msgspec.structs.replace(self, **changes)


@dataclass(frozen=True, slots=True)
class Sample:
    """What a source told at one time, kept for the methods that average over a window."""

    at: float
    price: Decimal
    volume: Decimal | None


@dataclass(frozen=True, slots=True)
class SourceFailure:
    """A source gave no quote. `kind` is one of a few words (a metric label), `detail` one line for a person."""

    source: str
    venue: str
    kind: str
    detail: str
    failed_at: float


SourceReport: TypeAlias = Quote | SourceFailure


class QuoteFault(StrEnum):
    """Why a quote is not used."""

    NOT_FINITE = "not_finite"
    NOT_POSITIVE = "not_positive"
    NO_VOLUME = "no_volume"
    CROSSED = "crossed"
    WIDE_SPREAD = "wide_spread"
    TOO_OLD = "too_old"
    FROM_FUTURE = "from_future"
    FROZEN = "frozen"
    SAME_VENUE = "same_venue"
    OUTLIER = "outlier"


@dataclass(frozen=True, slots=True)
class RejectedQuote:
    """A quote that was left out, and why."""

    quote: Quote
    fault: QuoteFault


class Streak(msgspec.Struct, frozen=True, gc=False):
    """Since when a source has told the same price: how many polls, and what its peers told when it began."""

    price: Decimal
    polls: int
    received_at: float
    peers: tuple[tuple[str, Decimal], ...]


# ---- aggregation ----------------------------------------------------------------------------------------------------


class MedianKind(StrEnum):
    """The middle of an even number of prices.

    UPPER takes the upper of the two in the middle, as OCR2 does: the answer is a price that some venue really told.
    MEAN takes the mean of the two, as Flux aggregators do.
    """

    UPPER = "upper"
    MEAN = "mean"


class Method(StrEnum):
    """What the venues' prices come to.

    MEDIAN takes the (weighted) median of the newest prices. TWAP takes it of each venue's time-weighted average over
    the window. VWAP takes the mean of all venues' prices in the window by their volume; a venue that invents volume
    moves it.
    """

    MEDIAN = "median"
    TWAP = "twap"
    VWAP = "vwap"


class OutlierFilter(StrEnum):
    """Which prices are left out: far from the median by the median distance (MAD), or far outside the quartiles
    (IQR).
    """

    MAD = "mad"
    IQR = "iqr"
    NONE = "none"


@dataclass(frozen=True, slots=True)
class AggregationPolicy:
    """How quotes become an answer. Ratios in parts per billion, times in seconds."""

    min_venues: int = 2
    max_age: float = 120.0
    max_future: float = 10.0
    max_spread: Ppb | None = DEFAULT_MAX_SPREAD
    max_dispersion: Ppb | None = DEFAULT_MAX_DISPERSION
    outlier_factor: int = 5
    outlier_floor: Ppb = DEFAULT_OUTLIER_FLOOR
    frozen_polls: int = 20
    frozen_move: Ppb = DEFAULT_FROZEN_MOVE
    median: MedianKind = MedianKind.UPPER
    allow_negative: bool = False
    min_price: Decimal | None = None
    max_price: Decimal | None = None
    method: Method = Method.MEDIAN
    window: float = 300.0
    min_weight: int = 0
    outlier_filter: OutlierFilter = OutlierFilter.MAD
    quartile_factor: Ppb = DEFAULT_QUARTILE_FACTOR


@dataclass(frozen=True, slots=True)
class Answer:
    """What the quotes come to. `value` is in units of 10^-decimals; `spread` is (highest - lowest) / middle."""

    value: int
    decimals: int
    price: Decimal
    observed_at: int
    quotes: tuple[Quote, ...]
    rejected: tuple[RejectedQuote, ...]
    spread: Ppb


class RejectedWhy(StrEnum):
    """Why there is no answer."""

    TOO_FEW_VENUES = "too_few_venues"
    TOO_LITTLE_WEIGHT = "too_little_weight"
    DISPERSED = "dispersed"
    OUT_OF_BOUNDS = "out_of_bounds"
    OUT_OF_RANGE = "out_of_range"
    OUT_OF_FEED_BOUNDS = "out_of_feed_bounds"


@dataclass(frozen=True, slots=True)
class Rejected:
    """There is no answer, and the feed must not be updated."""

    why: RejectedWhy
    detail: str
    rejected: tuple[RejectedQuote, ...]


# ---- the chain's side -----------------------------------------------------------------------------------------------


class Role(StrEnum):
    """Whether a feed is written by a publisher or fed from another chain."""

    SOURCE = "source"
    REMOTE = "remote"


@dataclass(frozen=True, slots=True)
class FeedRef:
    """Which contract on which chain. `chain` is the name of the chain in the settings."""

    name: str
    chain: str
    chain_id: ChainId
    address: Address
    role: Role = Role.SOURCE


class ContractKind(StrEnum):
    """Who writes a feed, and how: one publisher after the other, several oracles with a transaction each, or a network
    that signs reports.
    """

    AGGREGATOR = "aggregator"
    FLUX = "flux"
    OCR2 = "ocr2"


@dataclass(frozen=True, slots=True)
class Turn:
    """Where several oracles answer each round: the round that the contract suggests to ours, and whether it may.

    `started_at`: when another began the round, None if nobody has. `closes_at`: the chain's time from which others may
    start over it, None if it never times out. `why`: why it may not, in words. `unpaid`: that the contract cannot pay
    for the next rounds, in words.
    """

    round: int
    eligible: bool
    started_at: int | None = None
    closes_at: int | None = None
    why: str = ""
    unpaid: str = ""

    @property
    def joins(self) -> bool:
        """To answer is to answer a round that is open."""
        return self.eligible and self.started_at is not None


@dataclass(frozen=True, slots=True)
class Parked:
    """An answer that moved too far and waits for confirmation."""

    round: int
    answer: int
    observed_at: int
    publisher: Address


@dataclass(frozen=True, slots=True)
class FeedState:
    """What a feed's contract said at one block. `round` 0: nothing was published yet.

    `started_at` is the observation time of the latest round, `updated_at` the time of the block that took it (on a
    remote feed: of the block on the source chain).
    """

    round: int
    answer: int
    started_at: int
    updated_at: int
    decimals: int
    description: str
    block_number: int
    block_time: int
    min_answer: int | None = None
    max_answer: int | None = None
    max_step_bps: int = 0
    parked: Parked | None = None
    paused: bool = False
    gas_limit: int | None = None
    """What the contract itself asks for as the gas limit of a submission, where it says."""
    turn: Turn | None = None
    """Where several oracles write; None: whoever may publish may publish the next round."""

    @property
    def next_round(self) -> int:
        """The round that we would publish."""
        return self.round + 1 if self.turn is None else self.turn.round

    def same_feed(self, other: FeedState) -> bool:
        """Whether both say the same of the feed, whatever the block and whose turn it is."""
        return replace(self, block_number=other.block_number, block_time=other.block_time, turn=other.turn) == other

    def asks_for(self, round_id: int) -> bool:
        """Whether the contract would still take this round from us."""
        return self.next_round <= round_id and (self.turn is None or self.turn.eligible)

    @property
    def price(self) -> Decimal | None:
        return from_base_units(self.answer, self.decimals) if self.round else None


# ---- decisions ------------------------------------------------------------------------------------------------------


class Reason(StrEnum):
    """Why a round is published. JOIN: another oracle had started it."""

    FIRST = "first"
    DEVIATION = "deviation"
    HEARTBEAT = "heartbeat"
    CONFIRM = "confirm"
    JOIN = "join"


class HoldReason(StrEnum):
    """Why nothing is published now."""

    CURRENT = "current"
    SAME_OBSERVATION = "same_observation"
    PARKED = "parked"
    FEED_PAUSED = "feed_paused"
    JUMP = "jump"
    NOT_OUR_TURN = "not_our_turn"


@dataclass(frozen=True, slots=True)
class TriggerPolicy:
    """When an answer goes on chain. `heartbeat`, `confirm_after` and `replace_after` in seconds."""

    heartbeat: float
    deviation: Ppb
    heartbeat_margin: Ppb = DEFAULT_MARGIN
    confirm_after: float = 15.0
    replace_after: float = 30.0
    """Until a submission that is not mined may be replaced by a newer answer; 0: never."""
    max_step: Ppb | None = None
    """An answer farther than this from the one on chain is held until it is confirmed; None: never."""
    confirm_within: float = 600.0
    """Until a jump that was not confirmed is forgotten, and waits anew."""
    agreeing_venues: int | None = None
    """So many venues whose own prices jumped confirm it at once; None: only time does."""
    absolute_deviation: Decimal | None = None
    """A price must also differ by more than this, in units of the quote currency; None: the ratio alone decides."""


@dataclass(frozen=True, slots=True)
class Jump:
    """An answer beyond `max_step` that waits for confirmation. `base`: the answer on chain that it is measured from."""

    base: int
    value: int
    observed_at: int
    since: float


@dataclass(frozen=True, slots=True)
class Trigger:
    """Publish now."""

    reason: Reason


@dataclass(frozen=True, slots=True)
class Hold:
    """Publish nothing."""

    reason: HoldReason


Decision: TypeAlias = Trigger | Hold


# ---- publications ---------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Planned:
    """A decision that will become a transaction. `key` is the natural key of one attempt at one round."""

    key: str
    feed: FeedRef
    round: int
    attempt: int
    answer: Answer
    reason: Reason
    planned_at: float


class PublicationState(StrEnum):
    """Where one attempt is.

    `mined` may still be orphaned by a reorg, `final` may not. The others are ends without a round: the answer was
    parked, the transaction reverted, another one took its nonce, or another attempt of ours at the same round did. A
    reorg may undo these too, until they are closed.
    """

    BROADCAST = "broadcast"
    MINED = "mined"
    FINAL = "final"
    PARKED = "parked"
    REVERTED = "reverted"
    REPLACED = "replaced"
    SUPERSEDED = "superseded"


@dataclass(frozen=True, slots=True)
class Vote:
    """What one source had told when an answer was made, and what became of it. `age` in seconds; no fault: it was
    used.
    """

    source: str
    venue: str
    price: Decimal
    age: float
    weight: int = 1
    fault: QuoteFault | None = None


@dataclass(frozen=True, slots=True)
class Publication:
    """One attempt to publish one round, as stored. `answer` is None where only the journal knew of the attempt.

    `closed`: no reorg can change how it ended.
    """

    key: str
    feed: FeedRef
    round: int
    attempt: int
    state: PublicationState
    reason: Reason
    planned_at: float
    answer: int | None = None
    decimals: int = 0
    observed_at: int | None = None
    quotes: tuple[tuple[str, str], ...] = ()
    transaction: Hash32 | None = None
    block_number: int | None = None
    block_time: int | None = None
    fee: int | None = None
    mined_at: float | None = None
    closed: bool = False
    id: int = 0
    votes: tuple[Vote, ...] = ()
    """Every source's, used or not; empty where only `quotes` were kept."""
