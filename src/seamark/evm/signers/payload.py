"""What a preimage asks to sign: a transaction (EIP-1559, legacy with EIP-155), a report, or something unknown. Pure.

A policy believes nothing but the bytes, so they are read strictly: every length and number in its shortest form, and
nothing left over. A report of an oracle network is 128 bytes: the hash of what is reported and three words of context
(libocr, OCR2Aggregator.transmit). Its hash cannot be chosen so that all of it reads as a transaction.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, TypeAlias

from seamark.core.errors import RejectedError
from seamark.core.ids import Address, ChainId

__all__ = ["Payload", "Report", "read_payload"]

_DYNAMIC_FEE: Final = 0x02
_DYNAMIC_FIELDS: Final = 9
_LEGACY_FIELDS: Final = 9
_REPORT_BYTES: Final = 128
_ADDRESS_BYTES: Final = 20
_SELECTOR_BYTES: Final = 4
_STRING, _LONG_STRING, _LIST, _LONG_LIST = 0x80, 0xB8, 0xC0, 0xF8
_SHORT: Final = 55

Item: TypeAlias = "bytes | list[Item]"


@dataclass(frozen=True, slots=True)
class Payload:
    """An unsigned transaction. `price` is the most it offers per gas, in wei; `to` None creates a contract."""

    chain_id: ChainId
    nonce: int
    to: Address | None
    data: bytes
    value: int
    gas: int
    price: int

    @property
    def fee(self) -> int:
        """The most that its gas may cost, in wei."""
        return self.gas * self.price

    @property
    def function(self) -> str:
        """The four bytes that name the called function, as 0x…; "0x" where the data is shorter."""
        return "0x" + (self.data[:_SELECTOR_BYTES].hex() if len(self.data) >= _SELECTOR_BYTES else "")


@dataclass(frozen=True, slots=True)
class Report:
    """A report of an oracle network."""


class _Malformed(ValueError):
    """Not RLP in its only form, or not the fields of a transaction."""


def read_payload(preimage: bytes) -> Payload | Report:
    """Tell what it is.

    Raises:
        RejectedError: Neither a transaction that is known here nor a report.
    """
    try:
        if preimage[:1] == bytes([_DYNAMIC_FEE]):
            return _dynamic(_decode(preimage[1:]))
        return _legacy(_decode(preimage))
    except _Malformed:
        if len(preimage) == _REPORT_BYTES:
            return Report()
        raise RejectedError(f"{len(preimage)} bytes that are no known transaction or report") from None


def _dynamic(fields: Item) -> Payload:
    """EIP-1559: chain, nonce, tip, cap, gas, to, value, data, access list."""
    if not isinstance(fields, list) or len(fields) != _DYNAMIC_FIELDS or not isinstance(fields[8], list):
        raise _Malformed
    return Payload(
        chain_id=ChainId(_number(fields[0])),
        nonce=_number(fields[1]),
        to=_address(fields[5]),
        data=_bytes(fields[7]),
        value=_number(fields[6]),
        gas=_number(fields[4]),
        price=max(_number(fields[3]), _number(fields[2])),
    )


def _legacy(fields: Item) -> Payload:
    """EIP-155: nonce, price, gas, to, value, data, chain, 0, 0. Without the chain it would be valid on every chain."""
    if not isinstance(fields, list) or len(fields) != _LEGACY_FIELDS or fields[7] != b"" or fields[8] != b"":
        raise _Malformed
    return Payload(
        chain_id=ChainId(_number(fields[6])),
        nonce=_number(fields[0]),
        to=_address(fields[3]),
        data=_bytes(fields[5]),
        value=_number(fields[4]),
        gas=_number(fields[2]),
        price=_number(fields[1]),
    )


def _bytes(item: Item) -> bytes:
    if isinstance(item, list):
        raise _Malformed
    return item


def _number(item: Item) -> int:
    content = _bytes(item)
    if content[:1] == b"\0":
        raise _Malformed
    return int.from_bytes(content, "big")


def _address(item: Item) -> Address | None:
    content = _bytes(item)
    if len(content) not in (0, _ADDRESS_BYTES):
        raise _Malformed
    return Address("0x" + content.hex()) if content else None


# ---- RLP (yellow paper, appendix B) ----------------------------------------------------------------------------------


def _decode(encoded: bytes) -> Item:
    item, end = _item(encoded, 0)
    if end != len(encoded):
        raise _Malformed
    return item


def _item(encoded: bytes, at: int) -> tuple[Item, int]:
    if at >= len(encoded):
        raise _Malformed
    first = encoded[at]
    if first < _STRING:
        return encoded[at : at + 1], at + 1
    if first < _LIST:
        start, end = _span(encoded, at, first, _STRING, _LONG_STRING)
        content = encoded[start:end]
        if len(content) == 1 and content[0] < _STRING:
            raise _Malformed
        return content, end
    start, end = _span(encoded, at, first, _LIST, _LONG_LIST)
    items: list[Item] = []
    while start < end:
        item, start = _item(encoded[:end], start)
        items.append(item)
    return items, end


def _span(encoded: bytes, at: int, first: int, short: int, long: int) -> tuple[int, int]:
    """Where the content is; its length in the only form that is allowed."""
    start = at + 1
    size = first - short
    if first >= long:
        width = first - long + 1
        raw = encoded[start : start + width]
        size, start = int.from_bytes(raw, "big"), start + width
        if len(raw) != width or raw[0] == 0 or size <= _SHORT:
            raise _Malformed
    if start + size > len(encoded):
        raise _Malformed
    return start, start + size
