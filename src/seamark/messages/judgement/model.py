"""What is normal on a lane, and what is true of it now: the values that judging is a function of.

All limits are cumulative: seconds since the *send* until a message must have got so far. So whether a message is late
follows from its stage and the time of its send alone, and "which are late" is a range of one index. A limit knows who
set it, and the stronger word wins: settings over what was learned over a default that follows from finality.

Times are seconds since the epoch. "As of" is how far a chain has been read: what has not been read yet is not late.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import IntEnum

import msgspec

from seamark.messages.model import LaneKey
from seamark.messages.protocol import LaneNames

__all__ = [
    "MANUAL_TOLD_S",
    "BlockedSender",
    "ChainNow",
    "Curse",
    "Few",
    "JudgedLane",
    "LaneNow",
    "LaneProfile",
    "Learned",
    "Limit",
    "LogGap",
    "Now",
    "Odd",
    "Origin",
    "Percentiles",
    "Rates",
    "SequenceCheck",
    "Waiting",
]


MANUAL_TOLD_S = 300
"""A recovery by hand is news for five minutes: it is over when it is told."""


class Origin(IntEnum):
    """Who set a limit; the greater one wins."""

    DEFAULT = 0
    LEARNED = 1
    SETTINGS = 2


class Limit(msgspec.Struct, frozen=True):
    """Seconds since the send after which a message is late, and after which that is urgent."""

    warn: int
    critical: int
    origin: Origin = Origin.DEFAULT


class Percentiles(msgspec.Struct, frozen=True):
    """Seconds, over `count` messages."""

    p50: int
    p95: int
    p99: int
    count: int


class Learned(msgspec.Struct, frozen=True, kw_only=True):
    """What the stored messages of a lane say about it. Spans are since the send; None where too few are known.

    `gap_p99`: between one send and the next. `skewed`: spans across two chains that came out negative.
    """

    messages: int = 0
    finality: Percentiles | None = None
    commit: Percentiles | None = None
    total: Percentiles | None = None
    gap_p99: int | None = None
    skewed: int = 0


class LaneProfile(msgspec.Struct, frozen=True, kw_only=True):
    """What is normal on a lane, and from when on something is not.

    `final`, `committed` and `executed` are limits since the send. `latency_s`: a 95th percentile above it is slow.
    `manual_after_s`: seconds after its commit a message may be executed by hand, where the contract tells.
    `commits`: false where messages are executed without a commit before; `verifiers`: they speak off chain instead.
    `silence_s`: without a send for so long a busy lane is silent; None: it is not busy enough to tell.
    """

    lane: LaneKey
    final: Limit
    committed: Limit
    executed: Limit
    latency_s: int
    instant: bool = False
    manual_after_s: int | None = None
    commits: bool = True
    verifiers: bool = False
    silence_s: int | None = None
    learned: Learned = Learned()
    at: int = 0  # when it was learned


class SequenceCheck(msgspec.Struct, frozen=True):
    """Sequence numbers of final sends that were looked through: all of first..upto are there but those in `gaps`."""

    first: int
    upto: int
    gaps: tuple[tuple[int, int], ...] = ()

    @property
    def missing(self) -> int:
        return sum(last - first + 1 for first, last in self.gaps)


# ---- what is true now -----------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class JudgedLane:
    """A stored lane."""

    id: int
    key: LaneKey
    version: str
    names: LaneNames

    @property
    def title(self) -> str:
        return f"{self.names.source} → {self.names.destination}"

    @property
    def labels(self) -> dict[str, str]:
        """As every metric about a lane has them."""
        names = self.names
        return {
            "source": names.source,
            "dest": names.destination,
            "version": self.version,
            "onramp": self.key.channel,
        }


@dataclass(frozen=True, slots=True)
class Waiting:
    """Messages of one lane in one stage. `oldest` and `newest` are times of sends; `exact`: `late` is not just a lower
    bound.
    """

    count: int
    oldest: int
    newest: int
    late: int = 0
    exact: bool = True
    by_hand: int = 0  # not among them: others in this stage, which nobody executes by himself


@dataclass(frozen=True, slots=True)
class Few:
    """Some messages of a kind: how many (at least, if not `exact`), the first one's time and id."""

    count: int = 0
    since: int = 0
    example: str = ""
    exact: bool = True


