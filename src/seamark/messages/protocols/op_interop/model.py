"""The nouns of executing messages.

An *executing message* is a log of the inbox on one chain that names a log of another (or the same) chain by an
`Identifier`; the protocol is sound while every one of them is true. Each is a *job*: it has a verdict, which may
change until both blocks are final, and a history. A job is named by the executing log: chain, block hash, log index;
so the same log in another block is another job.
"""

from __future__ import annotations

from enum import IntEnum, StrEnum
from typing import Final

import msgspec

from seamark.core.ids import Address, BlockRef, ChainId, Hash32

__all__ = [
    "BAD",
    "PROTOCOL",
    "TERMINAL",
    "BadLog",
    "ExecutingMessage",
    "Found",
    "Identifier",
    "InitiatingLog",
    "Level",
    "Rule",
    "Seen",
    "Status",
    "Verdict",
]

PROTOCOL: Final = "interop"


class Status(StrEnum):
    """What is thought of a job now."""

    UNKNOWN = "unknown"  # not decided yet
    VALID = "valid"
    INVALID = "invalid"
    TIMESTAMP_MISMATCH = "timestamp_mismatch"  # the log exists; its block has another time than the identifier says
    EXPIRED = "expired"  # true, but executed after the window


TERMINAL: Final = frozenset(Status) - {Status.UNKNOWN}
BAD: Final = TERMINAL - {Status.VALID}


class Rule(StrEnum):
    """Why a job is not valid, or not decided: the broken rule of the protocol."""

    NONE = ""
    UNKNOWN_CHAIN = "unknown_chain"  # not in the dependency set
    FUTURE = "future"  # it names a log younger than its own block
    NOT_ACTIVE = "not_active"  # before interop began, or in the very block in which it began
    NO_LOG = "no_log"
    WRONG_ORIGIN = "wrong_origin"
    WRONG_PAYLOAD = "wrong_payload"
    WRONG_TIME = "wrong_time"
    TOO_LATE = "too_late"
    CYCLE = "cycle"
    DEPENDS_ON_INVALID = "depends_on_invalid"
    NO_BLOCK = "no_block"  # the initiating chain has not got that far
    NOT_WATCHED = "not_watched"  # a member of the set that this monitor does not read
    DISPUTED = "disputed"  # two looks said different things, or left out logs that the header tells of


class Level(IntEnum):
    """How safe a block is."""

    UNSAFE = 0
    SAFE = 1
    FINALIZED = 2


class Identifier(msgspec.Struct, frozen=True):
    """Which log is meant: u64 block number, u32 index within the block, u64 time in seconds, u256 chain id."""

    origin: Address
    block_number: int
    log_index: int
    timestamp: int
    chain_id: int


class ExecutingMessage(msgspec.Struct, frozen=True):
    """One log of the inbox. `block` is the executing one; `payload` the hash that the initiating log must have."""

    chain_id: ChainId
    block: BlockRef
    transaction: Hash32
    log_index: int
    payload: Hash32
    identifier: Identifier


class BadLog(msgspec.Struct, frozen=True):
    """A log of the inbox that is no executing message."""

    chain_id: ChainId
    block: BlockRef
    transaction: Hash32
    log_index: int
    problem: str


class Found(msgspec.Struct, frozen=True):
    """What the logs of one block hold for the inbox."""

    messages: tuple[ExecutingMessage, ...] = ()
    bad: tuple[BadLog, ...] = ()


class InitiatingLog(msgspec.Struct, frozen=True):
    """A log at the place that an identifier names."""

    origin: Address
    payload: Hash32


class Seen(msgspec.Struct, frozen=True):
    """One look at the initiating block: its hash and time, and the log at the index (None: nothing is there).

    `whole`: all logs of the block were read, not only those of the origin; so an absent log is absent for sure.
    """

    block_hash: Hash32
    timestamp: int
    log: InitiatingLog | None
    whole: bool = False


class Verdict(msgspec.Struct, frozen=True):
    """`status` and the broken `rule`; `detail` says it in words. `boundary`: executed in the very last second, on which
    the specification's texts disagree. `block_hash`: of the initiating block it was drawn from, "" where none was
    needed.
    """

    status: Status
    rule: Rule = Rule.NONE
    detail: str = ""
    boundary: bool = False
    block_hash: str = ""
