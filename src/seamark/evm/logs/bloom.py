"""The header's bloom filter: which logs a block may contain.

A bloom never hides a log that is there, so "the bloom may contain it, the node shows nothing" is the one hint, per
block, of logs that a node lost. Three bits of 2048 per item, from the first three 16-bit words of its Keccak-256
(Ethereum yellow paper, 4.3.1, function M3:2048).
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache

from seamark.evm.crypto import keccak256
from seamark.evm.types import LogFilter

__all__ = ["bloom_of", "may_contain"]

_BITS = 2048
_HEX_DIGITS = 2 + _BITS // 4
_ALL_ONES = (1 << _BITS) - 1


@lru_cache(maxsize=4096)
def _mask(item: str) -> int:
    digest = keccak256(bytes.fromhex(item[2:]))
    mask = 0
    for at in (0, 2, 4):
        mask |= 1 << (int.from_bytes(digest[at : at + 2], "big") % _BITS)
    return mask


def bloom_of(items: Iterable[str]) -> str:
    """The bloom, as "0x…" hex, of a block whose logs have these addresses and topics."""
    bits = 0
    for item in items:
        bits |= _mask(item)
    return f"0x{bits:0{_BITS // 4}x}"


def may_contain(bloom: str, wanted: LogFilter) -> bool:
    """Whether a block with this bloom may hold a wanted log.

    False for a missing bloom and for one that is all ones: some rollups send those, and they say nothing.
    """
    if len(bloom) != _HEX_DIGITS:
        return False
    bits = int(bloom, 16)
    if bits in (0, _ALL_ONES):
        return False
    return any(_holds(bits, item) for item in wanted.addresses) and any(_holds(bits, item) for item in wanted.topics)


def _holds(bits: int, item: str) -> bool:
    mask = _mask(item)
    return bits & mask == mask
