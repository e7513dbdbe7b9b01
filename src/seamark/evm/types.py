"""What a node tells us, as frozen values. Hex quantities are integers here; hex data stays text until it is decoded."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

import msgspec

from seamark.core.ids import Address, BlockRef, Hash32

__all__ = ["BlockHeader", "BlockTag", "Call", "Log", "LogFilter", "Receipt"]

BlockTag: TypeAlias = int | str
"""A block number, or "latest", "safe", "finalized", "pending", "earliest"."""


class Log(msgspec.Struct, frozen=True, gc=False):
    """One event log in a block.

    Its identity is (chain, block_hash, transaction_hash, log_index); after a reorg the same log may come back in
    another block. `data` is "0x…" hex, `block_timestamp` is present only where the node sends it.
    """

    address: Address
    topics: tuple[Hash32, ...]
    data: str
    block_number: int
    block_hash: Hash32
    transaction_hash: Hash32
    log_index: int
    block_timestamp: int | None = None


class BlockHeader(msgspec.Struct, frozen=True, gc=False):
    """The part of a block that Seamark reads. `base_fee` is None before EIP-1559."""

    number: int
    hash: Hash32
    parent_hash: Hash32
    timestamp: int
    logs_bloom: str = ""
    base_fee: int | None = None

    @property
    def ref(self) -> BlockRef:
        return BlockRef(self.number, self.hash, self.parent_hash, self.timestamp)


class Receipt(msgspec.Struct, frozen=True):
    """What became of a transaction. `succeeded` is status 1."""

    transaction_hash: Hash32
    block_number: int
    block_hash: Hash32
    succeeded: bool
    gas_used: int
    effective_gas_price: int
    logs: tuple[Log, ...]
    contract_address: Address | None = None


@dataclass(frozen=True, slots=True)
class LogFilter:
    """Which logs to ask for: emitted by any of `addresses`, with topic 0 any of `topics`.

    Neither may be empty: nodes disagree on what an empty list means.
    """

    addresses: tuple[Address, ...]
    topics: tuple[Hash32, ...]

    def __post_init__(self) -> None:
        if not self.addresses or not self.topics:
            raise ValueError("a log filter names at least one address and one topic")

    def matches(self, log: Log) -> bool:
        return log.address in self.addresses and bool(log.topics) and log.topics[0] in self.topics


@dataclass(frozen=True, slots=True)
class Call:
    """A read: calldata for a contract, as of a block."""

    to: Address
    data: bytes
    block: BlockTag = "latest"
