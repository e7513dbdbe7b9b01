"""The nouns of message tracking, the same for every protocol.

A `Sighting` is one fact seen in one log. It says nothing about the state of a message by itself: the state is a fold
over all sightings that are still part of the canonical chains (`rules.fold`). A message is named by its protocol's
own id; a *lane* is one way from chain to chain through one source contract (`channel`); a sequence number counts
within a lane and may be used again after a reorg, so it never names a message.

Chains are named twice: by EIP-155 id where a log was read (`ChainId`), and by the protocol's own number for the ends
of a lane (a CCIP selector, a Hyperlane domain), which is text because it may exceed 2**53.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final, NamedTuple, TypeAlias

import msgspec

from seamark.core.ids import Address, ChainId, Hash32

__all__ = [
    "MAX_COMMITTED_AT_ONCE",
    "MAX_SEQUENCE",
    "STAGES",
    "UNTOLD",
    "Body",
    "Committed",
    "ConfigChange",
    "Contract",
    "Counted",
    "Decoded",
    "Evidence",
    "Executed",
    "Fact",
    "Increment",
    "LaneKey",
    "Malformed",
    "MessageState",
    "Notice",
    "NoticeKind",
    "Revoked",
    "Sent",
    "Sighting",
    "Stage",
    "Step",
    "Transition",
    "Verified",
]

UNTOLD: Final = -1
"""The sequence number of a delivery that does not tell it: the id alone joins it to its send, whose number counts."""

MAX_SEQUENCE = 2**63 - 1
"""The largest integer that both databases hold; a real counter never gets there, a forged one is refused by
decoders."""


MAX_COMMITTED_AT_ONCE = 65_536
"""Sequence numbers in one commit. Real roots hold at most a few hundred messages (256 proof hashes in CCIP); a forged
range over everything would make one log touch every message of a lane."""


class Stage(StrEnum):
    """Where a message is, in the order of a calm life; RETRACTED and FAILED are left again when things change."""

    SENT = "sent"
    FINALIZED = "finalized"
    COMMITTED = "committed"  # or verified: where nothing is committed on chain, what its verifiers said is known
    FAILED = "failed"
    EXECUTED = "executed"
    RECOVERED = "recovered"  # executed by hand, or after an attempt that failed
    RETRACTED = "retracted"

    __hash__ = str.__hash__  # Enum's own is Python code; stages and steps are looked up for every log


class Step(StrEnum):
    """What can happen to a message, as told by transitions and events ("message.<step>").

    REORGED: a fact at the destination left the chain; REVOKED: its commit was taken back. The message fell back to the
    stage before. A success that is a recovery is told as RECOVERED alone. VERIFIED leads to the stage COMMITTED too.
    """

    SENT = "sent"
    FINALIZED = "finalized"
    COMMITTED = "committed"
    VERIFIED = "verified"
    FAILED = "failed"
    EXECUTED = "executed"
    RECOVERED = "recovered"
    RETRACTED = "retracted"
    REORGED = "reorged"
    REVOKED = "revoked"

    __hash__ = str.__hash__


class Fact:
    """What is true of a message now: a mask with one bit each. The stage follows from them.

    Plain integers, because masks are made and compared for every log and `enum.IntFlag` costs half a microsecond each
    time.
    """

    NONE: Final = 0
    SENT: Final = 1
    FINALIZED: Final = 2
    COMMITTED: Final = 4  # by a log at the destination, or by what its verifiers said off chain
    FAILED: Final = 8  # an attempt failed; stays beside EXECUTED when a later one succeeded
    EXECUTED: Final = 16
    RETRACTED: Final = 32  # it was sent, and that block is no longer part of the chain
    RECOVERED: Final = 64  # the success came by hand or after a failure; always beside EXECUTED
    ALL: Final = 127


# A stage is decided by the first of these facts that is true; nothing known at all means that all of it was retracted.
_DECISIVE: tuple[tuple[int, Stage], ...] = (
    (Fact.RECOVERED, Stage.RECOVERED),
    (Fact.EXECUTED, Stage.EXECUTED),
    (Fact.FAILED, Stage.FAILED),
    (Fact.RETRACTED, Stage.RETRACTED),
    (Fact.COMMITTED, Stage.COMMITTED),
    (Fact.FINALIZED, Stage.FINALIZED),
    (Fact.SENT, Stage.SENT),
)
STAGES: tuple[Stage, ...] = tuple(
    next((stage for fact, stage in _DECISIVE if mask & fact), Stage.RETRACTED) for mask in range(Fact.ALL + 1)
)
"""The stage for every combination of facts."""


class Counted:
    """Which counters a message has been added to, a mask: each at most once, whatever is replayed or reorged."""

    NONE: Final = 0
    SENT: Final = 1
    SUCCESS: Final = 2
    FAILURE: Final = 4
    FINALITY_TIME: Final = 8
    COMMIT_TIME: Final = 16
    EXECUTION_TIME: Final = 32
    TOTAL_TIME: Final = 64
    RECOVERED: Final = 128


class LaneKey(NamedTuple):
    """One way for messages.

    `source` and `destination` are the protocol's own chain numbers as text, `channel` the source contract ("" while
    only the destination has been seen and did not name it).
    """

    protocol: str
    source: str
    channel: str
    destination: str


class Evidence(msgspec.Struct, frozen=True, gc=False):
    """The log that shows a fact. `time` is its block's own timestamp in seconds."""

    chain_id: ChainId
    block_number: int
    block_hash: Hash32
    transaction: Hash32
    log_index: int
    time: int


