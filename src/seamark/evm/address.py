"""Addresses at the edges: what a person writes, what a topic holds, what a page shows.

Inside Seamark an address is lower case (`seamark.core.ids.Address`). Mixed case is a checksum (EIP-55) and must be
right; all lower or all upper case carries none and is taken as it is.
"""

from __future__ import annotations

import re
from typing import Final

from seamark.core.errors import RejectedError
from seamark.core.ids import Address
from seamark.evm.crypto import keccak256

__all__ = ["ZERO_ADDRESS", "AddressError", "address_from_bytes", "address_from_word", "parse_address", "to_checksum"]

ZERO_ADDRESS: Final = Address("0x" + "00" * 20)

_FORM: Final = re.compile(r"0[xX][0-9a-fA-F]{40}", re.ASCII)
_ADDRESS_BYTES = 20
_WORD_BYTES = 32
_PADDING: Final = bytes(_WORD_BYTES - _ADDRESS_BYTES)
_UPPER_FROM = 8  # EIP-55: a letter is upper case where the hash has a digit of 8 or more
_SHOWN = 60


class AddressError(RejectedError):
    """Not an address, or its checksum is wrong."""


def parse_address(text: str) -> Address:
    """Read what a person wrote.

    Raises:
        AddressError: Not 20 bytes of hex, or mixed case with a wrong checksum (the message shows the right one).
    """
    written = text.strip()
    if not _FORM.fullmatch(written):
        raise AddressError(f"{written[:_SHOWN]!r} is not an address: write 0x and 40 hex digits")
    digits = written[2:]
    address = Address("0x" + digits.lower())
    if digits in (digits.lower(), digits.upper()):
        return address
    expected = to_checksum(address)
    if written[2:] != expected[2:]:
        raise AddressError(
            f"{written} has a wrong checksum",
            remedy=f"check it against its source: the same digits with a right checksum are {expected}",
        )
    return address


def to_checksum(address: Address | str) -> str:
    """Write with the EIP-55 checksum, for people."""
    digits = address[2:].lower()
    marks = keccak256(digits.encode("ascii")).hex()
    return "0x" + "".join(
        digit.upper() if int(mark, 16) >= _UPPER_FROM else digit for digit, mark in zip(digits, marks, strict=False)
    )


def address_from_bytes(raw: bytes) -> Address:
    """From exactly 20 bytes."""
    if len(raw) != _ADDRESS_BYTES:
        raise AddressError(f"an address has 20 bytes, not {len(raw)}")
    return Address("0x" + raw.hex())


def address_from_word(word: bytes | str) -> Address:
    """From a 32-byte word or topic: 12 zero bytes, then the address."""
    try:
        raw = bytes.fromhex(word[2:]) if isinstance(word, str) else word
    except ValueError as error:
        raise AddressError(f"{str(word)[:_SHOWN]!r} is not a 32-byte word") from error
    if len(raw) != _WORD_BYTES or not raw.startswith(_PADDING):
        raise AddressError("the word does not hold an address: it needs 12 zero bytes, then 20 bytes")
    return address_from_bytes(raw[-_ADDRESS_BYTES:])
