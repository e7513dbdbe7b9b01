"""The message that carries one round of a feed to another chain (`contracts/src/libraries/PriceUpdate.sol`).

Version 1 is `abi.encode(uint8 version, bytes32 feedId, uint80 roundId, int256 answer, uint64 observedAt, uint64
updatedAt, uint8 decimals)`: seven words. Reading is as strict as the contract: anything else is no price update.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from typing import Final

from seamark.core.units import from_base_units

__all__ = ["PriceUpdate", "read_price_update"]

VERSION: Final = 1
WORDS: Final = 7
_WORD_DIGITS: Final = 64
_SIGN: Final = 1 << 255
_BITS: Final = (8, 256, 80, 256, 64, 64, 8)


@dataclass(frozen=True, slots=True)
class PriceUpdate:
    """One round. Times are seconds since the epoch; `feed_id` is 32 bytes in hex."""

    feed_id: str
    round: int
    answer: int
    observed_at: int
    updated_at: int
    decimals: int

    @property
    def price(self) -> Decimal:
        return from_base_units(self.answer, self.decimals)


def read_price_update(data: str) -> PriceUpdate | None:
    """From a payload in hex; None for what is not the canonical encoding of an update."""
    digits = data.removeprefix("0x")
    if len(digits) != WORDS * _WORD_DIGITS:
        return None
    try:
        words = [int(digits[at : at + _WORD_DIGITS], 16) for at in range(0, len(digits), _WORD_DIGITS)]
    except ValueError:
        return None
    if words[0] != VERSION or any(word >> bits for word, bits in zip(words, _BITS, strict=True)):
        return None
    answer = words[3] - (_SIGN << 1) if words[3] & _SIGN else words[3]
    return PriceUpdate(f"0x{words[1]:064x}", words[2], answer, words[4], words[5], words[6])