class Sent(msgspec.Struct, frozen=True, gc=False, omit_defaults=True, tag="sent"):
    """What a send says. Amounts are base units of the fee token; `fee_juels` is the fee in LINK's base units, where the
    protocol tells it. `details` is JSON-ready, for people and reports.
    """

    sender: str = ""
    receiver: str = ""
    fee_token: str = ""
    fee_amount: str = "0"
    fee_juels: str | None = None
    size: int = 0  # bytes of payload
    details: dict[str, Any] = {}
    nonce: int | None = None  # the sender's own count on the lane; None: may be delivered in any order
    by_hand: bool = False  # the sender wants nobody to execute it by himself: it waits for a hand, and is never late


class Committed(msgspec.Struct, frozen=True, gc=False, omit_defaults=True, tag="committed"):
    """A commit of the sighting's sequence number up to and including `last`. `details["root"]` is what a `Revoked` can
    take back.
    """

    last: int
    details: dict[str, Any] = {}


class Verified(NamedTuple):
    """All verifiers that a message needs have said yes, off chain; `time` is that of the last one (seconds, by its own
    clock). No block holds this, so no reorg takes it back. `details` is JSON-ready.
    """

    message_id: str
    time: int
    details: dict[str, Any]


class Executed(msgspec.Struct, frozen=True, gc=False, omit_defaults=True, tag="executed"):
    """One attempt to deliver. A failure has a `reason` (a class, of a bounded set) and an `error` in words."""

    succeeded: bool
    reason: str = ""
    error: str = ""
    callback: bool | None = None  # did the receiver's code run; None where this cannot be known
    manual: bool | None = None  # by hand instead of by the protocol's own network
    details: dict[str, Any] = {}


class Revoked(msgspec.Struct, frozen=True, gc=False, omit_defaults=True, tag="revoked"):
    """A commit was taken back: the messages of the root `root` are not committed any more, until the same root is
    committed again. The sighting's lane names the destination only (source and channel "" where the event does not
    tell), its sequence is 0, its message id "".
    """

    root: str
    details: dict[str, Any] = {}


Body: TypeAlias = Sent | Committed | Executed | Revoked


class Sighting(msgspec.Struct, frozen=True, gc=False):
    """One fact in one log; `part` tells apart several facts in the same log.

    Identity: (chain, block hash, log index, part). `message_id` is "" for commits, which speak of a range of sequence
    numbers; otherwise `sequence` is the message's own.
    """

    lane: LaneKey
    version: str
    evidence: Evidence
    sequence: int
    body: Body
    message_id: str = ""
    part: int = 0

    @property
    def identity(self) -> tuple[int, str, int, int]:
        at = self.evidence
        return at.chain_id, at.block_hash, at.log_index, self.part


