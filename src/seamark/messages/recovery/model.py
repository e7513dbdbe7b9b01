"""The nouns of recovery.

A `Case` is one message as the ledger knows it, a `Standing` how the destination's contracts see it at one block. They
may differ: the ledger is behind, or the monitor saw only one end. The contracts are right.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import IntEnum, StrEnum

from seamark.core.ids import Address, ChainId, Hash32
from seamark.messages.model import Contract, LaneKey, Sent, Stage

__all__ = [
    "Answer",
    "Case",
    "CommittedRoot",
    "ExecutionState",
    "Gas",
    "Head",
    "ManualCall",
    "Place",
    "Standing",
    "Told",
    "Trial",
    "Verdict",
]


class ExecutionState(IntEnum):
    """`Internal.MessageExecutionState` of CCIP, all generations."""

    UNTOUCHED = 0
    IN_PROGRESS = 1
    SUCCESS = 2
    FAILURE = 3


@dataclass(frozen=True, slots=True)
class Place:
    """A log's transaction: where to read it again."""

    block_number: int
    transaction: Hash32


@dataclass(frozen=True, slots=True)
class Told:
    """What the ledger has kept of a send."""

    id: Hash32
    sequence: int
    sent: Sent


@dataclass(frozen=True, slots=True)
class CommittedRoot:
    """A live commit of the sequence numbers first..last. `root` is "" where the protocol's event names none."""

    first: int
    last: int
    root: str
    time: int
    transaction: Hash32


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One message to be executed by hand, as the ledger knows it.

    `source_chain` and `destination_chain` are None for chains that nobody has named. `contracts` are all that are known
    on the destination. `siblings` are the sends of the same root that the ledger knows, by sequence number (the
    message's own among them); `told` is what it has kept of them, loaded only where the source has lost its logs.
    `reason` and `error` are of the last failure, `nonce` is None for an unordered message.
    """

    id: Hash32
    lane: LaneKey
    version: str
    sequence: int
    stage: Stage
    source_name: str
    destination_name: str
    source_chain: ChainId | None
    destination_chain: ChainId | None
    sender: str = ""
    receiver: str = ""
    nonce: int | None = None
    sent: Place | None = None
    finalized: bool = False
    retracted: bool = False
    root: CommittedRoot | None = None
    executed_transaction: str = ""
    reason: str = ""
    error: str = ""
    attempts: int = 0
    contracts: tuple[Contract, ...] = ()
    siblings: dict[int, Place] = field(default_factory=dict)
    told: dict[int, Told] = field(default_factory=dict)

    @property
    def place(self) -> str:
        """For people: the lane and the number in it."""
        return f"{self.source_name} → {self.destination_name} #{self.sequence}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """What the destination says of a message, as of its newest block at `now` (seconds).

    `committed_at` is None where it is not committed; `needs_commit` is false in protocols without one. By hand it may
    be executed after a failure, or `open_after_s` seconds after the commit. `cursed` names what is cursed, in words.
    `obstacle` is anything else that stands in the way, in words, with its `obstacle_remedy`. An ordered message
    (`nonce` above 0) that nobody has tried yet is taken only when `next_nonce` is its own.
    """

    state: ExecutionState
    now: int
    off_ramp: Address
    version: str
    committed_at: int | None = None
    needs_commit: bool = True
    open_after_s: int = 0
    cursed: str = ""
    obstacle: str = ""
    obstacle_remedy: str = ""
    nonce: int = 0
    next_nonce: int | None = None

    @property
    def opens_at(self) -> int | None:
        """The last second at which execution by hand is still refused to an untouched message."""
        return None if self.committed_at is None else self.committed_at + self.open_after_s


class Answer(StrEnum):
    """May it be executed by hand now?"""

    READY = "ready"
    DONE = "done"
    RETRACTED = "retracted"
    NOT_COMMITTED = "not_committed"
    TOO_EARLY = "too_early"
    CURSED = "cursed"
    NONCE_BLOCKED = "nonce_blocked"
    REFUSED = "refused"  # by the contracts, for another reason


@dataclass(frozen=True, slots=True)
class Head:
    """The message that holds up its sender's later ones."""

    id: Hash32
    sequence: int
    nonce: int
    stage: Stage


@dataclass(frozen=True, slots=True)
class Verdict:
    """The answer in words: `text` is a whole sentence, `remedy` what to do next ("" where nothing is to be done)."""

    answer: Answer
    text: str
    remedy: str = ""

    @property
    def allowed(self) -> bool:
        return self.answer is Answer.READY


@dataclass(frozen=True, slots=True)
class Gas:
    """Gas that is to replace what the sender chose; None leaves that as it is. `tokens` is for each token's pool."""

    receiver: int | None = None
    tokens: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    """What executing a message would do now, tried on the destination's own contracts without sending anything.

    `succeeds` is None where it could not be tried. `gas_limit` is what the receiver was given, `sent_gas_limit` what
    the sender had chosen. `helpful_gas_limit` is one with which a message that ran out of gas would succeed.
    `callback`: whether the receiver's code would be run at all (None: not known, or there is nothing to run).
    """

    succeeds: bool | None
    gas_limit: int
    sent_gas_limit: int
    reason: str = ""
    text: str = ""
    helpful_gas_limit: int | None = None
    callback: bool | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ManualCall:
    """One transaction that executes messages by hand; anybody may send it.

    `least_gas` is what it must be given whatever an estimate says: an OffRamp catches what the receiver does, so a node
    finds that a transaction which records a failure "succeeds" with less. `estimate_as` is the sender for whom the
    OffRamp does not do that. `roots` are the merkle roots that the proofs lead to. `measured` is what all of it
    needs, where the protocol can tell better than a node's estimate.
    """

    chain_id: ChainId
    to: Address
    data: bytes
    messages: tuple[Hash32, ...]
    least_gas: int
    estimate_as: Address
    roots: tuple[str, ...] = ()
    measured: int | None = None
