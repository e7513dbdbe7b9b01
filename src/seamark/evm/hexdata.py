"""The two hex notations of Ethereum's JSON-RPC, read strictly.

A *quantity* is a number: "0x0", "0x1a", shortest form. *Data* is bytes: "0x" and two digits per byte. Some nodes pad
quantities with zeros, so a leading zero is read; anything that is not a hex number is refused. Python's own conversions
are too lenient for a node's reply: `int("0x_1", 16)` and `bytes.fromhex("0x 12")` both succeed.
"""

from __future__ import annotations

import re
from binascii import a2b_hex
from typing import Final

from seamark.core.errors import RejectedError
from seamark.core.ids import Hash32

__all__ = ["HexError", "hash32", "parse_data", "parse_quantity", "to_data", "to_quantity"]

_QUANTITY: Final = re.compile(r"0x[0-9a-fA-F]{1,64}", re.ASCII)
_HASH: Final = re.compile(r"0x[0-9a-f]{64}", re.ASCII)
_SHOWN = 40  # characters of a bad value that an error quotes


class HexError(RejectedError):
    """Text that is not the hex number or hex data it should be."""


def parse_quantity(text: object) -> int:
    """Read a non-negative number of at most 256 bits.

    Raises:
        HexError: Anything else, also a JSON number or a signed one.
    """
    if not isinstance(text, str) or not _QUANTITY.fullmatch(text):
        raise HexError(f"{_quote(text)} is not a hex quantity such as 0x1a")
    return int(text, 16)


def to_quantity(number: int) -> str:
    """Write a non-negative number in the shortest form."""
    if number < 0:
        raise HexError(f"{number} is negative and cannot be a hex quantity")
    return hex(number)


def parse_data(text: object) -> bytes:
    """Read "0x…" with an even number of digits.

    Raises:
        HexError: No prefix, an odd digit, white space or anything that is not hex.
    """
    if not isinstance(text, str) or text[:2] != "0x":
        raise HexError(f"{_quote(text)} is not hex data such as 0x00ff")
    try:
        return a2b_hex(text[2:])
    except ValueError as error:
        raise HexError(f"{_quote(text)} is not hex data such as 0x00ff") from error


def to_data(raw: bytes) -> str:
    """Write bytes as "0x…", lower case."""
    return "0x" + raw.hex()


def hash32(text: object) -> Hash32:
    """Read 32 bytes as text, in lower case.

    Raises:
        HexError: Another length, or not hex.
    """
    lowered = text.lower() if isinstance(text, str) else ""
    if not _HASH.fullmatch(lowered):
        raise HexError(f"{_quote(text)} is not 32 bytes of hex data")
    return Hash32(lowered)


def _quote(value: object) -> str:
    text = repr(value)
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}…"