@dataclass(frozen=True, slots=True)
class Odd:
    """Rare things, looked for in an index of their own."""

    uncalled: Few = Few()  # delivered, with data, and the receiver's code did not run
    reorged: Few = Few()  # delivered, and the send has left its chain
    manual: Few = Few()  # recovered by hand, moments ago
    conflicting: Few = Few()  # the destination told of another lane or number


@dataclass(frozen=True, slots=True)
class Rates:
    """How the newest matured messages of a lane fared. `failed`: an attempt failed, whatever came of it later."""

    matured: int
    delivered: int
    failed: int
    since: int
    total: Percentiles | None = None

    @property
    def success(self) -> float:
        return self.delivered / self.matured if self.matured else 1.0

    @property
    def error(self) -> float:
        return self.failed / self.matured if self.matured else 0.0


@dataclass(frozen=True, slots=True)
class BlockedSender:
    """An ordered sender whose messages wait for an earlier one: `head`, with its nonce, stage and time."""

    sender: str
    head: str
    nonce: int
    stage: str
    waiting: int
    since: int


@dataclass(frozen=True, slots=True)
class LaneNow:
    """Everything that judging one lane needs.

    `source_at` and `destination_at`: up to when each chain has been read. `ripe`: committed so long ago that anybody
    may execute them; `failed_first`: the id of the oldest that failed. `last_commit` and `last_delivery`: times of the
    newest commit and of the newest send that was delivered.
    """

    lane: JudgedLane
    profile: LaneProfile
    source_at: int
    destination_at: int
    waiting: Mapping[str, Waiting] = field(default_factory=dict)
    failed: Mapping[str, int] = field(default_factory=dict)
    ripe: Few = Few()
    failed_first: str = ""
    last_sent: int | None = None
    last_commit: int | None = None
    last_delivery: int | None = None
    rates: Rates | None = None
    odd: Odd = Odd()
    sequences: SequenceCheck | None = None
    blocked: tuple[BlockedSender, ...] = ()


@dataclass(frozen=True, slots=True)
class ChainNow:
    """How the reading of one chain goes. `good_at`: the last time that all of it was known."""

    chain_id: int
    name: str
    head: int
    scanned: int
    scanned_time: int
    good_at: int
    error: str = ""


@dataclass(frozen=True, slots=True)
class Curse:
    """A chain's risk management refuses messages. `subject` is the protocol's number of the other chain, or "*"."""

    chain_id: int
    chain: str
    subject: str
    subject_name: str
    since: int

    def stops(self, key: LaneKey, names: LaneNames) -> bool:
        """Whether it holds up a lane: on either end, against everything or against the other end."""
        ends = {names.source_chain: key.destination, names.destination_chain: key.source}
        other = next((other for chain, other in ends.items() if chain == self.chain_id), None)
        return other is not None and self.subject in ("*", other)


@dataclass(frozen=True, slots=True)
class LogGap:
    """A contract has counted further than the ledger, and reading the blocks again brought nothing to light.

    `kind` is "sent" or "committed"; `first`..`last` are the numbers that lack, to be found in from_block..to_block.
    """

    lane: LaneKey
    chain_id: int
    chain: str
    kind: str
    first: int
    last: int
    from_block: int
    to_block: int
    since: int
    tries: int = 1


@dataclass(frozen=True, slots=True)
class Now:
    """Everything that one look at a protocol found, as of `at`. `malformed`: logs in the last hour."""

    protocol: str
    at: int
    lanes: tuple[LaneNow, ...] = ()
    chains: tuple[ChainNow, ...] = ()
    curses: tuple[Curse, ...] = ()
    gaps: tuple[LogGap, ...] = ()
    malformed: int = 0
