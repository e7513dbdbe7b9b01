"""Compiles ABI types into functions that encode values, refusing every value that does not fit exactly.

No value is bent to its type: an integer out of range, a `bool` where an integer belongs, bytes of another length, a
list of another length or an address with a wrong number of digits is an `EncodeError` that names the place.

Accepted: `int`; `bool`; `bytes` for bytes, bytesN and function (bytesN also as "0x…" of exactly N bytes: hashes are
text inside Seamark); "0x…" text or 20 bytes for address; `str` for string; tuples or lists for arrays and structs.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final

from seamark.evm.abi.errors import EncodeError
from seamark.evm.abi.types import WORD, AbiType, Array, Param, Scalar, Tuple, head_size, is_dynamic

__all__ = ["Encoder", "compile_encoder"]

Encoder = Callable[[Sequence[Any]], bytes]
Encode = Callable[[Any], bytes]

_ADDRESS_BYTES: Final = 20
_SHOWN = 60
_TRUE: Final = (1).to_bytes(WORD, "big")
_FALSE: Final = bytes(WORD)


def compile_encoder(params: Sequence[Param]) -> Encoder:
    """A function from a list of values to their encoding; raises `EncodeError`."""
    return _tuple_encoder(params, "")


def _encoder(type_: AbiType, path: str) -> Encode:
    match type_:
        case Tuple(components=components):
            return _tuple_encoder(components, path)
        case Array(item=item, length=length):
            return _array_encoder(item, length, path)
        case Scalar(name=name) if name in _PLAIN:
            encode = _PLAIN[name]
            return lambda value: encode(value, path)
        case Scalar(size=size) if size:
            return lambda value: _fixed_bytes(value, size, path)
        case Scalar():
            return _integer_encoder(type_, path)


def _tuple_encoder(params: Sequence[Param], path: str) -> Encoder:
    parts = [
        (
            _encoder(param.type, f"{path}.{param.name}" if path else param.name or f"value {index}"),
            is_dynamic(param.type),
        )
        for index, param in enumerate(params)
    ]
    head = sum(head_size(param.type) for param in params)
    place = path or "arguments"

    def encode(values: Sequence[Any]) -> bytes:
        _check_sequence(values, len(parts), place)
        return _join(((encode(value), dynamic) for (encode, dynamic), value in zip(parts, values, strict=True)), head)

    return encode


def _array_encoder(item: AbiType, length: int | None, path: str) -> Encode:
    encode_item = _encoder(item, f"{path}[]")
    size, dynamic = head_size(item), is_dynamic(item)

    def encode(values: Sequence[Any]) -> bytes:
        _check_sequence(values, length, path)
        body = _join(((encode_item(value), dynamic) for value in values), size * len(values))
        return body if length is not None else len(values).to_bytes(WORD, "big") + body

    return encode


def _join(parts: Any, head: int) -> bytes:
    """Heads first, then tails, each tail found by its offset."""
    heads: list[bytes] = []
    tails: list[bytes] = []
    offset = head
    for encoded, dynamic in parts:
        if dynamic:
            heads.append(offset.to_bytes(WORD, "big"))
            tails.append(encoded)
            offset += len(encoded)
        else:
            heads.append(encoded)
    return b"".join(heads + tails)


def _check_sequence(values: object, length: int | None, path: str) -> None:
    if not isinstance(values, (tuple, list)):
        raise EncodeError(f"{path}: {_quote(values)} is not a tuple or list")
    if length is not None and len(values) != length:
        raise EncodeError(f"{path}: {length} values are needed, not {len(values)}")


def _integer_encoder(type_: Scalar, path: str) -> Encode:
    if type_.signed:
        low, high = -(1 << (type_.bits - 1)), (1 << (type_.bits - 1)) - 1
    else:
        low, high = 0, (1 << type_.bits) - 1
    signed = type_.signed

    def encode(value: Any) -> bytes:
        if type(value) is not int and (isinstance(value, bool) or not isinstance(value, int)):
            raise EncodeError(f"{path}: {_quote(value)} is not an integer")
        if not low <= value <= high:
            raise EncodeError(f"{path}: {value} is out of range for {type_.name}")
        return value.to_bytes(WORD, "big", signed=signed)

    return encode


def _address(value: Any, path: str) -> bytes:
    if isinstance(value, str) and len(value) == 2 + 2 * _ADDRESS_BYTES and value[:2] == "0x":
        try:
            raw = bytes.fromhex(value[2:])
        except ValueError as error:
            raise EncodeError(f"{path}: {_quote(value)} is not an address") from error
        if len(raw) == _ADDRESS_BYTES:
            return raw.rjust(WORD, b"\0")
    elif isinstance(value, bytes) and len(value) == _ADDRESS_BYTES:
        return value.rjust(WORD, b"\0")
    raise EncodeError(f"{path}: {_quote(value)} is not an address")


def _bool(value: Any, path: str) -> bytes:
    if value is True:
        return _TRUE
    if value is False:
        return _FALSE
    raise EncodeError(f"{path}: {_quote(value)} is not True or False")


def _fixed_bytes(value: Any, size: int, path: str) -> bytes:
    raw = value
    if isinstance(value, str) and len(value) == 2 + 2 * size and value[:2] == "0x":
        try:
            raw = bytes.fromhex(value[2:])
        except ValueError as error:
            raise EncodeError(f"{path}: {_quote(value)} is not hex data") from error
    if not isinstance(raw, bytes) or len(raw) != size:
        raise EncodeError(f"{path}: {_quote(value)} is not {size} bytes")
    return raw.ljust(WORD, b"\0")


def _blob(value: Any, path: str) -> bytes:
    if not isinstance(value, bytes):
        raise EncodeError(f"{path}: {_quote(value)} is not bytes")
    return len(value).to_bytes(WORD, "big") + value + bytes(-len(value) % WORD)


def _string(value: Any, path: str) -> bytes:
    if not isinstance(value, str):
        raise EncodeError(f"{path}: {_quote(value)} is not text")
    try:
        return _blob(value.encode(), path)
    except UnicodeEncodeError as error:
        raise EncodeError(f"{path}: the text holds a lone surrogate, which has no UTF-8 form") from error


_PLAIN: Final[dict[str, Callable[[Any, str], bytes]]] = {
    "address": _address,
    "bool": _bool,
    "bytes": _blob,
    "string": _string,
}


def _quote(value: object) -> str:
    text = repr(value)
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}…"
