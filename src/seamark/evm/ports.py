"""What the rest of the system needs from a chain, as protocols: implementations are `evm.rpc`, `evm.logs`,
`evm.transactions` and `evm.signers`; tests bring their own.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Protocol, TypeAlias

from seamark.core.ids import Address, BlockRef, ChainId, Hash32
from seamark.evm.types import BlockHeader, BlockTag, Call, Log, LogFilter, Receipt

__all__ = [
    "Block",
    "BlockLogReader",
    "BlockLogs",
    "ChainReader",
    "Finalized",
    "Intent",
    "LogBatch",
    "LogEvent",
    "LogReader",
    "LogStream",
    "Outcome",
    "Reorg",
    "Signer",
    "TransactionSender",
    "TxState",
]


class LogReader(Protocol):
    """The part of a `ChainReader` that a second opinion on logs needs."""

    async def logs(self, wanted: LogFilter, first: int, last: int, *, end: Hash32 | None = None) -> list[Log]: ...


@dataclass(frozen=True, slots=True)
class BlockLogs:
    """A block's header and its logs, of one endpoint at one time; `whole`: all of them, not only some addresses'."""

    header: BlockHeader
    logs: tuple[Log, ...]
    whole: bool


class BlockLogReader(Protocol):
    """The part of a chain that answers what stands at a place in a block, whatever its topics are."""

    async def block_logs(
        self, number: int, addresses: Sequence[Address] = (), *, second: bool = False
    ) -> BlockLogs | None:
        """All logs of a block, or those of some addresses; None where no endpoint that answered has it.

        With `second` of another endpoint than the one that is asked first, where there is one.

        Raises:
            TemporaryError: No endpoint could answer.
        """
        ...

    async def access_lists(self, transactions: Sequence[Hash32]) -> list[Mapping[str, Collection[str]] | None]:
        """Address -> storage keys that each transaction declared (EIP-2930), lower case; None for unknown ones."""
        ...


class ChainReader(Protocol):
    """Typed, checked reads from one chain over a pool of endpoints.

    Every method raises a `TemporaryError` when no endpoint gives a usable answer, and a `RejectedError` (a revert is an
    `evm.rpc.errors.CallReverted` with the revert data) when the question itself is bad.
    """

    @property
    def chain_id(self) -> ChainId: ...

    async def header(self, block: BlockTag) -> BlockHeader | None:
        """None where the block does not exist (yet)."""
        ...

    async def headers(self, numbers: Sequence[int]) -> list[BlockHeader | None]:
        """Answered by one endpoint, in one batch where it fits: so the headers of one call are of one chain."""
        ...

    async def logs(self, wanted: LogFilter, first: int, last: int, *, end: Hash32 | None = None) -> list[Log]:
        """All matching logs of blocks first..last (inclusive), ordered; never a silently shortened answer.

        With `end`, only an endpoint whose own block `last` has this hash (asked in the same batch) may answer: it
        then has the whole range, and of the same chain; else `TemporaryError`.
        """
        ...

    async def call(self, call: Call) -> bytes: ...

    async def calls(self, calls: Sequence[Call]) -> list[bytes | Exception]:
        """Many reads in as few requests as possible; each answer is data or the error of that one call."""
        ...

    async def receipt(self, transaction: Hash32) -> Receipt | None: ...

    async def code(self, address: Address) -> bytes: ...

    async def balance(self, address: Address) -> int: ...

    async def nonce(self, address: Address, block: BlockTag = "latest") -> int: ...


# ---- the log stream -------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Block:
    """A block became part of the canonical chain. `logs` are the matching ones, in order.

    While catching up on finalized history only blocks with matching logs are told.
    """

    ref: BlockRef
    logs: tuple[Log, ...]


@dataclass(frozen=True, slots=True)
class Finalized:
    """Everything up to and including this block will not change any more."""

    ref: BlockRef


@dataclass(frozen=True, slots=True)
class Reorg:
    """`orphaned` blocks (newest first) left the canonical chain; `ancestor` is the last one that both share."""

    ancestor: BlockRef
    orphaned: tuple[BlockRef, ...]


LogEvent: TypeAlias = Block | Finalized | Reorg


class LogBatch(Protocol):
    """Events in order, and the position behind them.

    The consumer stores what the events mean and calls `save(connection)` in the same unit of work: so the position
    moves exactly when the rows are stored. Only then does the stream go on.
    """

    @property
    def chain_id(self) -> ChainId: ...

    @property
    def events(self) -> Sequence[LogEvent]: ...

    @property
    def head(self) -> int:
        """The chain's newest block when this batch was read: `head` minus the last block told is the lag."""
        ...

    def save(self, connection: object) -> None:
        """Store the position, as part of the running unit of work (a SQLAlchemy `Connection`)."""
        ...


