"""Small typed nouns for the things that are named across the whole system.

Hex strings are lower case inside Seamark and in its database; checksummed addresses exist at the edges only
(`seamark.evm.address`). Chain selectors are uint64 above 2**53: an `int` in Python, a string in JSON and in the
database.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NewType

__all__ = ["Address", "BlockRef", "ChainId", "Hash32", "Selector"]

ChainId = NewType("ChainId", int)
"""EIP-155 chain id."""

Selector = NewType("Selector", int)
"""CCIP chain selector, uint64, not derived from the chain id."""

Address = NewType("Address", str)
"""20 bytes as "0x" and 40 lower-case hex digits."""

Hash32 = NewType("Hash32", str)
"""32 bytes as "0x" and 64 lower-case hex digits: block and transaction hashes, topics, message ids."""


@dataclass(frozen=True, slots=True)
class BlockRef:
    """A block and its link to the one before.

    `timestamp` is seconds since the epoch, by the block itself.
    """

    number: int
    hash: Hash32
    parent_hash: Hash32
    timestamp: int

    def __str__(self) -> str:
        return f"block {self.number} ({self.hash[:10]}…)"
