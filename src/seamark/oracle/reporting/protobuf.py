"""Protocol Buffers (proto3) by hand: the handful of small messages of OCR2, byte for byte.

Writing gives the canonical form that `proto.Marshal` of Go gives: fields in the order of their numbers, zeros and empty
bytes left out, repeated numbers packed. Reading follows the specification (any order, the last of several wins, unknown
fields are skipped) but refuses what no encoder writes: numbers beyond their type, groups, a cut end.

https://protobuf.dev/programming-guides/encoding
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Final

from seamark.core.errors import RejectedError

__all__ = [
    "Fields",
    "WireError",
    "data_field",
    "messages_field",
    "optional_uint_field",
    "packed_field",
    "uint_field",
]

_VARINT: Final = 0
_FIXED64: Final = 1
_LENGTH: Final = 2
_FIXED32: Final = 5
_FIXED_BYTES: Final = {_FIXED64: 8, _FIXED32: 4}
_MAX_VARINT_BYTES: Final = 10  # 64 bits in groups of 7
_WORD_BITS: Final = 64
_MORE: Final = 0x80  # a byte of a number from here on has another one behind it
_ONE_BYTE: Final = tuple(bytes((value,)) for value in range(_MORE))
_MAX_FIELD: Final = (1 << 29) - 1


class WireError(RejectedError):
    """Bytes that are not the message they should be."""


# ---- writing --------------------------------------------------------------------------------------------------------


def uint_field(number: int, value: int | None) -> bytes:
    """An unsigned number or a bool; zero is left out, None too."""
    return optional_uint_field(number, value) if value else b""


def optional_uint_field(number: int, value: int | None) -> bytes:
    """A number of an `optional` field: None is left out, zero is written."""
    return b"" if value is None else _tag(number, _VARINT) + _varint(value)


def data_field(number: int, value: bytes) -> bytes:
    """Bytes, text in UTF-8 or an embedded message; empty ones are left out."""
    return _delimited(number, value) if value else b""


def messages_field(number: int, values: Iterable[bytes]) -> bytes:
    """Repeated bytes, texts or embedded messages: empty ones are written too."""
    return b"".join(_delimited(number, value) for value in values)


def packed_field(number: int, values: Sequence[int]) -> bytes:
    """Repeated unsigned numbers."""
    return data_field(number, b"".join(_varint(value) for value in values))


def _delimited(number: int, value: bytes) -> bytes:
    return _tag(number, _LENGTH) + _varint(len(value)) + value


def _tag(number: int, wire_type: int) -> bytes:
    return _varint(number << 3 | wire_type)


def _varint(value: int) -> bytes:
    if 0 <= value < _MORE:
        return _ONE_BYTE[value]
    if value < 0 or value >> _WORD_BITS:
        raise WireError(f"{value} is not an unsigned number of 64 bits")
    out = bytearray()
    while value > 0x7F:  # noqa: PLR2004 - seven bits a byte
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


# ---- reading --------------------------------------------------------------------------------------------------------


class Fields:
    """The fields of one message, to be asked for by number.

    Raises:
        WireError: Bytes that are cut short or malformed; each reader: a field of another type or out of range.
    """

    __slots__ = ("_values", "name")

    def __init__(self, data: bytes, name: str) -> None:
        self.name = name
        self._values: dict[int, list[int | bytes]] = {}
        values = self._values
        for number, value in _read(data, name):
            if number in values:
                values[number].append(value)
            else:
                values[number] = [value]

    def has(self, number: int) -> bool:
        return number in self._values

    @property
    def numbers(self) -> tuple[int, ...]:
        return tuple(self._values)

    def uint(self, number: int, bits: int) -> int:
        """Zero where it is missing."""
        values = self._values.get(number)
        return self._checked(values[-1], number, bits) if values else 0

    def boolean(self, number: int) -> bool:
        return self.uint(number, _WORD_BITS) != 0

    def data(self, number: int) -> bytes:
        """Empty where it is missing."""
        values = self._values.get(number)
        if values is None:
            return b""
        if len(values) == 1 and isinstance(only := values[0], bytes):
            return only
        return self.all_data(number)[-1]

    def all_data(self, number: int) -> tuple[bytes, ...]:
        values = self._values.get(number)
        if values is None:
            return ()
        found = tuple([value for value in values if isinstance(value, bytes)])
        if len(found) != len(values):
            raise WireError(f"{self.name}: field {number} is a number, not bytes")
        return found

    def uints(self, number: int, bits: int) -> tuple[int, ...]:
        """Repeated numbers, packed or one by one."""
        out: list[int] = []
        for value in self._values.get(number, []):
            if isinstance(value, bytes):
                at = 0
                while at < len(value):
                    item, at = _read_varint(value, at, self.name)
                    out.append(self._checked(item, number, bits))
            else:
                out.append(self._checked(value, number, bits))
        return tuple(out)

    def fixed(self, number: int, size: int) -> bytes:
        """Bytes of exactly this length."""
        value = self.data(number)
        if len(value) != size:
            raise WireError(f"{self.name}: field {number} has {len(value)} bytes instead of {size}")
        return value

    def _checked(self, value: int | bytes, number: int, bits: int) -> int:
        if isinstance(value, bytes):
            raise WireError(f"{self.name}: field {number} is not a number")
        if value >> bits:
            raise WireError(f"{self.name}: field {number} does not fit in {bits} bits")
        return value


def _read(data: bytes, name: str) -> Iterator[tuple[int, int | bytes]]:
    at, end = 0, len(data)
    while at < end:
        tag = data[at]
        if tag < _MORE:  # nearly all have one byte
            at += 1
        else:
            tag, at = _read_varint(data, at, name)
        number, wire_type = tag >> 3, tag & 7
        if not 0 < number <= _MAX_FIELD:
            raise WireError(f"{name}: {number} is not a field's number")
        if wire_type == _VARINT:
            value, at = _read_varint(data, at, name)
            yield number, value
            continue
        if wire_type == _LENGTH:
            size, at = _read_varint(data, at, name)
        elif wire_type in _FIXED_BYTES:
            size = _FIXED_BYTES[wire_type]
        else:
            raise WireError(f"{name}: field {number} has wire type {wire_type}")
        if size > end - at:
            raise WireError(f"{name}: field {number} ends behind the message")
        yield number, data[at : at + size]
        at += size


def _read_varint(data: bytes, at: int, name: str) -> tuple[int, int]:
    value = shift = 0
    for byte in data[at : at + _MAX_VARINT_BYTES]:
        at += 1
        if byte < _MORE:
            value |= byte << shift
            if value >> _WORD_BITS:
                break
            return value, at
        value |= (byte & 0x7F) << shift
        shift += 7
    raise WireError(f"{name}: a number is cut short or has more than 64 bits")