class LogStream(Protocol):
    """Endless batches for one filter on one chain, from the stored position on."""

    def batches(self) -> AsyncIterator[LogBatch]: ...


# ---- transactions ---------------------------------------------------------------------------------------------------


class Signer(Protocol):
    """Holds a key and never shows it."""

    @property
    def address(self) -> Address: ...

    async def sign(self, preimage: bytes) -> tuple[int, int, int]:
        """ECDSA over keccak256 of these bytes: (y parity 0 or 1, r, s), s in the lower half.

        The bytes and not their digest, because a remote signer may insist on hashing, and a policy has to read what it
        lets pass. Signing the same bytes twice is harmless.

        Raises:
            TemporaryError: The signer does not answer, or refuses in a way that a person can mend while we run.
            RejectedError: The policy forbids it.
        """
        ...


@dataclass(frozen=True, slots=True)
class Intent:
    """What a capability wants done on chain, once.

    `key` is its natural key (for a price: chain, aggregator and round): the journal holds it at most once, so the same
    intent submitted again after a crash finds the transaction that exists. `gas_limit` None means: estimate.
    """

    key: str
    to: Address | None
    data: bytes
    value: int = 0
    gas_limit: int | None = None


class TxState(StrEnum):
    """Where a journalled transaction is."""

    SIGNED = "signed"  # in the journal, perhaps not yet at any node
    BROADCAST = "broadcast"  # a node has accepted it
    MINED = "mined"  # in a block that may still be orphaned
    CONFIRMED = "confirmed"  # in a block that will stay
    REPLACED = "replaced"  # another transaction of ours took its nonce
    FOREIGN = "foreign"  # somebody else used this key and took its nonce


@dataclass(frozen=True, slots=True)
class Outcome:
    """A transaction's state and, once mined, its receipt."""

    key: str
    nonce: int
    state: TxState
    hashes: tuple[Hash32, ...] = field(default=())
    receipt: Receipt | None = None


class TransactionSender(Protocol):
    """Signs, journals, broadcasts and follows the transactions of one signer on one chain."""

    @property
    def address(self) -> Address: ...

    async def submit(self, intent: Intent) -> Outcome:
        """Journal, then broadcast; returns when a node has accepted it (state BROADCAST).

        With a key that the journal knows, nothing new is sent: the answer tells how the first one fares.

        Raises:
            TemporaryError: Nothing was accepted yet; it stays in the journal and is sent again by the sender itself.
            RejectedError: It would fail (reverts in simulation, no funds): nothing was journalled.
        """
        ...

    async def replace(self, key: str, intent: Intent) -> Outcome:
        """Put a newer intent at the nonce of an unmined one. Either may still be mined, never both; the other one
        becomes REPLACED.

        Raises:
            TemporaryError: Journalled, and accepted by no node yet; or nothing was journalled (`find` tells).
            RejectedError: It cannot be replaced, not now, or it would fail; nothing was journalled.
        """
        ...

    async def wait(self, key: str, *, until: TxState = TxState.MINED) -> Outcome:
        """Return once the transaction is at least `until`, REPLACED or FOREIGN."""
        ...

    async def find(self, key: str) -> Outcome | None:
        """What the journal knows."""
        ...

    def limit_spending(self, owner: str, wei: int | None) -> None:
        """From now on refuse (`RejectedError`) what would make this owner's transactions cost more in 24 hours.

        A key's owner is what stands before its last colon. None: no limit.
        """
        ...

    def spent(self, owner: str) -> int:
        """What this owner's transactions of the last 24 hours cost, or may cost while they are not mined, in wei."""
        ...