class NoticeKind(StrEnum):
    """What a protocol's contracts tell beside the messages themselves."""

    CURSED = "cursed"  # subject: what is cursed ("*" for everything, else the protocol's chain number)
    UNCURSED = "uncursed"
    NONCE_SKIPPED = "nonce_skipped"  # an ordered message waits for an earlier one; details: sender, nonce, source
    EXECUTION_SKIPPED = "execution_skipped"  # the network refused to execute now (a cursed lane)
    ALREADY_ATTEMPTED = "already_attempted"  # the network tried a failed message again
    PAUSED = "paused"
    UNPAUSED = "unpaused"
    CONFIGURED = "configured"  # any change of configuration; details: event and values
    ROLE_CHANGED = "role_changed"  # owners, allow lists, signers, roles; details: event and values
    SEND_FAILED = "send_failed"  # an application could not send; details: reason and text
    GAS_PAID = "gas_paid"  # subject: the message id
    PRICED = "priced"  # fee data was updated


class Notice(msgspec.Struct, frozen=True, kw_only=True):
    """One such fact in one log; withdrawn with its block like a sighting. `subject` is what it is about within its kind
    (a chain number, a sender, "" for the contract itself); `details` is JSON-ready.
    """

    kind: NoticeKind
    evidence: Evidence
    contract: Address
    subject: str = ""
    details: dict[str, Any] = {}
    part: int = 0


class Contract(msgspec.Struct, frozen=True, kw_only=True):
    """A contract that a protocol watches on one chain.

    `role`, `version` and `details` are the protocol's own words; details are what it must know to read the logs.
    """

    chain_id: ChainId
    address: Address
    role: str
    version: str = ""
    details: dict[str, str] = {}


class ConfigChange(msgspec.Struct, frozen=True, kw_only=True):
    """The protocol's contracts changed at a block: `addresses` are those to look at again."""

    chain_id: ChainId
    block_number: int
    event: str
    addresses: tuple[Address, ...] = ()


class Malformed(msgspec.Struct, frozen=True, kw_only=True):
    """A log of a watched contract and topic that is not what its signature says: reported, never dropped in silence."""

    transaction: Hash32
    log_index: int
    address: Address
    problem: str


@dataclass(frozen=True, slots=True)
class Decoded:
    """All that a protocol finds in the logs of one block."""

    sightings: tuple[Sighting, ...] = ()
    changes: tuple[ConfigChange, ...] = ()
    malformed: tuple[Malformed, ...] = ()
    notices: tuple[Notice, ...] = ()


class MessageState(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """What the live sightings of one message add up to. Evidence is None where a fact has not been seen.

    `told` is what the send says (also one that was retracted). `executed` is the first success with its `success`,
    `failed` the last failure with its `failure`; `first_reason` is the class of the first failure. `revoked`: what took
    its commit back, while no other holds. `verified_time`: when its verifiers were done, where there are no commits.
    `conflicting`: the destination told of another lane or sequence number for this id; such facts are ignored.
    """

    message_id: str
    lane: LaneKey
    version: str
    sequence: int
    facts: int
    sent: Evidence | None = None
    finalized_time: int | None = None
    verified_time: int | None = None
    committed: Evidence | None = None
    revoked: Evidence | None = None
    executed: Evidence | None = None
    failed: Evidence | None = None
    told: Sent | None = None
    success: Executed | None = None
    failure: Executed | None = None
    first_reason: str = ""
    attempts: int = 0
    conflicting: bool = False

    @property
    def stage(self) -> Stage:
        return STAGES[self.facts]


class Transition(msgspec.Struct, frozen=True, gc=False):
    """One step of one message. `evidence` is what showed it: for RETRACTED and REORGED the orphaned block's log, for
    REVOKED the log that took the commit back.
    """

    step: Step
    before: Stage | None
    after: Stage
    evidence: Evidence | None
    time: int | None


class Increment(msgspec.Struct, frozen=True, gc=False):
    """One addition to a counter or histogram of a lane; `label` is the state, stage or reason."""

    metric: str
    label: str
    amount: int
